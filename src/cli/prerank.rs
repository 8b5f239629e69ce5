//! `haystack prerank`: gene sets whose genes lie towards one end of a ranking.

use std::collections::HashMap;
use std::path::PathBuf;

use super::blocking::blocking;
use super::gene_table::GeneTable;
use super::rows::{Cell, Destination};
use super::{Error, Result, gene_sets};
use crate::config::Config;
use crate::domain::GeneSet;
use crate::stats::gsea::{Enrichment, Options, prerank};

/// Arguments of `haystack prerank`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Preranked gene set enrichment as fgsea and GSEApy's method='multilevel': random sets of the same size for p-values that \
are not small, adaptive multilevel sampling for the others. 'log2err' is the expected standard deviation of log2 of the \
p-value; it is empty where the p-value is below --eps or cannot be relied on. NES and p-value are empty where the \
ranking has too few random scores of the set's sign.

The same seed gives the same numbers on any number of threads. Genes with equal values keep the order of the file.")]
pub struct Args {
    /// Genes with a value each: two columns, or a table of 'haystack de'; '-' reads standard input
    #[arg(value_name = "RANKS")]
    ranks: PathBuf,

    /// GMT file or imported collection; may be given more than once
    #[arg(long, value_name = "SETS", required = true)]
    sets: Vec<String>,

    /// Column to rank by [default: scores, or the second column]
    #[arg(long, value_name = "COLUMN")]
    by: Option<String>,

    /// Group to take from a table of several
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,

    /// Fewest genes of a set that are in the ranking
    #[arg(long, value_name = "N", default_value = "15")]
    min_size: usize,

    /// Most genes of a set that are in the ranking
    #[arg(long, value_name = "N", default_value = "500")]
    max_size: usize,

    /// Exponent of the values: 1 weighs genes by them, 0 only by their order
    #[arg(long, value_name = "P", default_value = "1", value_parser = weight)]
    weight: f64,

    /// Random sets of each size
    #[arg(long, visible_alias = "permutation-num", value_name = "N", default_value = "1000",
          value_parser = clap::value_parser!(u32).range(10..))]
    permutations: u32,

    /// Random sets kept at each level of the multilevel scheme; more give smaller errors
    #[arg(long, value_name = "N", default_value = "101", value_parser = clap::value_parser!(u32).range(3..))]
    sample_size: u32,

    /// Smallest p-value to tell apart from 0
    #[arg(long, value_name = "P", default_value = "1e-50", value_parser = eps)]
    eps: f64,

    /// Seed of the random numbers
    #[arg(long, default_value = "0")]
    seed: u64,

    #[command(flatten)]
    to: Destination,
}

fn weight(text: &str) -> std::result::Result<f64, String> {
    number_where(text, |value| value >= 0.0, "a number of at least 0")
}

fn eps(text: &str) -> std::result::Result<f64, String> {
    number_where(text, |value| (0.0..1.0).contains(&value), "a number from 0 to below 1")
}

fn number_where(text: &str, holds: impl Fn(f64) -> bool, what: &str) -> std::result::Result<f64, String> {
    text.parse().ok().filter(|value: &f64| value.is_finite() && holds(*value)).ok_or_else(|| format!("expected {what}"))
}

/// Runs the mode.
pub async fn run(args: Args, config: Config) -> Result {
    let sets = gene_sets::read(&args.sets, &config).await?;
    blocking(move || test(&args, &sets)).await
}

fn test(args: &Args, sets: &[GeneSet]) -> Result {
    if args.min_size > args.max_size {
        return Err(Error::usage(format!("--min-size {} is above --max-size {}", args.min_size, args.max_size)));
    }
    let ranking = ranking(args)?;
    let position: HashMap<&str, u32> = ranking.iter().zip(0..).map(|((gene, _), at)| (gene.as_str(), at)).collect();
    let members: Vec<Vec<u32>> = sets
        .iter()
        .map(|set| set.genes.iter().filter_map(|gene| position.get(gene.as_str()).copied()).collect())
        .collect();
    let options = Options {
        weight: args.weight,
        min_size: args.min_size,
        max_size: args.max_size,
        permutations: args.permutations as usize,
        sample_size: args.sample_size as usize,
        eps: args.eps,
        seed: args.seed,
    };
    let values: Vec<f64> = ranking.iter().map(|(_, value)| *value).collect();
    let mut found = prerank(&values, &members, &options).map_err(Error::failed)?;
    if found.is_empty() {
        let largest = members.iter().map(Vec::len).max().unwrap_or(0);
        let error = format!(
            "none of the {} sets has {} to {} genes in the ranking; the most any has is {largest}",
            sets.len(),
            args.min_size,
            args.max_size
        );
        let hint = match largest {
            0 => "genes are matched by symbol; check that both use symbols of one species",
            _ => "set --min-size and --max-size",
        };
        return Err(Error::failed(error).hint(hint));
    }
    say_what_is_unsure(&found);
    // Where there is no NES, by the score.
    let strength = |found: &Enrichment| if found.nes.is_nan() { 0.0 } else { found.nes.abs() };
    found.sort_by(|a, b| strength(b).total_cmp(&strength(a)).then(b.es.abs().total_cmp(&a.es.abs())));
    let columns = ["Name", "Term", "ES", "NES", "NOM p-val", "FDR q-val", "Tag %", "Gene %", "Lead_genes", "log2err"];
    let row = |found: &Enrichment| {
        let set = &sets[found.set];
        let lead: Vec<&str> = found.leading_edge.iter().map(|&gene| ranking[gene as usize].0.as_str()).collect();
        [
            Cell::Owned(set.collection.clone()),
            Cell::Owned(set.name.clone()),
            Cell::Number(found.es),
            Cell::Number(found.nes),
            Cell::Number(found.p_value),
            Cell::Number(found.adjusted_p_value),
            Cell::Owned(format!("{}/{}", lead.len(), found.size)),
            Cell::Owned(format!("{:.2}%", 100.0 * reach(found, ranking.len()))),
            Cell::Owned(lead.join(";")),
            Cell::Number(found.log2_error),
        ]
    };
    args.to.write(columns, found.iter().map(row))
}

/// Genes by falling value; equal ones in the order of the file.
fn ranking(args: &Args) -> Result<Vec<(String, f64)>> {
    let mut table = GeneTable::read(&args.ranks)?;
    table.keep_group(args.group.as_deref())?;
    let read = table.ranking(args.by.as_deref())?;
    if read.n_missing > 0 {
        eprintln!("{} rows of {} have no value and are left out", read.n_missing, table.name);
    }
    if read.n_repeated > 0 {
        eprintln!("{} rows of {} name a gene again; the first stands", read.n_repeated, table.name);
    }
    let mut ranking: Vec<(String, f64)> = read.genes.into_iter().zip(read.values).collect();
    ranking.sort_by(|a, b| b.1.total_cmp(&a.1));
    let tied = ranking.windows(2).filter(|pair| pair[0].1 == pair[1].1).count();
    if tied * 100 > ranking.len() {
        eprintln!("{tied} of {} genes have the value of another; these keep the order of the file", ranking.len());
    }
    Ok(ranking)
}

fn say_what_is_unsure(found: &[Enrichment]) {
    let lopsided = found.iter().filter(|found| found.p_value.is_nan()).count();
    if lopsided > 0 {
        eprintln!(
            "{lopsided} sets have no p-value: fewer than 10 random sets score on their side of 0. The values may lie \
             mostly on one side; more --permutations may help"
        );
    }
    let unsure = found.iter().filter(|found| !found.p_value.is_nan() && found.log2_error.is_nan()).count();
    if unsure > 0 {
        eprintln!(
            "{unsure} sets have a p-value below --eps, or one that is probably too large; their log2err is empty"
        );
    }
}

/// Which part of the ranking the score is reached in, from its end.
fn reach(found: &Enrichment, n_genes: usize) -> f64 {
    let Some(&last) = found.leading_edge.last() else { return 0.0 };
    let genes = if found.es >= 0.0 { last as usize + 1 } else { n_genes - last as usize };
    genes as f64 / n_genes as f64
}
