//! What happened to a run, in order: `events`.
//!
//! Numbers go from 1 without gaps, however many processes write: each takes the next number from the
//! run's own row, which the database locks until the event is stored or given up.

use serde_json::Value;
use sqlx::{Any, Row, Transaction};

use super::{Database, Error, Result, now};
use crate::domain::RunId;

/// One thing that happened to a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// From 1 within the run.
    pub seq: u64,
    /// Such as `run.phase`.
    pub kind: String,
    /// ISO 8601, UTC.
    pub time: String,
    /// What it is about.
    pub data: Value,
}

impl Database {
    /// Appends an event; gives its number, or nothing when there is no such run.
    pub async fn append_event(&self, run: &RunId, kind: &str, data: &Value) -> Result<Option<u64>> {
        let mut tx = self.write().await?;
        let seq = append(&mut tx, run, kind, data).await?;
        tx.commit().await?;
        Ok(seq)
    }

    /// The events of a run with a number above `seq`, in order; 0 for all.
    pub async fn events_after(&self, run: &RunId, seq: u64) -> Result<Vec<Event>> {
        let sql = "SELECT seq, kind, time, data FROM events WHERE run_id = $1 AND seq > $2 ORDER BY seq";
        let after = i64::try_from(seq).unwrap_or(i64::MAX);
        let rows = sqlx::query(sql).bind(run.as_str()).bind(after).fetch_all(&self.pool).await?;
        rows.iter()
            .map(|row| {
                let data: String = row.try_get("data")?;
                let unreadable = |error: serde_json::Error| Error::stored("events", "data", error);
                Ok(Event {
                    seq: row.try_get::<i64, _>("seq")?.try_into().unwrap_or_default(),
                    kind: row.try_get("kind")?,
                    time: row.try_get("time")?,
                    data: serde_json::from_str(&data).map_err(unreadable)?,
                })
            })
            .collect()
    }
}

/// Appends an event within a transaction.
pub(super) async fn append(
    tx: &mut Transaction<'static, Any>,
    run: &RunId,
    kind: &str,
    data: &Value,
) -> Result<Option<u64>> {
    let next = "UPDATE runs SET last_event = last_event + 1 WHERE run_id = $1 RETURNING last_event";
    let seq: Option<i64> = sqlx::query_scalar(next).bind(run.as_str()).fetch_optional(&mut **tx).await?;
    let Some(seq) = seq else { return Ok(None) };
    sqlx::query("INSERT INTO events (run_id, seq, kind, time, data) VALUES ($1, $2, $3, $4, $5)")
        .bind(run.as_str())
        .bind(seq)
        .bind(kind)
        .bind(now())
        .bind(data.to_string())
        .execute(&mut **tx)
        .await?;
    Ok(seq.try_into().ok())
}
