//! Entries on their way into a [`Csr`]: as the file has them, then tidied row by row.

use crate::domain::Csr;
use crate::domain::expression::CsrError;

/// Rows of (column, value) entries in any order, with repeats and zeros.
#[derive(Debug)]
pub(super) struct Entries {
    pub(super) indptr: Vec<usize>,
    pub(super) indices: Vec<u32>,
    pub(super) values: Vec<f32>,
}

impl Entries {
    /// No rows.
    pub(super) fn new() -> Self {
        Self { indptr: vec![0], indices: Vec::new(), values: Vec::new() }
    }

    /// Ends the row that was being filled.
    pub(super) fn end_row(&mut self) {
        self.indptr.push(self.indices.len());
    }

    /// As a matrix: each row ascending by column, entries of one column added up in the order they are
    /// stored (as scipy does), zeros left out.
    pub(super) fn into_csr(mut self, n_cols: usize) -> Result<Csr, CsrError> {
        self.tidy();
        Csr::new(n_cols, self.indptr, self.indices, self.values)
    }

    fn tidy(&mut self) {
        let mut written = 0;
        let mut start = 0;
        let mut unordered: Vec<(u32, f32)> = Vec::new();
        for row in 1..self.indptr.len() {
            let end = self.indptr[row];
            if !self.indices[start..end].is_sorted() {
                unordered.clear();
                let pairs = self.indices[start..end].iter().copied().zip(self.values[start..end].iter().copied());
                unordered.extend(pairs);
                unordered.sort_by_key(|&(column, _)| column);
                for (at, &(column, value)) in (start..end).zip(&unordered) {
                    (self.indices[at], self.values[at]) = (column, value);
                }
            }
            let mut at = start;
            while at < end {
                let column = self.indices[at];
                let mut sum = self.values[at];
                at += 1;
                while at < end && self.indices[at] == column {
                    sum += self.values[at];
                    at += 1;
                }
                if sum != 0.0 {
                    (self.indices[written], self.values[written]) = (column, sum);
                    written += 1;
                }
            }
            start = end;
            self.indptr[row] = written;
        }
        self.indices.truncate(written);
        self.values.truncate(written);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_out_sorted_summed_and_without_zeros() {
        let entries = Entries {
            indptr: vec![0, 4, 4, 6, 8],
            indices: vec![3, 0, 3, 2, 1, 1, 0, 2],
            values: vec![1.0, 2.0, 4.0, 0.0, 5.0, -5.0, f32::NAN, 1.0],
        };
        let csr = entries.into_csr(4).unwrap();
        assert_eq!(csr.indptr(), [0, 2, 2, 2, 4]);
        assert_eq!(csr.row(0), (&[0, 3][..], &[2.0, 5.0][..]));
        assert!(csr.row(3).1[0].is_nan());
    }
}
