//! The report in words: every sentence and every cell of every table, ready to be set as Markdown
//! or as a page. The two differ in markup only.

mod summary;

mod scores;

mod tables;

mod prompts;

mod methods;

mod names;

use serde::Serialize;

use crate::domain::evaluation::N_LISTED;
use crate::orchestrate::numbers::counted;

pub use names::readable;

use super::Report;

/// All words of a report.
#[derive(Serialize)]
pub struct View {
    pub question: String,
    pub notices: Vec<Notice>,
    pub summary: Vec<String>,
    pub facts: Vec<Row>,
    pub score: Option<u32>,
    pub score_words: &'static str,
    pub components: Vec<ComponentView>,
    pub composite: String,
    pub comparison: Vec<Row3>,
    pub measured: Option<MeasuredView>,
    pub up: Vec<GeneRow>,
    pub down: Vec<GeneRow>,
    pub n_up: String,
    pub n_down: String,
    pub sets: Vec<SetRow>,
    pub sets_note: String,
    pub factors: Vec<FactorRow>,
    pub iterations: Vec<IterationView>,
    pub methods: Vec<String>,
    pub limits: Vec<String>,
    pub sources: Vec<Row>,
    pub version: String,
    pub run_id: String,
}

/// Something the reader must know before the numbers.
#[derive(Serialize)]
pub struct Notice {
    pub title: String,
    pub text: String,
}

/// A name and its value.
#[derive(Serialize)]
pub struct Row {
    pub name: String,
    pub value: String,
}

/// A name and its value for the answer and for the baseline.
#[derive(Serialize)]
pub struct Row3 {
    pub name: String,
    pub answer: String,
    pub baseline: String,
}

/// One component of the score.
#[derive(Serialize)]
pub struct ComponentView {
    pub title: &'static str,
    pub weight: u32,
    pub value: Option<String>,
    pub baseline: String,
    pub chance: String,
    pub why: Option<String>,
    pub evidence: Vec<EvidenceRow>,
}

/// One row of evidence.
#[derive(Serialize)]
pub struct EvidenceRow {
    pub item: String,
    pub finding: String,
    pub credit: String,
}

/// The comparison with measured cells.
#[derive(Serialize)]
pub struct MeasuredView {
    pub text: String,
    pub rows: Vec<Row3>,
}

/// A gene in a table.
#[derive(Serialize)]
pub struct GeneRow {
    pub gene: String,
    pub fold_change: String,
    pub p_value: String,
    pub treatment: String,
    pub control: String,
}

/// A gene set in a table.
#[derive(Serialize)]
pub struct SetRow {
    pub name: String,
    pub collection: String,
    pub direction: &'static str,
    pub overlap: String,
    pub p_value: String,
    pub odds_ratio: String,
    pub genes: String,
}

/// A transcription factor in a table.
#[derive(Serialize)]
pub struct FactorRow {
    pub factor: String,
    pub direction: &'static str,
    pub overlap: String,
    pub p_value: String,
    pub genes: String,
}

/// One iteration in words.
#[derive(Serialize)]
pub struct IterationView {
    pub number: u32,
    pub delivered: bool,
    pub score: String,
    pub baseline: String,
    pub strategy: &'static str,
    pub prompt: String,
    pub why: String,
    pub control: String,
    pub query: String,
    pub warnings: Vec<String>,
    pub seconds: String,
}

impl View {
    /// Puts a report into words.
    pub fn new(report: &Report) -> Self {
        let evaluation = &report.evaluation;
        let (n_up, n_down) = (evaluation.up().count(), evaluation.down().count());
        Self {
            question: report.query.question.clone(),
            notices: summary::notices(report),
            summary: summary::summary(report, n_up, n_down),
            facts: summary::facts(report),
            score: evaluation.grounding.score(),
            score_words: summary::score_words(evaluation.grounding.score()),
            components: scores::components(report),
            composite: scores::composite(report),
            comparison: scores::comparison(report),
            measured: scores::measured(report),
            up: evaluation.up().take(N_LISTED).map(tables::gene_row).collect(),
            down: evaluation.down().take(N_LISTED).map(tables::gene_row).collect(),
            n_up: counted(n_up, "gene"),
            n_down: counted(n_down, "gene"),
            sets: report.result.answer.enriched_pathways.iter().map(tables::set_row).collect(),
            sets_note: tables::sets_note(report),
            factors: tables::factors(evaluation),
            iterations: report.iterations.iter().map(|iteration| prompts::iteration_view(report, iteration)).collect(),
            methods: methods::methods(report),
            limits: methods::limits(report),
            sources: methods::sources(report),
            version: report.version.clone(),
            run_id: report.run_id.to_string(),
        }
    }
}
