//! The tables of cells and genes.

use crate::anndata::{Column, Table};
use crate::domain::Expression;
use crate::domain::evaluation::GeneChange;
use crate::domain::terms::Direction;
use crate::orchestrate::report::Report;

use super::{CONDITIONS, composite, unique};

pub fn obs(report: &Report, present: &[(usize, &Expression)]) -> Table {
    let n: Vec<usize> = present.iter().map(|(_, arm)| arm.counts.n_rows()).collect();
    let total = n.iter().sum();
    let constant = |text: String| categorical(vec![0; total], vec![text]);
    let per_arm = |texts: [&str; 4]| {
        let mut categories: Vec<String> = Vec::new();
        let mut codes = Vec::with_capacity(total);
        for ((condition, _), n) in present.iter().zip(&n) {
            let text = texts[*condition];
            let code = categories.iter().position(|category| category == text).unwrap_or_else(|| {
                categories.push(text.to_owned());
                categories.len() - 1
            });
            codes.extend(std::iter::repeat_n(code as i32, *n));
        }
        categorical(codes, categories)
    };
    let cell_ids: Vec<String> = present.iter().flat_map(|(_, arm)| arm.cells.iter().cloned()).collect();
    let conditions = present.iter().flat_map(|(c, arm)| std::iter::repeat_n(CONDITIONS[*c].0, arm.counts.n_rows()));
    let index =
        unique(cell_ids.iter().zip(conditions).map(|(cell, condition)| format!("{cell}_{condition}")).collect());

    let query = &report.query;
    let best = report.best();
    let [answer, baseline] = [&report.evaluation, &report.baseline].map(|e| composite(&e.grounding));
    let scores = present.iter().zip(&n).flat_map(|((condition, _), n)| {
        std::iter::repeat_n(if CONDITIONS[*condition].0 == "baseline" { baseline } else { answer }, *n)
    });
    let perturbation = query.perturbation.as_ref();
    let name = perturbation.map_or("none", |p| p.name.as_str());
    let id = perturbation.and_then(|p| p.ids.first()).map_or("unknown", |id| id.as_str());
    let mut columns = vec![
        ("condition".to_owned(), per_arm(CONDITIONS.map(|(name, _)| name))),
        ("cell_id".into(), Column::Strings(cell_ids.into_iter().map(Some).collect())),
        ("task_type".into(), constant(query.task.as_str().into())),
        ("cell_type_query".into(), constant(query.cell_type.name.clone())),
        ("cell_type_ontology_term_id".into(), constant(query.cell_type.id.to_string())),
        ("perturbation_query".into(), constant(name.into())),
        ("experimental_condition_ontology_term_id".into(), per_arm([id, "na", id, "na"])),
        ("prompt_strategy".into(), constant(best.prompt.strategy.as_str().into())),
        ("iteration".into(), Column::Integers(vec![Some(i64::from(best.number)); total])),
        ("grounding_score".into(), Column::Floats(scores.collect())),
    ];
    let optional = [
        ("target_donor_id", query.donor.clone()),
        ("target_tissue", query.tissue.as_ref().map(|tissue| tissue.name.clone())),
        ("target_disease_state", query.disease.as_ref().map(|disease| disease.name.clone())),
    ];
    columns.extend(optional.into_iter().filter_map(|(name, text)| Some((name.to_owned(), constant(text?)))));
    if report.is_simulated() {
        columns.push(("simulated".into(), Column::Booleans(vec![Some(true); total])));
    }
    Table { index_name: None, index, columns }
}

fn categorical(codes: Vec<i32>, categories: Vec<String>) -> Column {
    Column::Categorical { codes, categories, ordered: false }
}

pub fn var(
    report: &Report,
    symbols: &[String],
    index: &[String],
    answer: &[&GeneChange],
    baseline: &[&GeneChange],
) -> Table {
    let floats = |changes: &[&GeneChange], of: fn(&GeneChange) -> f64| {
        Column::Floats(changes.iter().map(|change| of(change)).collect())
    };
    let is_de = |changes: &[&GeneChange]| {
        Column::Booleans(changes.iter().map(|change| Some(change.differential.is_some())).collect())
    };
    let directions = answer.iter().map(|change| match change.differential {
        Some(Direction::Up) => 0,
        Some(_) => 1,
        None => 2,
    });
    let targets: Vec<String> =
        report.query.perturbation.iter().flat_map(|p| &p.targets).map(|t| t.gene.to_uppercase()).collect();
    let is_target = symbols.iter().map(|symbol| Some(targets.contains(&symbol.to_uppercase()))).collect();
    let names = || Column::Strings(symbols.iter().cloned().map(Some).collect());
    let columns = vec![
        ("gene_symbol", names()),
        ("feature_name", names()),
        ("predicted_lfc", floats(answer, |c| c.log2_fold_change)),
        ("predicted_score", floats(answer, |c| c.score)),
        ("predicted_pval", floats(answer, |c| c.p_value)),
        ("padj", floats(answer, |c| c.adjusted_p_value)),
        ("is_de", is_de(answer)),
        ("direction", categorical(directions.collect(), ["up", "down", "none"].map(str::to_owned).to_vec())),
        ("target_gene", Column::Booleans(is_target)),
        ("pct_perturbed", floats(answer, |c| c.share_treatment)),
        ("pct_control", floats(answer, |c| c.share_control)),
        ("baseline_lfc", floats(baseline, |c| c.log2_fold_change)),
        ("baseline_pval", floats(baseline, |c| c.p_value)),
        ("baseline_padj", floats(baseline, |c| c.adjusted_p_value)),
        ("baseline_is_de", is_de(baseline)),
    ];
    Table {
        index_name: None,
        index: index.to_vec(),
        columns: columns.into_iter().map(|(name, column)| (name.to_owned(), column)).collect(),
    }
}
