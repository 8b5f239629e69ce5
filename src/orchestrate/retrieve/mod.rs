//! Retrieval: which cells could be the prompt.
//!
//! Each strategy proposes groups of cell sets with a relevance between 0 and 1; proposals are merged in
//! the order of the strategies, ranked, and the best are returned. To add a strategy: a file here with
//! a function from the pool to candidates, one arm in [`Strategy`](crate::domain::run::Strategy)(crate::domain::run::Strategy), one
//! line in `proposals`.

mod direct;
mod ontology;
mod pool;
mod rank;

use crate::atlas::Atlas;
use crate::config;
use crate::domain::cells::CellSet;
use crate::domain::query::{StructuredQuery, Task};
use crate::domain::run::{Failure, FailureKind, Measured, PromptCandidate};
use crate::domain::terms::Perturbation;
use crate::knowledge::Knowledge;

use pool::Pool;

/// Most candidates the strategies propose together.
const MAX_PROPOSALS: usize = 50;

/// Most candidates that are returned.
const MAX_CANDIDATES: usize = 10;

/// What retrieval found.
#[derive(Clone, Debug, PartialEq)]
pub struct Retrieved {
    /// The best candidates, best first; empty when every one was tried.
    pub candidates: Vec<PromptCandidate>,
    /// How many groups of cells were proposed, tried ones included.
    pub n_proposed: usize,
    /// Cells measured for the very question, which were kept out of the candidates.
    pub measured: Vec<CellSet>,
}

/// Finds and ranks prompts for a question.
///
/// With [`Measured::HoldOut`], cells that answer the question directly are never prompts: for a novel
/// cell type, those of the type or its descendants under the perturbation; for a novel sample, all
/// perturbed cells of the donor. Prompts already `tried` are left out, and new ones are preferred that
/// differ from them.
///
/// # Errors
/// A [`Failure`] when the task is not one retrieval can serve, or no cells are held that could be a
/// prompt.
pub async fn candidates(
    atlas: &Atlas,
    knowledge: &Knowledge,
    query: &StructuredQuery,
    measured: Measured,
    tried: &[PromptCandidate],
    config: &config::Retrieval,
) -> Result<Retrieved, Failure> {
    let perturbation = perturbation_of(query)?;
    let sets = atlas.perturbed_by(perturbation).await.map_err(unreadable)?;
    if sets.is_empty() {
        return Err(nothing_held(atlas, perturbation).await);
    }
    let datasets = sets.iter().map(|set| set.key.dataset.clone()).collect();
    let controls = atlas.controls(datasets).await.map_err(unreadable)?;
    let pool = Pool::new(query, perturbation, knowledge, sets, controls, measured, config.min_cells.into());
    if pool.groups.is_empty() {
        return Err(nothing_left(query, perturbation, &pool, config.min_cells));
    }
    let proposals = proposals(&pool);
    let n_proposed = proposals.len();
    let candidates = rank::rank(proposals, tried, &rank::Weights::of(config), MAX_CANDIDATES);
    Ok(Retrieved { candidates, n_proposed, measured: pool.measured })
}

/// What the strategies propose, each group once: the first strategy that proposes it counts, the
/// others are added to its rationale.
fn proposals(pool: &Pool<'_>) -> Vec<PromptCandidate> {
    let mut merged: Vec<PromptCandidate> = Vec::new();
    for candidate in direct::propose(pool, MAX_PROPOSALS).into_iter().chain(ontology::propose(pool, MAX_PROPOSALS)) {
        let key = candidate.selection_key();
        match merged.iter().position(|known| known.selection_key() == key) {
            Some(at) => merged[at].rationale = format!("{}; {}", merged[at].rationale, candidate.rationale),
            None if merged.len() < MAX_PROPOSALS => merged.push(candidate),
            None => {}
        }
    }
    merged
}

fn perturbation_of(query: &StructuredQuery) -> Result<&Perturbation, Failure> {
    let answered = [Task::PerturbationNovelCellTypes, Task::PerturbationNovelSamples];
    match &query.perturbation {
        Some(perturbation) if answered.contains(&query.task) => Ok(perturbation),
        _ => Err(failure(
            format!("prompts cannot be retrieved for the task {} yet", query.task.as_str()),
            Some(
                "ask how a cell type, or a donor's cells, would respond to a perturbation, such as \
                 \"How would B cells respond to interferon beta?\""
                    .to_owned(),
            ),
        )),
    }
}

async fn nothing_held(atlas: &Atlas, perturbation: &Perturbation) -> Failure {
    let held = atlas.perturbations().await.unwrap_or_default();
    let shown = held.iter().take(12).cloned().collect::<Vec<_>>().join(", ");
    let hint = match held.len() {
        0 => "import an atlas with perturbed cells: haystack import atlas FILE --dataset NAME".to_owned(),
        n if n > 12 => format!("cells are held under {shown} and {} more", n - 12),
        _ => format!("cells are held under {shown}"),
    };
    failure(format!("no cells under {} are held", perturbation.name), Some(hint))
}

fn nothing_left(query: &StructuredQuery, perturbation: &Perturbation, pool: &Pool<'_>, min_cells: u32) -> Failure {
    let n: u64 = pool.measured.iter().map(|set| set.n_cells).sum();
    if n > 0 {
        let what = match (&query.task, &query.donor) {
            (Task::PerturbationNovelSamples, Some(donor)) => format!("of donor {donor}"),
            _ => format!("of type {}", query.cell_type.name),
        };
        return failure(
            format!("the only cells under {} are {n} {what}, which are kept back for comparison", perturbation.name),
            Some("set retrieval.measured = \"use\" to let them be the prompt".to_owned()),
        );
    }
    failure(
        format!("no group of cells under {} has the {min_cells} cells a prompt needs", perturbation.name),
        Some("lower retrieval.min_cells, or import more cells".to_owned()),
    )
}

fn unreadable(error: crate::atlas::Error) -> Failure {
    failure(format!("the index of cells cannot be read: {error}"), None)
}

fn failure(message: String, hint: Option<String>) -> Failure {
    Failure { kind: FailureKind::RetrievalError, message, hint }
}
