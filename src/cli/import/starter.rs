//! `haystack import starter`: the starter knowledge and the simulated atlas.

use std::sync::Arc;

use super::atlas;
use super::closing::{self, Bar};
use crate::atlas::counts::Proof;
use crate::atlas::import::Request;
use crate::atlas::simulate::{self, Design, Sizes};
use crate::cli::blocking::blocking;
use crate::cli::{Error, Result, open};
use crate::config::Config;
use crate::knowledge::{Knowledge, starter};

/// Arguments of `haystack import starter`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The cells are simulated from the starter's own tables and say so wherever they appear. Running it \
                        again changes nothing; releases of ontologies that were imported stay."
)]
pub struct Args {
    /// Seed of the simulated cells
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    seed: u64,

    /// Print what was imported as JSON lines
    #[arg(long)]
    json: bool,
}

/// Runs the mode.
pub async fn run(args: Args, config: Config) -> Result {
    let database = open::database(&config).await?;
    let bar = Bar::new("Starter knowledge");
    let imported = starter::import(&database, &|n, of| bar.set(n, of)).await?;
    drop(bar);
    for imported in &imported {
        closing::show(imported, args.json)?;
    }

    let folder = config.home.join("atlases");
    let file = blocking(move || {
        let design = Design::starter(Sizes::default())?;
        let file = folder.join(simulate::file_name(&design, args.seed));
        // Written whole or not at all, under a name that says what is in it.
        if !file.exists() {
            std::fs::create_dir_all(&folder)
                .map_err(|error| Error::failed(format!("cannot make the folder {}: {error}", folder.display())))?;
            eprintln!("Simulating cells");
            simulate::write(&file, &design, args.seed)?;
        }
        Ok(file)
    })
    .await?;
    let knowledge = Arc::new(Knowledge::load(&database).await?);
    let request = Request {
        file,
        dataset: simulate::DATASET.to_owned(),
        profile: None,
        mapping: None,
        counts_in: None,
        proof: Proof::All,
        objects: atlas::store_of_rows(&database, &config, simulate::DATASET, false).await?,
        rows: false,
        replace: true,
        dry_run: false,
    };
    let imported = atlas::with_progress(&database, knowledge, request).await?;
    database.close().await;
    eprint!("{}", atlas::table(&imported));
    if args.json {
        println!("{}", serde_json::to_string(&imported).map_err(Error::bug)?);
    }
    Ok(())
}

impl From<simulate::Error> for Error {
    fn from(error: simulate::Error) -> Self {
        match error {
            simulate::Error::Write(error) => Self::failed(error),
            error => Self::bug(error),
        }
    }
}
