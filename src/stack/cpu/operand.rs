//! The operands of products: rows of numbers, and rows packed for a [`Kernel`].

use std::ops::Range;

use bytemuck::{Pod, Zeroable, cast_slice, cast_slice_mut};
use rayon::prelude::*;

use super::kernel::{Kernel, STEP, STRIP};
use super::vector;

/// A shorter chunk would spend its time on fetching and storing sums.
const LEAST_STEPS: usize = 4;

/// Rows of numbers somewhere in a slice.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    values: &'a [f32],
    /// From the start of a row to the next.
    stride: usize,
    /// Numbers of a row.
    pub len: usize,
    /// How many rows.
    pub n: usize,
    /// Which rows, where not all.
    chosen: Option<&'a [u32]>,
}

impl<'a> Rows<'a> {
    /// `n` rows of `len` numbers, `stride` apart.
    ///
    /// # Panics
    /// If the slice is too short.
    pub fn new(values: &'a [f32], n: usize, len: usize, stride: usize) -> Self {
        assert!(n == 0 || (n - 1) * stride + len <= values.len(), "rows within the slice");
        Self { values, stride, len, n, chosen: None }
    }

    /// Only some rows, in the given order.
    ///
    /// # Panics
    /// If one is out of range.
    pub fn choose(self, rows: &'a [u32]) -> Self {
        assert!(rows.iter().all(|&row| (row as usize) < self.n), "rows that are there");
        Self { chosen: Some(rows), n: rows.len(), ..self }
    }

    fn row(&self, row: usize) -> &'a [f32] {
        let row = self.chosen.map_or(row, |chosen| chosen[row] as usize);
        &self.values[row * self.stride..][..self.len]
    }

    /// A chunk of each row of a strip.
    pub fn strip(self, strip: usize, chunk: Range<usize>) -> impl Iterator<Item = &'a [f32]> {
        (strip * STRIP..self.n.min((strip + 1) * STRIP)).map(move |row| &self.row(row)[chunk.clone()])
    }

    /// Has the cache fetch one of the equal shares into which a chunk of a strip is cut.
    pub fn fetch(self, strip: usize, chunk: Range<usize>, share: Range<usize>) {
        let rows = strip * STRIP..self.n.min((strip + 1) * STRIP);
        let per_share = STRIP.div_ceil(share.end);
        for row in rows.skip(share.start * per_share).take(per_share) {
            vector::fetch(&self.row(row)[chunk.clone()]);
        }
    }

    /// The numbers of a strip of columns in a chunk of the rows.
    fn columns(self, strip: usize, chunk: Range<usize>) -> impl Iterator<Item = &'a [f32]> {
        let columns = strip * STRIP..self.len.min((strip + 1) * STRIP);
        chunk.map(move |row| &self.row(row)[columns.clone()])
    }
}

/// The right operand, packed: its rows chunk by chunk, in each chunk strip by strip.
#[derive(Debug, Default)]
pub struct Right {
    bytes: Aligned,
    /// Into which the length of its rows is cut.
    pub chunks: Chunks,
    /// How many rows.
    pub n: usize,
}

impl Right {
    /// Packs rows, on all threads.
    pub fn pack(&mut self, kernel: Kernel, rows: Rows<'_>) {
        let strips = self.set_up(kernel, rows.n, rows.len);
        strips.into_par_iter().for_each(|(i, chunk, strip)| kernel.pack_right(rows.strip(i, chunk), strip));
    }

    /// Packs rows, on this thread.
    pub fn pack_here(&mut self, kernel: Kernel, rows: Rows<'_>) {
        for (i, chunk, strip) in self.set_up(kernel, rows.n, rows.len) {
            kernel.pack_right(rows.strip(i, chunk), strip);
        }
    }

    /// Packs the columns of a matrix as rows, on this thread.
    pub fn pack_columns_here(&mut self, kernel: Kernel, rows: Rows<'_>) {
        for (i, chunk, strip) in self.set_up(kernel, rows.len, rows.n) {
            kernel.pack_right_columns(rows.columns(i, chunk), strip);
        }
    }

    /// All strips of a chunk, one after the other.
    pub fn chunk(&self, bytes: &Range<usize>) -> &[u8] {
        let n_strips = self.n.div_ceil(STRIP);
        &self.bytes.get()[n_strips * bytes.start..n_strips * bytes.end]
    }

    /// The longest chunk.
    pub fn longest_chunk(&self) -> usize {
        self.chunks.step.min(self.chunks.len)
    }

    /// Every strip of every chunk, to be packed.
    fn set_up(&mut self, kernel: Kernel, n: usize, len: usize) -> Vec<(usize, Range<usize>, &mut [u8])> {
        let n_strips = n.div_ceil(STRIP);
        self.n = n;
        self.chunks = Chunks::new(kernel, n_strips, len);
        self.bytes.resize(n_strips * kernel.strip_bytes(len));
        let mut rest = self.bytes.get_mut();
        let mut strips = Vec::with_capacity(n_strips * len.div_ceil(self.chunks.step));
        for chunk in self.chunks.iter() {
            for i in 0..n_strips {
                let (strip, after) = rest.split_at_mut(kernel.strip_bytes(chunk.len()));
                strips.push((i, chunk.clone(), strip));
                rest = after;
            }
        }
        strips
    }
}

/// Into which a length is cut.
#[derive(Clone, Copy, Debug, Default)]
pub struct Chunks {
    /// The length.
    pub len: usize,
    step: usize,
}

impl Chunks {
    /// As long as leave a chunk of all strips in the cache.
    fn new(kernel: Kernel, n_strips: usize, len: usize) -> Self {
        let steps = kernel.chunk_bytes() / (n_strips.max(1) * kernel.strip_bytes(STEP));
        Self { len, step: steps.max(LEAST_STEPS) * STEP }
    }

    /// Each, in order.
    pub fn iter(self) -> impl Iterator<Item = Range<usize>> {
        (0..self.len).step_by(self.step).map(move |start| start..self.len.min(start + self.step))
    }
}

/// A left operand that is packed once and kept: its rows strip by strip.
#[derive(Debug)]
pub struct Kept {
    bytes: Aligned,
    strip_bytes: usize,
    /// How many rows.
    pub n: usize,
}

impl Kept {
    /// Packs rows, on all threads.
    pub fn new(kernel: Kernel, rows: Rows<'_>) -> Self {
        let strip_bytes = kernel.strip_bytes(rows.len);
        let mut bytes = Aligned::default();
        bytes.resize(rows.n.div_ceil(STRIP) * strip_bytes);
        bytes.get_mut().par_chunks_exact_mut(strip_bytes).enumerate().for_each(|(i, strip)| {
            kernel.pack_left(rows.strip(i, 0..rows.len), strip);
        });
        Self { bytes, strip_bytes, n: rows.n }
    }

    /// All rows.
    pub fn rows(&self) -> KeptRows<'_> {
        KeptRows { kept: self, n: self.n, chosen: None }
    }

    fn strip(&self, i: usize) -> &[u8] {
        &self.bytes.get()[i * self.strip_bytes..][..self.strip_bytes]
    }
}

/// Rows that were packed before.
#[derive(Clone, Copy, Debug)]
pub struct KeptRows<'a> {
    kept: &'a Kept,
    /// How many.
    pub n: usize,
    /// Which rows, where not all.
    chosen: Option<&'a [u32]>,
}

impl<'a> KeptRows<'a> {
    /// Only some rows, in the given order.
    ///
    /// # Panics
    /// If one is out of range.
    pub fn choose(self, rows: &'a [u32]) -> Self {
        assert!(rows.iter().all(|&row| (row as usize) < self.n), "rows that are there");
        Self { chosen: Some(rows), n: rows.len(), ..self }
    }

    /// A chunk of a strip, by its bytes: where it lies or, of chosen rows, put together in `room`.
    pub fn strip<'r>(self, kernel: Kernel, strip: usize, bytes: Range<usize>, room: &'r mut [u8]) -> &'r [u8]
    where
        'a: 'r,
    {
        let Some(chosen) = self.chosen else { return &self.kept.strip(strip)[bytes] };
        let (line, block) = (kernel.line_bytes(), STRIP * kernel.line_bytes());
        for (i, &row) in chosen[strip * STRIP..].iter().take(STRIP).enumerate() {
            let from = &self.kept.strip(row as usize / STRIP)[bytes.clone()];
            for (from, to) in from.chunks_exact(block).zip(room.chunks_exact_mut(block)) {
                to[i * line..][..line].copy_from_slice(&from[row as usize % STRIP * line..][..line]);
            }
        }
        room
    }
}

/// Bytes that start at a cache line. Contents do not survive a resize.
#[derive(Debug, Default)]
pub struct Aligned(Vec<Line>);

#[derive(Clone, Copy, Debug, Zeroable, Pod)]
#[repr(C, align(64))]
struct Line([u8; 64]);

impl Aligned {
    /// Makes room.
    ///
    /// # Panics
    /// If it is not whole lines.
    pub fn resize(&mut self, bytes: usize) {
        assert_eq!(bytes % 64, 0, "whole lines");
        self.0.resize(bytes / 64, Line::zeroed());
    }

    /// What is there.
    pub fn get(&self) -> &[u8] {
        cast_slice(&self.0)
    }

    /// The same, to be written.
    pub fn get_mut(&mut self) -> &mut [u8] {
        cast_slice_mut(&mut self.0)
    }
}
