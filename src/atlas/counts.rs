//! Counts: finding the raw counts of a file and proving that they are counts.
//!
//! Every value is read and must be a whole number of 0 or more. Sampling would miss a file in which
//! one batch was normalised and the others were not; sums of rows would miss rounded data. The same
//! reading gives the genes and counts per cell.

use std::ops::ControlFlow;

use crate::anndata::{File, Matrix, MatrixInfo};
use crate::domain::Csr;

/// The proven counts of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Counts {
    /// Where they are.
    pub matrix: Matrix,
    /// Genes with at least one count, per cell.
    pub genes: Vec<u32>,
    /// Sum of counts, per cell.
    pub totals: Vec<f64>,
}

/// A value that is no count.
#[derive(Clone, Debug, PartialEq)]
pub struct Offender {
    /// Where it is.
    pub matrix: Matrix,
    /// Row, from 0.
    pub row: usize,
    /// Column, from 0.
    pub column: usize,
    /// The value.
    pub value: f32,
}

/// What was seen in a matrix that does not hold counts.
#[derive(Clone, Debug, PartialEq)]
pub enum Seen {
    /// A value that is no count.
    Offender(Offender),
    /// No value but 0.
    Empty(Matrix),
    /// More or fewer rows than the file has cells.
    Rows(Matrix, usize),
}

/// Rows per block: 18 000 genes at 10 % make some 30 MB.
const ROWS_PER_BLOCK: usize = 2048;

/// Where counts may be, most likely first: `X`, `raw/X`, then layers with a name that says so.
pub fn places(matrices: &[MatrixInfo]) -> Vec<Matrix> {
    let layer_rank = |name: &str| match name.to_lowercase().as_str() {
        "counts" => Some(2),
        "raw_counts" | "raw" | "umi" | "umis" => Some(3),
        other if other.contains("count") && !other.contains("log") && !other.contains("norm") => Some(4),
        _ => None,
    };
    let rank = |matrix: &Matrix| match matrix {
        Matrix::X => Some(0),
        Matrix::RawX => Some(1),
        Matrix::Layer(name) => layer_rank(name),
    };
    let mut places: Vec<(u8, Matrix)> =
        matrices.iter().filter_map(|info| Some((rank(&info.matrix)?, info.matrix.clone()))).collect();
    places.sort();
    places.into_iter().map(|(_, matrix)| matrix).collect()
}

/// Reads a whole matrix; `progress` gets the number of rows read so far.
pub fn prove(
    file: &File,
    matrix: &Matrix,
    progress: &mut dyn FnMut(usize),
) -> crate::anndata::Result<Result<Counts, Seen>> {
    let info = file.matrices().iter().find(|info| info.matrix == *matrix);
    if let Some(info) = info.filter(|info| info.n_rows != file.n_cells()) {
        return Ok(Err(Seen::Rows(matrix.clone(), info.n_rows)));
    }
    let mut counts = Counts { matrix: matrix.clone(), genes: Vec::new(), totals: Vec::new() };
    let mut offender = None;
    file.for_each_block(matrix, ROWS_PER_BLOCK, |first, block| {
        if let Some((row, column, value)) = first_offender(block) {
            offender = Some(Offender { matrix: matrix.clone(), row: first + row, column, value });
            return ControlFlow::Break(());
        }
        counts.totals.extend(block.row_sums());
        counts
            .genes
            .extend((0..block.n_rows()).map(|row| block.row(row).1.iter().filter(|v| **v > 0.0).count() as u32));
        progress(first + block.n_rows());
        ControlFlow::Continue(())
    })?;
    Ok(match offender {
        Some(offender) => Err(Seen::Offender(offender)),
        None if counts.totals.iter().all(|&total| total == 0.0) => Err(Seen::Empty(matrix.clone())),
        None => Ok(counts),
    })
}

/// The first value of a block that is no count, with its row and column.
fn first_offender(block: &Csr) -> Option<(usize, usize, f32)> {
    let is_count = |value: f32| value >= 0.0 && value.is_finite() && value.fract() == 0.0;
    let at = block.values().iter().position(|&value| !is_count(value))?;
    let row = block.indptr().partition_point(|&start| start <= at) - 1;
    Some((row, block.indices()[at] as usize, block.values()[at]))
}

impl Seen {
    /// In words, with the names of the cell and gene.
    pub fn describe(&self, file: &File) -> String {
        match self {
            Self::Empty(matrix) => format!("{matrix} holds nothing but zeros"),
            Self::Rows(matrix, n_rows) => {
                format!("{matrix} has {n_rows} rows, but the file has {} cells", file.n_cells())
            }
            Self::Offender(Offender { matrix, row, column, value }) => {
                let name = |names: crate::anndata::Result<Vec<String>>, at: usize| {
                    names.ok().and_then(|names| names.get(at).cloned()).unwrap_or_default()
                };
                let cell = name(file.obs().index_of(&[*row]), 0);
                let gene = name(file.genes_of(matrix).index(), *column);
                let kind = match value {
                    value if value.is_nan() || value.is_infinite() => "not a number",
                    value if *value < 0.0 => "negative, as scaled data are",
                    _ => "not a whole number, as normalised data are",
                };
                format!("{matrix} is {value} in row {row} (cell {cell}), gene {gene}: {kind}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::anndata::{Storage, Values};

    #[test]
    fn the_first_value_that_is_no_count_is_found() {
        let block = |values: [f32; 3]| Csr::new(3, vec![0, 1, 1, 3], vec![1, 0, 2], values.to_vec()).unwrap();
        assert_eq!(first_offender(&block([1.0, 2.0, 3e6])), None);
        assert_eq!(first_offender(&block([1.0, 2.0, 0.5])), Some((2, 2, 0.5)));
        assert_eq!(first_offender(&block([-1.0, 2.0, 0.5])), Some((0, 1, -1.0)));
        assert!(first_offender(&block([1.0, f32::NAN, 1.0])).is_some_and(|(row, ..)| row == 2));
        assert!(first_offender(&block([f32::INFINITY, 1.0, 1.0])).is_some());
    }

    #[test]
    fn layers_count_only_when_their_name_says_so() {
        let info = |matrix: Matrix| MatrixInfo {
            matrix,
            storage: Storage::Csr,
            values: Values::Float,
            n_rows: 1,
            n_cols: 1,
            n_stored: 1,
        };
        let layer = |name: &str| Matrix::Layer(name.to_owned());
        let all = ["umi", "spliced", "my_counts", "log_counts", "counts"].map(layer);
        let infos: Vec<_> = all.into_iter().chain([Matrix::RawX, Matrix::X]).map(info).collect();
        let expected = [Matrix::X, Matrix::RawX, layer("counts"), layer("umi"), layer("my_counts")];
        assert_eq!(places(&infos), expected);
    }
}
