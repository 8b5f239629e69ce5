//! A question carried to its answer by the program itself, on real cells and on simulated ones.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use haystack::domain::RunId;
use haystack::domain::evaluation::Criteria;
use haystack::domain::run::{ControlStrategy, JobHandle, Measured, Phase, Predictor, Settings};
use serde_json::{Value, json};

use crate::support::program::{Server, finish, haystack, succeed};
use crate::support::{TestDatabase, databases, fill, fixture, python, shared, small_disk};

const QUESTION: &str = "How would B cells respond to interferon beta?";

/// Fills a home with the real knowledge, cells and model beside the checkout.
fn import_kang(home: &Path, database: &str) -> Option<()> {
    let data = |path: &str| Some(shared(path)?.to_str()?.to_owned());
    let starter = format!("{}/assets/starter/perturbations.tsv", env!("CARGO_MANIFEST_DIR"));
    let map = fixture("kang2018.toml").to_str()?.to_owned();
    let (cl, hallmark) =
        (data("data/ontologies/cl-basic.2022-12-15.obo.gz")?, data("data/genesets/h.all.v7.0.symbols.gmt.gz")?);
    let (reactome, collectri) =
        (data("data/genesets/ReactomePathways.gmt.gz")?, data("data/networks/collectri_human.csv.gz")?);
    let cells = data("data/singlecell/kang2018_muscat_1556x1267.h5ad")?;
    let (checkpoint, genes) = (data("stack/kang/kang_small_A.ckpt")?, data("stack/kang/genes.pkl")?);
    let import = |args: &[&str]| succeed(home, database, &[&["import"], args].concat());
    import(&["ontology", &cl]);
    import(&["gene-sets", &hallmark, "--collection", "hallmark"]);
    import(&["gene-sets", &reactome, "--collection", "reactome"]);
    import(&["regulons", &collectri, "--network", "collectri"]);
    import(&["perturbations", &starter]);
    import(&["model", &checkpoint, "--genes", &genes, "--name", "kang-small", "--licence", "for tests alone"]);
    import(&["atlas", &cells, "--dataset", "kang2018", "--map", &map]);
    Some(())
}

/// What must be the same whenever the same is asked of the same stores.
fn numbers(report: &Value) -> Value {
    let mut iterations = report["iterations"].clone();
    for iteration in iterations.as_array_mut().unwrap() {
        iteration.as_object_mut().unwrap().remove("seconds");
        strip_ids(iteration);
    }
    json!({"query": report["query"], "result": report["result"], "iterations": iterations})
}

/// Database ids of cell sets differ between databases.
fn strip_ids(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, value| name != "id" || value.is_string());
            fields.values_mut().for_each(strip_ids);
        }
        Value::Array(values) => values.iter_mut().for_each(strip_ids),
        _ => {}
    }
}

fn names<'a>(list: &'a Value, field: &str) -> Vec<&'a str> {
    list.as_array().unwrap().iter().map(|item| item[field].as_str().unwrap()).collect()
}

fn check_answer(report: &Value) {
    assert_eq!(report["query"]["cell_type"]["id"], "CL:0000236");
    assert_eq!(report["query"]["perturbation"]["ids"][0], "uniprot:P01574");
    for iteration in report["iterations"].as_array().unwrap() {
        for set in iteration["prompt"]["sets"].as_array().unwrap() {
            let perturbed = &set["key"]["condition"]["perturbed"]["perturbation"];
            assert_eq!(perturbed["original"], "stim", "prompts are stimulated cells: {set}");
            assert_ne!(set["key"]["cell_type"]["term"]["id"], "CL:0000236", "prompts are no B cells: {set}");
        }
        assert_eq!(iteration["control"]["strategy"], "synthetic_control", "{}", iteration["control"]);
        assert!(iteration["n_control_cells"].as_u64().unwrap() >= 10);
        for set in iteration["query"].as_array().unwrap() {
            assert_eq!(set["key"]["cell_type"]["term"]["id"], "CL:0000236");
            assert!(set["key"]["condition"]["control"].is_object(), "query cells are unstimulated: {set}");
        }
    }
    let result = &report["result"];
    let up = names(&result["answer"]["top_upregulated"], "gene");
    let interferon = ["ISG15", "ISG20", "IFIT1", "IFIT2", "IFIT3", "IFI6", "LY6E", "MX1", "IRF7", "OAS1", "IFI44L"];
    let found = up.iter().filter(|gene| interferon.contains(gene)).count();
    assert!(found >= 6, "{found} interferon genes among {up:?}");
    let sets = names(&result["answer"]["enriched_pathways"], "name");
    assert!(sets.contains(&"Interferon alpha/beta signaling"), "{sets:?}");
    assert!(sets.contains(&"HALLMARK_INTERFERON_ALPHA_RESPONSE"), "{sets:?}");
    let factors = names(&result["answer"]["activated_tfs"], "factor");
    assert!(factors.iter().any(|factor| ["STAT1", "STAT2", "IRF9", "IRF1"].contains(factor)), "{factors:?}");
    for side in ["answer", "baseline"] {
        assert!(result[side]["score"].is_u64() && result[side]["n_de_genes"].as_u64() > Some(10), "{}", result[side]);
        // Half of the figure on the whole of B cells with both donors as prompts, see the model's README (.775).
        assert!(result["measured"][side]["pearson"].as_f64() > Some(0.39), "{}", result["measured"]);
    }
    assert_eq!(result["model"]["licence"], "for tests alone");
    assert_eq!(result["simulated"], false);
}

fn check_outputs(report: &Value) {
    let output = |name: &str| report["outputs"][name].as_str().unwrap().to_owned();
    for name in ["anndata", "report_md", "report_html", "log"] {
        assert!(Path::new(&output(name)).is_file(), "{name}");
    }
    let log: Value = serde_json::from_str(&std::fs::read_to_string(output("log")).unwrap()).unwrap();
    assert_eq!(log["run_id"], report["run_id"]);
    let Some(python) = python() else { return };
    // Opens without a warning, draws, and holds the same genes on top.
    let script = "
import sys, json, anndata, scanpy as sc, matplotlib
matplotlib.use('Agg')
cells = anndata.read_h5ad(sys.argv[1])
sc.pl.rank_genes_groups(cells, n_genes=20, show=False)
table = sc.get.rank_genes_groups_df(cells, group='perturbed')
counts = cells.layers['counts']
print(json.dumps({'top': table['names'].tolist()[:20], 'shape': cells.shape, 'run': cells.uns['haystack']['run_id'],
  'conditions': cells.obs['condition'].value_counts().to_dict(), 'whole': bool((counts.data % 1 == 0).all())}))
";
    let run = Command::new(python).args(["-W", "error", "-c", script]).arg(output("anndata")).output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let seen: Value = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!(seen["run"], report["run_id"]);
    assert_eq!(seen["whole"], true);
    let top = report["result"]["answer"]["top_upregulated"][0]["gene"].as_str().unwrap();
    assert_eq!(seen["top"][0], top);
    let query = report["iterations"][0]["n_query_cells"].as_u64();
    assert_eq!(seen["conditions"]["perturbed"].as_u64(), query);
}

#[tokio::test]
async fn real_cells_and_a_trained_model_answer_alike_on_both_databases_and_over_http() {
    let mut answers: Vec<Value> = Vec::new();
    for database in databases().await {
        let home = tempfile::tempdir().unwrap();
        let Some(()) = import_kang(home.path(), &database.url) else { return };
        let args = ["run", QUESTION, "--model", "kang-small", "--seed", "1", "--json"];
        let report: Value = serde_json::from_str(&succeed(home.path(), &database.url, &args)).unwrap();
        check_answer(&report);
        check_outputs(&report);

        let server = Server::start(home.path(), &database.url).await;
        let check = json!({"query": QUESTION});
        let (_, _, controls) = server.post("/api/v1/runs/validate-control-strategy", &check).await;
        assert_eq!(controls["synthetic_control_available"], true, "{controls}");
        assert_eq!(controls["control_conditions"], json!(["ctrl"]), "{controls}");
        let body =
            json!({"query": QUESTION, "predictor": {"method": "stack", "model": "kang-small"}, "random_seed": 1});
        let (code, _, created) = server.post("/api/v1/runs/", &body).await;
        assert_eq!(code, 201, "{created}");
        let id = created["run_id"].as_str().unwrap();
        let status = server.finished(id).await;
        assert_eq!(status["status"], "completed", "{status}");
        assert_eq!(status["control_strategy_effective"], "synthetic_control");
        let (code, _, outcome) = server.get(&format!("/api/v1/runs/{id}/result")).await;
        assert_eq!(code, 200, "{outcome}");
        let genes = |list: &Value| names(list, "gene").iter().map(ToString::to_string).collect::<Vec<_>>();
        let result = &report["result"];
        assert_eq!(genes(&outcome["top_upregulated"]), genes(&result["answer"]["top_upregulated"]));
        assert_eq!(outcome["grounding_score"], result["answer"]["score"]);
        assert_eq!(outcome["measured"]["answer"]["pearson"], result["measured"]["answer"]["pearson"]);
        for place in ["query_cells_path", "control_prediction_path"] {
            let path = outcome["iterations"][0][place].as_str().unwrap();
            assert!(fs::read(path).unwrap().starts_with(b"\x89HDF"), "{place}: {path}");
        }
        for (link, begin) in
            [("anndata_url", &b"\x89HDF"[..]), ("report_url", b"#"), ("report_html_url", b"<!"), ("log_url", b"{")]
        {
            let url = outcome[link].as_str().unwrap();
            let path = url.strip_prefix(&server.url).unwrap_or_else(|| panic!("{url} is not below {}", server.url));
            let file = server.request(reqwest::Method::GET, path).send().await.unwrap();
            assert_eq!(file.status(), 200, "{url}");
            assert!(file.bytes().await.unwrap().to_ascii_lowercase().starts_with(&begin.to_ascii_lowercase()), "{url}");
        }
        answers.push(numbers(&report));
    }
    if let [sqlite, postgresql] = &answers[..] {
        assert_eq!(sqlite, postgresql, "the two databases answer differently");
    }
}

#[test]
fn the_starter_answers_and_says_that_it_is_simulated() {
    let home = tempfile::tempdir().unwrap();
    let database = format!("sqlite://{}/haystack.db", home.path().display());
    succeed(home.path(), &database, &["migrate"]);
    succeed(home.path(), &database, &["import", "starter"]);
    let args = ["run", "How would CD14 monocytes respond to interferon beta?", "--seed", "1"];
    let text = succeed(home.path(), &database, &args);
    assert!(text.starts_with("SIMULATED"), "{text}");
    for expected in ["Read as   CD14-positive monocyte (CL:0001054), interferon beta (uniprot:P01574)", ", seed 1\n"] {
        assert!(text.contains(expected), "{text}");
    }
    assert!(text.contains("simulated cells held out") && !text.contains("measured"), "{text}");
    let json = succeed(home.path(), &database, &[&args[..], &["--json"]].concat());
    let report: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(report["result"]["simulated"], true);
    assert_eq!(report["result"]["model"], Value::Null, "the baseline answers until a model is imported");
    assert_eq!(report["settings"]["predictor"]["method"], "mean-shift");
    assert_eq!(report["query"]["cell_type"]["id"], "CL:0001054");
    check_outputs(&report);
    let markdown = std::fs::read_to_string(report["outputs"]["report_md"].as_str().unwrap()).unwrap();
    assert!(markdown.to_lowercase().contains("simulated") && !markdown.contains("really measured"), "{markdown}");
    // The same once more changes nothing and is quick.
    succeed(home.path(), &database, &["import", "starter"]);
    let again: Value =
        serde_json::from_str(&succeed(home.path(), &database, &[&args[..], &["--json"]].concat())).unwrap();
    assert_eq!(numbers(&report), numbers(&again));
}

#[test]
fn what_cannot_be_answered_says_why_and_how_to_go_on() {
    let home = tempfile::tempdir().unwrap();
    let database = format!("sqlite://{}/haystack.db", home.path().display());
    let check = |args: &[&str], code: i32, words: &[&str]| {
        let (ended, _, said) = finish(home.path(), &database, args);
        assert_eq!(ended, code, "haystack {args:?}: {said}");
        for word in words {
            assert!(said.contains(word), "haystack {args:?} does not say '{word}': {said}");
        }
    };
    check(&["run", QUESTION], 2, &["haystack migrate"]);
    succeed(home.path(), &database, &["migrate"]);
    check(&["run", QUESTION], 1, &["haystack import"]);
    succeed(home.path(), &database, &["import", "starter"]);
    check(&["run", "B cells?"], 2, &["8 characters", "at least 10"]);
    check(&["run", "How would quokka cells respond to interferon beta?"], 1, &["quokka"]);
    check(&["run", "How would B cells respond to moonlight rays?"], 1, &["moonlight"]);
    check(&["run", QUESTION, "--model", "none"], 2, &["'none'", "haystack import model"]);
    check(&["run", QUESTION, "--max-iterations", "0"], 2, &["1 to 10"]);
    check(&["orchestrate", "--run-id", "run_0123456789ab"], 1, &["run_0123456789ab", "RUN_ID"]);
    check(&["orchestrate", "--run-id", "12"], 2, &["run_"]);
    check(&["orchestrate"], 2, &["RUN_ID"]);
}

/// `haystack run` that waits for an inference job for ever, because the only slot is taken.
async fn stuck(home: &Path, database: &TestDatabase) -> (Child, RunId, fs::File) {
    let slots = home.join("jobs/slots");
    fs::create_dir_all(&slots).unwrap();
    let slot = fs::File::create(slots.join("0.lock")).unwrap();
    slot.lock().unwrap();
    let mut child = haystack(home, &database.url)
        .args(["run", STARTER_QUESTION])
        .env("HAYSTACK__JOBS__SLOTS", "1")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let begin = Instant::now();
    loop {
        for (run, _) in database.runs_in_progress().await.unwrap() {
            if database.run(&run).await.unwrap().unwrap().phase == Phase::Inference {
                return (child, run, slot);
            }
        }
        assert_eq!(child.try_wait().unwrap(), None);
        assert!(begin.elapsed() < Duration::from_secs(600), "the run does not come to inference");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

const STARTER_QUESTION: &str = "How would CD14 monocytes respond to interferon beta?";

#[tokio::test]
async fn a_killed_run_does_not_stay_running() {
    for database in databases().await {
        let home = tempfile::tempdir().unwrap();
        succeed(home.path(), &database.url, &["import", "starter"]);

        // While nobody looks: the next to come sees it.
        let (mut child, run, slot) = stuck(home.path(), &database).await;
        child.kill().unwrap();
        child.wait().unwrap();
        drop(slot);
        let (code, _, said) = finish(home.path(), &database.url, &["run", "How would quokkas respond to LPS?"]);
        assert_eq!(code, 1, "{said}");
        let record = database.run(&run).await.unwrap().unwrap();
        let failure = record.failure.unwrap_or_else(|| panic!("{}: {:?}", database.kind, record.lifecycle));
        assert!(failure.message.contains("was stopped before the run was finished"), "{failure}");

        // While a server runs: one that is at work is left alone, and the server sees its end.
        let (mut child, run, _slot) = stuck(home.path(), &database).await;
        let server = Server::start(home.path(), &database.url).await;
        let (_, _, status) = server.get(&format!("/api/v1/runs/{run}")).await;
        assert_eq!(status["status"], "running", "{status}");
        child.kill().unwrap();
        child.wait().unwrap();
        let status = server.finished(run.as_str()).await;
        assert_eq!(status["status"], "failed", "{status}");
        assert!(status["error_message"].as_str().unwrap().contains("was stopped before"), "{status}");
    }
}

/// A job template says what to compare with by an environment variable; a server's own variable leaves
/// the runs it starts alone.
#[tokio::test]
async fn the_environment_of_a_job_chooses_its_control() {
    let database = databases().await.swap_remove(0);
    let home = tempfile::tempdir().unwrap();
    succeed(home.path(), &database.url, &["import", "starter"]);
    for (by_variable, expected) in [(true, "query_as_control"), (false, "synthetic_control")] {
        let run = RunId::random();
        let settings = Settings {
            control_strategy: ControlStrategy::SyntheticControl,
            predictor: Predictor::MeanShift {},
            max_iterations: 1,
            score_threshold: 7,
            seed: 1,
            measured: Measured::HoldOut,
            pathway_enrichment: true,
            criteria: Criteria::default(),
        };
        let job = JobHandle("a job of another machine".into());
        database.create_run(&run, "a@b.org", STARTER_QUESTION, &settings, &job).await.unwrap();
        let mut command = haystack(home.path(), &database.url);
        command.arg("orchestrate").env("CONTROL_STRATEGY", "query_as_control");
        match by_variable {
            true => command.env("RUN_ID", run.as_str()),
            false => command.args(["--run-id", run.as_str()]),
        };
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let record = database.run(&run).await.unwrap().unwrap();
        assert_eq!(record.settings.control_strategy.as_str(), expected);
        assert_eq!(record.control_strategy_effective.unwrap().as_str(), expected);
    }
}

/// Cancelling by the API ends a run in a terminal in good order.
#[tokio::test]
async fn a_run_in_a_terminal_can_be_cancelled_from_the_page() {
    let database = databases().await.swap_remove(0);
    let home = tempfile::tempdir().unwrap();
    succeed(home.path(), &database.url, &["import", "starter"]);
    let (mut child, run, _slot) = stuck(home.path(), &database).await;
    let server = Server::start(home.path(), &database.url).await;
    let (code, _, answer) = server.post(&format!("/api/v1/runs/{run}/cancel"), &json!({})).await;
    assert_eq!((code, &answer["status"]), (200, &json!("cancelled")), "{answer}");
    assert!(child.wait().unwrap().success(), "cancelled on request is exit code 0");
}

/// What a person sees: `script` gives the program a terminal.
#[test]
fn log_lines_stay_out_of_the_progress_on_a_terminal_unless_asked_for() {
    let home = tempfile::tempdir().unwrap();
    let database = format!("sqlite://{}/haystack.db", home.path().display());
    succeed(home.path(), &database, &["migrate"]);
    succeed(home.path(), &database, &["import", "starter"]);
    let seen = |level: Option<&str>| {
        let command = format!("{} run '{STARTER_QUESTION}' --seed 1", env!("CARGO_BIN_EXE_haystack"));
        let mut terminal = Command::new("script");
        terminal.args(["--quiet", "--return", "--command", &command, "/dev/null"]).stdin(Stdio::null()).env_clear();
        terminal.env("PATH", std::env::var_os("PATH").unwrap()).env("TERM", "xterm").env("HAYSTACK_HOME", home.path());
        if let Some(level) = level {
            terminal.env("RUST_LOG", level);
        }
        let output = terminal.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{text}");
        text
    };
    let text = seen(None);
    assert!((text.contains("Queued") || text.contains("Iteration")) && text.contains("SIMULATED"), "{text}");
    assert!(!text.contains("INFO"), "{text}");
    let text = seen(Some("haystack=info"));
    let line = text.split(['\r', '\n']).find(|line| line.contains("INFO")).unwrap_or_else(|| panic!("{text}"));
    assert!(!line.contains("Queued") && !line.contains("Iteration"), "a log line has a line of its own: {line:?}");
}

/// Room for the prompts and predictions of a run, but not for its outputs.
#[test]
fn a_full_disk_at_the_outputs_fails_the_run_and_leaves_none() {
    let Some(disk) = small_disk("run::a_full_disk_at_the_outputs_fails_the_run_and_leaves_none") else { return };
    let home = tempfile::tempdir().unwrap();
    let database = format!("sqlite://{}/haystack.db", home.path().display());
    succeed(home.path(), &database, &["migrate"]);
    succeed(home.path(), &database, &["import", "starter"]);
    let objects = format!("file://{}", disk.display());
    let ask = || {
        let mut command = haystack(home.path(), &database);
        command.args(["run", STARTER_QUESTION, "--seed", "1", "--max-iterations", "1", "--json"]);
        command.env("HAYSTACK__OBJECTS__URL", &objects).output().unwrap()
    };
    // What it needs, from a run with room.
    let output = ask();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let needed = disk_usage(&disk.join("batch-io"));
    for folder in fs::read_dir(&disk).unwrap() {
        fs::remove_dir_all(folder.unwrap().path()).unwrap();
    }
    fill(&disk, needed + (16 << 10));

    let output = ask();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(75), "{said}");
    assert!(said.contains("output.h5ad") && said.contains(disk.to_str().unwrap()), "{said}");
    assert!(said.contains("No space left on device") && said.contains("Hint: "), "{said}");
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&answer["status"], &answer["failure"]["kind"]), (&json!("failed"), &json!("OutputError")), "{answer}");
    let run = disk.join("runs").join(answer["run_id"].as_str().unwrap());
    let left: Vec<_> = fs::read_dir(&run).map(|files| files.collect()).unwrap_or_default();
    assert!(left.is_empty(), "{left:?}");

    // With room again, the same question is answered.
    fs::remove_file(disk.join("filler")).unwrap();
    let output = ask();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn disk_usage(folder: &Path) -> u64 {
    let output = Command::new("du").args(["--summarize", "--block-size=1"]).arg(folder).output().unwrap();
    String::from_utf8(output.stdout).unwrap().split_whitespace().next().unwrap().parse().unwrap()
}

/// An ontology that does not fit: said with the place, and nothing of it is held.
#[test]
fn a_full_disk_at_an_import_leaves_the_database_as_it_was() {
    let Some(disk) = small_disk("run::a_full_disk_at_an_import_leaves_the_database_as_it_was") else { return };
    let database = format!("sqlite://{}/haystack.db", disk.display());
    let import = |file: &Path| finish(&disk, &database, &["import", "ontology", file.to_str().unwrap()]);
    let resolve = |name: &str| finish(&disk, &database, &["resolve", "--kind", "cell-type", name]);
    succeed(&disk, &database, &["migrate"]);
    let folder = tempfile::tempdir().unwrap();
    let small = folder.path().join("small.obo");
    fs::write(&small, "ontology: cl\n[Term]\nid: CL:0000236\nname: B cell\n").unwrap();
    let (code, _, said) = import(&small);
    assert_eq!(code, 0, "{said}");
    let large = folder.path().join("large.obo");
    let term = |n: u32| format!("[Term]\nid: CL:{n:07}\nname: cell {n} {}\n", "of some kind ".repeat(20));
    fs::write(&large, format!("ontology: cl\n{}", (1..10_000).map(term).collect::<String>())).unwrap();
    fill(&disk, 1 << 20);

    let (code, _, said) = import(&large);
    assert_eq!(code, 75, "{said}");
    assert!(said.contains("database or disk is full") && said.contains("Hint: free some space"), "{said}");
    assert!(said.contains(&database), "the place: {said}");
    let (code, found, said) = resolve("B cell");
    assert!(code == 0 && found.contains("CL:0000236"), "{found} {said}");

    fs::remove_file(disk.join("filler")).unwrap();
    let (code, _, said) = import(&large);
    assert_eq!(code, 0, "{said}");
    let (_, found, said) = resolve("CL:0000236");
    assert!(found.contains("cell 236 of some kind"), "the new release is held: {found} {said}");
}
