//! `haystack activity`: which regulators or cytokines are at work, from what happens to their targets.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::blocking::blocking;
use super::cells::{self, Cells};
use super::gene_table::{GeneTable, symbol};
use super::rows::{Cell, Destination};
use super::{Error, Result, open};
use crate::config::Config;
use crate::domain::{Csr, Regulation};
use crate::knowledge::{Source, regulons};
use crate::stats::activity::{MIN_TARGETS, linear_model};

/// Arguments of `haystack activity`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The univariate linear model of decoupler (ulm): the score is the t of the slope when the values of all genes are \
regressed on a source's weights. Above 0 the source is active, below 0 it is shut off. P-values are adjusted by \
Benjamini and Hochberg over the sources of each sample.

FILE is a table of 'haystack de' or another with a gene and a value a row (one sample a group), or an .h5ad file: \
then every cell is a sample, or with --groupby the mean of each group. A network is a table with the columns source, \
target and weight (CollecTRI, DoRothEA), or one with a row a gene and a column of weights a source (CytoSig, PROGENy).")]
pub struct Args {
    /// Table of 'haystack de', ranking, or .h5ad file; '-' reads a table from standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Network: a file, or the name of an imported one
    #[arg(long, value_name = "NETWORK")]
    network: String,

    /// Column of the table with the values [default: scores, or the second column]
    #[arg(long, value_name = "COLUMN")]
    by: Option<String>,

    /// Group to take from a table of several [default: all]
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,

    /// Column of obs by which cells are averaged
    #[arg(long, value_name = "COLUMN")]
    groupby: Option<String>,

    #[command(flatten)]
    matrix: cells::MatrixArgs,

    /// Fewest targets with a value for a source to be judged
    #[arg(long, visible_alias = "tmin", value_name = "N", default_value_t = MIN_TARGETS)]
    min_targets: usize,

    #[command(flatten)]
    to: Destination,
}

/// Runs the mode.
pub async fn run(args: Args, config: Config) -> Result {
    let network = network(&args.network, &config).await?;
    blocking(move || judge(&args, &network)).await
}

/// Values of genes, by sample.
struct Samples {
    genes: Vec<String>,
    values: Vec<(String, Vec<f64>)>,
}

fn judge(args: &Args, network: &[Regulation]) -> Result {
    let samples = match args.file.extension().is_some_and(|extension| extension == "h5ad") {
        true => vec![of_cells(args)?],
        false => of_table(args)?,
    };
    let columns = ["sample", "source", "score", "pvalue", "padj", "n_targets"];
    let mut rows = Vec::new();
    for samples in &samples {
        let (names, sources) = cut(network, &samples.genes);
        let most = sources.iter().map(Vec::len).max().unwrap_or(0);
        if most < args.min_targets.max(1) {
            let error = format!(
                "no source of {} has {} targets among the {} genes; the most any has is {most}",
                args.network,
                args.min_targets,
                samples.genes.len()
            );
            let hint = "genes are matched by symbol; check that both use symbols of one species, or set --min-targets";
            return Err(Error::failed(error).hint(hint));
        }
        for (sample, values) in &samples.values {
            let failed = |error| Error::failed(format!("sample {sample}: {error}"));
            let mut found = linear_model(values, &sources, args.min_targets).map_err(failed)?;
            found.sort_by(|a, b| b.score.abs().total_cmp(&a.score.abs()));
            rows.extend(found.into_iter().map(|found| (sample, names[found.source], found)));
        }
    }
    let row = |(sample, source, found): &(&String, &str, crate::stats::activity::Activity)| {
        [
            Cell::Owned((*sample).clone()),
            Cell::Owned((*source).to_owned()),
            Cell::Number(found.score),
            Cell::Number(found.p_value),
            Cell::Number(found.adjusted_p_value),
            Cell::Count(found.n_targets),
        ]
    };
    args.to.write(columns, rows.iter().map(row))
}

/// A sample for each group of a table, or one for a table without groups.
fn of_table(args: &Args) -> Result<Vec<Samples>> {
    if args.groupby.is_some() {
        return Err(Error::usage("--groupby averages the cells of an .h5ad file; a table has --group"));
    }
    let table = GeneTable::read(&args.file)?;
    let groups = match &args.group {
        Some(group) => vec![group.clone()],
        None => table.groups(),
    };
    let one = |group: Option<&str>| {
        let mut table = table.clone();
        table.keep_group(group)?;
        let ranking = table.ranking(args.by.as_deref())?;
        let name = group.map_or_else(
            || Path::new(&table.name).file_stem().unwrap_or_default().to_string_lossy().into_owned(),
            str::to_owned,
        );
        Ok(Samples { genes: ranking.genes, values: vec![(name, ranking.values)] })
    };
    match groups.is_empty() {
        true => Ok(vec![one(None)?]),
        false => groups.iter().map(|group| one(Some(group))).collect(),
    }
}

/// Every cell, or the mean of each group, log-normalised.
fn of_cells(args: &Args) -> Result<Samples> {
    let cells = Cells::open(&args.file, &args.matrix)?;
    let (names, values) = match &args.groupby {
        None => (cells.names()?, cells.values(None)?),
        Some(column) => {
            let labels = cells.labels(column)?;
            let mut members: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
            for (row, label) in labels.iter().enumerate() {
                if let Some(label) = label {
                    members.entry(label).or_default().push(row);
                }
            }
            let values = cells.values(None)?;
            let means: Vec<Vec<f64>> = members.values().map(|rows| mean(&values, rows)).collect();
            let names = members.keys().map(|name| (*name).to_owned());
            return Ok(cells.first_of_each_gene(names.zip(means)));
        }
    };
    let dense = |row: usize| mean(&values, &[row]);
    Ok(cells.first_of_each_gene(names.into_iter().enumerate().map(|(row, name)| (name, dense(row)))))
}

impl Cells {
    /// Keeps the first of genes with one symbol.
    fn first_of_each_gene(&self, samples: impl Iterator<Item = (String, Vec<f64>)>) -> Samples {
        let mut seen = HashSet::new();
        let symbols: Vec<String> = self.genes.iter().map(|gene| symbol(gene)).collect();
        let kept: Vec<usize> = (0..symbols.len()).filter(|&gene| seen.insert(symbols[gene].as_str())).collect();
        let cut = |values: Vec<f64>| kept.iter().map(|&gene| values[gene]).collect();
        let values = samples.map(|(name, values)| (name, cut(values))).collect();
        Samples { genes: kept.iter().map(|&gene| symbols[gene].clone()).collect(), values }
    }
}

fn mean(values: &Csr, rows: &[usize]) -> Vec<f64> {
    let mut sums = vec![0.0; values.n_cols()];
    for &row in rows {
        let (genes, values) = values.row(row);
        genes.iter().zip(values).for_each(|(&gene, &value)| sums[gene as usize] += f64::from(value));
    }
    sums.iter_mut().for_each(|sum| *sum /= rows.len() as f64);
    sums
}

/// Positions of a source's targets among the genes, and their weights.
type Targets = Vec<(u32, f64)>;

/// The sources in alphabetical order, each with its targets among the genes.
fn cut<'a>(network: &'a [Regulation], genes: &[String]) -> (Vec<&'a str>, Vec<Targets>) {
    let position: HashMap<&str, u32> = genes.iter().zip(0..).map(|(gene, at)| (gene.as_str(), at)).collect();
    let mut sources: BTreeMap<&str, Vec<(u32, f64)>> = BTreeMap::new();
    for regulation in network {
        if let Some(&gene) = position.get(regulation.target.as_str()) {
            sources.entry(&regulation.source).or_default().push((gene, regulation.weight));
        }
    }
    sources.into_iter().unzip()
}

/// A network from a file, or imported.
async fn network(name: &str, config: &Config) -> Result<Vec<Regulation>> {
    let path = Path::new(name);
    if path.exists() {
        let wide = GeneTable::read(path)?;
        if let Some(network) = wide_network(&wide)? {
            return Ok(network);
        }
        let (network, problems) = regulons::parse(&Source::read(path)?, &[])?;
        if let Some(first) = problems.first() {
            eprintln!("{name}: {} rows passed over; line {}: {}", problems.len(), first.line, first.what);
        }
        return Ok(network);
    }
    let database = open::database(config).await?;
    let held = database.regulons().await?;
    database.close().await;
    let found: Vec<Regulation> =
        held.iter().filter(|(network, _)| network == name).map(|(_, regulation)| regulation.clone()).collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let mut networks: Vec<&str> = held.iter().map(|(network, _)| network.as_str()).collect();
    networks.dedup();
    let held = match networks.is_empty() {
        true => "none is imported".to_owned(),
        false => format!("imported are {}", networks.join(", ")),
    };
    let error = Error::usage(format!("'{name}' is neither a file nor an imported network; {held}"));
    Err(error.hint("give a table with source, target and weight, or import one with 'haystack import regulons FILE'"))
}

/// A table with a row a gene and a column of weights a source; `None` for one that names sources and
/// targets, which has text where this has weights.
fn wide_network(table: &GeneTable) -> Result<Option<Vec<Regulation>>> {
    if table.header().len() < 2 || !table.first_row_is_numbers() {
        return Ok(None);
    }
    let mut network = Vec::new();
    for source in table.header()[1..].iter().filter(|name| !name.is_empty()) {
        let ranking = table.ranking(Some(source))?;
        let weights = ranking.genes.into_iter().zip(ranking.values).filter(|(_, weight)| *weight != 0.0);
        network.extend(weights.map(|(target, weight)| Regulation { source: source.clone(), target, weight }));
    }
    Ok(Some(network))
}
