//! Preranked gene set enrichment: whether the genes of a set lie towards one end of a ranking.
//!
//! The score is that of Subramanian et al. (2005, *PNAS* 102:15545), the p-value that of `fgsea`
//! (Korotkevich et al. 2021, bioRxiv 060012): random sets of the same size give p-values that are not
//! small, and the adaptive multilevel scheme the others, as far down as asked for. Which of the two is
//! used for a set is decided by which has the smaller error, as fgsea does.
//!
//! Random numbers come from streams of their own for each permutation and for each size of set, so the
//! result depends on the seed and not on the number of threads.

mod permutation;
mod ruler;
mod score;

use std::collections::BTreeMap;

use rayon::prelude::*;

pub use score::{Score, score};

use self::permutation::Tally;
use self::ruler::Ruler;
use self::score::Weights;
use super::adjust::{Correction, adjust_tested};
use super::polygamma::trigamma;

/// How p-values are found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// Exponent of the ranking's values: 1 weighs genes by them, 0 only by their order.
    pub weight: f64,
    /// Fewest genes of a set that are in the ranking.
    pub min_size: usize,
    /// Most genes of a set that are in the ranking.
    pub max_size: usize,
    /// Random sets of each size for p-values that are not small, and for the normalised score.
    pub permutations: usize,
    /// Random sets kept at each level of the multilevel scheme; raised to an odd number of at least 3.
    pub sample_size: usize,
    /// The smallest p-value told apart from 0.
    pub eps: f64,
    /// Seed of all random numbers.
    pub seed: u64,
}

impl Default for Options {
    /// The defaults of fgsea, with sets of 15 to 500 genes.
    fn default() -> Self {
        Self { weight: 1.0, min_size: 15, max_size: 500, permutations: 1000, sample_size: 101, eps: 1e-50, seed: 0 }
    }
}

/// How one set fared.
#[derive(Clone, Debug, PartialEq)]
pub struct Enrichment {
    /// Which set, in the order they were given.
    pub set: usize,
    /// Genes of the set in the ranking.
    pub size: usize,
    /// Enrichment score: positive towards the top of the ranking.
    pub es: f64,
    /// The score over the mean of those of random sets with the same sign. NaN where fewer than 10
    /// random sets have that sign: the ranking is too lopsided to say.
    pub nes: f64,
    /// NaN in the same case.
    pub p_value: f64,
    /// By Benjamini and Hochberg over all tested sets.
    pub adjusted_p_value: f64,
    /// Expected standard deviation of the p-value's binary logarithm; NaN where it is not known: the
    /// p-value is below `eps`, or probably too large.
    pub log2_error: f64,
    /// Genes that make the score, as positions in the ranking, strongest first.
    pub leading_edge: Vec<u32>,
}

/// Why a ranking cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum GseaError {
    /// Fewer than two genes.
    #[error("a ranking needs at least two genes; there are {0}")]
    TooFewGenes(usize),
    /// A value that has no rank.
    #[error("gene {position} (counted from 0) has the value {value}; only finite numbers can be ranked")]
    NotFinite {
        /// Its position.
        position: usize,
        /// What is there.
        value: f64,
    },
    /// Values out of order.
    #[error("the values of a ranking must fall; that of gene {0} (counted from 0) is larger than the one before")]
    Unordered(usize),
    /// All values zero.
    #[error("all values of the ranking are 0, so no gene weighs anything")]
    NoWeight,
    /// A gene that is not there.
    #[error("set {set} (counted from 0) has the gene {gene}, but the ranking ends at {n_genes}")]
    UnknownGene {
        /// The set.
        set: usize,
        /// The gene.
        gene: u32,
        /// Length of the ranking.
        n_genes: usize,
    },
}

/// Tests sets of genes against a ranking. `values` fall from the first gene to the last; sets are
/// positions in it. Sets outside the sizes of the options are not tested. Results are in the order of
/// the sets.
pub fn prerank(values: &[f64], sets: &[Vec<u32>], options: &Options) -> Result<Vec<Enrichment>, GseaError> {
    check(values)?;
    let weights = Weights::new(values, options.weight);
    if weights.total() == 0.0 {
        return Err(GseaError::NoWeight);
    }
    let mut tested: Vec<(usize, Vec<u32>)> = Vec::new();
    for (set, genes) in sets.iter().enumerate() {
        let mut genes = genes.clone();
        genes.sort_unstable();
        genes.dedup();
        if let Some(&gene) = genes.last().filter(|gene| **gene as usize >= values.len()) {
            return Err(GseaError::UnknownGene { set, gene, n_genes: values.len() });
        }
        // A set of all genes has no place to lie in.
        let most = options.max_size.min(values.len() - 1);
        if (options.min_size.max(1)..=most).contains(&genes.len()) {
            tested.push((set, genes));
        }
    }
    let scores: Vec<Score> = tested.par_iter().map(|(_, genes)| weights.score(genes)).collect();
    let asked: Vec<(usize, f64)> = tested.iter().zip(&scores).map(|((_, genes), s)| (genes.len(), s.es)).collect();
    let tallies = permutation::tally(&weights, &asked, options);
    let sample_size = (options.sample_size.max(3)) | 1;
    let mut estimates: Vec<Estimate> =
        asked.iter().zip(&tallies).map(|(&(_, es), tally)| tally.estimate(es, options, sample_size)).collect();
    refine(&weights, &asked, &tallies, &mut estimates, options, sample_size);

    let p_values: Vec<f64> = estimates.iter().map(|estimate| estimate.p_value).collect();
    let adjusted = adjust_tested(&p_values, Correction::BenjaminiHochberg);
    let all = tested.into_iter().zip(scores).zip(estimates).zip(adjusted);
    Ok(all
        .map(|((((set, genes), score), estimate), adjusted_p_value)| Enrichment {
            set,
            size: genes.len(),
            es: score.es,
            nes: estimate.nes,
            p_value: estimate.p_value,
            adjusted_p_value,
            log2_error: estimate.log2_error,
            leading_edge: score.leading_edge(&genes),
        })
        .collect())
}

fn check(values: &[f64]) -> Result<(), GseaError> {
    if values.len() < 2 {
        return Err(GseaError::TooFewGenes(values.len()));
    }
    if let Some(position) = values.iter().position(|value| !value.is_finite()) {
        return Err(GseaError::NotFinite { position, value: values[position] });
    }
    match values.windows(2).position(|pair| pair[1] > pair[0]) {
        Some(before) => Err(GseaError::Unordered(before + 1)),
        None => Ok(()),
    }
}

/// What is known of a score's p-value.
#[derive(Clone, Copy, Debug)]
struct Estimate {
    nes: f64,
    p_value: f64,
    log2_error: f64,
    /// Whether the multilevel scheme does better.
    refine: bool,
}

/// Replaces estimates where the multilevel scheme does better. All sets of one size and sign share a
/// ruler, which is made as long as the most extreme of them needs.
fn refine(
    weights: &Weights,
    asked: &[(usize, f64)],
    tallies: &[Tally],
    estimates: &mut [Estimate],
    options: &Options,
    sample_size: usize,
) {
    let mut groups: BTreeMap<(usize, bool), Vec<usize>> = BTreeMap::new();
    for (at, &(size, es)) in asked.iter().enumerate().filter(|(at, _)| estimates[*at].refine) {
        groups.entry((size, es >= 0.0)).or_default().push(at);
    }
    let reversed = weights.reversed();
    // The largest first, so that no thread is left with one at the end.
    let groups: Vec<((usize, bool), Vec<usize>)> = groups.into_iter().rev().collect();
    let found: Vec<Vec<(usize, Estimate)>> = groups
        .into_par_iter()
        .with_max_len(1)
        .map(|((size, positive), members)| {
            let share = |at: usize| tallies[at].share_of_sign(asked[at].1, options);
            let least = members.iter().map(|&at| share(at)).fold(1.0, f64::min);
            let furthest = members.iter().map(|&at| asked[at].1.abs()).fold(0.0, f64::max);
            let weights = if positive { weights } else { &reversed };
            let seed = (options.seed, 2 * size as u64 + u64::from(positive));
            let ruler = Ruler::new(weights, size, sample_size, furthest, options.eps * least, seed);
            let refined = |at: usize| {
                let (conditional, reliable) = ruler.p_value(asked[at].1.abs());
                let p_value = (conditional / share(at)).min(1.0);
                let (p_value, reliable) = (p_value.max(options.eps), reliable && p_value >= options.eps);
                let log2_error = if reliable { multilevel_error(p_value, sample_size) } else { f64::NAN };
                (at, Estimate { p_value, log2_error, ..estimates[at] })
            };
            members.into_iter().map(refined).collect()
        })
        .collect();
    found.into_iter().flatten().for_each(|(at, estimate)| estimates[at] = estimate);
}

/// fgsea's `multilevelError`: expected standard deviation of the binary logarithm of a p-value.
fn multilevel_error(p_value: f64, sample_size: usize) -> f64 {
    let n = sample_size as f64;
    let per_level = trigamma((n + 1.0) / 2.0) - trigamma(n + 1.0);
    ((1.0 - p_value.log2()).floor() * per_level).sqrt() / std::f64::consts::LN_2
}
