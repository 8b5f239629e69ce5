//! Transposing small matrices.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

use super::kernel::{STRIP, Sums};

/// Transposes 32 × 32 numbers.
pub fn transpose(sums: &mut Sums) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512f") {
        // SAFETY: the processor has the instructions.
        #[expect(unsafe_code, reason = "vector instructions are chosen at run time")]
        return unsafe { transpose_in_vectors(sums) };
    }
    for i in 0..STRIP {
        for j in 0..i {
            sums.swap(i * STRIP + j, j * STRIP + i);
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn transpose_in_vectors(sums: &mut Sums) {
    let read = |sums: &Sums, row: usize, column: usize| {
        std::array::from_fn(|i| {
            let from = &sums[(row + i) * STRIP + column..][..16];
            // SAFETY: the slice has 16 numbers.
            #[expect(unsafe_code, reason = "a load of one vector")]
            unsafe {
                _mm512_loadu_si512(from.as_ptr().cast())
            }
        })
    };
    let write = |sums: &mut Sums, row: usize, column: usize, block: [__m512i; 16]| {
        for (i, line) in block.into_iter().enumerate() {
            let to = &mut sums[(row + i) * STRIP + column..][..16];
            // SAFETY: the slice has 16 numbers.
            #[expect(unsafe_code, reason = "a store of one vector")]
            unsafe {
                _mm512_storeu_si512(to.as_mut_ptr().cast(), line)
            };
        }
    };
    for (row, column) in [(0, 0), (16, 0), (16, 16)] {
        let (mut block, mut mirror) = (read(sums, row, column), read(sums, column, row));
        transpose_16(&mut block);
        transpose_16(&mut mirror);
        write(sums, column, row, block);
        write(sums, row, column, mirror);
    }
}

/// Transposes 16 × 16 numbers of 32 bits.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
pub fn transpose_16(rows: &mut [__m512i; 16]) {
    let mut pairs = [_mm512_setzero_si512(); 16];
    for i in (0..16).step_by(2) {
        pairs[i] = _mm512_unpacklo_epi32(rows[i], rows[i + 1]);
        pairs[i + 1] = _mm512_unpackhi_epi32(rows[i], rows[i + 1]);
    }
    for i in (0..16).step_by(4) {
        rows[i] = _mm512_unpacklo_epi64(pairs[i], pairs[i + 2]);
        rows[i + 1] = _mm512_unpackhi_epi64(pairs[i], pairs[i + 2]);
        rows[i + 2] = _mm512_unpacklo_epi64(pairs[i + 1], pairs[i + 3]);
        rows[i + 3] = _mm512_unpackhi_epi64(pairs[i + 1], pairs[i + 3]);
    }
    for half in [0, 8] {
        for i in half..half + 4 {
            pairs[i] = _mm512_shuffle_i32x4::<0x88>(rows[i], rows[i + 4]);
            pairs[i + 4] = _mm512_shuffle_i32x4::<0xdd>(rows[i], rows[i + 4]);
        }
    }
    for i in 0..8 {
        rows[i] = _mm512_shuffle_i32x4::<0x88>(pairs[i], pairs[i + 8]);
        rows[i + 8] = _mm512_shuffle_i32x4::<0xdd>(pairs[i], pairs[i + 8]);
    }
}
