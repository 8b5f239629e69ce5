//! How a run ends: why the loop stopped, why it failed, what it left.

use serde::{Deserialize, Serialize};

use crate::domain::sentence::sentence;

/// Why the loop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TerminationReason {
    /// A score reached the threshold.
    ThresholdReached,
    /// The allowed number of iterations was used.
    MaxIterations,
    /// The last iterations brought no gain.
    Plateau,
    /// Every prompt that could be found was tried.
    NoCandidates,
    /// No component could be measured, so another prompt could not be judged better.
    NoScore,
    /// Stopped on request.
    Cancelled,
    /// An error.
    Error,
}

impl TerminationReason {
    /// The stored word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ThresholdReached => "threshold_reached",
            Self::MaxIterations => "max_iterations",
            Self::Plateau => "plateau",
            Self::NoCandidates => "no_candidates",
            Self::NoScore => "no_score",
            Self::Cancelled => "cancelled",
            Self::Error => "error",
        }
    }

    /// For people, as part of a sentence.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::ThresholdReached => "the score reached the threshold",
            Self::MaxIterations => "the allowed iterations were used up",
            Self::Plateau => "further prompts brought no gain",
            Self::NoCandidates => "no further prompt was found",
            Self::NoScore => "without a score no prompt can be judged better",
            Self::Cancelled => "stopped on request",
            Self::Error => "stopped by an error",
        }
    }
}

/// Where a run failed; the category of the error body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum FailureKind {
    /// The question is not one we can read.
    QueryParsingError,
    /// A name in it is not among the terms we hold.
    EntityResolutionError,
    /// No prompt, control or query cells could be found or read.
    RetrievalError,
    /// The inference job failed.
    InferenceError,
    /// The prediction could not be scored.
    EvaluationError,
    /// The outputs could not be written.
    OutputError,
    /// A bug of ours.
    InternalError,
}

/// Why a run failed: the one shape that is stored and shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// Category.
    pub kind: FailureKind,
    /// What happened, naming the thing and the place.
    pub message: String,
    /// The way out, if we know one.
    pub hint: Option<String>,
}

impl Failure {
    /// What happened and the way out as sentences, for a page or a letter.
    pub fn in_sentences(&self) -> String {
        let parts = [Some(&self.message), self.hint.as_ref()];
        parts.into_iter().flatten().map(|text| sentence(text)).collect::<Vec<_>>().join(" ")
    }
}

/// A stored output of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// Key in the object store.
    pub key: String,
    /// Size.
    pub bytes: u64,
    /// In hexadecimal.
    pub sha256: String,
    /// Such as `text/html; charset=utf-8`.
    pub media_type: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_reads_as_sentences() {
        let failure = |message: &str, hint: Option<&str>| Failure {
            kind: FailureKind::EntityResolutionError,
            message: message.into(),
            hint: hint.map(str::to_owned),
        };
        let asked = failure("no cell type called 'x' is held", Some("did you mean B cell?"));
        assert_eq!(asked.in_sentences(), "No cell type called 'x' is held. Did you mean B cell?");
        assert_eq!(failure("it ended", None).in_sentences(), "It ended.");
    }
}
