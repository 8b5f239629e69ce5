//! The rank-sum test of Wilcoxon (Mann–Whitney), gene by gene, by its normal approximation.
//!
//! Two-sided. Two conventions are in use, and they differ in the third digit of a p-value:
//! - without continuity correction, as scanpy's `rank_genes_groups(method="wilcoxon")`: the default;
//! - with one, as `scipy.stats.mannwhitneyu`, R's `wilcox.test` (and so Seurat), illico and pdex by
//!   default: the rank sum is taken half a rank nearer to what chance gives.

use rayon::prelude::*;

use super::columns::Columns;
use super::tails::normal_two_sided;

/// How the normal approximation is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Approximation {
    /// Whether equal values lower the variance.
    pub ties: Ties,
    /// Whether the rank sum is moved by half a rank.
    pub continuity: Continuity,
}

/// Whether the variance of the rank sum accounts for equal values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ties {
    /// scanpy's `tie_correct=True`. Expression is full of zeros, so this is the right choice.
    #[default]
    Correct,
    /// scanpy's default, `tie_correct=False`: p-values too large where there are many ties.
    Ignore,
}

/// Whether the step from a rank sum, which is a whole number of halves, to a continuous
/// distribution is corrected for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Continuity {
    /// No correction, as scanpy.
    #[default]
    Ignore,
    /// Half a rank towards the mean, as scipy and R.
    Correct,
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
pub fn rank_sum_genes(
    treatment: &Columns,
    control: &Columns,
    approximation: Approximation,
) -> Result<Vec<RankSum>, RankSumError> {
    if treatment.n_cols() != control.n_cols() {
        return Err(RankSumError::Genes { treatment: treatment.n_cols(), control: control.n_cols() });
    }
    let n_cells = [treatment.n_rows(), control.n_rows()];
    if n_cells.contains(&0) {
        return Err(RankSumError::Empty { treatment: n_cells[0], control: n_cells[1] });
    }
    let test = |gene| rank_sum(treatment.column(gene), control.column(gene), n_cells, approximation);
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
pub fn rank_sum(
    treatment: &[f32],
    control: &[f32],
    n_cells: [usize; 2],
    approximation: Approximation,
) -> Option<RankSum> {
    let zeros = [n_cells[1] - control.len(), n_cells[0] - treatment.len()];
    assert!(n_cells[0] > 0 && n_cells[1] > 0, "a rank-sum test needs cells on both sides");
    if treatment.iter().chain(control).any(|value| value.is_nan()) {
        return None;
    }
    let mut keys: Vec<u64> = Vec::with_capacity(treatment.len() + control.len());
    keys.extend(control.iter().map(|&value| key(value, 0)));
    keys.extend(treatment.iter().map(|&value| key(value, 1)));
    keys.sort_unstable();

    let mut ranks = RankSums::new(2);
    ranks.against_first(&keys, &zeros);
    Some(ranks.finish(1, n_cells, approximation))
}

/// A number that sorts as the value, then as the group.
pub(super) fn key(value: f32, group: u32) -> u64 {
    let bits = (value + 0.0).to_bits(); // -0 becomes 0
    let ordered = if bits >> 31 == 0 { bits | 1 << 31 } else { !bits };
    u64::from(ordered) << 32 | u64::from(group)
}

/// The value and the group of a key.
pub(super) fn of_key(key: u64) -> (f32, u32) {
    let ordered = (key >> 32) as u32;
    let bits = if ordered >> 31 == 1 { ordered & !(1 << 31) } else { !ordered };
    (f32::from_bits(bits), key as u32)
}

/// Rank sums of many groups of cells for one gene, from one walk through the sorted values.
#[derive(Clone, Debug)]
pub(super) struct RankSums {
    /// By group: what its cells' ranks sum to above the smallest possible (Mann–Whitney's U), or the
    /// rank sum itself.
    sums: Vec<f64>,
    /// By group: the sum of `t³ - t` over the sets of `t` equal values, in this group and the reference.
    ties: Vec<f64>,
    /// Whether `sums` are U, to which the smallest possible rank sum has to be added.
    are_u: bool,
    /// Cells of each group with the value at hand.
    equal: Vec<(u32, f64)>,
}

impl RankSums {
    /// Room for so many groups.
    pub fn new(n_groups: usize) -> Self {
        Self { sums: vec![0.0; n_groups], ties: vec![0.0; n_groups], are_u: false, equal: Vec::new() }
    }

    /// Ranks each group together with group 0, the reference. `keys` are those of the values that are
    /// not zero, ascending; `zeros` how many cells of each group have none.
    pub fn against_first(&mut self, keys: &[u64], zeros: &[usize]) {
        let Self { sums, ties, are_u, equal } = self;
        sums.fill(0.0);
        ties.fill(0.0);
        *are_u = true;
        let (mut smaller, mut ties_of_reference) = (0.0, 0.0);
        walk(keys, zeros, equal, |equal| {
            let (reference, others) = match equal {
                [(0, count), others @ ..] => (*count, others),
                others => (0.0, others),
            };
            for &(group, count) in others {
                sums[group as usize] += count * (smaller + reference / 2.0);
                ties[group as usize] += cube(count + reference) - cube(reference);
            }
            ties_of_reference += cube(reference);
            smaller += reference;
        });
        ties.iter_mut().for_each(|ties| *ties += ties_of_reference);
    }

    /// Ranks all cells together: each group is held against all others.
    pub fn against_rest(&mut self, keys: &[u64], zeros: &[usize]) {
        let Self { sums, ties, are_u, equal } = self;
        sums.fill(0.0);
        *are_u = false;
        let (mut ranked, mut all_ties) = (0.0, 0.0);
        walk(keys, zeros, equal, |equal| {
            let size: f64 = equal.iter().map(|(_, count)| count).sum();
            let rank = ranked + (size + 1.0) / 2.0;
            equal.iter().for_each(|&(group, count)| sums[group as usize] += count * rank);
            all_ties += cube(size);
            ranked += size;
        });
        ties.fill(all_ties);
    }

    /// The test of a group of the first of so many cells against the second.
    pub fn finish(&self, group: usize, n_cells: [usize; 2], approximation: Approximation) -> RankSum {
        let [n, m] = n_cells.map(|n| n as f64);
        let total = n + m;
        let smallest = if self.are_u { n * (n + 1.0) / 2.0 } else { 0.0 };
        let rank_sum = self.sums[group] + smallest;
        let correction = match approximation.ties {
            Ties::Correct => 1.0 - self.ties[group] / cube(total),
            Ties::Ignore => 1.0,
        };
        let deviation = (correction * n * m * (total + 1.0) / 12.0).sqrt();
        let distance = rank_sum - n * ((total + 1.0) / 2.0);
        let distance = match approximation.continuity {
            Continuity::Ignore => distance,
            Continuity::Correct => distance.signum() * (distance.abs() - 0.5).max(0.0),
        };
        let score = if distance == 0.0 { 0.0 } else { distance / deviation };
        RankSum { rank_sum, score, p_value: normal_two_sided(score) }
    }
}

/// `t³ - t`.
fn cube(t: f64) -> f64 {
    t * t * t - t
}

/// Goes through the values from the smallest up: which groups have so many cells with each. Groups
/// come ascending.
fn walk(keys: &[u64], zeros: &[usize], equal: &mut Vec<(u32, f64)>, mut visit: impl FnMut(&[(u32, f64)])) {
    let (negative, positive) = keys.split_at(keys.partition_point(|&k| k < key(0.0, 0)));
    walk_keys(negative, equal, &mut visit);
    equal.clear();
    equal.extend((0..).zip(zeros).filter(|(_, count)| **count > 0).map(|(group, &count)| (group, count as f64)));
    visit(equal);
    walk_keys(positive, equal, &mut visit);
}

fn walk_keys(mut keys: &[u64], equal: &mut Vec<(u32, f64)>, visit: &mut impl FnMut(&[(u32, f64)])) {
    while let [first, rest @ ..] = keys {
        let is_equal = |key: &u64| key >> 32 == first >> 32;
        // Most values are there once.
        if !rest.first().is_some_and(is_equal) {
            visit(&[(*first as u32, 1.0)]);
            keys = rest;
            continue;
        }
        let (same, larger) = keys.split_at(keys.iter().position(|key| !is_equal(key)).unwrap_or(keys.len()));
        equal.clear();
        for &key in same {
            match equal.last_mut() {
                Some((group, count)) if *group == key as u32 => *count += 1.0,
                _ => equal.push((key as u32, 1.0)),
            }
        }
        visit(equal);
        keys = larger;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Csr;

    fn dense(treatment: &[f32], control: &[f32], approximation: Approximation) -> RankSum {
        let nonzero = |values: &[f32]| values.iter().copied().filter(|&v| v != 0.0).collect::<Vec<_>>();
        let n_cells = [treatment.len(), control.len()];
        rank_sum(&nonzero(treatment), &nonzero(control), n_cells, approximation).unwrap()
    }

    const SCANPY: Approximation = Approximation { ties: Ties::Correct, continuity: Continuity::Ignore };
    const SCIPY: Approximation = Approximation { ties: Ties::Correct, continuity: Continuity::Correct };

    #[test]
    fn ranks_are_shared_by_equal_values_and_zeros_sit_in_their_place() {
        // Values -1 0 0 2 2 5 have ranks 1, 2.5, 2.5, 4.5, 4.5, 6.
        let (treated, control) = ([0.0, 2.0, 5.0], [-1.0, 0.0, 2.0]);
        let found = dense(&treated, &control, SCANPY);
        assert_eq!(found.rank_sum, 2.5 + 4.5 + 6.0);
        // Tie term 2 (2³ - 2) = 12 of 6³ - 6 = 210; variance (1 - 12/210) 3·3·7/12 = 4.95.
        assert!((found.score - 2.5 / 4.95_f64.sqrt()).abs() < 1e-15);
        let ignored = dense(&treated, &control, Approximation { ties: Ties::Ignore, ..SCANPY });
        assert!((ignored.score - 2.5 / 5.25_f64.sqrt()).abs() < 1e-15);
        let continuous = dense(&treated, &control, SCIPY);
        assert!((continuous.score - 2.0 / 4.95_f64.sqrt()).abs() < 1e-15);
    }

    #[test]
    fn swapping_the_sides_only_turns_the_sign() {
        let (a, b) = ([0.0, 3.0, 1.0, 7.0], [0.0, 0.0, 1.0]);
        for approximation in [SCANPY, SCIPY] {
            let (there, back) = (dense(&a, &b, approximation), dense(&b, &a, approximation));
            assert_eq!((there.score, there.p_value), (-back.score, back.p_value));
        }
    }

    #[test]
    fn one_walk_gives_what_each_group_gives_alone() {
        let groups: [&[f32]; 3] =
            [&[0.0, 0.0, 1.0, 2.0, -1.0], &[2.0, 2.0, 0.0, 3.0], &[0.0, -1.0, -1.0, 1.0, 1.0, 9.0]];
        let mut keys: Vec<u64> = (0..)
            .zip(groups)
            .flat_map(|(g, v)| v.iter().map(move |&v| (g, v)))
            .filter(|(_, v)| *v != 0.0)
            .map(|(g, v)| key(v, g))
            .collect();
        keys.sort_unstable();
        let zeros = groups.map(|values| values.iter().filter(|v| **v == 0.0).count());
        let mut ranks = RankSums::new(3);
        for group in 1..3 {
            ranks.against_first(&keys, &zeros);
            let n_cells = [groups[group].len(), groups[0].len()];
            assert_eq!(ranks.finish(group, n_cells, SCANPY), dense(groups[group], groups[0], SCANPY));
        }
        for group in 0..3 {
            ranks.against_rest(&keys, &zeros);
            let rest =
                (0..3).filter(|other| *other != group).flat_map(|other| groups[other].to_vec()).collect::<Vec<_>>();
            let n_cells = [groups[group].len(), rest.len()];
            assert_eq!(ranks.finish(group, n_cells, SCANPY), dense(groups[group], &rest, SCANPY));
        }
    }

    #[test]
    fn a_gene_that_never_varies_has_no_evidence_rather_than_none_at_all() {
        for (value, approximation) in [(0.0, SCANPY), (4.0, SCANPY), (4.0, SCIPY)] {
            let found = dense(&[value; 5], &[value; 7], approximation);
            assert_eq!((found.score, found.p_value), (0.0, 1.0));
        }
    }

    #[test]
    fn keys_sort_as_values_and_give_them_back() {
        assert_eq!(key(-0.0, 1), key(0.0, 1));
        let values = [f32::NEG_INFINITY, -2.0, -1.0, 0.0, f32::MIN_POSITIVE, 1.0, f32::INFINITY];
        assert!(values.windows(2).all(|pair| key(pair[0], 9) < key(pair[1], 0)));
        assert!(values.iter().all(|&value| of_key(key(value, 7)) == (value, 7)));
    }

    #[test]
    fn what_cannot_be_tested_is_said() {
        let of = |rows: Vec<Vec<(u32, f32)>>, genes| Columns::new(&Csr::from_rows(genes, rows).unwrap());
        let one = of(vec![vec![(0, 1.0)]], 2);
        let none = of(vec![], 2);
        assert!(matches!(rank_sum_genes(&one, &none, SCANPY), Err(RankSumError::Empty { control: 0, .. })));
        let wide = of(vec![vec![]], 3);
        assert!(matches!(rank_sum_genes(&one, &wide, SCANPY), Err(RankSumError::Genes { .. })));
        let nan = of(vec![vec![(1, f32::NAN)]], 2);
        assert_eq!(rank_sum_genes(&one, &nan, SCANPY), Err(RankSumError::NotANumber { gene: 1 }));
    }
}
