//! Reading the cells of an inference job: raw counts, proven to be that.

use std::io;
use std::ops::ControlFlow;
use std::path::Path;

use crate::anndata::{self, File, Frame, Matrix};
use crate::cli::{Error, Result};
use crate::domain::Csr;
use crate::stack::genes::{Case, GeneList};
use crate::stack::mean_shift;
use crate::stack::spool::{Budget, Spool, Spooler};

/// The organism the reference is limited to.
const HUMAN: &str = "Homo sapiens";

/// Columns that often hold the symbols where the index holds other identifiers.
const SYMBOL_COLUMNS: [&str; 7] =
    ["feature_name", "gene_symbols", "gene_symbol", "gene_name", "gene_names", "symbol", "hgnc_symbol"];

/// Cells read or passed on at once.
const BLOCK: usize = 1024;

/// How a file is read.
#[derive(Clone, Copy)]
pub struct Reading<'a> {
    /// Column of the gene table with the names, instead of the index.
    pub gene_column: Option<&'a str>,
    /// Which cells, ascending; all for `None`.
    pub rows: Option<&'a [usize]>,
    /// Memory for the counts.
    pub budget: &'a Budget,
}

/// Cells of one file.
pub struct Cells {
    file: File,
    matrix: Matrix,
    shown: String,
    /// Which cells of the file; all for `None`.
    rows: Option<Vec<usize>>,
    /// Names of the genes: those of the index, or of the column asked for.
    pub genes: Vec<String>,
    /// Counts over these genes.
    pub counts: Spool,
    /// What the user should know.
    pub warnings: Vec<String>,
}

impl Cells {
    /// Reads the counts of a file: `raw/X` if the file has it, else `X`, as the reference does. Where that
    /// matrix holds something else, the others are tried, and the choice is told.
    ///
    /// `what` and `shown` name the file in messages: its part in the job and where the user said it is.
    pub fn read(path: &Path, what: &str, shown: &str, reading: Reading) -> Result<Self> {
        let shown = format!("{what} {shown}");
        let failed = |error: anndata::Error| Error::failed(error).hint(format!("this is the {shown}"));
        let file = File::open(path).map_err(failed)?;
        let present = |matrix: &Matrix| file.matrices().iter().any(|info| info.matrix == *matrix);
        let layers = ["counts", "raw_counts"].map(|name| Matrix::Layer(name.to_owned()));
        let candidates: Vec<Matrix> = [Matrix::RawX, Matrix::X].into_iter().chain(layers).filter(present).collect();
        let mut looked = Vec::new();
        for matrix in candidates {
            let counts = match counts(&file, &matrix, reading).map_err(failed)? {
                Ok(counts) => counts.map_err(scratch)?,
                Err(why) => {
                    looked.push(format!("{matrix} {why}"));
                    continue;
                }
            };
            let mut warnings = Vec::new();
            if !looked.is_empty() {
                warnings.push(format!("{shown}: took the counts from {matrix}, because {}", looked.join(" and ")));
            }
            let table = file.genes_of(&matrix);
            let genes = match reading.gene_column {
                Some(column) if table.has(column) => names(table, column).map_err(failed)?,
                Some(column) => {
                    warnings.push(format!("{shown}: no gene column {column}, took the index"));
                    table.index().map_err(failed)?
                }
                None => table.index().map_err(failed)?,
            };
            let rows = reading.rows.map(<[usize]>::to_vec);
            return Ok(Self { file, matrix, shown, rows, genes, counts, warnings });
        }
        let unreadable = file.unreadable().iter().map(|(matrix, error)| format!("{matrix} cannot be read ({error})"));
        let looked: Vec<String> = looked.into_iter().chain(unreadable).collect();
        let looked = if looked.is_empty() { "it has no matrix".to_owned() } else { looked.join("; ") };
        Err(Error::failed(format!("{shown} holds no raw counts: {looked}"))
            .hint("raw counts are whole numbers of at least 0; put them in raw/X, X or layers/counts"))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.counts.n_rows()
    }

    /// As the baseline takes them.
    pub fn for_mean_shift(&self) -> mean_shift::Cells<'_> {
        mean_shift::Cells { genes: &self.genes, counts: &self.counts }
    }

    /// The cells' table.
    pub fn obs(&self) -> &Frame {
        self.file.obs()
    }

    /// The organism of each cell, `None` where it is missing; `None` if the file does not say.
    fn organisms(&self) -> Result<Option<Vec<Option<String>>>> {
        if !self.obs().has("organism") {
            return Ok(None);
        }
        let all = self.obs().column("organism").map_err(Error::failed)?.to_strings();
        Ok(Some(match &self.rows {
            Some(rows) => rows.iter().map(|&row| all[row].clone()).collect(),
            None => all,
        }))
    }

    /// Which of the cells are human: all where the file does not say. None is an error.
    pub fn human(&self) -> Result<Vec<usize>> {
        let Some(organisms) = self.organisms()? else { return Ok((0..self.len()).collect()) };
        let human = |(row, name): (usize, &Option<String>)| (name.as_deref() == Some(HUMAN)).then_some(row);
        let rows: Vec<usize> = organisms.iter().enumerate().filter_map(human).collect();
        if rows.is_empty() {
            let some = organisms.iter().flatten().next().map_or("missing", String::as_str);
            return Err(Error::failed(format!(
                "{}: no cell is {HUMAN} (obs/organism is '{some}' for one), and STACK knows human genes only",
                self.shown
            )));
        }
        Ok(rows)
    }

    /// Refuses cells of another organism: the model's gene list is human, and the reference fails.
    pub fn check_human(&self) -> Result {
        let Some(values) = self.organisms()? else { return Ok(()) };
        let other = values.iter().filter(|value| value.as_deref() != Some(HUMAN));
        match other.clone().next() {
            None => Ok(()),
            Some(first) => Err(Error::failed(format!(
                "{}: {} of {} cells are not {HUMAN} (obs/organism is '{}' for one), and STACK predicts human cells only",
                self.shown,
                other.count(),
                values.len(),
                first.as_deref().unwrap_or("missing")
            ))
            .hint("leave those cells out of the file")),
        }
    }

    /// Counts over the genes of a model, and how many of those genes are there. Where no name of the index
    /// is a gene of the model, the usual columns for symbols are tried.
    pub fn align(&mut self, genes: &GeneList, budget: &Budget) -> Result<(Spool, usize)> {
        let all: Vec<usize> = (0..self.len()).collect();
        self.align_rows(genes, Case::Folded, &all, budget)
    }

    /// The same for some of the cells.
    pub fn align_rows(
        &mut self,
        genes: &GeneList,
        case: Case,
        rows: &[usize],
        budget: &Budget,
    ) -> Result<(Spool, usize)> {
        let columns = self.matching(genes, case)?;
        let n_matched = columns.iter().flatten().count();
        let mut aligned = Spooler::new(genes.len(), budget);
        for rows in rows.chunks(BLOCK) {
            let (block, rows) = self.counts.rows(rows).map_err(scratch)?;
            aligned.extend(&block.select_rows(&rows).select_columns(&columns)).map_err(scratch)?;
        }
        Ok((aligned.finish().map_err(scratch)?, n_matched))
    }

    fn matching(&mut self, genes: &GeneList, case: Case) -> Result<Vec<Option<usize>>> {
        let no_match = match genes.matching(&self.genes, case) {
            Ok(columns) => return Ok(columns),
            Err(no_match) => no_match,
        };
        let table = self.file.genes_of(&self.matrix);
        for column in SYMBOL_COLUMNS.into_iter().filter(|column| table.has(column)) {
            let Ok(symbols) = names(table, column) else { continue };
            if let Ok(columns) = genes.matching(&symbols, case) {
                self.warnings.push(format!("{}: took gene symbols from column {column}", self.shown));
                return Ok(columns);
            }
        }
        Err(Error::failed(format!("{}: {no_match}", self.shown))
            .hint("name the column that holds the gene symbols with --gene-column NAME"))
    }
}

/// A scratch file that could not be written or read.
pub fn scratch(error: io::Error) -> Error {
    Error::failed(format!("cells could not be kept in a scratch file: {error}"))
        .hint("set TMPDIR to a folder with more room, or give more --memory")
}

/// The counts of a matrix, or in words why what it holds is none.
fn counts(
    file: &File,
    matrix: &Matrix,
    reading: Reading,
) -> anndata::Result<std::result::Result<io::Result<Spool>, String>> {
    let n_cols = file.genes_of(matrix).n_rows();
    let (mut spooler, mut stopped, mut only_zeros) = (Spooler::new(n_cols, reading.budget), None, true);
    let mut take = |block: &Csr| {
        only_zeros &= block.values().iter().all(|value| *value == 0.0);
        stopped = match not_counts(block) {
            Some(why) => Some(Err(why)),
            None => spooler.extend(block).err().map(|error| Ok(Err(error))),
        };
        if stopped.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    match reading.rows {
        None => file.for_each_block(matrix, BLOCK, |_, block| take(block))?,
        Some(rows) => {
            for rows in rows.chunks(BLOCK) {
                if take(&file.read_rows(matrix, Some(rows))?).is_break() {
                    break;
                }
            }
        }
    }
    let n_cells = reading.rows.map_or(file.n_cells(), <[usize]>::len);
    Ok(match stopped {
        Some(stopped) => stopped,
        None if only_zeros && n_cells > 0 => Err("is 0 everywhere".to_owned()),
        None => Ok(spooler.finish()),
    })
}

/// The values of a column of names; a missing one is empty and matches nothing.
fn names(table: &Frame, column: &str) -> anndata::Result<Vec<String>> {
    Ok(table.column(column)?.to_strings().into_iter().map(Option::unwrap_or_default).collect())
}

/// Why a matrix does not hold counts.
fn not_counts(matrix: &Csr) -> Option<String> {
    let wrong = matrix.values().iter().find(|value| !(value.is_finite() && **value >= 0.0 && value.fract() == 0.0))?;
    Some(format!("holds {wrong}, so it is normalised or scaled"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_numbers_from_zero_on_are_counts() {
        let matrix = |value: f32| Csr::from_rows(2, [[(0, 3.0), (1, value)]]).unwrap();
        assert_eq!(not_counts(&matrix(70_000.0)), None);
        for wrong in [0.5, -1.0, f32::NAN, f32::INFINITY] {
            assert!(not_counts(&matrix(wrong)).unwrap().contains(&wrong.to_string()));
        }
    }
}
