//! Runs whose process ended without finishing them are failed, so that no run waits for ever.

use std::time::Duration;

use crate::database::Database;
use crate::domain::RunId;
use crate::domain::run::{Failure, FailureKind, JobHandle, Lifecycle};
use crate::executor::{Error, Executor, JobStatus};

/// How often the runs of other processes are looked at.
const LOOK: Duration = Duration::from_secs(5);

/// Ends every run whose process is gone without having finished it, as that of a server or a
/// `haystack run` that was killed. Gives the number of unfinished runs that are still worked on, here
/// or on another machine.
pub async fn settle_abandoned_runs(database: &Database, executor: &Executor) -> crate::database::Result<usize> {
    let mut at_work = 0;
    for (run, job) in database.runs_in_progress().await? {
        match executor.status(&job).await {
            Ok(JobStatus::Gone) => settle(database, &run, Err(Error::Gone(job.0))).await?,
            // Known to be at work; or ended a moment ago, and [`watch`] knows how; or on another machine.
            Ok(_) | Err(_) => at_work += 1,
        }
    }
    Ok(at_work)
}

/// Does so again and again in the background.
pub fn watch_abandoned_runs(database: Database, executor: Executor) {
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(LOOK).await;
            if let Err(error) = settle_abandoned_runs(&database, &executor).await {
                tracing::warn!(%error, "whether runs were abandoned cannot be seen at the moment");
            }
        }
    });
}

/// Waits in the background for the process of a run that was started here. When it ends and the run is
/// not finished, the run is failed with what is known of the end, or cancelled if that was asked for.
pub(super) fn watch(database: Database, executor: Executor, run: RunId, job: JobHandle) {
    tokio::spawn(async move {
        let outcome = executor.wait(&job).await;
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
        Err(Error::Gone(_)) => {
            "the process that carried this run out was stopped before the run was finished".to_owned()
        }
        Err(error) => format!("the process of this run ended before the run did: {error}"),
    };
    let hint = Some("ask again; if it happens again, the log of its job says more".to_owned());
    let failure = Failure { kind: FailureKind::InternalError, message, hint };
    if database.fail_run(run, &failure).await? {
        tracing::error!(run.id = %run, "run {run} failed: {failure}");
    }
    Ok(())
}
