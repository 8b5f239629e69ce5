//! The HTTP API of a running server, on both databases.

use std::process::Command;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use haystack::api::{self, Parts};
use haystack::atlas::Atlas;
use haystack::database::Database;
use haystack::domain::RunId;
use haystack::domain::run::JobHandle;
use haystack::executor::{Executor, Job};
use haystack::knowledge::Latest;
use haystack::objects::Objects;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::support::program::{Server, succeed};
use crate::support::{TestDatabase, config, databases};

async fn server(database: &TestDatabase) -> (tempfile::TempDir, Server) {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(home.path(), &database.url).await;
    (home, server)
}

fn problem(answer: &(u16, String, Value), status: u16, words: &str) {
    let (code, media_type, body) = answer;
    assert_eq!(*code, status, "{body}");
    assert_eq!(media_type, "application/problem+json", "{body}");
    assert_eq!(body["status"], status);
    assert_eq!(body["type"], "about:blank");
    assert!(body["title"].is_string());
    assert!(body["detail"].as_str().unwrap().contains(words), "{body}");
}

#[tokio::test]
async fn wrong_requests_get_a_problem_that_says_what_to_do() {
    for database in databases().await {
        let (_home, server) = server(&database).await;
        let create = async |body: Value| server.post("/api/v1/runs/", &body).await;
        problem(&create(json!({"query": "B cells?"})).await, 422, "at least 10");
        problem(&create(json!({"query": "x".repeat(3000)})).await, 422, "at most");
        problem(&create(json!({})).await, 422, "query");
        problem(&create(json!({"query": "How would B cells respond?", "max_iterations": 11})).await, 422, "1 to 10");
        problem(&create(json!({"query": "How would B cells respond?", "colour": 1})).await, 422, "colour");
        let model = json!({"query": "How would B cells respond?", "predictor": {"method": "stack", "model": "none"}});
        problem(&create(model).await, 422, "'none'");
        problem(&server.get("/api/v1/runs/run_0123456789ab").await, 404, "run_0123456789ab");
        problem(&server.get("/api/v1/runs/x").await, 404, "x");
        problem(&server.get("/api/v1/runs/run_0123456789ab/result").await, 404, "run_0123456789ab");
        problem(&server.post("/api/v1/runs/run_0123456789ab/cancel", &json!({})).await, 404, "run_0123456789ab");
        problem(&server.get("/api/v1/runs/?page=0").await, 422, "begin at 1");
        problem(&server.get("/api/v1/runs/?status=done").await, 422, "pending");
        problem(&server.get("/nowhere").await, 404, "nothing at this address");
        problem(&server.post("/api/v1/health", &json!({})).await, 405, "method");
        let rebound = server.request(reqwest::Method::GET, "/api/v1/runs/").header("host", "evil.example");
        assert_eq!(rebound.send().await.unwrap().status(), 421);
        let plain = server.request(reqwest::Method::POST, "/api/v1/runs/").header("content-type", "text/plain");
        let plain = plain.body(r#"{"query": "How would B cells respond?"}"#).send().await.unwrap();
        assert_eq!(plain.status(), 422, "a form of another site could have sent this");
        let (_, _, page) = server.get("/api/v1/runs/").await;
        assert_eq!(page["total"], 0, "nothing of the above was stored");
    }
}

#[tokio::test]
async fn a_run_that_cannot_be_answered_fails_with_the_reason() {
    for database in databases().await {
        let (_home, server) = server(&database).await;
        let question = json!({"query": "How would B cells respond to interferon beta?", "random_seed": 7});
        let (code, _, created) = server.post("/api/v1/runs/", &question).await;
        assert_eq!(code, 201, "{created}");
        let run = created["run_id"].as_str().unwrap().to_owned();
        // Nothing is imported, so the words cannot be resolved.
        let status = server.finished(&run).await;
        assert_eq!(status["status"], "failed", "{status}");
        assert_eq!(status["error_type"], "EntityResolutionError", "{status}");
        assert!(status["error_message"].as_str().unwrap().contains("haystack import"), "{status}");
        problem(&server.get(&format!("/api/v1/runs/{run}/result")).await, 400, "failed");
        problem(&server.post(&format!("/api/v1/runs/{run}/cancel"), &json!({})).await, 400, "failed");
        let (_, _, page) = server.get("/api/v1/runs/?status=failed").await;
        assert_eq!((&page["total"], &page["runs"][0]["run_id"]), (&json!(1), &json!(run)));
        let (_, _, page) = server.get("/api/v1/runs/?status=completed").await;
        assert_eq!(page["total"], 0);
    }
}

#[tokio::test]
async fn the_page_the_description_and_the_health_are_there() {
    let database = databases().await.swap_remove(0);
    let (_home, server) = server(&database).await;
    for path in ["/", "/runs/run_0123456789ab"] {
        let response = server.request(reqwest::Method::GET, path).send().await.unwrap();
        let policy = response.headers()["content-security-policy"].to_str().unwrap().to_owned();
        assert!(policy.contains("default-src 'none'"), "{policy}");
        assert!(response.text().await.unwrap().contains("<title>HAYSTACK</title>"));
    }
    for path in ["/api/v1/health", "/api/v1/health/", "/api/health", "/api/v1/health/ready"] {
        let (code, _, health) = server.get(path).await;
        assert_eq!((code, &health["status"]), (200, &json!("healthy")), "{path}");
    }
    problem(&server.get("/assets/none.js").await, 404, "none.js");
    let (_, _, defaults) = server.get("/api/v1/metadata/defaults").await;
    assert_eq!((&defaults["max_iterations"], &defaults["score_threshold"]), (&json!(5), &json!(7)));
    let (_, _, description) = server.get("/openapi.json").await;
    let paths: Vec<&str> = description["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    for path in [
        "/api/v1/runs/",
        "/api/v1/runs/validate-control-strategy",
        "/api/v1/runs/{run_id}",
        "/api/v1/runs/{run_id}/cancel",
        "/api/v1/runs/{run_id}/result",
        "/api/v1/metadata/datasets",
        "/api/v1/metadata/defaults",
        "/api/v1/metadata/cell-types",
        "/api/v1/metadata/perturbations",
        "/api/v1/metadata/predictors",
        "/api/v1/health",
        "/objects/{key}",
    ] {
        assert!(paths.contains(&path), "{path} is not among {paths:?}");
    }
    assert!(description["openapi"].as_str().unwrap().starts_with("3.1"));
    let (code, _, predictors) = server.get("/api/v1/metadata/predictors").await;
    assert_eq!((code, &predictors["predictors"][0]["default"]), (200, &json!(true)));
}

#[tokio::test]
async fn links_to_files_cannot_be_made_up() {
    let database = databases().await.swap_remove(0);
    let (home, server) = server(&database).await;
    std::fs::write(home.path().join("secret"), "s").unwrap();
    let far = u64::from(u32::MAX);
    for key in ["runs/run_0123456789ab/report.md", "../secret", "%2e%2e/secret", "models/x/model.json"] {
        let answer = server.get(&format!("/objects/{key}?expires={far}&signature=00ff")).await;
        assert!([403, 404].contains(&answer.0), "{key}: {}", answer.2);
    }
    problem(&server.get("/objects/runs/run_0123456789ab/report.md").await, 422, "expires");
}

#[tokio::test]
async fn what_is_imported_while_the_server_runs_counts_at_once() {
    for database in databases().await {
        let (home, server) = server(&database).await;
        let check = json!({"query": "How would B cells respond to interferon beta?"});
        let path = "/api/v1/runs/validate-control-strategy";
        problem(&server.post(path, &check).await, 422, "haystack import");
        succeed(home.path(), &database.url, &["import", "starter"]);
        let (code, _, answer) = server.post(path, &check).await;
        assert_eq!(code, 200, "{answer}");
        assert_eq!(answer["understood"]["cell_type"], json!({"id": "CL:0000236", "name": "B cell"}));
        assert_eq!(answer["understood"]["perturbation"]["id"], "uniprot:P01574");
        assert_eq!(answer["synthetic_control_available"], true);
        let typo = json!({"query": "How would monocites respond to interferon beta?"});
        problem(&server.post(path, &typo).await, 422, "No cell type called 'monocites' is held. Did you mean monocyte");
        let other = json!({"query": "Impute the missing B cells of this donor"});
        problem(&server.post(path, &other).await, 422, "cannot be scored yet");
    }
}

/// The routes with a shell script in the place of the program that carries out runs.
fn routes(home: &std::path::Path, database: &Database, script: &str) -> (Router, Executor) {
    let config = config(home, &[("HAYSTACK__JOBS__GRACE_SECONDS", "1")]);
    let executor = Executor::local_program(&config, &program_of(home, script)).unwrap();
    let parts = Parts {
        objects: Objects::open(&config.objects).unwrap(),
        database: database.clone(),
        executor: executor.clone(),
        knowledge: Latest::new(database.clone()),
        atlas: Atlas::new(database.clone()),
        config,
    };
    (api::router(parts), executor)
}

/// Written by another process: a file that this one has open for writing cannot be started.
fn program_of(folder: &std::path::Path, script: &str) -> std::path::PathBuf {
    let program = folder.join("program");
    let write = "printf '#!/bin/sh\\n%s\\n' \"$2\" > \"$1\" && chmod 755 \"$1\"";
    let written = Command::new("sh").args(["-c", write, "sh"]).arg(&program).arg(script).status().unwrap();
    assert!(written.success());
    program
}

async fn call(router: &Router, method: &str, path: &str, body: Value) -> Value {
    let request = Request::builder().method(method).uri(path).header("host", "localhost");
    let request = request.header("content-type", "application/json").body(Body::from(body.to_string())).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

async fn finished(router: &Router, run: &str) -> Value {
    for _ in 0..6000 {
        let status = call(router, "GET", &format!("/api/v1/runs/{run}"), json!({})).await;
        if !["pending", "running"].iter().any(|word| status["status"] == *word) {
            return status;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("run {run} does not finish");
}

const QUESTION: &str = "How would B cells respond to interferon beta?";

#[tokio::test]
async fn a_run_whose_process_dies_is_failed_with_its_last_words() {
    for database in databases().await {
        let home = tempfile::tempdir().unwrap();
        let (router, _) = routes(home.path(), &database, "echo 'Error: out of paper' >&2; exit 3");
        let created = call(&router, "POST", "/api/v1/runs/", json!({"query": QUESTION})).await;
        let status = finished(&router, created["run_id"].as_str().unwrap()).await;
        assert_eq!((&status["status"], &status["error_type"]), (&json!("failed"), &json!("InternalError")), "{status}");
        let message = status["error_message"].as_str().unwrap();
        assert!(message.contains("exit code 3") && message.contains("out of paper"), "{message}");
        assert!(message.contains("Ask again"), "{message}");
    }
}

#[tokio::test]
async fn a_cancelled_run_stays_cancelled_when_its_process_dies_of_it() {
    for database in databases().await {
        let home = tempfile::tempdir().unwrap();
        let (router, executor) = routes(home.path(), &database, "exec sleep 300");
        let created = call(&router, "POST", "/api/v1/runs/", json!({"query": QUESTION})).await;
        let run = created["run_id"].as_str().unwrap();
        let job = database.run(&run.parse().unwrap()).await.unwrap().unwrap().job.unwrap();
        let cancelled = call(&router, "POST", &format!("/api/v1/runs/{run}/cancel"), json!({})).await;
        assert_eq!(cancelled["status"], "cancelled", "{cancelled}");
        assert!(executor.wait(&job).await.is_err(), "the process is gone");
        let status = finished(&router, run).await;
        assert_eq!((&status["status"], &status["error_message"]), (&json!("cancelled"), &Value::Null), "{status}");
    }
}

#[tokio::test]
async fn runs_that_a_killed_server_left_behind_are_failed() {
    for database in databases().await {
        let home = tempfile::tempdir().unwrap();
        let (_, executor) = routes(home.path(), &database, "exit 0");
        let settings = config(home.path(), &[]).run_settings();
        let user = "local@localhost";
        let (left, own): (RunId, RunId) = (RunId::random(), RunId::random());
        for run in [&left, &own] {
            // As `haystack run` does, which carries its run out itself.
            database.create_run(run, user, QUESTION, &settings, &Executor::owner()).await.unwrap();
            database.begin_run(run).await.unwrap();
        }
        // A job of this machine that is gone, and one of a machine of which nothing is known here.
        let job = executor.submit(&Job::Orchestrate { run: left.clone() }).await.unwrap();
        let _ = executor.wait(&job).await;
        database.attach_job(&left, &job).await.unwrap();
        let elsewhere = RunId::random();
        let job = JobHandle("local:another-machine:4000000:1".into());
        database.create_run(&elsewhere, user, QUESTION, &settings, &job).await.unwrap();
        let (router, executor) = routes(home.path(), &database, "exit 0");
        assert_eq!(api::settle_abandoned_runs(&database, &executor).await.unwrap(), 2, "{}", database.kind);
        let status = call(&router, "GET", &format!("/api/v1/runs/{left}"), json!({})).await;
        assert_eq!(status["status"], "failed", "{status}");
        assert!(status["error_message"].as_str().unwrap().contains("was stopped before"), "{status}");
        for (run, expected) in [(&own, "running"), (&elsewhere, "pending")] {
            let status = call(&router, "GET", &format!("/api/v1/runs/{run}"), json!({})).await;
            assert_eq!(status["status"], expected, "{status}");
        }
    }
}
