//! The cells of an `.h5ad` file, log-normalised for the statistics.

use std::path::Path;

use super::{Error, Result};
use crate::anndata::{self, File, Matrix};
use crate::domain::Csr;
use crate::stats::normalize::log1p_cp10k;

/// A log-normalised value is hardly ever above this: the logarithm of 10 000 is 9.2.
const LARGE: f32 = 30.0;

/// Which values of a file.
#[derive(Clone, Debug, clap::Args)]
pub struct MatrixArgs {
    /// Matrix to use: X, raw/X or the name of a layer [default: X]
    #[arg(long, value_name = "LAYER")]
    pub layer: Option<String>,

    /// Take values as they are, even if they are counts
    #[arg(long)]
    pub no_normalize: bool,
}

/// An open file, its genes, and the matrix to use.
pub struct Cells {
    /// The file.
    pub file: File,
    /// Which matrix.
    pub matrix: Matrix,
    /// Names of its genes.
    pub genes: Vec<String>,
    no_normalize: bool,
}

impl Cells {
    /// Opens a file.
    pub fn open(path: &Path, args: &MatrixArgs) -> Result<Self> {
        let file = File::open(path)?;
        let matrix = match &args.layer {
            None => Matrix::X,
            Some(name) => name.parse().unwrap_or_else(|_| Matrix::Layer(name.clone())),
        };
        let genes = file.genes_of(&matrix).index()?;
        Ok(Self { file, matrix, genes, no_normalize: args.no_normalize })
    }

    /// Names of all cells.
    pub fn names(&self) -> Result<Vec<String>> {
        Ok(self.file.obs().index()?)
    }

    /// The text of a column of `obs` for each cell.
    pub fn labels(&self, column: &str) -> Result<Vec<Option<String>>> {
        Ok(self.file.obs().column(column)?.to_strings())
    }

    /// The values as they are in the file, of all cells or of these.
    pub fn stored(&self, rows: Option<&[usize]>) -> Result<Csr> {
        let values = self.file.read_rows(&self.matrix, rows)?;
        if let Some((cell, gene, value)) = first_where(&values, |value| !value.is_finite()) {
            let error = format!(
                "{} has the value {value} for gene {} in cell {}; only finite numbers can be compared",
                self.matrix,
                self.genes[gene],
                self.name_of(rows, cell)?
            );
            return Err(Error::failed(error).hint("in Python, look at what was divided by 0 before, or drop the gene"));
        }
        Ok(values)
    }

    /// Log-normalised values. Counts are scaled to 10 000 a cell and their logarithms taken, which is
    /// said; other values are taken to be logarithms.
    pub fn values(&self, rows: Option<&[usize]>) -> Result<Csr> {
        let values = self.stored(rows)?;
        if values.nnz() == 0 {
            return Err(Error::failed(format!(
                "{} has no value other than 0 in the {} cells",
                self.matrix,
                values.n_rows()
            )));
        }
        if !self.no_normalize && are_counts(&values) {
            let empty = (0..values.n_rows()).filter(|&row| values.row(row).0.is_empty()).count();
            let and = if empty > 0 { format!("; {empty} cells have no counts and stay empty") } else { String::new() };
            eprintln!(
                "{} holds counts: they are log-normalised first (10 000 a cell, natural logarithm){and}",
                self.matrix
            );
            return log1p_cp10k(&values).map_err(Error::bug);
        }
        let largest = values.values().iter().copied().fold(f32::NEG_INFINITY, f32::max);
        if largest > LARGE {
            eprintln!(
                "{} reaches {largest}, which logarithms do not: fold changes mean something only for these",
                self.matrix
            );
        }
        Ok(values)
    }

    /// Counts, or why they are none.
    pub fn counts(&self, rows: Option<&[usize]>) -> Result<Csr> {
        let values = self.stored(rows)?;
        let refuse = |what: String| {
            Err(Error::failed(what).hint("counts are often in layers/counts or raw/X; name the matrix with --layer"))
        };
        if let Some((cell, gene, value)) = first_where(&values, |value| value < 0.0) {
            let (cell, gene) = (self.name_of(rows, cell)?, &self.genes[gene]);
            return refuse(format!(
                "{} has {value} for gene {gene} in cell {cell}; counts are not negative",
                self.matrix
            ));
        }
        if let Some((cell, gene, value)) = first_where(&values, |value| value.fract() != 0.0) {
            let (cell, gene) = (self.name_of(rows, cell)?, &self.genes[gene]);
            return refuse(format!(
                "{} has {value} for gene {gene} in cell {cell}; donors are compared by counts",
                self.matrix
            ));
        }
        Ok(values)
    }

    fn name_of(&self, rows: Option<&[usize]>, cell: usize) -> Result<String> {
        let row = rows.map_or(cell, |rows| rows[cell]);
        Ok(self.file.obs().index_of(&[row])?.swap_remove(0))
    }
}

/// Whole numbers of at least 0 throughout.
fn are_counts(values: &Csr) -> bool {
    values.values().iter().all(|&value| value >= 0.0 && value.fract() == 0.0)
}

fn first_where(values: &Csr, holds: impl Fn(f32) -> bool) -> Option<(usize, usize, f32)> {
    let at = values.values().iter().position(|&value| holds(value))?;
    let cell = values.indptr().partition_point(|&end| end <= at) - 1;
    Some((cell, values.indices()[at] as usize, values.values()[at]))
}

impl From<anndata::Error> for Error {
    fn from(error: anndata::Error) -> Self {
        Self::failed(error)
    }
}
