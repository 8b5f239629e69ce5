//! The schema: applying its steps, and refusing to work on another one.

use std::time::{Duration, Instant};

use sqlx::SqlSafeStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

use super::guard::ImportGuard;
use super::{Database, Dialect, Error, Result};

/// How long another process may take to update the schema before we give up.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// How often we look whether it is done.
const LOOK: Duration = Duration::from_millis(100);

/// Every step as (number, name, SQLite, PostgreSQL).
const STEPS: [(i64, &str, &str, &str); 3] = [
    (
        1,
        "initial",
        include_str!("../../migrations/sqlite/0001_initial.sql"),
        include_str!("../../migrations/postgres/0001_initial.sql"),
    ),
    (
        2,
        "releases_and_interactions",
        include_str!("../../migrations/sqlite/0002_releases_and_interactions.sql"),
        include_str!("../../migrations/postgres/0002_releases_and_interactions.sql"),
    ),
    (
        3,
        "row_files",
        include_str!("../../migrations/sqlite/0003_row_files.sql"),
        include_str!("../../migrations/postgres/0003_row_files.sql"),
    ),
];

impl Database {
    /// Applies the steps that are missing; returns how many. Of two processes that do this at the same
    /// time, the second waits and finds nothing to do.
    pub async fn migrate(&self) -> Result<usize> {
        let guard = self.turn().await?;
        let applied = self.apply().await;
        guard.release().await?;
        applied
    }

    async fn turn(&self) -> Result<ImportGuard> {
        let begin = Instant::now();
        loop {
            match self.import_guard("schema update").await {
                Err(Error::Busy { .. }) if begin.elapsed() < LONGEST_WAIT => tokio::time::sleep(LOOK).await,
                other => return other,
            }
        }
    }

    async fn apply(&self) -> Result<usize> {
        let before = self.applied().await?;
        if let Some(&newer) = before.iter().max().filter(|&&step| step > newest()) {
            return Err(self.too_new(newer));
        }
        let steps = STEPS.map(|(number, name, sqlite, postgres)| {
            let sql = match self.dialect {
                Dialect::Sqlite => sqlite,
                Dialect::Postgres => postgres,
            };
            Migration::new(number, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
        });
        let migrator = Migrator::with_migrations(steps.into());
        migrator.run(&self.pool).await.map_err(|error| Error::Schema(format!("cannot update the schema: {error}")))?;
        Ok(STEPS.len() - before.len())
    }

    /// Fails unless the schema is the one this program was built for.
    pub async fn check_schema(&self) -> Result<()> {
        let version = self.schema_version().await?;
        match version.cmp(&newest()) {
            std::cmp::Ordering::Equal => Ok(()),
            std::cmp::Ordering::Greater => Err(self.too_new(version)),
            std::cmp::Ordering::Less if version == 0 => {
                Err(Error::Schema(format!("the database {} is empty; run 'haystack migrate' first", self.place())))
            }
            std::cmp::Ordering::Less => Err(Error::Schema(format!(
                "the database {} has schema version {version}, this program needs {}; run 'haystack migrate' first",
                self.place(),
                newest()
            ))),
        }
    }

    fn too_new(&self, version: i64) -> Error {
        Error::Schema(format!(
            "the database {} has schema version {version}, newer than this program's {}; use a newer haystack",
            self.place(),
            newest()
        ))
    }

    /// Number of the last step that was applied with all before it, or of a newer one than we know; 0 for an
    /// empty database.
    pub async fn schema_version(&self) -> Result<i64> {
        let applied = self.applied().await?;
        if let Some(&newer) = applied.iter().max().filter(|&&step| step > newest()) {
            return Ok(newer);
        }
        let whole = STEPS.iter().map(|step| step.0).take_while(|step| applied.contains(step));
        Ok(whole.last().unwrap_or(0))
    }

    /// Numbers of the steps that were applied.
    async fn applied(&self) -> Result<Vec<i64>> {
        let known = match self.dialect {
            Dialect::Sqlite => "SELECT count(*) FROM sqlite_master WHERE name = '_sqlx_migrations'",
            Dialect::Postgres => "SELECT count(*) FROM pg_tables WHERE tablename = '_sqlx_migrations'",
        };
        let known: i64 = sqlx::query_scalar(known).fetch_one(&self.pool).await?;
        if known == 0 {
            return Ok(Vec::new());
        }
        let applied = "SELECT version FROM _sqlx_migrations WHERE success";
        Ok(sqlx::query_scalar(applied).fetch_all(&self.pool).await?)
    }
}

fn newest() -> i64 {
    STEPS[STEPS.len() - 1].0
}
