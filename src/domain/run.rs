//! A run: its settings, its states and the moves between them, and what each iteration records.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::cells::CellSet;
use super::inference::Method;
use super::score::Grounding;
use super::sentence::sentence;

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

/// A stored word that is none of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{word}' is not a {what}; expected one of {expected}")]
pub struct UnknownWord {
    word: String,
    what: &'static str,
    expected: String,
}

impl FromStr for Lifecycle {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        Self::ALL.into_iter().find(|state| state.as_str() == word).ok_or_else(|| UnknownWord {
            word: word.to_owned(),
            what: "run state",
            expected: Self::ALL.map(Self::as_str).join(", "),
        })
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
    /// Every status.
    pub const ALL: [Self; 5] = [Self::Pending, Self::Running, Self::Completed, Self::Failed, Self::Cancelled];

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

impl FromStr for Status {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        Self::ALL.into_iter().find(|status| status.as_str() == word).ok_or_else(|| UnknownWord {
            word: word.to_owned(),
            what: "run status",
            expected: Self::ALL.map(Self::as_str).join(", "),
        })
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
        Self::ALL.into_iter().find(|phase| phase.as_str() == word).ok_or_else(|| UnknownWord {
            word: word.to_owned(),
            what: "phase",
            expected: Self::ALL.map(Self::as_str).join(", "),
        })
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

/// How an executor finds the job of a run again: written and read by it alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobHandle(pub String);

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

/// Where prompt cells were found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// The same perturbation, by name.
    Direct,
    /// The same perturbation in a neighbour of the cell type in the ontology.
    Ontology,
}

impl Strategy {
    /// The stored word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Ontology => "ontology",
        }
    }
}

/// A group of cell sets that could be the prompt, with why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PromptCandidate {
    /// The cell sets, which share the seven fields of [`PromptCandidate::selection_key`].
    pub sets: Vec<CellSet>,
    /// Where it was found.
    pub strategy: Strategy,
    /// 0 to 1.
    pub relevance: f64,
    /// Rank score: 0.4 relevance + 0.3 diversity + 0.3 quality.
    pub rank_score: f64,
    /// Whether control cells to pair with exist.
    pub has_control: bool,
    /// In words.
    pub rationale: String,
}

impl PromptCandidate {
    /// Data set, perturbation, cell type, donor, tissue, disease, sample condition.
    pub fn selection_key(&self) -> [String; 7] {
        let key = &self.sets[0].key;
        let label = |label: Option<&super::terms::Label>| label.map_or_else(String::new, |l| l.name().to_owned());
        [
            key.dataset.clone(),
            label(key.condition.perturbation()),
            label(Some(&key.cell_type)),
            key.donor.clone().unwrap_or_default(),
            label(key.tissue.as_ref()),
            label(key.disease.as_ref()),
            key.sample_condition.clone().unwrap_or_default(),
        ]
    }

    /// Cells over all sets.
    pub fn n_cells(&self) -> u64 {
        self.sets.iter().map(|set| set.n_cells).sum()
    }
}

/// What the predicted cells were compared with, and every condition that had to be given up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "strategy", rename_all = "snake_case")]
pub enum EffectiveControl {
    /// Control cells paired with the prompt were the prompt of a second prediction.
    SyntheticControl {
        /// The paired control sets.
        sets: Vec<CellSet>,
        /// Matching conditions given up, in order, such as `donor`.
        relaxations: Vec<String>,
    },
    /// The query cells themselves.
    QueryAsControl {
        /// Whether nothing better could be found (costs 1.0) or the user chose it (0.5).
        forced: bool,
        /// In words.
        why: String,
    },
}

impl EffectiveControl {
    /// The strategy's word.
    pub fn strategy(&self) -> ControlStrategy {
        match self {
            Self::SyntheticControl { .. } => ControlStrategy::SyntheticControl,
            Self::QueryAsControl { .. } => ControlStrategy::QueryAsControl,
        }
    }

    /// What it takes off the score, in hundredths.
    pub fn penalty(&self) -> u32 {
        match self {
            Self::SyntheticControl { .. } => 0,
            Self::QueryAsControl { forced: true, .. } => 100,
            Self::QueryAsControl { forced: false, .. } => 50,
        }
    }
}

/// One iteration as stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Iteration {
    /// From 1.
    pub number: u32,
    /// The prompt that was used.
    pub prompt: PromptCandidate,
    /// How many candidates it was chosen from.
    pub n_candidates: u32,
    /// Cells drawn for the prompt.
    pub n_prompt_cells: u32,
    /// Cells drawn for the paired control; 0 when the query cells are the control.
    pub n_control_cells: u32,
    /// The query cell sets.
    pub query: Vec<CellSet>,
    /// Cells drawn for the query.
    pub n_query_cells: u32,
    /// Conditions given up while choosing query cells, in order.
    pub query_relaxations: Vec<String>,
    /// What the prediction was compared with.
    pub control: EffectiveControl,
    /// The score of the answer.
    pub grounding: Grounding,
    /// The score of the baseline beside it.
    pub baseline: Grounding,
    /// Seconds for the iteration.
    pub seconds: f64,
    /// What the user should know.
    pub warnings: Vec<String>,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
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
