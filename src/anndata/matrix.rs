//! The matrices of an AnnData file: their names and what is known of each before it is read.

use std::fmt;
use std::str::FromStr;

/// Which matrix of a file.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Matrix {
    /// `X`.
    X,
    /// `raw/X`, which may have more genes than `X`.
    RawX,
    /// `layers/NAME`.
    Layer(String),
}

impl fmt::Display for Matrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::X => f.write_str("X"),
            Self::RawX => f.write_str("raw/X"),
            Self::Layer(name) => write!(f, "layers/{name}"),
        }
    }
}

/// Text that names no matrix.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` names no matrix; expected X, raw/X or layers/NAME")]
pub struct ParseMatrixError(String);

impl FromStr for Matrix {
    type Err = ParseMatrixError;

    fn from_str(text: &str) -> Result<Self, ParseMatrixError> {
        match text {
            "X" => Ok(Self::X),
            "raw/X" | "raw.X" => Ok(Self::RawX),
            _ => match text.strip_prefix("layers/") {
                Some(name) if !name.is_empty() => Ok(Self::Layer(name.to_owned())),
                _ => Err(ParseMatrixError(text.to_owned())),
            },
        }
    }
}

/// How a matrix is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// Compressed by rows: a few cells are read quickly.
    Csr,
    /// Compressed by columns: any cells mean reading everything.
    Csc,
    /// Every value.
    Dense,
}

/// What kind of number a matrix holds in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Values {
    /// Whole numbers of any width.
    Integer,
    /// Decimal numbers of any width.
    Float,
    /// Booleans.
    Boolean,
}

/// What is known of a matrix before it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MatrixInfo {
    /// Which.
    pub matrix: Matrix,
    /// How it is stored.
    pub storage: Storage,
    /// What kind of number it holds.
    pub values: Values,
    /// Number of cells.
    pub n_rows: usize,
    /// Number of genes.
    pub n_cols: usize,
    /// Number of entries stored, zeros among them; for a dense matrix all of them.
    pub n_stored: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for matrix in [Matrix::X, Matrix::RawX, Matrix::Layer("counts".into()), Matrix::Layer("a/b".into())] {
            assert_eq!(matrix.to_string().parse(), Ok(matrix));
        }
        assert!("layers/".parse::<Matrix>().is_err() && "obs".parse::<Matrix>().is_err());
    }
}
