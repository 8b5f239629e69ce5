//! A run: its settings, its states and the moves between them, what each iteration records, its end.

mod end;
mod iteration;
mod lifecycle;
mod settings;
mod word;

use serde::{Deserialize, Serialize};

pub use end::{Artifact, Failure, FailureKind, TerminationReason};
pub use iteration::{EffectiveControl, Iteration, PromptCandidate, Strategy};
pub use lifecycle::{Lifecycle, Phase, Status};
pub use settings::{ControlStrategy, Measured, OutOfLimits, Predictor, Settings};
pub use word::UnknownWord;

/// How an executor finds the job of a run again: written and read by it alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobHandle(pub String);
