//! The first layer: tokens from counts, over the genes a cell has and no others.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::lanes;
use super::product::STRIP;
use super::vector::gelu_of_sum;
use crate::domain::Csr;

/// GELU(W log(1 + x) + b) for the given rows of counts, `[n, D]`; W is `[D, G]`.
pub fn tokens(weight: &[f32], bias: &[f32], counts: &Csr, rows: &[usize]) -> Vec<f32> {
    let (genes, width) = (counts.n_cols(), bias.len());
    let cells: Vec<Vec<(u32, f32)>> = rows
        .par_iter()
        .map(|&row| {
            let (columns, values) = counts.row(row);
            columns.iter().zip(values).map(|(&gene, &value)| (gene, value.ln_1p())).collect()
        })
        .collect();
    // One strip of features at a time, its weights gene by gene: a thread's cache holds them while
    // all cells pass.
    let strips: Vec<Vec<f32>> = (0..width.div_ceil(STRIP))
        .into_par_iter()
        .map_init(Vec::new, |packed, strip| {
            let features = strip * STRIP..width.min((strip + 1) * STRIP);
            packed.resize(lanes::strip_len(genes), 0.0);
            lanes::pack_right(weight[features.start * genes..features.end * genes].chunks_exact(genes), packed);
            let mut values = vec![0.0; cells.len() * STRIP];
            Arch::new().dispatch(Accumulate { weight: packed, cells: &cells, values: &mut values });
            values
        })
        .collect();
    let mut all = vec![0.0; rows.len() * width];
    all.par_chunks_exact_mut(width).enumerate().for_each(|(cell, all)| {
        for (to, strip) in all.chunks_mut(STRIP).zip(&strips) {
            to.copy_from_slice(&strip[cell * STRIP..][..to.len()]);
        }
        gelu_of_sum(all, bias);
    });
    all
}

/// The products of a strip of features with each cell.
struct Accumulate<'a> {
    /// `[G, 32]`.
    weight: &'a [f32],
    cells: &'a [Vec<(u32, f32)>],
    /// `[n, 32]`.
    values: &'a mut [f32],
}

impl WithSimd for Accumulate<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let weight = self.weight.as_chunks::<STRIP>().0;
        for (cell, values) in self.cells.iter().zip(self.values.chunks_exact_mut(STRIP)) {
            for at in (0..STRIP).step_by(2 * S::F32_LANES) {
                // Genes in turn go to two sums, so that one need not wait for the other.
                let mut sums = [[simd.splat_f32s(0.0); 2]; 2];
                for pair in cell.chunks(2) {
                    for (sum, (gene, value)) in sums.iter_mut().zip(pair) {
                        let (weight, _) = S::as_simd_f32s(&weight[*gene as usize][at..]);
                        let value = simd.splat_f32s(*value);
                        sum[0] = simd.mul_add_e_f32s(value, weight[0], sum[0]);
                        sum[1] = simd.mul_add_e_f32s(value, weight[1], sum[1]);
                    }
                }
                let (values, _) = S::as_mut_simd_f32s(&mut values[at..]);
                values[0] = simd.add_f32s(sums[0][0], sums[1][0]);
                values[1] = simd.add_f32s(sums[0][1], sums[1][1]);
            }
        }
    }
}
