//! Runs, their iterations and outputs: `runs`, `iterations`, `artifacts`.
//!
//! A run moves only along [`Lifecycle::successors`]: every update names the states it may start from
//! in its `WHERE`, so of two writers the later one finds nothing to change. A finished run keeps its
//! status and its result.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sqlx::any::AnyRow;
use sqlx::{Any, AssertSqlSafe, Row, Transaction};

use super::{Database, Error, Result, events, now};
use crate::domain::RunId;
use crate::domain::evaluation::RunResult;
use crate::domain::query::StructuredQuery;
use crate::domain::run::{
    Artifact, ControlStrategy, Failure, Iteration, JobHandle, Lifecycle, Phase, Settings, Status, TerminationReason,
};

/// A run as stored.
#[derive(Clone, Debug, PartialEq)]
pub struct RunRecord {
    /// Its name.
    pub id: RunId,
    /// Who owns it.
    pub user_email: String,
    /// Where it is in its life.
    pub lifecycle: Lifecycle,
    /// What it is doing, or was doing last.
    pub phase: Phase,
    /// From 1; 0 before the first.
    pub current_iteration: u32,
    /// Whether someone asked it to stop.
    pub cancel_requested: bool,
    /// As it was asked.
    pub question: String,
    /// What the user decided.
    pub settings: Settings,
    /// The question, once understood.
    pub structured_query: Option<StructuredQuery>,
    /// What predicted cells are compared with in effect.
    pub control_strategy_effective: Option<ControlStrategy>,
    /// Whether control cells to pair with were found.
    pub control_cells_available: Option<bool>,
    /// The iteration that is delivered.
    pub best_iteration: Option<u32>,
    /// Score of that iteration; absent where nothing could be measured.
    pub final_score: Option<u32>,
    /// Why the loop ended.
    pub termination_reason: Option<String>,
    /// What it came to.
    pub result: Option<RunResult>,
    /// Why it failed.
    pub failure: Option<Failure>,
    /// The job or process that works on it.
    pub job: Option<JobHandle>,
    /// ISO 8601, UTC; so are the next three.
    pub created_at: String,
    /// Of the last change.
    pub updated_at: String,
    /// When work began.
    pub started_at: Option<String>,
    /// When it was completed, failed or cancelled.
    pub finished_at: Option<String>,
}

/// Every column. A truth value is read as 0 or 1, the one form the drivers of both databases give.
const COLUMNS: &str = "run_id, user_email, lifecycle, phase, current_iteration, raw_query, settings, structured_query,
    control_strategy_effective, best_iteration, final_score, termination_reason, result, failure, job, created_at,
    updated_at, started_at, finished_at,
    CASE WHEN cancel_requested THEN 1 ELSE 0 END AS cancel_requested,
    CASE WHEN control_cells_available THEN 1 WHEN NOT control_cells_available THEN 0 END AS control_cells_available";

impl Database {
    /// Stores a new run as queued. `owner` is the process that will carry it out or hand it over.
    pub async fn create_run(
        &self,
        id: &RunId,
        user: &str,
        question: &str,
        settings: &Settings,
        owner: &JobHandle,
    ) -> Result<()> {
        let mut tx = self.write().await?;
        let now = now();
        sqlx::query(
            "INSERT INTO runs (run_id, user_email, lifecycle, phase, current_iteration, cancel_requested, raw_query,
                settings, control_strategy, job, last_event, created_at, updated_at)
             VALUES ($1, $2, $3, $4, 0, FALSE, $5, $6, $7, $8, 0, $9, $9)",
        )
        .bind(id.as_str())
        .bind(user)
        .bind(Lifecycle::Queued.as_str())
        .bind(Phase::Pending.as_str())
        .bind(question)
        .bind(to_json(settings)?)
        .bind(settings.control_strategy.as_str())
        .bind(&owner.0)
        .bind(&now)
        .execute(&mut *tx)
        .await?;
        events::append(&mut tx, id, "run.created", &json!({ "query": question })).await?;
        Ok(tx.commit().await?)
    }

    /// A run, if there is one of this name.
    pub async fn run(&self, id: &RunId) -> Result<Option<RunRecord>> {
        let sql = format!("SELECT {COLUMNS} FROM runs WHERE run_id = $1");
        let row = sqlx::query(AssertSqlSafe(sql)).bind(id.as_str()).fetch_optional(&self.pool).await?;
        row.as_ref().map(record).transpose()
    }

    /// One page (from 1) of a user's runs, newest first, and how many there are on all pages.
    pub async fn list_runs(
        &self,
        user: &str,
        status: Option<Status>,
        page: u32,
        page_size: u32,
    ) -> Result<(Vec<RunRecord>, u64)> {
        let states = Lifecycle::ALL.into_iter().filter(|state| status.is_none_or(|status| state.status() == status));
        let chosen = format!("user_email = $1 AND lifecycle IN ({})", words(states));
        let count = format!("SELECT count(*) FROM runs WHERE {chosen}");
        let total: i64 = sqlx::query_scalar(AssertSqlSafe(count)).bind(user).fetch_one(&self.pool).await?;
        let list = format!(
            "SELECT {COLUMNS} FROM runs WHERE {chosen} ORDER BY created_at DESC, run_id DESC LIMIT $2 OFFSET $3"
        );
        let rows = sqlx::query(AssertSqlSafe(list))
            .bind(user)
            .bind(i64::from(page_size))
            .bind(i64::from(page.saturating_sub(1)) * i64::from(page_size))
            .fetch_all(&self.pool)
            .await?;
        Ok((rows.iter().map(record).collect::<Result<_>>()?, total.try_into().unwrap_or_default()))
    }

    /// The runs that are not finished, with the process or job that works on each, oldest first.
    pub async fn runs_in_progress(&self) -> Result<Vec<(RunId, JobHandle)>> {
        let unfinished = words(Lifecycle::ALL.into_iter().filter(|state| !state.status().is_finished()));
        let sql = format!(
            "SELECT run_id, job FROM runs WHERE job IS NOT NULL AND lifecycle IN ({unfinished}) ORDER BY created_at, run_id"
        );
        let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&self.pool).await?;
        let run = |row: &AnyRow| {
            let id: String = row.try_get("run_id")?;
            let id = id.parse().map_err(|error| Error::stored("runs", "run_id", error))?;
            Ok((id, JobHandle(row.try_get("job")?)))
        };
        rows.iter().map(run).collect()
    }

    /// Notes the job that works on a run, which is scheduled from then on.
    pub async fn attach_job(&self, id: &RunId, job: &JobHandle) -> Result<()> {
        let mut tx = self.write().await?;
        let sql = "UPDATE runs SET job = $2, updated_at = $3 WHERE run_id = $1";
        sqlx::query(sql).bind(id.as_str()).bind(&job.0).bind(now()).execute(&mut *tx).await?;
        // A quick job may be further already.
        advance(&mut tx, id, Lifecycle::Scheduled).await?;
        Ok(tx.commit().await?)
    }

    /// Moves a run to a state; whether it moved. It does not where the state cannot follow the present
    /// one, and a finished run keeps its status.
    pub async fn advance(&self, id: &RunId, to: Lifecycle) -> Result<bool> {
        let mut tx = self.write().await?;
        let moved = advance(&mut tx, id, to).await?;
        tx.commit().await?;
        Ok(moved)
    }

    /// Takes a run up: it is running from now on. False when it is finished, or there is no such run.
    /// A run that is running already, as after a restart, stays so.
    pub async fn begin_run(&self, id: &RunId) -> Result<bool> {
        let mut tx = self.write().await?;
        for to in [Lifecycle::Scheduled, Lifecycle::Starting, Lifecycle::Running] {
            advance(&mut tx, id, to).await?;
        }
        let sql = "SELECT count(*) FROM runs WHERE run_id = $1 AND lifecycle = $2";
        let running: i64 =
            sqlx::query_scalar(sql).bind(id.as_str()).bind(Lifecycle::Running.as_str()).fetch_one(&mut *tx).await?;
        tx.commit().await?;
        Ok(running == 1)
    }

    /// Enters a phase. True when the run should stop: someone asked for it, or it was ended elsewhere.
    pub async fn enter(&self, id: &RunId, iteration: u32, phase: Phase) -> Result<bool> {
        let mut tx = self.write().await?;
        let sql = "UPDATE runs SET current_iteration = $2, phase = $3, updated_at = $4
                   WHERE run_id = $1 AND lifecycle = $5 RETURNING CASE WHEN cancel_requested THEN 1 ELSE 0 END";
        let cancel: Option<i64> = sqlx::query_scalar(sql)
            .bind(id.as_str())
            .bind(i64::from(iteration))
            .bind(phase.as_str())
            .bind(now())
            .bind(Lifecycle::Running.as_str())
            .fetch_optional(&mut *tx)
            .await?;
        if cancel.is_some() {
            let data = json!({ "iteration": iteration, "phase": phase });
            events::append(&mut tx, id, "run.phase", &data).await?;
        }
        tx.commit().await?;
        Ok(cancel != Some(0))
    }

    /// Whether a run should stop: someone asked for it, or it was ended elsewhere.
    pub async fn should_stop(&self, id: &RunId) -> Result<bool> {
        let sql = "SELECT count(*) FROM runs WHERE run_id = $1 AND lifecycle = $2 AND NOT cancel_requested";
        let going: i64 =
            sqlx::query_scalar(sql).bind(id.as_str()).bind(Lifecycle::Running.as_str()).fetch_one(&self.pool).await?;
        Ok(going == 0)
    }

    /// Asks a run to stop. False when it is finished, or there is no such run.
    pub async fn request_cancel(&self, id: &RunId) -> Result<bool> {
        let mut tx = self.write().await?;
        let unfinished = words(Lifecycle::ALL.into_iter().filter(|state| !state.status().is_finished()));
        let sql = format!(
            "UPDATE runs SET cancel_requested = TRUE, updated_at = $2 WHERE run_id = $1 AND lifecycle IN ({unfinished})"
        );
        let done = sqlx::query(AssertSqlSafe(sql)).bind(id.as_str()).bind(now()).execute(&mut *tx).await?;
        let asked = done.rows_affected() == 1;
        if asked {
            events::append(&mut tx, id, "run.cancel_requested", &json!({})).await?;
        }
        tx.commit().await?;
        Ok(asked)
    }

    /// Changes how a run is to be answered.
    pub async fn set_settings(&self, id: &RunId, settings: &Settings) -> Result<()> {
        let sql = "UPDATE runs SET settings = $2, control_strategy = $3, updated_at = $4 WHERE run_id = $1";
        let query = sqlx::query(sql).bind(id.as_str()).bind(to_json(settings)?);
        query.bind(settings.control_strategy.as_str()).bind(now()).execute(&self.pool).await?;
        Ok(())
    }

    /// Stores the understood question.
    pub async fn set_structured_query(&self, id: &RunId, query: &StructuredQuery) -> Result<()> {
        let sql = "UPDATE runs SET structured_query = $2, updated_at = $3 WHERE run_id = $1";
        sqlx::query(sql).bind(id.as_str()).bind(to_json(query)?).bind(now()).execute(&self.pool).await?;
        Ok(())
    }

    /// Stores what predicted cells are compared with, and whether cells to pair with were found.
    pub async fn set_effective_control(&self, id: &RunId, strategy: ControlStrategy, available: bool) -> Result<()> {
        let sql = "UPDATE runs SET control_strategy_effective = $2, control_cells_available = $3, updated_at = $4
                   WHERE run_id = $1";
        let query = sqlx::query(sql).bind(id.as_str()).bind(strategy.as_str()).bind(available).bind(now());
        query.execute(&self.pool).await?;
        Ok(())
    }

    /// Stores an iteration of a running run, in place of an earlier attempt at it. False when the run
    /// is not running any more.
    pub async fn record_iteration(&self, id: &RunId, iteration: &Iteration) -> Result<bool> {
        let mut tx = self.write().await?;
        let sql = "UPDATE runs SET current_iteration = $2, updated_at = $3 WHERE run_id = $1 AND lifecycle = $4";
        let going = sqlx::query(sql)
            .bind(id.as_str())
            .bind(i64::from(iteration.number))
            .bind(now())
            .bind(Lifecycle::Running.as_str())
            .execute(&mut *tx)
            .await?;
        if going.rows_affected() == 0 {
            return Ok(false);
        }
        let sql = "INSERT INTO iterations (run_id, number, record) VALUES ($1, $2, $3)
                   ON CONFLICT (run_id, number) DO UPDATE SET record = excluded.record";
        let query = sqlx::query(sql).bind(id.as_str()).bind(i64::from(iteration.number)).bind(to_json(iteration)?);
        query.execute(&mut *tx).await?;
        let data = json!({ "iteration": iteration.number, "score": iteration.grounding.score() });
        events::append(&mut tx, id, "run.iteration", &data).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// The iterations of a run, in order.
    pub async fn iterations(&self, id: &RunId) -> Result<Vec<Iteration>> {
        let sql = "SELECT record FROM iterations WHERE run_id = $1 ORDER BY number";
        let records: Vec<String> = sqlx::query_scalar(sql).bind(id.as_str()).fetch_all(&self.pool).await?;
        records.iter().map(|record| from_json(record, "iterations", "record")).collect()
    }

    /// Completes a running run with its result and outputs, all or nothing. False, and nothing
    /// stored, when it is not running any more.
    pub async fn finish_run(&self, id: &RunId, result: &RunResult, outputs: &[Artifact]) -> Result<bool> {
        let mut tx = self.write().await?;
        if !advance(&mut tx, id, Lifecycle::Completed).await? {
            return Ok(false);
        }
        sqlx::query(
            "UPDATE runs SET result = $2, best_iteration = $3, final_score = $4, termination_reason = $5
             WHERE run_id = $1",
        )
        .bind(id.as_str())
        .bind(to_json(result)?)
        .bind(i64::from(result.best_iteration))
        .bind(result.answer.score.map(i64::from))
        .bind(result.termination_reason.as_str())
        .execute(&mut *tx)
        .await?;
        sqlx::query("DELETE FROM artifacts WHERE run_id = $1").bind(id.as_str()).execute(&mut *tx).await?;
        let sql = "INSERT INTO artifacts (run_id, object_key, bytes, sha256, media_type) VALUES ($1, $2, $3, $4, $5)";
        for output in outputs {
            sqlx::query(sql)
                .bind(id.as_str())
                .bind(&output.key)
                .bind(i64::try_from(output.bytes).unwrap_or(i64::MAX))
                .bind(&output.sha256)
                .bind(&output.media_type)
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await?;
        Ok(true)
    }

    /// Fails a run. False, and nothing stored, when it is finished already.
    pub async fn fail_run(&self, id: &RunId, failure: &Failure) -> Result<bool> {
        let mut tx = self.write().await?;
        // A run that was never handed over was being scheduled when it failed.
        advance(&mut tx, id, Lifecycle::Scheduled).await?;
        if !advance(&mut tx, id, Lifecycle::Failed).await? {
            return Ok(false);
        }
        let sql = "UPDATE runs SET failure = $2 WHERE run_id = $1";
        sqlx::query(sql).bind(id.as_str()).bind(to_json(failure)?).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// The stored outputs of a run, by key.
    pub async fn artifacts(&self, id: &RunId) -> Result<Vec<Artifact>> {
        let sql = "SELECT object_key, bytes, sha256, media_type FROM artifacts WHERE run_id = $1 ORDER BY object_key";
        let rows = sqlx::query(sql).bind(id.as_str()).fetch_all(&self.pool).await?;
        rows.iter()
            .map(|row| {
                Ok(Artifact {
                    key: row.try_get("object_key")?,
                    bytes: row.try_get::<i64, _>("bytes")?.try_into().unwrap_or_default(),
                    sha256: row.try_get("sha256")?,
                    media_type: row.try_get("media_type")?,
                })
            })
            .collect()
    }
}

/// Moves a run to a state within a transaction; whether it moved.
async fn advance(tx: &mut Transaction<'static, Any>, id: &RunId, to: Lifecycle) -> Result<bool> {
    let keeps_status = |from: &Lifecycle| !from.status().is_finished() || from.status() == to.status();
    let from = words(to.predecessors().filter(keeps_status));
    let finished = to.status().is_finished();
    let reason = match to {
        Lifecycle::Canceled => Some(TerminationReason::Cancelled.as_str()),
        Lifecycle::Failed => Some(TerminationReason::Error.as_str()),
        _ => None,
    };
    let sql = format!(
        "UPDATE runs SET lifecycle = $2, updated_at = $3,
            started_at = CASE WHEN $4 THEN coalesce(started_at, $3) ELSE started_at END,
            finished_at = CASE WHEN $5 THEN coalesce(finished_at, $3) ELSE finished_at END,
            termination_reason = coalesce($6, termination_reason)
         WHERE run_id = $1 AND lifecycle IN ({from})"
    );
    let done = sqlx::query(AssertSqlSafe(sql))
        .bind(id.as_str())
        .bind(to.as_str())
        .bind(now())
        .bind(to == Lifecycle::Running)
        .bind(finished)
        .bind(reason)
        .execute(&mut **tx)
        .await?;
    let moved = done.rows_affected() == 1;
    if moved {
        events::append(tx, id, "run.lifecycle", &json!({ "lifecycle": to, "status": to.status() })).await?;
    }
    Ok(moved)
}

/// States as an SQL list. They are our own words, so none needs quoting.
fn words(states: impl Iterator<Item = Lifecycle>) -> String {
    let quoted: Vec<_> = states.map(|state| format!("'{}'", state.as_str())).collect();
    // No state at all matches nothing.
    if quoted.is_empty() { "''".to_owned() } else { quoted.join(", ") }
}

fn record(row: &AnyRow) -> Result<RunRecord> {
    let text = |column: &str| -> Result<String> { Ok(row.try_get(column)?) };
    let optional = |column: &str| -> Result<Option<String>> { Ok(row.try_get(column)?) };
    let number = |column: &str| -> Result<Option<u32>> {
        Ok(row.try_get::<Option<i64>, _>(column)?.and_then(|number| number.try_into().ok()))
    };
    let unknown = |column, error: &dyn std::fmt::Display| Error::stored("runs", column, error);
    let strategy = optional("control_strategy_effective")?.map(|word| word.parse()).transpose();
    Ok(RunRecord {
        id: text("run_id")?.parse().map_err(|error| unknown("run_id", &error))?,
        user_email: text("user_email")?,
        lifecycle: text("lifecycle")?.parse().map_err(|error| unknown("lifecycle", &error))?,
        phase: text("phase")?.parse().map_err(|error| unknown("phase", &error))?,
        current_iteration: number("current_iteration")?.unwrap_or_default(),
        cancel_requested: row.try_get::<i64, _>("cancel_requested")? == 1,
        question: text("raw_query")?,
        settings: from_json(&text("settings")?, "runs", "settings")?,
        structured_query: optional_json(optional("structured_query")?, "structured_query")?,
        control_strategy_effective: strategy.map_err(|error| unknown("control_strategy_effective", &error))?,
        control_cells_available: row.try_get::<Option<i64>, _>("control_cells_available")?.map(|found| found == 1),
        best_iteration: number("best_iteration")?,
        final_score: number("final_score")?,
        termination_reason: optional("termination_reason")?,
        result: optional_json(optional("result")?, "result")?,
        failure: optional_json(optional("failure")?, "failure")?,
        job: optional("job")?.map(JobHandle),
        created_at: text("created_at")?,
        updated_at: text("updated_at")?,
        started_at: optional("started_at")?,
        finished_at: optional("finished_at")?,
    })
}

fn optional_json<T: DeserializeOwned>(text: Option<String>, column: &'static str) -> Result<Option<T>> {
    text.map(|text| from_json(&text, "runs", column)).transpose()
}

fn to_json<T: Serialize>(value: &T) -> Result<String> {
    let value: Value = serde_json::to_value(value).map_err(|error| Error::stored("runs", "JSON", error))?;
    Ok(value.to_string())
}

fn from_json<T: DeserializeOwned>(text: &str, table: &'static str, column: &'static str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| Error::stored(table, column, error))
}
