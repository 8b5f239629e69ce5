//! The first layer: tokens from counts, over the genes a cell has and no others.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::kernel::STRIP;
use super::lanes;
use super::vector::gelu_of_sum;
use crate::domain::Csr;

/// Genes whose weights for a strip of features fit the first-level cache, with room to spare.
const BLOCK: usize = 256;

/// What the cells have of a block of genes, cell after cell, as it is read.
struct Block {
    /// Position in the block, log(1 + count).
    entries: Vec<(u32, f32)>,
    /// Where the entries of each cell end.
    ends: Vec<u32>,
}

/// GELU(W log(1 + x) + b) for the given rows of counts, `[n, D]`; W is `[D, G]`.
pub fn tokens(weight: &[f32], bias: &[f32], counts: &Csr, rows: &[usize]) -> Vec<f32> {
    let (genes, width) = (counts.n_cols(), bias.len());
    let blocks: Vec<Block> =
        (0..genes.div_ceil(BLOCK)).into_par_iter().map(|block| Block::new(counts, rows, block)).collect();
    // A strip of features and a block of genes at a time: the weights stay in the cache while all
    // cells pass.
    let strips: Vec<Vec<f32>> = (0..width.div_ceil(STRIP))
        .into_par_iter()
        .map_init(Vec::new, |packed, strip| {
            let features = strip * STRIP..width.min((strip + 1) * STRIP);
            let mut values = vec![0.0; rows.len() * STRIP];
            for (i, block) in blocks.iter().enumerate() {
                let of_block = i * BLOCK..genes.min((i + 1) * BLOCK);
                packed.resize(lanes::strip_len(of_block.len()), 0.0);
                lanes::pack(features.clone().map(|f| &weight[f * genes..][of_block.clone()]), packed);
                Arch::new().dispatch(Accumulate { weight: packed, block, values: &mut values });
            }
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

impl Block {
    fn new(counts: &Csr, rows: &[usize], block: usize) -> Self {
        let mut of_block = Self { entries: Vec::new(), ends: Vec::with_capacity(rows.len()) };
        for &row in rows {
            let (genes, values) = counts.row(row);
            let start = genes.partition_point(|&gene| (gene as usize) < block * BLOCK);
            let here = genes[start..].iter().map(|&gene| gene as usize - block * BLOCK).take_while(|at| *at < BLOCK);
            of_block.entries.extend(here.zip(&values[start..]).map(|(at, x)| (at as u32, x.ln_1p())));
            of_block.ends.push(of_block.entries.len() as u32);
        }
        of_block
    }
}

/// Adds the products of a strip of features with a block of genes to each cell.
struct Accumulate<'a> {
    /// `[genes of the block, 32]`.
    weight: &'a [f32],
    block: &'a Block,
    /// `[n, 32]`.
    values: &'a mut [f32],
}

impl WithSimd for Accumulate<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let weight = self.weight.as_chunks::<STRIP>().0;
        let mut start = 0;
        for (&end, values) in self.block.ends.iter().zip(self.values.chunks_exact_mut(STRIP)) {
            let entries = &self.block.entries[start..end as usize];
            start = end as usize;
            for at in (0..STRIP).step_by(2 * S::F32_LANES) {
                let values = &mut S::as_mut_simd_f32s(&mut values[at..]).0[..2];
                // Genes in turn go to four sums, so that one need not wait for the other.
                let mut sums = [[simd.splat_f32s(0.0); 2]; 4];
                sums[0] = [values[0], values[1]];
                let add = |sum: &mut [S::f32s; 2], (at_gene, value): (u32, f32)| {
                    let (weight, _) = S::as_simd_f32s(&weight[at_gene as usize][at..]);
                    let value = simd.splat_f32s(value);
                    sum[0] = simd.mul_add_e_f32s(value, weight[0], sum[0]);
                    sum[1] = simd.mul_add_e_f32s(value, weight[1], sum[1]);
                };
                let (fours, rest) = entries.as_chunks::<4>();
                for four in fours {
                    for i in 0..4 {
                        add(&mut sums[i], four[i]);
                    }
                }
                for entry in rest {
                    add(&mut sums[0], *entry);
                }
                for i in 0..2 {
                    let (a, b) = (simd.add_f32s(sums[0][i], sums[1][i]), simd.add_f32s(sums[2][i], sums[3][i]));
                    values[i] = simd.add_f32s(a, b);
                }
            }
        }
    }
}
