//! Seeded input: genes some of which are far more common than others.

use std::collections::BTreeSet;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, LogNormal};

/// How common each gene is, ready to draw from.
pub struct Popularity {
    weights: Vec<f64>,
    cumulative: Vec<f64>,
}

impl Popularity {
    /// Log-normal weights: the logarithms have mean 0 and this standard deviation.
    pub fn log_normal(n_genes: usize, deviation: f64, rng: &mut ChaCha8Rng) -> Self {
        let weight = LogNormal::new(0.0, deviation).expect("a standard deviation is not negative");
        Self::new(weight.sample_iter(rng).take(n_genes).collect())
    }

    fn new(weights: Vec<f64>) -> Self {
        let sums = weights.iter().scan(0.0, |sum, weight| {
            *sum += weight;
            Some(*sum)
        });
        Self { cumulative: sums.collect(), weights }
    }

    /// The same, with every `every`th gene up or down by a log-normal factor.
    pub fn perturbed(&self, every: usize, deviation: f64, rng: &mut ChaCha8Rng) -> Self {
        let factor = LogNormal::new(0.0, deviation).expect("a standard deviation is not negative");
        let mut weights = self.weights.clone();
        weights.iter_mut().step_by(every).for_each(|weight| *weight *= factor.sample(rng));
        Self::new(weights)
    }

    /// One gene.
    pub fn draw(&self, rng: &mut ChaCha8Rng) -> u32 {
        let last = self.cumulative.len() - 1;
        let at = rng.random::<f64>() * self.cumulative[last];
        self.cumulative.partition_point(|&sum| sum <= at).min(last) as u32
    }

    /// So many different genes, ascending.
    pub fn draw_distinct(&self, n: usize, rng: &mut ChaCha8Rng) -> BTreeSet<u32> {
        let mut genes = BTreeSet::new();
        while genes.len() < n {
            genes.insert(self.draw(rng));
        }
        genes
    }
}

/// A whole number from a log-normal distribution, cut to a range.
pub fn size(ln_median: f64, deviation: f64, [least, most]: [f64; 2], rng: &mut ChaCha8Rng) -> usize {
    let sizes = LogNormal::new(ln_median, deviation).expect("a standard deviation is not negative");
    sizes.sample(rng).clamp(least, most) as usize
}
