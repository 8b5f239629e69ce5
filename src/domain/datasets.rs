//! Data sets: one imported file with what the import took from it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::inference::Location;
use super::terms::Term;

/// An imported file. Its cells are indexed as cell sets; its counts stay where they are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Dataset {
    /// Name it was imported under.
    pub name: String,
    /// The `.h5ad`.
    pub location: Location,
    /// Size of the file in bytes when it was imported.
    pub bytes: u64,
    /// When the file was last changed (ISO 8601, UTC), as seen at import.
    pub modified: String,
    /// SHA-256 of the file, in hexadecimal; `parts:` and that of some parts for a file of more than 1 GiB.
    pub sha256: String,
    /// SHA-256 of everything that decided the import: file, mapping, profile, place of the counts.
    pub fingerprint: String,
    /// The column conventions that were used.
    pub profile: String,
    /// Where the raw counts are: `X`, `raw/X` or `layers/NAME`.
    pub counts_in: String,
    /// Column of `var` with the gene symbols; the index where absent.
    pub genes_in: Option<String>,
    /// Key of its row file in the object store, where it has one: the counts again, laid out for reading a
    /// few cells.
    #[serde(default)]
    pub rows_in: Option<String>,
    /// Number of cells.
    pub n_cells: u64,
    /// Number of genes.
    pub n_genes: u64,
    /// Whether the cells were simulated, not measured.
    pub simulated: bool,
    /// What was taken from the file.
    pub summary: ImportSummary,
    /// When it was imported (ISO 8601, UTC).
    pub imported_at: String,
}

/// What an import took from a file, and what it could not make out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ImportSummary {
    /// Which column (or constant of the mapping) each field was taken from.
    pub fields: Vec<FieldTaken>,
    /// Columns of `obs` that no field was taken from.
    #[serde(default)]
    pub unused: Vec<String>,
    /// Every distinct label of a field that is resolved to terms, by field and descending count.
    pub labels: Vec<LabelTaken>,
    /// Every distinct label that was read as control.
    pub controls: Vec<ControlTaken>,
    /// The organism, where the file names one.
    pub organism: Option<String>,
    /// Number of cell sets.
    pub n_sets: u64,
    /// Sum of all counts, where it is known.
    pub total_counts: Option<f64>,
    /// Versions of the knowledge the labels were resolved with, such as `CL 2026-03-26`.
    pub knowledge: Vec<String>,
    /// What the user should know.
    pub notes: Vec<String>,
}

impl ImportSummary {
    /// The labels no term was found for.
    pub fn unresolved(&self) -> impl Iterator<Item = &LabelTaken> {
        self.labels.iter().filter(|label| label.term.is_none())
    }
}

/// Where a field came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldTaken {
    /// The field.
    pub field: Field,
    /// In words, such as `obs['cluster_id']` or `'blood' (mapping)`.
    pub from: String,
}

/// A distinct label of the file and the term it stands for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LabelTaken {
    /// Which field it was found in.
    pub field: Field,
    /// The file's spelling.
    pub original: String,
    /// The term, absent when nothing could be resolved with confidence.
    pub term: Option<Term>,
    /// How the term was found, or the nearest candidates where it was not.
    pub how: String,
    /// How many cells carry it.
    pub n_cells: u64,
}

/// A distinct label that was read as control.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlTaken {
    /// The file's spelling; absent where the cells are controls because nothing says otherwise.
    pub original: Option<String>,
    /// How many cells carry it.
    pub n_cells: u64,
}

/// A harmonised field of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    /// Cell type, resolved to the Cell Ontology.
    CellType,
    /// Perturbation, resolved to the table of perturbations.
    Perturbation,
    /// Dose with unit.
    Dose,
    /// Duration with unit.
    Time,
    /// Donor, patient or replicate.
    Donor,
    /// Tissue, resolved to UBERON.
    Tissue,
    /// Disease, resolved to MONDO.
    Disease,
    /// Plate, batch or library.
    Batch,
    /// Any further grouping of samples.
    SampleCondition,
    /// Organism; one per data set.
    Organism,
}

impl Field {
    /// Every field in the order they are shown.
    pub const ALL: [Self; 10] = [
        Self::CellType,
        Self::Perturbation,
        Self::Dose,
        Self::Time,
        Self::Donor,
        Self::Tissue,
        Self::Disease,
        Self::Batch,
        Self::SampleCondition,
        Self::Organism,
    ];

    /// The stored word, which is also the name of its section in a mapping file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CellType => "cell_type",
            Self::Perturbation => "perturbation",
            Self::Dose => "dose",
            Self::Time => "time",
            Self::Donor => "donor",
            Self::Tissue => "tissue",
            Self::Disease => "disease",
            Self::Batch => "batch",
            Self::SampleCondition => "sample_condition",
            Self::Organism => "organism",
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
