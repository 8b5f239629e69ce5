//! What the user decides about a run.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::UnknownWord;
use crate::domain::evaluation::Criteria;
use crate::domain::inference::Method;

/// What the user decided when the run was created. All within limits once built.
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
#[serde(tag = "method", rename_all = "kebab-case")]
pub enum Predictor {
    /// STACK with an imported model.
    Stack {
        /// The name it was imported under.
        model: String,
    },
    /// The mean shift alone.
    MeanShift,
}

impl Predictor {
    /// The method it uses.
    pub fn method(&self) -> Method {
        match self {
            Self::Stack { .. } => Method::Stack,
            Self::MeanShift => Method::MeanShift,
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
        [Self::SyntheticControl, Self::QueryAsControl].into_iter().find(|s| s.as_str() == word).ok_or_else(|| {
            UnknownWord {
                word: word.to_owned(),
                what: "control strategy",
                expected: "synthetic_control, query_as_control".into(),
            }
        })
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

impl FromStr for Measured {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        match word {
            "hold-out" => Ok(Self::HoldOut),
            "use" => Ok(Self::Use),
            _ => Err(UnknownWord {
                word: word.to_owned(),
                what: "way to treat measured cells",
                expected: "hold-out, use".into(),
            }),
        }
    }
}
