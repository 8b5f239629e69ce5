//! Matrices: compressed by rows, or dense.

use crate::anndata::data::{DenseMatrix, Numbers, Streamed};
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

/// Writes a matrix from where it lies, which must have the given shape.
pub(super) fn write_streamed(parent: &Target, name: &str, matrix: Streamed, shape: (usize, usize)) -> Result<()> {
    match matrix {
        Streamed::Dense { n_rows, n_cols, values } => {
            check_shape(parent, name, (n_rows, n_cols), shape)?;
            parent.streamed_array(name, vec![n_rows, n_cols], values)
        }
        Streamed::Sparse { n_cols, indptr, indices, values } => {
            check_shape(parent, name, (indptr.len().saturating_sub(1), n_cols), shape)?;
            let n_stored = indptr.last().copied().unwrap_or(0);
            let length = usize::try_from(n_stored)
                .map_err(|_| parent.unwritable(name, format!("{n_stored} entries are too many")))?;
            let group = sparse_group(parent, name, shape)?;
            group.streamed_part("data", vec![length], values, f32::from_le_bytes)?;
            group.streamed_part("indices", vec![length], indices, |word| u32::from_le_bytes(word) as i32)?;
            write_pointers(&group, length, indptr.iter().map(|&pointer| pointer as i64))
        }
    }
}

fn write_sparse<T: hdf5::H5Type>(
    parent: &Target,
    name: &str,
    csr: &Csr,
    values: &[T],
    shape: (usize, usize),
) -> Result<()> {
    check_shape(parent, name, (csr.n_rows(), csr.n_cols()), shape)?;
    let group = sparse_group(parent, name, shape)?;
    group.part("data", values)?;
    let indices: Vec<i32> = csr.indices().iter().map(|&column| column as i32).collect();
    group.part("indices", &indices)?;
    write_pointers(&group, csr.nnz(), csr.indptr().iter().map(|&pointer| pointer as i64))
}

fn sparse_group(parent: &Target, name: &str, shape: (usize, usize)) -> Result<Target> {
    if i32::try_from(shape.1).is_err() {
        return Err(parent.unwritable(name, format!("{} columns are more than 2^31", shape.1)));
    }
    let group = parent.group(name, "csr_matrix", "0.1.0")?;
    group.attribute_integers("shape", &[shape.0 as i64, shape.1 as i64])?;
    Ok(group)
}

/// Row pointers, as narrow as scipy would have them.
fn write_pointers(group: &Target, n_stored: usize, pointers: impl Iterator<Item = i64>) -> Result<()> {
    if i32::try_from(n_stored).is_ok() {
        group.part("indptr", &pointers.map(|pointer| pointer as i32).collect::<Vec<_>>())
    } else {
        group.part("indptr", &pointers.collect::<Vec<_>>())
    }
}

fn check_shape(parent: &Target, name: &str, is: (usize, usize), must_be: (usize, usize)) -> Result<()> {
    if is == must_be {
        return Ok(());
    }
    let what = format!("it is {} × {}, but the tables have {} × {}", is.0, is.1, must_be.0, must_be.1);
    Err(parent.unwritable(name, what))
}
