//! The result of a finished run, with links to its files.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::RunId;
use crate::domain::evaluation::{Agreement, DirectedSet, Findings, GeneChange, RegulonActivity, RunResult};
use crate::domain::inference::{CONTROL_ARM, QUERY_CELLS};
use crate::domain::query::StructuredQuery;
use crate::domain::run::{EffectiveControl, Iteration, Predictor, Status};
use crate::domain::score::{Component, Grounding, Outcome};
use crate::domain::sentence::sentence;
use crate::domain::terms::Direction;
use crate::objects::{ObjectKey, Objects};

use super::Parts;
use super::body::Path;
use super::error::{ApiError, Problem};
use super::runs::find;
use super::user::User;

/// How long the links in a result work.
const LINKS_LAST: Duration = Duration::from_secs(3600);

/// What a run came to.
#[derive(Serialize, ToSchema)]
pub struct RunOutcome {
    run_id: String,
    /// The question.
    query: String,
    /// Always true; a run that failed has no result.
    success: bool,
    /// In sentences.
    summary: String,
    /// What the reader should know before the numbers, such as that cells are simulated or that words
    /// of the question were not taken into account.
    notices: Vec<Notice>,
    /// 1 to 10; null if no component could be measured.
    grounding_score: Option<u32>,
    /// What it was rounded from.
    composite: Option<f64>,
    /// Each part of the score.
    components: Vec<ScoreComponent>,
    /// Such as `threshold_reached`.
    termination_reason: &'static str,
    /// The iteration that is delivered.
    best_iteration: u32,
    /// Which predictor answered.
    #[schema(value_type = Object)]
    predictor: Predictor,
    /// Licence of the model's weights, which holds for everything made with them.
    model_licence: Option<String>,
    /// Whether the cells were simulated.
    simulated: bool,
    control_strategy_effective: &'static str,
    num_de_genes: usize,
    /// Up to twenty, clearest first: by the score of the rank-sum test, not by the size of the change.
    top_upregulated: Vec<Gene>,
    /// Up to twenty, clearest first: by the score of the rank-sum test, not by the size of the change.
    top_downregulated: Vec<Gene>,
    /// Up to twenty, smallest p-value first.
    enriched_pathways: Vec<Pathway>,
    /// Up to twenty, smallest p-value first.
    activated_tfs: Vec<Factor>,
    /// The mean shift on the same cells.
    baseline: Baseline,
    /// Agreement with measured cells of this very combination, where there are any.
    measured: Option<Measured>,
    /// Each prompt that was tried.
    iterations: Vec<Tried>,
    /// Predicted cells (`.h5ad`).
    anndata_url: String,
    /// Report in Markdown.
    report_url: String,
    /// The same report as one page.
    report_html_url: String,
    /// Complete trace (JSON).
    log_url: String,
}

/// What the reader should know before the numbers.
#[derive(Serialize, ToSchema)]
pub struct Notice {
    /// Such as `Simulated cells`.
    title: String,
    /// In sentences.
    text: String,
}

/// A part of a score.
#[derive(Serialize, ToSchema)]
pub struct ScoreComponent {
    /// Such as `pathway_coherence`.
    #[schema(value_type = String)]
    name: crate::domain::score::ComponentName,
    title: &'static str,
    /// 1 to 10; null if it could not be measured.
    value: Option<f64>,
    /// Share of random draws it exceeds.
    percentile: Option<f64>,
    /// Number of random draws.
    draws: Option<u32>,
    /// Why it could not be measured, and how to change that.
    why: Option<String>,
}

/// A gene that changes.
#[derive(Serialize, ToSchema)]
pub struct Gene {
    /// As the data spell it.
    gene: String,
    /// The same without an Ensembl id that only tells twins apart.
    symbol: String,
    log2_fold_change: f64,
    /// Standard score of the rank-sum test: negative for a gene that falls.
    score: f64,
    adjusted_p_value: f64,
}

/// An enriched gene set.
#[derive(Serialize, ToSchema)]
pub struct Pathway {
    name: String,
    collection: String,
    /// Whether its genes rise (`up`) or fall (`down`).
    #[schema(value_type = String)]
    direction: Direction,
    /// Changed genes in the set / measured genes in the set.
    #[schema(example = "17/83")]
    overlap: String,
    adjusted_p_value: f64,
    genes: Vec<String>,
}

/// An activated transcription factor.
#[derive(Serialize, ToSchema)]
pub struct Factor {
    factor: String,
    /// Changed targets / measured targets.
    overlap: String,
    adjusted_p_value: f64,
}

/// The baseline's figures.
#[derive(Serialize, ToSchema)]
pub struct Baseline {
    grounding_score: Option<u32>,
    composite: Option<f64>,
    components: Vec<ScoreComponent>,
    num_de_genes: usize,
}

/// Agreement with measured cells.
#[derive(Serialize, ToSchema)]
pub struct Measured {
    n_measured_cells: usize,
    n_control_cells: usize,
    n_genes: usize,
    /// How many genes count as those with the largest measured change.
    n_top: usize,
    answer: Agreed,
    baseline: Agreed,
}

/// How well one prediction agrees.
#[derive(Serialize, ToSchema)]
pub struct Agreed {
    pearson: Option<f64>,
    spearman: Option<f64>,
    pearson_top: Option<f64>,
    spearman_top: Option<f64>,
    /// Share of the top genes whose predicted sign is right.
    direction_top: f64,
    /// Top genes that are also among as many with the largest predicted change.
    overlap_top: usize,
}

/// A prompt that was tried.
#[derive(Serialize, ToSchema)]
pub struct Tried {
    number: u32,
    grounding_score: Option<u32>,
    /// Score of the mean shift on the same cells.
    baseline_score: Option<u32>,
    /// Such as `direct`.
    strategy: &'static str,
    /// Which cells showed the response.
    prompt: String,
    rationale: String,
    n_prompt_cells: u32,
    n_query_cells: u32,
    /// What the prediction was compared with.
    control: String,
    /// Where the query cells are kept (`.h5ad`).
    query_cells_path: String,
    /// Where the predicted control cells are kept (`.h5ad`); null where none were predicted, because the
    /// query cells were the control or the mean shift answered.
    control_prediction_path: Option<String>,
    seconds: f64,
}

/// What did a run come to?
#[utoipa::path(get, path = "/api/v1/runs/{run_id}/result", tag = "runs", params(("run_id" = String, Path)), responses(
    (status = 200, body = RunOutcome), (status = 400, body = Problem, description = "It is not completed"),
    (status = 404, body = Problem)))]
pub async fn read(
    State(parts): State<Arc<Parts>>,
    User(user): User,
    Path(id): Path<String>,
) -> Result<axum::Json<RunOutcome>, ApiError> {
    let record = find(&parts, &id, &user).await?;
    let status = record.lifecycle.status();
    let Some(result) = record.result.filter(|_| status == Status::Completed) else {
        return Err(ApiError::BadRequest(format!("Run {id} is {status}; only completed runs have a result.")));
    };
    let iterations = parts.database.iterations(&record.id).await?;
    let best = iterations.iter().find(|iteration| iteration.number == result.best_iteration);
    let (grounding, baseline) = best.map(|best| (&best.grounding, &best.baseline)).unzip();
    let run = record.id;
    let tried: Vec<_> =
        iterations.iter().map(|tried| Tried::of(tried, &run, &record.settings.predictor, &parts.objects)).collect();
    let link = async |key: ObjectKey| parts.objects.signed_url(&key, LINKS_LAST).await.map(String::from);
    let Findings { top_upregulated, top_downregulated, enriched_pathways, activated_tfs, .. } = &result.answer;
    Ok(axum::Json(RunOutcome {
        summary: summary(&result, iterations.len()),
        notices: notices(&result, record.structured_query.as_ref(), best),
        grounding_score: result.answer.score,
        composite: hundredths(grounding),
        components: components(grounding),
        termination_reason: result.termination_reason.as_str(),
        best_iteration: result.best_iteration,
        predictor: record.settings.predictor,
        model_licence: result.model.as_ref().and_then(|model| model.licence.clone()),
        simulated: result.simulated,
        control_strategy_effective: result.control_strategy_effective.as_str(),
        num_de_genes: result.answer.n_de_genes,
        top_upregulated: top_upregulated.iter().map(Gene::from).collect(),
        top_downregulated: top_downregulated.iter().map(Gene::from).collect(),
        enriched_pathways: enriched_pathways.iter().map(Pathway::from).collect(),
        activated_tfs: activated_tfs.iter().map(Factor::from).collect(),
        baseline: Baseline {
            grounding_score: result.baseline.score,
            composite: hundredths(baseline),
            components: components(baseline),
            num_de_genes: result.baseline.n_de_genes,
        },
        measured: result.measured.as_ref().map(|measured| Measured {
            n_measured_cells: measured.n_treatment,
            n_control_cells: measured.n_control,
            n_genes: measured.n_genes,
            n_top: measured.n_top,
            answer: Agreed::from(&measured.answer),
            baseline: Agreed::from(&measured.baseline),
        }),
        iterations: tried,
        anndata_url: link(ObjectKey::Output { run: run.clone() }).await?,
        report_url: link(ObjectKey::ReportMarkdown { run: run.clone() }).await?,
        report_html_url: link(ObjectKey::ReportHtml { run: run.clone() }).await?,
        log_url: link(ObjectKey::Log { run: run.clone() }).await?,
        run_id: run.to_string(),
        query: record.question,
        success: true,
    }))
}

fn summary(result: &RunResult, n_iterations: usize) -> String {
    let genes = match result.answer.n_de_genes {
        0 => "No gene is predicted to change".to_owned(),
        1 => "1 gene is predicted to change".to_owned(),
        n => format!("{n} genes are predicted to change"),
    };
    let iterations = if n_iterations == 1 { "one iteration".to_owned() } else { format!("{n_iterations} iterations") };
    let score = match (result.answer.score, result.baseline.score) {
        (None, _) => "No part of the score could be measured.".to_owned(),
        (Some(score), Some(baseline)) if result.model.is_some() => {
            format!("The score is {score} of 10; the mean-shift baseline has {baseline}.")
        }
        (Some(score), _) => format!("The score is {score} of 10."),
    };
    format!("{genes}. {score} The run ended after {iterations}: {}.", result.termination_reason.in_words())
}

fn notices(result: &RunResult, query: Option<&StructuredQuery>, best: Option<&Iteration>) -> Vec<Notice> {
    let notice = |title: &str, text: String| Notice { title: title.to_owned(), text };
    let mut notices = Vec::new();
    if result.simulated {
        let text = "They show how HAYSTACK works. Draw no biological conclusion from them.";
        notices.push(notice("Simulated cells", text.to_owned()));
    }
    let notes: Vec<_> = query.into_iter().flat_map(|query| &query.notes).map(|note| sentence(note)).collect();
    if !notes.is_empty() {
        notices.push(notice("Your question", notes.join(" ")));
    }
    match &result.model {
        None => notices.push(notice("Baseline", "The mean shift answered; no STACK model was asked.".to_owned())),
        Some(model) => {
            let licence = model.licence.as_deref().unwrap_or("Not stated when the model was imported");
            let text = format!("{} It holds for every file made with them.", sentence(licence));
            notices.push(notice("Licence of the weights", text));
        }
    }
    let warnings = best.into_iter().flat_map(|best| &best.warnings);
    notices.extend(warnings.map(|warning| notice("Note", sentence(warning))));
    notices
}

fn hundredths(grounding: Option<&Grounding>) -> Option<f64> {
    Some(f64::from(grounding?.composite?.get()) / 100.0)
}

fn components(grounding: Option<&Grounding>) -> Vec<ScoreComponent> {
    grounding.into_iter().flat_map(|grounding| &grounding.components).map(ScoreComponent::from).collect()
}

impl From<&Component> for ScoreComponent {
    fn from(component: &Component) -> Self {
        let (value, percentile, draws, why) = match &component.outcome {
            Outcome::Scored { value, null, .. } => {
                (Some(f64::from(value.get()) / 100.0), Some(null.percentile), Some(null.draws), None)
            }
            Outcome::Insufficient { why } => (None, None, None, Some(why.clone())),
        };
        Self { name: component.name, title: component.name.title(), value, percentile, draws, why }
    }
}

impl From<&GeneChange> for Gene {
    fn from(change: &GeneChange) -> Self {
        Self {
            symbol: change.symbol().to_owned(),
            gene: change.gene.clone(),
            log2_fold_change: change.log2_fold_change,
            score: change.score,
            adjusted_p_value: change.adjusted_p_value,
        }
    }
}

impl From<&DirectedSet> for Pathway {
    fn from(directed: &DirectedSet) -> Self {
        let set = &directed.set;
        Self {
            name: set.name.clone(),
            collection: set.collection.clone(),
            direction: directed.direction,
            overlap: format!("{}/{}", set.overlap, set.set_size),
            adjusted_p_value: set.adjusted_p_value,
            genes: set.genes.clone(),
        }
    }
}

impl From<&RegulonActivity> for Factor {
    fn from(activity: &RegulonActivity) -> Self {
        Self {
            factor: activity.factor.clone(),
            overlap: format!("{}/{}", activity.overlap, activity.n_targets),
            adjusted_p_value: activity.adjusted_p_value,
        }
    }
}

impl From<&Agreement> for Agreed {
    fn from(agreement: &Agreement) -> Self {
        Self {
            pearson: agreement.pearson,
            spearman: agreement.spearman,
            pearson_top: agreement.pearson_top,
            spearman_top: agreement.spearman_top,
            direction_top: agreement.direction_top,
            overlap_top: agreement.overlap_top,
        }
    }
}

impl Tried {
    fn of(iteration: &Iteration, run: &RunId, predictor: &Predictor, objects: &Objects) -> Self {
        let [dataset, perturbation, cell_type, donor, rest @ ..] = iteration.prompt.selection_key();
        let donor = if donor.is_empty() { donor } else { format!("donor {donor}") };
        let parts = [cell_type, perturbation, donor].into_iter().chain(rest).chain([dataset]);
        let prompt = parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ");
        let control = match &iteration.control {
            EffectiveControl::SyntheticControl { relaxations, .. } if relaxations.is_empty() => {
                format!("{} paired control cells", iteration.n_control_cells)
            }
            EffectiveControl::SyntheticControl { relaxations, .. } => {
                format!("{} control cells, whatever their {}", iteration.n_control_cells, relaxations.join(", "))
            }
            EffectiveControl::QueryAsControl { why, .. } => format!("the query cells: {why}"),
        };
        let number = iteration.number;
        let query = ObjectKey::RunInput { run: run.clone(), iteration: number, name: QUERY_CELLS.to_owned() };
        let predicted = ObjectKey::Prediction { run: run.clone(), iteration: number, arm: CONTROL_ARM.to_owned() };
        let is_predicted = matches!(
            (&iteration.control, predictor),
            (EffectiveControl::SyntheticControl { .. }, Predictor::Stack { .. })
        );
        Self {
            number,
            grounding_score: iteration.grounding.score(),
            baseline_score: iteration.baseline.score(),
            strategy: iteration.prompt.strategy.as_str(),
            prompt,
            rationale: iteration.prompt.rationale.clone(),
            n_prompt_cells: iteration.n_prompt_cells,
            n_query_cells: iteration.n_query_cells,
            control,
            query_cells_path: objects.address_of(&query),
            control_prediction_path: is_predicted.then(|| objects.address_of(&predicted)),
            seconds: iteration.seconds,
        }
    }
}
