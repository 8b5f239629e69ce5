//! A matrix gene by gene: the non-zero values of each column, without their cells.

use crate::domain::Csr;

/// The non-zero values of each column of a matrix, in the order of its rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Columns {
    n_rows: usize,
    starts: Vec<usize>,
    values: Vec<f32>,
}

impl Columns {
    /// Turns rows into columns. Zeros that are stored count as zeros.
    pub fn new(matrix: &Csr) -> Self {
        let nonzero = || matrix.indices().iter().zip(matrix.values()).filter(|&(_, &value)| value != 0.0);
        let mut starts = vec![0; matrix.n_cols() + 1];
        for (&column, _) in nonzero() {
            starts[column as usize + 1] += 1;
        }
        for column in 0..matrix.n_cols() {
            starts[column + 1] += starts[column];
        }
        let mut next = starts.clone();
        let mut values = vec![0.0; starts[matrix.n_cols()]];
        for (&column, &value) in nonzero() {
            let slot = &mut next[column as usize];
            values[*slot] = value;
            *slot += 1;
        }
        Self { n_rows: matrix.n_rows(), starts, values }
    }

    /// Number of rows, zeros included.
    pub fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// Number of columns.
    pub fn n_cols(&self) -> usize {
        self.starts.len() - 1
    }

    /// The non-zero values of one column.
    ///
    /// # Panics
    /// If `column` is not below [`Columns::n_cols`].
    pub fn column(&self, column: usize) -> &[f32] {
        &self.values[self.starts[column]..self.starts[column + 1]]
    }

    /// Mean of one column over all rows, summed in `f64`. Zero where there are no rows.
    pub fn mean(&self, column: usize) -> f64 {
        let sum: f64 = self.column(column).iter().map(|&value| f64::from(value)).sum();
        if self.n_rows == 0 { 0.0 } else { sum / self.n_rows as f64 }
    }

    /// Share of rows whose value is not zero. Zero where there are no rows.
    pub fn share_nonzero(&self, column: usize) -> f64 {
        if self.n_rows == 0 { 0.0 } else { self.column(column).len() as f64 / self.n_rows as f64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_hold_what_rows_held() {
        let rows = [vec![(0, 1.0), (2, 2.0)], vec![(1, 0.0)], vec![(2, 4.0)]];
        let columns = Columns::new(&Csr::from_rows(4, rows).unwrap());
        assert_eq!((columns.n_rows(), columns.n_cols()), (3, 4));
        assert_eq!(columns.column(0), [1.0]);
        assert_eq!(columns.column(1), [] as [f32; 0]);
        assert_eq!(columns.column(2), [2.0, 4.0]);
        assert_eq!((columns.mean(2), columns.mean(3)), (2.0, 0.0));
        assert_eq!(columns.share_nonzero(2), 2.0 / 3.0);
    }
}
