//! Knowledge for a process that outlives imports: read again once what is stored has changed.

use std::sync::Arc;

use tokio::sync::Mutex;

use super::{Knowledge, Result};
use crate::database::{Database, FactSource, OntologyRecord};

/// Hands out the knowledge as it is stored now. Asking whether it changed takes two small queries.
pub struct Latest {
    database: Database,
    held: Mutex<Option<(Sources, Arc<Knowledge>)>>,
}

/// What was imported, with fingerprints: another one means other knowledge.
type Sources = (Vec<OntologyRecord>, Vec<FactSource>);

impl Latest {
    /// Knowledge of this database. Nothing is read before it is first asked for.
    pub fn new(database: Database) -> Self {
        Self { database, held: Mutex::default() }
    }

    /// The knowledge as it is stored now.
    pub async fn get(&self) -> Result<Arc<Knowledge>> {
        let mut held = self.held.lock().await;
        // Asked before the knowledge is read: an import in between shows the next time.
        let sources = (self.database.ontologies().await?, self.database.fact_sources().await?);
        if let Some((of, knowledge)) = &*held
            && *of == sources
        {
            return Ok(knowledge.clone());
        }
        let knowledge = Arc::new(Knowledge::load(&self.database).await?);
        *held = Some((sources, knowledge.clone()));
        Ok(knowledge)
    }
}
