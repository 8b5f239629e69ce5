//! `haystack import --fetch`, against a server on this machine.

use std::net::SocketAddr;
use std::sync::Arc;

use assert_cmd::Command;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Redirect;
use axum::routing::get;
use haystack::database::Database;
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::sync::Notify;

use crate::support::program::{haystack, succeed};

const RELEASE: &str = "data-version: 2026-01-01\nontology: cl\n[Term]\nid: CL:0000236\nname: B cell\n";

/// Serves a release, and ways to get it wrong.
async fn serve() -> SocketAddr {
    serve_with(Arc::default()).await
}

/// What holds the answer to `/slow` back.
#[derive(Default)]
struct Gate {
    asked: Notify,
    open: Notify,
}

async fn serve_with(gate: Arc<Gate>) -> SocketAddr {
    let routes = Router::new()
        .route("/cl.obo", get(|| async { RELEASE }))
        .route("/moved", get(|| async { Redirect::temporary("/cl.obo") }))
        .route("/loop", get(|| async { Redirect::temporary("/loop") }))
        .route("/away", get(|| async { Redirect::temporary("http://192.0.2.1/cl.obo") }))
        .route("/gone", get(|| async { StatusCode::NOT_FOUND }))
        .route("/page", get(|| async { "<html>sign in</html>" }))
        .route(
            "/slow",
            get(|State(gate): State<Arc<Gate>>| async move {
                gate.asked.notify_one();
                gate.open.notified().await;
                RELEASE
            }),
        )
        .route("/huge", get(|| async { "x".repeat(101 << 20) }))
        .with_state(gate);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn other_imports_need_not_wait_for_a_download_nor_a_list_for_them() {
    let gate = Arc::<Gate>::default();
    let address = serve_with(gate.clone()).await;
    let home = tempfile::tempdir().unwrap();
    let database = format!("sqlite://{}/haystack.db", home.path().display());
    succeed(home.path(), &database, &["migrate"]);
    let mut download = haystack(home.path(), &database);
    download.args(["import", "--fetch", "cl", "--url"]).arg(format!("http://{address}/slow"));
    let download = tokio::task::spawn_blocking(move || download.output().unwrap());
    gate.asked.notified().await;

    let opened = Database::open_existing(&database).await.unwrap();
    let guard = opened.import_guard("import").await.expect("nobody imports while a file is on its way");
    let list = ["import", "ontology", "--list"];
    assert_eq!(succeed(home.path(), &database, &list), "");
    guard.release().await.unwrap();
    gate.open.notify_one();
    let done = download.await.unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert!(succeed(home.path(), &database, &list).starts_with("CL\t2026-01-01\tin use\t"));
}

fn fetch(home: &TempDir, arguments: &[&str]) -> assert_cmd::assert::Assert {
    let mut command = Command::cargo_bin("haystack").unwrap();
    command.env_clear().env("HAYSTACK_HOME", home.path()).env("PATH", "/nonexistent");
    command.arg("import").args(arguments).assert()
}

fn stderr(done: &assert_cmd::assert::Assert) -> String {
    String::from_utf8(done.get_output().stderr.clone()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_is_fetched_shown_checked_and_imported() {
    let address = serve().await;
    let home = tempfile::tempdir().unwrap();
    let mut migrate = Command::cargo_bin("haystack").unwrap();
    migrate.env_clear().env("HAYSTACK_HOME", home.path()).arg("migrate").assert().success();
    let url = |path: &str| format!("http://{address}/{path}");
    let sha256 = hex::encode(Sha256::digest(RELEASE));

    let wrong = fetch(&home, &["--fetch", "cl", "--url", &url("cl.obo"), "--sha256", &"0".repeat(64)]).code(1);
    assert!(stderr(&wrong).contains(&sha256) && stderr(&wrong).contains("nothing was imported"), "{wrong}");
    let done = fetch(&home, &["--fetch", "cl", "--url", &url("moved"), "--sha256", &sha256, "--json"]).success();
    let said = stderr(&done);
    for expected in [url("moved").as_str(), "Licence: CC BY 4.0", &format!("{} bytes", RELEASE.len()), &sha256] {
        assert!(said.contains(expected), "{expected} in {said}");
    }
    let json: serde_json::Value = serde_json::from_slice(&done.get_output().stdout).unwrap();
    assert_eq!((json["version"].as_str(), json["outcome"].as_str()), (Some("2026-01-01"), Some("new")));
    assert_eq!(json["source"].as_str(), Some(url("moved").as_str()));
    let listed = fetch(&home, &["ontology", "--list"]).success();
    let listed = String::from_utf8(listed.get_output().stdout.clone()).unwrap();
    assert!(listed.starts_with("CL\t2026-01-01\tin use\t"), "{listed}");

    for (path, code, expected) in [
        ("gone", 75, "404"),
        ("loop", 75, "sent on too often"),
        ("away", 75, "not https"),
        ("page", 1, "no ontology terms"),
        ("huge", 1, "larger than 100 MiB"),
    ] {
        let failed = fetch(&home, &["--fetch", "cl", "--url", &url(path)]).code(code);
        assert!(stderr(&failed).contains(expected), "{path}: {}", stderr(&failed));
    }
    let refused = fetch(&home, &["--fetch", "cl", "--url", "http://example.org/cl.obo"]).code(2);
    assert!(stderr(&refused).contains("not an https address"), "{refused}");
    let unknown = fetch(&home, &["--fetch", "everything"]).code(2);
    assert!(stderr(&unknown).contains("cl, uberon, mondo"), "{unknown}");
    fetch(&home, &[]).code(2);
}
