//! `haystack enrich`: gene sets that hold more of some genes than chance would put there.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use clap::ValueEnum;

use super::blocking::blocking;
use super::gene_table::{GeneTable, symbol};
use super::rows::{Cell, Destination};
use super::{Error, Result, gene_sets};
use crate::config::Config;
use crate::domain::GeneSet;
use crate::stats::enrichment::SetIndex;

/// Arguments of `haystack enrich`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Hypergeometric test with the measured genes as background: pass them with --background. From a table of 'haystack de' \
the background is every gene in it, and the genes are those that pass --max-padj and --min-lfc. Without a background \
it is all genes of the sets, which makes p-values too small if fewer were measured.

Columns are those of Enrichr and GSEApy. P-values are adjusted by Benjamini and Hochberg within each collection, over \
the sets that hold any of the genes. The odds ratio adds 0.5 to each cell of the 2 × 2 table; the combined score is \
-ln(P-value) × Odds Ratio.

  haystack de cells.h5ad --groupby condition --group stim --reference ctrl -o de.tsv
  haystack enrich de.tsv --sets h.all.symbols.gmt")]
pub struct Args {
    /// Genes, one a line, or a table of 'haystack de'; '-' reads standard input
    #[arg(value_name = "GENES")]
    genes: PathBuf,

    /// GMT file or imported collection; may be given more than once
    #[arg(long, value_name = "SETS", required = true)]
    sets: Vec<String>,

    /// Genes that were measured, one a line
    #[arg(long, visible_alias = "universe", value_name = "FILE")]
    background: Option<PathBuf>,

    /// Group to take from a table of several
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,

    /// Genes of a table to take
    #[arg(long, value_enum, default_value = "up")]
    direction: Direction,

    /// Largest adjusted p-value of the genes to take from a table
    #[arg(long, value_name = "P", default_value = "0.05")]
    max_padj: f64,

    /// Smallest absolute log2 fold change of the genes to take from a table
    #[arg(long, value_name = "LFC", default_value = "0.5")]
    min_lfc: f64,

    #[command(flatten)]
    to: Destination,
}

/// Which genes of a table count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Direction {
    /// Those that rise
    Up,
    /// Those that fall
    Down,
    /// Both
    Both,
}

/// Runs the mode.
pub async fn run(args: Args, config: Config) -> Result {
    let sets = gene_sets::read(&args.sets, &config).await?;
    blocking(move || test(&args, &sets)).await
}

fn test(args: &Args, sets: &[GeneSet]) -> Result {
    let (chosen, from_table) = chosen(args)?;
    let universe = match (&args.background, from_table) {
        (Some(path), _) => background(path)?,
        (None, Some(all)) => all,
        (None, None) => {
            let mut seen = HashSet::new();
            let all = sets.iter().flat_map(|set| &set.genes).filter(|gene| seen.insert(gene.as_str()));
            let all: Vec<String> = all.cloned().collect();
            eprintln!("no background was given: held against all {} genes of the sets (see --background)", all.len());
            all
        }
    };
    let position: HashMap<&str, u32> = universe.iter().zip(0..).map(|(gene, at)| (gene.as_str(), at)).collect();
    let known: Vec<u32> = chosen.iter().filter_map(|gene| position.get(gene.as_str()).copied()).collect();
    if known.len() < chosen.len() {
        eprintln!(
            "{} of {} genes are not in the background and are left out",
            chosen.len() - known.len(),
            chosen.len()
        );
    }
    if known.is_empty() {
        let error = format!("none of the {} genes is among the {} of the background", chosen.len(), universe.len());
        return Err(
            Error::failed(error).hint("genes are matched by symbol; check that both use symbols of one species")
        );
    }

    let mut rows = Vec::new();
    for sets in sets.chunk_by(|a, b| a.collection == b.collection) {
        let members = sets.iter().map(|set| set.genes.iter().map(String::as_str));
        let index = SetIndex::new(&universe, members).map_err(Error::failed)?;
        let found = index.over_representation(&known).map_err(Error::bug)?;
        rows.extend(found.into_iter().map(|found| (&sets[found.set], found)));
    }
    if rows.is_empty() {
        let error = format!("none of the {} genes is in any of the {} sets", known.len(), sets.len());
        return Err(
            Error::failed(error).hint("genes are matched by symbol; check that both use symbols of one species")
        );
    }
    rows.sort_by(|(_, a), (_, b)| {
        a.ln_p_value.total_cmp(&b.ln_p_value).then(b.combined_score.total_cmp(&a.combined_score))
    });
    let columns =
        ["Gene_set", "Term", "Overlap", "P-value", "Adjusted P-value", "Odds Ratio", "Combined Score", "Genes"];
    let row = |(set, found): &(&GeneSet, crate::stats::enrichment::OverRepresentation)| {
        let genes: Vec<&str> = found.genes.iter().map(|&gene| universe[gene as usize].as_str()).collect();
        [
            Cell::Owned(set.collection.clone()),
            Cell::Owned(set.name.clone()),
            Cell::Owned(format!("{}/{}", found.genes.len(), found.set_size)),
            Cell::Number(found.p_value),
            Cell::Number(found.adjusted_p_value),
            Cell::Number(found.odds_ratio),
            Cell::Number(found.combined_score),
            Cell::Owned(genes.join(";")),
        ]
    };
    args.to.write(columns, rows.iter().map(row))
}

/// The chosen genes, and all genes of the table they are from.
fn chosen(args: &Args) -> Result<(Vec<String>, Option<Vec<String>>)> {
    let mut table = GeneTable::read(&args.genes)?;
    if !table.is_differential() {
        if let Some(group) = &args.group {
            return Err(Error::usage(format!("{} has no groups to take '{group}' from", table.name)));
        }
        return Ok((table.genes(), None));
    }
    table.keep_group(args.group.as_deref())?;
    let changes = table.ranking(Some("logfoldchanges"))?;
    let adjusted = table.ranking(Some("pvals_adj"))?;
    let adjusted: HashMap<&str, f64> =
        adjusted.genes.iter().map(String::as_str).zip(adjusted.values.iter().copied()).collect();
    let passes = |gene: &str, change: f64| {
        let direction = match args.direction {
            Direction::Up => change >= args.min_lfc,
            Direction::Down => change <= -args.min_lfc,
            Direction::Both => change.abs() >= args.min_lfc,
        };
        direction && adjusted.get(gene).is_some_and(|&p| p <= args.max_padj)
    };
    let genes = changes.genes.iter().zip(&changes.values).filter(|(gene, change)| passes(gene, **change));
    let genes: Vec<String> = genes.map(|(gene, _)| gene.clone()).collect();
    if genes.is_empty() {
        let error = format!(
            "no gene of {} has an adjusted p-value of at most {} and changes by at least {} ({})",
            table.name,
            args.max_padj,
            args.min_lfc,
            args.direction.to_possible_value().map_or(String::new(), |value| value.get_name().to_owned()),
        );
        return Err(Error::failed(error).hint("set --max-padj, --min-lfc or --direction"));
    }
    eprintln!("{} of {} genes of {} are taken", genes.len(), changes.genes.len(), table.name);
    Ok((genes, Some(changes.genes)))
}

fn background(path: &Path) -> Result<Vec<String>> {
    let genes: Vec<String> = GeneTable::read(path)?.genes().iter().map(|gene| symbol(gene)).collect();
    match genes.is_empty() {
        true => Err(Error::failed(format!("{} names no gene, so there is no background", path.display()))),
        false => Ok(genes),
    }
}
