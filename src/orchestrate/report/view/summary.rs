//! What stands at the top: notices, the answer in sentences, the facts of the run.

use crate::domain::Term;
use crate::domain::evaluation::{Evaluation, GeneChange};
use crate::domain::run::{ControlStrategy, Predictor};
use crate::orchestrate::numbers::{count, counted, figure, list};
use crate::orchestrate::report::Report;

use super::names::{plural, readable};
use super::{Notice, Row};

pub fn notices(report: &Report) -> Vec<Notice> {
    let mut notices = Vec::new();
    if report.is_simulated() {
        let simulated: Vec<&str> =
            report.sources.iter().filter(|source| source.simulated).map(|source| source.name.as_str()).collect();
        let what = match simulated.is_empty() {
            true => "The cells or the model behind this answer are simulated.".to_owned(),
            false => format!("Behind this answer is simulated input: {}.", list(&simulated)),
        };
        notices.push(Notice {
            title: "Simulated".into(),
            text: format!("{what} It shows how HAYSTACK works. Draw no biological conclusion from it."),
        });
    }
    if let Some(model) = &report.result.model {
        let licence = match &model.licence {
            Some(licence) => format!("{licence}. It holds for this report and for every file made with them."),
            None => "None was stated when the model was imported; look it up before you pass this on.".to_owned(),
        };
        notices.push(Notice { title: format!("Licence of the weights of {}", model.name), text: licence });
    }
    notices
}

pub fn summary(report: &Report, n_up: usize, n_down: usize) -> Vec<String> {
    let mut paragraphs = vec![prediction(report, n_up, n_down), score_sentences(report)];
    if let Some(measured) = &report.result.measured {
        let cells = counted(measured.n_treatment, "cell");
        let held = match report.is_simulated() {
            true => format!("The simulated atlas holds {cells} in this state, which"),
            false => format!("The atlas holds {cells} that were really measured in this state and"),
        };
        paragraphs.push(format!(
            "{held} were kept out of the prompt. Across {} genes the predicted response correlates with theirs at {} \
             (baseline: {}).",
            count(measured.n_genes as u64),
            figure(measured.answer.pearson),
            figure(measured.baseline.pearson)
        ));
    }
    paragraphs
}

fn prediction(report: &Report, n_up: usize, n_down: usize) -> String {
    let cell_type = &report.query.cell_type;
    let subject = format!("{} ({})", plural(&cell_type.name), cell_type.id);
    let under = report.query.perturbation.as_ref().map_or_else(String::new, |perturbation| {
        let id = perturbation.ids.first().map_or_else(String::new, |id| format!(" ({id})"));
        format!(" under {}{id}", perturbation.name)
    });
    let mut text = match (n_up, n_down) {
        (0, 0) => format!("For {subject}{under}, no gene is predicted to change beyond the criteria."),
        _ => format!("For {subject}{under}, {} predicted to rise and {} to fall.", are(n_up, "gene"), none_or(n_down)),
    };
    let names = |changes: Vec<&GeneChange>| list(&changes.iter().map(|c| c.symbol()).collect::<Vec<_>>());
    let evaluation = &report.evaluation;
    if n_up > 0 {
        text += &format!(" The clearest rises are {}.", names(evaluation.up().take(5).collect()));
    }
    if n_down > 0 {
        text += &format!(" The clearest falls are {}.", names(evaluation.down().take(5).collect()));
    }
    let sets: Vec<String> =
        report.result.answer.enriched_pathways.iter().take(3).map(|set| readable(&set.set.name)).collect();
    if !sets.is_empty() {
        text += &format!(" Most enriched: {}.", list(&sets));
    }
    text
}

fn are(n: usize, noun: &str) -> String {
    format!("{} {}", counted(n, noun), if n == 1 { "is" } else { "are" })
}

fn none_or(n: usize) -> String {
    if n == 0 { "none".into() } else { count(n as u64) }
}

fn score_sentences(report: &Report) -> String {
    let answer = report.evaluation.grounding.score();
    let baseline = report.baseline.grounding.score();
    let n = report.iterations.len();
    let tries = if n == 1 { "after one iteration".to_owned() } else { format!("after {n} iterations") };
    let stop = report.result.termination_reason.in_words();
    let baseline_answers = report.settings.predictor == Predictor::MeanShift {};
    match (answer, baseline) {
        (None, _) => format!(
            "No part of the score could be measured, so the prediction stands without one. The run ended {tries}: {stop}."
        ),
        (Some(answer), _) if baseline_answers => format!(
            "Agreement with what is known: {answer} of 10, {tries} ({stop}). The answer is the mean shift itself, the \
             simplest predictor there is."
        ),
        (Some(answer), baseline) => {
            let baseline = baseline.map_or("none".to_owned(), |score| format!("{score} of 10"));
            format!(
                "Agreement with what is known: {answer} of 10, {tries} ({stop}). The mean-shift baseline on the same \
                 cells: {baseline}."
            )
        }
    }
}

pub fn score_words(score: Option<u32>) -> &'static str {
    match score {
        None => "not measurable",
        Some(7..) => "stands well on what is known",
        Some(5..) => "stands partly on what is known",
        Some(_) => "hardly stands on what is known",
    }
}

fn term(term: &Term) -> String {
    format!("{} ({})", term.name, term.id)
}

pub fn facts(report: &Report) -> Vec<Row> {
    let row = |name: &str, value: String| Row { name: name.into(), value };
    let query = &report.query;
    let task = query.task.as_str().replace('_', " ");
    let mut rows = vec![row("Task", task), row("Cell type", term(&query.cell_type))];
    if let Some(perturbation) = &query.perturbation {
        let ids: Vec<String> = perturbation.ids.iter().map(ToString::to_string).collect();
        let ids = if ids.is_empty() { String::new() } else { format!(" ({})", ids.join(", ")) };
        rows.push(row("Perturbation", format!("{}{ids}", perturbation.name)));
    }
    rows.extend(query.tissue.as_ref().map(|tissue| row("Tissue", term(tissue))));
    rows.extend(query.disease.as_ref().map(|disease| row("Disease", term(disease))));
    rows.extend(query.donor.as_ref().map(|donor| row("Donor", donor.clone())));
    let score = |evaluation: &Evaluation| match evaluation.grounding.score() {
        Some(score) => format!("{score} / 10"),
        None => "not measurable".into(),
    };
    let iterations = format!("{} of at most {}", report.iterations.len(), report.settings.max_iterations);
    rows.extend([
        row("Final score", score(&report.evaluation)),
        row("Baseline score", score(&report.baseline)),
        row("Predictor", predictor(report)),
        row("Iterations", format!("{iterations}; iteration {} is delivered", report.result.best_iteration)),
        row("Control strategy", control_fact(report)),
        row("Cells", cells_fact(report)),
    ]);
    rows
}

fn predictor(report: &Report) -> String {
    match &report.settings.predictor {
        Predictor::Stack { model } => format!("STACK, model {model}"),
        Predictor::MeanShift {} => "mean shift (baseline)".into(),
    }
}

fn control_fact(report: &Report) -> String {
    let (asked, used) = (report.settings.control_strategy, report.result.control_strategy_effective);
    let words = |strategy: ControlStrategy| strategy.as_str().replace('_', " ");
    if asked == used { words(used) } else { format!("{} (asked for: {})", words(used), words(asked)) }
}

fn cells_fact(report: &Report) -> String {
    let best = report.best();
    format!(
        "{} predicted from {} in the prompt",
        counted(best.n_query_cells as usize, "query cell"),
        counted(best.n_prompt_cells as usize, "cell")
    )
}
