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
use std::ops::Range;

use rayon::prelude::*;

use super::kernel::{Kernel, Ready, STRIP, Start, Sums};
use super::operand::{Aligned, KeptRows, Right, Rows};
use super::transpose::transpose;

/// Most strips of left rows that pass for one chunk of right rows.
const PANEL: usize = 16;

/// The left operand.
#[derive(Clone, Copy, Debug)]
pub enum Left<'a> {
    /// To be packed as it is used.
    Rows(Rows<'a>),
    /// Packed before.
    Kept(KeptRows<'a>),
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
    if strips == 0 {
        return;
    }
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
        packed.resize(kernel.strip_bytes(right.longest_chunk()));
        if sums.len() < strips.len() * n_right {
            sums.resize(strips.len() * n_right, Sums::ZERO);
        }
        for chunk in right.chunks.iter() {
            let bytes = kernel.strip_bytes(chunk.start)..kernel.strip_bytes(chunk.end);
            let start = if chunk.start == 0 { Start::Zero } else { Start::Sums };
            let rights = right.chunk(&bytes);
            for (i, sums) in strips.clone().zip(sums.chunks_exact_mut(n_right)) {
                let room = &mut packed.get_mut()[..bytes.len()];
                let strip = match left {
                    Left::Rows(rows) => {
                        kernel.pack_left(rows.strip(i, chunk.clone()), room);
                        room
                    }
                    Left::Kept(rows) => rows.strip(kernel, i, bytes.clone(), room),
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
        assert!(columns <= out.stride, "rows that do not overlap");
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

#[cfg(test)]
mod tests {
    use super::super::operand::Kept;
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
        if super::super::bf16::available() {
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
                    product_here(kernel, Left::Kept(kept.rows()), &packed, to);
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
            let [mut as_used, mut kept_before] = [(); 2].map(|()| vec![0.0; 35 * 4]);
            let to = |values| Out { values, stride: 35, layout: Layout::ByLeft };
            product(kernel, Left::Rows(left_rows), &packed, to(&mut as_used), |_, _| ());
            let kept = Kept::new(kernel, Rows::new(&left[offset..], 40, len, stride));
            product(kernel, Left::Kept(kept.rows().choose(&chosen)), &packed, to(&mut kept_before), |_, _| ());
            assert_eq!(as_used, kept_before, "{kernel:?}: chosen from rows packed before");
        }
    }
}
