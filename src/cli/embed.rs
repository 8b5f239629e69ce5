//! `haystack embed`: the model's embeddings of cells, as AnnData or as a numpy array. No database.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use serde::Serialize;

use super::blocking::{Stop, blocking};
use super::infer::check;
use super::infer::input::{self, Cells, Reading};
use super::infer::model::{self, Loaded};
use super::infer::output::{describe_model, query_table};
use super::infer::progress::Bar;
use super::infer::{DeviceArg, PrecisionArg, gib, stop_signal};
use super::{Error, Result, open};
use crate::anndata::{self, AnnData, Streamed, Table, Value};
use crate::config::Config;
use crate::domain::inference::Location;
use crate::objects::Objects;
use crate::stack::embed::embed;
use crate::stack::generate::GenerateError;
use crate::stack::genes::Case;
use crate::stack::spool::Budget;

/// Arguments of `haystack embed`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Cells to embed (.h5ad with counts; path or address); human ones only, if obs/organism tells
    #[arg(long, visible_alias = "adata", value_name = "FILE")]
    cells: String,

    /// Name of an imported model, or a checkpoint (.ckpt, .safetensors or a folder; path or address)
    #[arg(long, visible_alias = "checkpoint", value_name = "MODEL")]
    model: String,

    /// Gene list of a model that was not imported (.json, .pkl or one gene per line)
    #[arg(long, visible_alias = "genelist", value_name = "FILE")]
    genes: Option<String>,

    /// Where the embeddings go: .h5ad with the table of cells, or .npy
    #[arg(long, value_name = "FILE", value_parser = output)]
    output: String,

    /// Column of the gene table that holds the symbols, where the index does not
    #[arg(long, visible_alias = "gene-name-col", value_name = "NAME")]
    gene_column: Option<String>,

    /// Seed of the cells that fill a short last window
    #[arg(long, visible_alias = "random-seed", value_name = "N", default_value_t = 0)]
    seed: u64,

    /// Embed only the cells of the first N windows
    #[arg(long, visible_alias = "max-samples", value_name = "N")]
    max_windows: Option<usize>,

    /// Take the table of cells from this file instead of the one that is embedded (.h5ad)
    #[arg(long, value_name = "FILE")]
    obs_source: Option<String>,

    /// Memory for the counts; beyond it they go to temporary files in TMPDIR, without effect on
    /// the numbers
    #[arg(long, value_name = "GIB", default_value = "4", value_parser = gib)]
    memory: usize,

    /// Where to compute; auto takes a GPU if there is one
    #[arg(long, value_enum, default_value = "auto")]
    device: DeviceArg,

    /// How exactly the large products are computed on the CPU
    #[arg(long, value_enum, default_value = "f32")]
    precision: PrecisionArg,

    /// Accepted for scripts that give it; windows are embedded one by one
    #[arg(long, hide = true)]
    batch_size: Option<u32>,

    /// Accepted for scripts that give it
    #[arg(long, hide = true)]
    num_workers: Option<u32>,

    /// Accepted for scripts that give it; progress is always shown on a terminal
    #[arg(long, hide = true)]
    show_progress: bool,
}

fn output(text: &str) -> std::result::Result<String, String> {
    match Format::of(text) {
        Some(_) => Ok(text.to_owned()),
        None => Err("expected a name that ends in .h5ad or .npy".to_owned()),
    }
}

/// How embeddings are written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    Anndata,
    Numpy,
}

impl Format {
    fn of(name: &str) -> Option<Self> {
        match Path::new(name).extension()?.to_str()? {
            "h5ad" => Some(Self::Anndata),
            "npy" => Some(Self::Numpy),
            _ => None,
        }
    }
}

/// What is printed at the end.
#[derive(Serialize)]
struct Summary {
    output: String,
    n_cells: usize,
    /// Cells left out because they are not human.
    n_cells_of_other_organisms: usize,
    n_genes_matched: usize,
    width: usize,
    model: String,
    model_sha256: String,
    model_licence: Option<String>,
    device: &'static str,
    seed: u64,
    seconds: f64,
    warnings: Vec<String>,
}

/// Runs the mode.
pub async fn run(args: Args, config: Config) -> Result {
    let objects = open::objects(&config)?;
    let summary = tokio::select! {
        summary = job(&args, &objects) => summary?,
        signal = stop_signal() => {
            return Err(Error::try_again(format!("stopped by {signal} before the embeddings were finished")));
        }
    };
    println!("{}", serde_json::to_string(&summary).map_err(Error::bug)?);
    Ok(())
}

/// Where everything is on this machine.
struct Inputs {
    cells: PathBuf,
    model: PathBuf,
    genes: Option<PathBuf>,
    obs_source: Option<PathBuf>,
    scratch: PathBuf,
}

async fn job(args: &Args, objects: &Objects) -> Result<Summary> {
    let scratch = tempfile::tempdir().map_err(|error| Error::failed(format!("no temporary folder: {error}")))?;
    let bar = Bar::new(1);
    let fetch = async |text: &str, location: Location| {
        bar.say(format!("fetching {text}"));
        objects.fetch(&location, scratch.path()).await
    };
    let argument = |text: &String| Location::from_argument(text);
    let model = model::location(args.model.clone());
    let files = [Some(&args.cells), args.genes.as_ref(), args.obs_source.as_ref()];
    let inputs: Vec<Location> = files.into_iter().flatten().map(argument).chain([model.clone()]).collect();
    check::all_differ([&argument(&args.output)], &inputs, objects)?;
    model::check(&model, objects).await?;
    let inputs = Inputs {
        cells: fetch(&args.cells, argument(&args.cells)).await?,
        model: fetch(&args.model, model).await?,
        genes: match &args.genes {
            Some(genes) => Some(fetch(genes, argument(genes)).await?),
            None => None,
        },
        obs_source: match &args.obs_source {
            Some(source) => Some(fetch(source, argument(source)).await?),
            None => None,
        },
        scratch: scratch.path().to_owned(),
    };
    let file = scratch.path().join("embeddings");
    let stop = Stop::default();
    let summary = {
        let (args, bar, file, stop) = (args.clone(), bar.clone(), file.clone(), stop.flag());
        blocking(move || embed_to(&args, &inputs, &file, &bar, &stop)).await?
    };
    objects.store(&file, &argument(&args.output)).await?;
    bar.finish();
    summary.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    Ok(summary)
}

fn embed_to(args: &Args, inputs: &Inputs, file: &Path, bar: &Bar, stop: &AtomicBool) -> Result<Summary> {
    let start = Instant::now();
    // The counts as read, and over the model's genes.
    let budget = Budget { bytes: args.memory / 2, scratch: inputs.scratch.clone() };
    let (compute, device) = model::device(args.device, args.precision.into())?;
    let reading = Reading { gene_column: args.gene_column.as_deref(), rows: None, budget: &budget };
    let mut cells = Cells::read(&inputs.cells, "file", &args.cells, reading)?;
    bar.say("loading the model");
    let loaded = model::load(&inputs.model, inputs.genes.as_deref(), &compute)?;
    let mut warnings = loaded.warnings();

    let mut rows = cells.human()?;
    let n_other = cells.len() - rows.len();
    if n_other > 0 {
        warnings.push(format!("{n_other} of {} cells are not human and are left out", cells.len()));
    }
    if let Some(windows) = args.max_windows {
        rows.truncate(windows.saturating_mul(loaded.model.config().n_cells));
    }
    if rows.is_empty() {
        return Err(Error::failed(format!("{}: there are no cells to embed", args.cells)));
    }
    // As the reference feeds embeddings: a listed gene that is not upper case matches nothing.
    let (counts, n_genes_matched) = cells.align_rows(&loaded.genes, Case::AsListed, &rows, &budget)?;
    warnings.append(&mut cells.warnings);

    let width = loaded.model.config().width();
    let format = Format::of(&args.output).ok_or_else(|| Error::usage("--output ends in .h5ad or .npy"))?;
    let values = match format {
        Format::Numpy => file.to_owned(),
        Format::Anndata => inputs.scratch.join("values"),
    };
    let failed = |error: io::Error| Error::failed(format!("{}: {error}", values.display()));
    let mut writer = BufWriter::new(File::create(&values).map_err(failed)?);
    if format == Format::Numpy {
        writer.write_all(&numpy_header(rows.len(), width)).map_err(failed)?;
    }
    let mut unwritten = None;
    let embedded = embed(&loaded.model, &counts, args.seed, |window| {
        bar.share(window.done, window.n_windows);
        let written = window.values.iter().try_for_each(|value| writer.write_all(&value.to_le_bytes()));
        unwritten = written.err();
        if unwritten.is_some() || stop.load(Ordering::Relaxed) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    if let Some(error) = unwritten {
        return Err(failed(error));
    }
    embedded.map_err(|error| match error {
        GenerateError::Scratch(error) => input::scratch(error),
        error => Error::failed(error),
    })?;
    writer.flush().map_err(failed)?;

    if format == Format::Anndata {
        let data = table(args, inputs, &cells, &rows, &loaded, &mut warnings)?;
        let mut values = BufReader::with_capacity(1 << 20, File::open(&values).map_err(failed)?);
        let x = Streamed::Dense { n_rows: rows.len(), n_cols: width, values: &mut values };
        anndata::write_streamed(file, &data, x).map_err(Error::failed)?;
    }
    Ok(Summary {
        output: args.output.clone(),
        n_cells: rows.len(),
        n_cells_of_other_organisms: n_other,
        n_genes_matched,
        width,
        model: loaded.name.clone(),
        model_sha256: loaded.sha256()?,
        model_licence: loaded.licence.clone(),
        device,
        seed: args.seed,
        seconds: start.elapsed().as_secs_f64(),
        warnings,
    })
}

/// Everything of the output but the embeddings: cells, `latent_0…` as `var`, and the origin.
fn table(
    args: &Args,
    inputs: &Inputs,
    cells: &Cells,
    rows: &[usize],
    loaded: &Loaded,
    warnings: &mut Vec<String>,
) -> Result<AnnData> {
    let obs = match (&args.obs_source, &inputs.obs_source) {
        (Some(shown), Some(source)) => {
            let file = anndata::File::open(source).map_err(Error::failed)?;
            let all = query_table(file.obs(), warnings)?;
            let n_given = all.index.len();
            if n_given == cells.obs().n_rows() {
                // The same cells: those that were left out are left out here too.
                all.select(rows)
            } else if n_given < rows.len() {
                return Err(Error::failed(format!("{shown} has {n_given} cells and {} were embedded", rows.len())));
            } else {
                let n = rows.len();
                warnings.push(format!("{shown} has {n_given} cells and {n} were embedded; took its first {n}"));
                all.select(&(0..n).collect::<Vec<_>>())
            }
        }
        _ => query_table(cells.obs(), warnings)?.select(rows),
    };
    let n_dimensions = loaded.model.config().width();
    let var = Table { index: (0..n_dimensions).map(|i| format!("latent_{i}")).collect(), ..Table::default() };
    let about = [
        ("method", Value::String("stack-embedding".to_owned())),
        ("cells", Value::String(args.cells.clone())),
        ("seed", Value::String(args.seed.to_string())),
        ("version", Value::String(env!("CARGO_PKG_VERSION").to_owned())),
    ];
    let about = about.into_iter().chain(describe_model(loaded)?);
    let about = about.map(|(name, value)| (name.to_owned(), value)).collect();
    Ok(AnnData { obs, var, uns: vec![("haystack".to_owned(), Value::Dict(about))], ..AnnData::default() })
}

/// The header of a numpy file, format 1.0, of an `f32` matrix stored row by row.
fn numpy_header(n_rows: usize, n_cols: usize) -> Vec<u8> {
    let mut about = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({n_rows}, {n_cols}), }}");
    // Magic, version and length take 10 bytes; values begin at a multiple of 64.
    let length = (10 + about.len() + 1).next_multiple_of(64) - 10;
    about.extend(std::iter::repeat_n(' ', length - about.len() - 1));
    about.push('\n');
    let length = u16::try_from(length).expect("two numbers are shorter than 64 kB").to_le_bytes();
    [b"\x93NUMPY\x01\x00", &length[..], about.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    // `numpy.lib.format.write_array_header_1_0` for shapes (3, 2) and (1000000, 1600).
    #[test]
    fn the_header_is_that_of_numpy() {
        let header = numpy_header(3, 2);
        assert_eq!(header.len(), 128);
        assert_eq!(&header[..10], b"\x93NUMPY\x01\x00v\x00");
        assert!(header[10..].starts_with(b"{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }   "));
        assert!(header.ends_with(b" \n"));
        assert_eq!(numpy_header(1_000_000, 1600).len(), 128);
    }
}
