//! Differential expression: groups of cells against a reference, gene by gene, from sparse rows.
//!
//! Values are log-normalised, as for scanpy's `rank_genes_groups`. The matrix is taken as it is, row by
//! row: genes are gone through in blocks, the values of a block gathered by gene and sorted once for
//! all groups. No second copy of the matrix is made, and nothing depends on the number of threads.

mod gather;
mod group;

use rayon::prelude::*;

pub use group::{DesignError, Groups, Reference};

use self::gather::Gathered;
use super::adjust::{Correction, adjust_tested};
use super::fold_change::log2_fold_change;
use super::t_test::{Moments, Variance, welch};
use super::wilcoxon::{Approximation, RankSums};
use crate::domain::Csr;

/// Which test is made of cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Test {
    /// The rank-sum test.
    Wilcoxon(Approximation),
    /// The t-test for unequal variances.
    TTest(Variance),
}

/// The test of one gene.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct GeneTest {
    /// Standard score or t: positive where the group has the larger values.
    pub score: f64,
    /// Two-sided; NaN where the gene cannot be tested.
    pub p_value: f64,
    /// Corrected for all genes that could be tested; NaN for those that could not.
    pub adjusted_p_value: f64,
    /// As scanpy computes it.
    pub log2_fold_change: f64,
    /// Mean value in the group.
    pub mean: f64,
    /// Mean value in the reference.
    pub mean_reference: f64,
    /// Share of the group's cells whose value is not zero.
    pub share: f64,
    /// Share of the reference's cells whose value is not zero.
    pub share_reference: f64,
}

/// One group against its reference.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupTests {
    /// The group's number.
    pub group: u32,
    /// Cells of the group and of the reference.
    pub n_cells: [usize; 2],
    /// By gene.
    pub genes: Vec<GeneTest>,
}

/// Why genes cannot be tested.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum DifferentialError {
    /// Labels that do not make a comparison.
    #[error(transparent)]
    Design(#[from] DesignError),
    /// A value that is no number.
    #[error("gene {gene} (counted from 0) has the value {value}; only finite numbers can be compared")]
    NotFinite {
        /// Column.
        gene: usize,
        /// What is there.
        value: f32,
    },
}

/// Tests every gene of every group against the reference, in the order the groups were asked for.
pub fn compare(
    values: &Csr,
    groups: &Groups,
    test: Test,
    correction: Correction,
) -> Result<Vec<GroupTests>, DifferentialError> {
    groups.check(values.n_rows(), test)?;
    let n_genes = values.n_cols();
    let mut tests: Vec<GroupTests> = groups
        .tested()
        .map(|(group, n_cells)| GroupTests { group, n_cells, genes: vec![GeneTest::default(); n_genes] })
        .collect();

    let width = gather::block_width(values, groups.cells());
    let mut blocks: Vec<Vec<&mut [GeneTest]>> = (0..n_genes.div_ceil(width)).map(|_| Vec::new()).collect();
    for group in &mut tests {
        blocks.iter_mut().zip(group.genes.chunks_mut(width)).for_each(|(block, genes)| block.push(genes));
    }
    blocks.into_par_iter().enumerate().try_for_each_init(
        || Scratch::new(groups),
        |scratch, (block, mut found)| {
            let first = block * width;
            let genes = first..n_genes.min(first + width);
            scratch.gathered.fill(values, groups.cells(), genes.clone())?;
            for gene in 0..genes.len() {
                scratch.test(gene, groups, test, &mut found);
            }
            Ok::<(), DifferentialError>(())
        },
    )?;
    tests.par_iter_mut().for_each(|group| correct(&mut group.genes, correction));
    Ok(tests)
}

/// Corrects for as many tests as there are.
pub(super) fn correct(genes: &mut [GeneTest], correction: Correction) {
    let p_values: Vec<f64> = genes.iter().map(|gene| gene.p_value).collect();
    let adjusted = adjust_tested(&p_values, correction);
    genes.iter_mut().zip(adjusted).for_each(|(gene, p)| gene.adjusted_p_value = p);
}

/// What one thread works in.
struct Scratch {
    gathered: Gathered,
    ranks: RankSums,
    nonzero: Vec<usize>,
    zeros: Vec<usize>,
    moments: Vec<Moments>,
    /// Of all groups but this one; only where the reference is the rest.
    rest: Vec<Moments>,
}

impl Scratch {
    fn new(groups: &Groups) -> Self {
        let n = groups.sizes().len();
        Self {
            gathered: Gathered::default(),
            ranks: RankSums::new(n),
            nonzero: vec![0; n],
            zeros: vec![0; n],
            moments: vec![Moments::default(); n],
            rest: vec![Moments::default(); n],
        }
    }

    /// Tests a gene of the block.
    fn test(&mut self, gene: usize, groups: &Groups, test: Test, found: &mut [&mut [GeneTest]]) {
        let Self { gathered, ranks, nonzero, zeros, moments, rest } = self;
        let keys = gathered.gene_mut(gene);
        gather::moments(keys, groups.sizes(), matches!(test, Test::TTest(_)), nonzero, moments);
        let against_rest = groups.reference() == Reference::Rest;
        if against_rest {
            merge_others(moments, rest);
        }
        if let Test::Wilcoxon(_) = test {
            zeros.iter_mut().zip(groups.sizes()).zip(&*nonzero).for_each(|((zero, n), nonzero)| *zero = n - nonzero);
            keys.sort_unstable();
            match against_rest {
                true => ranks.against_rest(keys, zeros),
                false => ranks.against_first(keys, zeros),
            }
        }
        let all_nonzero: usize = nonzero.iter().sum();
        for (genes, (slot, n_cells)) in found.iter_mut().zip(groups.slots()) {
            let (reference, nonzero_reference) = match against_rest {
                true => (rest[slot], all_nonzero - nonzero[slot]),
                false => (moments[0], nonzero[0]),
            };
            let (score, p_value) = match test {
                Test::Wilcoxon(approximation) => {
                    let test = ranks.finish(slot, n_cells, approximation);
                    (test.score, test.p_value)
                }
                Test::TTest(variance) => welch(moments[slot], reference, variance),
            };
            genes[gene] = GeneTest {
                score,
                p_value,
                adjusted_p_value: p_value,
                log2_fold_change: log2_fold_change(moments[slot].mean, reference.mean),
                mean: moments[slot].mean,
                mean_reference: reference.mean,
                share: nonzero[slot] as f64 / n_cells[0] as f64,
                share_reference: nonzero_reference as f64 / n_cells[1] as f64,
            };
        }
    }
}

/// The moments of all groups but each one, by merging those before with those after: subtracting one
/// from the whole would leave rounding where nothing should be left.
fn merge_others(moments: &[Moments], rest: &mut [Moments]) {
    let mut before = Moments::default();
    for (rest, &own) in rest.iter_mut().zip(moments) {
        *rest = before;
        before = before.merge(own);
    }
    let mut after = Moments::default();
    for (rest, &own) in rest.iter_mut().zip(moments).rev() {
        *rest = rest.merge(after);
        after = after.merge(own);
    }
}
