//! Import: one `.h5ad` file becomes a data set with its cell sets, all or nothing.
//!
//! The file stays where it is. Nothing is stored before everything was read and proven, and then in one
//! transaction, so an import that is interrupted leaves nothing behind, and of two at once one wins.

mod error;
mod input;
mod rows;

use std::path::PathBuf;

use sha2::{Digest, Sha256};

use super::counts::Proof;
use super::file_state::{digest_of, is_of_all, state_of};
use super::harmonize::{self, Asked, Found, Harmonised};
use super::mapping;
use super::profile::Profile;
use crate::anndata::{self, File, Matrix};
use crate::database::cells::{NewCellSet, Stored};
use crate::database::{self, Database};
use crate::domain::datasets::{Dataset, Field};
use crate::domain::inference::Location;
use crate::objects::Objects;

pub use error::Error;
use input::Input;
use rows::NewRows;
pub use rows::discard_rows;

/// Noted where labels of cell types could not be resolved at all.
const NO_ONTOLOGY: &str = "no Cell Ontology is imported, so cell types have no terms but those the file or mapping names; \
                           import one ('haystack import ontology FILE' or 'haystack import starter'), then this again";

/// What to import and how.
#[derive(Clone, Debug)]
pub struct Request {
    /// The `.h5ad`.
    pub file: PathBuf,
    /// Name of the data set: letters, digits, `.`, `_` and `-`.
    pub dataset: String,
    /// The profile; recognised by the columns where absent.
    pub profile: Option<Profile>,
    /// Text of a mapping file.
    pub mapping: Option<String>,
    /// Where the counts are; found where absent.
    pub counts_in: Option<Matrix>,
    /// How much of the counts is read to prove them.
    pub proof: Proof,
    /// The object store, where row files are; without it none is written, and none is deleted.
    pub objects: Option<Objects>,
    /// Whether a row file is written too.
    pub rows: bool,
    /// Whether a data set of the same name is replaced.
    pub replace: bool,
    /// Whether only to look.
    pub dry_run: bool,
}

/// How far an import is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Bytes of the file read for its checksum.
    Hashing {
        /// So far.
        done: u64,
        /// Of so many.
        total: u64,
    },
    /// Rows of the matrix proven.
    Counting {
        /// So far.
        done: u64,
        /// Of so many.
        total: u64,
    },
    /// Cells written to the row file.
    WritingRows {
        /// So far.
        done: u64,
        /// Of so many.
        total: u64,
    },
    /// Cell sets stored.
    Storing {
        /// So far.
        done: u64,
        /// Of so many.
        total: u64,
    },
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The data set was stored.
    Imported,
    /// It took the place of another of the same name.
    Replaced,
    /// The very same import was there already; nothing was done.
    Unchanged,
    /// Only looked at; nothing was stored.
    DryRun,
}

/// An import with its outcome.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Imported {
    /// What became of it.
    pub outcome: Outcome,
    /// The data set as stored, or as it would be.
    pub dataset: Dataset,
}

/// Imports a file. `resolve` says what labels stand for; `knowledge` are the versions it stands on.
///
/// `progress` is called from a reading thread.
pub async fn import(
    database: &Database,
    resolve: impl Fn(Field, Asked<'_>) -> Found + Send + 'static,
    knowledge: Vec<String>,
    request: Request,
    progress: impl Fn(Progress) + Send + Sync + Clone + 'static,
) -> Result<Imported, Error> {
    check_name(&request.dataset)?;
    let (dry_run, objects) = (request.dry_run, request.objects.clone());
    let mut present = database.dataset(&request.dataset).await?;
    let rows_before = present.as_ref().and_then(|present| present.rows_in.clone());
    if let (Some(objects), Some(present), true) = (&objects, &mut present, request.rows)
        && !rows::are_readable(objects, present).await?
    {
        present.rows_in = None;
    }
    let replaces = present.as_ref().map(|present| present.fingerprint.clone());
    let reading = progress.clone();
    let read = move || read(&request, present, &resolve, knowledge, &reading);
    let read = tokio::task::spawn_blocking(read).await.map_err(|_| Error::Interrupted)??;
    let (dataset, sets, rows) = match read {
        Reading::Unchanged(dataset) => return Ok(Imported { outcome: Outcome::Unchanged, dataset: *dataset }),
        Reading::New { dataset, sets, rows } => (*dataset, sets, rows),
    };
    if dry_run {
        return Ok(Imported { outcome: Outcome::DryRun, dataset });
    }
    if let (Some(objects), Some(rows)) = (&objects, rows) {
        rows.bring_to(objects).await?;
    }
    let total = sets.len() as u64;
    let storing = |done: usize| progress(Progress::Storing { done: done as u64, total });
    storing(0);
    let stored = database.store_dataset(&dataset, &sets, replaces.as_deref(), &storing).await?;
    if let (Some(objects), Stored::Done) = (&objects, &stored) {
        rows::tidy(database, objects, &dataset.name, rows_before).await;
    }
    match stored {
        Stored::Done if replaces.is_some() => Ok(Imported { outcome: Outcome::Replaced, dataset }),
        Stored::Done => Ok(Imported { outcome: Outcome::Imported, dataset }),
        // Another import of the same file was quicker: then there is nothing left to do.
        Stored::NameTaken(present) if present.fingerprint == dataset.fingerprint => {
            Ok(Imported { outcome: Outcome::Unchanged, dataset: *present })
        }
        Stored::NameTaken(present) => Err(name_taken(&present, &dataset.sha256)),
    }
}

enum Reading {
    Unchanged(Box<Dataset>),
    New { dataset: Box<Dataset>, sets: Vec<NewCellSet>, rows: Option<NewRows> },
}

fn read(
    request: &Request,
    present: Option<Dataset>,
    resolve: &harmonize::Resolve<'_>,
    knowledge: Vec<String>,
    progress: &dyn Fn(Progress),
) -> Result<Reading, Error> {
    let shown = request.file.display().to_string();
    let unreadable = |source| Error::Read { file: shown.clone(), source };
    let path = std::path::absolute(&request.file).map_err(unreadable)?;
    let file = File::open(&path)?;
    let (bytes, modified) = state_of(&path).map_err(unreadable)?;
    let sha256 = digest_of(&path, |done| progress(Progress::Hashing { done, total: bytes })).map_err(unreadable)?;
    let input = Input { shown: &shown, file: &file };

    let (profile, mapping) = input.mapping(request)?;
    let counts_in = match (&request.counts_in, &mapping.counts_in) {
        (Some(matrix), _) => Some(matrix.clone()),
        (None, Some(text)) => {
            Some(text.parse().map_err(|error: anndata::ParseMatrixError| mapping::Error::Syntax(error.to_string()))?)
        }
        (None, None) => None,
    };
    let fingerprint = fingerprint(&sha256, request, profile, counts_in.as_ref());
    // The same import is repeated only when its labels may be read differently now, or the file moved.
    let mut rows_in = None;
    if let Some(present) = present.filter(|_| !request.dry_run) {
        let same = present.fingerprint == fingerprint;
        // Where only parts of the file went into the checksum, its time of change counts too.
        let unchanged = is_of_all(&sha256) || present.modified == modified;
        let same_place = present.location == Location::Path(path.clone());
        let has_rows = !request.rows || present.rows_in.is_some();
        if same && unchanged && has_rows && same_place && present.summary.knowledge == knowledge {
            return Ok(Reading::Unchanged(Box::new(present)));
        }
        rows_in = present.rows_in.clone().filter(|_| same && unchanged);
        if !same && !request.replace {
            return Err(name_taken(&present, &sha256));
        }
    }

    input.check_cells()?;
    let harmonised = input.harmonise(&request.dataset, &mapping, resolve)?;
    let counts = input.counts((counts_in.as_ref(), request.proof), &harmonised.sets, progress)?;
    let genes = file.genes_of(&counts.matrix);
    if let Some(column) = mapping.gene_symbols.as_ref().filter(|column| !genes.has(column)) {
        return Err(input.no_column("var", genes, column, "gene symbols"));
    }
    let rows = match &request.objects {
        Some(objects) if request.rows && !request.dry_run && rows_in.is_none() => {
            let genes_in = mapping.gene_symbols.as_deref();
            let rows =
                NewRows::write(objects, &request.dataset, &fingerprint, &file, (&counts.matrix, genes_in), progress)?;
            rows_in = Some(rows.key.to_string());
            Some(rows)
        }
        _ => None,
    };
    if state_of(&path).map_err(unreadable)? != (bytes, modified.clone()) {
        return Err(Error::Changed(shown));
    }

    let simulated = input.says_simulated()?;
    let Harmonised { sets, mut summary } = harmonised;
    summary.unused = input.unused(&mapping);
    summary.total_counts = counts.totals.as_ref().map(|totals| totals.iter().sum());
    if !knowledge.iter().any(|version| version.starts_with("CL ")) {
        summary.notes.push(NO_ONTOLOGY.to_owned());
    }
    summary.knowledge = knowledge;
    summary.notes.extend(input.notes(&mapping, &counts, genes)?);
    let mean = |rows: &[u32], of: &dyn Fn(usize) -> f64| {
        rows.iter().map(|&row| of(row as usize)).sum::<f64>() / rows.len() as f64
    };
    let sets = sets
        .into_iter()
        .map(|(key, rows)| NewCellSet {
            mean_genes: counts.genes.as_ref().map(|genes| mean(&rows, &|row| f64::from(genes[row]))),
            mean_counts: counts.totals.as_ref().map(|totals| mean(&rows, &|row| totals[row])),
            key,
            rows,
        })
        .collect();
    let dataset = Dataset {
        name: request.dataset.clone(),
        location: Location::Path(path),
        bytes,
        modified,
        sha256,
        fingerprint,
        profile: profile.to_string(),
        counts_in: counts.matrix.to_string(),
        genes_in: mapping.gene_symbols,
        rows_in,
        n_cells: file.n_cells() as u64,
        n_genes: genes.n_rows() as u64,
        simulated,
        summary,
        imported_at: database::now(),
    };
    Ok(Reading::New { dataset: Box::new(dataset), sets, rows })
}

/// Refuses what is no name for a data set.
pub fn check_name(name: &str) -> Result<(), Error> {
    let fits = name.len() <= 64
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    if fits { Ok(()) } else { Err(Error::Name(name.to_owned())) }
}

/// SHA-256 of everything that decides the import besides what labels stand for.
fn fingerprint(sha256: &str, request: &Request, profile: Profile, counts_in: Option<&Matrix>) -> String {
    let mut hash = Sha256::new();
    let counts_in = counts_in.map(Matrix::to_string).unwrap_or_default();
    for part in [sha256, request.mapping.as_deref().unwrap_or_default(), profile.as_str(), &counts_in] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hex::encode(hash.finalize())
}

fn name_taken(present: &Dataset, sha256: &str) -> Error {
    Error::NameTaken {
        name: present.name.clone(),
        imported_at: present.imported_at.clone(),
        location: present.location.to_string(),
        same_file: present.sha256 == sha256,
    }
}
