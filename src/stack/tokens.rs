//! Tokens of cells that come back in many windows, computed once.

use std::borrow::Cow;

use super::model::{Model, ModelError, States};
use crate::domain::Csr;

/// Up to how many cells keep their tokens: 6.4 kB each in the largest model.
const MOST_CELLS: usize = 1 << 14;

/// Counts, and the tokens of all their cells unless there are too many.
#[derive(Clone, Debug)]
pub struct Tokenised<'a> {
    counts: Cow<'a, Csr>,
    tokens: Option<States>,
}

impl<'a> Tokenised<'a> {
    /// From counts over the model's genes.
    pub fn new(model: &Model, counts: Cow<'a, Csr>) -> Result<Self, ModelError> {
        let rows: Vec<usize> = (0..counts.n_rows()).collect();
        let tokens = if rows.len() <= MOST_CELLS { Some(model.tokens(&counts, &rows)?) } else { None };
        Ok(Self { counts, tokens })
    }

    /// The counts.
    pub fn counts(&self) -> &Csr {
        &self.counts
    }

    /// Takes the counts that some cells have now.
    pub fn replace(&mut self, model: &Model, counts: Csr, changed: &[usize]) -> Result<(), ModelError> {
        if let Some(tokens) = &mut self.tokens {
            let width = tokens.width();
            let fresh = model.tokens(&counts, changed)?;
            for (new, &cell) in fresh.values().chunks_exact(width).zip(changed) {
                tokens.values_mut()[cell * width..][..width].copy_from_slice(new);
            }
        }
        self.counts = Cow::Owned(counts);
        Ok(())
    }

    /// Appends the tokens of the given cells.
    pub fn append(&self, model: &Model, rows: &[usize], to: &mut States) -> Result<(), ModelError> {
        match &self.tokens {
            Some(tokens) => rows.iter().for_each(|&row| to.extend(tokens.cell(row))),
            None => to.extend(model.tokens(&self.counts, rows)?.values()),
        }
        Ok(())
    }
}
