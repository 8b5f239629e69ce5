//! The question, once understood.

use serde::{Deserialize, Serialize};

use super::terms::{Perturbation, Term};

/// What kind of question it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// How would this cell type respond? Prompts show the response of other cell types.
    PerturbationNovelCellTypes,
    /// How would this donor or sample respond? Prompts show the response in other donors.
    PerturbationNovelSamples,
    /// What would this cell type look like in a donor where it was not measured?
    CellTypeImputation,
    /// What would the cells of this donor look like?
    DonorExpressionPrediction,
    /// What would the cells of one data set look like in another?
    CrossDatasetGeneration,
}

impl Task {
    /// Whether prompts are perturbed cells and queries unperturbed ones.
    pub fn is_perturbational(self) -> bool {
        matches!(self, Self::PerturbationNovelCellTypes | Self::PerturbationNovelSamples)
    }

    /// The stored name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PerturbationNovelCellTypes => "perturbation_novel_cell_types",
            Self::PerturbationNovelSamples => "perturbation_novel_samples",
            Self::CellTypeImputation => "cell_type_imputation",
            Self::DonorExpressionPrediction => "donor_expression_prediction",
            Self::CrossDatasetGeneration => "cross_dataset_generation",
        }
    }
}

/// A question whose every name was found among the terms and data we hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StructuredQuery {
    /// As it was asked.
    pub question: String,
    /// What kind of question.
    pub task: Task,
    /// The cell type asked about, a Cell Ontology term.
    pub cell_type: Term,
    /// The perturbation asked about; present exactly when the task is perturbational.
    pub perturbation: Option<Perturbation>,
    /// A tissue (UBERON) the question names.
    pub tissue: Option<Term>,
    /// A disease (MONDO) the question names.
    pub disease: Option<Term>,
    /// A donor the question names, as the data name it.
    pub donor: Option<String>,
    /// What the reader of the answer should know about how the names were resolved.
    pub notes: Vec<String>,
}
