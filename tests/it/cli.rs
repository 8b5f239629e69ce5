//! The command line: exit codes, words, doctor, what happens when a parent dies.

use std::fs;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::support::{empty_databases, read_only_disk};

/// Our program with nothing in its environment but a home folder.
fn haystack(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_haystack"));
    command.env_clear().env("HAYSTACK_HOME", home).stdin(Stdio::null());
    command
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Runs it; checks the exit code; gives what it wrote to stderr.
fn fails(command: &mut Command, code: i32) -> String {
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    words(&output)
}

#[test]
fn wrong_usage_is_exit_code_2() {
    let home = tempfile::tempdir().unwrap();
    assert!(fails(haystack(home.path()).arg("migrat"), 2).contains("migrate"));
    assert!(fails(haystack(home.path()).args(["migrate", "--what"]), 2).contains("--what"));
    let help = haystack(home.path()).arg("--help").output().unwrap();
    assert!(help.status.success() && help.stderr.is_empty());
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0, "asking for help leaves no trace");
}

#[test]
fn a_wrong_configuration_is_exit_code_2_with_place_and_way_out() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("mine.toml");
    let config = ["--config", file.to_str().unwrap(), "migrate"];

    let report = fails(haystack(home.path()).args(config), 2);
    assert!(report.contains("mine.toml") && report.contains("No such file"), "{report}");

    fs::write(&file, "[server]\nport = 8080\n\n[iteration]\nscore_treshold = 8\n").unwrap();
    let report = fails(haystack(home.path()).args(config), 2);
    let expected = "mine.toml line 5 sets 'iteration.score_treshold', which does not exist; \
                    did you mean 'iteration.score_threshold'?";
    assert!(report.contains(expected) && report.contains("\nHint: "), "{report}");

    fs::write(&file, "[server]\nport = \"http\"\n").unwrap();
    let report = fails(haystack(home.path()).args(config), 2);
    assert!(report.contains("server.port") && report.contains("mine.toml"), "{report}");

    // The file in the home folder counts without being named, and a variable in its place.
    fs::rename(&file, home.path().join("config.toml")).unwrap();
    assert!(fails(haystack(home.path()).arg("migrate"), 2).contains("config.toml"));
    let report = fails(haystack(home.path()).arg("migrate").env("HAYSTACK_CONFIG", "/nowhere.toml"), 2);
    assert!(report.contains("/nowhere.toml"), "{report}");

    let report = fails(haystack(Path::new("/nowhere")).arg("migrate").env("HAYSTACK__LOG__LEVL", "x"), 2);
    assert!(report.contains("HAYSTACK__LOG__LEVEL"), "{report}");
    let report = fails(haystack(Path::new("/nowhere")).arg("migrate").env("RUST_LOG", "haystack=loud"), 2);
    assert!(report.contains("log.level") && report.contains("haystack=loud"), "{report}");
}

#[tokio::test]
async fn migrate_makes_the_schema_once_however_many_run_at_once() {
    for database in empty_databases().await {
        let home = tempfile::tempdir().unwrap();
        let mut started: Vec<_> = (0..4)
            .map(|_| {
                let mut command = haystack(home.path());
                command.arg("migrate").env("DATABASE_URL", &database.url);
                command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
            })
            .collect();
        let mut applied = 0;
        for process in started.drain(..) {
            let output = process.wait_with_output().unwrap();
            assert!(output.status.success(), "{}: {}", database.kind, words(&output));
            applied += u32::from(words(&output).contains("applied"));
        }
        assert_eq!(applied, 1, "{}", database.kind);
        database.check_schema().await.unwrap();
    }
}

#[tokio::test]
async fn a_newer_schema_is_left_alone() {
    for database in empty_databases().await {
        let home = tempfile::tempdir().unwrap();
        database.migrate().await.unwrap();
        sqlx::any::install_default_drivers();
        let pool = sqlx::AnyPool::connect(&database.url).await.unwrap();
        let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                     SELECT 9999, 'from the future', success, checksum, 0 FROM _sqlx_migrations WHERE version = 1";
        sqlx::raw_sql(newer).execute(&pool).await.unwrap();
        let report = fails(haystack(home.path()).arg("migrate").env("DATABASE_URL", &database.url), 2);
        assert!(report.contains("9999") && report.contains("newer haystack"), "{report}");
        assert!(database.check_schema().await.unwrap_err().to_string().contains("newer haystack"));
    }
}

#[tokio::test]
async fn nothing_starts_on_an_older_schema() {
    for database in empty_databases().await {
        let home = tempfile::tempdir().unwrap();
        database.migrate().await.unwrap();
        sqlx::any::install_default_drivers();
        let pool = sqlx::AnyPool::connect(&database.url).await.unwrap();
        let older = "DELETE FROM _sqlx_migrations WHERE version = (SELECT max(version) FROM _sqlx_migrations)";
        sqlx::raw_sql(older).execute(&pool).await.unwrap();
        for args in [
            &["serve"][..],
            &["run", "How would B cells respond to interferon beta?"],
            &["resolve", "--kind", "tissue"],
        ] {
            let report = fails(haystack(home.path()).args(args).env("DATABASE_URL", &database.url), 2);
            assert!(report.contains("'haystack migrate'") && report.contains(database.place()), "{report}");
        }
    }
}

/// A mistyped address must not look like an empty database from then on.
#[test]
fn looking_for_a_database_makes_none() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("mistyped.db");
    let url = format!("sqlite://{}", file.display());
    for args in [
        &["serve"][..],
        &["run", "How would B cells respond to interferon beta?"],
        &["orchestrate", "--run-id", "run_0123456789ab"],
        &["resolve", "--kind", "cell-type", "B cell"],
        &["import", "starter"],
    ] {
        let report = fails(haystack(home.path()).args(args).env("DATABASE_URL", &url), 2);
        assert!(report.contains("there is no database at") && report.contains("mistyped.db"), "{report}");
        assert!(report.contains("'haystack migrate'"), "{report}");
        assert!(!file.exists(), "{args:?}");
    }
}

#[test]
fn a_database_that_cannot_be_reached_is_named_without_its_password() {
    let home = tempfile::tempdir().unwrap();
    let report =
        fails(haystack(home.path()).arg("migrate").env("DATABASE_URL", "postgres://me:hunter2@127.0.0.1:1/db"), 75);
    assert!(report.contains("127.0.0.1:1/db") && report.contains("refused"), "{report}");
    assert!(!report.contains("hunter2"), "{report}");
    let report = fails(haystack(home.path()).arg("migrate").env("DATABASE_URL", "mysql://me:hunter2@db/x"), 2);
    assert!(
        report.contains("database.url") && report.contains("postgres://") && !report.contains("hunter2"),
        "{report}"
    );
    let report = fails(haystack(home.path()).arg("migrate").env("DATABASE_URL", "sqlite:///nowhere/at/all.db"), 2);
    assert!(report.contains("/nowhere/at/all.db") && report.contains("Hint: "), "{report}");
    let other = home.path().join("not.db");
    fs::write(&other, "this is not a database, but it is long enough to look like one".repeat(10)).unwrap();
    let url = format!("sqlite://{}", other.display());
    let report = fails(haystack(home.path()).arg("migrate").env("DATABASE_URL", url), 2);
    assert!(report.contains("not.db") && report.contains("not a database"), "{report}");
}

#[test]
fn a_home_folder_that_cannot_be_made_is_named() {
    let Some(folder) = read_only_disk("cli::a_home_folder_that_cannot_be_made_is_named") else { return };
    let home = folder.join("home");
    let report = fails(haystack(&home).arg("migrate"), 2);
    assert!(report.contains(home.to_str().unwrap()) && report.contains("HAYSTACK_HOME"), "{report}");
    let output = haystack(&home).args(["doctor", "--json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((state(&report, "home"), state(&report, "objects")), ("broken", "broken"), "{report}");
}

fn doctor(command: &mut Command, code: i32) -> Value {
    let output = command.args(["doctor", "--json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn part<'a>(report: &'a Value, name: &str) -> &'a Value {
    report["parts"].as_array().unwrap().iter().find(|part| part["name"] == name).unwrap()
}

fn state<'a>(report: &'a Value, name: &str) -> &'a str {
    part(report, name)["state"].as_str().unwrap()
}

#[tokio::test]
async fn doctor_says_what_is_missing_and_what_to_do() {
    for database in empty_databases().await {
        let home = tempfile::tempdir().unwrap();
        let command = || {
            let mut command = haystack(home.path());
            command.env("DATABASE_URL", &database.url);
            command
        };
        let report = doctor(&mut command(), 1);
        assert_eq!((state(&report, "database"), &report["ok"]), ("broken", &Value::Bool(false)), "{report}");
        assert!(part(&report, "database")["found"].as_str().unwrap().contains("haystack migrate"), "{report}");

        database.migrate().await.unwrap();
        let report = doctor(&mut command(), 0);
        for name in ["program", "configuration", "home", "disk", "database", "objects", "predictor", "planner", "jobs"]
        {
            assert_eq!(state(&report, name), "ok", "{report}");
        }
        // Nothing is imported yet: it works, but cannot answer anything.
        for name in ["atlases", "ontologies", "knowledge"] {
            assert_eq!(state(&report, name), "warning", "{report}");
            assert!(part(&report, name)["hint"].as_str().unwrap().contains("haystack import"), "{report}");
        }
        if database.kind == "PostgreSQL" {
            assert!(part(&report, "server")["found"].as_str().unwrap().contains("pgvector 0."), "{report}");
        }

        let stack = [("HAYSTACK__PREDICTOR__METHOD", "stack"), ("HAYSTACK__PREDICTOR__MODEL", "large")];
        let report = doctor(command().envs(stack), 1);
        assert_eq!(state(&report, "predictor"), "broken", "{report}");
        assert!(part(&report, "predictor")["hint"].as_str().unwrap().contains("--name large"), "{report}");
    }
}

#[test]
fn doctor_reports_a_configuration_that_cannot_be_used() {
    let home = tempfile::tempdir().unwrap();
    let report = doctor(haystack(home.path()).env("PORT", "http"), 1);
    assert_eq!(state(&report, "configuration"), "broken");
    let text = haystack(home.path()).arg("doctor").output().unwrap();
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.contains("BROKEN   database") && text.contains("-> 'haystack migrate'"), "{text}");
    assert!(!home.path().join("haystack.db").exists(), "looking made a database");
}

#[test]
fn a_reader_that_stops_early_is_no_failure() {
    let home = tempfile::tempdir().unwrap();
    let mut child = haystack(home.path()).arg("doctor").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(words(&output), "");
}

#[test]
fn a_tethered_process_ends_with_its_standard_input() {
    let home = tempfile::tempdir().unwrap();
    // It would wait for this lock for half a minute and more.
    fs::create_dir_all(home.path()).unwrap();
    let lock = fs::File::create(home.path().join("haystack.db.schema-update.lock")).unwrap();
    lock.lock().unwrap();
    let mut child = haystack(home.path())
        .args(["--tethered", "migrate"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut tether = child.stdin.take().unwrap();
    tether.write_all(b"still here\n").unwrap();
    std::thread::sleep(Duration::from_millis(300));
    assert!(child.try_wait().unwrap().is_none(), "it ended although its parent is here");
    drop(tether);
    assert_eq!(child.wait().unwrap().signal(), Some(9), "it ends itself, without waiting for the lock");
}
