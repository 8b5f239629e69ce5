//! Why a database call failed.

/// Why a database call failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is not one we can use.
    #[error("'{0}' is not a database address; use sqlite:///path/to/haystack.db or postgres://user@host/name")]
    Address(String),
    /// The address names no file.
    #[error("{0} is a database in memory, which no other connection could see; use sqlite:///path/to/haystack.db")]
    InMemory(String),
    /// The server or file could not be opened.
    #[error("cannot open the database at {place}")]
    Open {
        /// Address without password.
        place: String,
        /// What the driver said.
        source: sqlx::Error,
    },
    /// There is no such file.
    #[error("there is no database at {place}; run 'haystack migrate' first")]
    Absent {
        /// Its address.
        place: String,
    },
    /// The schema is older or newer than this program.
    #[error("{0}")]
    Schema(String),
    /// Someone else is at it.
    #[error("another {what} is running since {since}; wait for it to end, then try again")]
    Busy {
        /// Such as `import of atlas kang`.
        what: String,
        /// ISO 8601, UTC.
        since: String,
    },
    /// The file that keeps others out cannot be made.
    #[error("cannot lock {}", path.display())]
    Lock {
        /// Beside the database.
        path: std::path::PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A query failed.
    #[error("database query failed")]
    Query(#[from] sqlx::Error),
    /// A stored value is not one of ours.
    #[error("table {table} holds a {column} this program cannot read: {why}")]
    Stored {
        /// Table.
        table: &'static str,
        /// Column.
        column: &'static str,
        /// What is wrong with it.
        why: String,
    },
}

/// Result of a database call.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(super) fn stored(table: &'static str, column: &'static str, why: impl std::fmt::Display) -> Self {
        Self::Stored { table, column, why: why.to_string() }
    }

    /// Whether the same call may succeed later: the server was away, the database was busy or the
    /// disk was full.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Open { source, .. } | Self::Query(source) => may_pass(source),
            Self::Busy { .. } => true,
            Self::Address(_)
            | Self::InMemory(_)
            | Self::Absent { .. }
            | Self::Schema(_)
            | Self::Stored { .. }
            | Self::Lock { .. } => false,
        }
    }
}

fn may_pass(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(error) => match error.code().as_deref() {
            // SQLite: busy, locked, disk full, each possibly with a detail in the higher bits.
            Some(code) if code.len() < 5 => code.parse().is_ok_and(|code: i64| [5, 6, 13].contains(&(code & 0xff))),
            // PostgreSQL: connection lost, rolled back for a conflict, short of resources, shutting down.
            Some(code) => ["08", "40", "53", "57"].iter().any(|class| code.starts_with(class)),
            None => false,
        },
        _ => false,
    }
}
