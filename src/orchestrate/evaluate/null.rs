//! What a statistic would be by chance: the same changes, carried by random genes.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::domain::score::Null;

use super::response::Shape;

/// In words, as stored with the score.
pub const KIND: &str = "random measured genes, as many up and down";

/// Draws the statistic under random gene labels. Each draw has a stream of its own, so the number
/// of threads does not matter.
pub fn relabelled(
    shape: &Shape,
    observed: f64,
    draws: u32,
    seed: u64,
    statistic: impl Fn(&Shape) -> f64 + Sync,
) -> Null {
    let values: Vec<f64> = (0..draws)
        .into_par_iter()
        .map(|draw| {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            random.set_stream(u64::from(draw));
            let mut labels: Vec<u32> = (0..shape.fold.len() as u32).collect();
            labels.shuffle(&mut random);
            statistic(&shape.relabelled(&labels))
        })
        .collect();
    Null { kind: KIND.into(), draws, seed, percentile: percentile(&values, observed) }
}

/// Share of values below the observed one, equal ones counted half. Values that differ by no more
/// than rounding are equal.
fn percentile(values: &[f64], observed: f64) -> f64 {
    let equal = |value: f64| (value - observed).abs() <= 1e-12;
    let below = values.iter().filter(|&&v| v < observed && !equal(v)).count();
    let ties = values.iter().filter(|&&v| equal(v)).count();
    (below as f64 + 0.5 * ties as f64) / values.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_count_half() {
        assert_eq!(percentile(&[0.0, 0.0, 0.5, 1.0], 0.5), 0.625);
        assert_eq!(percentile(&[0.0; 4], 0.0), 0.5);
    }

    #[test]
    fn draws_are_the_same_for_the_same_seed_and_any_number_of_threads() {
        let shape = Shape {
            up: vec![0, 1],
            down: vec![2],
            fold: (0..50).map(f64::from).collect(),
            differential: vec![None; 50],
        };
        let run = |threads, seed| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| relabelled(&shape, 25.0, 200, seed, |s| f64::from(s.up[0])))
        };
        assert_eq!(run(1, 7), run(4, 7));
        assert_ne!(run(1, 7), run(1, 8));
        // The label of a gene is uniform over 50, so about half the draws are below 25.
        assert!((run(1, 7).percentile - 0.5).abs() < 0.15);
    }
}
