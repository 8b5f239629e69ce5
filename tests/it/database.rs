//! The schema, on SQLite and on PostgreSQL.

use std::collections::BTreeSet;
use std::path::Path;

use haystack::database::{Database, Error};
use haystack::domain::run::JobHandle;
use sqlx::Row;

use crate::support::{config, databases, empty_databases, small_disk};

#[test]
fn both_databases_have_the_same_steps() {
    let steps = |dialect: &str| -> BTreeSet<String> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(dialect);
        let entries = std::fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    assert_eq!(steps("sqlite"), steps("postgres"));
    assert!(!steps("sqlite").is_empty());
}

#[tokio::test]
async fn both_databases_have_the_same_tables_and_columns() {
    let databases = databases().await;
    let mut seen = Vec::new();
    for database in &databases {
        let sql = match database.kind {
            "SQLite" => {
                "SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c
                 WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%'"
            }
            _ => {
                "SELECT table_name::text, column_name::text FROM information_schema.columns
                 WHERE table_schema = 'public'"
            }
        };
        sqlx::any::install_default_drivers();
        let pool = sqlx::AnyPool::connect(&database.url).await.unwrap();
        let rows = sqlx::query(sql).fetch_all(&pool).await.unwrap();
        let columns: BTreeSet<(String, String)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        assert!(columns.contains(&("runs".to_owned(), "lifecycle".to_owned())), "{}: {columns:?}", database.kind);
        seen.push(columns);
    }
    for other in &seen[1..] {
        assert_eq!(&seen[0], other);
    }
}

#[tokio::test]
async fn migrating_twice_changes_nothing() {
    for database in empty_databases().await {
        assert_eq!(database.schema_version().await.unwrap(), 0, "{}", database.kind);
        let refusal = database.check_schema().await.unwrap_err().to_string();
        assert!(refusal.contains("haystack migrate"), "{refusal}");
        assert!(database.migrate().await.unwrap() > 0);
        assert_eq!(database.migrate().await.unwrap(), 0);
        database.check_schema().await.unwrap();
    }
}

#[tokio::test]
async fn an_older_database_is_brought_up_to_date_with_what_it_holds() {
    for database in empty_databases().await {
        let dialect = if database.kind == "SQLite" { "sqlite" } else { "postgres" };
        let migrations = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(dialect);
        let first = tempfile::tempdir().unwrap();
        std::fs::copy(migrations.join("0001_initial.sql"), first.path().join("0001_initial.sql")).unwrap();
        sqlx::any::install_default_drivers();
        let pool = sqlx::AnyPool::connect(&database.url).await.unwrap();
        sqlx::migrate::Migrator::new(first.path()).await.unwrap().run(&pool).await.unwrap();
        let release = "INSERT INTO ontologies (prefix, version, source, fingerprint, imported_at)
                       VALUES ('CL', '2020-01-01', 'cl.obo', 'f', '2020-02-02T00:00:00Z')";
        sqlx::query(release).execute(&pool).await.unwrap();
        pool.close().await;

        let refusal = database.check_schema().await.unwrap_err().to_string();
        assert!(refusal.contains("schema version 1") && refusal.contains("haystack migrate"), "{refusal}");
        assert!(database.migrate().await.unwrap() > 0, "{}", database.kind);
        database.check_schema().await.unwrap();
        let held = database.ontology_releases().await.unwrap();
        assert_eq!(held, database.ontologies().await.unwrap(), "{}", database.kind);
        assert_eq!((held.len(), held[0].version.as_str()), (1, "2020-01-01"));
    }
}

/// As where a table of steps was put together from two copies.
#[tokio::test]
async fn a_step_that_is_missing_between_others_is_noticed() {
    for database in databases().await {
        sqlx::any::install_default_drivers();
        let pool = sqlx::AnyPool::connect(&database.url).await.unwrap();
        sqlx::query("DELETE FROM _sqlx_migrations WHERE version = 2").execute(&pool).await.unwrap();
        pool.close().await;
        assert_eq!(database.schema_version().await.unwrap(), 1, "{}", database.kind);
        let refusal = database.check_schema().await.unwrap_err().to_string();
        assert!(refusal.contains("schema version 1") && refusal.contains("haystack migrate"), "{refusal}");
    }
}

#[tokio::test]
async fn a_home_folder_may_have_any_name() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("50 % of what? #1 %41");
    std::fs::create_dir(&home).unwrap();
    let url = config(&home, &[]).database.url().to_owned();
    assert!(matches!(Database::open_existing(&url).await, Err(Error::Absent { .. })), "{url}");
    Database::open(&url).await.unwrap().close().await;
    Database::open_existing(&url).await.unwrap().close().await;
    assert!(home.join("haystack.db").is_file());
}

#[tokio::test]
async fn a_database_in_memory_is_refused() {
    for url in ["sqlite://:memory:", "sqlite://any?mode=memory&cache=shared"] {
        let refusals = [Database::open(url).await.unwrap_err(), Database::open_existing(url).await.unwrap_err()];
        for refusal in refusals {
            assert!(refusal.to_string().contains("in memory"), "{refusal}");
        }
    }
}

/// A full disk: what was stored stays readable, the failed write is gone whole, and the message names the
/// database's trouble and the way out.
#[tokio::test]
async fn a_full_disk_loses_nothing() {
    let Some(folder) = small_disk("database::a_full_disk_loses_nothing") else { return };
    let database = Database::open(&format!("sqlite://{}/haystack.db", folder.display())).await.unwrap();
    database.migrate().await.unwrap();
    let run = "run_0123456789ab".parse().unwrap();
    let settings = serde_json::json!({
        "control_strategy": "synthetic_control", "predictor": { "method": "mean-shift" }, "max_iterations": 1,
        "score_threshold": 7, "seed": 0, "measured": "hold-out", "pathway_enrichment": true
    });
    let settings = serde_json::from_value(settings).unwrap();
    database
        .create_run(&run, "a@b.org", "How would B cells respond?", &settings, &JobHandle("x".into()))
        .await
        .unwrap();
    let data = serde_json::Value::String("x".repeat(1 << 20));
    let mut stored = 1;
    let error = loop {
        match database.append_event(&run, "large", &data).await {
            Ok(seq) => stored = seq.unwrap(),
            Err(error) => break error,
        }
        assert!(stored < 100, "the disk does not fill");
    };
    let report = haystack::cli::Error::from(error).report();
    assert!(report.contains("database or disk is full") && report.contains("Hint: free some space"), "{report}");
    let numbers: Vec<u64> = database.events_after(&run, 0).await.unwrap().iter().map(|event| event.seq).collect();
    assert_eq!(numbers, (1..=stored).collect::<Vec<_>>());
    // Small things may still fit, and nothing is locked.
    database.close().await;
    let again = Database::open_existing(&format!("sqlite://{}/haystack.db", folder.display())).await.unwrap();
    assert!(again.run(&run).await.unwrap().is_some());
}
