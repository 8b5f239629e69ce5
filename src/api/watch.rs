//! Runs whose process ended without finishing them are failed, so that no run waits for ever.

use crate::database::Database;
use crate::domain::RunId;
use crate::domain::run::{Failure, FailureKind, JobHandle, Lifecycle};
use crate::executor::{Error, Executor};

/// Watches every run that was left in progress, as by an earlier server that was killed. One whose
/// process is gone is failed at once. Gives their number.
pub async fn watch_runs_in_progress(database: &Database, executor: &Executor) -> crate::database::Result<usize> {
    let runs = database.runs_in_progress().await?;
    let n_runs = runs.len();
    for (run, job) in runs {
        watch(database.clone(), executor.clone(), run, job);
    }
    Ok(n_runs)
}

/// Waits for a run's process in the background. When it ends and the run is not finished, the run is
/// failed with what is known of the end, or cancelled if that was asked for.
pub(super) fn watch(database: Database, executor: Executor, run: RunId, job: JobHandle) {
    tokio::spawn(async move {
        let outcome = executor.wait(&job).await;
        if let Err(error @ Error::Handle(_)) = &outcome {
            // Someone else's, who may know better.
            tracing::warn!(run.id = %run, %error, "run {run} cannot be watched");
            return;
        }
        if let Err(error) = settle(&database, &run, outcome).await {
            tracing::error!(run.id = %run, %error, "run {run} ended, and that could not be stored");
        }
    });
}

async fn settle(database: &Database, run: &RunId, outcome: crate::executor::Result<()>) -> crate::database::Result<()> {
    let Some(record) = database.run(run).await?.filter(|record| !record.lifecycle.status().is_finished()) else {
        return Ok(());
    };
    if record.cancel_requested {
        database.advance(run, Lifecycle::Canceled).await?;
        return Ok(());
    }
    let message = match outcome {
        Ok(()) => "the process of this run ended before the run did, and said that all was well".to_owned(),
        Err(Error::Gone(_)) => "the server that carried this run out was stopped before it was finished".to_owned(),
        Err(error) => format!("the process of this run ended before the run did: {error}"),
    };
    let hint = Some("ask again; if it happens again, the log of its job says more".to_owned());
    let failure = Failure { kind: FailureKind::InternalError, message, hint };
    if database.fail_run(run, &failure).await? {
        tracing::error!(run.id = %run, "run {run} failed: {failure}");
    }
    Ok(())
}
