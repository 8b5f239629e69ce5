//! Where a run is: its states and the moves between them, its public status, its phase.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::word::{self, UnknownWord};

/// Where a run is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Lifecycle {
    /// Accepted and stored.
    Queued,
    /// Handed to an executor.
    Scheduled,
    /// Its process is coming up.
    Starting,
    /// At work.
    Running,
    /// Its outputs are checked.
    AutoValidating,
    /// Waiting for a person's verdict.
    AwaitingHuman,
    /// A person passed it.
    HumanValidated,
    /// Finished with outputs.
    Completed,
    /// Finished without.
    Failed,
    /// Stopped on request.
    Canceled,
}

impl Lifecycle {
    /// Every state.
    pub const ALL: [Self; 10] = [
        Self::Queued,
        Self::Scheduled,
        Self::Starting,
        Self::Running,
        Self::AutoValidating,
        Self::AwaitingHuman,
        Self::HumanValidated,
        Self::Completed,
        Self::Failed,
        Self::Canceled,
    ];

    /// The states that may follow this one. Empty for the three terminal states.
    pub fn successors(self) -> &'static [Self] {
        use Lifecycle::*;
        match self {
            Queued => &[Scheduled, Canceled],
            Scheduled => &[Starting, Running, Failed, Canceled],
            Starting => &[Running, Failed, Canceled],
            Running => &[AutoValidating, Failed, Canceled, Completed],
            AutoValidating => &[AwaitingHuman, Failed, Canceled],
            AwaitingHuman => &[HumanValidated, Failed, Canceled],
            Completed => &[AutoValidating, AwaitingHuman, HumanValidated, Failed, Canceled],
            HumanValidated | Failed | Canceled => &[],
        }
    }

    /// The states from which this one may be entered, in the order of [`Lifecycle::ALL`].
    pub fn predecessors(self) -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(move |from| from.successors().contains(&self))
    }

    /// The word of the public API.
    pub fn status(self) -> Status {
        match self {
            Self::Queued | Self::Scheduled | Self::Starting => Status::Pending,
            Self::Running => Status::Running,
            Self::AutoValidating | Self::AwaitingHuman | Self::HumanValidated | Self::Completed => Status::Completed,
            Self::Failed => Status::Failed,
            Self::Canceled => Status::Cancelled,
        }
    }

    /// The stored word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "QUEUED",
            Self::Scheduled => "SCHEDULED",
            Self::Starting => "STARTING",
            Self::Running => "RUNNING",
            Self::AutoValidating => "AUTO_VALIDATING",
            Self::AwaitingHuman => "AWAITING_HUMAN",
            Self::HumanValidated => "HUMAN_VALIDATED",
            Self::Completed => "COMPLETED",
            Self::Failed => "FAILED",
            Self::Canceled => "CANCELED",
        }
    }
}

impl FromStr for Lifecycle {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        word::find(&Self::ALL, Self::as_str, "run state", word)
    }
}

/// The public word for where a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Accepted, not yet at work.
    Pending,
    /// At work.
    Running,
    /// Finished with outputs.
    Completed,
    /// Finished without.
    Failed,
    /// Stopped on request.
    Cancelled,
}

impl Status {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether nothing more will happen.
    pub fn is_finished(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a run is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Not started.
    Pending,
    /// Reading the question.
    QueryAnalysis,
    /// Choosing prompt cells.
    PromptGeneration,
    /// Running the model.
    Inference,
    /// Scoring the prediction.
    Evaluation,
    /// Writing the outputs.
    OutputGeneration,
}

impl Phase {
    /// Every phase in order.
    pub const ALL: [Self; 6] = [
        Self::Pending,
        Self::QueryAnalysis,
        Self::PromptGeneration,
        Self::Inference,
        Self::Evaluation,
        Self::OutputGeneration,
    ];

    /// The stored word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::QueryAnalysis => "query_analysis",
            Self::PromptGeneration => "prompt_generation",
            Self::Inference => "inference",
            Self::Evaluation => "evaluation",
            Self::OutputGeneration => "output_generation",
        }
    }

    /// For people.
    pub fn title(self) -> &'static str {
        match self {
            Self::Pending => "Queued",
            Self::QueryAnalysis => "Reading the question",
            Self::PromptGeneration => "Choosing prompt cells",
            Self::Inference => "Running inference",
            Self::Evaluation => "Scoring the prediction",
            Self::OutputGeneration => "Writing the outputs",
        }
    }
}

impl FromStr for Phase {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        word::find(&Self::ALL, Self::as_str, "phase", word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_states_go_both_ways() {
        for state in Lifecycle::ALL {
            assert_eq!(state.as_str().parse::<Lifecycle>().unwrap(), state);
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
        }
        for phase in Phase::ALL {
            assert_eq!(phase.as_str().parse::<Phase>().unwrap(), phase);
        }
        let error = "DONE".parse::<Lifecycle>().unwrap_err().to_string();
        assert!(error.contains("'DONE'") && error.contains("QUEUED"), "{error}");
    }

    #[test]
    fn terminal_states_have_no_way_out_and_cancel_is_reachable_from_the_rest() {
        use Lifecycle::*;
        for state in Lifecycle::ALL {
            let terminal = matches!(state, HumanValidated | Failed | Canceled);
            assert_eq!(state.successors().is_empty(), terminal, "{state:?}");
            assert_eq!(state.successors().contains(&Canceled), !terminal, "{state:?}");
        }
        assert_eq!(Running.predecessors().collect::<Vec<_>>(), vec![Scheduled, Starting]);
    }
}
