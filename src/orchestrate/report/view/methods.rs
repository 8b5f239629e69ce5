//! How it was done, ready to be pasted; what it cannot say; what went in.

use crate::domain::inference::Mode;
use crate::domain::run::{EffectiveControl, Measured, Predictor};
use crate::domain::sentence::sentence;
use crate::orchestrate::numbers::{count, counted};
use crate::orchestrate::report::{Report, Source};

use super::Row;
use super::prompts::cells_of;

pub fn methods(report: &Report) -> Vec<String> {
    let evaluation = &report.evaluation;
    let criteria = &evaluation.criteria;
    let best = report.best();
    let sampling = &report.inference.sampling;
    let prediction = match (&report.settings.predictor, &report.result.model) {
        (Predictor::Stack { model }, record) => {
            let hash = record.as_ref().and_then(|record| record.sha256.as_deref());
            let hash = hash.map_or_else(String::new, |hash| format!(", weights SHA-256 {hash}"));
            let mode = match sampling.mode {
                Mode::Mdm => "masked diffusion",
                Mode::Vanilla => "plain resampling",
            };
            format!(
                "The response was predicted in context with STACK (model {model}{hash}) by {mode} in {} steps, prompt \
                 ratio {}, context ratio {} to {}, on {}, seed {}.",
                sampling.diffusion_steps,
                sampling.prompt_ratio,
                sampling.context_ratio_min,
                sampling.context_ratio,
                if report.inference.device == "cpu" { "CPU" } else { &report.inference.device },
                sampling.seed
            )
        }
        (Predictor::MeanShift {}, _) => format!(
            "The response was predicted by the mean shift: query counts moved by the mean log-difference between the \
             prompt and its paired control, seed {}.",
            sampling.seed
        ),
    };
    let cells = format!(
        "The prompt of the delivered iteration held {}; {} were predicted.",
        cells_of(best.n_prompt_cells, &best.prompt.sets),
        cells_of(best.n_query_cells, &best.query)
    );
    let statistics = format!(
        "Counts were scaled to 10 000 per cell and log-transformed (log1p). Each gene was tested between {} and {} \
         with the Wilcoxon rank-sum test (normal approximation, tie-corrected, no continuity correction) and adjusted \
         after Benjamini and Hochberg; genes with an absolute log2 fold change of at least {} and an adjusted p of at \
         most {} count as changed. Gene sets were tested for over-representation among rising and among falling genes \
         (hypergeometric, background: the {} measured genes, Benjamini–Hochberg within each collection). Transcription \
         factors were tested the same way over genes with a direction. Null distributions come from random genes, \
         seed {}.",
        counted(evaluation.n_treatment, "predicted cell"),
        counted(evaluation.n_control, "control cell"),
        criteria.min_log2_fold_change,
        criteria.max_adjusted_p_value,
        count(evaluation.changes.len() as u64),
        report.settings.seed
    );
    let software = format!("All steps were run with HAYSTACK {}, run {}.", report.version, report.run_id);
    vec![prediction, cells, statistics, software]
}

pub fn limits(report: &Report) -> Vec<String> {
    let mut limits = vec![
        "This is a prediction, not a measurement. Check what matters at the bench.".to_owned(),
        "The score rewards agreement with known biology; a generic response can score well, and a new finding cannot."
            .to_owned(),
        "Predicted cells come from one model and are not independent samples, so their p-values are too small to be \
         read as error rates; use them to rank."
            .to_owned(),
    ];
    if !matches!(report.settings.predictor, Predictor::MeanShift {}) && !outperforms(report) {
        limits.push(
            "The mean-shift baseline scores as well or better here, so the model adds nothing that the score can show."
                .to_owned(),
        );
    }
    if let EffectiveControl::QueryAsControl { .. } = report.best().control {
        limits.push(
            "Predicted cells are compared with measured ones, so part of each difference may be the model's own mark \
             rather than the perturbation's."
                .to_owned(),
        );
    }
    match (&report.result.measured, report.settings.measured) {
        (Some(_), _) => {}
        (None, Measured::HoldOut) => {
            limits.push("The atlas holds no measured cells of this kind to check the prediction against.".to_owned());
        }
        (None, Measured::Use) => limits.push(
            "Measured cells of this kind were allowed in the prompt, so they cannot check the prediction.".to_owned(),
        ),
    }
    limits.extend(report.query.notes.iter().map(|note| sentence(note)));
    limits.extend(report.inference.warnings.iter().map(|warning| sentence(warning)));
    limits
}

fn outperforms(report: &Report) -> bool {
    match (report.evaluation.grounding.composite, report.baseline.grounding.composite) {
        (Some(answer), Some(baseline)) => answer > baseline,
        _ => true,
    }
}

pub fn sources(report: &Report) -> Vec<Row> {
    let row = |source: &Source| Row {
        name: format!("{} {}", source.kind, source.name),
        value: format!("{}{}", if source.simulated { "simulated; " } else { "" }, source.detail),
    };
    report.sources.iter().map(row).collect()
}
