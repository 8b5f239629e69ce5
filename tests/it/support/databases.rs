//! A fresh database of each kind for each test.

use std::ops::Deref;
use std::sync::atomic::{AtomicU32, Ordering};

use haystack::database::Database;
use sqlx::Connection;
use tempfile::TempDir;
use tokio::sync::OnceCell;

use super::postgres;

/// An open database that no other test uses. Derefs to [`Database`].
pub struct TestDatabase {
    /// `SQLite` or `PostgreSQL`, for messages.
    pub kind: &'static str,
    /// Its address.
    pub url: String,
    database: Database,
    _folder: Option<TempDir>,
}

impl Deref for TestDatabase {
    type Target = Database;

    fn deref(&self) -> &Database {
        &self.database
    }
}

/// A migrated SQLite database and, where a server can be started, a migrated PostgreSQL database.
pub async fn databases() -> Vec<TestDatabase> {
    let mut databases = vec![sqlite().await];
    databases[0].migrate().await.unwrap();
    if let Some(server) = postgres::server() {
        let template = TEMPLATE.get_or_init(|| template(server)).await;
        databases.push(postgresql(server, &format!("TEMPLATE {template}")).await);
    }
    databases
}

/// The same before any migration.
pub async fn empty_databases() -> Vec<TestDatabase> {
    let mut databases = vec![sqlite().await];
    if let Some(server) = postgres::server() {
        databases.push(postgresql(server, "").await);
    }
    databases
}

async fn sqlite() -> TestDatabase {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/haystack.db", folder.path().display());
    let database = Database::open(&url).await.unwrap();
    TestDatabase { kind: "SQLite", url, database, _folder: Some(folder) }
}

/// Name of the migrated database that the others are copied from.
static TEMPLATE: OnceCell<&'static str> = OnceCell::const_new();

async fn template(server: &str) -> &'static str {
    let name = "haystack_template";
    create(server, name, "").await;
    let database = Database::open(&format!("{server}/{name}")).await.unwrap();
    database.migrate().await.unwrap();
    // A database with an open connection cannot be copied.
    database.close().await;
    name
}

async fn postgresql(server: &str, options: &str) -> TestDatabase {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = format!("test_{}", COUNT.fetch_add(1, Ordering::Relaxed));
    create(server, &name, options).await;
    let url = format!("{server}/{name}");
    let database = Database::open(&url).await.unwrap();
    TestDatabase { kind: "PostgreSQL", url, database, _folder: None }
}

async fn create(server: &str, name: &str, options: &str) {
    let mut connection = sqlx::PgConnection::connect(&format!("{server}/postgres")).await.unwrap();
    let statement = format!("CREATE DATABASE {name} {options}");
    sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}
