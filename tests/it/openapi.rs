//! What the API answers is what `/openapi.json` says it answers: on every route, errors too.

use std::collections::BTreeSet;
use std::fs::File;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::databases;
use crate::support::program::{Server, answer, succeed};

const QUESTION: &str = "How would CD14 monocytes respond to interferon beta in winter?";

/// A server and its description; keeps account of what was asked.
struct Described {
    server: Server,
    description: Value,
    asked: BTreeSet<(String, String)>,
}

impl Described {
    async fn new(server: Server) -> Self {
        let (_, _, mut description) = server.get("/openapi.json").await;
        close(&mut description["components"]["schemas"]);
        Self { server, description, asked: BTreeSet::new() }
    }

    /// Asks, and holds the answer against what is said of this route, status and media type.
    async fn ask(&mut self, method: Method, route: &str, path: &str, body: Option<&Value>, status: u16) -> Value {
        let mut request = self.server.request(method.clone(), path);
        if let Some(body) = body {
            request = request.json(body);
        }
        let (code, media_type, value) = answer(request).await;
        assert_eq!(code, status, "{method} {path}: {value}");
        let method = method.as_str().to_lowercase();
        let said = &self.description["paths"][route][&method]["responses"][code.to_string()];
        assert!(said.is_object(), "{method} {route}: {code} is not described");
        assert!(said["description"].is_string(), "{method} {route}: OpenAPI wants words for {code}");
        let essence = media_type.split(';').next().unwrap();
        let content = &said["content"][essence];
        assert!(content.is_object(), "{method} {route}: {code} as {essence} is not described: {said}");
        let mut schema = content["schema"].clone();
        schema["components"] = self.description["components"].clone();
        let validator = jsonschema::draft202012::new(&schema).unwrap();
        let wrong: Vec<_> = validator.iter_errors(&value).map(|e| format!("{}: {e}", e.instance_path())).collect();
        assert!(wrong.is_empty(), "{method} {path}: {wrong:#?}\n{value:#}");
        self.asked.insert((method, route.to_owned()));
        value
    }

    async fn get(&mut self, route: &str, path: &str, status: u16) -> Value {
        self.ask(Method::GET, route, path, None, status).await
    }

    async fn post(&mut self, route: &str, path: &str, body: &Value, status: u16) -> Value {
        self.ask(Method::POST, route, path, Some(body), status).await
    }
}

/// Refuses fields that are not described, in every object whose fields are.
fn close(schema: &mut Value) {
    if let Value::Object(object) = schema {
        if object.contains_key("properties") && object.get("type").is_some() {
            object.insert("additionalProperties".into(), json!(false));
        }
        object.values_mut().for_each(close);
    } else if let Value::Array(list) = schema {
        list.iter_mut().for_each(close);
    }
}

#[tokio::test]
async fn every_route_answers_as_it_is_described() {
    let database = databases().await.swap_remove(0);
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("config.toml"), "[jobs]\nslots = 1\n").unwrap();
    succeed(home.path(), &database.url, &["import", "starter"]);
    let mut api = Described::new(Server::start(home.path(), &database.url).await).await;
    const RUNS: &str = "/api/v1/runs/";
    const RUN: &str = "/api/v1/runs/{run_id}";
    const RESULT: &str = "/api/v1/runs/{run_id}/result";
    const CANCEL: &str = "/api/v1/runs/{run_id}/cancel";
    const CHECK: &str = "/api/v1/runs/validate-control-strategy";

    // A run to its end, with its files.
    let question = json!({"query": QUESTION, "random_seed": 1, "max_iterations": 1});
    let created = api.post(RUNS, RUNS, &question, 201).await;
    let run = format!("{RUNS}{}", created["run_id"].as_str().unwrap());
    assert_eq!(api.server.finished(created["run_id"].as_str().unwrap()).await["status"], "completed");
    let status = api.get(RUN, &run, 200).await;
    let notes = status["understood"]["notes"].as_array().unwrap();
    assert!(notes.contains(&json!("not taken into account: 'winter'")), "{status}");
    let result = api.get(RESULT, &format!("{run}/result"), 200).await;
    check_result(&result);
    for name in ["anndata_url", "report_url", "report_html_url", "log_url"] {
        let link = result[name].as_str().unwrap().strip_prefix(&api.server.url).unwrap().to_owned();
        if name != "anndata_url" {
            api.get("/objects/{key}", &link, 200).await;
        }
        let changed = link.replace("signature=", "signature=0");
        api.get("/objects/{key}", &changed, 403).await;
        api.get("/objects/{key}", link.split('?').next().unwrap(), 422).await;
    }
    api.post(CANCEL, &format!("{run}/cancel"), &json!({}), 400).await;

    // One that waits for the only slot, cancelled.
    std::fs::create_dir_all(home.path().join("jobs/slots")).unwrap();
    let slot = File::create(home.path().join("jobs/slots/0.lock")).unwrap();
    slot.lock().unwrap();
    let waiting = api.post(RUNS, RUNS, &question, 201).await;
    let waiting = format!("{RUNS}{}", waiting["run_id"].as_str().unwrap());
    api.get(RESULT, &format!("{waiting}/result"), 400).await;
    api.post(CANCEL, &format!("{waiting}/cancel"), &json!({}), 200).await;
    api.get(RUN, &waiting, 200).await;
    api.get(RUNS, "/api/v1/runs/?page_size=1&status=completed", 200).await;
    api.post(CHECK, CHECK, &json!({"query": QUESTION}), 200).await;

    // What is wrong.
    let large = json!({"query": "x".repeat(70_000)});
    for route in [RUNS, CHECK] {
        api.post(route, route, &large, 413).await;
        api.post(route, route, &json!([]), 422).await;
        api.ask(Method::POST, route, route, None, 415).await;
    }
    api.get(RUNS, "/api/v1/runs/?page=0", 422).await;
    api.get(RUN, "/api/v1/runs/x", 404).await;
    api.get(RESULT, "/api/v1/runs/x/result", 404).await;
    api.post(CANCEL, "/api/v1/runs/x/cancel", &json!({}), 404).await;

    let about = "/api/v1/metadata/";
    for name in ["datasets", "cell-types", "perturbations", "predictors", "defaults"] {
        let route = format!("{about}{name}");
        api.get(&route, &route, 200).await;
        if ["cell-types", "perturbations"].contains(&name) {
            api.get(&route, &format!("{route}?datasets=x"), 422).await;
        }
    }
    check_perturbations(&mut api, &format!("{about}perturbations")).await;
    for route in ["/api/v1/health", "/api/v1/health/ready"] {
        api.get(route, route, 200).await;
    }

    let paths = api.description["paths"].as_object().unwrap();
    let methods = |(route, item): (&String, &Value)| -> Vec<(String, String)> {
        item.as_object().unwrap().keys().map(|method| (method.clone(), route.clone())).collect()
    };
    let described: BTreeSet<_> = paths.iter().flat_map(methods).collect();
    assert_eq!(api.asked, described, "every described route was asked");
    for (method, route) in &described {
        let responses = &api.description["paths"][route][method]["responses"];
        for status in ["421", "500", "503"] {
            let content = &responses[status]["content"]["application/problem+json"];
            assert_eq!(content["schema"]["$ref"], "#/components/schemas/Problem", "{method} {route}: {status}");
        }
    }
}

fn check_result(result: &Value) {
    let notices = result["notices"].as_array().unwrap();
    let ours =
        notices.iter().find(|notice| notice["title"] == "Your question").unwrap_or_else(|| panic!("{notices:?}"));
    assert!(ours["text"].as_str().unwrap().contains("winter"), "{ours}");
    let scores = |name: &str| -> Vec<f64> {
        result[name].as_array().unwrap().iter().map(|gene| gene["score"].as_f64().unwrap()).collect()
    };
    assert!(scores("top_upregulated").is_sorted_by(|a, b| a >= b), "clearest first");
    assert!(scores("top_downregulated").is_sorted(), "clearest first");
    let tried = &result["iterations"][0];
    let kept = tried["query_cells_path"].as_str().unwrap();
    assert!(std::path::Path::new(kept).is_file(), "{kept}");
    assert_eq!(tried["control_prediction_path"], Value::Null, "the mean shift predicts no control cells");
}

async fn check_perturbations(api: &mut Described, route: &str) {
    let all = api.get(route, route, 200).await;
    let all = all["perturbations"].as_array().unwrap();
    let of = |kind: &str| all.iter().filter(|held| held["type"] == kind).cloned().collect::<Vec<_>>();
    assert!(!of("drug").is_empty() && of("drug").len() < all.len(), "{all:?}");
    for kind in ["drug", "cytokine"] {
        let found = api.get(route, &format!("{route}?type={kind}"), 200).await;
        assert_eq!(found["perturbations"], json!(of(kind)));
    }
    let refused = api.get(route, &format!("{route}?type=weather"), 422).await;
    assert!(refused["detail"].as_str().unwrap().contains("'drug', 'cytokine', 'genetic' or 'unknown'"), "{refused}");
}
