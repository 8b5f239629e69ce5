//! Products in vector lanes, for processors without matrix tiles.
//!
//! As in [`tiles`](super::tiles), operands are packed in strips of 32 rows: the 32 numbers of one
//! position side by side.

use pulp::{Arch, Simd, WithSimd};

use super::kernel::{STRIP, Start, Sums};
use super::transpose::transpose;

/// Numbers of a packed strip of rows of `len` numbers.
pub const fn strip_len(len: usize) -> usize {
    STRIP * len
}

/// Packs up to 32 rows; missing ones become 0.
pub fn pack<'a>(rows: impl Iterator<Item = &'a [f32]>, strip: &mut [f32]) {
    let rows: Vec<&[f32]> = rows.take(STRIP).collect();
    let mut block = Sums::ZERO;
    for (at, to) in strip.chunks_mut(block.len()).enumerate() {
        block.fill(0.0);
        for (line, row) in block.chunks_exact_mut(STRIP).zip(&rows) {
            let numbers = &row[at * STRIP..row.len().min((at + 1) * STRIP)];
            line[..numbers.len()].copy_from_slice(numbers);
        }
        transpose(&mut block);
        to.copy_from_slice(&block[..to.len()]);
    }
}

/// Packs up to 32 rows from their columns; missing ones become 0.
pub fn pack_columns<'a>(columns: impl Iterator<Item = &'a [f32]>, strip: &mut [f32]) {
    for (column, to) in columns.zip(strip.chunks_exact_mut(STRIP)) {
        to[..column.len()].copy_from_slice(column);
        to[column.len()..].fill(0.0);
    }
}

/// To `sums[i][j]` comes the product of row i of the left and row j of the right strip.
pub fn multiply(left: &[f32], right: &[f32], start: Start, sums: &mut Sums) {
    assert_eq!(left.len(), right.len());
    if start == Start::Zero {
        sums.fill(0.0);
    }
    Arch::new().dispatch(Multiply { left, right, sums });
}

struct Multiply<'a> {
    left: &'a [f32],
    right: &'a [f32],
    sums: &'a mut Sums,
}

impl WithSimd for Multiply<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // As many rows as leave their sums in the registers: 32 of them, or 16.
        if S::F32_LANES == 16 {
            multiply_rows::<S, 8>(simd, self.left, self.right, self.sums);
        } else {
            multiply_rows::<S, 4>(simd, self.left, self.right, self.sums);
        }
    }
}

/// ROWS left rows at a time by two vectors of right rows.
#[inline(always)]
fn multiply_rows<S: Simd, const ROWS: usize>(simd: S, left: &[f32], right: &[f32], sums: &mut Sums) {
    let (left, right) = (left.as_chunks::<STRIP>().0, right.as_chunks::<STRIP>().0);
    for row in (0..STRIP).step_by(ROWS) {
        for column in (0..STRIP).step_by(2 * S::F32_LANES) {
            let mut acc = [[simd.splat_f32s(0.0); 2]; ROWS];
            for (i, acc) in acc.iter_mut().enumerate() {
                acc.copy_from_slice(&S::as_simd_f32s(&sums[(row + i) * STRIP + column..]).0[..2]);
            }
            for (a, x) in left.iter().zip(right) {
                let (x, _) = S::as_simd_f32s(&x[column..]);
                let x = [x[0], x[1]];
                for i in 0..ROWS {
                    let a = simd.splat_f32s(a[row + i]);
                    acc[i] = [simd.mul_add_e_f32s(a, x[0], acc[i][0]), simd.mul_add_e_f32s(a, x[1], acc[i][1])];
                }
            }
            for (i, acc) in acc.iter().enumerate() {
                let (to, _) = S::as_mut_simd_f32s(&mut sums[(row + i) * STRIP + column..]);
                to[..2].copy_from_slice(acc);
            }
        }
    }
}
