//! What one iteration tried and found.

use serde::{Deserialize, Serialize};

use super::ControlStrategy;
use crate::domain::cells::CellSet;
use crate::domain::score::Grounding;
use crate::domain::terms::Label;

/// Where prompt cells were found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// The same perturbation, by name.
    Direct,
    /// The same perturbation in a neighbour of the cell type in the ontology.
    Ontology,
}

impl Strategy {
    /// The stored word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Ontology => "ontology",
        }
    }
}

/// A group of cell sets that could be the prompt, with why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PromptCandidate {
    /// The cell sets, which share the seven fields of [`PromptCandidate::selection_key`].
    pub sets: Vec<CellSet>,
    /// Where it was found.
    pub strategy: Strategy,
    /// 0 to 1.
    pub relevance: f64,
    /// Rank score: 0.4 relevance + 0.3 diversity + 0.3 quality.
    pub rank_score: f64,
    /// Whether control cells to pair with exist.
    pub has_control: bool,
    /// In words.
    pub rationale: String,
}

impl PromptCandidate {
    /// Data set, perturbation, cell type, donor, tissue, disease, sample condition.
    pub fn selection_key(&self) -> [String; 7] {
        let key = &self.sets[0].key;
        let label = |label: Option<&Label>| label.map_or_else(String::new, |l| l.name().to_owned());
        [
            key.dataset.clone(),
            label(key.condition.perturbation()),
            label(Some(&key.cell_type)),
            key.donor.clone().unwrap_or_default(),
            label(key.tissue.as_ref()),
            label(key.disease.as_ref()),
            key.sample_condition.clone().unwrap_or_default(),
        ]
    }

    /// Cells over all sets.
    pub fn n_cells(&self) -> u64 {
        self.sets.iter().map(|set| set.n_cells).sum()
    }
}

/// What the predicted cells were compared with, and every condition that had to be given up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "strategy", rename_all = "snake_case")]
pub enum EffectiveControl {
    /// Control cells paired with the prompt were the prompt of a second prediction.
    SyntheticControl {
        /// The paired control sets.
        sets: Vec<CellSet>,
        /// Matching conditions given up, in order, such as `donor`.
        relaxations: Vec<String>,
    },
    /// The query cells themselves.
    QueryAsControl {
        /// Whether nothing better could be found (costs 1.0) or the user chose it (0.5).
        forced: bool,
        /// In words.
        why: String,
    },
}

impl EffectiveControl {
    /// The strategy's word.
    pub fn strategy(&self) -> ControlStrategy {
        match self {
            Self::SyntheticControl { .. } => ControlStrategy::SyntheticControl,
            Self::QueryAsControl { .. } => ControlStrategy::QueryAsControl,
        }
    }

    /// What it takes off the score, in hundredths.
    pub fn penalty(&self) -> u32 {
        match self {
            Self::SyntheticControl { .. } => 0,
            Self::QueryAsControl { forced: true, .. } => 100,
            Self::QueryAsControl { forced: false, .. } => 50,
        }
    }
}

/// One iteration as stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Iteration {
    /// From 1.
    pub number: u32,
    /// The prompt that was used.
    pub prompt: PromptCandidate,
    /// How many candidates it was chosen from.
    pub n_candidates: u32,
    /// Cells drawn for the prompt.
    pub n_prompt_cells: u32,
    /// Cells drawn for the paired control; 0 when the query cells are the control.
    pub n_control_cells: u32,
    /// The query cell sets.
    pub query: Vec<CellSet>,
    /// Cells drawn for the query.
    pub n_query_cells: u32,
    /// Conditions given up while choosing query cells, in order.
    pub query_relaxations: Vec<String>,
    /// What the prediction was compared with.
    pub control: EffectiveControl,
    /// The score of the answer.
    pub grounding: Grounding,
    /// The score of the baseline beside it.
    pub baseline: Grounding,
    /// Seconds for the iteration.
    pub seconds: f64,
    /// What the user should know.
    pub warnings: Vec<String>,
}
