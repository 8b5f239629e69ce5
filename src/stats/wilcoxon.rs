//! The rank-sum test of Wilcoxon (Mann–Whitney), gene by gene, by its normal approximation.
//!
//! Two-sided, without continuity correction, as scanpy's `rank_genes_groups(method="wilcoxon")`.
//! scipy's default adds a continuity correction, so its p-values are slightly larger.

use libm::erfc;
use rayon::prelude::*;

use super::columns::Columns;

/// Whether the variance of the rank sum accounts for equal values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ties {
    /// scanpy's `tie_correct=True`. Expression is full of zeros, so this is the right choice.
    #[default]
    Correct,
    /// scanpy's default, `tie_correct=False`: p-values too large where there are many ties.
    Ignore,
}

/// The test of one gene.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RankSum {
    /// Sum of the ranks of the treated cells, equal values sharing their mean rank.
    pub rank_sum: f64,
    /// Standard score of the rank sum: positive where treated cells have the larger values.
    /// Zero where all values are equal.
    pub score: f64,
    /// Two-sided p-value; 0 where it is below what an `f64` can hold (a score beyond 38).
    pub p_value: f64,
}

/// Why the test cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RankSumError {
    /// A side without cells.
    #[error("the rank-sum test needs cells on both sides; there are {treatment} treated and {control} control cells")]
    Empty {
        /// Treated cells.
        treatment: usize,
        /// Control cells.
        control: usize,
    },
    /// Two matrices of different width.
    #[error("the treated cells have {treatment} genes and the control cells {control}")]
    Genes {
        /// Genes of the treated cells.
        treatment: usize,
        /// Genes of the control cells.
        control: usize,
    },
    /// A value that has no rank.
    #[error("gene {gene} (counted from 0) has a value that is not a number")]
    NotANumber {
        /// Column.
        gene: usize,
    },
}

/// Tests every gene. Values are usually log-normalised; the test sees only their order.
pub fn rank_sum_genes(treatment: &Columns, control: &Columns, ties: Ties) -> Result<Vec<RankSum>, RankSumError> {
    if treatment.n_cols() != control.n_cols() {
        return Err(RankSumError::Genes { treatment: treatment.n_cols(), control: control.n_cols() });
    }
    let n_cells = [treatment.n_rows(), control.n_rows()];
    if n_cells.contains(&0) {
        return Err(RankSumError::Empty { treatment: n_cells[0], control: n_cells[1] });
    }
    let test = |gene| rank_sum(treatment.column(gene), control.column(gene), n_cells, ties);
    (0..treatment.n_cols())
        .into_par_iter()
        .map(|gene| test(gene).ok_or(RankSumError::NotANumber { gene }))
        .collect::<Vec<_>>()
        .into_iter()
        .collect()
}

/// Tests one gene, given the values of either side that are not zero and the number of cells.
/// `None` if a value is not a number.
///
/// # Panics
/// If a side has more values than cells, or no cells.
pub fn rank_sum(treatment: &[f32], control: &[f32], n_cells: [usize; 2], ties: Ties) -> Option<RankSum> {
    let zeros = [n_cells[0] - treatment.len(), n_cells[1] - control.len()];
    assert!(n_cells[0] > 0 && n_cells[1] > 0, "a rank-sum test needs cells on both sides");
    if treatment.iter().chain(control).any(|value| value.is_nan()) {
        return None;
    }

    let mut keys: Vec<u64> = Vec::with_capacity(treatment.len() + control.len());
    keys.extend(treatment.iter().map(|&value| key(value, 0)));
    keys.extend(control.iter().map(|&value| key(value, 1)));
    keys.sort_unstable();

    let mut tally = Tally::default();
    let first_positive = keys.partition_point(|&k| k < key(0.0, 0));
    tally.add_groups(&keys[..first_positive]);
    tally.add(zeros);
    tally.add_groups(&keys[first_positive..]);

    Some(tally.finish(n_cells, ties))
}

/// A number that sorts like the value, with the side (0 treated, 1 control) in its lowest bit.
fn key(value: f32, side: u64) -> u64 {
    let bits = (value + 0.0).to_bits(); // -0 becomes 0
    let ordered = if bits >> 31 == 0 { bits | 1 << 31 } else { !bits };
    u64::from(ordered) << 1 | side
}

/// Ranks handed out so far, from the smallest value up.
#[derive(Default)]
struct Tally {
    ranked: f64,
    rank_sum: f64,
    tie_term: f64,
}

impl Tally {
    fn add_groups(&mut self, keys: &[u64]) {
        for group in keys.chunk_by(|a, b| a >> 1 == b >> 1) {
            let treated = group.partition_point(|k| k & 1 == 0);
            self.add([treated, group.len() - treated]);
        }
    }

    /// One group of equal values, so many on either side.
    fn add(&mut self, [treated, control]: [usize; 2]) {
        let size = (treated + control) as f64;
        self.rank_sum += treated as f64 * (self.ranked + (size + 1.0) / 2.0);
        self.tie_term += size * size * size - size;
        self.ranked += size;
    }

    fn finish(self, n_cells: [usize; 2], ties: Ties) -> RankSum {
        let [n, m] = n_cells.map(|n| n as f64);
        let total = n + m;
        let correction = match ties {
            Ties::Correct => 1.0 - self.tie_term / (total * total * total - total),
            Ties::Ignore => 1.0,
        };
        let deviation = (correction * n * m * (total + 1.0) / 12.0).sqrt();
        let distance = self.rank_sum - n * ((total + 1.0) / 2.0);
        let score = if distance == 0.0 { 0.0 } else { distance / deviation };
        RankSum { rank_sum: self.rank_sum, score, p_value: two_sided(score) }
    }
}

/// Probability of a standard normal value at least as far from zero.
fn two_sided(score: f64) -> f64 {
    erfc(score.abs() / std::f64::consts::SQRT_2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Csr;

    fn dense(treatment: &[f32], control: &[f32], ties: Ties) -> RankSum {
        let nonzero = |values: &[f32]| values.iter().copied().filter(|&v| v != 0.0).collect::<Vec<_>>();
        rank_sum(&nonzero(treatment), &nonzero(control), [treatment.len(), control.len()], ties).unwrap()
    }

    #[test]
    fn ranks_are_shared_by_equal_values_and_zeros_sit_in_their_place() {
        // Values -1 0 0 2 2 5 have ranks 1, 2.5, 2.5, 4.5, 4.5, 6.
        let found = dense(&[0.0, 2.0, 5.0], &[-1.0, 0.0, 2.0], Ties::Correct);
        assert_eq!(found.rank_sum, 2.5 + 4.5 + 6.0);
        // Tie term 2 (2³ - 2) = 12 of 6³ - 6 = 210; variance (1 - 12/210) 3·3·7/12 = 4.95.
        assert!((found.score - 2.5 / 4.95_f64.sqrt()).abs() < 1e-15);
        let ignored = dense(&[0.0, 2.0, 5.0], &[-1.0, 0.0, 2.0], Ties::Ignore);
        assert!((ignored.score - 2.5 / 5.25_f64.sqrt()).abs() < 1e-15);
    }

    #[test]
    fn swapping_the_sides_only_turns_the_sign() {
        let (a, b) = ([0.0, 3.0, 1.0, 7.0], [0.0, 0.0, 1.0]);
        let (there, back) = (dense(&a, &b, Ties::Correct), dense(&b, &a, Ties::Correct));
        assert_eq!((there.score, there.p_value), (-back.score, back.p_value));
    }

    #[test]
    fn a_gene_that_never_varies_has_no_evidence_rather_than_none_at_all() {
        for value in [0.0, 4.0] {
            let found = dense(&[value; 5], &[value; 7], Ties::Correct);
            assert_eq!((found.score, found.p_value), (0.0, 1.0));
        }
    }

    #[test]
    fn both_zeros_are_one_value() {
        assert_eq!(key(-0.0, 1), key(0.0, 1));
        assert!(key(-2.0, 1) < key(-1.0, 0) && key(-1.0, 1) < key(0.0, 0) && key(0.0, 1) < key(f32::MIN_POSITIVE, 0));
    }

    #[test]
    fn tails_keep_their_digits() {
        // mpmath with 40 digits: erfc(z / sqrt(2))
        let cases =
            [(1.0, 0.317_310_507_862_914), (10.0, 1.523_970_604_832_105e-23), (37.0, 1.145_114_244_504_915e-299)];
        for (z, p) in cases {
            assert!((two_sided(z) / p - 1.0).abs() < 1e-12, "{z}: {}", two_sided(z));
        }
        assert_eq!(two_sided(f64::INFINITY), 0.0);
    }

    #[test]
    fn what_cannot_be_tested_is_said() {
        let of = |rows: Vec<Vec<(u32, f32)>>, genes| Columns::new(&Csr::from_rows(genes, rows).unwrap());
        let one = of(vec![vec![(0, 1.0)]], 2);
        let none = of(vec![], 2);
        assert!(matches!(rank_sum_genes(&one, &none, Ties::Correct), Err(RankSumError::Empty { control: 0, .. })));
        let wide = of(vec![vec![]], 3);
        assert!(matches!(rank_sum_genes(&one, &wide, Ties::Correct), Err(RankSumError::Genes { .. })));
        let nan = of(vec![vec![(1, f32::NAN)]], 2);
        assert_eq!(rank_sum_genes(&one, &nan, Ties::Correct), Err(RankSumError::NotANumber { gene: 1 }));
    }
}
