//! Matrix tiles (AMX): products of `bf16` numbers, 16 × 32 by 32 × 16, summed in `f32`.
//!
//! A tile takes 16 rows of 64 bytes. The left operand is 16 rows of 32 numbers; the right one is
//! 16 pairs of numbers of each of 16 columns. Two tiles of rows are a strip, and a product of two
//! strips keeps four tiles of sums in registers.
//!
//! One `bf16` holds 8 bits of an `f32`'s mantissa. In full precision a number is split into three of
//! them, x = high + middle + low exactly to 24 bits, and a product is the six sums of parts that
//! matter: what is left out is below 2⁻²⁴ of it, so that the result is as good as one of `f32`
//! multiplications, at a multiple of their speed.

#![expect(unsafe_code, reason = "tile registers are reached by machine instructions only")]

use std::arch::asm;
use std::arch::x86_64::*;
use std::sync::OnceLock;

use super::product::{STRIP, Start, Sums};
use super::transpose::transpose_16;

/// Numbers of a row in one step.
const STEP: usize = 32;
/// Rows of a tile.
const TILE: usize = 16;
const TILE_BYTES: usize = 1024;

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

    const fn step_bytes(self) -> usize {
        2 * self.count() * TILE_BYTES
    }

    /// Bytes of a packed strip of rows of `len` numbers.
    pub const fn strip_bytes(self, len: usize) -> usize {
        len.div_ceil(STEP) * self.step_bytes()
    }
}

/// Whether this processor has tiles and the system lets us use them.
pub fn available() -> bool {
    static AVAILABLE: OnceLock<bool> = OnceLock::new();
    *AVAILABLE.get_or_init(|| {
        // Leaf 7 of CPUID: bit 22 of edx is AMX-BF16, bit 24 AMX-TILE.
        let features = __cpuid_count(7, 0).edx;
        let processor = features >> 22 & 1 == 1
            && features >> 24 & 1 == 1
            && is_x86_feature_detected!("avx512bf16")
            && is_x86_feature_detected!("avx512bw");
        processor && permitted()
    })
}

/// Asks the system, once per process, for the tile registers.
#[cfg(target_os = "linux")]
fn permitted() -> bool {
    // arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA): see Documentation/arch/x86/xstate.rst.
    const REQUEST: usize = 0x1023;
    const TILE_DATA: usize = 18;
    // SAFETY: the call changes nothing but what the process may use.
    unsafe { libc::syscall(libc::SYS_arch_prctl, REQUEST, TILE_DATA) == 0 }
}

#[cfg(not(target_os = "linux"))]
fn permitted() -> bool {
    false
}

/// The tile registers of this thread, set up while it lives.
pub struct Tiles(());

#[repr(C, align(64))]
struct Setup {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    bytes_per_row: [u16; 16],
    rows: [u8; 16],
}

impl Tiles {
    /// # Panics
    /// If there are none.
    pub fn new() -> Self {
        assert!(available(), "this processor has no tiles");
        let mut setup = Setup { palette: 1, start_row: 0, reserved: [0; 14], bytes_per_row: [0; 16], rows: [0; 16] };
        setup.bytes_per_row[..8].fill(64);
        setup.rows[..8].fill(TILE as u8);
        // SAFETY: the processor has tiles and the setup is one of its palette.
        unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const setup, options(nostack, readonly)) };
        Self(())
    }

    /// To `sums[i][j]` comes the product of row i of the left and row j of the right strip.
    pub fn multiply(&self, left: &[u8], right: &[u8], parts: Parts, start: Start, sums: &mut Sums) {
        assert_eq!(left.len(), right.len());
        let steps = left.len() / parts.step_bytes();
        assert!(steps > 0 && left.len() == steps * parts.step_bytes());
        // SAFETY: the tiles are set up, and every step reads its bytes of both strips.
        unsafe {
            match start {
                Start::Zero => {
                    asm!("tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3", options(nostack, nomem));
                }
                Start::Sums => asm!(
                    "tileloadd tmm0, [{top} + {stride}]",
                    "tileloadd tmm1, [{top} + {stride} + 64]",
                    "tileloadd tmm2, [{bottom} + {stride}]",
                    "tileloadd tmm3, [{bottom} + {stride} + 64]",
                    top = in(reg) sums.as_ptr(),
                    bottom = in(reg) sums[TILE * STRIP..].as_ptr(),
                    stride = in(reg) STRIP * 4,
                    options(nostack, readonly)
                ),
            }
            match parts {
                Parts::One => multiply_one(left.as_ptr(), right.as_ptr(), steps),
                Parts::Three => multiply_three(left.as_ptr(), right.as_ptr(), steps),
            }
            asm!(
                "tilestored [{top} + {stride}], tmm0",
                "tilestored [{top} + {stride} + 64], tmm1",
                "tilestored [{bottom} + {stride}], tmm2",
                "tilestored [{bottom} + {stride} + 64], tmm3",
                top = in(reg) sums.as_mut_ptr(),
                bottom = in(reg) sums[TILE * STRIP..].as_mut_ptr(),
                stride = in(reg) STRIP * 4,
                options(nostack)
            );
        }
    }
}

impl Drop for Tiles {
    fn drop(&mut self) {
        // SAFETY: as above. A thread without tiles in use is cheaper to switch.
        unsafe { asm!("tilerelease", options(nostack, nomem)) };
    }
}

/// Both tiles of rows (4, 5) times both of columns (6, 7), added to the sums (0 to 3).
macro_rules! products {
    () => {
        "tdpbf16ps tmm0, tmm4, tmm6
         tdpbf16ps tmm1, tmm4, tmm7
         tdpbf16ps tmm2, tmm5, tmm6
         tdpbf16ps tmm3, tmm5, tmm7"
    };
}

/// Loads both tiles of rows, or of columns, of one part.
macro_rules! rows {
    ($part:literal) => {
        concat!("tileloadd tmm4, [{l} + {s} + 2048*", $part, "]\ntileloadd tmm5, [{l} + {s} + 2048*", $part, " + 1024]")
    };
}
macro_rules! columns {
    ($part:literal) => {
        concat!("tileloadd tmm6, [{r} + {s} + 2048*", $part, "]\ntileloadd tmm7, [{r} + {s} + 2048*", $part, " + 1024]")
    };
}

/// Has the first-level cache fetch the part of the right strip that is used two steps later: it
/// comes from the second level, a strip after the other.
macro_rules! fetch {
    ($step:literal, $kib:literal) => {
        concat!(
            fetch!(@ $step, $kib, 0), fetch!(@ $step, $kib, 1), fetch!(@ $step, $kib, 2), fetch!(@ $step, $kib, 3),
            fetch!(@ $step, $kib, 4), fetch!(@ $step, $kib, 5), fetch!(@ $step, $kib, 6), fetch!(@ $step, $kib, 7),
            fetch!(@ $step, $kib, 8), fetch!(@ $step, $kib, 9), fetch!(@ $step, $kib, 10), fetch!(@ $step, $kib, 11),
            fetch!(@ $step, $kib, 12), fetch!(@ $step, $kib, 13), fetch!(@ $step, $kib, 14), fetch!(@ $step, $kib, 15),
        )
    };
    (@ $step:literal, $kib:literal, $line:literal) => {
        concat!("prefetcht0 [{r} + 2*", $step, " + 1024*", $kib, " + 64*", $line, "]\n")
    };
}

unsafe fn multiply_one(left: *const u8, right: *const u8, steps: usize) {
    // SAFETY: by the caller.
    unsafe {
        asm!(
            "2:",
            rows!(0),
            columns!(0),
            products!(),
            "add {l}, 2048",
            "add {r}, 2048",
            "dec {n}",
            "jnz 2b",
            l = inout(reg) left => _,
            r = inout(reg) right => _,
            n = inout(reg) steps => _,
            s = in(reg) 64_usize,
            options(nostack, readonly)
        );
    }
}

unsafe fn multiply_three(left: *const u8, right: *const u8, steps: usize) {
    // SAFETY: by the caller.
    unsafe {
        asm!(
            "2:",
            rows!(0),
            columns!(0),
            products!(),
            fetch!(6144, 0),
            columns!(2),
            products!(),
            fetch!(6144, 1),
            columns!(1),
            products!(),
            fetch!(6144, 2),
            rows!(1),
            products!(),
            fetch!(6144, 3),
            columns!(0),
            products!(),
            fetch!(6144, 4),
            rows!(2),
            products!(),
            fetch!(6144, 5),
            "add {l}, 6144",
            "add {r}, 6144",
            "dec {n}",
            "jnz 2b",
            l = inout(reg) left => _,
            r = inout(reg) right => _,
            n = inout(reg) steps => _,
            s = in(reg) 64_usize,
            options(nostack, readonly)
        );
    }
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
                store(bits, &mut step[(2 * part + tile) * TILE_BYTES + line * 64..]);
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
                    store(*bits, &mut step[(2 * part + tile) * TILE_BYTES + line * 64..]);
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
                    store(bits, &mut step[(2 * part + tile) * TILE_BYTES + line * 64..]);
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
    // SAFETY: the slice has 64 bytes.
    unsafe { _mm512_storeu_si512(to[..64].as_mut_ptr().cast(), bits) }
}
