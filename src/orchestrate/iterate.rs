//! One iteration: a prompt, its control, the query cells, a prediction, its score.

use std::time::Instant;

use serde_json::json;
use sha2::{Digest, Sha256};

use crate::atlas::controls::{QueryCells, QueryWish, pair, query_cells};
use crate::atlas::{Drawn, Rows};
use crate::domain::evaluation::Evaluation;
use crate::domain::query::StructuredQuery;
use crate::domain::run::{ControlStrategy, EffectiveControl, Iteration, Phase, PromptCandidate, Settings};
use crate::domain::{CellSet, Curie, RunId};

use super::context::Context;
use super::evaluate::{Evaluator, Regulon, evaluate};
use super::failure::{self, Stop};
use super::predict::{self, Predictions};
use super::retrieve::Retrieved;

/// An iteration with what it predicted.
#[derive(Debug)]
pub struct Tried {
    /// As stored.
    pub iteration: Iteration,
    /// Cells that were predicted, and what they are compared with.
    pub predictions: Predictions,
    /// The answer, evaluated.
    pub answer: Evaluation,
    /// The baseline, evaluated.
    pub baseline: Evaluation,
    /// Measured cells of the very combination, kept out of the prompt.
    pub measured: Vec<CellSet>,
}

/// Runs one iteration with the best candidate; none when every candidate was tried.
pub async fn iterate(
    ctx: &Context,
    run: &RunId,
    number: u32,
    query: &StructuredQuery,
    settings: &Settings,
    found: Retrieved,
) -> Result<Option<Tried>, Stop> {
    let started = Instant::now();
    let n_candidates = found.candidates.len() as u32;
    let Some(prompt) = found.candidates.into_iter().next() else { return Ok(None) };
    let chosen = choose(ctx, query, settings, &prompt).await?;
    ctx.database.set_effective_control(run, chosen.control.strategy(), chosen.pairable).await?;
    let cells = draw(ctx, settings, number, &prompt, &chosen).await?;
    ctx.note(
        run,
        "prompt.chosen",
        json!({"iteration": number, "rationale": prompt.rationale,
        "n_prompt_cells": cells.prompt.cells.len(), "n_query_cells": cells.query.cells.len()}),
    )
    .await?;

    ctx.enter(run, number, Phase::Inference).await?;
    let predictions = predict::predict(ctx, run, number, settings, &cells).await?;

    ctx.enter(run, number, Phase::Evaluation).await?;
    let (answer, baseline) = score(ctx, query, settings, &chosen.control, &predictions).await?;
    let mut warnings = cells.warnings;
    warnings.extend(predictions.summary.warnings.iter().cloned());
    let iteration = Iteration {
        number,
        n_candidates,
        n_prompt_cells: cells.prompt.cells.len() as u32,
        n_control_cells: cells.control.as_ref().map_or(0, |control| control.cells.len() as u32),
        query: chosen.query.sets,
        n_query_cells: cells.query.cells.len() as u32,
        query_relaxations: chosen.query.relaxations,
        control: chosen.control,
        grounding: answer.grounding.clone(),
        baseline: baseline.grounding.clone(),
        seconds: started.elapsed().as_secs_f64(),
        warnings,
        prompt,
    };
    Ok(Some(Tried { iteration, predictions, answer, baseline, measured: found.measured }))
}

/// Cell sets around a prompt.
struct Chosen {
    control: EffectiveControl,
    /// Whether controls to pair with exist, used or not.
    pairable: bool,
    query: QueryCells,
}

async fn choose(
    ctx: &Context,
    query: &StructuredQuery,
    settings: &Settings,
    prompt: &PromptCandidate,
) -> Result<Chosen, Stop> {
    let controls = ctx.atlas.all_controls().await?;
    let descendants: Vec<Curie> = ctx.knowledge.descendants(&query.cell_type.id).into_iter().map(|t| t.id).collect();
    let wish = QueryWish {
        cell_type: &query.cell_type.id,
        descendants: &descendants,
        prompt: &prompt.sets,
        donor: query.donor.as_deref(),
        tissue: query.tissue.as_ref().map(|term| &term.id),
        disease: query.disease.as_ref().map(|term| &term.id),
    };
    let min_cells = u64::from(ctx.config.retrieval.min_cells);
    let chosen = query_cells(&wish, &controls, min_cells).ok_or_else(|| failure::no_query_cells(query))?;
    let paired = pair(&prompt.sets, &controls, min_cells);
    let pairable = paired.strategy() == ControlStrategy::SyntheticControl;
    let control = match settings.control_strategy {
        ControlStrategy::SyntheticControl => paired,
        ControlStrategy::QueryAsControl => {
            EffectiveControl::QueryAsControl { forced: false, why: "chosen when the question was asked".into() }
        }
    };
    Ok(Chosen { control, pairable, query: chosen })
}

/// The cells of an iteration.
#[derive(Debug)]
pub struct Cells {
    /// They show the response.
    pub prompt: Drawn,
    /// Paired with them; none where the query cells are the control.
    pub control: Option<Drawn>,
    /// What the response is predicted for.
    pub query: Drawn,
    /// What the user should know about them.
    pub warnings: Vec<String>,
}

/// Draws without replacement. Query cells are drawn with the same seed in every iteration, so that
/// iterations over the same query sets differ in their prompt alone.
async fn draw(
    ctx: &Context,
    settings: &Settings,
    number: u32,
    prompt: &PromptCandidate,
    chosen: &Chosen,
) -> Result<Cells, Stop> {
    let sizes = &ctx.config.retrieval;
    let seed = |role, iteration| draw_seed(settings.seed, role, iteration);
    let load = async |sets: &[CellSet], n: u32, seed: u64, avoid: &Rows| {
        ctx.atlas.load(sets, n, sizes.min_cells, seed, avoid).await
    };
    let prompt = load(&prompt.sets, sizes.prompt_cells, seed("prompt", number), &Rows::default()).await?;
    let mut taken = prompt.rows.clone();
    let control = match &chosen.control {
        EffectiveControl::SyntheticControl { sets, .. } => {
            Some(load(sets, sizes.control_cells, seed("control", number), &taken).await?)
        }
        EffectiveControl::QueryAsControl { .. } => None,
    };
    if let Some(control) = &control {
        taken.extend(&control.rows);
    }
    let query = load(&chosen.query.sets, sizes.query_cells, seed("query", 0), &taken).await?;
    let mut warnings = Vec::new();
    if query.n_not_avoided > 0 {
        warnings.push(format!(
            "{} of the {} query cells are also control cells of the prompt: too few others are held.",
            query.n_not_avoided,
            query.cells.len()
        ));
    }
    if control.is_none() {
        warnings.push(
            "No control cells are paired with the prompt, so the baseline's shift holds the difference between the \
             two groups of cells too."
                .to_owned(),
        );
    }
    Ok(Cells { prompt, control, query, warnings })
}

/// A seed for one draw, so that draws of one run do not repeat each other.
pub fn draw_seed(seed: u64, role: &str, iteration: u32) -> u64 {
    let digest = Sha256::digest(format!("{seed} {role} {iteration}"));
    u64::from_le_bytes(std::array::from_fn(|i| digest[i]))
}

/// Evaluates the answer and the baseline over the same genes.
async fn score(
    ctx: &Context,
    query: &StructuredQuery,
    settings: &Settings,
    control: &EffectiveControl,
    predictions: &Predictions,
) -> Result<(Evaluation, Evaluation), Stop> {
    let perturbation = query.perturbation.clone().ok_or_else(|| failure::nothing_found(query))?;
    let regulons: Vec<Regulon> =
        ctx.knowledge.regulons().values().flat_map(|network| Regulon::group(network)).collect();
    let evaluator = Evaluator {
        perturbation: &perturbation,
        gene_sets: ctx.knowledge.gene_sets(),
        regulons: &regulons,
        criteria: settings.criteria,
        pathway_enrichment: settings.pathway_enrichment,
        draws: ctx.config.evaluation.null_draws,
        seed: draw_seed(settings.seed, "null", 0),
    };
    // The statistics keep a core busy for a while; the runtime is told so.
    tokio::task::block_in_place(|| {
        let answer = evaluate(&predictions.treatment, &predictions.control, &evaluator, control.penalty())?;
        let baseline = &predictions.baseline;
        let baseline = evaluate(&baseline.treatment, &baseline.control, &evaluator, control.penalty())?;
        Ok((answer, baseline))
    })
}

#[cfg(test)]
mod tests {
    use super::draw_seed;

    #[test]
    fn every_draw_has_a_seed_of_its_own() {
        let seeds = [
            draw_seed(1, "prompt", 1),
            draw_seed(1, "control", 1),
            draw_seed(1, "prompt", 2),
            draw_seed(2, "prompt", 1),
        ];
        let distinct: std::collections::BTreeSet<_> = seeds.into_iter().collect();
        assert_eq!(distinct.len(), seeds.len());
        assert_eq!(draw_seed(1, "prompt", 1), seeds[0]);
    }
}
