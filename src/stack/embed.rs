//! Cell embeddings: all cells in order, windows without a prompt.

use std::ops::ControlFlow;

use super::generate::GenerateError;
use super::model::Model;
use super::windows;
use crate::domain::Csr;

/// Embeds every row of counts over the model's genes: `n_hidden * token_dim` numbers per cell, cell by
/// cell. `seed` decides the fill of a short last window, which the embeddings there depend on.
/// `on_window` hears how many windows of how many are done.
pub fn embed(
    model: &Model,
    counts: &Csr,
    seed: u64,
    mut on_window: impl FnMut(usize, usize) -> ControlFlow<()>,
) -> Result<Vec<f32>, GenerateError> {
    let windows = windows::in_order(counts.n_rows(), model.config().n_cells, seed);
    let mut values = Vec::with_capacity(counts.n_rows() * model.config().width());
    for (done, rows) in windows.iter().enumerate() {
        let embeddings = model.embed(model.tokens(counts, rows)?, rows.len(), 0)?;
        values.extend_from_slice(embeddings.values());
        if on_window(done + 1, windows.len()).is_break() {
            return Err(GenerateError::Stopped);
        }
    }
    values.truncate(counts.n_rows() * model.config().width());
    Ok(values)
}
