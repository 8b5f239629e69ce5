//! The score part by part, and the answer beside the baseline and beside measured cells.

use crate::domain::evaluation::{Agreement, Evaluation, GeneChange};
use crate::domain::score::{Component, Outcome};
use crate::orchestrate::numbers::{count, counted, figure, percent};
use crate::orchestrate::report::Report;

use super::names::readable;
use super::{ComponentView, EvidenceRow, MeasuredView, Row3};

pub fn components(report: &Report) -> Vec<ComponentView> {
    let baseline = &report.baseline.grounding.components;
    let view = |component: &Component| {
        let beside = baseline.iter().find(|other| other.name == component.name).and_then(Component::value);
        let mut view = ComponentView {
            title: component.name.title(),
            weight: component.name.weight(),
            value: component.value().map(|value| value.to_string()),
            baseline: beside.map_or_else(|| "–".into(), |value| value.to_string()),
            chance: "–".into(),
            why: None,
            evidence: Vec::new(),
        };
        match &component.outcome {
            Outcome::Insufficient { why } => view.why = Some(why.clone()),
            Outcome::Scored { null, evidence, .. } => {
                view.chance = match null.percentile {
                    1.0 => format!("above all {} draws", null.draws),
                    share => format!("above {} of {} draws", percent(share), null.draws),
                };
                view.evidence = evidence
                    .iter()
                    .map(|row| EvidenceRow {
                        item: row.item.clone(),
                        finding: row.finding.clone(),
                        credit: format!("{:.2}", row.credit),
                    })
                    .collect();
            }
        }
        view
    };
    report.evaluation.grounding.components.iter().map(view).collect()
}

pub fn composite(report: &Report) -> String {
    let grounding = &report.evaluation.grounding;
    let Some(composite) = grounding.composite else {
        return "No component could be measured, so there is no score.".into();
    };
    let measured = grounding.components.iter().filter(|component| component.value().is_some()).count();
    let all = grounding.components.len();
    let scope = match measured == all {
        true => "the weighted mean of all components".to_owned(),
        false => format!(
            "the weighted mean of the {measured} of {all} components that could be measured, their weights scaled up \
             to 100 %"
        ),
    };
    let penalty = match grounding.penalty {
        0 => String::new(),
        penalty => {
            format!(", less {:.1} because the query cells themselves are the control", f64::from(penalty) / 100.0)
        }
    };
    format!(
        "The composite, {composite}, is {scope}{penalty}; it is rounded to {}. Each component is held against random \
         genes, as many rising and falling: 50 % of draws is chance. A score measures agreement with what is known, \
         not the probability of being right.",
        composite.rounded()
    )
}

pub fn comparison(report: &Report) -> Vec<Row3> {
    let (answer, baseline) = (&report.evaluation, &report.baseline);
    let row = |name: &str, value: &dyn Fn(&Evaluation) -> String| Row3 {
        name: name.into(),
        answer: value(answer),
        baseline: value(baseline),
    };
    let composite = |e: &Evaluation| e.grounding.composite.map_or_else(|| "–".into(), |value| value.to_string());
    let top = |e: &Evaluation| e.up().take(8).map(GeneChange::symbol).collect::<Vec<_>>().join(", ");
    let sets = |e: &Evaluation| {
        let names = e.enriched().into_iter().take(3).map(|(_, set)| readable(&set.name));
        names.collect::<Vec<_>>().join("; ")
    };
    let dash = |text: String| if text.is_empty() { "–".to_owned() } else { text };
    vec![
        row("Composite score", &composite),
        row("Genes that rise", &|e| count(e.up().count() as u64)),
        row("Genes that fall", &|e| count(e.down().count() as u64)),
        row("Clearest rises", &|e| dash(top(e))),
        row("Enriched sets", &|e| count(e.enriched().len() as u64)),
        row("Most enriched", &|e| dash(sets(e))),
        row("Active factors", &|e| {
            dash(e.activated_factors().take(5).map(|f| f.factor.as_str()).collect::<Vec<_>>().join(", "))
        }),
    ]
}

pub fn measured(report: &Report) -> Option<MeasuredView> {
    let measured = report.result.measured.as_ref()?;
    let n = measured.n_top;
    let row = |name: String, value: &dyn Fn(&Agreement) -> String| Row3 {
        name,
        answer: value(&measured.answer),
        baseline: value(&measured.baseline),
    };
    let text = format!(
        "{} and {} of the asked kind are in the atlas. They were kept out of the prompt. Responses are compared as \
         differences of mean log-normalised expression over {} shared genes; the top {n} are those with the largest \
         measured response.",
        counted(measured.n_treatment, "treated cell"),
        counted(measured.n_control, "control cell"),
        count(measured.n_genes as u64)
    );
    let rows = vec![
        row("Pearson correlation, all genes".into(), &|a| figure(a.pearson)),
        row("Spearman correlation, all genes".into(), &|a| figure(a.spearman)),
        row(format!("Pearson correlation, top {n}"), &|a| figure(a.pearson_top)),
        row(format!("Spearman correlation, top {n}"), &|a| figure(a.spearman_top)),
        row(format!("Right direction, top {n}"), &|a| percent(a.direction_top)),
        row(format!("Shared with the predicted top {n}"), &|a| format!("{} of {n}", a.overlap_top)),
        row(format!("Root mean square error (log2), top {n}"), &|a| figure(Some(a.rmse_top))),
    ];
    Some(MeasuredView { text, rows })
}
