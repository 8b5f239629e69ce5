//! The parts a run needs, and the two things every step does with them: enter a phase, leave a note.

use serde_json::{Value, json};

use crate::atlas::Atlas;
use crate::config::Config;
use crate::database::Database;
use crate::domain::RunId;
use crate::domain::run::{Phase, Settings};
use crate::executor::Executor;
use crate::knowledge::Knowledge;
use crate::objects::Objects;

use super::decide::Policy;
use super::failure::Stop;

/// Built once per process.
pub struct Context {
    /// Thresholds and group sizes.
    pub config: Config,
    /// The run and everything it records.
    pub database: Database,
    /// Inputs, predictions, outputs.
    pub objects: Objects,
    /// Runs inference.
    pub executor: Executor,
    /// Names and facts.
    pub knowledge: Knowledge,
    /// Cells.
    pub atlas: Atlas,
}

impl Context {
    /// Moves the run on to a phase. This is where a cancelled run stops.
    pub(super) async fn enter(&self, run: &RunId, iteration: u32, phase: Phase) -> Result<(), Stop> {
        if self.database.enter(run, iteration, phase).await? {
            return Err(Stop::Cancelled);
        }
        tracing::info!(run.id = %run, iteration, phase = phase.as_str(), "run {run}: {}", phase.title());
        self.note(run, "phase.entered", json!({"iteration": iteration, "phase": phase})).await
    }

    /// Appends to the run's events.
    pub(super) async fn note(&self, run: &RunId, kind: &str, data: Value) -> Result<(), Stop> {
        self.database.append_event(run, kind, &data).await?;
        Ok(())
    }

    /// When this run stops.
    pub(super) fn policy(&self, settings: &Settings) -> Policy {
        Policy {
            score_threshold: settings.score_threshold,
            max_iterations: settings.max_iterations,
            plateau_window: self.config.iteration.plateau_window as usize,
            min_improvement: self.config.iteration.min_improvement,
        }
    }
}
