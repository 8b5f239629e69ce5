//! Tokens of cells that come back in many windows, computed once.

use super::model::{Model, ModelError, States};
use crate::domain::Csr;

/// Up to how many cells keep their tokens: 6.4 kB each in the largest model.
const MOST_CELLS: usize = 1 << 14;

/// The tokens that are known of a number of cells; of none where there are too many cells.
#[derive(Clone, Debug)]
pub struct Tokens {
    width: usize,
    cells: Vec<Option<Box<[f32]>>>,
}

impl Tokens {
    /// Of none yet.
    pub fn new(model: &Model, n_cells: usize) -> Self {
        let kept = if n_cells <= MOST_CELLS { n_cells } else { 0 };
        Self { width: model.config().width(), cells: vec![None; kept] }
    }

    /// Cells whose counts change.
    pub fn forget(&mut self, cell: usize) {
        if let Some(known) = self.cells.get_mut(cell) {
            *known = None;
        }
    }

    /// Appends the tokens of cells, whose counts are in the given rows.
    pub fn append(
        &mut self,
        model: &Model,
        cells: &[usize],
        counts: &Csr,
        rows: &[usize],
        to: &mut States,
    ) -> Result<(), ModelError> {
        if self.cells.is_empty() {
            to.extend(model.tokens(counts, rows)?.values());
            return Ok(());
        }
        let mut fresh: Vec<(usize, usize)> = cells.iter().copied().zip(rows.iter().copied()).collect();
        fresh.retain(|(cell, _)| self.cells[*cell].is_none());
        fresh.sort_unstable();
        // A cell may have come with several rows, which are the same.
        fresh.dedup_by_key(|(cell, _)| *cell);
        if !fresh.is_empty() {
            let rows: Vec<usize> = fresh.iter().map(|(_, row)| *row).collect();
            let tokens = model.tokens(counts, &rows)?;
            for ((cell, _), tokens) in fresh.into_iter().zip(tokens.values().chunks_exact(self.width)) {
                self.cells[cell] = Some(tokens.into());
            }
        }
        for &cell in cells {
            to.extend(self.cells[cell].as_deref().expect("it was just computed"));
        }
        Ok(())
    }
}
