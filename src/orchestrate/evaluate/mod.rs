//! Scores a prediction: which genes change, which sets and factors that points to, and how much of
//! it is what the perturbation is known to do.
//!
//! Every number is computed here from counts and imported knowledge. A component whose knowledge is
//! missing says so and is left out of the score.

mod response;

mod collections;

mod regulons;

mod null;

mod expected;

mod pathway;

mod target;

mod measured;

use crate::domain::evaluation::{Criteria, Evaluation, GeneChange};
use crate::domain::score::{Component, ComponentName, Grounding, Outcome};
use crate::domain::{Expression, GeneSet, Perturbation};
use crate::stats::columns::Columns;
use crate::stats::enrichment::EnrichmentError;
use crate::stats::normalize::log1p_cp10k;

pub use measured::{Predicted, compare_with_measured};
pub use regulons::Regulon;

use collections::Collections;
use regulons::RegulonIndex;
use response::{Response, gene_changes};

/// What is known, and how to judge.
#[derive(Clone, Copy, Debug)]
pub struct Evaluator<'a> {
    /// The perturbation asked about, with its known targets, effectors, responses and pathways.
    pub perturbation: &'a Perturbation,
    /// Gene sets, of any number of collections; symbols in upper case.
    pub gene_sets: &'a [GeneSet],
    /// Transcription factors and their targets; symbols in upper case.
    pub regulons: &'a [Regulon],
    /// What counts as differentially expressed.
    pub criteria: Criteria,
    /// Whether gene sets are tested.
    pub pathway_enrichment: bool,
    /// Draws of the null distributions, at least 1.
    pub draws: u32,
    /// Seed of the draws.
    pub seed: u64,
}

impl<'a> Evaluator<'a> {
    /// Draws of the null distributions unless asked otherwise.
    pub const DRAWS: u32 = 200;

    /// An evaluator with the usual criteria and draws, and enrichment on.
    pub fn new(perturbation: &'a Perturbation, gene_sets: &'a [GeneSet], regulons: &'a [Regulon], seed: u64) -> Self {
        let criteria = Criteria::default();
        Self { perturbation, gene_sets, regulons, criteria, pathway_enrichment: true, draws: Self::DRAWS, seed }
    }
}

/// Why a prediction cannot be scored.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum EvaluateError {
    /// Too few cells to test anything.
    #[error(
        "there are {found} {side} cells, and differential expression needs at least {needed} on either side; \
         ask for more query cells"
    )]
    TooFewCells {
        /// `predicted` or `control`.
        side: &'static str,
        /// How many there are.
        found: usize,
        /// How many are needed.
        needed: usize,
    },
    /// Two matrices that cannot be compared column by column.
    #[error("the predicted and the control cells do not have the same genes in the same order: {what}")]
    GenesDiffer {
        /// The first difference.
        what: String,
    },
    /// Matrices without a gene in common.
    #[error("the {left} and the {right} cells have no gene in common; are both named by gene symbol?")]
    NoCommonGenes {
        /// One side.
        left: &'static str,
        /// The other.
        right: &'static str,
    },
    /// A value that is no count.
    #[error("the {side} cell '{cell}' has {value} for gene '{gene}', which is not a count")]
    NotACount {
        /// `predicted` or `control`.
        side: &'static str,
        /// Name of the cell.
        cell: String,
        /// Name of the gene.
        gene: String,
        /// What is there.
        value: f32,
    },
    /// No genes at all.
    #[error(transparent)]
    Enrichment(#[from] EnrichmentError),
}

/// Evaluates predicted cells against their control.
///
/// `penalty` is what the control strategy takes off the score, in hundredths. Both matrices hold
/// counts of the same genes in the same order.
pub fn evaluate(
    treatment: &Expression,
    control: &Expression,
    evaluator: &Evaluator<'_>,
    penalty: u32,
) -> Result<Evaluation, EvaluateError> {
    check_cells("predicted", treatment, &evaluator.criteria)?;
    check_cells("control", control, &evaluator.criteria)?;
    check_genes(treatment, control)?;
    let columns = [columns("predicted", treatment)?, columns("control", control)?];
    let changes = gene_changes(&treatment.genes, &columns, &evaluator.criteria);

    let response = Response::new(&changes);
    let gene_sets = if evaluator.pathway_enrichment { evaluator.gene_sets } else { &[] };
    let collections = Collections::new(gene_sets, &response)?;
    let regulons = RegulonIndex::new(evaluator.regulons, &response)?;

    let (pathway, target) = rayon::join(
        || pathway::coherence(evaluator, &collections, &response),
        || target::activation(evaluator, &regulons, &response, &changes),
    );
    let components = vec![
        Component { name: ComponentName::PathwayCoherence, outcome: pathway },
        Component { name: ComponentName::TargetActivation, outcome: target },
        Component { name: ComponentName::LiteratureSupport, outcome: literature() },
        Component { name: ComponentName::NetworkCoherence, outcome: network() },
    ];
    Ok(Evaluation {
        criteria: evaluator.criteria,
        n_treatment: treatment.cells.len(),
        n_control: control.cells.len(),
        enriched_up: collections.enriched(response.up(), &response),
        enriched_down: collections.enriched(response.down(), &response),
        factors: regulons.activities(&response),
        changes: by_score(changes),
        grounding: Grounding::combine(components, penalty),
    })
}

fn literature() -> Outcome {
    Outcome::Insufficient { why: "This configuration searches no literature.".into() }
}

fn network() -> Outcome {
    Outcome::Insufficient { why: "No gene interactions are imported.".into() }
}

/// Largest score first; equal scores stay in the order of the genes.
fn by_score(mut changes: Vec<GeneChange>) -> Vec<GeneChange> {
    changes.sort_by(|a, b| b.score.total_cmp(&a.score));
    changes
}

fn check_cells(side: &'static str, expression: &Expression, criteria: &Criteria) -> Result<(), EvaluateError> {
    let (found, needed) = (expression.counts.n_rows(), criteria.min_cells);
    if found < needed { Err(EvaluateError::TooFewCells { side, found, needed }) } else { Ok(()) }
}

fn check_genes(treatment: &Expression, control: &Expression) -> Result<(), EvaluateError> {
    let differ = |what| Err(EvaluateError::GenesDiffer { what });
    let (ours, theirs) = (&treatment.genes, &control.genes);
    if ours.len() != theirs.len() {
        return differ(format!("{} and {} genes", ours.len(), theirs.len()));
    }
    match ours.iter().zip(theirs).position(|(a, b)| a != b) {
        Some(at) => differ(format!("gene {} is '{}' and '{}'", at + 1, ours[at], theirs[at])),
        None => Ok(()),
    }
}

/// Log-normalised values, gene by gene.
fn columns(side: &'static str, expression: &Expression) -> Result<Columns, EvaluateError> {
    let normal = log1p_cp10k(&expression.counts).map_err(|bad| EvaluateError::NotACount {
        side,
        cell: expression.cells.get(bad.cell).cloned().unwrap_or_default(),
        gene: expression.genes.get(bad.gene).cloned().unwrap_or_default(),
        value: bad.value,
    })?;
    Ok(Columns::new(&normal))
}
