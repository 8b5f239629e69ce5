//! `haystack import atlas`: an `.h5ad` file of counts.

use super::converted::Converted;
use crate::anndata::{self, Matrix};
use crate::atlas::counts::Proof;
use crate::atlas::import::{self, Imported, Outcome, Progress, Request};
use crate::atlas::profile::Profile;
use crate::atlas::resolve;
use crate::cli::blocking::blocking;
use crate::cli::{Error, Result, open, progress};
use crate::config::Config;
use crate::database::Database;
use crate::domain::Dataset;
use crate::domain::datasets::{Field, LabelTaken};
use crate::domain::inference::Location;
use crate::knowledge::Knowledge;
use crate::objects::Objects;
use std::path::PathBuf;
use std::sync::Arc;

/// Arguments of `haystack import atlas`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = MAPPING_HELP)]
pub struct Args {
    /// AnnData file (.h5ad), 10x Genomics file (.h5) or folder (matrix.mtx) with raw counts; a file stays
    /// where it is and must not change afterwards
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Name to hold the data set under
    #[arg(long, value_name = "NAME")]
    dataset: String,

    /// Column conventions: generic, parse, openproblems, tabula-sapiens, cellxgene, scperturb, replogle, vcc
    /// or tahoe; told by the columns if left out
    #[arg(long, value_name = "PROFILE")]
    profile: Option<Profile>,

    /// Mapping file (TOML) that says which column is what; --help shows an example
    #[arg(long, value_name = "FILE")]
    map: Option<PathBuf>,

    /// Where the raw counts are: X, raw/X or layers/NAME; found if left out
    #[arg(long, value_name = "PLACE")]
    counts_in: Option<Matrix>,

    /// Write a row file too: about a byte per count, from which runs read their cells many times faster
    #[arg(long)]
    rows: bool,

    /// How much to read to prove that the counts are counts: all, sample, or by-size: all of a matrix of up
    /// to 67 million entries and a sample of a larger one
    #[arg(long, value_name = "HOW MUCH", value_enum, default_value_t = Prove::BySize)]
    prove: Prove,

    /// Put it in the place of a data set of the same name
    #[arg(long)]
    replace: bool,

    /// Read and prove everything, show what each label stands for, store nothing
    #[arg(long)]
    dry_run: bool,

    /// Print what was imported as JSON
    #[arg(long)]
    json: bool,
}

/// How much is read to prove the counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Prove {
    All,
    Sample,
    BySize,
}

impl From<Prove> for Proof {
    fn from(prove: Prove) -> Self {
        match prove {
            Prove::All => Self::All,
            Prove::Sample => Self::Sample,
            Prove::BySize => Self::BySize,
        }
    }
}

const MAPPING_HELP: &str = r#"A mapping file names what the profile does not find or should not guess. For the data of Kang et al. 2018:

  [cell_type]
  column = "cluster_id"
  [cell_type.values]
  "CD14+ Monocytes" = "CL:0001054"

  [perturbation]
  column = "group_id"
  control = ["ctrl"]
  [perturbation.values]
  stim = { name = "interferon beta", id = "uniprot:P01574" }

  [tissue]
  value = "blood"

Sections: cell_type, perturbation, dose, time, donor, tissue, disease, batch, sample_condition, organism. Each has a column, a value for all cells, or ignore = true. gene_symbols names the column of var with symbols.

Without control = [...], these are controls (case and punctuation aside): PBS, DMSO, DMSO_TF, dimethyl sulfoxide, vehicle, control, ctrl, untreated, unstim, unstimulated, mock, non-targeting, NTC, NT, negative control, safe-targeting, scramble, AAVS1, WT, saline."#;

/// Runs the mode.
pub async fn run(args: Args, config: Config) -> Result {
    let mapping = match &args.map {
        Some(path) => Some(
            tokio::fs::read_to_string(path)
                .await
                .map_err(|error| Error::failed(format!("cannot read the mapping {}: {error}", path.display())))?,
        ),
        None => None,
    };
    let database = open::database(&config).await?;
    let knowledge = Arc::new(Knowledge::load(&database).await?);
    let mut converted = converted(&args, &config).await?;
    if let Some(converted) = converted.as_mut().filter(|_| !args.dry_run) {
        converted.put_in_place()?;
    }
    let request = Request {
        file: converted.as_ref().map_or(args.file.as_path(), Converted::file).to_owned(),
        objects: store_of_rows(&database, &config, &args.dataset, args.rows).await?,
        rows: args.rows,
        dataset: args.dataset,
        profile: args.profile,
        mapping,
        counts_in: args.counts_in,
        proof: args.prove.into(),
        replace: args.replace,
        dry_run: args.dry_run,
    };
    let mut imported = with_progress(&database, knowledge, request).await?;
    if let Some(converted) = converted {
        imported.dataset.location = Location::Path(converted.place().to_owned());
        if !args.dry_run {
            converted.imported();
        }
    }
    database.close().await;
    eprint!("{}", table(&imported));
    if args.json {
        println!("{}", serde_json::to_string(&imported).map_err(Error::bug)?);
    }
    Ok(())
}

/// The file of a folder of 10x Genomics, where one is imported.
async fn converted(args: &Args, config: &Config) -> Result<Option<Converted>> {
    if !anndata::is_mtx_folder(&args.file) {
        return Ok(None);
    }
    import::check_name(&args.dataset)?;
    let (from, dataset, dry_run) = (args.file.clone(), args.dataset.clone(), args.dry_run);
    let atlases = config.home.join("atlases");
    eprintln!("Writing the cells of {} as an .h5ad", from.display());
    blocking(move || Converted::write(&from, &atlases, &dataset, dry_run)).await.map(Some)
}

/// The object store, where a row file is wanted or one may have to go.
pub(super) async fn store_of_rows(
    database: &Database,
    config: &Config,
    dataset: &str,
    wanted: bool,
) -> Result<Option<Objects>> {
    let held = database.dataset(dataset).await?.and_then(|dataset| dataset.rows_in);
    (wanted || held.is_some()).then(|| open::objects(config)).transpose()
}

/// Imports a file with a bar on standard error.
pub(super) async fn with_progress(
    database: &Database,
    knowledge: Arc<Knowledge>,
    request: Request,
) -> Result<Imported> {
    let bar = progress::bar("{msg:32} [{wide_bar}] {percent:>3} %");
    let shown = bar.clone();
    let progress = move |progress| {
        let (message, done, total) = match progress {
            Progress::Hashing { done, total } => ("Reading the file", done, total),
            Progress::Counting { done, total } => ("Proving the counts", done, total),
            Progress::WritingRows { done, total } => ("Writing the row file", done, total),
            Progress::Storing { done, total } => ("Storing cell sets", done, total),
        };
        shown.set_message(message);
        shown.set_length(total);
        shown.set_position(done);
    };
    let versions = resolve::versions(&knowledge);
    let imported = import::import(database, resolve::with(knowledge), versions, request, progress).await;
    bar.finish_and_clear();
    Ok(imported?)
}

/// Labels shown at most where they are only counted; a dry run and `--json` show all.
const SHOWN: usize = 20;

/// What came of an import, for people.
pub(super) fn table(imported: &Imported) -> String {
    let dataset = &imported.dataset;
    let name = &dataset.name;
    let mut text = match imported.outcome {
        Outcome::Imported => format!("Imported data set {name} from {}\n", dataset.location),
        Outcome::Replaced => format!("Replaced data set {name} by {}\n", dataset.location),
        Outcome::DryRun => format!("Data set {name} would be imported from {}; nothing was stored\n", dataset.location),
        Outcome::Unchanged => {
            return format!("Data set {name} is already imported from the same file; nothing to do\n");
        }
    };
    if dataset.simulated {
        text += "  These cells are SIMULATED, not measured\n";
    }
    let counts = [(dataset.n_cells, "cells"), (dataset.n_genes, "genes"), (dataset.summary.n_sets, "cell sets")];
    let width = counts.iter().map(|(n, _)| n.to_string().len()).max().unwrap_or(0);
    for (n, what) in counts {
        text += &format!("  {n:>width$} {what}\n");
    }
    let genes = dataset.genes_in.as_ref().map_or("the index of var".to_owned(), |column| format!("var['{column}']"));
    text += &format!("  Counts in {}, gene symbols in {genes}, profile {}\n", dataset.counts_in, dataset.profile);
    text += &fields(dataset);
    if imported.outcome == Outcome::DryRun && !dataset.summary.unused.is_empty() {
        text += &format!("  {:<16} {}\n", "not used", dataset.summary.unused.join(", "));
    }
    text += &controls(dataset);
    text += &labels(dataset, imported.outcome == Outcome::DryRun);
    for note in &dataset.summary.notes {
        text += &format!("  Note: {note}\n");
    }
    text
}

fn fields(dataset: &Dataset) -> String {
    let mut text = String::new();
    for taken in &dataset.summary.fields {
        let labels: Vec<&LabelTaken> =
            dataset.summary.labels.iter().filter(|label| label.field == taken.field).collect();
        let resolved = labels.iter().filter(|label| label.term.is_some()).count();
        let of = match labels.len() {
            0 => String::new(),
            1 => format!(": 1 label, {resolved} resolved"),
            n => format!(": {n} labels, {resolved} resolved"),
        };
        text += &format!("  {:<16} {}{of}\n", taken.field.as_str(), taken.from);
    }
    text
}

fn controls(dataset: &Dataset) -> String {
    let shown = dataset.summary.controls.iter().take(SHOWN).map(|control| {
        let label = control.original.as_deref().unwrap_or("without a label");
        format!("{label} ({} cells)", control.n_cells)
    });
    match dataset.summary.controls.len() {
        0 => "  Controls: none\n".to_owned(),
        _ => format!("  Controls: {}\n", shown.collect::<Vec<_>>().join(", ")),
    }
}

fn labels(dataset: &Dataset, all: bool) -> String {
    let line = |label: &LabelTaken| {
        let term = label.term.as_ref().map_or("unresolved".to_owned(), |term| format!("{} {}", term.id, term.name));
        format!("    {} '{}' ({} cells): {term} ({})\n", label.field, label.original, label.n_cells, label.how)
    };
    if all {
        let lines: String = dataset.summary.labels.iter().map(line).collect();
        return format!("  Labels:\n{lines}");
    }
    let unresolved: Vec<&LabelTaken> = dataset.summary.unresolved().collect();
    if unresolved.is_empty() {
        return String::new();
    }
    let more = unresolved.len().saturating_sub(SHOWN);
    let lines: String = unresolved.iter().take(SHOWN).map(|label| line(label)).collect();
    let more = if more > 0 { format!("    and {more} more (--json lists all)\n") } else { String::new() };
    let advice = match unresolved.iter().map(|label| label.field).min() {
        Some(Field::CellType | Field::Perturbation) => "; a mapping file can say what they stand for",
        _ => "",
    };
    format!("  {} labels are kept as they are, without a term{advice}:\n{lines}{more}", unresolved.len())
}

impl From<import::Error> for Error {
    fn from(error: import::Error) -> Self {
        match error {
            import::Error::Database(error) => error.into(),
            error @ (import::Error::Name(_) | import::Error::Mapping(_)) => Self::usage(error),
            error @ import::Error::Interrupted => Self::bug(error),
            error => Self::failed(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::atlas::mapping::Mapping;

    #[test]
    fn the_example_in_the_help_is_a_mapping() {
        let example = MAPPING_HELP.split("\n\n").filter(|part| part.starts_with("  [")).collect::<Vec<_>>().join("\n");
        let mapping = Mapping::parse(&example).unwrap();
        assert_eq!(mapping.fields.len(), 3);
        for section in Field::ALL {
            assert!(MAPPING_HELP.contains(section.as_str()), "{section} is not in the help");
        }
    }
}
