//! What is asked of the file: columns, cells, counts.

use super::{Error, Progress, Request};
use crate::anndata::{self, File, Frame, Matrix};
use crate::atlas::coded::Coded;
use crate::atlas::counts::{self, Counts, Proof};
use crate::atlas::harmonize::{self, Harmonised, Labels};
use crate::atlas::mapping::{self, Mapping, Meaning, Source};
use crate::atlas::profile::Profile;
use crate::domain::cells::{CellSetKey, SetRows};
use crate::domain::datasets::Field;

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
        let mut defaults = profile.mapping(request.profile.is_some(), obs.columns(), var.columns(), ids);
        self.add_what_uns_says(&mut defaults)?;
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

    /// From version 6 of its schema on, CELLxGENE names the organism in `uns`, and from 7.1 on the genes
    /// that each guide is meant for.
    fn add_what_uns_says(&self, mapping: &mut Mapping) -> Result<(), Error> {
        if !mapping.fields.contains_key(&Field::Organism)
            && let Some(organism) = self.file.uns_text(&["organism_ontology_term_id"])?
        {
            let said_by = Some("uns['organism_ontology_term_id']".to_owned());
            let source = Source { value: Some(organism), said_by, ..Source::default() };
            mapping.fields.insert(Field::Organism, source);
        }
        let Some(source) = mapping.fields.get_mut(&Field::Perturbation) else { return Ok(()) };
        if source.column.as_deref() != Some("genetic_perturbation_id") {
            return Ok(());
        }
        let guides = "genetic_perturbations";
        for guide in self.file.uns_names(&[guides])? {
            let mut genes = Vec::new();
            for id in self.file.uns_names(&[guides, &guide, "intended_features"])? {
                let symbol = self.file.uns_text(&[guides, &guide, "intended_features", &id])?;
                genes.push(symbol.filter(|symbol| !symbol.is_empty()).unwrap_or(id));
            }
            if let [gene] = &genes[..] {
                source.values.insert(guide, Meaning::Text(gene.clone()));
            }
        }
        Ok(())
    }

    /// Columns of `obs` that no field is taken from.
    pub(super) fn unused(&self, mapping: &Mapping) -> Vec<String> {
        let used = |column: &&String| {
            let sources = mapping.fields.values().filter(|source| !source.ignore);
            sources.flat_map(Source::columns).any(|name| name == *column)
        };
        self.file.obs().columns().iter().filter(|column| !used(column)).cloned().collect()
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
        if let Some((name, first, second)) = self.file.obs().repeated_name()? {
            return Err(Error::DuplicateCell { file: file(), name, first, second });
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
        let column = |name: &str| labels(obs, name).map_err(Failed::AnnData);
        harmonize::harmonize(dataset, self.file.n_cells(), obs.columns(), &column, mapping, resolve).map_err(|error| {
            match error {
                Failed::AnnData(error) => error.into(),
                Failed::Columns(source) => Error::Columns { file: self.shown.to_owned(), source },
            }
        })
    }

    pub(super) fn counts(
        &self,
        (wanted, proof): (Option<&Matrix>, Proof),
        sets: &[(CellSetKey, SetRows)],
        progress: &dyn Fn(Progress),
    ) -> Result<Counts, Error> {
        let places = match wanted {
            Some(matrix) => vec![matrix.clone()],
            None => counts::places(self.file.matrices()),
        };
        let total = self.file.n_cells() as u64;
        let mut seen: Vec<String> = Vec::new();
        for matrix in &places {
            let mut report = |done| progress(Progress::Counting { done: done as u64, total });
            let proven = if counts::is_read_whole(self.file, matrix, proof) {
                counts::prove(self.file, matrix, &mut report)?
            } else {
                counts::prove_sample(self.file, matrix, &counts::sample(sets, self.file.n_cells()))?
            };
            match proven {
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
        let labels = labels(self.file.obs(), "simulated")?;
        Ok(labels.values().iter().flatten().any(|value| ["true", "1", "yes"].contains(&value.to_lowercase().as_str())))
    }

    pub(super) fn notes(&self, mapping: &Mapping, counts: &Counts, genes: &Frame) -> Result<Vec<String>, Error> {
        let mut notes = Vec::new();
        if let Some(n) = counts.sampled {
            let n_cells = self.file.n_cells();
            notes.push(format!(
                "counts were proven on {n} of {n_cells} cells, of every group and every part of the file; --prove all \
                 reads every value"
            ));
        }
        let empty = counts.totals.iter().flatten().filter(|total| **total == 0.0).count();
        if empty > 0 {
            notes.push(format!("{empty} cells have no counts at all"));
        }
        let not_genes = self.not_genes(genes)?;
        if !not_genes.is_empty() {
            notes.push(format!("among the genes are features of other kinds, counted along with them: {not_genes}"));
        }
        if self.file.obs().has("is_primary_data") {
            let primary = labels(self.file.obs(), "is_primary_data")?;
            let with_counts = primary.values().iter().zip(primary.counts());
            let copies: u64 = with_counts.filter(|(v, _)| v.as_deref() == Some("False")).map(|(_, n)| n).sum();
            if copies > 0 {
                notes.push(format!("{copies} cells are copies of cells in another set (is_primary_data is False)"));
            }
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

    /// What 10x Genomics measures beside genes, with how much of it there is.
    fn not_genes(&self, genes: &Frame) -> Result<String, Error> {
        let kinds = ["Antibody Capture", "CRISPR Guide Capture", "Multiplexing Capture", "Custom", "Peaks"];
        let Some(column) = ["feature_type", "feature_types"].into_iter().find(|name| genes.has(name)) else {
            return Ok(String::new());
        };
        let found = labels(genes, column)?;
        let with_counts = found.values().iter().zip(found.counts());
        let others = with_counts.filter_map(|(kind, n)| {
            let kind = kind.as_deref().filter(|kind| kinds.contains(kind))?;
            Some(format!("{n} of {kind}"))
        });
        Ok(others.collect::<Vec<_>>().join(", "))
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

/// Distinct labels that a column may have: more than there are guides in any screen, fewer than cells.
const MOST_LABELS: usize = 1 << 20;

/// The distinct labels of a column.
fn labels(table: &Frame, column: &str) -> anndata::Result<Labels> {
    let anndata::Labels { codes, values } = table.labels(column, MOST_LABELS)?;
    Ok(Coded::from_codes(codes, values))
}

/// Whether most names are Ensembl ids.
fn looks_like_ids(names: &[String]) -> bool {
    let is_id = |name: &&String| {
        name.strip_prefix("ENS").is_some_and(|rest| rest.trim_start_matches(char::is_alphabetic).len() >= 11)
    };
    2 * names.iter().filter(is_id).count() > names.len()
}
