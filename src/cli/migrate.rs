//! `haystack migrate`: creates or updates the schema.

use super::{Result, open};
use crate::config::Config;

/// Nothing to choose.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Applies the missing steps and says how many there were.
pub async fn run(_: Args, config: Config) -> Result {
    let database = open::new_database(&config).await?;
    let applied = database.migrate().await?;
    let version = database.schema_version().await?;
    database.close().await;
    match applied {
        0 => eprintln!("The schema is up to date (version {version})"),
        1 => eprintln!("The schema is now at version {version} (1 step applied)"),
        n => eprintln!("The schema is now at version {version} ({n} steps applied)"),
    }
    Ok(())
}
