//! Reading the cells of an inference job: raw counts, proven to be that.

use std::path::Path;

use crate::anndata::{File, Frame, Matrix};
use crate::cli::{Error, Result};
use crate::domain::{Csr, Expression};
use crate::stack::genes::{Aligned, Case, GeneList};

/// The organism the reference is limited to.
const HUMAN: &str = "Homo sapiens";

/// Columns that often hold the symbols where the index holds other identifiers.
const SYMBOL_COLUMNS: [&str; 7] =
    ["feature_name", "gene_symbols", "gene_symbol", "gene_name", "gene_names", "symbol", "hgnc_symbol"];

/// Cells of one file.
pub struct Cells {
    file: File,
    matrix: Matrix,
    shown: String,
    /// Counts with the names the index gives, or the column asked for.
    pub expression: Expression,
    /// What the user should know.
    pub warnings: Vec<String>,
}

impl Cells {
    /// Reads the counts of a file: `raw/X` if the file has it, else `X`, as the reference does. Where that
    /// matrix holds something else, the others are tried, and the choice is told.
    ///
    /// `what` and `shown` name the file in messages: its part in the job and where the user said it is.
    pub fn read(path: &Path, what: &str, shown: &str, gene_column: Option<&str>) -> Result<Self> {
        let shown = format!("{what} {shown}");
        let failed = |error: crate::anndata::Error| Error::failed(error).hint(format!("this is the {shown}"));
        let file = File::open(path).map_err(failed)?;
        let present = |matrix: &Matrix| file.matrices().iter().any(|info| info.matrix == *matrix);
        let layers = ["counts", "raw_counts"].map(|name| Matrix::Layer(name.to_owned()));
        let candidates: Vec<Matrix> = [Matrix::RawX, Matrix::X].into_iter().chain(layers).filter(present).collect();
        let mut looked = Vec::new();
        for matrix in candidates {
            let counts = file.read_rows(&matrix, None).map_err(failed)?;
            if let Some(why) = not_counts(&counts) {
                looked.push(format!("{matrix} {why}"));
                continue;
            }
            let mut warnings = Vec::new();
            if !looked.is_empty() {
                warnings.push(format!("{shown}: took the counts from {matrix}, because {}", looked.join(" and ")));
            }
            let table = file.genes_of(&matrix);
            let genes = match gene_column {
                Some(column) if table.has(column) => names(table, column).map_err(failed)?,
                Some(column) => {
                    warnings.push(format!("{shown}: no gene column {column}, took the index"));
                    table.index().map_err(failed)?
                }
                None => table.index().map_err(failed)?,
            };
            let cells = file.obs().index().map_err(failed)?;
            let expression = Expression { cells, genes, counts };
            return Ok(Self { file, matrix, shown, expression, warnings });
        }
        let unreadable = file.unreadable().iter().map(|(matrix, error)| format!("{matrix} cannot be read ({error})"));
        let looked: Vec<String> = looked.into_iter().chain(unreadable).collect();
        let looked = if looked.is_empty() { "it has no matrix".to_owned() } else { looked.join("; ") };
        Err(Error::failed(format!("{shown} holds no raw counts: {looked}"))
            .hint("raw counts are whole numbers of at least 0; put them in raw/X, X or layers/counts"))
    }

    /// The cells' table.
    pub fn obs(&self) -> &Frame {
        self.file.obs()
    }

    /// Refuses cells of another organism: the model's gene list is human, and the reference fails.
    pub fn check_human(&self) -> Result {
        if !self.obs().has("organism") {
            return Ok(());
        }
        let column = self.obs().column("organism").map_err(Error::failed)?;
        let values = column.to_strings();
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

    /// Counts over the genes of a model. Where no name of the index is a gene of the model, the usual
    /// columns for symbols are tried.
    pub fn align(&mut self, genes: &GeneList) -> Result<Aligned> {
        let no_match = match genes.align(&self.expression, Case::Folded) {
            Ok(aligned) => return Ok(aligned),
            Err(no_match) => no_match,
        };
        let table = self.file.genes_of(&self.matrix);
        for column in SYMBOL_COLUMNS.into_iter().filter(|column| table.has(column)) {
            let Ok(symbols) = names(table, column) else { continue };
            let before = std::mem::replace(&mut self.expression.genes, symbols);
            if let Ok(aligned) = genes.align(&self.expression, Case::Folded) {
                self.warnings.push(format!("{}: took gene symbols from column {column}", self.shown));
                return Ok(aligned);
            }
            self.expression.genes = before;
        }
        Err(Error::failed(format!("{}: {no_match}", self.shown))
            .hint("name the column that holds the gene symbols with --gene-column NAME"))
    }
}

/// The values of a column of names; a missing one is empty and matches nothing.
fn names(table: &Frame, column: &str) -> crate::anndata::Result<Vec<String>> {
    Ok(table.column(column)?.to_strings().into_iter().map(Option::unwrap_or_default).collect())
}

/// Why a matrix does not hold counts.
fn not_counts(matrix: &Csr) -> Option<String> {
    if matrix.n_rows() > 0 && matrix.values().iter().all(|value| *value == 0.0) {
        return Some("is 0 everywhere".to_owned());
    }
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
        assert!(not_counts(&Csr::from_rows(2, [[(0, 0.0)]]).unwrap()).is_some());
    }
}
