//! Counts: a sparse cells × genes matrix with its names.

/// A sparse matrix in compressed rows (CSR), cells × genes, values as `f32`.
///
/// Invariants, checked by [`Csr::new`]: `indptr` starts at 0, never falls, ends at the number of
/// entries; each row's columns are strictly ascending and below `n_cols`.
#[derive(Clone, Debug, PartialEq)]
pub struct Csr {
    n_cols: usize,
    indptr: Vec<usize>,
    indices: Vec<u32>,
    values: Vec<f32>,
}

/// Why arrays do not form a [`Csr`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CsrError {
    /// Row pointers that do not start at 0, fall, or do not end at the number of entries.
    #[error("row pointers are not valid at row {row}: {what}")]
    RowPointers {
        /// First row that is wrong.
        row: usize,
        /// In words.
        what: &'static str,
    },
    /// Columns of a row that are not ascending or not below the number of columns.
    #[error("columns of row {row} are not strictly ascending below {n_cols}")]
    Columns {
        /// First row that is wrong.
        row: usize,
        /// Number of columns.
        n_cols: usize,
    },
    /// As many values as columns are needed.
    #[error("{indices} column indices but {values} values")]
    Lengths {
        /// Number of column indices.
        indices: usize,
        /// Number of values.
        values: usize,
    },
}

impl Csr {
    /// Checks the arrays and takes them.
    pub fn new(n_cols: usize, indptr: Vec<usize>, indices: Vec<u32>, values: Vec<f32>) -> Result<Self, CsrError> {
        if indices.len() != values.len() {
            return Err(CsrError::Lengths { indices: indices.len(), values: values.len() });
        }
        if indptr.first() != Some(&0) {
            return Err(CsrError::RowPointers { row: 0, what: "the first is not 0" });
        }
        if indptr.last() != Some(&indices.len()) {
            return Err(CsrError::RowPointers { row: indptr.len() - 1, what: "the last is not the number of entries" });
        }
        for (row, bounds) in indptr.windows(2).enumerate() {
            let Some(columns) = indices.get(bounds[0]..bounds[1]) else {
                return Err(CsrError::RowPointers { row, what: "the next is smaller, or past the end" });
            };
            let ascending = columns.windows(2).all(|pair| pair[0] < pair[1]);
            if !ascending || columns.last().is_some_and(|&last| last as usize >= n_cols) {
                return Err(CsrError::Columns { row, n_cols });
            }
        }
        Ok(Self { n_cols, indptr, indices, values })
    }

    /// A matrix of `n_cols` columns from rows of (column, value) pairs, each ascending by column.
    pub fn from_rows<R>(n_cols: usize, rows: impl IntoIterator<Item = R>) -> Result<Self, CsrError>
    where
        R: IntoIterator<Item = (u32, f32)>,
    {
        let (mut indptr, mut indices, mut values) = (vec![0], Vec::new(), Vec::new());
        for row in rows {
            for (column, value) in row {
                indices.push(column);
                values.push(value);
            }
            indptr.push(indices.len());
        }
        Self::new(n_cols, indptr, indices, values)
    }

    /// Number of rows (cells).
    pub fn n_rows(&self) -> usize {
        self.indptr.len() - 1
    }

    /// Number of columns (genes).
    pub fn n_cols(&self) -> usize {
        self.n_cols
    }

    /// Number of stored entries.
    pub fn nnz(&self) -> usize {
        self.indices.len()
    }

    /// Row pointers, one more than there are rows.
    pub fn indptr(&self) -> &[usize] {
        &self.indptr
    }

    /// Column of each entry.
    pub fn indices(&self) -> &[u32] {
        &self.indices
    }

    /// Value of each entry.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Columns and values of one row.
    ///
    /// # Panics
    /// If `row` is not below [`Csr::n_rows`].
    pub fn row(&self, row: usize) -> (&[u32], &[f32]) {
        let range = self.indptr[row]..self.indptr[row + 1];
        (&self.indices[range.clone()], &self.values[range])
    }

    /// The given rows, in the given order; a row may be taken more than once.
    ///
    /// # Panics
    /// If a row is not below [`Csr::n_rows`].
    pub fn select_rows(&self, rows: &[usize]) -> Self {
        let nnz = rows.iter().map(|&row| self.row(row).0.len()).sum();
        let mut indptr = Vec::with_capacity(rows.len() + 1);
        let (mut indices, mut values) = (Vec::with_capacity(nnz), Vec::with_capacity(nnz));
        indptr.push(0);
        for &row in rows {
            let (columns, entries) = self.row(row);
            indices.extend_from_slice(columns);
            values.extend_from_slice(entries);
            indptr.push(indices.len());
        }
        Self { n_cols: self.n_cols, indptr, indices, values }
    }

    /// The columns named by `sources` in that order: column `j` of the result is column
    /// `sources[j]` of this matrix, or zeros where it is `None`.
    ///
    /// # Panics
    /// If a source is not below [`Csr::n_cols`].
    pub fn select_columns(&self, sources: &[Option<usize>]) -> Self {
        let mut targets: Vec<Vec<u32>> = vec![Vec::new(); self.n_cols];
        for (target, source) in sources.iter().enumerate() {
            if let Some(source) = source {
                targets[*source].push(target as u32);
            }
        }
        let (mut indptr, mut indices, mut values) = (vec![0], Vec::new(), Vec::new());
        let mut entries: Vec<(u32, f32)> = Vec::new();
        for row in 0..self.n_rows() {
            let (columns, row_values) = self.row(row);
            entries.clear();
            for (&column, &value) in columns.iter().zip(row_values) {
                entries.extend(targets[column as usize].iter().map(|&target| (target, value)));
            }
            entries.sort_unstable_by_key(|&(target, _)| target);
            indices.extend(entries.iter().map(|&(target, _)| target));
            values.extend(entries.iter().map(|&(_, value)| value));
            indptr.push(indices.len());
        }
        Self { n_cols: sources.len(), indptr, indices, values }
    }

    /// Sum of each row, in `f64`.
    pub fn row_sums(&self) -> Vec<f64> {
        // Not `Iterator::sum`, which begins at -0.0: the sum of nothing would be printed as "-0".
        let sum = |row| self.row(row).1.iter().fold(0.0, |sum, &value| sum + f64::from(value));
        (0..self.n_rows()).map(sum).collect()
    }
}

/// Counts with the names of their cells (rows) and genes (columns).
#[derive(Clone, Debug, PartialEq)]
pub struct Expression {
    /// Names of the cells, as many as rows.
    pub cells: Vec<String>,
    /// Names of the genes as the file spells them, as many as columns.
    pub genes: Vec<String>,
    /// The counts.
    pub counts: Csr,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix() -> Csr {
        // 1 0 2
        // 0 0 0
        // 0 3 4
        Csr::new(3, vec![0, 2, 2, 4], vec![0, 2, 1, 2], vec![1.0, 2.0, 3.0, 4.0]).unwrap()
    }

    #[test]
    fn arrays_that_are_not_a_matrix_are_refused() {
        assert!(Csr::new(3, vec![1, 2], vec![0, 1], vec![1.0, 1.0]).is_err());
        assert!(Csr::new(3, vec![0, 1], vec![0, 1], vec![1.0, 1.0]).is_err());
        assert!(Csr::new(3, vec![0, 9, 2], vec![0, 1], vec![1.0, 1.0]).is_err());
        assert!(Csr::new(3, vec![0, 2], vec![1, 1], vec![1.0, 1.0]).is_err());
        assert!(Csr::new(3, vec![0, 1], vec![3], vec![1.0]).is_err());
        assert!(Csr::new(3, vec![0, 1], vec![2], vec![]).is_err());
        assert!(Csr::new(3, vec![], vec![], vec![]).is_err());
    }

    #[test]
    fn rows_and_columns_are_selected_in_the_order_asked_for() {
        let rows = matrix().select_rows(&[2, 0, 2]);
        assert_eq!(rows.row(0), (&[1, 2][..], &[3.0, 4.0][..]));
        assert_eq!(rows.row(1), (&[0, 2][..], &[1.0, 2.0][..]));
        let columns = matrix().select_columns(&[Some(2), None, Some(0), Some(2)]);
        assert_eq!(columns.n_cols(), 4);
        assert_eq!(columns.row(0), (&[0, 2, 3][..], &[2.0, 1.0, 2.0][..]));
        assert_eq!(columns.row(2), (&[0, 3][..], &[4.0, 4.0][..]));
        assert_eq!(matrix().row_sums(), vec![3.0, 0.0, 7.0]);
        assert!(matrix().row_sums()[1].is_sign_positive(), "an empty row sums to 0, not to -0");
    }
}
