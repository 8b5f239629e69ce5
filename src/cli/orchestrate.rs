//! `haystack orchestrate --run-id ID`: carries out one stored run, as `serve` starts it.

use super::{Error, Result, open};
use crate::config::Config;
use crate::domain::RunId;
use crate::orchestrate::{self, Ended};

/// Which run.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Id of the run; RUN_ID when left out
    #[arg(long, value_name = "ID")]
    run_id: Option<String>,
}

/// Carries out the run. Succeeds when it completed or was cancelled.
pub async fn run(args: Args, config: Config) -> Result {
    // The environment describes one job as a whole, so it may also choose the job's control.
    let control = config.invocation.control_strategy.filter(|_| args.run_id.is_none());
    let id = args.run_id.or_else(|| config.invocation.run_id.clone());
    let id = id.ok_or_else(|| Error::usage("which run? give --run-id or set RUN_ID"))?;
    let id: RunId = id.parse().map_err(Error::usage)?;
    let ctx = open::context(config).await?;
    let Some(mut run) = ctx.database.run(&id).await? else {
        let error = Error::failed(format!("there is no run {id} in the database {}", ctx.database.place()));
        return Err(error.hint("check RUN_ID and DATABASE_URL; 'haystack run' and 'haystack serve' create runs"));
    };
    if let Some(control) = control.filter(|control| *control != run.settings.control_strategy) {
        run.settings.control_strategy = control;
        ctx.database.set_settings(&id, &run.settings).await?;
    }
    match orchestrate::run(&ctx, &id).await? {
        Ended::Completed(_) | Ended::Cancelled => Ok(()),
        Ended::Failed(failure) => {
            let hint = failure.hint.clone();
            let error = Error::failed(failure);
            Err(hint.into_iter().fold(error, Error::hint))
        }
    }
}
