//! Matrix products of rows with rows: `out[m][n] = left[n] · right[m]`.
//!
//! The left operand is usually the weights of a linear map, its rows the outputs; the right one the
//! cells. Both are packed in strips of 32 rows for the [`Kernel`] in use: the right one once, the left
//! one strip by strip while it is used, so that weights stay as they are in their file.
//!
//! Caches decide the speed, so a product goes by chunks of the rows' length (Goto and van de Geijn,
//! "Anatomy of High-Performance Matrix Multiplication", 2008): a chunk of all right strips stays in
//! the second-level cache while the left strips of a panel pass, and their sums wait in memory for
//! the next chunk. Every sum is formed by one thread in one order: results do not depend on the
//! number of threads.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut, Range};

use bytemuck::{Pod, Zeroable, cast_slice, cast_slice_mut};
use rayon::prelude::*;

#[cfg(target_arch = "x86_64")]
use super::bf16::{self, Parts};
#[cfg(target_arch = "x86_64")]
use super::dots;
#[cfg(target_arch = "x86_64")]
use super::tiles::{self, Tiles};
use super::transpose::transpose;
use super::{lanes, vector};

/// Rows of a strip.
pub const STRIP: usize = 32;

/// Lengths of chunks are multiples of it.
const STEP: usize = 32;

/// A shorter chunk would spend its time on fetching and storing sums.
const LEAST_STEPS: usize = 4;

/// Most strips of left rows that pass for one chunk of right rows.
const PANEL: usize = 16;

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
    /// multiple of [`STEP`].
    fn strip_bytes(self, len: usize) -> usize {
        match self {
            Self::Lanes => 4 * lanes::strip_len(len),
            #[cfg(target_arch = "x86_64")]
            Self::Tiles(parts) => parts.strip_bytes(len),
            #[cfg(target_arch = "x86_64")]
            Self::Dots => Parts::One.strip_bytes(len),
        }
    }

    /// Bytes of packed right rows that stay in the cache with all that passes.
    fn chunk_bytes(self) -> usize {
        match self {
            Self::Lanes => 384 << 10,
            #[cfg(target_arch = "x86_64")]
            Self::Dots => 384 << 10,
            // Every processor with tiles has a second-level cache of 2 MiB.
            #[cfg(target_arch = "x86_64")]
            Self::Tiles(_) => 1 << 20,
        }
    }

    fn pack_left<'a>(self, rows: impl Iterator<Item = &'a [f32]>, strip: &mut [u8]) {
        match self {
            Self::Lanes => lanes::pack(rows, cast_slice_mut(strip)),
            #[cfg(target_arch = "x86_64")]
            Self::Tiles(parts) => bf16::pack_left(rows, parts, strip),
            #[cfg(target_arch = "x86_64")]
            Self::Dots => bf16::pack_left(rows, Parts::One, strip),
        }
    }

    fn pack_right<'a>(self, rows: impl Iterator<Item = &'a [f32]>, strip: &mut [u8]) {
        match self {
            Self::Lanes => lanes::pack(rows, cast_slice_mut(strip)),
            #[cfg(target_arch = "x86_64")]
            Self::Tiles(parts) => bf16::pack_right(rows, parts, strip),
            #[cfg(target_arch = "x86_64")]
            Self::Dots => bf16::pack_right(rows, Parts::One, strip),
        }
    }

    /// From the transposed rows: the first number of every row of the strip, then the second.
    fn pack_right_columns<'a>(self, columns: impl Iterator<Item = &'a [f32]>, strip: &mut [u8]) {
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
enum Ready {
    Lanes,
    #[cfg(target_arch = "x86_64")]
    Tiles(Tiles, Parts),
    #[cfg(target_arch = "x86_64")]
    Dots,
}

impl Ready {
    fn new(kernel: Kernel) -> Self {
        match kernel {
            Kernel::Lanes => Self::Lanes,
            #[cfg(target_arch = "x86_64")]
            Kernel::Tiles(parts) => Self::Tiles(Tiles::new(), parts),
            #[cfg(target_arch = "x86_64")]
            Kernel::Dots => Self::Dots,
        }
    }

    fn multiply(&self, left: &[u8], right: &[u8], start: Start, sums: &mut Sums) {
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

/// Rows of numbers somewhere in a slice.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    values: &'a [f32],
    /// From the start of a row to the next.
    stride: usize,
    /// Numbers of a row.
    len: usize,
    n: usize,
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

    fn strip(self, strip: usize, chunk: Range<usize>) -> impl Iterator<Item = &'a [f32]> {
        (strip * STRIP..self.n.min((strip + 1) * STRIP)).map(move |row| &self.row(row)[chunk.clone()])
    }

    /// Has the cache fetch one of the equal shares into which a chunk of a strip is cut.
    fn fetch(self, strip: usize, chunk: Range<usize>, share: Range<usize>) {
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
    chunks: Chunks,
    n: usize,
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
struct Chunks {
    len: usize,
    step: usize,
}

impl Chunks {
    /// As long as leave a chunk of all strips in the cache.
    fn new(kernel: Kernel, n_strips: usize, len: usize) -> Self {
        let steps = kernel.chunk_bytes() / (n_strips.max(1) * kernel.strip_bytes(STEP));
        Self { len, step: steps.max(LEAST_STEPS) * STEP }
    }

    fn iter(self) -> impl Iterator<Item = Range<usize>> {
        (0..self.len).step_by(self.step).map(move |start| start..self.len.min(start + self.step))
    }
}

/// A left operand that is packed once and kept: its rows strip by strip.
#[derive(Debug)]
pub struct Kept {
    bytes: Aligned,
    strip_bytes: usize,
    n: usize,
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

    fn strip(&self, i: usize) -> &[u8] {
        &self.bytes.get()[i * self.strip_bytes..][..self.strip_bytes]
    }
}

/// The left operand.
#[derive(Clone, Copy, Debug)]
pub enum Left<'a> {
    /// To be packed as it is used.
    Rows(Rows<'a>),
    /// Packed before.
    Kept(&'a Kept),
}

impl Left<'_> {
    fn n(&self) -> usize {
        match self {
            Self::Rows(rows) => rows.n,
            Self::Kept(kept) => kept.n,
        }
    }
}

/// Where products go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// A row for each right row.
    ByRight,
    /// A row for each left row.
    ByLeft,
}

/// Rows of numbers to be written, possibly of a wider matrix.
pub struct Out<'a> {
    /// The first number of the first row on.
    pub values: &'a mut [f32],
    /// From the start of a row to the next.
    pub stride: usize,
    /// What a row is for.
    pub layout: Layout,
}

/// The product, on all threads. `finish` changes each run of numbers, given the index of its first
/// column, before it is left.
pub fn product(kernel: Kernel, left: Left<'_>, right: &Right, out: Out<'_>, finish: impl Fn(usize, &mut [f32]) + Sync) {
    let target = Target::new(left.n(), right.n, out);
    let strips = left.n().div_ceil(STRIP);
    // As many panels for each thread.
    let n_panels = strips.div_ceil(PANEL).next_multiple_of(rayon::current_num_threads());
    let per_panel = strips.div_ceil(n_panels).max(1);
    (0..strips.div_ceil(per_panel)).into_par_iter().for_each(|panel| {
        let strips = panel * per_panel..strips.min((panel + 1) * per_panel);
        multiply_panel(kernel, left, strips, right, &target, &finish);
    });
}

/// The product, on this thread.
pub fn product_here(kernel: Kernel, left: Left<'_>, right: &Right, out: Out<'_>) {
    let target = Target::new(left.n(), right.n, out);
    let strips = left.n().div_ceil(STRIP);
    for start in (0..strips).step_by(PANEL) {
        multiply_panel(kernel, left, start..strips.min(start + PANEL), right, &target, &|_, _| ());
    }
}

/// Room for a panel at work.
#[derive(Default)]
struct Panel {
    /// A chunk of a left strip.
    left: Aligned,
    /// Of every left strip with every right strip, as far as chunks have been added.
    sums: Vec<Sums>,
}

fn multiply_panel(
    kernel: Kernel,
    left: Left<'_>,
    strips: Range<usize>,
    right: &Right,
    target: &Target,
    finish: &(impl Fn(usize, &mut [f32]) + Sync),
) {
    thread_local! {
        static PANEL: RefCell<Panel> = RefCell::default();
    }
    let (n_right, len) = (right.n.div_ceil(STRIP), right.chunks.len);
    if let Left::Rows(rows) = left {
        assert_eq!(rows.len, len, "rows of one length");
    }
    PANEL.with_borrow_mut(|Panel { left: packed, sums }| {
        let ready = Ready::new(kernel);
        packed.resize(kernel.strip_bytes(right.chunks.step.min(right.chunks.len)));
        if sums.len() < strips.len() * n_right {
            sums.resize(strips.len() * n_right, Sums::ZERO);
        }
        for chunk in right.chunks.iter() {
            let bytes = kernel.strip_bytes(chunk.start)..kernel.strip_bytes(chunk.end);
            let start = if chunk.start == 0 { Start::Zero } else { Start::Sums };
            let rights = &right.bytes.get()[n_right * bytes.start..n_right * bytes.end];
            for (i, sums) in strips.clone().zip(sums.chunks_exact_mut(n_right)) {
                let strip = match left {
                    Left::Rows(rows) => {
                        let strip = &mut packed.get_mut()[..bytes.len()];
                        kernel.pack_left(rows.strip(i, chunk.clone()), strip);
                        strip
                    }
                    Left::Kept(kept) => &kept.strip(i)[bytes.clone()],
                };
                for (j, (sums, right)) in sums.iter_mut().zip(rights.chunks_exact(bytes.len())).enumerate() {
                    // Weights come from far away: those of the next strip set out while these are used.
                    if let Left::Rows(rows) = left
                        && i + 1 < strips.end
                    {
                        rows.fetch(i + 1, chunk.clone(), j..n_right);
                    }
                    ready.multiply(strip, right, start, sums);
                    if chunk.end == len {
                        target.write(i, j, sums, finish);
                    }
                }
            }
        }
    });
}

/// The output, shared by threads that write different parts of it.
struct Target {
    start: *mut f32,
    stride: usize,
    n_left: usize,
    n_right: usize,
    layout: Layout,
}

#[expect(unsafe_code, reason = "each pair of strips is written by one thread")]
// SAFETY: `write` touches the block of its strips alone, and `product` gives each block to one thread.
unsafe impl Sync for Target {}

impl Target {
    fn new(n_left: usize, n_right: usize, out: Out<'_>) -> Self {
        let (rows, columns) = match out.layout {
            Layout::ByRight => (n_right, n_left),
            Layout::ByLeft => (n_left, n_right),
        };
        assert!(rows == 0 || (rows - 1) * out.stride + columns <= out.values.len(), "room for every product");
        Self { start: out.values.as_mut_ptr(), stride: out.stride, n_left, n_right, layout: out.layout }
    }

    /// Writes the products of left strip i with right strip j.
    fn write(&self, i: usize, j: usize, sums: &mut Sums, finish: &impl Fn(usize, &mut [f32])) {
        let lefts = (self.n_left - i * STRIP).min(STRIP);
        let rights = (self.n_right - j * STRIP).min(STRIP);
        let (row, column, rows, columns) = match self.layout {
            Layout::ByRight => {
                transpose(sums);
                (j * STRIP, i * STRIP, rights, lefts)
            }
            Layout::ByLeft => (i * STRIP, j * STRIP, lefts, rights),
        };
        for (r, sums) in sums.chunks_exact(STRIP).enumerate().take(rows) {
            // SAFETY: `new` has checked that row and column are within the slice, and no other
            // thread has this block.
            #[expect(unsafe_code, reason = "blocks of a matrix are no slices")]
            let to =
                unsafe { std::slice::from_raw_parts_mut(self.start.add((row + r) * self.stride + column), columns) };
            to.copy_from_slice(&sums[..columns]);
            finish(column, to);
        }
    }
}

/// Bytes that start at a cache line. Contents do not survive a resize.
#[derive(Debug, Default)]
struct Aligned(Vec<Line>);

#[derive(Clone, Copy, Debug, Zeroable, Pod)]
#[repr(C, align(64))]
struct Line([u8; 64]);

impl Aligned {
    /// # Panics
    /// If it is not whole lines.
    fn resize(&mut self, bytes: usize) {
        assert_eq!(bytes % 64, 0, "whole lines");
        self.0.resize(bytes / 64, Line::zeroed());
    }

    fn get(&self) -> &[u8] {
        cast_slice(&self.0)
    }

    fn get_mut(&mut self) -> &mut [u8] {
        cast_slice_mut(&mut self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(n: usize, seed: u32) -> Vec<f32> {
        let mut state = seed;
        let next = |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / 8_388_608.0 - 1.0
        };
        (0..n).map(next).collect()
    }

    fn kernels() -> Vec<(Kernel, f64)> {
        let mut all = vec![(Kernel::Lanes, 1e-6), (Kernel::full(), 1e-6)];
        all.extend(Kernel::half().map(|kernel| (kernel, 2e-2)));
        #[cfg(target_arch = "x86_64")]
        if bf16::available() {
            all.push((Kernel::Dots, 2e-2));
        }
        all
    }

    /// `left[n] · right[m]` in double precision, as a share of the product of their lengths.
    fn worst_error(out: &[f32], left: &[Vec<f32>], right: &[Vec<f32>], by_left: bool) -> f64 {
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
        let (rows, columns) = if by_left { (left, right) } else { (right, left) };
        let error = |(i, found): (usize, &f32)| {
            let (a, b) = (&rows[i / columns.len()], &columns[i % columns.len()]);
            (f64::from(*found) - dot(a, b)).abs() / (dot(a, a) * dot(b, b)).sqrt()
        };
        out.iter().enumerate().map(error).fold(0.0, f64::max)
    }

    fn rows(values: &[f32], len: usize, stride: usize) -> Vec<Vec<f32>> {
        values.chunks(stride).map(|row| row[..len].to_vec()).collect()
    }

    // Sizes around those of a strip, a step of the tiles, a panel, and a chunk.
    #[test]
    fn products_of_any_size_are_those_of_double_precision() {
        for (n_left, n_right, len) in
            [(1, 1, 1), (32, 32, 32), (33, 31, 33), (99, 77, 45), (600, 40, 130), (70, 512, 700)]
        {
            let (left, right) = (numbers(n_left * len, 1), numbers(n_right * len, 2));
            for (kernel, tolerance) in kernels() {
                for layout in [Layout::ByRight, Layout::ByLeft] {
                    let mut packed = Right::default();
                    packed.pack(kernel, Rows::new(&right, n_right, len, len));
                    let stride = if layout == Layout::ByRight { n_left } else { n_right };
                    let mut out = vec![f32::NAN; n_left * n_right];
                    let left_rows = Rows::new(&left, n_left, len, len);
                    let to = Out { values: &mut out, stride, layout };
                    product(kernel, Left::Rows(left_rows), &packed, to, |_, _| ());
                    let (l, r) = (rows(&left, len, len), rows(&right, len, len));
                    let error = worst_error(&out, &l, &r, layout == Layout::ByLeft);
                    assert!(error < tolerance, "{kernel:?} {layout:?} {n_left} {n_right} {len}: {error}");
                    let kept = Kept::new(kernel, left_rows);
                    let mut again = vec![f32::NAN; n_left * n_right];
                    let to = Out { values: &mut again, stride, layout };
                    product_here(kernel, Left::Kept(&kept), &packed, to);
                    assert_eq!(out, again, "packed before or while it is used, on one thread or several");
                }
            }
        }
    }

    #[test]
    fn chosen_rows_of_a_wider_matrix_are_multiplied_and_finished() {
        let (stride, len, offset) = (50, 20, 7);
        let (left, right) = (numbers(40 * stride, 3), numbers(35 * len, 4));
        let chosen = [39, 0, 7, 7];
        for (kernel, tolerance) in kernels() {
            let mut packed = Right::default();
            packed.pack_here(kernel, Rows::new(&right, 35, len, len));
            let left_rows = Rows::new(&left[offset..], 40, len, stride).choose(&chosen);
            let mut out = vec![0.0; 35 * 4];
            let to = Out { values: &mut out, stride: 4, layout: Layout::ByRight };
            let bias = [1.0, 2.0, 3.0, 4.0];
            product(kernel, Left::Rows(left_rows), &packed, to, |at, run| {
                run.iter_mut().zip(&bias[at..]).for_each(|(x, b)| *x += b);
            });
            let all = rows(&left[offset..], len, stride);
            let picked: Vec<Vec<f32>> = chosen.iter().map(|&row| all[row as usize].clone()).collect();
            for (x, b) in out.iter_mut().zip(bias.iter().cycle()) {
                *x -= b;
            }
            let error = worst_error(&out, &picked, &rows(&right, len, len), false);
            assert!(error < tolerance.max(2e-6), "{kernel:?}: {error}");
        }
    }
}
