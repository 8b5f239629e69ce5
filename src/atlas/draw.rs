//! Drawing: which cells of some sets are taken.
//!
//! Each set gives an equal share, so that no donor or batch drowns the others; what a small set cannot
//! give is shared out among the larger ones. Within a set, cells are sampled without replacement by
//! ChaCha8, keyed by the seed and the set's own fields, so the same seed takes the same cells on every
//! machine and database, whichever other sets are drawn from.

use std::collections::BTreeMap;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use roaring::RoaringBitmap;
use sha2::{Digest, Sha256};

use crate::domain::cells::CellSetKey;

/// Row numbers by data set.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows(pub BTreeMap<String, RoaringBitmap>);

impl Rows {
    /// Adds the rows of another.
    pub fn extend(&mut self, other: &Self) {
        for (dataset, rows) in &other.0 {
            *self.0.entry(dataset.clone()).or_default() |= rows;
        }
    }

    /// How many rows are in both.
    pub fn overlap(&self, other: &Self) -> u64 {
        self.0.iter().map(|(dataset, rows)| other.0.get(dataset).map_or(0, |rest| rows.intersection_len(rest))).sum()
    }
}

/// Rows to take of each set, ascending; together `n`, or all there are.
pub fn draw(sets: &[(&CellSetKey, RoaringBitmap)], n: u64, seed: u64) -> Vec<Vec<u32>> {
    let sizes: Vec<u64> = sets.iter().map(|(_, rows)| rows.len()).collect();
    let taken = shares(&sizes, n);
    sets.iter().zip(taken).map(|((key, rows), n)| sample(key, rows, n, seed)).collect()
}

/// How many to take of each set: equal shares, none above its size, together `n` if there are as many.
/// What does not divide goes to the first sets that still have cells.
fn shares(sizes: &[u64], n: u64) -> Vec<u64> {
    let mut taken = vec![0; sizes.len()];
    let mut left = n.min(sizes.iter().sum());
    while left > 0 {
        let open: Vec<usize> = (0..sizes.len()).filter(|&i| taken[i] < sizes[i]).collect();
        let share = (left / open.len() as u64).max(1);
        for i in open {
            let more = share.min(sizes[i] - taken[i]).min(left);
            taken[i] += more;
            left -= more;
        }
    }
    taken
}

fn sample(key: &CellSetKey, rows: &RoaringBitmap, n: u64, seed: u64) -> Vec<u32> {
    if n >= rows.len() {
        return rows.iter().collect();
    }
    let mut hash = Sha256::new();
    hash.update(seed.to_le_bytes());
    hash.update(serde_json::to_vec(key).expect("a key is made of texts alone, which JSON can always hold"));
    let mut rng = ChaCha8Rng::from_seed(hash.finalize().into());
    let chosen = rand::seq::index::sample(&mut rng, rows.len() as usize, n as usize);
    let mut chosen: Vec<u32> = chosen.into_iter().filter_map(|rank| rows.select(rank as u32)).collect();
    chosen.sort_unstable();
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::atlas::testing::control;

    #[test]
    fn sets_give_equal_shares_and_small_ones_all_they_have() {
        assert_eq!(shares(&[100, 100], 64), [32, 32]);
        assert_eq!(shares(&[100, 5, 100], 65), [30, 5, 30]);
        assert_eq!(shares(&[3, 4], 100), [3, 4]);
        assert_eq!(shares(&[5, 5, 5], 4), [2, 1, 1]);
        assert_eq!(shares(&[], 4), [] as [u64; 0]);
    }

    #[test]
    fn the_same_seed_draws_the_same_cells_whatever_else_is_drawn() {
        let (a, b) = (control(1, "d", "CL:1", "x", 100).key, control(2, "d", "CL:1", "y", 100).key);
        let (rows_a, rows_b): (RoaringBitmap, RoaringBitmap) = ((0..100).collect(), (1000..1100).collect());
        let alone = draw(&[(&a, rows_a.clone())], 20, 7);
        let both = draw(&[(&b, rows_b), (&a, rows_a.clone())], 40, 7);
        assert_eq!(alone[0], both[1]);
        assert_eq!(alone[0].len(), 20);
        assert!(alone[0].is_sorted_by(|x, y| x < y) && alone[0].iter().all(|&row| rows_a.contains(row)));
        assert_ne!(alone, draw(&[(&a, rows_a)], 20, 8));
        // Taken once on x86-64 Linux and kept: another platform or release must draw the same.
        assert_eq!(alone[0][..5], EXPECTED);
    }

    const EXPECTED: [u32; 5] = [2, 3, 6, 9, 10];

    #[test]
    fn rows_overlap_only_within_a_data_set() {
        let rows = |dataset: &str, range: std::ops::Range<u32>| Rows([(dataset.to_owned(), range.collect())].into());
        let mut taken = rows("a", 0..10);
        taken.extend(&rows("b", 0..10));
        assert_eq!(taken.overlap(&rows("b", 5..20)), 5);
        assert_eq!(taken.overlap(&rows("c", 0..10)), 0);
    }
}
