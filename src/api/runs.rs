//! Runs: create, list, read, cancel, with their request and response types.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::database::Database;
use crate::database::runs::RunRecord;
use crate::domain::RunId;
use crate::domain::evaluation::Criteria;
use crate::domain::run::{ControlStrategy, Failure, FailureKind, Lifecycle, Measured, Predictor, Settings, Status};
use crate::executor::{Executor, Job};
use crate::knowledge::question;

use super::body::{Json, Path, Query};
use super::controls::Understood;
use super::error::{ApiError, Problem};
use super::user::User;
use super::{Parts, metadata, watch};

/// A question and how to answer it. Whatever is left out takes the configured default.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateRun {
    /// 10 to 2000 characters.
    #[schema(min_length = 10, max_length = 2000, example = "How would B cells respond to interferon beta?")]
    query: String,
    /// What the prediction is compared with: `synthetic_control` or `query_as_control`.
    #[schema(value_type = Option<String>, example = "synthetic_control")]
    control_strategy: Option<ControlStrategy>,
    /// 1 to 10.
    #[schema(minimum = 1, maximum = 10, example = 5)]
    max_iterations: Option<u32>,
    /// 1 to 10; the run stops when a score reaches it.
    #[schema(minimum = 1, maximum = 10, example = 7)]
    score_threshold: Option<u32>,
    /// `{"method": "stack", "model": NAME}` or `{"method": "mean-shift"}`.
    #[schema(value_type = Option<Object>, example = json!({"method": "mean-shift"}))]
    predictor: Option<Predictor>,
    /// `hold-out` keeps measured cells of the very combination asked about for comparison; `use`
    /// lets them be the prompt.
    #[schema(value_type = Option<String>, example = "hold-out")]
    measured: Option<Measured>,
    /// Chosen and stored when left out.
    random_seed: Option<u64>,
    /// Whether gene set enrichment is computed; it is unless this is false.
    enable_pathway_enrichment: Option<bool>,
    /// What counts as a differentially expressed gene.
    #[schema(inline)]
    de_config: Option<DeConfig>,
    /// Whether papers are searched for what the prediction says. Only `false` can be served yet.
    enable_literature_search: Option<bool>,
    /// The vendor of a language model that helps to read the question. Only `none` can be served yet.
    #[schema(example = "none")]
    llm_provider: Option<String>,
    /// The language model. Only null can be served yet.
    #[schema(example = json!(null))]
    llm_model: Option<String>,
}

/// What counts as a differentially expressed gene. Whatever is left out takes the configured default.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeConfig {
    /// Smallest absolute log2 fold change.
    #[schema(minimum = 0, maximum = 100, example = 0.5)]
    lfc_threshold: Option<f64>,
    /// Largest adjusted p-value, of genes and of gene sets.
    #[schema(minimum = 0, maximum = 1, example = 0.05)]
    pval_threshold: Option<f64>,
    /// Fewest cells on either side of a comparison.
    #[schema(minimum = 2, maximum = 100000, example = 10)]
    min_cells_per_group: Option<u32>,
    /// Only `wilcoxon` can be served yet.
    #[schema(example = "wilcoxon")]
    test: Option<String>,
    /// Only `benjamini-hochberg` can be served yet.
    #[schema(example = "benjamini-hochberg")]
    correction: Option<String>,
    /// Only null can be served: every measured gene is tested.
    #[schema(example = json!(null))]
    top_n_hvg: Option<u32>,
    /// The same as `control_strategy` of the run, for those who say it here.
    #[schema(value_type = Option<String>, example = "synthetic_control")]
    control_strategy: Option<ControlStrategy>,
}

/// Where a run is.
#[derive(Debug, Serialize, ToSchema)]
pub struct RunStatus {
    /// Such as `run_0123456789ab`.
    run_id: String,
    /// The question.
    query: String,
    /// `pending`, `running`, `completed`, `failed` or `cancelled`.
    #[schema(value_type = String, example = "running")]
    status: Status,
    /// What it is doing: `pending`, `query_analysis`, `prompt_generation`, `inference`, `evaluation`
    /// or `output_generation`.
    current_phase: &'static str,
    /// From 1; 0 before the first.
    current_iteration: u32,
    /// The most there will be.
    max_iterations: u32,
    /// Score of each iteration so far; null where nothing could be measured.
    grounding_scores: Vec<Option<u32>>,
    /// The last of them; of the best iteration when the run is completed.
    current_score: Option<u32>,
    /// What was asked for.
    #[schema(value_type = String)]
    control_strategy: ControlStrategy,
    /// What it came to.
    control_strategy_effective: Option<String>,
    /// Whether control cells to pair with were found.
    control_cells_available: Option<bool>,
    /// Which predictor answers.
    #[schema(value_type = Object)]
    predictor: Predictor,
    /// The score at which it stops.
    score_threshold: u32,
    /// What becomes of measured cells of the very combination asked about: `hold-out` or `use`.
    #[schema(value_type = String)]
    measured: Measured,
    /// What counts as a differentially expressed gene.
    #[schema(inline)]
    de_config: DeCriteria,
    /// The same seed and stores give the same numbers.
    random_seed: u64,
    /// What the words of the question were taken for, once that is known.
    understood: Option<Understood>,
    /// Why it failed, with the way out.
    error_message: Option<String>,
    /// Where it failed, such as `EntityResolutionError`.
    error_type: Option<String>,
    /// Who owns it.
    user_email: String,
    /// ISO 8601, UTC.
    created_at: String,
    /// ISO 8601, UTC.
    updated_at: String,
    /// When work began; ISO 8601, UTC.
    started_at: Option<String>,
    /// When it was completed, failed or cancelled; ISO 8601, UTC.
    finished_at: Option<String>,
}

/// What counts as a differentially expressed gene.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeCriteria {
    /// Smallest absolute log2 fold change.
    lfc_threshold: f64,
    /// Largest adjusted p-value, of genes and of gene sets.
    pval_threshold: f64,
    /// Fewest cells on either side of a comparison.
    min_cells_per_group: usize,
}

/// One page of runs, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct RunPage {
    runs: Vec<RunStatus>,
    /// Over all pages.
    total: u64,
    page: u32,
    page_size: u32,
}

/// Which page of which runs.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct ListRuns {
    /// From 1.
    #[param(minimum = 1)]
    page: Option<u32>,
    /// 1 to 100; 20 when left out.
    #[param(minimum = 1, maximum = 100)]
    page_size: Option<u32>,
    /// Only runs of this status: `pending`, `running`, `completed`, `failed` or `cancelled`.
    #[param(value_type = Option<String>)]
    status: Option<Status>,
}

/// That a run was cancelled.
#[derive(Debug, Serialize, ToSchema)]
pub struct Cancelled {
    run_id: String,
    #[schema(example = "cancelled")]
    status: &'static str,
    message: String,
}

/// Start a run
#[utoipa::path(post, path = "/api/v1/runs/", tag = "runs", request_body = CreateRun, responses(
    (status = 201, body = RunStatus, description = "Stored and started"),
    (status = 422, body = Problem, description = "The body is not a question with settings in their limits"),
    (status = 503, body = Problem, description = "The run could not be started; it is stored as failed")))]
pub async fn create(
    State(parts): State<Arc<Parts>>,
    User(user): User,
    Json(body): Json<CreateRun>,
) -> Result<impl IntoResponse, ApiError> {
    let question = question::check(&body.query)?.to_owned();
    check_served(&body)?;
    let settings = settings(&parts, body)?;
    check_predictor(&parts, &settings.predictor).await?;
    let id = RunId::random();
    // In a task of its own: a client that leaves ends the request, and a stored run must be started too.
    let (database, executor) = (parts.database.clone(), parts.executor.clone());
    let start = start(database, executor, id.clone(), user.clone(), question, settings);
    tokio::spawn(start).await.map_err(ApiError::internal)??;
    let status = RunStatus::of(&parts, record(&parts, &id, &user).await?).await?;
    Ok((StatusCode::CREATED, [(header::LOCATION, format!("/api/v1/runs/{id}"))], axum::Json(status)))
}

/// Stores a run and starts its process.
async fn start(
    database: Database,
    executor: Executor,
    id: RunId,
    user: String,
    question: String,
    settings: Settings,
) -> Result<(), ApiError> {
    database.create_run(&id, &user, &question, &settings, &Executor::owner()).await?;
    match executor.submit(&Job::Orchestrate { run: id.clone() }).await {
        Ok(job) => {
            let attached = database.attach_job(&id, &job).await;
            watch::watch(database, executor, id, job);
            Ok(attached?)
        }
        Err(error) => {
            let failure = Failure {
                kind: FailureKind::InternalError,
                message: "the run could not be started".into(),
                hint: Some("look at the server's log, then ask again".into()),
            };
            database.fail_run(&id, &failure).await?;
            let public = format!("Run {id} could not be started; ask again in a while.");
            Err(ApiError::Unavailable { public, private: error.to_string() })
        }
    }
}

/// List your runs, newest first
#[utoipa::path(get, path = "/api/v1/runs/", tag = "runs", params(ListRuns), responses(
    (status = 200, body = RunPage), (status = 422, body = Problem)))]
pub async fn list(
    State(parts): State<Arc<Parts>>,
    User(user): User,
    Query(query): Query<ListRuns>,
) -> Result<axum::Json<RunPage>, ApiError> {
    let page = query.page.unwrap_or(1);
    let page_size = query.page_size.unwrap_or(20);
    let (records, total) = parts.database.list_runs(&user, query.status, page, page_size).await?;
    let mut runs = Vec::with_capacity(records.len());
    for record in records {
        runs.push(RunStatus::of(&parts, record).await?);
    }
    Ok(axum::Json(RunPage { runs, total, page, page_size }))
}

/// Where is a run?
#[utoipa::path(get, path = "/api/v1/runs/{run_id}", tag = "runs", params(("run_id" = String, Path)), responses(
    (status = 200, body = RunStatus), (status = 404, body = Problem)))]
pub async fn read(
    State(parts): State<Arc<Parts>>,
    User(user): User,
    Path(id): Path<String>,
) -> Result<axum::Json<RunStatus>, ApiError> {
    let record = find(&parts, &id, &user).await?;
    Ok(axum::Json(RunStatus::of(&parts, record).await?))
}

/// Cancel a run
#[utoipa::path(post, path = "/api/v1/runs/{run_id}/cancel", tag = "runs", params(("run_id" = String, Path)), responses(
    (status = 200, body = Cancelled), (status = 400, body = Problem, description = "It is finished"),
    (status = 404, body = Problem)))]
pub async fn cancel(
    State(parts): State<Arc<Parts>>,
    User(user): User,
    Path(id): Path<String>,
) -> Result<axum::Json<Cancelled>, ApiError> {
    let record = find(&parts, &id, &user).await?;
    let cancelled = parts.database.request_cancel(&record.id).await?;
    if !cancelled {
        let status = record_status(&parts, &record.id, &user).await?;
        return Err(ApiError::BadRequest(format!(
            "Run {id} is {status}; only pending and running runs can be cancelled."
        )));
    }
    if let Some(handle) = &record.job
        && let Err(error) = parts.executor.cancel(handle).await
    {
        tracing::warn!(run.id = %id, error = %error, "run {id} is cancelled, but its process could not be stopped");
    }
    parts.database.advance(&record.id, Lifecycle::Canceled).await?;
    let message = format!("Run {id} is cancelled.");
    Ok(axum::Json(Cancelled { run_id: id, status: Status::Cancelled.as_str(), message }))
}

/// The record of a run of this user; of others' runs there is no word.
pub(super) async fn find(parts: &Parts, id: &str, user: &str) -> Result<RunRecord, ApiError> {
    match id.parse::<RunId>() {
        Ok(id) => record(parts, &id, user).await,
        Err(_) => Err(ApiError::NotFound(format!("There is no run {id}."))),
    }
}

async fn record(parts: &Parts, id: &RunId, user: &str) -> Result<RunRecord, ApiError> {
    let record = parts.database.run(id).await?.filter(|record| record.user_email == user);
    record.ok_or_else(|| ApiError::NotFound(format!("There is no run {id}.")))
}

async fn record_status(parts: &Parts, id: &RunId, user: &str) -> Result<Status, ApiError> {
    Ok(record(parts, id, user).await?.lifecycle.status())
}

fn settings(parts: &Parts, body: CreateRun) -> Result<Settings, ApiError> {
    let defaults = parts.config.run_settings();
    let de = body.de_config.as_ref();
    let control_strategy = body.control_strategy.or(de.and_then(|de| de.control_strategy));
    let settings = Settings {
        control_strategy: control_strategy.unwrap_or(defaults.control_strategy),
        predictor: body.predictor.unwrap_or(defaults.predictor),
        max_iterations: body.max_iterations.unwrap_or(defaults.max_iterations),
        score_threshold: body.score_threshold.unwrap_or(defaults.score_threshold),
        seed: body.random_seed.unwrap_or(defaults.seed),
        measured: body.measured.unwrap_or(defaults.measured),
        pathway_enrichment: body.enable_pathway_enrichment.unwrap_or(defaults.pathway_enrichment),
        criteria: de.map_or(defaults.criteria, |de| de.criteria(defaults.criteria)),
    };
    settings.checked().map_err(|error| ApiError::Unprocessable(format!("{error}.")))
}

/// Fails when something is asked for that this server cannot do: it is said, not left out in silence.
fn check_served(body: &CreateRun) -> Result<(), ApiError> {
    let refuse = |field: &str, value: &dyn std::fmt::Display, why: &str| {
        Err(ApiError::Unprocessable(format!("{field} cannot be '{value}': {why}.")))
    };
    let planner = "questions are read by rules here, without a language model; leave it out";
    if body.enable_literature_search == Some(true) {
        return refuse("enable_literature_search", &true, "papers cannot be searched yet; leave it out or say false");
    }
    if let Some(provider) = body.llm_provider.as_deref().filter(|provider| *provider != "none") {
        return refuse("llm_provider", &provider, planner);
    }
    if let Some(model) = &body.llm_model {
        return refuse("llm_model", model, planner);
    }
    let Some(de) = &body.de_config else { return Ok(()) };
    if let Some(test) = de.test.as_deref().filter(|test| *test != "wilcoxon") {
        return refuse("de_config.test", &test, "genes are compared by 'wilcoxon' alone; leave it out");
    }
    if let Some(correction) = de.correction.as_deref().filter(|correction| *correction != "benjamini-hochberg") {
        let why = "p-values are adjusted by 'benjamini-hochberg' alone; leave it out";
        return refuse("de_config.correction", &correction, why);
    }
    if let Some(n_genes) = de.top_n_hvg {
        return refuse("de_config.top_n_hvg", &n_genes, "every measured gene is tested; leave it out");
    }
    match (body.control_strategy, de.control_strategy) {
        (Some(asked), Some(other)) if asked != other => {
            let why = format!("control_strategy is '{}'; say it once", asked.as_str());
            refuse("de_config.control_strategy", &other.as_str(), &why)
        }
        _ => Ok(()),
    }
}

impl DeConfig {
    fn criteria(&self, defaults: Criteria) -> Criteria {
        Criteria {
            min_log2_fold_change: self.lfc_threshold.unwrap_or(defaults.min_log2_fold_change),
            max_adjusted_p_value: self.pval_threshold.unwrap_or(defaults.max_adjusted_p_value),
            min_cells: self.min_cells_per_group.map_or(defaults.min_cells, |n_cells| n_cells as usize),
        }
    }
}

impl From<Criteria> for DeCriteria {
    fn from(criteria: Criteria) -> Self {
        Self {
            lfc_threshold: criteria.min_log2_fold_change,
            pval_threshold: criteria.max_adjusted_p_value,
            min_cells_per_group: criteria.min_cells,
        }
    }
}

/// Fails when the predictor is a model that is not imported.
async fn check_predictor(parts: &Parts, predictor: &Predictor) -> Result<(), ApiError> {
    let Predictor::Stack { model } = predictor else { return Ok(()) };
    let held = metadata::model_names(parts).await?;
    if held.contains(model) {
        return Ok(());
    }
    let held = if held.is_empty() { "none is imported".to_owned() } else { format!("held are {}", held.join(", ")) };
    Err(ApiError::Unprocessable(format!("There is no model '{model}'; {held}. 'haystack import model' imports one.")))
}

impl RunStatus {
    async fn of(parts: &Parts, record: RunRecord) -> Result<Self, ApiError> {
        let iterations = parts.database.iterations(&record.id).await?;
        let grounding_scores: Vec<_> = iterations.iter().map(|iteration| iteration.grounding.score()).collect();
        let last = grounding_scores.last().copied().flatten();
        Ok(Self {
            run_id: record.id.to_string(),
            query: record.question,
            status: record.lifecycle.status(),
            current_phase: record.phase.as_str(),
            current_iteration: record.current_iteration,
            max_iterations: record.settings.max_iterations,
            grounding_scores,
            current_score: record.final_score.or(last),
            control_strategy: record.settings.control_strategy,
            control_strategy_effective: record.control_strategy_effective.map(|strategy| strategy.as_str().to_owned()),
            control_cells_available: record.control_cells_available,
            predictor: record.settings.predictor,
            score_threshold: record.settings.score_threshold,
            measured: record.settings.measured,
            de_config: record.settings.criteria.into(),
            random_seed: record.settings.seed,
            understood: record.structured_query.as_ref().map(Understood::from),
            error_message: record.failure.as_ref().map(Failure::in_sentences),
            error_type: record.failure.as_ref().map(|failure| format!("{:?}", failure.kind)),
            user_email: record.user_email,
            created_at: record.created_at,
            updated_at: record.updated_at,
            started_at: record.started_at,
            finished_at: record.finished_at,
        })
    }
}
