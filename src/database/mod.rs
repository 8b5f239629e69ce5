//! WORLD: the database. SQLite in a file by default, PostgreSQL by URL.
//!
//! All SQL of the program is in this folder, one file per family of tables; domain types go in and
//! come out. One text serves both databases (see `migrations/README.md` for how the schema allows it).

mod bulk;
pub mod cells;
mod error;
pub mod events;
pub mod guard;
pub mod holdings;
mod knowledge;
mod ontology;
pub mod runs;
mod schema;

use std::sync::Arc;

use sqlx::any::AnyPoolOptions;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Any, AnyConnection, AnyPool, Connection, Transaction};

pub use error::{Error, Result};
pub use knowledge::{FactKind, FactSource, Facts, Stored};
pub use ontology::OntologyRecord;

/// Which database a [`Database`] talks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// A SQLite file.
    Sqlite,
    /// A PostgreSQL server.
    Postgres,
}

impl Dialect {
    fn of(url: &str) -> Result<Self> {
        match url.split_once("://") {
            Some(("sqlite", rest)) => {
                let (file, parameters) = rest.split_once('?').unwrap_or((rest, ""));
                let in_memory = file == ":memory:" || parameters.split('&').any(|one| one == "mode=memory");
                if in_memory { Err(Error::InMemory(shown_address(url))) } else { Ok(Self::Sqlite) }
            }
            Some(("postgres" | "postgresql", _)) => Ok(Self::Postgres),
            _ => Err(Error::Address(shown_address(url))),
        }
    }
}

/// A pool of connections.
#[derive(Clone, Debug)]
pub struct Database {
    pool: AnyPool,
    dialect: Dialect,
    place: Arc<str>,
}

/// How long a server has to answer the first connection.
const CONNECT_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);

impl Database {
    /// Opens the database at `url` (`sqlite://…` or `postgres://…`). A SQLite file is created when
    /// absent; its folder is not.
    pub async fn open(url: &str) -> Result<Self> {
        Self::open_as(url, "rwc").await
    }

    /// The same, but an absent SQLite file is an error.
    pub async fn open_existing(url: &str) -> Result<Self> {
        let place = || shown_address(url);
        if Dialect::of(url)? == Dialect::Sqlite {
            // As the driver reads it: in an address, a name may be written with percent signs.
            let options: SqliteConnectOptions = url.parse().map_err(|source| Error::Open { place: place(), source })?;
            if !options.get_filename().exists() {
                return Err(Error::Absent { place: place() });
            }
        }
        Self::open_as(url, "rw").await
    }

    async fn open_as(url: &str, sqlite_mode: &str) -> Result<Self> {
        sqlx::any::install_default_drivers();
        let dialect = Dialect::of(url)?;
        let address = match dialect {
            Dialect::Sqlite if !url.contains('?') => format!("{url}?mode={sqlite_mode}"),
            _ => url.to_owned(),
        };
        let failed = |source| Error::Open { place: shown_address(url), source };
        // One connection first: the pool would keep trying and then only say that it took too long.
        let first = async {
            let mut first = AnyConnection::connect(&address).await?;
            prepare(&mut first, dialect).await?;
            first.close().await
        };
        let first = tokio::time::timeout(CONNECT_TIMEOUT, first).await;
        first.unwrap_or(Err(sqlx::Error::PoolTimedOut)).map_err(failed)?;
        let pool = AnyPoolOptions::new()
            .max_connections(5)
            .acquire_timeout(std::time::Duration::from_secs(30))
            .after_connect(move |connection, _| Box::pin(prepare(connection, dialect)))
            .connect(&address)
            .await
            .map_err(failed)?;
        Ok(Self { pool, dialect, place: shown_address(url).into() })
    }

    /// Closes every connection, waiting for those in use.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// The address, without password.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Which database this is.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// A transaction that may write. SQLite takes its write lock here, so two writers queue at the
    /// start instead of failing in the middle.
    async fn write(&self) -> Result<Transaction<'static, Any>> {
        Ok(match self.dialect {
            Dialect::Sqlite => self.pool.begin_with("BEGIN IMMEDIATE").await?,
            Dialect::Postgres => self.pool.begin().await?,
        })
    }
}

/// What each connection is told first.
async fn prepare(connection: &mut AnyConnection, dialect: Dialect) -> sqlx::Result<()> {
    if dialect == Dialect::Sqlite {
        let pragmas = "PRAGMA busy_timeout = 30000; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; \
                       PRAGMA foreign_keys = ON";
        sqlx::raw_sql(pragmas).execute(connection).await?;
    }
    Ok(())
}

/// A database address as it may be shown: without password and without parameters, which can hold one.
pub fn shown_address(url: &str) -> String {
    if url.starts_with("sqlite:") {
        return url.to_owned();
    }
    let Ok(mut shown) = url::Url::parse(url) else {
        let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
        return format!("{scheme}: (not a valid address)");
    };
    shown.set_query(None);
    if shown.password().is_some() && shown.set_password(Some("***")).is_err() {
        return format!("{}: (hidden)", shown.scheme());
    }
    shown.into()
}

/// The present moment as stored: ISO 8601, UTC, microseconds.
pub(crate) fn now() -> String {
    chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Micros, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_shown_without_secrets() {
        let cases = [
            ("postgres://me@db/x", "postgres://me@db/x"),
            ("postgres://me:hunter2@db:5/x?sslmode=require&password=hunter2", "postgres://me:***@db:5/x"),
            ("postgres://me:hunter2@[db/x", "postgres: (not a valid address)"),
            ("sqlite:///a b/x.db", "sqlite:///a b/x.db"),
        ];
        for (url, shown) in cases {
            assert_eq!(shown_address(url), shown);
        }
    }
}
