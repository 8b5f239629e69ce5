//! The outputs of a run, all made from one [`Report`]: `report.md`, `report.html`, `log.json` and
//! `output.h5ad`. Nothing is computed here that the run did not already record.

mod view;

mod plots;

mod page;

mod log;

mod output;

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::domain::RunId;
use crate::domain::evaluation::{Evaluation, RunResult};
use crate::domain::inference::InferSummary;
use crate::domain::query::StructuredQuery;
use crate::domain::run::{Iteration, Settings};

pub use log::log;
pub use output::{Arms, OutputError, output};
pub use page::{html, markdown};

/// Everything that the outputs of a finished run tell.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The run.
    pub run_id: RunId,
    /// Who asked, where that is known.
    pub user_email: Option<String>,
    /// The question, understood.
    pub query: StructuredQuery,
    /// What the user decided.
    pub settings: Settings,
    /// Every iteration in order; at least one.
    pub iterations: Vec<Iteration>,
    /// The delivered prediction.
    pub evaluation: Evaluation,
    /// The mean-shift baseline of the same iteration.
    pub baseline: Evaluation,
    /// What the run came to.
    pub result: RunResult,
    /// The inference job of the delivered iteration.
    pub inference: InferSummary,
    /// The data and knowledge that went in.
    pub sources: Vec<Source>,
    /// Version of this software.
    pub version: String,
    /// When work on the run began.
    pub started: DateTime<Utc>,
    /// When the outputs were made.
    pub finished: DateTime<Utc>,
}

/// An atlas, a collection of gene sets, a network or a table that the run drew on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Source {
    /// What it is, such as `atlas` or `gene sets`.
    pub kind: String,
    /// The name it was imported under.
    pub name: String,
    /// Version, file, hash, licence: what it takes to find it again.
    pub detail: String,
    /// Whether its content is simulated.
    pub simulated: bool,
}

impl Report {
    /// The delivered iteration.
    ///
    /// # Panics
    /// If the report has no iterations.
    pub fn best(&self) -> &Iteration {
        let number = self.result.best_iteration;
        self.iterations
            .iter()
            .find(|iteration| iteration.number == number)
            .or(self.iterations.last())
            .expect("a report is made of at least one iteration")
    }

    /// Whether anything the answer rests on is simulated.
    pub fn is_simulated(&self) -> bool {
        self.result.simulated || self.sources.iter().any(|source| source.simulated)
    }
}
