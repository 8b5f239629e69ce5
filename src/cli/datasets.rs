//! `haystack datasets`: what is held, and giving it another name or away.

use clap::Subcommand;

use super::{Error, Result, open};
use crate::atlas::import::{check_name, discard_rows};
use crate::config::Config;
use crate::database::cells::Renamed;

/// What to do with the data sets.
#[derive(Debug, Subcommand)]
pub enum What {
    /// List the data sets with their size, profile and place
    List {
        /// Print one JSON object per data set
        #[arg(long)]
        json: bool,
    },
    /// Give a data set another name
    Rename {
        /// Its name now
        from: String,
        /// The name it gets
        to: String,
    },
    /// Remove a data set from the index, and its row file; the imported file stays
    Delete {
        /// Its name
        name: String,
    },
}

/// Runs the mode.
pub async fn run(what: What, config: Config) -> Result {
    let database = open::database(&config).await?;
    match what {
        What::List { json } => {
            for dataset in database.datasets().await? {
                if json {
                    println!("{}", serde_json::to_string(&dataset).map_err(Error::bug)?);
                } else {
                    let simulated = if dataset.simulated { "\tSIMULATED" } else { "" };
                    println!(
                        "{}\t{} cells\t{} sets\t{}\t{}{simulated}",
                        dataset.name, dataset.n_cells, dataset.summary.n_sets, dataset.profile, dataset.location
                    );
                }
            }
        }
        What::Rename { from, to } => {
            check_name(&to)?;
            // What an import resolves and replaces must not change under it.
            let guard = database.import_guard("import").await?;
            let renamed = database.rename_dataset(&from, &to).await?;
            guard.release().await?;
            match renamed {
                Renamed::Done => eprintln!("Data set {from} is now {to}"),
                Renamed::NotFound => return Err(absent(&database, &from).await?),
                Renamed::NameTaken => {
                    let error = Error::failed(format!("there is a data set '{to}' already"));
                    return Err(error.hint(format!("choose another name, or 'haystack datasets delete {to}' first")));
                }
            }
        }
        What::Delete { name } => {
            let guard = database.import_guard("import").await?;
            let rows = database.dataset(&name).await?.and_then(|dataset| dataset.rows_in);
            let objects = rows.as_ref().map(|_| open::objects(&config)).transpose()?;
            let deleted = database.delete_dataset(&name).await?;
            let discarded = match &objects {
                Some(objects) => discard_rows(&database, objects, rows.clone()).await,
                None => Ok(()),
            };
            guard.release().await?;
            if !deleted {
                return Err(absent(&database, &name).await?);
            }
            eprintln!("Data set {name} is removed; its file stays where it is");
            if let (Some(key), Err(error)) = (rows, discarded) {
                return Err(Error::from(error).hint(format!("the row file {key} is of no use any more; delete it")));
            }
        }
    }
    database.close().await;
    Ok(())
}

async fn absent(database: &crate::database::Database, name: &str) -> Result<Error> {
    let names: Vec<String> = database.datasets().await?.into_iter().map(|dataset| dataset.name).collect();
    let held = if names.is_empty() { "none is held".to_owned() } else { format!("held are {}", names.join(", ")) };
    Ok(Error::failed(format!("there is no data set '{name}'; {held}")))
}
