//! The sections whose keys are used as they are written.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer};

use super::Error;
use crate::domain::evaluation::Criteria;
use crate::domain::run::Measured;

/// `[user]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// Owner of the runs started here.
    pub email: String,
}

/// `[jobs]`: child processes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Jobs {
    /// Inference jobs at the same time on this machine.
    pub slots: u32,
    infer_timeout_seconds: u32,
    orchestrate_timeout_seconds: u32,
    grace_seconds: u32,
}

impl Jobs {
    /// How long an inference job may take.
    pub fn infer_timeout(&self) -> Duration {
        Duration::from_secs(self.infer_timeout_seconds.into())
    }

    /// How long a run may take.
    pub fn orchestrate_timeout(&self) -> Duration {
        Duration::from_secs(self.orchestrate_timeout_seconds.into())
    }

    /// How long a stopped job has to end by itself.
    pub fn grace(&self) -> Duration {
        Duration::from_secs(self.grace_seconds.into())
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        within("jobs.slots", self.slots, 1, 1024)?;
        within("jobs.infer_timeout_seconds", self.infer_timeout_seconds, 1, 10_000_000)?;
        within("jobs.orchestrate_timeout_seconds", self.orchestrate_timeout_seconds, 1, 10_000_000)?;
        within("jobs.grace_seconds", self.grace_seconds, 0, 3600)
    }
}

/// `[planner]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Planner {
    /// How a question is read.
    pub kind: PlannerKind,
}

/// How a question is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlannerKind {
    /// By fixed rules over the terms we hold.
    Rules,
}

/// `[api_keys]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiKeys {
    /// Anthropic.
    #[serde(deserialize_with = "secret_or_none")]
    pub anthropic: Option<SecretString>,
    /// OpenAI.
    #[serde(deserialize_with = "secret_or_none")]
    pub openai: Option<SecretString>,
    /// Google.
    #[serde(deserialize_with = "secret_or_none")]
    pub google: Option<SecretString>,
}

/// `[retrieval]`: choosing cells.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retrieval {
    /// Cells drawn for the prompt.
    pub prompt_cells: u32,
    /// Cells drawn for the paired control.
    pub control_cells: u32,
    /// Cells drawn for the query.
    pub query_cells: u32,
    /// A group with fewer cells is not used.
    pub min_cells: u32,
    /// What may be done with cells measured for the very question.
    pub measured: Measured,
    /// Share of relevance in a prompt's rank.
    pub relevance_weight: f64,
    /// Share of diversity.
    pub diversity_weight: f64,
    /// Share of quality.
    pub quality_weight: f64,
}

impl Retrieval {
    pub(super) fn check(&self) -> Result<(), Error> {
        within("retrieval.min_cells", self.min_cells, 2, 100_000)?;
        within("retrieval.prompt_cells", self.prompt_cells, self.min_cells, 100_000)?;
        within("retrieval.control_cells", self.control_cells, self.min_cells, 100_000)?;
        within("retrieval.query_cells", self.query_cells, self.min_cells, 100_000)?;
        let weights = [
            ("retrieval.relevance_weight", self.relevance_weight),
            ("retrieval.diversity_weight", self.diversity_weight),
            ("retrieval.quality_weight", self.quality_weight),
        ];
        for (key, weight) in weights {
            within_f64(key, weight, 0.0, 1.0)?;
        }
        let sum: f64 = weights.iter().map(|(_, weight)| weight).sum();
        if (sum - 1.0).abs() > 1e-9 {
            let why =
                format!("with relevance_weight and diversity_weight adds up to {sum}; the three must add up to 1");
            return Err(Error::value("retrieval.quality_weight", why));
        }
        Ok(())
    }
}

/// `[iteration]`: when a run stops.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Iteration {
    /// Default number of iterations allowed, 1 to 10.
    pub max_iterations: u32,
    /// Default score that ends a run, 1 to 10.
    pub score_threshold: u32,
    /// Scores looked back on.
    pub plateau_window: u32,
    /// Gain expected within them.
    pub min_improvement: u32,
}

impl Iteration {
    pub(super) fn check(&self) -> Result<(), Error> {
        within("iteration.max_iterations", self.max_iterations, 1, 10)?;
        within("iteration.score_threshold", self.score_threshold, 1, 10)?;
        within("iteration.plateau_window", self.plateau_window, 1, 10)?;
        within("iteration.min_improvement", self.min_improvement, 0, 9)
    }
}

/// `[evaluation]`: thresholds of the statistics.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evaluation {
    /// Least |log2 fold change| of a changed gene.
    pub lfc_threshold: f64,
    /// Largest adjusted p-value of a changed gene.
    pub padj_threshold: f64,
    /// Cells needed on each side.
    pub min_cells: u32,
    /// Draws of each null distribution.
    pub null_draws: u32,
}

impl Evaluation {
    /// What counts as a differentially expressed gene where a question does not say.
    pub fn criteria(&self) -> Criteria {
        Criteria {
            min_log2_fold_change: self.lfc_threshold,
            max_adjusted_p_value: self.padj_threshold,
            min_cells: self.min_cells as usize,
        }
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        within_f64("evaluation.lfc_threshold", self.lfc_threshold, 0.0, 100.0)?;
        within_f64("evaluation.padj_threshold", self.padj_threshold, 0.0, 1.0)?;
        within("evaluation.min_cells", self.min_cells, 2, 100_000)?;
        within("evaluation.null_draws", self.null_draws, 200, 1_000_000)
    }
}

/// `[log]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// Which lines are written, as `tracing` filters read it; `auto` leaves it to the program.
    pub level: String,
    /// For people or for machines.
    pub format: LogFormat,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
}

fn within(key: &str, value: u32, least: u32, most: u32) -> Result<(), Error> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(Error::value(key, format!("is {value}; it must be from {least} to {most}")))
}

fn within_f64(key: &str, value: f64, least: f64, most: f64) -> Result<(), Error> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(Error::value(key, format!("is {value}; it must be from {least} to {most}")))
}

fn secret_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SecretString>, D::Error> {
    let secret = SecretString::deserialize(deserializer)?;
    Ok((!secret.expose_secret().is_empty()).then_some(secret))
}
