//! Cell sets: every cell of one data set that shares all harmonised fields.

use std::ops::{Deref, Range};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::ids::Curie;
use super::terms::Label;

/// What was done to the cells.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// Unperturbed, or treated with the vehicle; with the file's own label for it, if it has one.
    Control {
        /// Such as `ctrl` or `DMSO`.
        label: Option<String>,
        /// Duration with unit, where the file has one for its controls too.
        time: Option<String>,
    },
    /// Perturbed.
    Perturbed {
        /// The perturbation. `term.name` is the canonical name in our table of perturbations.
        perturbation: Label,
        /// Dose with unit, as the file gives it, such as `1.0 uM`.
        dose: Option<String>,
        /// Duration with unit, as the file gives it, such as `24 h`.
        time: Option<String>,
    },
}

impl Condition {
    /// Whether these are control cells.
    pub fn is_control(&self) -> bool {
        matches!(self, Self::Control { .. })
    }

    /// The perturbation, unless these are control cells.
    pub fn perturbation(&self) -> Option<&Label> {
        match self {
            Self::Control { .. } => None,
            Self::Perturbed { perturbation, .. } => Some(perturbation),
        }
    }

    /// Duration with unit, where the file has one.
    pub fn time(&self) -> Option<&str> {
        match self {
            Self::Control { time, .. } | Self::Perturbed { time, .. } => time.as_deref(),
        }
    }
}

/// The harmonised fields that define a cell set. Two cells belong to one set when all are equal.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CellSetKey {
    /// Name of the data set.
    pub dataset: String,
    /// Cell type; `term` is a Cell Ontology term.
    pub cell_type: Label,
    /// Perturbed with what, or control.
    pub condition: Condition,
    /// Donor, patient or replicate, as the file names it.
    pub donor: Option<String>,
    /// Tissue; `term` is a UBERON term.
    pub tissue: Option<Label>,
    /// Disease; `term` is a MONDO term (or `PATO:0000461`, normal).
    pub disease: Option<Label>,
    /// Plate, batch or library, where controls are only comparable within one.
    pub batch: Option<String>,
    /// Any further grouping of samples the mapping names, such as an age group.
    pub sample_condition: Option<String>,
}

impl CellSetKey {
    /// The Cell Ontology id, if the label was resolved.
    pub fn cell_type_id(&self) -> Option<&Curie> {
        self.cell_type.id()
    }
}

/// Row numbers of the cells of a set, ascending: a stretch of one list that all sets of a file share, because
/// a hundred thousand sets with a list each take many times the memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetRows {
    all: Arc<Vec<u32>>,
    range: Range<usize>,
}

impl SetRows {
    /// A stretch of a list.
    ///
    /// # Panics
    /// If the list is shorter.
    pub fn new(all: Arc<Vec<u32>>, range: Range<usize>) -> Self {
        assert!(range.start <= range.end && range.end <= all.len(), "the stretch lies in the list");
        Self { all, range }
    }
}

impl Deref for SetRows {
    type Target = [u32];

    fn deref(&self) -> &[u32] {
        &self.all[self.range.clone()]
    }
}

impl<const N: usize> From<[u32; N]> for SetRows {
    fn from(rows: [u32; N]) -> Self {
        Self { all: Arc::new(rows.into()), range: 0..N }
    }
}

/// A stored cell set with its summary; the row numbers stay in the database until cells are drawn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CellSet {
    /// Database id.
    pub id: i64,
    /// What its cells share.
    pub key: CellSetKey,
    /// How many cells.
    pub n_cells: u64,
    /// Mean number of genes with at least one count per cell, where the importer knows it.
    pub mean_genes: Option<f64>,
    /// Mean counts per cell, where the importer knows it.
    pub mean_counts: Option<f64>,
}
