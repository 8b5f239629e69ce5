//! Runs whose process on this machine ended without finishing them are failed. Those of another machine are
//! left to the server there; here it cannot be seen whether they are at work.

use std::collections::HashSet;
use std::time::Duration;

use crate::database::Database;
use crate::domain::RunId;
use crate::domain::run::{Failure, FailureKind, JobHandle, Lifecycle};
use crate::executor::{Error, Executor, JobStatus};

/// How often the runs of other processes are looked at.
const LOOK: Duration = Duration::from_secs(5);

/// The unfinished runs that are not settled here.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Unfinished {
    /// At work on this machine.
    pub here: Vec<RunId>,
    /// Of another machine, at work or not.
    pub elsewhere: Vec<RunId>,
}

/// Ends every run whose process on this machine is gone without having finished it, as that of a server or
/// a `haystack run` that was killed. Gives the others.
pub async fn settle_abandoned_runs(database: &Database, executor: &Executor) -> crate::database::Result<Unfinished> {
    let mut unfinished = Unfinished::default();
    for (run, job) in database.runs_in_progress().await? {
        match executor.status(&job).await {
            Ok(JobStatus::Gone) => settle(database, &run, Err(Error::Gone(job.0))).await?,
            // Known to be at work; or ended a moment ago, and [`watch`] knows how.
            Ok(_) => unfinished.here.push(run),
            Err(_) => unfinished.elsewhere.push(run),
        }
    }
    Ok(unfinished)
}

/// Does so again and again in the background. Says once of each run of another machine that it is left to that.
pub fn watch_abandoned_runs(database: Database, executor: Executor) {
    tokio::spawn(async move {
        let mut told = HashSet::new();
        loop {
            tokio::time::sleep(LOOK).await;
            match settle_abandoned_runs(&database, &executor).await {
                Ok(unfinished) => {
                    // Those that are finished by now need not be remembered.
                    told.retain(|run| unfinished.elsewhere.contains(run));
                    for run in unfinished.elsewhere {
                        if told.insert(run.clone()) {
                            tracing::info!(run.id = %run, "run {run} is in the hands of another machine and left to it");
                        }
                    }
                }
                Err(error) => tracing::warn!(%error, "whether runs were abandoned cannot be seen at the moment"),
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
