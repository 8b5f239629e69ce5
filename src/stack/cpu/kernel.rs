//! The arithmetic of products of packed rows, chosen for the processor at hand.

use std::ops::{Deref, DerefMut};

use bytemuck::{cast_slice, cast_slice_mut};

#[cfg(target_arch = "x86_64")]
use super::bf16::{self, Parts};
#[cfg(target_arch = "x86_64")]
use super::dots;
use super::lanes;
#[cfg(target_arch = "x86_64")]
use super::tiles::{self, Tiles};
use crate::stack::model::Precision;

/// Rows of a strip.
pub const STRIP: usize = 32;

/// Lengths of chunks are multiples of it.
pub const STEP: usize = 32;

/// How products are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernel {
    /// In vector lanes, `f32`.
    Lanes,
    /// In matrix tiles.
    #[cfg(target_arch = "x86_64")]
    Tiles(Parts),
    /// In vectors, `bf16`.
    #[cfg(target_arch = "x86_64")]
    Dots,
}

impl Kernel {
    /// The fastest of a precision, where this processor has an arithmetic for it.
    pub fn of(precision: Precision) -> Option<Self> {
        match precision {
            Precision::F32 => Some(Self::full()),
            Precision::Bf16 => Self::half(),
        }
    }

    /// Whether it multiplies `f32` numbers, rather than what is left of them in `bf16`.
    pub fn is_full(self) -> bool {
        match self {
            Self::Lanes => true,
            #[cfg(target_arch = "x86_64")]
            Self::Tiles(parts) => parts == Parts::Three,
            #[cfg(target_arch = "x86_64")]
            Self::Dots => false,
        }
    }

    /// The fastest for `f32` precision on this processor.
    pub fn full() -> Self {
        #[cfg(target_arch = "x86_64")]
        if tiles::available() {
            return Self::Tiles(Parts::Three);
        }
        Self::Lanes
    }

    /// For `bf16` precision, where this processor has an arithmetic for it.
    pub fn half() -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        if tiles::available() {
            return Some(Self::Tiles(Parts::One));
        }
        #[cfg(target_arch = "x86_64")]
        if bf16::available() {
            return Some(Self::Dots);
        }
        None
    }

    /// Bytes of a packed strip of rows of `len` numbers; of its first `len` numbers, where `len` is a
    /// multiple of `STEP`.
    pub fn strip_bytes(self, len: usize) -> usize {
        match self {
            Self::Lanes => 4 * lanes::strip_len(len),
            #[cfg(target_arch = "x86_64")]
            Self::Tiles(parts) => parts.strip_bytes(len),
            #[cfg(target_arch = "x86_64")]
            Self::Dots => Parts::One.strip_bytes(len),
        }
    }

    /// Bytes of a row that lie side by side in a packed left strip; those of the next row follow.
    pub fn line_bytes(self) -> usize {
        match self {
            Self::Lanes => size_of::<f32>(),
            #[cfg(target_arch = "x86_64")]
            Self::Tiles(_) | Self::Dots => bf16::LINE_BYTES,
        }
    }

    /// Bytes of packed right rows that stay in the cache with all that passes.
    pub fn chunk_bytes(self) -> usize {
        match self {
            Self::Lanes => 384 << 10,
            #[cfg(target_arch = "x86_64")]
            Self::Dots => 384 << 10,
            // Every processor with tiles has a second-level cache of 2 MiB.
            #[cfg(target_arch = "x86_64")]
            Self::Tiles(_) => 1 << 20,
        }
    }

    /// Packs up to 32 rows as a left strip.
    pub fn pack_left<'a>(self, rows: impl Iterator<Item = &'a [f32]>, strip: &mut [u8]) {
        match self {
            Self::Lanes => lanes::pack(rows, cast_slice_mut(strip)),
            #[cfg(target_arch = "x86_64")]
            Self::Tiles(parts) => bf16::pack_left(rows, parts, strip),
            #[cfg(target_arch = "x86_64")]
            Self::Dots => bf16::pack_left(rows, Parts::One, strip),
        }
    }

    /// Packs up to 32 rows as a right strip.
    pub fn pack_right<'a>(self, rows: impl Iterator<Item = &'a [f32]>, strip: &mut [u8]) {
        match self {
            Self::Lanes => lanes::pack(rows, cast_slice_mut(strip)),
            #[cfg(target_arch = "x86_64")]
            Self::Tiles(parts) => bf16::pack_right(rows, parts, strip),
            #[cfg(target_arch = "x86_64")]
            Self::Dots => bf16::pack_right(rows, Parts::One, strip),
        }
    }

    /// From the transposed rows: the first number of every row of the strip, then the second.
    pub fn pack_right_columns<'a>(self, columns: impl Iterator<Item = &'a [f32]>, strip: &mut [u8]) {
        match self {
            Self::Lanes => lanes::pack_columns(columns, cast_slice_mut(strip)),
            #[cfg(target_arch = "x86_64")]
            Self::Tiles(parts) => bf16::pack_right_columns(columns, parts, strip),
            #[cfg(target_arch = "x86_64")]
            Self::Dots => bf16::pack_right_columns(columns, Parts::One, strip),
        }
    }
}

/// A kernel made ready on this thread.
pub enum Ready {
    Lanes,
    #[cfg(target_arch = "x86_64")]
    Tiles(Tiles, Parts),
    #[cfg(target_arch = "x86_64")]
    Dots,
}

impl Ready {
    pub fn new(kernel: Kernel) -> Self {
        match kernel {
            Kernel::Lanes => Self::Lanes,
            #[cfg(target_arch = "x86_64")]
            Kernel::Tiles(parts) => Self::Tiles(Tiles::new(), parts),
            #[cfg(target_arch = "x86_64")]
            Kernel::Dots => Self::Dots,
        }
    }

    pub fn multiply(&self, left: &[u8], right: &[u8], start: Start, sums: &mut Sums) {
        match self {
            Self::Lanes => lanes::multiply(cast_slice(left), cast_slice(right), start, sums),
            #[cfg(target_arch = "x86_64")]
            Self::Tiles(tiles, parts) => tiles.multiply(left, right, *parts, start, sums),
            #[cfg(target_arch = "x86_64")]
            Self::Dots => dots::multiply(left, right, start, sums),
        }
    }
}

/// What products are added to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Nothing: what the sums were before is lost.
    Zero,
    /// The sums so far.
    Sums,
}

/// Products of 32 left rows with 32 right rows.
///
/// They start at a cache line: tiles are fetched and stored by lines.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub struct Sums([f32; STRIP * STRIP]);

impl Sums {
    /// None yet.
    pub const ZERO: Self = Self([0.0; STRIP * STRIP]);
}

impl Deref for Sums {
    type Target = [f32; STRIP * STRIP];

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for Sums {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}
