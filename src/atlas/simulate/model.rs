//! Drawing the counts of the simulated cells.
//!
//! A cell of type `t`, donor `d` and treatment `p` has the library size `L ~ LogNormal(ln 1200, 0.35)` and
//! for gene `g` the mean `L · exp(a_tdp,g) / Σ exp(a_tdp)`; its count is negative binomial with that mean
//! and size 5, drawn as a Poisson number whose rate is gamma distributed. How strongly a treated cell
//! responds varies from cell to cell (`N(1, 0.25)`, at least 0).

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Gamma, LogNormal, Normal, Poisson};
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::design::{Design, Group};
use super::effects::Effects;

/// Median counts of a cell.
const LIBRARY: f64 = 1200.0;
/// Spread of the logarithm of the counts of a cell.
const LIBRARY_SPREAD: f64 = 0.35;
/// Size of the negative binomial: its variance is `mean + mean² / SIZE`.
const SIZE: f64 = 5.0;
/// Spread of the response between cells.
const RESPONSE_SPREAD: f64 = 0.25;

/// A random stream of its own for each purpose, so that nothing depends on the order of the draws.
pub fn stream(seed: u64, purpose: &[&str]) -> ChaCha8Rng {
    let mut hash = Sha256::new();
    hash.update(seed.to_le_bytes());
    for part in purpose {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    ChaCha8Rng::from_seed(hash.finalize().into())
}

/// The counts of every cell of the groups, in their order, as (gene, count) pairs.
pub fn draw(design: &Design, effects: &Effects, groups: &[Group], seed: u64) -> Vec<Vec<(u32, f32)>> {
    groups.par_iter().flat_map_iter(|group| draw_group(design, effects, group, seed)).collect()
}

fn draw_group(design: &Design, effects: &Effects, group: &Group, seed: u64) -> Vec<Vec<(u32, f32)>> {
    let treatment = group.treatment.map(|at| design.treatments[at].perturbation.name.as_str());
    let cell_type = design.cell_types[group.cell_type].term.id.as_str();
    let donor = group.donor.to_string();
    let mut rng = stream(seed, &["cells", cell_type, treatment.unwrap_or("control"), &donor]);
    let library = LogNormal::new(LIBRARY.ln(), LIBRARY_SPREAD).expect("the spread is a number above 0");
    let responding = Normal::new(1.0, RESPONSE_SPREAD).expect("the spread is a number above 0");
    let base: Vec<f64> =
        effects.cell_types[group.cell_type].iter().zip(&effects.donors[group.donor]).map(|(a, b)| a + b).collect();
    let draw_cell = |_| {
        let mut levels = base.clone();
        if let Some(treatment) = group.treatment {
            let gain = effects.gains[treatment][group.cell_type] * responding.sample(&mut rng).max(0.0);
            for &(gene, effect) in &effects.treatments[treatment] {
                levels[gene] += gain * effect;
            }
        }
        levels.iter_mut().for_each(|level| *level = level.exp());
        let scale = library.sample(&mut rng) / levels.iter().sum::<f64>();
        let counts =
            levels.iter().enumerate().map(|(gene, level)| (gene as u32, negative_binomial(level * scale, &mut rng)));
        counts.filter(|(_, count)| *count > 0.0).collect()
    };
    (0..group.n_cells).map(draw_cell).collect()
}

/// A negative binomial number with this mean and size [`SIZE`].
fn negative_binomial(mean: f64, rng: &mut ChaCha8Rng) -> f32 {
    let Ok(gamma) = Gamma::new(SIZE, mean / SIZE) else { return 0.0 };
    match Poisson::new(gamma.sample(rng)) {
        Ok(poisson) => poisson.sample(rng) as f32,
        // A rate that rounds to 0 has no Poisson distribution: there is nothing to count.
        Err(_) => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_the_mean_and_variance_of_the_negative_binomial() {
        let mut rng = stream(1, &["test"]);
        let n = 200_000;
        let draws: Vec<f64> = (0..n).map(|_| f64::from(negative_binomial(3.0, &mut rng))).collect();
        let mean = draws.iter().sum::<f64>() / n as f64;
        let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n as f64;
        // 3 and 3 + 9/5; standard errors of about 0.005 and 0.03.
        assert!((mean - 3.0).abs() < 0.02 && (variance - 4.8).abs() < 0.12, "{mean} {variance}");
        assert_eq!(negative_binomial(0.0, &mut rng), 0.0);
    }

    #[test]
    fn streams_differ_by_seed_and_purpose() {
        let first = |seed: u64, purpose: &[&str]| rand::RngExt::random::<u64>(&mut stream(seed, purpose));
        assert_eq!(first(1, &["a", "b"]), first(1, &["a", "b"]));
        assert_ne!(first(1, &["a", "b"]), first(2, &["a", "b"]));
        assert_ne!(first(1, &["a", "b"]), first(1, &["ab"]));
    }
}
