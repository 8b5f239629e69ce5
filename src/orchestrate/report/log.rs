//! `log.json`: the complete trace of a run, for machines.

use chrono::SecondsFormat;
use serde_json::{Value, json};

use super::Report;

/// The trace. The change of every gene is left out; it is in `output.h5ad`.
pub fn log(report: &Report) -> Value {
    let time = |time: &chrono::DateTime<chrono::Utc>| time.to_rfc3339_opts(SecondsFormat::Secs, true);
    let iterations: Vec<Value> = report
        .iterations
        .iter()
        .map(|iteration| {
            json!({
                "number": iteration.number,
                "duration_seconds": iteration.seconds,
                "prompt_strategy": iteration.prompt.strategy,
                "grounding_score": iteration.grounding.score(),
                "baseline_score": iteration.baseline.score(),
                "control_strategy": iteration.control.strategy(),
                "record": iteration,
            })
        })
        .collect();
    json!({
        "run_id": report.run_id,
        "user_email": report.user_email,
        "start_time": time(&report.started),
        "end_time": time(&report.finished),
        "status": "completed",
        "simulated": report.is_simulated(),
        "control_strategy": report.settings.control_strategy,
        "control_strategy_effective": report.result.control_strategy_effective,
        "config": report.settings,
        "query": { "raw": report.query.question, "structured": report.query },
        "iterations": iterations,
        "best_iteration": report.result.best_iteration,
        "final_score": report.result.answer.score,
        "termination_reason": report.result.termination_reason,
        "result": report.result,
        "evaluation": without_changes(&report.evaluation),
        "baseline": without_changes(&report.baseline),
        "inference": report.inference,
        "sources": report.sources,
        "version": report.version,
    })
}

fn without_changes(evaluation: &crate::domain::evaluation::Evaluation) -> Value {
    let mut value = json!(evaluation);
    if let Some(fields) = value.as_object_mut() {
        fields.remove("changes");
    }
    value
}
