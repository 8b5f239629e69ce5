//! What stops a run, and how the errors of the parts become the one shape that is stored and shown.

use crate::domain::RunId;
use crate::domain::query::StructuredQuery;
use crate::domain::run::{Failure, FailureKind};
use crate::{atlas, database, objects};

use super::evaluate::EvaluateError;

/// Why a run does not go on.
#[derive(Debug)]
pub enum Stop {
    /// It was cancelled.
    Cancelled,
    /// It failed.
    Failed(Failure),
    /// The database cannot be reached, so that not even the failure may be stored.
    Database(database::Error),
}

impl From<database::Error> for Stop {
    fn from(error: database::Error) -> Self {
        Self::Database(error)
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<atlas::Error> for Stop {
    fn from(error: atlas::Error) -> Self {
        match error {
            atlas::Error::Database(error) => Self::Database(error),
            error => failure(FailureKind::RetrievalError, chain(&error), None),
        }
    }
}

impl From<objects::Error> for Stop {
    fn from(error: objects::Error) -> Self {
        let hint = "check that the object store has room and may be written to ('haystack doctor')";
        failure(FailureKind::OutputError, chain(&error), Some(hint))
    }
}

impl From<EvaluateError> for Stop {
    fn from(error: EvaluateError) -> Self {
        failure(FailureKind::EvaluationError, error.to_string(), None)
    }
}

/// A failed inference job.
pub fn inference(message: String, hint: Option<&str>) -> Stop {
    failure(FailureKind::InferenceError, message, hint)
}

/// A step that could not write or read its own files.
pub fn output(error: &dyn std::error::Error) -> Stop {
    failure(FailureKind::OutputError, chain(error), Some("check that the disk has room and may be written to"))
}

/// No run of that id.
pub fn unknown_run(id: &RunId) -> Stop {
    failure(FailureKind::InternalError, format!("there is no run {id}"), None)
}

/// Not one prompt.
pub fn nothing_found(query: &StructuredQuery) -> Stop {
    let perturbation = query.perturbation.as_ref().map_or("the perturbation", |p| &p.name);
    let message = format!("no cells that respond to {perturbation} could be a prompt for {}", query.cell_type.name);
    failure(FailureKind::RetrievalError, message, Some("import an atlas that holds cells under this perturbation"))
}

/// No cells to predict for.
pub fn no_query_cells(query: &StructuredQuery) -> Stop {
    let cell_type = &query.cell_type;
    let message = format!("no unperturbed cells of type {} ({}) are held", cell_type.name, cell_type.id);
    failure(FailureKind::RetrievalError, message, Some("import an atlas that holds control cells of this type"))
}

fn failure(kind: FailureKind, message: String, hint: Option<&str>) -> Stop {
    Stop::Failed(Failure { kind, message, hint: hint.map(str::to_owned) })
}

/// An error with its causes, each once.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let message = error.to_string();
        if !text.contains(&message) {
            text = format!("{text}: {message}");
        }
        cause = error.source();
    }
    text
}
