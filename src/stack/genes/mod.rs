//! The model's gene list, and which column of a data set is which gene of it.

mod read;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

pub use read::Problem;

use crate::domain::{Csr, Expression};

/// The genes of a model, in the order of its inputs and outputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GeneList(Vec<String>);

/// Why a gene list cannot be used, with its file.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {problem}", path = path.display())]
pub struct GeneListError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    #[source]
    pub problem: Problem,
}

/// How the names of a data set are compared with the model's. The data set's are always
/// upper-cased first, and of two columns with one name the last counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// The model's names as they are, so that one that is not upper case never matches: how the
    /// reference feeds the network.
    AsListed,
    /// The model's names upper-cased too: how the reference aligns files before generation.
    Folded,
}

/// Not one gene of the model is in the data.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "none of the {n_genes} genes of the model is among the {n_names} names of the data (model: {model}, …; data: {data}, …). \
     Are these gene symbols of the same species?"
)]
pub struct NoMatch {
    n_genes: usize,
    n_names: usize,
    model: String,
    data: String,
}

/// Counts over the genes of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Aligned {
    /// Cells × model genes; a gene the data do not have is 0.
    pub counts: Csr,
    /// Model genes the data have.
    pub n_matched: usize,
}

impl GeneList {
    /// Takes names, at least one and none empty.
    pub fn new(names: Vec<String>) -> Result<Self, Problem> {
        if names.is_empty() {
            return Err(Problem::Empty);
        }
        match names.iter().position(String::is_empty) {
            Some(at) => Err(Problem::EmptyName(at + 1)),
            None => Ok(Self(names)),
        }
    }

    /// Reads a file: a pickled list of strings or numpy strings, a JSON array, or one per line.
    pub fn read(path: &Path) -> Result<Self, GeneListError> {
        read::read(path).map_err(|problem| GeneListError { path: path.to_owned(), problem })
    }

    /// The same from bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, Problem> {
        read::parse(bytes)
    }

    /// The names in order.
    pub fn names(&self) -> &[String] {
        &self.0
    }

    /// How many genes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Never true: a list has at least one gene.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// For each gene whether its name is upper case, and so can be fed to the network.
    pub fn is_upper(&self) -> Vec<bool> {
        self.0.iter().map(|name| *name == name.to_uppercase()).collect()
    }

    /// The column of each gene among `names`.
    pub fn columns(&self, names: &[String], case: Case) -> Vec<Option<usize>> {
        let column: HashMap<String, usize> =
            names.iter().enumerate().map(|(column, name)| (name.to_uppercase(), column)).collect();
        let find = |gene: &String| match case {
            Case::AsListed => column.get(gene).copied(),
            Case::Folded => column.get(&gene.to_uppercase()).copied(),
        };
        self.0.iter().map(find).collect()
    }

    /// The column of each gene among `names`, of which at least one must be there.
    pub fn matching(&self, names: &[String], case: Case) -> Result<Vec<Option<usize>>, NoMatch> {
        let columns = self.columns(names, case);
        if columns.iter().any(Option::is_some) {
            return Ok(columns);
        }
        let some = |names: &[String]| names.iter().take(3).cloned().collect::<Vec<_>>().join(", ");
        Err(NoMatch { n_genes: self.len(), n_names: names.len(), model: some(&self.0), data: some(names) })
    }

    /// Counts over the model's genes.
    pub fn align(&self, data: &Expression, case: Case) -> Result<Aligned, NoMatch> {
        let columns = self.matching(&data.genes, case)?;
        let n_matched = columns.iter().flatten().count();
        Ok(Aligned { counts: data.counts.select_columns(&columns), n_matched })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn the_last_duplicate_counts_and_case_follows_the_rule() {
        let genes = GeneList::new(strings(&["IL6", "Actb", "MX1", "GONE"])).unwrap();
        let data = strings(&["il6", "ACTB", "Mx1", "IL6"]);
        assert_eq!(genes.columns(&data, Case::AsListed), [Some(3), None, Some(2), None]);
        assert_eq!(genes.columns(&data, Case::Folded), [Some(3), Some(1), Some(2), None]);
        assert_eq!(genes.is_upper(), [true, false, true, true]);
    }

    #[test]
    fn data_without_any_gene_of_the_model_are_refused_with_examples() {
        let genes = GeneList::new(strings(&["IL6"])).unwrap();
        let data = Expression {
            cells: strings(&["c"]),
            genes: strings(&["ENSG00000136244"]),
            counts: Csr::from_rows(1, [[(0, 1.0)]]).unwrap(),
        };
        let error = genes.align(&data, Case::Folded).unwrap_err().to_string();
        assert!(error.contains("IL6") && error.contains("ENSG00000136244"), "{error}");
    }
}
