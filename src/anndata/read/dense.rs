//! Dense matrices, read in tiles that follow their chunks.

use super::entries::Entries;
use super::rows::stretches;
use crate::anndata::error::Result;
use crate::anndata::store::{Array, Kind};

/// Values in a tile, unless a single chunk has more (64 MiB).
const TILE: usize = 1 << 24;

/// A dense matrix of an open file.
#[derive(Debug)]
pub(super) struct Dense {
    array: Array,
    n_rows: usize,
    n_cols: usize,
}

impl Dense {
    /// Takes a data set of two dimensions that holds numbers.
    pub(super) fn open(array: Array) -> Result<Self> {
        let &[n_rows, n_cols] = array.shape() else {
            return Err(array.unexpected("a matrix of two dimensions", &array.describe_shape()));
        };
        if !matches!(array.kind(), Kind::Integer { .. } | Kind::Float { .. } | Kind::Boolean) {
            return Err(array.unexpected("a matrix of numbers", &array.kind().to_string()));
        }
        if u32::try_from(n_cols).is_err() {
            return Err(array.unexpected("fewer than 2^32 columns", &n_cols.to_string()));
        }
        Ok(Self { array, n_rows, n_cols })
    }

    pub(super) fn shape(&self) -> (usize, usize) {
        (self.n_rows, self.n_cols)
    }

    pub(super) fn array(&self) -> &Array {
        &self.array
    }

    /// Rows that one chunk spans, 1 where there are no chunks.
    pub(super) fn chunk_rows(&self) -> usize {
        self.array.chunk().and_then(|chunk| chunk.first().copied()).unwrap_or(1).max(1)
    }

    /// The given rows, which are ascending and below the number of rows.
    pub(super) fn rows(&self, rows: &[usize]) -> Result<Entries> {
        let chunk_rows = self.chunk_rows();
        let chunk_cols = self.array.chunk().and_then(|chunk| chunk.get(1).copied()).unwrap_or(1).max(1);
        // Rows in one band of chunks are read together, as HDF5 unpacks whole chunks anyway.
        let rows_at_once = (TILE / self.n_cols.max(1)).max(chunk_rows);
        let mut entries = Entries::new();
        for (positions, span) in stretches(rows, |&row| row..row + 1, chunk_rows - 1, rows_at_once) {
            let wanted = &rows[positions];
            let cols_at_once = (TILE / span.len() / chunk_cols).max(1) * chunk_cols;
            let mut found: Vec<Vec<(u32, f32)>> = vec![Vec::new(); wanted.len()];
            for first in (0..self.n_cols).step_by(cols_at_once) {
                let columns = first..self.n_cols.min(first + cols_at_once);
                let tile: Vec<f32> = self.array.numbers(&[span.clone(), columns.clone()])?;
                for (row, found) in wanted.iter().zip(&mut found) {
                    let values = &tile[(row - span.start) * columns.len()..][..columns.len()];
                    let stored = columns.clone().zip(values).filter(|&(_, &value)| value != 0.0);
                    found.extend(stored.map(|(column, &value)| (column as u32, value)));
                }
            }
            for row in found {
                entries.indices.extend(row.iter().map(|&(column, _)| column));
                entries.values.extend(row.iter().map(|&(_, value)| value));
                entries.end_row();
            }
        }
        Ok(entries)
    }
}
