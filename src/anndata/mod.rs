//! COMPUTE: `.h5ad` files, the AnnData format of the single-cell field, on HDF5.
//!
//! [`File`] opens a file and reads what is asked for: tables a column at a time, matrices by rows or in
//! blocks. [`write()`] writes a whole [`AnnData`] that Python's anndata and scanpy open as one of their own.
//! Every encoding that anndata has written since 0.5 is read. Files are not trusted: lengths are checked
//! against the file before memory is taken, other files are never followed, and what cannot be read is an
//! [`Error`] that names the file, the place in it and the way out.

mod column;
mod data;
mod error;
mod matrix;
mod mtx;
mod read;
mod store;
mod write;

pub use column::Column;
pub use data::{AnnData, DenseMatrix, Numbers, RecArray, RecField, Streamed, Table, Value};
pub use error::{Error, Problem, Result};
pub use matrix::{Matrix, MatrixInfo, ParseMatrixError, Storage, Values};
pub use mtx::{MtxError, is_mtx_folder, read_mtx_folder};
pub use read::{File, Frame, Labels};
pub use write::{annotate, is_column_name, is_field_name, is_name, write, write_streamed};
