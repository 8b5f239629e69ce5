//! Counts: finding the raw counts of a file and proving that they are counts.
//!
//! A value must be a whole number of 0 or more; sums of rows would miss rounded data. Of a matrix of
//! moderate size every value is read, which gives the genes and counts per cell too. Of a large one,
//! cells are sampled: from every stretch of the file, and from every donor, batch, condition and cell
//! type, because a file may have been put together from some that were normalised and some that were not.

use std::collections::{BTreeSet, HashSet};
use std::ops::ControlFlow;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::anndata::{File, Matrix, MatrixInfo, Storage};
use crate::domain::Csr;
use crate::domain::cells::{CellSetKey, Condition, SetRows};

/// The proven counts of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Counts {
    /// Where they are.
    pub matrix: Matrix,
    /// Genes with at least one count, per cell, where they are known.
    pub genes: Option<Vec<u32>>,
    /// Sum of counts, per cell, where they are known.
    pub totals: Option<Vec<f64>>,
    /// How many cells were read, unless all were.
    pub sampled: Option<u64>,
}

/// How much of a matrix is read to prove that it holds counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Proof {
    /// Everything where it has at most [`EVERYTHING`] entries, else a sample.
    #[default]
    BySize,
    /// Everything.
    All,
    /// A sample, unless the matrix is compressed by columns: then any cell means reading everything.
    Sample,
}

/// Entries of a matrix that is read whole: some seconds of reading.
pub const EVERYTHING: u64 = 1 << 26;

/// Stretches of a file that a cell is sampled from each.
const STRETCHES: usize = 2048;
/// Further cells at most, one for each donor, batch, condition and cell type.
const MOST_OF_GROUPS: usize = 2048;
/// Cells are sampled with this seed, so that the same file is judged by the same cells.
const SEED: u64 = 0;

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

/// Whether a matrix is read whole.
pub fn is_read_whole(file: &File, matrix: &Matrix, proof: Proof) -> bool {
    let info = file.matrices().iter().find(|info| info.matrix == *matrix);
    let large = info.is_some_and(|info| info.storage != Storage::Csc && info.n_stored > EVERYTHING);
    match proof {
        Proof::All => true,
        Proof::BySize => !large,
        Proof::Sample => info.is_none_or(|info| info.storage == Storage::Csc),
    }
}

/// The cells that are sampled, ascending.
pub fn sample(sets: &[(CellSetKey, SetRows)], n_cells: usize) -> Vec<usize> {
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let mut cells = BTreeSet::from([0, n_cells.saturating_sub(1)]);
    let n = STRETCHES.min(n_cells);
    cells.extend((0..n).map(|at| rng.random_range(at * n_cells / n..(at + 1) * n_cells / n)));
    let mut seen: HashSet<(u8, &str)> = HashSet::new();
    let most = cells.len() + MOST_OF_GROUPS;
    for (key, rows) in sets {
        let condition = match &key.condition {
            Condition::Control { label, .. } => label.as_deref(),
            Condition::Perturbed { perturbation, .. } => Some(perturbation.original.as_str()),
        };
        let groups = [Some(key.cell_type.original.as_str()), condition, key.donor.as_deref(), key.batch.as_deref()];
        let is_new = |(kind, group): (u8, &Option<&'_ str>)| group.is_some_and(|group| !seen.contains(&(kind, group)));
        if cells.len() < most && (0..).zip(&groups).any(is_new) {
            seen.extend((0..).zip(groups).filter_map(|(kind, group)| Some((kind, group?))));
            let nth = rng.random_range(0..rows.len().max(1));
            cells.extend(rows.get(nth).map(|&row| row as usize));
        }
    }
    cells.into_iter().filter(|cell| *cell < n_cells).collect()
}

/// Reads some cells of a matrix. Genes per cell are those stored, where no sampled cell stores zeros.
pub fn prove_sample(file: &File, matrix: &Matrix, cells: &[usize]) -> crate::anndata::Result<Result<Counts, Seen>> {
    if let Some(seen) = other_rows(file, matrix) {
        return Ok(Err(seen));
    }
    let read = file.read_rows(matrix, Some(cells))?;
    if let Some((at, column, value)) = first_offender(&read) {
        return Ok(Err(Seen::Offender(Offender { matrix: matrix.clone(), row: cells[at], column, value })));
    }
    if read.nnz() == 0 {
        return Ok(Err(Seen::Empty(matrix.clone())));
    }
    let stored = file.stored_per_row(matrix)?;
    let genes = stored
        .filter(|stored| cells.iter().enumerate().all(|(at, &cell)| stored[cell] as usize == read.row(at).0.len()));
    let totals = totals_in_obs(file, cells, &read.row_sums())?;
    Ok(Ok(Counts { matrix: matrix.clone(), genes, totals, sampled: Some(cells.len() as u64) }))
}

/// Columns of `obs` that hold the sum of counts per cell.
const TOTALS: [&str; 9] = [
    "tscp_count",
    "total_counts",
    "n_counts",
    "ncounts",
    "nCount_RNA",
    "n_counts_UMIs",
    "UMI_count",
    "umi_count",
    "nUMI",
];

/// The sums of counts that a column of `obs` holds, if it holds those of every sampled cell.
fn totals_in_obs(file: &File, cells: &[usize], sums: &[f64]) -> crate::anndata::Result<Option<Vec<f64>>> {
    for name in TOTALS.into_iter().filter(|name| file.obs().has(name)) {
        if let Some(totals) = file.obs().numbers(name)?
            && cells.iter().zip(sums).all(|(&cell, sum)| (totals[cell] - sum).abs() < 0.5)
            && totals.iter().all(|total| *total >= 0.0)
        {
            return Ok(Some(totals));
        }
    }
    Ok(None)
}

fn other_rows(file: &File, matrix: &Matrix) -> Option<Seen> {
    let info = file.matrices().iter().find(|info| info.matrix == *matrix)?;
    (info.n_rows != file.n_cells()).then(|| Seen::Rows(matrix.clone(), info.n_rows))
}

/// Reads a whole matrix; `progress` gets the number of rows read so far.
pub fn prove(
    file: &File,
    matrix: &Matrix,
    progress: &mut dyn FnMut(usize),
) -> crate::anndata::Result<Result<Counts, Seen>> {
    if let Some(seen) = other_rows(file, matrix) {
        return Ok(Err(seen));
    }
    let (mut genes, mut totals) = (Vec::new(), Vec::new());
    let mut offender = None;
    file.for_each_block(matrix, ROWS_PER_BLOCK, |first, block| {
        if let Some((row, column, value)) = first_offender(block) {
            offender = Some(Offender { matrix: matrix.clone(), row: first + row, column, value });
            return ControlFlow::Break(());
        }
        totals.extend(block.row_sums());
        genes.extend((0..block.n_rows()).map(|row| block.row(row).1.iter().filter(|v| **v > 0.0).count() as u32));
        progress(first + block.n_rows());
        ControlFlow::Continue(())
    })?;
    Ok(match offender {
        Some(offender) => Err(Seen::Offender(offender)),
        None if totals.iter().all(|&total| total == 0.0) => Err(Seen::Empty(matrix.clone())),
        None => Ok(Counts { matrix: matrix.clone(), genes: Some(genes), totals: Some(totals), sampled: None }),
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
