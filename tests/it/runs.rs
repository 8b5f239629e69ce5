//! Runs in the database: states, cancelling, iterations, results, events, locks.

use std::time::Duration;

use haystack::database::{Database, Error};
use haystack::domain::evaluation::{Criteria, Findings, RunResult};
use haystack::domain::query::{StructuredQuery, Task};
use haystack::domain::run::{
    Artifact, ControlStrategy, EffectiveControl, Failure, FailureKind, Iteration, JobHandle, Lifecycle, Measured,
    Phase, Predictor, PromptCandidate, Settings, Status, Strategy, TerminationReason,
};
use haystack::domain::score::Grounding;
use haystack::domain::{RunId, Term};
use serde_json::json;

use crate::support::databases;

const QUESTION: &str = "How would B cells respond to interferon beta?";

fn settings() -> Settings {
    Settings {
        control_strategy: ControlStrategy::SyntheticControl,
        predictor: Predictor::Stack { model: "kang-small".into() },
        max_iterations: 5,
        score_threshold: 7,
        seed: u64::MAX,
        measured: Measured::HoldOut,
        pathway_enrichment: true,
        criteria: Criteria { min_log2_fold_change: 1.0, ..Criteria::default() },
    }
}

fn iteration(number: u32, rationale: &str) -> Iteration {
    let grounding = Grounding { components: vec![], penalty: 50, composite: Some(745.try_into().unwrap()) };
    Iteration {
        number,
        prompt: PromptCandidate {
            sets: vec![],
            strategy: Strategy::Direct,
            relevance: 0.1 + 0.2,
            rank_score: 0.9,
            has_control: true,
            rationale: rationale.into(),
        },
        n_candidates: 3,
        n_prompt_cells: 128,
        n_control_cells: 0,
        query: vec![],
        n_query_cells: 64,
        query_relaxations: vec!["tissue".into()],
        control: EffectiveControl::QueryAsControl { forced: true, why: "no control cells".into() },
        grounding: grounding.clone(),
        baseline: grounding,
        seconds: 1.25,
        warnings: vec!["β-catenin ≠ 'CTNNB1'; --".into()],
    }
}

fn result() -> RunResult {
    let findings = Findings {
        score: Some(7),
        composite: Some(745.try_into().unwrap()),
        n_de_genes: 12,
        top_upregulated: vec![],
        top_downregulated: vec![],
        enriched_pathways: vec![],
        activated_tfs: vec![],
    };
    RunResult {
        best_iteration: 2,
        termination_reason: TerminationReason::ThresholdReached,
        answer: findings.clone(),
        baseline: findings,
        measured: None,
        control_strategy_effective: ControlStrategy::QueryAsControl,
        model: None,
        simulated: false,
    }
}

fn outputs() -> Vec<Artifact> {
    let output = |key: &str| Artifact {
        key: key.into(),
        bytes: 5_000_000_000,
        sha256: "ab".repeat(32),
        media_type: "application/json".into(),
    };
    vec![output("runs/a/log.json"), output("runs/a/output.h5ad")]
}

fn failure() -> Failure {
    Failure { kind: FailureKind::InferenceError, message: "out of memory".into(), hint: Some("fewer cells".into()) }
}

fn owner() -> JobHandle {
    JobHandle("owner:here:12:34".into())
}

async fn new_run(database: &Database) -> RunId {
    let id = RunId::random();
    database.create_run(&id, "a@b.org", QUESTION, &settings(), &owner()).await.unwrap();
    id
}

async fn lifecycle(database: &Database, id: &RunId) -> Lifecycle {
    database.run(id).await.unwrap().unwrap().lifecycle
}

#[tokio::test]
async fn a_run_goes_from_question_to_result() {
    for database in databases().await {
        let id = new_run(&database).await;
        let record = database.run(&id).await.unwrap().unwrap();
        assert_eq!((record.lifecycle, record.phase, record.current_iteration), (Lifecycle::Queued, Phase::Pending, 0));
        assert_eq!((record.question.as_str(), &record.settings), (QUESTION, &settings()));
        assert_eq!((record.started_at, record.finished_at, record.result), (None, None, None));
        assert_eq!(database.runs_in_progress().await.unwrap(), [(id.clone(), owner())]);

        let job = JobHandle("local:12:34".into());
        database.attach_job(&id, &job).await.unwrap();
        assert_eq!(lifecycle(&database, &id).await, Lifecycle::Scheduled);
        assert!(database.begin_run(&id).await.unwrap());
        assert!(!database.enter(&id, 0, Phase::QueryAnalysis).await.unwrap());
        let query = StructuredQuery {
            question: QUESTION.into(),
            task: Task::CellTypeImputation,
            cell_type: Term { id: "CL:0000236".parse().unwrap(), name: "B cell".into() },
            perturbation: None,
            tissue: None,
            disease: None,
            donor: None,
            notes: vec![],
        };
        database.set_structured_query(&id, &query).await.unwrap();
        database.set_effective_control(&id, ControlStrategy::QueryAsControl, false).await.unwrap();
        for number in 1..=2 {
            assert!(!database.enter(&id, number, Phase::Inference).await.unwrap());
            assert!(database.record_iteration(&id, &iteration(number, "first try")).await.unwrap());
        }
        // A step that runs again replaces what it wrote.
        assert!(database.record_iteration(&id, &iteration(2, "second try")).await.unwrap());
        assert_eq!(database.iterations(&id).await.unwrap(), [iteration(1, "first try"), iteration(2, "second try")]);

        assert!(database.finish_run(&id, &result(), &outputs()).await.unwrap(), "{}", database.kind);
        let record = database.run(&id).await.unwrap().unwrap();
        assert_eq!((record.lifecycle, record.job), (Lifecycle::Completed, Some(job)));
        assert_eq!((record.result, record.structured_query), (Some(result()), Some(query)));
        assert_eq!((record.best_iteration, record.final_score), (Some(2), Some(7)));
        assert_eq!(record.termination_reason.as_deref(), Some("threshold_reached"));
        assert_eq!(record.control_strategy_effective, Some(ControlStrategy::QueryAsControl));
        assert_eq!(record.control_cells_available, Some(false));
        assert!(record.created_at < record.started_at.unwrap());
        assert_eq!(record.finished_at.unwrap().len(), "2026-01-01T00:00:00.000000Z".len());
        assert_eq!(database.artifacts(&id).await.unwrap(), outputs());
        assert_eq!(database.runs_in_progress().await.unwrap(), []);
    }
}

#[tokio::test]
async fn a_finished_run_is_never_overwritten() {
    for database in databases().await {
        let completed = new_run(&database).await;
        database.begin_run(&completed).await.unwrap();
        assert!(database.finish_run(&completed, &result(), &outputs()).await.unwrap());
        let failed = new_run(&database).await;
        assert!(database.fail_run(&failed, &failure()).await.unwrap());
        let cancelled = new_run(&database).await;
        assert!(database.advance(&cancelled, Lifecycle::Canceled).await.unwrap());

        for id in [&completed, &failed, &cancelled] {
            let before = database.run(id).await.unwrap();
            let events = database.events_after(id, 0).await.unwrap();
            assert!(!database.finish_run(id, &result(), &[]).await.unwrap());
            assert!(!database.fail_run(id, &failure()).await.unwrap());
            assert!(!database.advance(id, Lifecycle::Canceled).await.unwrap());
            assert!(!database.begin_run(id).await.unwrap());
            assert!(!database.request_cancel(id).await.unwrap());
            assert!(!database.record_iteration(id, &iteration(1, "late")).await.unwrap());
            assert!(database.enter(id, 3, Phase::Inference).await.unwrap(), "a finished run should stop");
            assert!(database.should_stop(id).await.unwrap());
            assert_eq!(database.run(id).await.unwrap(), before, "{}", database.kind);
            assert_eq!(database.events_after(id, 0).await.unwrap(), events);
        }
        assert_eq!(database.artifacts(&completed).await.unwrap().len(), 2);
        let record = database.run(&failed).await.unwrap().unwrap();
        assert_eq!((record.failure, record.termination_reason.as_deref()), (Some(failure()), Some("error")));
        let record = database.run(&cancelled).await.unwrap().unwrap();
        assert_eq!(record.termination_reason.as_deref(), Some("cancelled"));
    }
}

#[tokio::test]
async fn every_move_is_one_of_the_table() {
    for database in databases().await {
        for to in Lifecycle::ALL {
            for from in [Lifecycle::Queued, Lifecycle::Scheduled, Lifecycle::Starting, Lifecycle::Running] {
                let id = new_run(&database).await;
                for step in [Lifecycle::Scheduled, Lifecycle::Starting, Lifecycle::Running] {
                    if lifecycle(&database, &id).await != from {
                        assert!(database.advance(&id, step).await.unwrap());
                    }
                }
                let moved = database.advance(&id, to).await.unwrap();
                assert_eq!(moved, from.successors().contains(&to), "{}: {from:?} to {to:?}", database.kind);
                assert_eq!(lifecycle(&database, &id).await, if moved { to } else { from });
            }
        }
        let nobody = RunId::random();
        assert!(!database.advance(&nobody, Lifecycle::Scheduled).await.unwrap());
        assert!(!database.begin_run(&nobody).await.unwrap());
        assert!(!database.request_cancel(&nobody).await.unwrap());
        assert_eq!(database.run(&nobody).await.unwrap(), None);
        assert_eq!(database.append_event(&nobody, "x", &json!({})).await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_request_to_cancel_is_seen_at_the_next_phase() {
    for database in databases().await {
        let id = new_run(&database).await;
        database.begin_run(&id).await.unwrap();
        assert!(!database.enter(&id, 1, Phase::PromptGeneration).await.unwrap());
        assert!(!database.should_stop(&id).await.unwrap());
        assert!(database.request_cancel(&id).await.unwrap());
        assert!(database.should_stop(&id).await.unwrap());
        assert!(database.enter(&id, 1, Phase::Inference).await.unwrap());
        assert!(database.advance(&id, Lifecycle::Canceled).await.unwrap());
    }
}

#[tokio::test]
async fn of_two_that_finish_a_run_one_wins() {
    for database in databases().await {
        for _ in 0..10 {
            let id = new_run(&database).await;
            database.begin_run(&id).await.unwrap();
            let (result, failure) = (result(), failure());
            let (finished, failed, cancelled) = tokio::join!(
                database.finish_run(&id, &result, &[]),
                database.fail_run(&id, &failure),
                database.advance(&id, Lifecycle::Canceled),
            );
            let winners = [finished.unwrap(), failed.unwrap(), cancelled.unwrap()];
            assert_eq!(winners.iter().filter(|won| **won).count(), 1, "{}: {winners:?}", database.kind);
            let record = database.run(&id).await.unwrap().unwrap();
            assert_eq!(record.result.is_some(), winners[0]);
            assert_eq!(record.failure.is_some(), winners[1]);
        }
    }
}

#[tokio::test]
async fn runs_are_listed_newest_first_page_by_page() {
    for database in databases().await {
        let mut ids = Vec::new();
        for _ in 0..5 {
            ids.push(new_run(&database).await);
        }
        let other = RunId::random();
        database.create_run(&other, "someone@else.org", QUESTION, &settings(), &owner()).await.unwrap();
        ids.reverse();
        let page = async |status, page, size| {
            let (records, total) = database.list_runs("a@b.org", status, page, size).await.unwrap();
            (records.into_iter().map(|record| record.id).collect::<Vec<_>>(), total)
        };
        assert_eq!(page(None, 1, 2).await, (ids[..2].to_vec(), 5));
        assert_eq!(page(None, 3, 2).await, (ids[4..].to_vec(), 5));
        assert_eq!(page(None, 4, 2).await, (vec![], 5));
        database.begin_run(&ids[3]).await.unwrap();
        assert_eq!(page(Some(Status::Running), 1, 10).await, (vec![ids[3].clone()], 1));
        assert_eq!(page(Some(Status::Pending), 1, 10).await.1, 4);
        assert_eq!(page(Some(Status::Completed), 1, 10).await, (vec![], 0));
    }
}

#[tokio::test]
async fn events_are_numbered_without_gaps_however_many_write() {
    for database in databases().await {
        let id = new_run(&database).await;
        let other = Database::open(&database.url).await.unwrap();
        let mut writers = tokio::task::JoinSet::new();
        for writer in 0..8 {
            let (database, id) = (if writer % 2 == 0 { (*database).clone() } else { other.clone() }, id.clone());
            writers.spawn(async move {
                for n in 0..25 {
                    let data = json!({ "writer": writer, "n": n });
                    database.append_event(&id, "test", &data).await.unwrap().unwrap();
                }
            });
        }
        while let Some(done) = writers.join_next().await {
            done.unwrap();
        }
        let events = database.events_after(&id, 0).await.unwrap();
        let numbers: Vec<u64> = events.iter().map(|event| event.seq).collect();
        assert_eq!(numbers, (1..=201).collect::<Vec<u64>>(), "{}", database.kind);
        assert_eq!((events[0].kind.as_str(), &events[0].data), ("run.created", &json!({ "query": QUESTION })));
        // Of one writer, the order is kept.
        let of_first: Vec<_> = events.iter().filter(|e| e.data["writer"] == 0).map(|e| e.data["n"].clone()).collect();
        assert_eq!(of_first, (0..25).map(|n| json!(n)).collect::<Vec<_>>());
        let rest = database.events_after(&id, 199).await.unwrap();
        assert_eq!(rest.iter().map(|event| event.seq).collect::<Vec<_>>(), [200, 201]);
        assert_eq!(database.events_after(&id, u64::MAX).await.unwrap(), []);
    }
}

#[tokio::test]
async fn two_imports_of_one_thing_do_not_run_at_once() {
    for database in databases().await {
        let guard = database.import_guard("import of atlas kang").await.unwrap();
        // Another process would have a pool of its own.
        let other = Database::open(&database.url).await.unwrap();
        for database in [&*database, &other] {
            let error = database.import_guard("import of atlas kang").await.unwrap_err();
            assert!(matches!(error, Error::Busy { .. }));
            let message = error.to_string();
            let expected = "another import of atlas kang is running since 20";
            assert!(message.starts_with(expected) && message.contains("Z; wait"), "{message}");
        }
        let unrelated = other.import_guard("import of atlas other").await.unwrap();
        guard.release().await.unwrap();
        let guard = other.import_guard("import of atlas kang").await.unwrap();
        // Dropped, as when an import fails: free again a moment later.
        drop(guard);
        let mut tries = 0;
        while let Err(error) = database.import_guard("import of atlas kang").await {
            assert!(tries < 1200, "{}: {error}", database.kind);
            tries += 1;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        unrelated.release().await.unwrap();
    }
}
