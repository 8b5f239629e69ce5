//! What the user decides about a run.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::word::{self, UnknownWord};
use crate::domain::evaluation::Criteria;
use crate::domain::inference::Method;

/// What the user decided when the run was created. [`Settings::checked`] gives those whose counts are within
/// their limits; the thresholds in `criteria` are checked where they are read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Synthetic control or query cells.
    pub control_strategy: ControlStrategy,
    /// Predictor that answers; the baseline is computed beside it in any case.
    pub predictor: Predictor,
    /// 1 to 10.
    pub max_iterations: u32,
    /// 1 to 10; the run stops when a score reaches it.
    pub score_threshold: u32,
    /// Seed of every draw in the run.
    pub seed: u64,
    /// Keep measured cells of the asked combination for comparison, or use them.
    pub measured: Measured,
    /// Whether enrichment is computed.
    pub pathway_enrichment: bool,
    /// What counts as a differentially expressed gene.
    #[serde(default)]
    pub criteria: Criteria,
}

/// A setting outside its limits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} is {value}; it goes from 1 to 10")]
pub struct OutOfLimits {
    name: &'static str,
    value: u32,
}

impl Settings {
    /// The settings, if all are within their limits.
    pub fn checked(self) -> Result<Self, OutOfLimits> {
        let limited = [("max_iterations", self.max_iterations), ("score_threshold", self.score_threshold)];
        match limited.into_iter().find(|(_, value)| !(1..=10).contains(value)) {
            Some((name, value)) => Err(OutOfLimits { name, value }),
            None => Ok(self),
        }
    }
}

/// Which predictor answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "method", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Predictor {
    /// STACK with an imported model.
    Stack {
        /// The name it was imported under.
        model: String,
    },
    /// The mean shift alone. With braces, because a variant without them would take any field.
    MeanShift {},
}

impl Predictor {
    /// The method it uses.
    pub fn method(&self) -> Method {
        match self {
            Self::Stack { .. } => Method::Stack,
            Self::MeanShift {} => Method::MeanShift,
        }
    }
}

/// What the predicted cells are compared with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ControlStrategy {
    /// A second prediction for the same query cells, with control cells as prompt.
    #[default]
    SyntheticControl,
    /// The query cells themselves.
    QueryAsControl,
}

impl ControlStrategy {
    /// The stored word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SyntheticControl => "synthetic_control",
            Self::QueryAsControl => "query_as_control",
        }
    }
}

impl FromStr for ControlStrategy {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        word::find(&[Self::SyntheticControl, Self::QueryAsControl], Self::as_str, "control strategy", word)
    }
}

/// Whether cells of the asked type that were measured under the asked perturbation may be prompts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Measured {
    /// They are kept out of the prompt, and the prediction is compared with them afterwards.
    #[default]
    HoldOut,
    /// They may be the prompt.
    Use,
}

impl Measured {
    /// The stored word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HoldOut => "hold-out",
            Self::Use => "use",
        }
    }
}

impl FromStr for Measured {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        word::find(&[Self::HoldOut, Self::Use], Self::as_str, "way to treat measured cells", word)
    }
}
