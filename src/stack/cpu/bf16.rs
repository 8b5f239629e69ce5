//! Numbers packed as `bf16`: 16 bits, of which 8 are the mantissa.
//!
//! A strip goes by steps of 32 numbers of its 32 rows. Of each step the left operand holds two tiles:
//! 16 rows of 32 numbers, 64 bytes a row. The right one holds two tiles of 16 columns: 16 pairs of
//! numbers of each column, 64 bytes a pair. This is the form in which [`tiles`](super::tiles) and
//! [`dots`](super::dots) multiply.
//!
//! In full precision a number is split into three `bf16`, x = high + middle + low exactly to 24 bits,
//! and each part has its two tiles.

#![expect(unsafe_code, reason = "vector instructions are chosen at run time")]

use std::arch::x86_64::*;

use super::kernel::STRIP;
use super::transpose::transpose_16;

/// Numbers of a row in one step.
pub const STEP: usize = 32;
/// Rows of a tile.
pub const TILE: usize = 16;
/// Bytes of a row of a tile.
pub const LINE_BYTES: usize = 64;
/// Bytes of a tile.
pub const TILE_BYTES: usize = TILE * LINE_BYTES;

/// Into how many `bf16` numbers each number is split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parts {
    /// One: `bf16` precision.
    One,
    /// Three: `f32` precision.
    Three,
}

impl Parts {
    const fn count(self) -> usize {
        match self {
            Self::One => 1,
            Self::Three => 3,
        }
    }

    /// Bytes of a step of a strip.
    pub const fn step_bytes(self) -> usize {
        2 * self.count() * TILE_BYTES
    }

    /// Bytes of a packed strip of rows of `len` numbers.
    pub const fn strip_bytes(self, len: usize) -> usize {
        len.div_ceil(STEP) * self.step_bytes()
    }
}

/// Whether this processor converts and multiplies `bf16` numbers.
pub fn available() -> bool {
    is_x86_feature_detected!("avx512bf16") && is_x86_feature_detected!("avx512bw")
}

/// Packs up to 32 rows as a left strip; missing ones become 0.
pub fn pack_left<'a>(rows: impl Iterator<Item = &'a [f32]>, parts: Parts, strip: &mut [u8]) {
    assert!(available());
    // SAFETY: the processor has the instructions.
    unsafe { pack_left_512(rows, parts, strip) }
}

/// Packs up to 32 rows as a right strip; missing ones become 0.
pub fn pack_right<'a>(rows: impl Iterator<Item = &'a [f32]>, parts: Parts, strip: &mut [u8]) {
    assert!(available());
    // SAFETY: the processor has the instructions.
    unsafe { pack_right_512(rows, parts, strip) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn pack_left_512<'a>(rows: impl Iterator<Item = &'a [f32]>, parts: Parts, strip: &mut [u8]) {
    let mut rows = rows.fuse();
    let rows: [&[f32]; STRIP] = std::array::from_fn(|_| rows.next().unwrap_or_default());
    for (at, step) in strip.chunks_exact_mut(parts.step_bytes()).enumerate() {
        for (i, row) in rows.iter().enumerate() {
            let (tile, line) = (i / TILE, i % TILE);
            let numbers = row.get(at * STEP..).unwrap_or_default();
            let split = split(&numbers[..numbers.len().min(STEP)]);
            for (part, bits) in split.into_iter().take(parts.count()).enumerate() {
                store(bits, &mut step[(2 * part + tile) * TILE_BYTES + line * LINE_BYTES..]);
            }
        }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn pack_right_512<'a>(rows: impl Iterator<Item = &'a [f32]>, parts: Parts, strip: &mut [u8]) {
    let mut rows = rows.fuse();
    for tile in 0..2 {
        let rows: [&[f32]; TILE] = std::array::from_fn(|_| rows.next().unwrap_or_default());
        for (at, step) in strip.chunks_exact_mut(parts.step_bytes()).enumerate() {
            let mut split_rows = [[_mm512_setzero_si512(); TILE]; 3];
            for (i, row) in rows.iter().enumerate() {
                let Some(numbers) = row.get(at * STEP..) else { continue };
                for (part, bits) in split(&numbers[..numbers.len().min(STEP)]).into_iter().enumerate() {
                    split_rows[part][i] = bits;
                }
            }
            for (part, pairs) in split_rows.iter_mut().take(parts.count()).enumerate() {
                transpose_16(pairs);
                for (line, bits) in pairs.iter().enumerate() {
                    store(*bits, &mut step[(2 * part + tile) * TILE_BYTES + line * LINE_BYTES..]);
                }
            }
        }
    }
}

/// Packs a right strip of up to 32 rows from its columns, each at most 32 long; missing ones become 0.
pub fn pack_right_columns<'a>(columns: impl Iterator<Item = &'a [f32]>, parts: Parts, strip: &mut [u8]) {
    assert!(available());
    // SAFETY: the processor has the instructions.
    unsafe { pack_right_columns_512(columns, parts, strip) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn pack_right_columns_512<'a>(columns: impl Iterator<Item = &'a [f32]>, parts: Parts, strip: &mut [u8]) {
    // A line holds number 2 k and number 2 k + 1 of 16 rows, in turns.
    let mut turns = [0_u16; STRIP];
    for (i, turn) in turns.iter_mut().enumerate() {
        *turn = (i / 2 + i % 2 * TILE) as u16;
    }
    // SAFETY: both are 512 bits without invalid values.
    let turns = unsafe { std::mem::transmute::<[u16; STRIP], __m512i>(turns) };
    let mut columns = columns.fuse();
    for step in strip.chunks_exact_mut(parts.step_bytes()) {
        for line in 0..TILE {
            let even = load(columns.next().unwrap_or_default());
            let odd = load(columns.next().unwrap_or_default());
            let halves = [split_pair(even.0, odd.0), split_pair(even.1, odd.1)];
            for (tile, split) in halves.into_iter().enumerate() {
                for (part, bits) in split.into_iter().take(parts.count()).enumerate() {
                    let bits = _mm512_permutexvar_epi16(turns, bits);
                    store(bits, &mut step[(2 * part + tile) * TILE_BYTES + line * LINE_BYTES..]);
                }
            }
        }
    }
}

/// Up to 32 numbers as `bf16`: high, middle and low part.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn split(numbers: &[f32]) -> [__m512i; 3] {
    let (first, second) = load(numbers);
    split_pair(first, second)
}

/// 32 numbers as `bf16`: high, middle and low part.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn split_pair(mut first: __m512, mut second: __m512) -> [__m512i; 3] {
    let mut parts = [_mm512_setzero_si512(); 3];
    for part in &mut parts {
        // SAFETY: both are 512 bits without invalid values.
        *part = unsafe { std::mem::transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(second, first)) };
        first = _mm512_sub_ps(first, widen(_mm512_castsi512_si256(*part)));
        second = _mm512_sub_ps(second, widen(_mm512_extracti64x4_epi64::<1>(*part)));
    }
    parts
}

/// Sixteen `bf16` as `f32`: the same bits, higher up.
#[target_feature(enable = "avx512f")]
fn widen(half: __m256i) -> __m512 {
    _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(half)))
}

/// Up to 32 numbers, missing ones 0.
#[target_feature(enable = "avx512f")]
fn load(numbers: &[f32]) -> (__m512, __m512) {
    let there = u32::MAX.checked_shr((STEP - numbers.len()) as u32).unwrap_or(0);
    let start = numbers.as_ptr();
    // SAFETY: the masks leave out what is behind the end.
    unsafe {
        (
            _mm512_maskz_loadu_ps(there as u16, start),
            _mm512_maskz_loadu_ps((there >> 16) as u16, start.wrapping_add(TILE)),
        )
    }
}

#[target_feature(enable = "avx512f")]
fn store(bits: __m512i, to: &mut [u8]) {
    // SAFETY: the slice is as long as a line.
    unsafe { _mm512_storeu_si512(to[..LINE_BYTES].as_mut_ptr().cast(), bits) }
}
