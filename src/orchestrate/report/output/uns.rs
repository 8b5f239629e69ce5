//! What is not a table of cells or genes: the ranked genes in scanpy's layout, and the run's record.

use serde_json::Value as Json;

use crate::anndata::{Column, RecArray, RecField, Table, Value};
use crate::domain::evaluation::{EnrichedSet, Evaluation, GeneChange};
use crate::domain::run::Iteration;
use crate::orchestrate::report::Report;

use super::{composite, hundredths};

/// scanpy's layout of a comparison: record arrays with a field per group, largest score first.
pub fn ranked(genes: &[String], changes: &[&GeneChange], group: &str, reference: &str) -> Value {
    let mut order: Vec<usize> = (0..changes.len()).collect();
    order.sort_by(|&a, &b| changes[b].score.total_cmp(&changes[a].score));
    let records = |field: RecField| Value::Records(RecArray { fields: vec![(group.to_owned(), field)] });
    let f64s = |of: fn(&GeneChange) -> f64| order.iter().map(|&gene| of(changes[gene])).collect::<Vec<f64>>();
    let f32s = |of: fn(&GeneChange) -> f64| RecField::F32(f64s(of).into_iter().map(|value| value as f32).collect());
    let share = |of: fn(&GeneChange) -> f64| Column::Floats(changes.iter().map(|change| of(change)).collect());
    let text = |text: &str| Value::String(text.to_owned());
    Value::Dict(vec![
        (
            "params".into(),
            Value::Dict(vec![
                ("corr_method".into(), text("benjamini-hochberg")),
                ("groupby".into(), text("condition")),
                ("layer".into(), text("log1p")),
                ("method".into(), text("wilcoxon")),
                ("reference".into(), text(reference)),
                ("use_raw".into(), Value::Bool(false)),
            ]),
        ),
        ("names".into(), records(RecField::Strings(order.iter().map(|&gene| genes[gene].clone()).collect()))),
        ("scores".into(), records(f32s(|c| c.score))),
        ("pvals".into(), records(RecField::F64(f64s(|c| c.p_value)))),
        ("pvals_adj".into(), records(RecField::F64(f64s(|c| c.adjusted_p_value)))),
        ("logfoldchanges".into(), records(f32s(|c| c.log2_fold_change))),
        (
            "pts".into(),
            Value::Table(Table {
                index_name: None,
                index: genes.to_vec(),
                columns: vec![
                    (group.to_owned(), share(|c| c.share_treatment)),
                    (reference.to_owned(), share(|c| c.share_control)),
                ],
            }),
        ),
    ])
}

/// Every tested set under the column names of Enrichr and GSEApy.
pub fn enrichment_table(evaluation: &Evaluation) -> Table {
    let up = evaluation.enriched_up.iter().map(|set| ("up", set));
    let rows: Vec<(&str, &EnrichedSet)> = up.chain(evaluation.enriched_down.iter().map(|set| ("down", set))).collect();
    let strings =
        |of: &dyn Fn(&(&str, &EnrichedSet)) -> String| Column::Strings(rows.iter().map(|row| Some(of(row))).collect());
    let floats = |of: fn(&EnrichedSet) -> f64| Column::Floats(rows.iter().map(|(_, set)| of(set)).collect());
    let columns = vec![
        ("Gene_set", strings(&|(_, set)| set.collection.clone())),
        ("Term", strings(&|(_, set)| set.name.clone())),
        ("Overlap", strings(&|(_, set)| format!("{}/{}", set.overlap, set.set_size))),
        ("P-value", floats(|set| set.p_value)),
        ("Adjusted P-value", floats(|set| set.adjusted_p_value)),
        ("Odds Ratio", floats(|set| set.odds_ratio)),
        ("Combined Score", floats(|set| set.combined_score)),
        ("Genes", strings(&|(_, set)| set.genes.join(";"))),
        ("direction", strings(&|(direction, _)| (*direction).to_owned())),
    ];
    Table {
        index_name: None,
        index: (0..rows.len()).map(|row| row.to_string()).collect(),
        columns: columns.into_iter().map(|(name, column)| (name.to_owned(), column)).collect(),
    }
}

pub fn haystack(report: &Report, query: &Value, config: Value, enrichment: Table) -> Value {
    let result = &report.result;
    let text = |text: &str| Value::String(text.to_owned());
    let licence = result.model.as_ref().and_then(|model| model.licence.as_deref());
    let provenance = serde_json::json!({
        "version": report.version,
        "model": result.model,
        "inference": report.inference,
        "sources": report.sources,
        "seed": report.settings.seed,
        "started": report.started,
        "finished": report.finished,
    });
    Value::Dict(vec![
        ("run_id".into(), text(report.run_id.as_str())),
        ("query".into(), query.clone()),
        ("structured_query".into(), record(&serde_json::json!(report.query))),
        ("task_type".into(), text(report.query.task.as_str())),
        ("config".into(), config),
        ("n_iterations".into(), Value::Int(report.iterations.len() as i64)),
        ("best_iteration".into(), Value::Int(i64::from(result.best_iteration))),
        ("iterations".into(), Value::Table(iterations(report))),
        ("enrichment_results".into(), Value::Table(enrichment)),
        ("final_score".into(), result.answer.score.map_or(Value::Null, |score| Value::Int(i64::from(score)))),
        ("composite".into(), result.answer.composite.map_or(Value::Null, |c| Value::Float(hundredths(c)))),
        ("grounding".into(), record(&serde_json::json!(report.evaluation.grounding))),
        ("baseline_grounding".into(), record(&serde_json::json!(report.baseline.grounding))),
        ("measured".into(), record(&serde_json::json!(result.measured))),
        ("termination_reason".into(), text(result.termination_reason.as_str())),
        ("control_strategy".into(), text(result.control_strategy_effective.as_str())),
        ("control".into(), record(&serde_json::json!(report.best().control))),
        ("provenance".into(), record(&provenance)),
        ("licence".into(), licence.map_or(Value::Null, text)),
        ("simulated".into(), Value::Bool(report.is_simulated())),
    ])
}

fn iterations(report: &Report) -> Table {
    let iterations = &report.iterations;
    let strings = |of: &dyn Fn(&Iteration) -> String| {
        Column::Strings(iterations.iter().map(|iteration| Some(of(iteration))).collect())
    };
    let columns = vec![
        ("number", Column::Integers(iterations.iter().map(|it| Some(i64::from(it.number))).collect())),
        ("score", Column::Floats(iterations.iter().map(|it| composite(&it.grounding)).collect())),
        ("baseline_score", Column::Floats(iterations.iter().map(|it| composite(&it.baseline)).collect())),
        ("strategy", strings(&|it| it.prompt.strategy.as_str().into())),
        ("control_strategy", strings(&|it| it.control.strategy().as_str().into())),
        ("n_prompt_cells", Column::Integers(iterations.iter().map(|it| Some(i64::from(it.n_prompt_cells))).collect())),
        ("n_query_cells", Column::Integers(iterations.iter().map(|it| Some(i64::from(it.n_query_cells))).collect())),
        ("seconds", Column::Floats(iterations.iter().map(|it| it.seconds).collect())),
    ];
    Table {
        index_name: None,
        index: iterations.iter().map(|it| it.number.to_string()).collect(),
        columns: columns.into_iter().map(|(name, column)| (name.to_owned(), column)).collect(),
    }
}

/// A record as `uns` can hold it. Lists of anything but numbers or texts become JSON text.
pub fn record(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => match number.as_i64() {
            Some(whole) => Value::Int(whole),
            None => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::String(text.clone()),
        Json::Object(fields) => Value::Dict(fields.iter().map(|(name, field)| (name.clone(), record(field))).collect()),
        Json::Array(items) => match items.iter().map(|item| item.as_str().map(str::to_owned)).collect() {
            Some(texts) => Value::Strings(texts),
            None => match items.iter().map(Json::as_f64).collect() {
                Some(numbers) => Value::Floats(numbers),
                None => Value::String(json.to_string()),
            },
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_become_values() {
        let json = serde_json::json!({ "a": null, "b": [1, 2.5], "c": ["x"], "d": [{ "e": 1 }], "f": 3, "g": 0.5 });
        let Value::Dict(fields) = record(&json) else { panic!("not a dict") };
        let fields: Vec<Value> = fields.into_iter().map(|(_, field)| field).collect();
        assert_eq!(
            fields,
            [
                Value::Null,
                Value::Floats(vec![1.0, 2.5]),
                Value::Strings(vec!["x".into()]),
                Value::String("[{\"e\":1}]".into()),
                Value::Int(3),
                Value::Float(0.5),
            ]
        );
    }
}
