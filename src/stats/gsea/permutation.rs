//! Random sets: how often chance scores as a set does, for many sizes at once.
//!
//! Each permutation draws one random order of genes; its first k genes are the random set of size k, so
//! all sizes share the drawing, as in fgsea's `calcGseaStatCumulativeBatch`.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use statrs::function::beta::inv_beta_reg;

use super::score::Weights;
use super::{Estimate, Options, multilevel_error};
use crate::stats::polygamma::trigamma;

/// Permutations done by one task. Sums are added up task by task, in order, so that they come out the
/// same on any number of threads.
const PER_TASK: usize = 50;

/// Tasks whose tallies are held at once, by thread.
const TASKS_PER_THREAD: usize = 8;

/// Fewest random scores of the sign of a set's for its p-value to mean anything.
const MIN_OF_SIGN: f64 = 10.0;

/// How the scores of random sets compare with that of a set.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tally {
    /// Random scores at most as large.
    pub at_most: f64,
    /// Random scores at least as large.
    pub at_least: f64,
    /// Random scores of 0 or below.
    pub negative: f64,
    /// Random scores of 0 or above.
    pub positive: f64,
    /// Sum of the random scores below 0.
    pub negative_sum: f64,
    /// Sum of the random scores above 0.
    pub positive_sum: f64,
}

/// The tally of every set, given as size and score.
pub fn tally(weights: &Weights, asked: &[(usize, f64)], options: &Options) -> Vec<Tally> {
    let mut sizes: Vec<usize> = asked.iter().map(|&(size, _)| size).collect();
    sizes.sort_unstable();
    sizes.dedup();
    let mut by_size: Vec<Vec<usize>> = vec![Vec::new(); sizes.len()];
    for (at, (size, _)) in asked.iter().enumerate() {
        by_size[sizes.partition_point(|other| other < size)].push(at);
    }
    let of_task = |draw: &mut Draw, task: usize| {
        let mut tallies = vec![Tally::default(); asked.len()];
        let first = task * PER_TASK;
        for permutation in first..options.permutations.min(first + PER_TASK) {
            draw.scores(weights, &sizes, options.seed, permutation, |size, random| {
                by_size[size].iter().for_each(|&at| tallies[at].count(asked[at].1, random));
            });
        }
        tallies
    };
    let n_tasks = options.permutations.div_ceil(PER_TASK);
    let at_once = TASKS_PER_THREAD * rayon::current_num_threads();
    let mut sums = vec![Tally::default(); asked.len()];
    for first in (0..n_tasks).step_by(at_once) {
        let tasks = (first..n_tasks.min(first + at_once)).into_par_iter();
        let tallies: Vec<Vec<Tally>> = tasks.map_init(|| Draw::new(weights.len()), of_task).collect();
        for task in tallies {
            sums.iter_mut().zip(task).for_each(|(sum, tally)| sum.add(&tally));
        }
    }
    sums
}

/// Room to draw in.
struct Draw {
    /// All genes, in an order that is put right again after each draw.
    order: Vec<u32>,
    swaps: Vec<usize>,
    /// The set drawn so far, ascending.
    genes: Vec<u32>,
}

impl Draw {
    fn new(n_genes: usize) -> Self {
        Self { order: (0..n_genes as u32).collect(), swaps: Vec::new(), genes: Vec::new() }
    }

    /// Draws one permutation; hands out the score of its random set of each size (by its place among
    /// the sizes, which ascend).
    fn scores(
        &mut self,
        weights: &Weights,
        sizes: &[usize],
        seed: u64,
        permutation: usize,
        mut each: impl FnMut(usize, f64),
    ) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(permutation as u64);
        let Self { order, swaps, genes } = self;
        swaps.clear();
        genes.clear();
        let mut all = 0.0;
        for (at, &size) in sizes.iter().enumerate() {
            let before = genes.len();
            for next in before..size {
                let other = rng.random_range(next..order.len());
                order.swap(next, other);
                swaps.push(other);
                all += weights.of(order[next]);
                genes.push(order[next]);
            }
            // This sort finds that most are in order.
            genes.sort();
            each(at, weights.top_and_score(genes, all).1);
        }
        for (next, &other) in swaps.iter().enumerate().rev() {
            order.swap(next, other);
        }
    }
}

impl Tally {
    fn count(&mut self, es: f64, random: f64) {
        self.at_most += f64::from(random <= es);
        self.at_least += f64::from(random >= es);
        self.negative += f64::from(random <= 0.0);
        self.positive += f64::from(random >= 0.0);
        self.negative_sum += random.min(0.0);
        self.positive_sum += random.max(0.0);
    }

    fn add(&mut self, other: &Self) {
        self.at_most += other.at_most;
        self.at_least += other.at_least;
        self.negative += other.negative;
        self.positive += other.positive;
        self.negative_sum += other.negative_sum;
        self.positive_sum += other.positive_sum;
    }

    /// Share of random scores with the sign of this one, never 0.
    pub fn share_of_sign(&self, es: f64, options: &Options) -> f64 {
        let n = if es >= 0.0 { self.positive } else { self.negative };
        (n + 1.0) / (options.permutations as f64 + 1.0)
    }

    /// The estimate from random sets alone, and whether the multilevel scheme would do better.
    pub fn estimate(&self, es: f64, options: &Options, sample_size: usize) -> Estimate {
        let n = options.permutations as f64;
        let mean = match es > 0.0 {
            true => self.positive_sum / self.positive,
            false => (self.negative_sum / self.negative).abs(),
        };
        let of_sign = if es >= 0.0 { self.positive } else { self.negative };
        if of_sign < MIN_OF_SIGN || mean.is_nan() || mean <= 0.0 {
            return Estimate { nes: f64::NAN, p_value: f64::NAN, log2_error: f64::NAN, refine: false };
        }
        let more_extreme = if es > 0.0 { self.at_least } else { self.at_most };
        let negative = (1.0 + self.at_most) / (1.0 + self.negative);
        let positive = (1.0 + self.at_least) / (1.0 + self.positive);
        let crude = (more_extreme + 1.0) / (n + 1.0);
        let error = (trigamma(more_extreme + 1.0) - trigamma(n + 1.0)).max(0.0).sqrt() / std::f64::consts::LN_2;
        Estimate {
            nes: es / mean,
            p_value: negative.min(positive),
            log2_error: error,
            refine: multilevel_error(crude, sample_size) < interval_error(more_extreme, n),
        }
    }
}

/// fgsea's error of a p-value from counting: the wider half of its 95 % interval (Clopper–Pearson) on
/// the scale of log2, halved.
fn interval_error(more_extreme: f64, n: f64) -> f64 {
    let crude = ((more_extreme + 1.0) / (n + 1.0)).log2();
    if more_extreme == 0.0 {
        return f64::INFINITY;
    }
    let left = inv_beta_reg(more_extreme, n - more_extreme + 1.0, 0.025).log2();
    let right = if more_extreme < n { inv_beta_reg(more_extreme + 1.0, n - more_extreme, 0.975).log2() } else { 0.0 };
    0.5 * (crude - left).max(right - crude)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tallies_are_the_same_on_any_number_of_threads() {
        let values: Vec<f64> = (0..40).map(|gene| 2.0 - f64::from(gene) * 0.1).collect();
        let weights = Weights::new(&values, 1.0);
        let asked = [(3, 0.6), (5, -0.4), (5, 0.7)];
        // More tasks than one thread holds at once, and the last of them not full.
        let permutations = PER_TASK * TASKS_PER_THREAD * 3 + 7;
        let options = Options { permutations, ..Options::default() };
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| tally(&weights, &asked, &options))
        };
        let found = on(1);
        assert_eq!(found, on(3));
        assert!(found.iter().all(|tally| tally.negative + tally.positive >= permutations as f64));
    }
}
