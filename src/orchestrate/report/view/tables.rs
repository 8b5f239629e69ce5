//! Rows of the tables of genes, gene sets and transcription factors.

use crate::domain::evaluation::{DirectedSet, Evaluation, GeneChange, N_LISTED, RegulonActivity};
use crate::domain::terms::Direction;
use crate::orchestrate::numbers::{fold_change, p_value, percent};
use crate::orchestrate::report::Report;

use super::names::readable;
use super::{FactorRow, GeneRow, SetRow};

pub fn gene_row(change: &GeneChange) -> GeneRow {
    GeneRow {
        gene: change.symbol().to_owned(),
        fold_change: fold_change(change.log2_fold_change),
        p_value: p_value(change.adjusted_p_value),
        treatment: percent(change.share_treatment),
        control: percent(change.share_control),
    }
}

pub fn set_row(set: &DirectedSet) -> SetRow {
    let DirectedSet { direction, set } = set;
    SetRow {
        name: readable(&set.name),
        collection: set.collection.clone(),
        direction: rises(*direction),
        overlap: format!("{}/{}", set.overlap, set.set_size),
        p_value: p_value(set.adjusted_p_value),
        odds_ratio: format!("{:.1}", set.odds_ratio),
        genes: shortened(&set.genes, 8),
    }
}

pub fn sets_note(report: &Report) -> String {
    if !report.settings.pathway_enrichment {
        return "Pathway enrichment is switched off in the settings of this run.".into();
    }
    if report.evaluation.enriched_up.is_empty() && report.evaluation.enriched_down.is_empty() {
        return "No imported gene set holds a gene that changes.".into();
    }
    match report.evaluation.enriched().len() {
        0 => format!(
            "No gene set is enriched at an adjusted p below {}.",
            report.evaluation.criteria.max_adjusted_p_value
        ),
        n if n > N_LISTED => format!("The {N_LISTED} most enriched of {n} sets; all of them are in output.h5ad."),
        _ => String::new(),
    }
}

pub fn factors(evaluation: &Evaluation) -> Vec<FactorRow> {
    let limit = evaluation.criteria.max_adjusted_p_value;
    let row = |activity: &RegulonActivity| FactorRow {
        factor: activity.factor.clone(),
        direction: if activity.direction == Direction::Down { "shut off" } else { "active" },
        overlap: format!("{}/{}", activity.overlap, activity.n_targets),
        p_value: p_value(activity.adjusted_p_value),
        genes: shortened(&activity.genes, 8),
    };
    evaluation.factors.iter().filter(|f| f.adjusted_p_value < limit).take(N_LISTED).map(row).collect()
}

fn rises(direction: Direction) -> &'static str {
    if direction == Direction::Down { "fall" } else { "rise" }
}

fn shortened(genes: &[String], n: usize) -> String {
    let shown = genes.iter().take(n).map(String::as_str).collect::<Vec<_>>().join(", ");
    if genes.len() > n { format!("{shown}, +{}", genes.len() - n) } else { shown }
}
