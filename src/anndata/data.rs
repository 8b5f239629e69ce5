//! What is written: a whole AnnData object in memory.

use std::fmt;
use std::io::Read;

use super::column::Column;
use crate::domain::Csr;

/// An AnnData object to write with [`write`](super::write()).
#[derive(Clone, Debug, Default)]
pub struct AnnData {
    /// The table of cells.
    pub obs: Table,
    /// The table of genes.
    pub var: Table,
    /// Cells × genes, if there is one.
    pub x: Option<Numbers>,
    /// Further matrices of cells × genes, by name.
    pub layers: Vec<(String, Numbers)>,
    /// Embeddings of the cells, by name such as `X_umap`; as many rows as there are cells.
    pub obsm: Vec<(String, DenseMatrix)>,
    /// Anything else, by name.
    pub uns: Vec<(String, Value)>,
}

/// A table: named rows, and columns with a value for each.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// Name of the index, if it has one.
    pub index_name: Option<String>,
    /// Names of the rows.
    pub index: Vec<String>,
    /// Columns in their order; each as long as the index.
    pub columns: Vec<(String, Column)>,
}

impl Table {
    /// The given rows, in the given order.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn select(&self, rows: &[usize]) -> Self {
        Self {
            index_name: self.index_name.clone(),
            index: rows.iter().map(|&row| self.index[row].clone()).collect(),
            columns: self.columns.iter().map(|(name, column)| (name.clone(), column.select(rows))).collect(),
        }
    }
}

/// A matrix to write.
#[derive(Clone, Debug, PartialEq)]
pub enum Numbers {
    /// Sparse, as `f32`.
    Sparse(Csr),
    /// Sparse, as 32-bit whole numbers. Writing fails where a value is not one.
    Counts(Csr),
    /// Every value, as `f32`.
    Dense(DenseMatrix),
}

impl From<Csr> for Numbers {
    fn from(csr: Csr) -> Self {
        Self::Sparse(csr)
    }
}

impl From<DenseMatrix> for Numbers {
    fn from(matrix: DenseMatrix) -> Self {
        Self::Dense(matrix)
    }
}

/// A dense matrix, row by row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DenseMatrix {
    /// Number of rows.
    pub n_rows: usize,
    /// Number of columns.
    pub n_cols: usize,
    /// `n_rows * n_cols` values, one row after the other.
    pub values: Vec<f32>,
}

/// A matrix to write that lies in files rather than in memory: its numbers, four bytes each and
/// little-endian, come from readers.
pub enum Streamed<'a> {
    /// Sparse: what a [`Csr`] of `f32` consists of.
    Sparse {
        /// Number of columns.
        n_cols: usize,
        /// Row pointers, one more than there are rows.
        indptr: &'a [u64],
        /// Column of each entry, `u32`, strictly ascending in each row.
        indices: &'a mut dyn Read,
        /// Value of each entry, `f32`.
        values: &'a mut dyn Read,
    },
    /// Every value, row by row, as `f32`.
    Dense {
        /// Number of rows.
        n_rows: usize,
        /// Number of columns.
        n_cols: usize,
        /// The values.
        values: &'a mut dyn Read,
    },
}

impl fmt::Debug for Streamed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sparse { n_cols, indptr, .. } => write!(f, "Sparse {} × {n_cols}", indptr.len().saturating_sub(1)),
            Self::Dense { n_rows, n_cols, .. } => write!(f, "Dense {n_rows} × {n_cols}"),
        }
    }
}

/// A value in `uns`.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Python's `None`.
    Null,
    /// A boolean.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A decimal number.
    Float(f64),
    /// Text.
    String(String),
    /// A list of decimal numbers.
    Floats(Vec<f64>),
    /// A list of whole numbers.
    Ints(Vec<i64>),
    /// A list of texts.
    Strings(Vec<String>),
    /// Values by name.
    Dict(Vec<(String, Value)>),
    /// Records, as scanpy keeps marker genes.
    Records(RecArray),
    /// A table.
    Table(Table),
}

/// A numpy record array: a value of every field in each record.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RecArray {
    /// Fields in their order; all of one length.
    pub fields: Vec<(String, RecField)>,
}

/// The values of one field.
#[derive(Clone, Debug, PartialEq)]
pub enum RecField {
    /// Text.
    Strings(Vec<String>),
    /// 32-bit decimal numbers.
    F32(Vec<f32>),
    /// 64-bit decimal numbers.
    F64(Vec<f64>),
}

impl RecField {
    /// Number of records.
    pub fn len(&self) -> usize {
        match self {
            Self::Strings(values) => values.len(),
            Self::F32(values) => values.len(),
            Self::F64(values) => values.len(),
        }
    }

    /// Whether there are no records.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
