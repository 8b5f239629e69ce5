//! WORK: the iterative run. Talks to a model only through `executor`.
//!
//! [`run`] is the loop, readable in one go; each step is a file. To add a retrieval strategy: a file in
//! `retrieve/` and an arm of [`crate::domain::run::Strategy`]. To add a score component: a file in
//! `evaluate/` and an arm of [`crate::domain::score::ComponentName`].

pub mod context;
pub mod decide;
pub mod evaluate;
pub mod failure;
pub mod iterate;
mod numbers;
pub mod outputs;
pub mod predict;
pub mod report;
pub mod retrieve;

use serde_json::json;

use crate::domain::RunId;
use crate::domain::evaluation::RunResult;
use crate::domain::query::StructuredQuery;
use crate::domain::run::{Failure, FailureKind, Lifecycle, Phase, Settings, TerminationReason};
use crate::knowledge::question;

pub use context::Context;
use decide::Decision;
use failure::Stop;
use iterate::Tried;

/// How a run ended.
#[derive(Debug)]
pub enum Ended {
    /// With outputs.
    Completed(Box<RunResult>),
    /// On request.
    Cancelled,
    /// Without outputs.
    Failed(Failure),
}

/// Carries a stored run from its question to its outputs. Whatever happens is stored with the run; an
/// error comes back only when the database itself cannot be reached.
pub async fn run(ctx: &Context, id: &RunId) -> crate::database::Result<Ended> {
    let ended = match work(ctx, id).await {
        Ok(result) => Ended::Completed(Box::new(result)),
        Err(Stop::Cancelled) => Ended::Cancelled,
        Err(Stop::Failed(failure)) => Ended::Failed(failure),
        Err(Stop::Database(error)) => {
            let failure = Failure {
                kind: FailureKind::InternalError,
                message: format!("the database failed: {error}"),
                hint: Some("run 'haystack doctor', then ask again".into()),
            };
            ctx.database.fail_run(id, &failure).await?;
            return Err(error);
        }
    };
    match &ended {
        Ended::Completed(result) => {
            let score = result.answer.score.map_or("none".to_owned(), |score| score.to_string());
            tracing::info!(run.id = %id, score, "run {id} completed");
        }
        Ended::Cancelled => {
            ctx.database.advance(id, Lifecycle::Canceled).await?;
            tracing::info!(run.id = %id, "run {id} cancelled");
        }
        Ended::Failed(failure) => {
            ctx.database.fail_run(id, failure).await?;
            tracing::error!(run.id = %id, kind = ?failure.kind, error = %failure, "run {id} failed");
        }
    }
    Ok(ended)
}

async fn work(ctx: &Context, id: &RunId) -> Result<RunResult, Stop> {
    let record = ctx.database.run(id).await?.ok_or_else(|| failure::unknown_run(id))?;
    let settings = record.settings.clone();
    if !ctx.database.begin_run(id).await? {
        return Err(Stop::Cancelled);
    }

    ctx.enter(id, 0, Phase::QueryAnalysis).await?;
    let query = question::answerable(&ctx.knowledge, &ctx.atlas.holdings().await?, &record.question)?;
    ctx.database.set_structured_query(id, &query).await?;
    ctx.note(id, "query.understood", json!({"task": query.task, "cell_type": query.cell_type, "notes": query.notes}))
        .await?;

    let (history, reason) = explore(ctx, id, &query, &settings).await?;
    ctx.enter(id, history.len() as u32, Phase::OutputGeneration).await?;
    outputs::deliver(ctx, &record, &query, history, reason).await
}

/// Tries prompts until the policy says stop. At least one iteration comes back.
async fn explore(
    ctx: &Context,
    id: &RunId,
    query: &StructuredQuery,
    settings: &Settings,
) -> Result<(Vec<Tried>, TerminationReason), Stop> {
    let policy = ctx.policy(settings);
    let mut history: Vec<Tried> = Vec::new();
    loop {
        let number = history.len() as u32 + 1;
        ctx.enter(id, number, Phase::PromptGeneration).await?;
        let tried: Vec<_> = history.iter().map(|tried| tried.iteration.prompt.clone()).collect();
        let (atlas, knowledge, config) = (&ctx.atlas, &ctx.knowledge, &ctx.config.retrieval);
        let found = retrieve::candidates(atlas, knowledge, query, settings.measured, &tried, config).await?;
        let Some(tried) = iterate::iterate(ctx, id, number, query, settings, found).await? else {
            return match history.is_empty() {
                true => Err(failure::nothing_found(query)),
                false => Ok((history, TerminationReason::NoCandidates)),
            };
        };
        ctx.database.record_iteration(id, &tried.iteration).await?;
        history.push(tried);
        let groundings: Vec<_> = history.iter().map(|tried| tried.iteration.grounding.clone()).collect();
        if let Decision::Stop(reason) = decide::next(&policy, &groundings) {
            return Ok((history, reason));
        }
    }
}
