//! The HTTP API of a running server, on both databases.

use std::process::Command;
use std::task::Poll;
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

use crate::support::program::{Server, answer, succeed};
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
        problem(&create(json!({})).await, 422, "The field query is missing; it takes a text of 10 to 2000 characters.");
        problem(&create(json!({"query": "How would B cells respond?", "max_iterations": 11})).await, 422, "1 to 10");
        problem(&create(json!({"query": "How would B cells respond?", "colour": 1})).await, 422, "no field 'colour'");
        let model = json!({"query": "How would B cells respond?", "predictor": {"method": "stack", "model": "none"}});
        problem(&create(model).await, 422, "'none'");
        problem(&server.get("/api/v1/runs/run_0123456789ab").await, 404, "run_0123456789ab");
        problem(&server.get("/api/v1/runs/x").await, 404, "x");
        problem(&server.get("/api/v1/runs/run_0123456789ab/result").await, 404, "run_0123456789ab");
        problem(&server.post("/api/v1/runs/run_0123456789ab/cancel", &json!({})).await, 404, "run_0123456789ab");
        problem(
            &server.get("/api/v1/runs/?page=0").await,
            422,
            "The parameter page cannot be 0; it takes a whole number, 1 or more.",
        );
        problem(&server.get("/api/v1/runs/?status=done").await, 422, "The parameter status cannot be \"done\"");
        problem(&server.get("/api/v1/runs/?status=done").await, 422, "'pending'");
        problem(&server.get("/api/v1/runs/?page=two").await, 422, "The parameter page cannot be \"two\"");
        problem(&server.get("/api/v1/runs/?page=1&page=2").await, 422, "page is given twice");
        problem(&server.get("/api/v1/runs/?pages=2").await, 422, "did you mean 'page'?");
        problem(&server.get("/nowhere").await, 404, "nothing at this address");
        problem(&server.post("/api/v1/health", &json!({})).await, 405, "method");
        let rebound = server.request(reqwest::Method::GET, "/api/v1/runs/").header("host", "evil.example");
        assert_eq!(rebound.send().await.unwrap().status(), 421);
        let plain = server.request(reqwest::Method::POST, "/api/v1/runs/").header("content-type", "text/plain");
        let plain = answer(plain.body(r#"{"query": "How would B cells respond?"}"#)).await;
        // A form of another site could have sent this.
        problem(&plain, 415, "Content-Type: application/json");
        problem(&create(json!({"query": "x".repeat(70_000)})).await, 413, "at most 64 KiB");
        let (_, _, page) = server.get("/api/v1/runs/").await;
        assert_eq!(page["total"], 0, "nothing of the above was stored");
    }
}

#[tokio::test]
async fn a_wrong_body_is_told_which_field_and_what_it_takes() {
    let database = databases().await.swap_remove(0);
    let (_home, server) = server(&database).await;
    let raw = async |body: &'static str| {
        let request = server.request(reqwest::Method::POST, "/api/v1/runs/").header("content-type", "application/json");
        answer(request.body(body)).await
    };
    problem(&raw("[]").await, 422, "The body is a list; it must be a JSON object with the field query.");
    problem(&raw("7").await, 422, "The body is a number");
    problem(&raw(" ").await, 422, "The body is empty");
    problem(&raw("{\"query\": \"How would B").await, 422, "cannot be read as JSON at line 1, column 22");
    problem(&raw("{\"query\": null}").await, 422, "The field query cannot be null; it takes a text of 10 to 2000");
    let cases = [
        (json!({"max_iterations": "five"}), "max_iterations cannot be \"five\"; it takes a whole number from 1 to 10."),
        (json!({"max_iterations": 2.5}), "max_iterations cannot be 2.5; it takes a whole number from 1 to 10."),
        (json!({"max_iterations": -1}), "max_iterations cannot be -1; it takes a whole number from 1 to 10."),
        (json!({"score_threshold": 0}), "score_threshold cannot be 0; it takes a whole number from 1 to 10."),
        (json!({"max_iteration": 1}), "There is no field 'max_iteration'; did you mean 'max_iterations'?"),
        (
            json!({"control_strategy": "none"}),
            "control_strategy cannot be \"none\"; it takes a text: What the prediction",
        ),
        (json!({"control_strategy": {"a": 1}}), "control_strategy cannot be {\"a\":1}; it takes a text"),
        (
            json!({"predictor": "stack"}),
            "predictor cannot be \"stack\"; it takes an object: '{\"method\": \"stack\", \"model\": NAME}'",
        ),
        (
            json!({"predictor": {"method": "mean-shift", "model": "x"}}),
            "predictor cannot be {\"method\":\"mean-shift\",\"model\":\"x\"}; it takes an object",
        ),
        (json!({"predictor": {"method": "stack", "model": "x", "seed": 1}}), "\"seed\":1}; it takes an object"),
        (json!({"predictor": {"method": "stack"}}), "predictor cannot be {\"method\":\"stack\"}; it takes an object"),
        (
            json!({"enable_pathway_enrichment": "no"}),
            "enable_pathway_enrichment cannot be \"no\"; it takes true or false.",
        ),
        (json!({"random_seed": -3}), "random_seed cannot be -3; it takes a whole number, 0 or more."),
        (json!({"de_config": 1}), "de_config cannot be 1; it takes an object"),
        (
            json!({"de_config": {"pval_threshold": 2}}),
            "de_config.pval_threshold cannot be 2; it takes a number from 0 to 1.",
        ),
        (json!({"de_config": {"lfc": 2}}), "There is no field 'de_config.lfc'"),
        (
            json!({"de_config": {"lfc_threshold": "high"}}),
            "de_config.lfc_threshold cannot be \"high\"; it takes a number",
        ),
    ];
    for (more, words) in cases {
        let answer = server.post("/api/v1/runs/", &asked(&more)).await;
        problem(&answer, 422, words);
        let detail = answer.2["detail"].as_str().unwrap();
        for foreign in ["expected", "invalid", "deserialize", "struct", "u32", "column"] {
            assert!(!detail.contains(foreign), "{detail}");
        }
    }
}

/// A question with more fields.
fn asked(more: &Value) -> Value {
    let mut body = json!({"query": QUESTION});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

#[tokio::test]
async fn every_field_of_the_specification_is_taken_and_what_cannot_be_served_is_refused() {
    let database = databases().await.swap_remove(0);
    let home = tempfile::tempdir().unwrap();
    let (router, _) = routes(home.path(), &database, "exit 0");
    let refused = [
        (
            json!({"enable_literature_search": true}),
            "enable_literature_search cannot be 'true': papers cannot be searched",
        ),
        (json!({"llm_provider": "anthropic"}), "llm_provider cannot be 'anthropic': questions are read by rules"),
        (json!({"llm_model": "some-model"}), "llm_model cannot be 'some-model'"),
        (
            json!({"de_config": {"test": "t-test"}}),
            "de_config.test cannot be 't-test': genes are compared by 'wilcoxon' alone",
        ),
        (json!({"de_config": {"correction": "bonferroni"}}), "de_config.correction cannot be 'bonferroni'"),
        (
            json!({"de_config": {"top_n_hvg": 2000}}),
            "de_config.top_n_hvg cannot be '2000': every measured gene is tested",
        ),
        (
            json!({"control_strategy": "synthetic_control", "de_config": {"control_strategy": "query_as_control"}}),
            "de_config.control_strategy cannot be 'query_as_control': control_strategy is 'synthetic_control'",
        ),
    ];
    for (more, words) in refused {
        let answer = call(&router, "POST", "/api/v1/runs/", asked(&more)).await;
        assert_eq!(answer["status"], 422, "{answer}");
        let detail = answer["detail"].as_str().unwrap();
        assert!(
            detail.contains(words) && (detail.contains("leave it out") || detail.contains("say it once")),
            "{detail}"
        );
    }
    let taken = json!({
        "control_strategy": "query_as_control", "max_iterations": 3, "score_threshold": 9, "llm_provider": "none",
        "llm_model": null, "enable_literature_search": false, "enable_pathway_enrichment": false, "random_seed": 7,
        "de_config": {"control_strategy": "query_as_control", "lfc_threshold": 1.0, "pval_threshold": 0.01,
            "min_cells_per_group": 20, "test": "wilcoxon", "correction": "benjamini-hochberg", "top_n_hvg": null},
    });
    let created = call(&router, "POST", "/api/v1/runs/", asked(&taken)).await;
    let criteria = json!({"lfc_threshold": 1.0, "pval_threshold": 0.01, "min_cells_per_group": 20});
    assert_eq!(created["de_config"], criteria, "{created}");
    let stored = database.run(&created["run_id"].as_str().unwrap().parse().unwrap()).await.unwrap().unwrap().settings;
    assert_eq!((stored.criteria.min_log2_fold_change, stored.criteria.min_cells), (1.0, 20));
    let only = json!({"de_config": {"control_strategy": "query_as_control"}});
    let created = call(&router, "POST", "/api/v1/runs/", asked(&only)).await;
    assert_eq!(created["control_strategy"], "query_as_control");
    assert_eq!(created["de_config"], json!({"lfc_threshold": 0.5, "pval_threshold": 0.05, "min_cells_per_group": 10}));
}

#[tokio::test]
async fn pages_of_configured_origins_alone_may_call() {
    let database = databases().await.swap_remove(0);
    let home = tempfile::tempdir().unwrap();
    const OURS: &str = "https://console.example.org";
    let (closed, _) = routes(home.path(), &database, "exit 0");
    let (open, _) = routes_with(home.path(), &database, "exit 0", &[("HAYSTACK__SERVER__ALLOWED_ORIGINS", OURS)]);
    let ask = async |router: &Router, method: &str, path: &str, origin: &str| {
        let request = Request::builder().method(method).uri(path).header("host", "localhost").header("origin", origin);
        let request = request.header("access-control-request-method", "POST").body(Body::empty()).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        let allowed = response.headers().get("access-control-allow-origin").map(|v| v.to_str().unwrap().to_owned());
        (response.status().as_u16(), allowed)
    };
    assert_eq!(ask(&closed, "GET", "/api/v1/health", OURS).await, (200, None));
    assert_eq!(ask(&closed, "OPTIONS", "/api/v1/runs/", OURS).await, (405, None));
    assert_eq!(ask(&open, "GET", "/api/v1/health", OURS).await, (200, Some(OURS.into())));
    assert_eq!(ask(&open, "OPTIONS", "/api/v1/runs/", OURS).await, (200, Some(OURS.into())));
    assert_eq!(ask(&open, "GET", "/api/v1/runs/x", OURS).await, (404, Some(OURS.into())), "errors can be read too");
    assert_eq!(ask(&open, "GET", "/api/v1/health", "https://evil.example").await, (200, None));
    assert_eq!(ask(&open, "OPTIONS", "/api/v1/runs/", "https://evil.example").await.1, None);
}

/// As a browser sends it for a form or a script of a page elsewhere, which cannot read the answer.
#[tokio::test]
async fn pages_of_other_sites_cannot_cancel_a_run() {
    let database = databases().await.swap_remove(0);
    let home = tempfile::tempdir().unwrap();
    const OURS: &str = "https://console.example.org";
    let (router, _) = routes_with(home.path(), &database, "exit 0", &[("HAYSTACK__SERVER__ALLOWED_ORIGINS", OURS)]);
    let ask = async |method: &str, headers: &[(&str, &str)]| {
        let mut request = Request::builder().method(method).header("host", "localhost");
        request = request.uri(match method {
            "POST" => "/api/v1/runs/run_0123456789ab/cancel",
            _ => "/api/v1/health",
        });
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap().status().as_u16()
    };
    let site = |site| ("sec-fetch-site", site);
    for elsewhere in ["cross-site", "same-site"] {
        assert_eq!(ask("POST", &[site(elsewhere), ("origin", "https://evil.example")]).await, 403);
        assert_eq!(ask("POST", &[site(elsewhere)]).await, 403);
        assert_eq!(ask("POST", &[site(elsewhere), ("origin", OURS)]).await, 404, "it may, and there is no such run");
        assert_eq!(ask("GET", &[site(elsewhere)]).await, 200, "a link from elsewhere");
    }
    for ours in [&[][..], &[site("same-origin")], &[site("none")]] {
        assert_eq!(ask("POST", ours).await, 404, "{ours:?}");
    }
}

/// Leaves at each moment at which a request waits for something, one after the other.
#[tokio::test]
async fn a_client_that_leaves_does_not_leave_a_run_that_waits_for_ever() {
    let database = databases().await.swap_remove(0);
    let home = tempfile::tempdir().unwrap();
    let (router, _) = routes(home.path(), &database, "exit 3");
    let mut left = 0;
    loop {
        let request = Request::builder().method("POST").uri("/api/v1/runs/").header("host", "localhost");
        let request = request.header("content-type", "application/json");
        let body = Body::from(json!({"query": QUESTION}).to_string());
        let mut answer = Box::pin(router.clone().oneshot(request.body(body).unwrap()));
        let mut polls = 0;
        let answered = std::future::poll_fn(|context| {
            polls += 1;
            match answer.as_mut().poll(context) {
                Poll::Ready(_) => Poll::Ready(true),
                Poll::Pending if polls > left => Poll::Ready(false),
                Poll::Pending => Poll::Pending,
            }
        });
        if answered.await {
            break;
        }
        left += 1;
    }
    assert!(left > 1, "the request never waited");
    let (runs, total) = database.list_runs("local@localhost", None, 1, 100).await.unwrap();
    assert!(total > 0);
    for run in runs {
        let status = finished(&router, run.id.as_str()).await;
        assert_eq!(status["status"], "failed", "{status}");
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
    for (path, title) in [
        ("/", "HAYSTACK"),
        ("/runs/run_0123456789ab", "HAYSTACK"),
        ("/docs", "HAYSTACK API"),
        ("/redoc", "HAYSTACK API"),
    ] {
        let response = server.request(reqwest::Method::GET, path).send().await.unwrap();
        let policy = response.headers()["content-security-policy"].to_str().unwrap().to_owned();
        assert!(policy.contains("default-src 'none'"), "{policy}");
        assert!(response.text().await.unwrap().contains(&format!("<title>{title}</title>")));
    }
    for path in [
        "/api/v1/health",
        "/api/v1/health/",
        "/api/health",
        "/api/v1/health/ready",
        "/api/v1/health/ready/",
        "/api/health/ready",
    ] {
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
    routes_with(home, database, script, &[])
}

/// The same with settings.
fn routes_with(
    home: &std::path::Path,
    database: &Database,
    script: &str,
    settings: &[(&str, &str)],
) -> (Router, Executor) {
    let config = config(home, &[&[("HAYSTACK__JOBS__GRACE_SECONDS", "1")][..], settings].concat());
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
        let unfinished = api::settle_abandoned_runs(&database, &executor).await.unwrap();
        let expected = api::Unfinished { here: vec![own.clone()], elsewhere: vec![elsewhere.clone()] };
        assert_eq!(unfinished, expected, "{}", database.kind);
        let status = call(&router, "GET", &format!("/api/v1/runs/{left}"), json!({})).await;
        assert_eq!(status["status"], "failed", "{status}");
        assert!(status["error_message"].as_str().unwrap().contains("was stopped before"), "{status}");
        for (run, expected) in [(&own, "running"), (&elsewhere, "pending")] {
            let status = call(&router, "GET", &format!("/api/v1/runs/{run}"), json!({})).await;
            assert_eq!(status["status"], expected, "{status}");
        }
    }
}
