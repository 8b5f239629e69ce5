//! The outputs of a run: the words of a small report, and a file that Python scanpy opens and plots.
//!
//! Everything written stays in `target/tmp/report` to be looked at.

use std::path::{Path, PathBuf};
use std::process::Command;

use haystack::anndata;
use haystack::domain::evaluation::{Criteria, Evaluation, Findings, ModelRecord, RunResult};
use haystack::domain::inference::{ArmSummary, InferSummary, Location, Method, Sampling};
use haystack::domain::query::{StructuredQuery, Task};
use haystack::domain::run::{
    ControlStrategy, EffectiveControl, Iteration, Measured, Predictor, PromptCandidate, Settings, Strategy,
    TerminationReason,
};
use haystack::domain::terms::{Direction, GeneEffect, PerturbationKind};
use haystack::domain::{
    CellSet, CellSetKey, Condition, Csr, Expression, GeneSet, Label, Perturbation, Regulation, Term,
};
use haystack::orchestrate::evaluate::{Evaluator, Predicted, Regulon, compare_with_measured, evaluate};
use haystack::orchestrate::report::{Arms, Report, Source, html, log, markdown, output};

use crate::support::python;

/// Small whole numbers that look random and are the same everywhere.
fn draw(cell: usize, gene: usize, arm: usize) -> u32 {
    let mut x =
        (cell as u64 * 1_000_003 + gene as u64 * 7919 + arm as u64 * 104_729).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x ^= x >> 29;
    x = x.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    ((x ^ (x >> 32)) % 6) as u32
}

const N_GENES: usize = 60;

/// The first eight genes rise with `effect`, the next four fall.
fn cells(arm: usize, n: usize, effect: f32) -> Expression {
    let genes: Vec<String> = (0..N_GENES)
        .map(|g| match g {
            0..8 => format!("IFI{}", g + 1),
            8..12 => format!("DOWN{}", g - 7),
            _ => format!("GENE{g}"),
        })
        .collect();
    let row = |cell: usize| {
        (0..N_GENES).filter_map(move |gene| {
            let base = draw(cell, gene, arm) as f32 + 1.0;
            let value = match gene {
                0..8 => (base * (1.0 + effect)).round(),
                8..12 => (base * 4.0 / (1.0 + effect)).floor(),
                _ => base,
            };
            (value > 0.0).then_some((gene as u32, value))
        })
    };
    Expression {
        cells: (0..n).map(|cell| format!("AAC{cell}-1")).collect(),
        genes,
        counts: Csr::from_rows(N_GENES, (0..n).map(row)).unwrap(),
    }
}

fn perturbation() -> Perturbation {
    let up = |gene: &str| GeneEffect { gene: gene.into(), direction: Direction::Up };
    Perturbation {
        name: "interferon beta".into(),
        kind: PerturbationKind::Cytokine,
        ids: vec!["uniprot:P01574".parse().unwrap()],
        synonyms: vec!["IFNB1".into()],
        targets: vec![up("IFNAR1"), up("IFNAR2")],
        effectors: vec![up("STAT1")],
        responses: vec![up("IFI1"), up("IFI2"), up("GENE20"), up("NOT_MEASURED")],
        pathways: vec!["Interferon alpha response".into()],
    }
}

fn gene_sets() -> Vec<GeneSet> {
    let set = |name: &str, genes: Vec<String>| GeneSet {
        collection: "Hallmark".into(),
        name: name.into(),
        description: String::new(),
        genes,
    };
    vec![
        set("HALLMARK_INTERFERON_ALPHA_RESPONSE", (1..=8).map(|g| format!("IFI{g}")).collect()),
        set("HALLMARK_OTHER", (20..30).map(|g| format!("GENE{g}")).collect()),
        set("<script>alert('x')</script> | set", (1..=4).map(|g| format!("DOWN{g}")).collect()),
    ]
}

fn regulons() -> Vec<Regulon> {
    let regulation = |target: String| Regulation { source: "STAT1".into(), target, weight: 1.0 };
    Regulon::group(&(1..=8).map(|g| regulation(format!("IFI{g}"))).collect::<Vec<_>>())
}

fn cell_set(cell_type: (&str, &str), donor: &str, perturbed: bool, n_cells: u64) -> CellSet {
    let term = |id: &str, name: &str| Term { id: id.parse().unwrap(), name: name.into() };
    let condition = match perturbed {
        false => Condition::Control { label: Some("ctrl".into()), time: None },
        true => Condition::Perturbed {
            perturbation: Label { original: "stim".into(), term: Some(term("uniprot:P01574", "interferon beta")) },
            dose: None,
            time: None,
        },
    };
    CellSet {
        id: 1,
        key: CellSetKey {
            dataset: "small-atlas".into(),
            cell_type: Label { original: cell_type.1.into(), term: Some(term(cell_type.0, cell_type.1)) },
            condition,
            donor: Some(donor.into()),
            tissue: None,
            disease: None,
            batch: None,
            sample_condition: None,
        },
        n_cells,
        mean_genes: None,
        mean_counts: None,
    }
}

struct Made {
    report: Report,
    perturbed: Expression,
    control: Expression,
    baseline: Expression,
    query: Expression,
}

fn made() -> Made {
    let [perturbed, control, baseline, query] =
        [cells(1, 30, 3.0), cells(2, 30, 0.0), cells(3, 30, 1.0), cells(4, 30, 0.0)];
    let (perturbation, gene_sets, regulons) = (perturbation(), gene_sets(), regulons());
    let evaluator = Evaluator::new(&perturbation, &gene_sets, &regulons, 7);
    let evaluation = evaluate(&perturbed, &control, &evaluator, 0).unwrap();
    let beside = evaluate(&baseline, &query, &evaluator, 0).unwrap();
    let measured = compare_with_measured(
        &cells(5, 25, 2.5),
        &query,
        Predicted { treatment: &perturbed, control: &control },
        Predicted { treatment: &baseline, control: &query },
    )
    .unwrap();

    let monocyte = ("CL:0000576", "monocyte");
    let iteration = |number: u32, evaluation: &Evaluation, baseline: &Evaluation| Iteration {
        number,
        prompt: PromptCandidate {
            sets: vec![cell_set(monocyte, "101", true, 120), cell_set(monocyte, "107", true, 80)],
            strategy: if number == 1 { Strategy::Direct } else { Strategy::Ontology },
            relevance: 0.9,
            rank_score: 0.81,
            has_control: true,
            rationale: "monocytes responded to interferon beta in this data set".into(),
        },
        n_candidates: 4,
        n_prompt_cells: 200,
        n_control_cells: 180,
        query: vec![cell_set(("CL:0000236", "B cell"), "101", false, 60)],
        n_query_cells: 30,
        query_relaxations: vec!["donor".into()],
        control: EffectiveControl::SyntheticControl {
            sets: vec![cell_set(monocyte, "101", false, 180)],
            relaxations: vec![],
        },
        grounding: evaluation.grounding.clone(),
        baseline: baseline.grounding.clone(),
        seconds: 63.4,
        warnings: vec!["only 30 query cells are in the atlas".into()],
    };
    let iterations = vec![iteration(1, &beside, &beside), iteration(2, &evaluation, &beside)];
    let result = RunResult {
        best_iteration: 2,
        termination_reason: TerminationReason::ThresholdReached,
        answer: Findings::from(&evaluation),
        baseline: Findings::from(&beside),
        measured: Some(measured),
        control_strategy_effective: ControlStrategy::SyntheticControl,
        model: Some(ModelRecord {
            name: "small".into(),
            sha256: Some("ab".repeat(32)),
            licence: Some("CC BY-NC-SA 4.0".into()),
        }),
        simulated: true,
    };
    let arm = |name: &str| ArmSummary {
        name: name.into(),
        method: Method::Stack,
        output: Location::Key(format!("runs/{name}.h5ad")),
        n_prompt_cells: 200,
        n_genes_matched: N_GENES,
        seconds: 20.0,
    };
    let report = Report {
        run_id: "run_0123456789ab".parse().unwrap(),
        user_email: Some("someone@example.org".into()),
        query: StructuredQuery {
            question: "How would B cells respond to interferon beta | <b>and</b> why?".into(),
            task: Task::PerturbationNovelCellTypes,
            cell_type: Term { id: "CL:0000236".parse().unwrap(), name: "B cell".into() },
            perturbation: Some(perturbation),
            tissue: None,
            disease: None,
            donor: None,
            notes: vec!["'B cells' was read as the plural of 'B cell'".into()],
        },
        settings: Settings {
            control_strategy: ControlStrategy::SyntheticControl,
            predictor: Predictor::Stack { model: "small".into() },
            max_iterations: 5,
            score_threshold: 7,
            seed: 7,
            measured: Measured::HoldOut,
            pathway_enrichment: true,
            criteria: Criteria::default(),
        },
        iterations,
        evaluation,
        baseline: beside,
        result,
        inference: InferSummary {
            arms: vec![arm("perturbed"), arm("control")],
            n_query_cells: 30,
            n_genes: N_GENES,
            model: Some("small".into()),
            model_sha256: Some("ab".repeat(32)),
            model_licence: Some("CC BY-NC-SA 4.0".into()),
            device: "cpu".into(),
            sampling: Sampling { seed: 7, ..Sampling::default() },
            seconds: 41.0,
            warnings: vec![],
        },
        sources: vec![
            Source {
                kind: "atlas".into(),
                name: "small-atlas".into(),
                detail: "small.h5ad, 500 cells".into(),
                simulated: true,
            },
            Source { kind: "gene sets".into(), name: "Hallmark".into(), detail: "3 sets".into(), simulated: false },
        ],
        version: "0.1.0".into(),
        started: "2026-01-02T03:04:05Z".parse().unwrap(),
        finished: "2026-01-02T03:06:15Z".parse().unwrap(),
    };
    Made { report, perturbed, control, baseline, query }
}

fn kept(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("report");
    std::fs::create_dir_all(&folder).unwrap();
    folder.join(name)
}

#[test]
fn a_small_report_reads_like_this() {
    let text = markdown(&made().report).unwrap();
    std::fs::write(kept("report.md"), &text).unwrap();
    insta::assert_snapshot!(text);
}

#[test]
fn the_page_holds_nothing_from_outside_and_nothing_live() {
    let page = html(&made().report).unwrap();
    std::fs::write(kept("report.html"), &page).unwrap();
    assert!(!page.contains("<script") && !page.contains("<b>and</b>"), "text became markup");
    assert!(page.contains("&lt;script&gt;") && page.contains("&lt;b&gt;and&lt;"), "text was lost");
    for outside in ["http:", "https:", "src=", "@import", "url("] {
        assert!(!page.contains(outside), "the page refers to something outside: {outside}");
    }
    for expected in ["Simulated", "CC BY-NC-SA 4.0", "<svg", "IFI1", "Interferon alpha response"] {
        assert!(page.contains(expected), "{expected}");
    }
}

#[test]
fn a_page_without_results_still_stands() {
    let mut report = made().report;
    let quiet = cells(1, 12, 0.0);
    let perturbation = Perturbation { responses: vec![], pathways: vec![], effectors: vec![], ..perturbation() };
    let nothing = evaluate(&quiet, &quiet, &Evaluator::new(&perturbation, &[], &[], 7), 0).unwrap();
    report.result.answer = Findings::from(&nothing);
    report.result.measured = None;
    report.result.model = None;
    report.result.simulated = false;
    report.sources.clear();
    report.iterations.truncate(1);
    report.iterations[0].control = EffectiveControl::QueryAsControl { forced: true, why: "no control cells".into() };
    report.iterations[0].grounding = nothing.grounding.clone();
    report.result.best_iteration = 1;
    report.evaluation = nothing;
    let page = html(&report).unwrap();
    std::fs::write(kept("empty.html"), &page).unwrap();
    let text = markdown(&report).unwrap();
    assert!(!text.contains("Simulated") && text.contains("No part of the score could be measured"), "{text}");
    assert!(text.contains("haystack import gene-sets"), "{text}");
}

#[test]
fn the_page_of_a_real_response_stays_small() {
    let Some(perturbed) = super::evaluate::cells("pred_mdm5_stim_101") else { return };
    let [control, query, truth, prompt] = ["pred_mdm5_ctrl_101", "query_B_ctrl", "truth_B_stim", "base_stim_101"]
        .map(|name| super::evaluate::cells(name).unwrap());
    let (perturbation, gene_sets, regulons) =
        (super::evaluate::interferon_beta(), super::evaluate::gene_sets(), super::evaluate::regulons());
    let evaluator = Evaluator::new(&perturbation, &gene_sets, &regulons, 7);
    let mut report = made().report;
    report.evaluation = evaluate(&perturbed, &control, &evaluator, 0).unwrap();
    // Prompt cells in place of a baseline: enough for the page.
    report.baseline = evaluate(&prompt, &query, &evaluator, 0).unwrap();
    report.result.answer = Findings::from(&report.evaluation);
    report.result.baseline = Findings::from(&report.baseline);
    let answer = Predicted { treatment: &perturbed, control: &control };
    let baseline = Predicted { treatment: &prompt, control: &query };
    report.result.measured = Some(compare_with_measured(&truth, &query, answer, baseline).unwrap());
    report.query.question = "How would B cells respond to interferon beta?".into();
    report.iterations[1].grounding = report.evaluation.grounding.clone();
    for iteration in &mut report.iterations {
        iteration.baseline = report.baseline.grounding.clone();
    }
    let page = html(&report).unwrap();
    std::fs::write(kept("real.html"), &page).unwrap();
    std::fs::write(kept("real.md"), markdown(&report).unwrap()).unwrap();
    assert!(page.len() < 400_000, "{} bytes", page.len());
}

#[test]
fn the_log_has_the_agreed_fields() {
    let log = log(&made().report);
    std::fs::write(kept("log.json"), serde_json::to_vec_pretty(&log).unwrap()).unwrap();
    for field in [
        "run_id",
        "user_email",
        "start_time",
        "end_time",
        "status",
        "control_strategy",
        "control_strategy_effective",
        "config",
        "query",
        "iterations",
        "final_score",
        "termination_reason",
        "simulated",
        "sources",
        "version",
    ] {
        assert!(log.get(field).is_some(), "{field} is missing");
    }
    assert_eq!(log["start_time"], "2026-01-02T03:04:05Z");
    assert_eq!(log["query"]["raw"], made().report.query.question);
    for field in ["number", "duration_seconds", "prompt_strategy", "grounding_score", "control_strategy"] {
        assert!(log["iterations"][1].get(field).is_some(), "{field} is missing");
    }
    assert!(log["evaluation"].get("changes").is_none());
}

#[test]
fn scanpy_opens_and_draws_the_file() {
    let made = made();
    let arms =
        Arms { perturbed: &made.perturbed, control: &made.control, baseline: &made.baseline, query: Some(&made.query) };
    let path = kept("output.h5ad");
    anndata::write(&path, &output(&made.report, &arms).unwrap()).unwrap();
    let Some(python) = python() else { return };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/report.py");
    let run =
        Command::new(python).args(["-W", "error"]).arg(script).arg(&path).arg(kept("scanpy.png")).output().unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{said}\n{}", String::from_utf8_lossy(&run.stderr));
    let found: serde_json::Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();

    // What scanpy reads is what was computed, and what it computes itself from the same layer.
    let first = &made.report.evaluation.changes[0];
    assert_eq!(found["names"][0], first.gene);
    assert!((found["p_again"].as_f64().unwrap() / first.p_value - 1.0).abs() < 1e-9, "{found}");
    assert_eq!(found["n"], serde_json::json!([120, N_GENES]));
    assert_eq!(found["conditions"], serde_json::json!(["perturbed", "control", "baseline", "query"]));
    assert_eq!(found["baseline_reference"], "query");
    assert!(std::fs::metadata(kept("scanpy.png")).unwrap().len() > 10_000);
}

#[test]
fn arms_of_different_genes_are_refused() {
    let made = made();
    let mut other = made.control.clone();
    other.genes[3] = "ELSE".into();
    let arms = Arms { perturbed: &made.perturbed, control: &other, baseline: &made.baseline, query: None };
    let error = output(&made.report, &arms).unwrap_err().to_string();
    assert!(error.contains("control cells"), "{error}");
}
