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
    let id = args.run_id.or_else(|| config.invocation.run_id.clone());
    let id = id.ok_or_else(|| Error::usage("which run? give --run-id or set RUN_ID"))?;
    let id: RunId = id.parse().map_err(Error::usage)?;
    let ctx = open::context(config).await?;
    if ctx.database.run(&id).await?.is_none() {
        let error = Error::failed(format!("there is no run {id} in this database"));
        return Err(error.hint("check RUN_ID and DATABASE_URL; 'haystack run' and 'haystack serve' create runs"));
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
