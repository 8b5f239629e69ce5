//! One at a time: a lock on an import (or on the schema) across processes and machines.
//!
//! The system gives it back when its holder ends, however that happens: for PostgreSQL it is an
//! advisory lock of a connection, for SQLite a lock on a file beside the database. Nothing is left
//! to clean up after a crash.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use sqlx::{AnyConnection, Connection};

use super::{Database, Dialect, Error, Result, now};

/// Held while the import runs; dropping it lets the next one in.
#[derive(Debug)]
pub struct ImportGuard(Lock);

#[derive(Debug)]
enum Lock {
    /// The connection holds it.
    Postgres(AnyConnection),
    /// The open file holds it.
    Sqlite { path: PathBuf, _file: File },
}

impl Database {
    /// Takes the lock of this name, such as `import of atlas kang`, or says since when another holds it.
    pub async fn import_guard(&self, what: &str) -> Result<ImportGuard> {
        let lock = match self.dialect {
            Dialect::Postgres => self.lock_in_database(what).await?,
            Dialect::Sqlite => {
                let sql = "SELECT file FROM pragma_database_list WHERE name = 'main'";
                let file: String = sqlx::query_scalar(sql).fetch_one(&self.pool).await?;
                lock_beside(Path::new(&file), what)?
            }
        };
        Ok(ImportGuard(lock))
    }

    async fn lock_in_database(&self, what: &str) -> Result<Lock> {
        let mut connection = self.pool.acquire().await?.detach();
        let sql = "SELECT pg_try_advisory_lock(hashtextextended($1, 0))";
        let taken: bool = sqlx::query_scalar(sql).bind(what).fetch_one(&mut connection).await?;
        if taken {
            return Ok(Lock::Postgres(connection));
        }
        let sql = "SELECT to_char(a.backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')
                   FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
                   WHERE l.locktype = 'advisory' AND l.granted
                     AND (l.classid::bigint << 32 | l.objid::bigint) = hashtextextended($1, 0)";
        let since: Option<String> = sqlx::query_scalar(sql).bind(what).fetch_optional(&mut connection).await?;
        connection.close().await?;
        Err(Error::Busy { what: what.to_owned(), since: since.unwrap_or_else(|| "a moment ago".to_owned()) })
    }
}

impl ImportGuard {
    /// Gives the lock back and waits until it is. Dropping the guard gives it back too, a moment later.
    pub async fn release(self) -> Result<()> {
        match self.0 {
            Lock::Postgres(connection) => Ok(connection.close().await?),
            Lock::Sqlite { path, _file } => {
                // Still locked here, so nobody else can be using it.
                let _ = std::fs::remove_file(path);
                Ok(())
            }
        }
    }
}

fn lock_beside(database: &Path, what: &str) -> Result<Lock> {
    let name = what.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    let mut path = database.as_os_str().to_owned();
    path.push(format!(".{name}.lock"));
    let path = PathBuf::from(path);
    let failed = |source| Error::Lock { path: path.clone(), source };
    loop {
        let mut file =
            File::options().read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut since = String::new();
                let read = file.read_to_string(&mut since);
                let since = if read.is_ok() && !since.is_empty() { since } else { "a moment ago".to_owned() };
                return Err(Error::Busy { what: what.to_owned(), since });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        // The holder before us may have removed the file after we opened it; then the lock is on
        // nothing that anyone else would find.
        let held = file.metadata().map_err(failed)?;
        if std::fs::metadata(&path).is_ok_and(|found| (found.dev(), found.ino()) == (held.dev(), held.ino())) {
            file.set_len(0)
                .and_then(|()| file.rewind())
                .and_then(|()| file.write_all(now().as_bytes()))
                .map_err(failed)?;
            return Ok(Lock::Sqlite { path, _file: file });
        }
    }
}
