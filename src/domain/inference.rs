//! One inference job: the only thing the orchestrator and `haystack infer` share.
//!
//! A request names its inputs and outputs and everything that decides the numbers. The summary is
//! written last, so its presence means that every output is complete.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The arm that predicts the query cells with the paired control cells as prompt.
pub const CONTROL_ARM: &str = "control";
/// The name the query cells of an iteration are stored under.
pub const QUERY_CELLS: &str = "query";

/// Where a file is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Location {
    /// A key in the configured object store.
    Key(String),
    /// A file on this machine.
    Path(PathBuf),
    /// An object named by a full address: `gs://bucket/key`, `s3://bucket/key`, `file:///path`.
    Url(String),
}

impl Location {
    /// Reads what a user wrote after a flag: an address if it has a scheme, else a path.
    pub fn from_argument(text: &str) -> Self {
        if text.contains("://") { Self::Url(text.to_owned()) } else { Self::Path(PathBuf::from(text)) }
    }

    /// A file in it, where it is a folder.
    pub fn file(&self, name: &str) -> Self {
        let below = |folder: &str| format!("{}/{name}", folder.trim_end_matches('/'));
        match self {
            Self::Key(key) => Self::Key(below(key)),
            Self::Path(path) => Self::Path(path.join(name)),
            Self::Url(url) => Self::Url(below(url)),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key) => f.write_str(key),
            Self::Path(path) => write!(f, "{}", path.display()),
            Self::Url(url) => f.write_str(url),
        }
    }
}

/// How a prediction is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// The STACK model, in context.
    Stack,
    /// The baseline: query counts moved by the mean log-difference between the prompt and its
    /// paired control.
    MeanShift,
}

impl Method {
    /// The stored name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stack => "stack",
            Self::MeanShift => "mean-shift",
        }
    }
}

/// How STACK generates (reference: `get_incontext_generation` of arc-stack 0.1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Masked diffusion: each step commits the cells that look most like the prompt.
    Mdm,
    /// Each step resamples every cell.
    Vanilla,
}

/// Everything that decides the numbers besides the inputs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sampling {
    /// Masked diffusion or plain resampling.
    pub mode: Mode,
    /// Number of diffusion steps, at least 1.
    pub diffusion_steps: u32,
    /// Share of a window that holds prompt cells only other prompt cells are seen by.
    pub prompt_ratio: f64,
    /// Share of a window that holds further context cells, in the last step.
    pub context_ratio: f64,
    /// The same, in the first step.
    pub context_ratio_min: f64,
    /// Windows per batch in the reference. Here one window is computed after the other: it decides nothing.
    pub batch_size: u32,
    /// Seed of the window contents and of the draws.
    pub seed: u64,
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            mode: Mode::Mdm,
            diffusion_steps: 5,
            prompt_ratio: 0.25,
            context_ratio: 0.4,
            context_ratio_min: 0.2,
            batch_size: 32,
            seed: 0,
        }
    }
}

/// One prediction for the query cells: which prompt, which method, where to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arm {
    /// Such as `perturbed`, `control` or `baseline`; unique in a request.
    pub name: String,
    /// Model or baseline.
    pub method: Method,
    /// Cells that show the state to predict (`.h5ad`, counts).
    pub prompt: Location,
    /// Which of these cells, of a file that holds the prompts of several arms; all for `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<Split>,
    /// Paired control cells; needed by the mean shift, unused by STACK.
    pub control: Option<Location>,
    /// Where the predicted cells go (`.h5ad`).
    pub output: Location,
}

/// The cells with one value in a column of their table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Split {
    /// The column.
    pub column: String,
    /// The value as Python spells it; `nan` for cells without one.
    pub value: String,
}

/// A whole inference job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InferRequest {
    /// The model: an imported one (`Key` of its folder), or a checkpoint file. Needed as soon as
    /// an arm uses STACK.
    pub model: Option<Location>,
    /// The gene list, where the model does not bring its own.
    pub genes: Option<Location>,
    /// The cells to predict (`.h5ad`, counts), shared by all arms.
    pub query: Location,
    /// The predictions to make.
    pub arms: Vec<Arm>,
    /// What decides the numbers.
    pub sampling: Sampling,
    /// Where the summary goes when all outputs are written.
    pub summary: Option<Location>,
}

/// What one arm came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ArmSummary {
    /// The arm's name.
    pub name: String,
    /// Model or baseline.
    pub method: Method,
    /// Where the predicted cells are.
    pub output: Location,
    /// Prompt cells read.
    pub n_prompt_cells: usize,
    /// Model genes found in the prompt file.
    pub n_genes_matched: usize,
    /// Seconds for this arm, loading not counted.
    pub seconds: f64,
}

/// The last thing an inference job writes and prints.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InferSummary {
    /// The arms in the order they were asked for.
    pub arms: Vec<ArmSummary>,
    /// Query cells predicted.
    pub n_query_cells: usize,
    /// Genes of the first arm's output: the model's, or for the mean shift the query's.
    pub n_genes: usize,
    /// Name of the model, if one was used.
    pub model: Option<String>,
    /// SHA-256 of the model's weights file, in hexadecimal.
    pub model_sha256: Option<String>,
    /// Licence of the weights, as stored when they were imported.
    pub model_licence: Option<String>,
    /// `cpu` or `cuda:0`.
    pub device: String,
    /// What decided the numbers.
    pub sampling: Sampling,
    /// Seconds from start to end, loading included.
    pub seconds: f64,
    /// What the user should know, such as cells that repeat because the prompt is small.
    pub warnings: Vec<String>,
}
