//! Products in vector lanes, for processors without matrix tiles.
//!
//! As in [`tiles`](super::tiles), operands are packed in strips of 32 rows. A right strip holds the
//! 32 numbers of one position side by side, a left strip those of 8 rows.

use pulp::{Arch, Simd, WithSimd};

use super::product::{STRIP, Sums};
use super::transpose::transpose;

/// Rows of the left strip that lie side by side.
const GROUP: usize = 8;

/// Numbers of a packed strip of rows of `len` numbers.
pub const fn strip_len(len: usize) -> usize {
    STRIP * len
}

/// Packs up to 32 rows as a left strip; missing ones become 0.
pub fn pack_left<'a>(rows: impl Iterator<Item = &'a [f32]>, strip: &mut [f32]) {
    let len = strip.len() / STRIP;
    let mut rows = rows.fuse();
    for group in strip.chunks_exact_mut(GROUP * len) {
        for i in 0..GROUP {
            let to = group[i..].iter_mut().step_by(GROUP);
            match rows.next() {
                Some(row) => to.zip(row).for_each(|(to, x)| *to = *x),
                None => to.for_each(|to| *to = 0.0),
            }
        }
    }
}

/// Packs up to 32 rows as a right strip; missing ones become 0.
pub fn pack_right<'a>(rows: impl Iterator<Item = &'a [f32]>, strip: &mut [f32]) {
    let rows: Vec<&[f32]> = rows.take(STRIP).collect();
    let mut block: Sums = [0.0; STRIP * STRIP];
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

/// `sums[i][j]` is the product of row i of the left and row j of the right strip.
pub fn multiply(left: &[f32], right: &[f32], sums: &mut Sums) {
    assert_eq!(left.len(), right.len());
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
        let len = self.left.len() / STRIP;
        let groups = self.left.chunks_exact(GROUP * len).zip(self.sums.chunks_exact_mut(GROUP * STRIP));
        for (left, sums) in groups {
            // As many rows as leave their sums in the registers: 32 of them, or 16.
            if S::F32_LANES == 16 {
                multiply_rows::<S, GROUP>(simd, left, self.right, sums);
            } else {
                multiply_rows::<S, { GROUP / 2 }>(simd, left, self.right, sums);
            }
        }
    }
}

/// A group of left rows, ROWS at a time, by all right rows, two vectors of them at a time.
#[inline(always)]
fn multiply_rows<S: Simd, const ROWS: usize>(simd: S, left: &[f32], right: &[f32], sums: &mut [f32]) {
    let (left, right) = (left.as_chunks::<GROUP>().0, right.as_chunks::<STRIP>().0);
    for row in (0..GROUP).step_by(ROWS) {
        for column in (0..STRIP).step_by(2 * S::F32_LANES) {
            let mut acc = [[simd.splat_f32s(0.0); 2]; ROWS];
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
