//! Cell embeddings: all cells in order, windows without a prompt.

use std::ops::ControlFlow;

use super::generate::GenerateError;
use super::model::Model;
use super::spool::Spool;
use super::windows;

/// The embeddings of the cells of one window.
#[derive(Clone, Copy, Debug)]
pub struct Embedded<'a> {
    /// `n_hidden * token_dim` numbers per cell, cell by cell; cells that only filled the window are left out.
    pub values: &'a [f32],
    /// Windows done, this one included.
    pub done: usize,
    /// Windows in all.
    pub n_windows: usize,
}

/// Embeds every row of counts over the model's genes, a window at a time. `seed` decides the fill of a
/// short last window, which the embeddings there depend on. `on_window` may break off.
pub fn embed(
    model: &Model,
    counts: &Spool,
    seed: u64,
    mut on_window: impl FnMut(Embedded) -> ControlFlow<()>,
) -> Result<(), GenerateError> {
    let (n_cells, width) = (model.config().n_cells, model.config().width());
    let windows = windows::in_order(counts.n_rows(), n_cells, seed);
    for (at, rows) in windows.iter().enumerate() {
        let (window, rows) = counts.rows(rows)?;
        let embeddings = model.embed(model.tokens(&window, &rows)?, rows.len(), 0)?;
        let n_real = n_cells.min(counts.n_rows() - at * n_cells);
        let values = &embeddings.values()[..n_real * width];
        if on_window(Embedded { values, done: at + 1, n_windows: windows.len() }).is_break() {
            return Err(GenerateError::Stopped);
        }
    }
    Ok(())
}
