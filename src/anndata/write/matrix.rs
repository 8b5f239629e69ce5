//! Matrices: compressed by rows, or dense.

use crate::anndata::data::{DenseMatrix, Numbers};
use crate::anndata::error::Result;
use crate::anndata::store::Target;
use crate::domain::Csr;

/// Writes a matrix, which must have the given shape.
pub(super) fn write(parent: &Target, name: &str, matrix: &Numbers, shape: (usize, usize)) -> Result<()> {
    match matrix {
        Numbers::Dense(matrix) => write_dense(parent, name, matrix, shape),
        Numbers::Sparse(csr) => write_sparse(parent, name, csr, csr.values(), shape),
        Numbers::Counts(csr) => {
            let whole = |&value: &f32| {
                // Every whole number of an f32 in this range is one of an i32.
                let fits = value.fract() == 0.0 && (-2_147_483_648.0..2_147_483_648.0).contains(&value);
                fits.then_some(value as i32).ok_or(value)
            };
            let counts: Result<Vec<i32>, f32> = csr.values().iter().map(whole).collect();
            let refused = |value| parent.unwritable(name, format!("{value} is not a 32-bit whole number"));
            write_sparse(parent, name, csr, &counts.map_err(refused)?, shape)
        }
    }
}

/// Writes a dense matrix, which must have the given shape.
pub(super) fn write_dense(parent: &Target, name: &str, matrix: &DenseMatrix, shape: (usize, usize)) -> Result<()> {
    check_shape(parent, name, (matrix.n_rows, matrix.n_cols), shape)?;
    if Some(matrix.values.len()) != matrix.n_rows.checked_mul(matrix.n_cols) {
        let what = format!("{} values for {} × {}", matrix.values.len(), matrix.n_rows, matrix.n_cols);
        return Err(parent.unwritable(name, what));
    }
    parent.array(name, &matrix.values, vec![matrix.n_rows, matrix.n_cols])
}

fn write_sparse<T: hdf5::H5Type>(
    parent: &Target,
    name: &str,
    csr: &Csr,
    values: &[T],
    shape: (usize, usize),
) -> Result<()> {
    check_shape(parent, name, (csr.n_rows(), csr.n_cols()), shape)?;
    if i32::try_from(csr.n_cols()).is_err() {
        return Err(parent.unwritable(name, format!("{} columns are more than 2^31", csr.n_cols())));
    }
    let group = parent.group(name, "csr_matrix", "0.1.0")?;
    group.attribute_integers("shape", &[csr.n_rows() as i64, csr.n_cols() as i64])?;
    group.part("data", values)?;
    let indices: Vec<i32> = csr.indices().iter().map(|&column| column as i32).collect();
    group.part("indices", &indices)?;
    if i32::try_from(csr.nnz()).is_ok() {
        group.part("indptr", &csr.indptr().iter().map(|&pointer| pointer as i32).collect::<Vec<_>>())
    } else {
        group.part("indptr", &csr.indptr().iter().map(|&pointer| pointer as i64).collect::<Vec<_>>())
    }
}

fn check_shape(parent: &Target, name: &str, is: (usize, usize), must_be: (usize, usize)) -> Result<()> {
    if is == must_be {
        return Ok(());
    }
    let what = format!("it is {} × {}, but the tables have {} × {}", is.0, is.1, must_be.0, must_be.1);
    Err(parent.unwritable(name, what))
}
