//! The end of a run: the best iteration is chosen, compared with measured cells where there are any,
//! and its outputs are written and recorded.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};

use crate::anndata;
use crate::atlas::Rows;
use crate::atlas::controls::pair;
use crate::database::runs::RunRecord;
use crate::domain::evaluation::{Findings, MeasuredComparison, ModelRecord, RunResult};
use crate::domain::query::StructuredQuery;
use crate::domain::run::{Artifact, EffectiveControl, Predictor, TerminationReason};
use crate::objects::ObjectKey;

use super::context::Context;
use super::decide;
use super::evaluate::{Predicted, compare_with_measured};
use super::failure::{self, Stop};
use super::iterate::{Tried, draw_seed};
use super::report::{self, Arms, Report, Source};

/// Cells of either side drawn for the comparison with measured cells.
const MEASURED_CELLS: u32 = 500;

/// Delivers the best of the iterations; completes the run.
pub async fn deliver(
    ctx: &Context,
    run: &RunRecord,
    query: &StructuredQuery,
    history: Vec<Tried>,
    reason: TerminationReason,
) -> Result<RunResult, Stop> {
    let groundings: Vec<_> = history.iter().map(|tried| tried.iteration.grounding.clone()).collect();
    let best = decide::best(&groundings).and_then(|index| history.get(index));
    let best = best.ok_or_else(|| failure::nothing_found(query))?;
    let sources = sources(ctx, best).await?;
    let result = RunResult {
        best_iteration: best.iteration.number,
        termination_reason: reason,
        answer: Findings::from(&best.answer),
        baseline: Findings::from(&best.baseline),
        measured: compare(ctx, run, best).await?,
        control_strategy_effective: best.iteration.control.strategy(),
        model: model(run, best),
        simulated: sources.iter().any(|source| source.simulated),
    };
    let report = Report {
        run_id: run.id.clone(),
        user_email: Some(run.user_email.clone()),
        query: query.clone(),
        settings: run.settings.clone(),
        iterations: history.iter().map(|tried| tried.iteration.clone()).collect(),
        evaluation: best.answer.clone(),
        baseline: best.baseline.clone(),
        result: result.clone(),
        inference: best.predictions.summary.clone(),
        sources,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started: started(run),
        finished: Utc::now(),
    };
    let artifacts = write(ctx, run, &report, best).await?;
    if !ctx.database.finish_run(&run.id, &result, &artifacts).await? {
        return Err(Stop::Cancelled);
    }
    Ok(result)
}

/// Holds the prediction against cells measured for the very question. They are compared with controls
/// of their own, paired as a prompt's are; without those there is no comparison.
async fn compare(ctx: &Context, run: &RunRecord, best: &Tried) -> Result<Option<MeasuredComparison>, Stop> {
    if best.measured.is_empty() {
        return Ok(None);
    }
    let controls = ctx.atlas.all_controls().await?;
    let min_cells = ctx.config.retrieval.min_cells;
    let EffectiveControl::SyntheticControl { sets, .. } = pair(&best.measured, &controls, min_cells.into()) else {
        return Ok(None);
    };
    let seed = |role| draw_seed(run.settings.seed, role, 0);
    let load = async |sets, seed| ctx.atlas.load(sets, MEASURED_CELLS, min_cells, seed, &Rows::default()).await;
    let treatment = load(best.measured.as_slice(), seed("measured")).await?;
    if treatment.cells.len() < min_cells as usize {
        return Ok(None);
    }
    let control = load(sets.as_slice(), seed("measured control")).await?;
    let predictions = &best.predictions;
    let answer = Predicted { treatment: &predictions.treatment, control: &predictions.control };
    let baseline = &predictions.baseline;
    let baseline = Predicted { treatment: &baseline.treatment, control: &baseline.control };
    let compared = tokio::task::block_in_place(|| {
        compare_with_measured(&treatment.expression, &control.expression, answer, baseline)
    });
    Ok(Some(compared?))
}

fn model(run: &RunRecord, best: &Tried) -> Option<ModelRecord> {
    let Predictor::Stack { model } = &run.settings.predictor else { return None };
    let summary = &best.predictions.summary;
    Some(ModelRecord {
        name: model.clone(),
        sha256: summary.model_sha256.clone(),
        licence: summary.model_licence.clone(),
    })
}

/// What the delivered iteration drew on.
async fn sources(ctx: &Context, best: &Tried) -> Result<Vec<Source>, Stop> {
    let iteration = &best.iteration;
    let used = |name: &str| {
        let control = match &iteration.control {
            EffectiveControl::SyntheticControl { sets, .. } => sets.as_slice(),
            EffectiveControl::QueryAsControl { .. } => &[],
        };
        iteration.prompt.sets.iter().chain(control).chain(&iteration.query).any(|set| set.key.dataset == name)
    };
    let mut sources = Vec::new();
    for dataset in ctx.database.datasets().await?.into_iter().filter(|dataset| used(&dataset.name)) {
        sources.push(Source {
            kind: "atlas".into(),
            detail: format!("{} cells, sha256 {}, imported {}", dataset.n_cells, dataset.sha256, dataset.imported_at),
            simulated: dataset.simulated,
            name: dataset.name,
        });
    }
    for ontology in ctx.knowledge.ontologies() {
        sources.push(Source {
            kind: "ontology".into(),
            name: ontology.prefix.clone(),
            detail: format!("version {}, from {}", ontology.version, ontology.source),
            simulated: false,
        });
    }
    for facts in ctx.database.fact_sources().await? {
        sources.push(Source {
            kind: facts.kind.replace('-', " "),
            name: facts.name,
            detail: format!("{} records, fingerprint {}", facts.n_records, facts.fingerprint),
            simulated: false,
        });
    }
    Ok(sources)
}

fn started(run: &RunRecord) -> DateTime<Utc> {
    let text = run.started_at.as_ref().unwrap_or(&run.created_at);
    DateTime::parse_from_rfc3339(text).map_or_else(|_| Utc::now(), |time| time.with_timezone(&Utc))
}

/// Writes the four outputs; describes them.
async fn write(ctx: &Context, run: &RunRecord, report: &Report, best: &Tried) -> Result<Vec<Artifact>, Stop> {
    let predictions = &best.predictions;
    let arms = Arms {
        perturbed: &predictions.treatment,
        control: &predictions.control,
        baseline: &predictions.baseline.treatment,
        query: (predictions.control != predictions.baseline.control).then_some(&predictions.baseline.control),
    };
    let data = report::output(report, &arms).map_err(|error| failure::output(&error))?;
    let scratch = tempfile::tempdir().map_err(|error| failure::output(&error))?;
    let path = scratch.path().join("output.h5ad");
    let cells = tokio::task::block_in_place(|| -> Result<Vec<u8>, Stop> {
        anndata::write(&path, &data).map_err(|error| failure::output(&error))?;
        std::fs::read(&path).map_err(|error| failure::output(&error))
    })?;
    let markdown = report::markdown(report).map_err(|error| failure::output(&error))?;
    let html = report::html(report).map_err(|error| failure::output(&error))?;
    let log = serde_json::to_vec_pretty(&report::log(report)).map_err(|error| failure::output(&error))?;

    let id = || run.id.clone();
    let mut artifacts = Vec::new();
    for (key, bytes) in [
        (ObjectKey::Output { run: id() }, cells),
        (ObjectKey::ReportMarkdown { run: id() }, markdown.into_bytes()),
        (ObjectKey::ReportHtml { run: id() }, html.into_bytes()),
        (ObjectKey::Log { run: id() }, log),
    ] {
        artifacts.push(Artifact {
            key: key.to_string(),
            bytes: bytes.len() as u64,
            sha256: hex::encode(Sha256::digest(&bytes)),
            media_type: key.media_type().to_owned(),
        });
        ctx.objects.put(&key, Bytes::from(bytes)).await?;
    }
    Ok(artifacts)
}
