//! Our side: answers the same requests as `peer.py`.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use candle_core::Device;
use haystack::anndata::{self, AnnData, File, Matrix, Table};
use haystack::domain::Csr;
use haystack::domain::inference::Sampling;
use haystack::stack::checkpoint::Checkpoint;
use haystack::stack::generate::{Counts, Settings, generate};
use haystack::stack::genes::{Case, GeneList};
use haystack::stack::model::{Compute, Model, Precision};
use haystack::stack::random::CounterRng;
use haystack::stack::sample::negative_binomial;
use haystack::stack::schedule::{ContextRatio, Split};
use haystack::stack::spool::Budget;
use rayon::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::child::Reply;
use crate::side::DEVICE;

/// Genes of the model that `inputs.py` writes.
pub const N_GENES: usize = 15_012;
/// Cells of its windows.
pub const N_CELLS: usize = 512;
/// Base cells of the window; the rest are query cells. As in the last step of a generation.
const N_BASE: usize = 333;

#[derive(Deserialize)]
struct Request {
    r#do: String,
    precision: Option<String>,
}

/// Answers requests until there are no more.
pub fn serve(folder: &Path, output: &Path) -> Result<()> {
    let mut ours = Ours { folder, output, model: None, window: None, answer: None };
    for line in std::io::stdin().lock().lines() {
        let request: Request = serde_json::from_str(&line?)?;
        let reply = match ours.answer(&request) {
            Ok(answer) => Reply::Ok(answer),
            Err(error) => Reply::Error(format!("{error:#}")),
        };
        let mut stdout = std::io::stdout().lock();
        writeln!(stdout, "{}", serde_json::to_string(&reply)?)?;
        stdout.flush()?;
    }
    Ok(())
}

struct Ours<'a> {
    folder: &'a Path,
    output: &'a Path,
    model: Option<(String, Model)>,
    window: Option<Csr>,
    answer: Option<(Vec<f32>, Vec<f32>)>,
}

impl Ours<'_> {
    fn answer(&mut self, request: &Request) -> Result<Value> {
        let precision = request.precision.as_deref().unwrap_or("f32");
        Ok(match request.r#do.as_str() {
            "load" => json!(self.load(precision)?),
            "window" => json!(self.window(precision)?),
            "answer" => json!(self.write_answer()?),
            "generation" => json!(self.generation(precision)?),
            "memory" => json!(largest_memory()?),
            other => bail!("cannot {other}"),
        })
    }

    fn load(&mut self, precision: &str) -> Result<f64> {
        self.model = None;
        let start = Instant::now();
        let model = self.read_model(precision)?;
        let seconds = start.elapsed().as_secs_f64();
        self.model = Some((precision.to_owned(), model));
        Ok(seconds)
    }

    fn read_model(&self, precision: &str) -> Result<Model> {
        let mut checkpoint = Checkpoint::open(&self.folder.join("model.ckpt"))?;
        Ok(Model::load(&mut checkpoint, &compute(precision)?)?)
    }

    /// What `get_prediction` gives for one window: means and logits of all cells, the median
    /// dispersions, and a drawn count for every cell and gene.
    fn window(&mut self, precision: &str) -> Result<f64> {
        if self.model.as_ref().is_none_or(|(loaded, _)| loaded != precision) {
            self.load(precision)?;
        }
        if self.window.is_none() {
            let (base, query) = (self.cells("base.h5ad")?, self.cells("query.h5ad")?);
            let rows = |cells: &Csr, n| (0..n).map(|row| entries(cells, row)).collect::<Vec<_>>();
            let all = [rows(&base, N_BASE), rows(&query, N_CELLS - N_BASE)].concat();
            self.window = Some(Csr::from_rows(N_GENES, all)?);
        }
        let (Some((_, model)), Some(counts)) = (&self.model, &self.window) else { bail!("both were just made") };
        let split = Split::new(N_CELLS, 0.25, ContextRatio::Double(0.4))?;

        let start = Instant::now();
        let rows: Vec<usize> = (0..N_CELLS).collect();
        let embedded = model.embed(model.tokens(counts, &rows)?, split.n_context, split.n_prompt)?;
        let mut logits = vec![0.0; split.n_context];
        logits.extend(model.query_logits(&embedded, split.n_context)?.context("an aligned model")?);
        let mut means = model.scales(&embedded)?;
        let library = counts.row_sums();
        means.par_chunks_exact_mut(N_GENES).zip(library).for_each(|(cell, library)| {
            cell.iter_mut().for_each(|scale| *scale *= library as f32);
        });
        let all: Vec<u32> = (0..N_GENES as u32).collect();
        let theta = model.median_dispersions(&embedded.range(0..split.n_context), &all)?;
        let drawn: Vec<f32> = means
            .par_chunks_exact(N_GENES)
            .enumerate()
            .flat_map_iter(|(cell, means)| {
                means.iter().zip(&theta).enumerate().map(move |(gene, (&mean, &theta))| {
                    negative_binomial(mean, theta, &mut CounterRng::new(0, 1, cell as u32, gene as u32))
                })
            })
            .collect();
        let seconds = start.elapsed().as_secs_f64();
        ensure!(drawn.iter().any(|count| *count > 0.0), "no count was drawn");
        self.answer = Some((means, logits));
        Ok(seconds)
    }

    fn write_answer(&self) -> Result<BTreeMap<&'static str, PathBuf>> {
        let (means, logits) = self.answer.as_ref().context("no window was run")?;
        let write = |name: &'static str, values: &[f32]| -> Result<(&'static str, PathBuf)> {
            let file = self.output.with_extension(name);
            fs::write(&file, values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>())?;
            Ok((name, file))
        };
        Ok(BTreeMap::from([write("means", means)?, write("logits", logits)?]))
    }

    /// From files to file, the model's loading included.
    fn generation(&mut self, precision: &str) -> Result<f64> {
        // Two models at once would count twice.
        self.model = None;
        let start = Instant::now();
        let model = self.read_model(precision)?;
        let genes = GeneList::read(&self.folder.join("genes.pkl"))?;
        let (base, query) = (self.cells("base.h5ad")?, self.cells("query.h5ad")?);
        let sampling = Sampling::default();
        let settings = Settings { sampling: &sampling, counts: Counts::Sampled, budget: Budget::unlimited() };
        let n_cells = query.n_rows();
        let generated = generate(&model, &genes, &base, query.into(), &settings, |_| ControlFlow::Continue(()))?;
        let names = |n: usize, letter: &str| (0..n).map(|i| format!("{letter}{i}")).collect();
        let data = AnnData {
            obs: Table { index: names(n_cells, "cell"), ..Table::default() },
            var: Table { index: genes.names().to_vec(), ..Table::default() },
            x: Some(generated.counts.into_csr()?.into()),
            ..AnnData::default()
        };
        anndata::write(self.output, &data)?;
        Ok(start.elapsed().as_secs_f64())
    }

    /// Counts of a file over the model's genes.
    fn cells(&self, name: &str) -> Result<Csr> {
        let genes = GeneList::read(&self.folder.join("genes.pkl"))?;
        let data = File::open(&self.folder.join(name))?.read_expression(&Matrix::X, None, None)?;
        Ok(genes.align(&data, Case::Folded)?.counts)
    }
}

/// Where and how precisely to compute.
fn compute(precision: &str) -> Result<Compute> {
    let on_gpu = std::env::var(DEVICE).is_ok_and(|device| device == "cuda");
    match (precision, on_gpu) {
        ("f32", false) => Ok(Compute::Cpu(Precision::F32)),
        ("bf16", false) => Ok(Compute::Cpu(Precision::Bf16)),
        ("f32", true) => Ok(Compute::Tensors(Device::new_cuda(0)?)),
        (other, _) => bail!("there is no precision {other} there"),
    }
}

fn entries(cells: &Csr, row: usize) -> Vec<(u32, f32)> {
    let (columns, values) = cells.row(row);
    columns.iter().copied().zip(values.iter().copied()).collect()
}

/// The largest resident size of this process so far, in bytes.
fn largest_memory() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("VmHWM in /proc/self/status")?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib * 1024)
}
