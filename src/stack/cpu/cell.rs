//! What happens inside one cell: attention between its gene tokens, and the token MLP.
//!
//! A cell is H tokens of T numbers and fits the first-level cache with everything made of it, so
//! one pass does all that lies between two attentions over the window: the MLP of one layer and the
//! attention of the next. Tokens lie side by side there, `[T, H]`, so that a vector holds the same
//! number of many tokens; scores of a pair of tokens are used as they are made and never stored.

use pulp::{Arch, Simd, WithSimd};

use super::vector::{exp, gelu};
use crate::stack::model::LAYER_NORM_EPSILON;

/// Attention between the tokens of a cell, its position embedding and its norm.
#[derive(Debug)]
pub struct Within {
    /// `[3 T, T]`.
    pub qkv: Vec<f32>,
    /// `[T, T]`.
    pub proj: Vec<f32>,
    /// `[T]`.
    pub proj_bias: Vec<f32>,
    /// A divisor of T.
    pub heads: usize,
    /// Over T.
    pub norm: Norm,
}

/// The token MLP and its norm.
#[derive(Debug)]
pub struct TokenMlp {
    /// `[R T, T]`.
    pub first: Vec<f32>,
    /// `[R T]`.
    pub first_bias: Vec<f32>,
    /// `[T, R T]`.
    pub second: Vec<f32>,
    /// `[T]`.
    pub second_bias: Vec<f32>,
    /// Over T.
    pub norm: Norm,
}

/// Weight and bias of a layer norm.
#[derive(Debug)]
pub struct Norm {
    /// One per number.
    pub weight: Vec<f32>,
    /// One per number.
    pub bias: Vec<f32>,
}

/// The largest vector of any processor; rows are padded to it.
const PAD: usize = 16;

/// Room for one cell at work.
#[derive(Debug, Default)]
pub struct Workspace {
    x: Vec<f32>,
    hidden: Vec<f32>,
    out: Vec<f32>,
    /// Largest score and sum of exponentials of each token, numerators after them.
    running: Vec<f32>,
}

/// One step of a cell, `[H, T]`, in place.
pub struct Step<'a> {
    /// The cell.
    pub cell: &'a mut [f32],
    /// The MLP that comes first, where one does.
    pub mlp: Option<&'a TokenMlp>,
    /// The attention that follows, where one does, and the position embedding `[H, T]`.
    pub within: Option<(&'a Within, &'a [f32])>,
    /// T.
    pub width: usize,
    /// To be used again for other cells.
    pub workspace: &'a mut Workspace,
}

impl Step<'_> {
    /// Does it.
    pub fn run(self) {
        Arch::new().dispatch(self);
    }
}

impl WithSimd for Step<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let width = self.width;
        let n = self.cell.len() / width;
        let row = n.next_multiple_of(PAD);
        let Workspace { x, hidden, out, running } = self.workspace;
        x.resize(width * row, 0.0);
        side_by_side(self.cell, width, row, x);
        if let Some(mlp) = self.mlp {
            hidden.resize(mlp.first_bias.len() * row, 0.0);
            out.resize(width * row, 0.0);
            linear(simd, &mlp.first, Some(&mlp.first_bias), x, row, hidden);
            for v in S::as_mut_simd_f32s(hidden).0 {
                *v = gelu(simd, *v);
            }
            linear(simd, &mlp.second, Some(&mlp.second_bias), hidden, row, out);
            add_and_normalise(simd, x, out, row, &mlp.norm);
        }
        if let Some((within, position)) = self.within {
            hidden.resize(4 * width * row, 0.0);
            let (qkv, placed) = hidden.split_at_mut(3 * width * row);
            side_by_side(position, width, row, placed);
            for (p, x) in placed.iter_mut().zip(&*x) {
                *p += x;
            }
            linear(simd, &within.qkv, None, placed, row, qkv);
            out.resize(width * row, 0.0);
            attend(simd, qkv, n, row, within.heads, running, placed);
            linear(simd, &within.proj, Some(&within.proj_bias), placed, row, out);
            add_and_normalise(simd, x, out, row, &within.norm);
        }
        for (h, token) in self.cell.chunks_exact_mut(width).enumerate() {
            for (t, number) in token.iter_mut().enumerate() {
                *number = x[t * row + h];
            }
        }
    }
}

/// `[H, T]` to `[T, row]`; what pads a row is 0.
#[inline(always)]
fn side_by_side(cell: &[f32], width: usize, row: usize, to: &mut [f32]) {
    let n = cell.len() / width;
    for (t, to) in to.chunks_exact_mut(row).enumerate() {
        for (h, to) in to[..n].iter_mut().enumerate() {
            *to = cell[h * width + t];
        }
        to[n..].fill(0.0);
    }
}

/// y = W x + b, over the rows of x.
#[inline(always)]
fn linear<S: Simd>(simd: S, weight: &[f32], bias: Option<&[f32]>, x: &[f32], row: usize, y: &mut [f32]) {
    const AT_ONCE: usize = 4;
    let inputs = x.len() / row;
    for (group, y) in y.chunks_mut(AT_ONCE * row).enumerate() {
        let first = group * AT_ONCE;
        let n_rows = y.len() / row;
        // The weights of the group, of the last row again where the group is short.
        let weights: [&[f32]; AT_ONCE] =
            std::array::from_fn(|i| &weight[(first + i.min(n_rows - 1)) * inputs..][..inputs]);
        let biases: [f32; AT_ONCE] = std::array::from_fn(|i| bias.map_or(0.0, |bias| bias[first + i.min(n_rows - 1)]));
        for at in (0..row).step_by(2 * S::F32_LANES) {
            // One vector where a row has no second one left.
            let two = at + S::F32_LANES < row;
            let mut acc = biases.map(|bias| [simd.splat_f32s(bias); 2]);
            for t in 0..inputs {
                let (x, _) = S::as_simd_f32s(&x[t * row + at..(t + 1) * row]);
                let x = [x[0], if two { x[1] } else { x[0] }];
                for i in 0..AT_ONCE {
                    let w = simd.splat_f32s(weights[i][t]);
                    acc[i] = [simd.mul_add_e_f32s(w, x[0], acc[i][0]), simd.mul_add_e_f32s(w, x[1], acc[i][1])];
                }
            }
            for (y, acc) in y.chunks_exact_mut(row).zip(acc) {
                let (y, _) = S::as_mut_simd_f32s(&mut y[at..]);
                y[0] = acc[0];
                if two {
                    y[1] = acc[1];
                }
            }
        }
    }
}

/// Softmax(q k / √width of a head) v of every token, head by head: `[3 T, row]` to `[T, row]`.
#[inline(always)]
fn attend<S: Simd>(
    simd: S,
    qkv: &mut [f32],
    n: usize,
    row: usize,
    heads: usize,
    running: &mut Vec<f32>,
    out: &mut [f32],
) {
    let (q, kv) = qkv.split_at_mut(out.len());
    let (k, v) = kv.split_at(out.len());
    let width = out.len() / row / heads;
    let scale = (width as f32).powf(-0.5);
    for q in q.iter_mut() {
        *q *= scale;
    }
    for (head, out) in out.chunks_exact_mut(width * row).enumerate() {
        let part = head * width * row..(head + 1) * width * row;
        let (q, k, v) = (&q[part.clone()], &k[part.clone()], &v[part]);
        match width {
            1 => attend_head::<S, 1>(simd, q, k, v, n, row, out),
            2 => attend_head::<S, 2>(simd, q, k, v, n, row, out),
            4 => attend_head::<S, 4>(simd, q, k, v, n, row, out),
            8 => attend_head::<S, 8>(simd, q, k, v, n, row, out),
            _ => attend_wide_head(simd, q, k, v, n, row, running, out),
        }
    }
}

/// One head of W numbers, a vector of queries at a time: the largest score first, then weights and
/// sums.
#[inline(always)]
fn attend_head<S: Simd, const W: usize>(
    simd: S,
    q: &[f32],
    k: &[f32],
    v: &[f32],
    n: usize,
    row: usize,
    out: &mut [f32],
) {
    let mut queries = [simd.splat_f32s(0.0); W];
    let mut sums = [simd.splat_f32s(0.0); W];
    for at in (0..row).step_by(S::F32_LANES) {
        for i in 0..W {
            queries[i] = S::as_simd_f32s(&q[i * row + at..]).0[0];
            sums[i] = simd.splat_f32s(0.0);
        }
        let mut largest = simd.splat_f32s(f32::NEG_INFINITY);
        for j in 0..n {
            largest = simd.max_f32s(largest, score(simd, &queries, k, row, j));
        }
        let mut total = simd.splat_f32s(0.0);
        for j in 0..n {
            let weight = exp(simd, simd.sub_f32s(score(simd, &queries, k, row, j), largest));
            total = simd.add_f32s(total, weight);
            for i in 0..W {
                sums[i] = simd.mul_add_e_f32s(weight, simd.splat_f32s(v[i * row + j]), sums[i]);
            }
        }
        for i in 0..W {
            S::as_mut_simd_f32s(&mut out[i * row + at..]).0[0] = simd.div_f32s(sums[i], total);
        }
    }
}

/// The products of a vector of queries with key j.
#[inline(always)]
fn score<S: Simd, const W: usize>(simd: S, queries: &[S::f32s; W], k: &[f32], row: usize, j: usize) -> S::f32s {
    let mut score = simd.mul_f32s(queries[0], simd.splat_f32s(k[j]));
    for i in 1..W {
        score = simd.mul_add_e_f32s(queries[i], simd.splat_f32s(k[i * row + j]), score);
    }
    score
}

/// One head of any width: the same, its sums in memory.
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "three operands, three sizes, room and result")]
fn attend_wide_head<S: Simd>(
    simd: S,
    q: &[f32],
    k: &[f32],
    v: &[f32],
    n: usize,
    row: usize,
    running: &mut Vec<f32>,
    out: &mut [f32],
) {
    let width = out.len() / row;
    running.resize(n * S::F32_LANES, 0.0);
    for at in (0..row).step_by(S::F32_LANES) {
        let mut largest = simd.splat_f32s(f32::NEG_INFINITY);
        let (scores, _) = S::as_mut_simd_f32s(running);
        for (j, score) in scores.iter_mut().enumerate() {
            *score = simd.splat_f32s(0.0);
            for i in 0..width {
                let q = S::as_simd_f32s(&q[i * row + at..]).0[0];
                *score = simd.mul_add_e_f32s(q, simd.splat_f32s(k[i * row + j]), *score);
            }
            largest = simd.max_f32s(largest, *score);
        }
        let mut total = simd.splat_f32s(0.0);
        for score in scores.iter_mut() {
            *score = exp(simd, simd.sub_f32s(*score, largest));
            total = simd.add_f32s(total, *score);
        }
        for i in 0..width {
            let mut sum = simd.splat_f32s(0.0);
            for (j, score) in scores.iter().enumerate() {
                sum = simd.mul_add_e_f32s(*score, simd.splat_f32s(v[i * row + j]), sum);
            }
            S::as_mut_simd_f32s(&mut out[i * row + at..]).0[0] = simd.div_f32s(sum, total);
        }
    }
}

/// x ← LN(x + y), each token by itself.
#[inline(always)]
fn add_and_normalise<S: Simd>(simd: S, x: &mut [f32], y: &[f32], row: usize, norm: &Norm) {
    let width = x.len() / row;
    let share = simd.splat_f32s(1.0 / width as f32);
    for at in (0..row).step_by(S::F32_LANES) {
        let mut sum = simd.splat_f32s(0.0);
        for t in 0..width {
            let x = &mut S::as_mut_simd_f32s(&mut x[t * row + at..]).0[0];
            *x = simd.add_f32s(*x, S::as_simd_f32s(&y[t * row + at..]).0[0]);
            sum = simd.add_f32s(sum, *x);
        }
        let mean = simd.mul_f32s(sum, share);
        let mut squares = simd.splat_f32s(0.0);
        for t in 0..width {
            let off = simd.sub_f32s(S::as_simd_f32s(&x[t * row + at..]).0[0], mean);
            squares = simd.mul_add_e_f32s(off, off, squares);
        }
        let variance = simd.mul_add_e_f32s(squares, share, simd.splat_f32s(LAYER_NORM_EPSILON));
        let scale = simd.div_f32s(simd.splat_f32s(1.0), simd.sqrt_f32s(variance));
        for t in 0..width {
            let x = &mut S::as_mut_simd_f32s(&mut x[t * row + at..]).0[0];
            let normal = simd.mul_f32s(simd.sub_f32s(*x, mean), scale);
            *x = simd.mul_add_e_f32s(normal, simd.splat_f32s(norm.weight[t]), simd.splat_f32s(norm.bias[t]));
        }
    }
}
