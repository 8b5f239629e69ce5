//! Differential expression between donors: the counts of a donor's cells are added up, and donors, not
//! cells, are the samples. Cells of one donor resemble one another, so a test that takes each for an
//! experiment of its own finds too much (Squair et al. 2021, *Nat. Commun.* 12:5692).
//!
//! The method, step by step:
//! 1. one sample for each donor and side with at least [`MIN_CELLS`] cells (Crowell et al. 2020,
//!    *Nat. Commun.* 11:6077);
//! 2. genes with too few counts to say anything are left out, by edgeR's `filterByExpr`;
//! 3. samples are put on one scale by the median of ratios (DESeq2; Anders and Huber 2010, *Genome
//!    Biol.* 11:R106), counts become log2 counts per million with a prior count of 3;
//! 4. where most donors of the smaller side, and at least two, are on both sides, each of these is
//!    compared with itself and the others are left out; else the sides are compared as they are;
//! 5. moderated t-tests with a trend (limma-trend, see [`super::moderated`]).

use std::collections::BTreeMap;

use super::adjust::Correction;
use super::differential::{GeneTest, correct};
use super::moderated::{Fit, Trend, median, moderated_t};
use super::normalize::InvalidCount;
use crate::domain::Csr;

/// Fewest cells of a sample.
pub const MIN_CELLS: usize = 10;

/// Fewest donors on either side.
pub const MIN_DONORS: usize = 2;

/// Added to each count, in proportion to the sample's size, before logarithms are taken.
const PRIOR_COUNT: f64 = 3.0;

/// Which side of a comparison a cell is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// The tested group.
    Group,
    /// What it is held against.
    Reference,
}

/// How samples are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pairing {
    /// So many donors, each with itself.
    Paired {
        /// Donors on both sides.
        donors: usize,
    },
    /// So many donors of the group with so many of the reference.
    Unpaired {
        /// Donors of the group.
        group: usize,
        /// Donors of the reference.
        reference: usize,
    },
}

/// The comparison of donors.
#[derive(Clone, Debug, PartialEq)]
pub struct DonorTests {
    /// How donors were compared.
    pub pairing: Pairing,
    /// Samples left out because they have fewer than [`MIN_CELLS`] cells.
    pub small_samples: usize,
    /// Samples left out of a paired comparison because their donor is on one side only.
    pub single_samples: usize,
    /// By gene. Means are log2 counts per million, the fold change is their difference, shares are of
    /// cells. Genes that were left out have NaN for score, p-values and fold change.
    pub genes: Vec<GeneTest>,
}

/// Why donors cannot be compared.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PseudobulkError {
    /// Too few donors.
    #[error(
        "{group} donors in the group and {reference} in the reference have at least {MIN_CELLS} cells; \
         {MIN_DONORS} are needed on either side"
    )]
    TooFewDonors {
        /// Donors of the group with enough cells.
        group: usize,
        /// Donors of the reference with enough cells.
        reference: usize,
    },
    /// Counts are needed.
    #[error(transparent)]
    NotACount(#[from] InvalidCount),
    /// Nothing is expressed enough.
    #[error("no gene has enough counts in enough donors to be tested")]
    NoGenes,
    /// Nothing to scale by.
    #[error("no gene has counts in every donor's sample, so the samples cannot be put on one scale")]
    NoCommonGenes,
}

/// Compares the sides donor by donor. Cells without a side or a donor are left out.
///
/// # Panics
/// If there are not as many sides and donors as rows.
pub fn compare_donors(
    counts: &Csr,
    sides: &[Option<Side>],
    donors: &[Option<u32>],
    correction: Correction,
) -> Result<DonorTests, PseudobulkError> {
    assert!(sides.len() == counts.n_rows() && donors.len() == counts.n_rows(), "one side and donor for each cell");
    let mut sizes: BTreeMap<(Side, u32), usize> = BTreeMap::new();
    for sample in sides.iter().zip(donors).filter_map(sample_of) {
        *sizes.entry(sample).or_default() += 1;
    }
    let before = sizes.len();
    sizes.retain(|_, n_cells| *n_cells >= MIN_CELLS);
    let small_samples = before - sizes.len();
    let of = |side| sizes.keys().filter(|(of, _)| *of == side).map(|(_, donor)| *donor).collect::<Vec<u32>>();
    let [group, reference] = [of(Side::Group), of(Side::Reference)];
    let smaller = group.len().min(reference.len());
    if smaller < MIN_DONORS {
        return Err(PseudobulkError::TooFewDonors { group: group.len(), reference: reference.len() });
    }
    let both = group.iter().filter(|donor| reference.binary_search(donor).is_ok()).count();
    let pairing = match both >= MIN_DONORS && 2 * both > smaller {
        true => Pairing::Paired { donors: both },
        false => Pairing::Unpaired { group: group.len(), reference: reference.len() },
    };
    let is_compared = |(_, donor): &(Side, u32)| match pairing {
        Pairing::Paired { .. } => group.binary_search(donor).is_ok() && reference.binary_search(donor).is_ok(),
        Pairing::Unpaired { .. } => true,
    };
    // The group's samples first, donors in the same order on both sides.
    let samples: Vec<(Side, u32)> = sizes.keys().copied().filter(is_compared).collect();
    let single_samples = sizes.len() - samples.len();
    let n_group = samples.iter().filter(|(side, _)| *side == Side::Group).count();

    let AddedUp { bulks, shares } = add_up(counts, sides, donors, &samples)?;
    let kept = expressed_genes(&bulks, n_group.min(bulks.len() - n_group));
    if kept.is_empty() {
        return Err(PseudobulkError::NoGenes);
    }
    let kept_counts: Vec<Vec<f64>> =
        bulks.into_iter().map(|bulk| kept.iter().map(|&gene| bulk[gene]).collect()).collect();
    let factors = size_factors(&kept_counts).ok_or(PseudobulkError::NoCommonGenes)?;
    let levels = log2_cpm(&kept_counts, &factors);
    let fits = fit(&levels, n_group, pairing);
    let tests = moderated_t(&fits, Trend::WithMean);

    let mut genes: Vec<GeneTest> = shares
        .into_iter()
        .map(|[share, share_reference]| GeneTest {
            score: f64::NAN,
            p_value: f64::NAN,
            adjusted_p_value: f64::NAN,
            log2_fold_change: f64::NAN,
            mean: f64::NAN,
            mean_reference: f64::NAN,
            share,
            share_reference,
        })
        .collect();
    for (at, (&gene, (score, p_value))) in kept.iter().zip(tests).enumerate() {
        let level = |samples: &[Vec<f64>]| samples.iter().map(|sample| sample[at]).sum::<f64>() / samples.len() as f64;
        let (group, reference) = levels.split_at(n_group);
        genes[gene] = GeneTest {
            score,
            p_value,
            log2_fold_change: fits[at].effect,
            mean: level(group),
            mean_reference: level(reference),
            ..genes[gene]
        };
    }
    correct(&mut genes, correction);
    Ok(DonorTests { pairing, small_samples, single_samples, genes })
}

/// The sample a cell belongs to, if it has a side and a donor.
fn sample_of((side, donor): (&Option<Side>, &Option<u32>)) -> Option<(Side, u32)> {
    side.zip(*donor)
}

/// What the cells of samples have together.
struct AddedUp {
    /// By sample, the counts of each gene.
    bulks: Vec<Vec<f64>>,
    /// By gene, the share of each side's cells that have any of it, those of other samples among them.
    shares: Vec<[f64; 2]>,
}

fn add_up(
    counts: &Csr,
    sides: &[Option<Side>],
    donors: &[Option<u32>],
    samples: &[(Side, u32)],
) -> Result<AddedUp, PseudobulkError> {
    let mut bulks = vec![vec![0.0; counts.n_cols()]; samples.len()];
    let mut seen = vec![[0_u32; 2]; counts.n_cols()];
    let mut n_cells = [0_u32; 2];
    for (cell, of) in sides.iter().zip(donors).enumerate() {
        let Some(sample) = sample_of(of) else { continue };
        let side = usize::from(sample.0 == Side::Reference);
        n_cells[side] += 1;
        let mut bulk = samples.binary_search(&sample).ok().map(|at| &mut bulks[at]);
        let (genes, values) = counts.row(cell);
        for (&gene, &value) in genes.iter().zip(values) {
            let gene = gene as usize;
            if !(value.is_finite() && value >= 0.0) {
                return Err(InvalidCount { cell, gene, value }.into());
            }
            if let Some(bulk) = &mut bulk {
                bulk[gene] += f64::from(value);
            }
            seen[gene][side] += u32::from(value != 0.0);
        }
    }
    let share = |seen: [u32; 2]| [0, 1].map(|side| f64::from(seen[side]) / f64::from(n_cells[side]));
    Ok(AddedUp { bulks, shares: seen.into_iter().map(share).collect() })
}

/// edgeR's `filterByExpr` with its defaults: at least 10 counts in a library of median size, in as many
/// samples as the smaller side has (a little fewer where it has more than 10), and 15 in all.
fn expressed_genes(bulks: &[Vec<f64>], smaller_side: usize) -> Vec<usize> {
    const TOLERANCE: f64 = 1e-14;
    let sizes: Vec<f64> = bulks.iter().map(|bulk| bulk.iter().sum()).collect();
    let needed = match smaller_side as f64 {
        n if n > 10.0 => 10.0 + (n - 10.0) * 0.7,
        n => n,
    };
    let least = 10.0 / median(sizes.clone());
    let expressed = |&gene: &usize| {
        let samples = bulks.iter().zip(&sizes).filter(|(bulk, size)| bulk[gene] / **size >= least).count();
        let total: f64 = bulks.iter().map(|bulk| bulk[gene]).sum();
        samples as f64 >= needed - TOLERANCE && total >= 15.0 - TOLERANCE
    };
    (0..bulks.first().map_or(0, Vec::len)).filter(expressed).collect()
}

/// DESeq2's size factors: how many times the geometric mean of all samples each sample has, by the
/// median over the genes that all of them have. `None` without such genes.
pub fn size_factors(samples: &[Vec<f64>]) -> Option<Vec<f64>> {
    let n_genes = samples.first()?.len();
    let common: Vec<usize> = (0..n_genes).filter(|&gene| samples.iter().all(|sample| sample[gene] > 0.0)).collect();
    if common.is_empty() {
        return None;
    }
    let ln_mean = |gene: usize| samples.iter().map(|sample| sample[gene].ln()).sum::<f64>() / samples.len() as f64;
    let means: Vec<f64> = common.iter().map(|&gene| ln_mean(gene)).collect();
    let factor = |sample: &Vec<f64>| {
        median(common.iter().zip(&means).map(|(&gene, mean)| sample[gene].ln() - mean).collect()).exp()
    };
    Some(samples.iter().map(factor).collect())
}

/// log2 counts per million, as edgeR's `cpm(log = TRUE)`: library sizes are the size factors times what
/// keeps their geometric mean that of the totals.
fn log2_cpm(samples: &[Vec<f64>], factors: &[f64]) -> Vec<Vec<f64>> {
    let n = samples.len() as f64;
    let totals = samples.iter().map(|sample| sample.iter().sum::<f64>());
    let scale = (totals.zip(factors).map(|(total, factor)| (total / factor).ln()).sum::<f64>() / n).exp();
    let sizes: Vec<f64> = factors.iter().map(|factor| factor * scale).collect();
    let mean_size = sizes.iter().sum::<f64>() / n;
    let logarithms = |(sample, size): (&Vec<f64>, &f64)| {
        let prior = PRIOR_COUNT * size / mean_size;
        let size = size + 2.0 * prior;
        sample.iter().map(|count| ((count + prior) / size * 1e6).log2()).collect()
    };
    samples.iter().zip(&sizes).map(logarithms).collect()
}

/// The linear model of each gene.
fn fit(levels: &[Vec<f64>], n_group: usize, pairing: Pairing) -> Vec<Fit> {
    let n_genes = levels[0].len();
    let (group, reference) = levels.split_at(n_group);
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let squares = |values: &[f64]| {
        let mean = mean(values);
        values.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>()
    };
    let column = |samples: &[Vec<f64>], gene: usize| samples.iter().map(|sample| sample[gene]).collect::<Vec<f64>>();
    match pairing {
        Pairing::Paired { donors } => {
            // `~ donor + side`: half of each difference is residual on either side.
            let (df, unscaled) = (donors as f64 - 1.0, (2.0 / donors as f64).sqrt());
            let one = |gene| {
                let differences: Vec<f64> = group.iter().zip(reference).map(|(a, b)| a[gene] - b[gene]).collect();
                let variance = squares(&differences) / 2.0 / df;
                Fit { effect: mean(&differences), unscaled, variance, df, mean: mean(&column(levels, gene)) }
            };
            (0..n_genes).map(one).collect()
        }
        Pairing::Unpaired { .. } => {
            let df = levels.len() as f64 - 2.0;
            let unscaled = (1.0 / group.len() as f64 + 1.0 / reference.len() as f64).sqrt();
            let one = |gene| {
                let (a, b) = (column(group, gene), column(reference, gene));
                let variance = (squares(&a) + squares(&b)) / df;
                Fit { effect: mean(&a) - mean(&b), unscaled, variance, df, mean: mean(&column(levels, gene)) }
            };
            (0..n_genes).map(one).collect()
        }
    }
}
