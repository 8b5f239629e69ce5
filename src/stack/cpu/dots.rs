//! Products of `bf16` numbers in vectors (AVX512-BF16), for processors without matrix tiles.

#![expect(unsafe_code, reason = "vector instructions are chosen at run time")]

use std::arch::x86_64::*;

use bytemuck::cast_slice;

use super::bf16::{self, Parts, STEP, TILE};
use super::kernel::{STRIP, Start, Sums};

/// Rows whose sums stay in registers, with two vectors of columns.
const ROWS: usize = 8;

/// To `sums[i][j]` comes the product of row i of the left and row j of the right strip, both packed
/// in one part.
pub fn multiply(left: &[u8], right: &[u8], start: Start, sums: &mut Sums) {
    assert!(bf16::available(), "this processor has no bf16 products");
    assert_eq!(left.len(), right.len());
    if start == Start::Zero {
        sums.fill(0.0);
    }
    // SAFETY: the processor has the instructions.
    unsafe { multiply_512(left, right, sums) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn multiply_512(left: &[u8], right: &[u8], sums: &mut Sums) {
    const PAIRS: usize = STEP / 2;
    let steps = || left.chunks_exact(Parts::One.step_bytes()).zip(right.chunks_exact(Parts::One.step_bytes()));
    for first in (0..STRIP).step_by(ROWS) {
        let mut acc = [[_mm512_setzero_ps(); 2]; ROWS];
        for (i, acc) in acc.iter_mut().enumerate() {
            *acc = [load(&sums[(first + i) * STRIP..]), load(&sums[(first + i) * STRIP + TILE..])];
        }
        for (left, right) in steps() {
            // A pair of numbers is 32 bits: 16 pairs of a row side by side, 16 columns of a pair.
            let (left, right): (&[i32], &[f32]) = (cast_slice(left), cast_slice(right));
            let left = &left[first * PAIRS..][..ROWS * PAIRS];
            let (right, right_2) = right.split_at(PAIRS * TILE);
            for pair in 0..PAIRS {
                let columns = [load(&right[pair * TILE..]), load(&right_2[pair * TILE..])].map(halves);
                for (i, acc) in acc.iter_mut().enumerate() {
                    let row = halves(_mm512_castsi512_ps(_mm512_set1_epi32(left[i * PAIRS + pair])));
                    acc[0] = _mm512_dpbf16_ps(acc[0], row, columns[0]);
                    acc[1] = _mm512_dpbf16_ps(acc[1], row, columns[1]);
                }
            }
        }
        for (i, acc) in acc.into_iter().enumerate() {
            store(acc[0], &mut sums[(first + i) * STRIP..]);
            store(acc[1], &mut sums[(first + i) * STRIP + TILE..]);
        }
    }
}

#[inline(always)]
fn halves(x: __m512) -> __m512bh {
    // SAFETY: both are 512 bits without invalid values.
    unsafe { std::mem::transmute(x) }
}

#[target_feature(enable = "avx512f")]
fn load(x: &[f32]) -> __m512 {
    // SAFETY: the slice has 16 numbers.
    unsafe { _mm512_loadu_ps(x[..TILE].as_ptr()) }
}

#[target_feature(enable = "avx512f")]
fn store(x: __m512, to: &mut [f32]) {
    // SAFETY: the slice has 16 numbers.
    unsafe { _mm512_storeu_ps(to[..TILE].as_mut_ptr(), x) }
}
