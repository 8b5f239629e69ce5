//! Opening the parts a mode is built from.

use super::{Error, Result};
use crate::atlas::Atlas;
use crate::config::{self, Config};
use crate::database::Database;
use crate::domain::run::Predictor;
use crate::executor::Executor;
use crate::knowledge::Knowledge;
use crate::objects::{ObjectKey, Objects};
use crate::orchestrate::Context;

/// The database, whatever its schema; made if it is not there yet, as is the home folder for a SQLite
/// file in it.
pub async fn new_database(config: &Config) -> Result<Database> {
    if let config::Database::Sqlite { .. } = config.database {
        std::fs::create_dir_all(&config.home).map_err(|error| {
            Error::usage(format!("cannot make the home folder {}: {error}", config.home.display()))
                .hint("set HAYSTACK_HOME to a folder you may write to")
        })?;
    }
    Ok(Database::open(config.database.url()).await?)
}

/// The database, with the schema this program was built for.
pub async fn database(config: &Config) -> Result<Database> {
    let database = Database::open_existing(config.database.url()).await?;
    database.check_schema().await?;
    Ok(database)
}

/// The object store.
pub fn objects(config: &Config) -> Result<Objects> {
    Ok(Objects::open(&config.objects)?)
}

/// Everything a run needs, with what is known read into memory.
pub async fn context(config: Config) -> Result<Context> {
    let database = database(&config).await?;
    let objects = objects(&config)?;
    let executor = Executor::local(&config)?;
    let knowledge = Knowledge::load(&database).await?;
    let atlas = Atlas::new(database.clone()).with_objects(objects.clone());
    Ok(Context { config, database, objects, executor, knowledge, atlas })
}

/// Fails when the predictor is a model that is not imported.
pub async fn check_predictor(objects: &Objects, predictor: &Predictor) -> Result<()> {
    let Predictor::Stack { model } = predictor else { return Ok(()) };
    if objects.exists(&ObjectKey::Model { name: model.clone(), file: "model.json".into() }).await? {
        return Ok(());
    }
    let models = objects.models().await?;
    let held =
        if models.is_empty() { "none is imported".to_owned() } else { format!("held are {}", models.join(", ")) };
    let error = Error::usage(format!("there is no model '{model}'; {held}"));
    Err(error.hint("import one with 'haystack import model CHECKPOINT --genes FILE --name NAME'"))
}
