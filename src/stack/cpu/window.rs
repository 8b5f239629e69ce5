//! Attention between the cells of a window.

use std::cell::RefCell;
use std::ops::Range;

use rayon::prelude::*;

use super::kernel::Kernel;
use super::operand::{Right, Rows};
use super::product::{Layout, Left, Out, product_here};
use super::vector::softmax;

/// Room for one head at work.
#[derive(Default)]
struct Workspace {
    keys: Right,
    values: Right,
    scores: Vec<f32>,
}

thread_local! {
    static WORKSPACE: RefCell<Workspace> = RefCell::default();
}

/// Softmax(q kᵀ / √width of a head) v, head by head: `[C, 3 D]` to `[C, D]`.
///
/// The first `n_prompt` cells see only each other, all others see everything; 0 or C blocks
/// nothing.
pub fn attend(kernel: Kernel, qkv: &[f32], width: usize, heads: usize, n_prompt: usize, out: &mut [f32]) {
    let n = out.len() / width;
    let parts = match n_prompt {
        0 => vec![(0..n, n)],
        n_prompt if n_prompt >= n => vec![(0..n, n)],
        n_prompt => vec![(0..n_prompt, n_prompt), (n_prompt..n, n)],
    };
    let head_width = width / heads;
    let attended: Vec<Vec<f32>> = (0..heads)
        .into_par_iter()
        .map(|head| {
            let mut mixed = vec![0.0; n * head_width];
            WORKSPACE.with_borrow_mut(|workspace| {
                for (queries, n_seen) in &parts {
                    let mixed = &mut mixed[queries.start * head_width..queries.end * head_width];
                    attend_head(kernel, workspace, &qkv[head * head_width..], width, queries.clone(), *n_seen, mixed);
                }
            });
            mixed
        })
        .collect();
    out.par_chunks_exact_mut(width).enumerate().for_each(|(cell, out)| {
        for (out, head) in out.chunks_exact_mut(head_width).zip(&attended) {
            out.copy_from_slice(&head[cell * head_width..][..head_width]);
        }
    });
}

/// One head for some queries, which see the first `n_seen` cells: `[n, width of a head]`.
fn attend_head(
    kernel: Kernel,
    workspace: &mut Workspace,
    qkv: &[f32],
    width: usize,
    queries: Range<usize>,
    n_seen: usize,
    mixed: &mut [f32],
) {
    let n = queries.len();
    let head_width = mixed.len() / n;
    let stride = 3 * width;
    let Workspace { keys, values, scores } = workspace;
    keys.pack_here(kernel, Rows::new(&qkv[width..], n_seen, head_width, stride));
    let queries = Rows::new(&qkv[queries.start * stride..], n, head_width, stride);
    scores.resize(n * n_seen, 0.0);
    let out = Out { values: scores, stride: n_seen, layout: Layout::ByLeft };
    product_here(kernel, Left::Rows(queries), keys, out);
    let scale = (head_width as f32).powf(-0.5);
    for row in scores.chunks_exact_mut(n_seen) {
        softmax(row, scale);
    }
    values.pack_columns_here(kernel, Rows::new(&qkv[2 * width..], n_seen, head_width, stride));
    let weights = Rows::new(scores, n, n_seen, n_seen);
    let out = Out { values: mixed, stride: head_width, layout: Layout::ByLeft };
    product_here(kernel, Left::Rows(weights), values, out);
}
