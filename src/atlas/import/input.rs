//! What is asked of the file: columns, cells, counts.

use super::{Error, Progress, Request};
use crate::anndata::{self, Column, File, Frame, Matrix};
use crate::atlas::coded::Coded;
use crate::atlas::counts::{self, Counts};
use crate::atlas::harmonize::{self, Harmonised, Labels};
use crate::atlas::mapping::{self, Mapping};
use crate::atlas::profile::Profile;

/// The file with the name it is shown under.
pub(super) struct Input<'a> {
    pub(super) shown: &'a str,
    pub(super) file: &'a File,
}

impl Input<'_> {
    /// The profile and the mapping over it, with every column it names checked.
    pub(super) fn mapping(&self, request: &Request) -> Result<(Profile, Mapping), Error> {
        let (obs, var) = (self.file.obs(), self.file.var());
        let profile = request.profile.unwrap_or_else(|| Profile::recognise(obs.columns()));
        let ids = looks_like_ids(&var.index()?);
        let defaults = profile.mapping(obs.columns(), var.columns(), ids);
        let mapping = match &request.mapping {
            Some(text) => Mapping::parse(text)?.over(defaults),
            None => defaults,
        };
        for (field, source) in &mapping.fields {
            if let Some(column) = source.columns().find(|column| !obs.has(column)) {
                return Err(self.no_column("obs", obs, column, field.as_str()));
            }
        }
        Ok((profile, mapping))
    }

    pub(super) fn check_cells(&self) -> Result<(), Error> {
        let (n_cells, n_genes) = (self.file.n_cells(), self.file.var().n_rows());
        let file = || self.shown.to_owned();
        if n_cells == 0 || n_genes == 0 {
            return Err(Error::Empty { file: file(), n_cells, n_genes });
        }
        if u32::try_from(n_cells).is_err() {
            return Err(Error::TooManyCells { file: file(), n_cells });
        }
        let names = Coded::new(self.file.obs().index()?);
        if names.values().len() < n_cells {
            let repeated = names.counts().iter().position(|&n| n > 1).unwrap_or_default();
            let mut rows = names.codes().iter().enumerate().filter(|(_, code)| **code as usize == repeated);
            let mut row = || rows.next().map_or(0, |(row, _)| row);
            let name = names.values()[repeated].clone();
            return Err(Error::DuplicateCell { file: file(), name, first: row(), second: row() });
        }
        Ok(())
    }

    pub(super) fn harmonise(
        &self,
        dataset: &str,
        mapping: &Mapping,
        resolve: &harmonize::Resolve<'_>,
    ) -> Result<Harmonised, Error> {
        let obs = self.file.obs();
        let column = |name: &str| obs.column(name).map(labels).map_err(Failed::AnnData);
        harmonize::harmonize(dataset, self.file.n_cells(), obs.columns(), &column, mapping, resolve).map_err(|error| {
            match error {
                Failed::AnnData(error) => error.into(),
                Failed::Columns(source) => Error::Columns { file: self.shown.to_owned(), source },
            }
        })
    }

    pub(super) fn counts(&self, wanted: Option<&Matrix>, progress: &dyn Fn(Progress)) -> Result<Counts, Error> {
        let places = match wanted {
            Some(matrix) => vec![matrix.clone()],
            None => counts::places(self.file.matrices()),
        };
        let total = self.file.n_cells() as u64;
        let mut seen: Vec<String> = Vec::new();
        for matrix in &places {
            let mut report = |done| progress(Progress::Counting { done: done as u64, total });
            match counts::prove(self.file, matrix, &mut report)? {
                Ok(counts) => return Ok(counts),
                Err(other) => seen.push(other.describe(self.file)),
            }
        }
        seen.extend(self.file.unreadable().iter().map(|(matrix, error)| format!("{matrix} cannot be read ({error})")));
        if places.is_empty() {
            let has = self.file.matrices().iter().map(|info| info.matrix.to_string()).collect::<Vec<_>>();
            let has = if has.is_empty() { "no matrix at all".to_owned() } else { format!("only {}", has.join(", ")) };
            seen.push(format!("it has {has}"));
        }
        Err(Error::NoCounts { file: self.shown.to_owned(), seen: seen.join("; ") })
    }

    /// Whether the file says of its cells that they were simulated.
    pub(super) fn says_simulated(&self) -> Result<bool, Error> {
        if !self.file.obs().has("simulated") {
            return Ok(false);
        }
        let labels = labels(self.file.obs().column("simulated")?);
        Ok(labels.values().iter().flatten().any(|value| ["true", "1", "yes"].contains(&value.to_lowercase().as_str())))
    }

    pub(super) fn notes(&self, mapping: &Mapping, counts: &Counts, genes: &Frame) -> Result<Vec<String>, Error> {
        let mut notes = Vec::new();
        let empty = counts.totals.iter().filter(|total| **total == 0.0).count();
        if empty > 0 {
            notes.push(format!("{empty} cells have no counts at all"));
        }
        if mapping.gene_symbols.is_none() && looks_like_ids(&genes.index()?) {
            notes.push(
                "genes are named by Ensembl ids, and no column of var holds their symbols; models and gene sets match \
                 by symbol. Name the column in a mapping: gene_symbols = \"...\""
                    .to_owned(),
            );
        }
        Ok(notes)
    }

    pub(super) fn no_column(&self, table: &'static str, frame: &Frame, column: &str, what: &str) -> Error {
        let columns = frame.columns().iter().map(String::as_str);
        Error::NoColumn {
            file: self.shown.to_owned(),
            table,
            column: column.to_owned(),
            what: what.to_owned(),
            hint: match mapping::nearest(column, columns.clone()) {
                Some(name) => format!("did you mean '{name}'?"),
                None => format!("it has {}", harmonize::listed(columns)),
            },
        }
    }
}

/// Why harmonising stopped: the columns, or reading one.
enum Failed {
    AnnData(anndata::Error),
    Columns(harmonize::Error),
}

impl From<harmonize::Error> for Failed {
    fn from(error: harmonize::Error) -> Self {
        Self::Columns(error)
    }
}

/// The distinct labels of a column.
fn labels(column: Column) -> Labels {
    match column {
        Column::Categorical { codes, categories, .. } => {
            let category = |code: Option<usize>| code.and_then(|code| categories.get(code).cloned());
            Coded::from_categories(codes.into_iter().map(i64::from), category)
        }
        Column::Strings(texts) => Coded::new(texts),
        numbers => Coded::new(numbers.to_strings()),
    }
}

/// Whether most names are Ensembl ids.
fn looks_like_ids(names: &[String]) -> bool {
    let is_id = |name: &&String| {
        name.strip_prefix("ENS").is_some_and(|rest| rest.trim_start_matches(char::is_alphabetic).len() >= 11)
    };
    2 * names.iter().filter(is_id).count() > names.len()
}
