//! Progress of a job on a terminal; nothing elsewhere.

use indicatif::ProgressBar;

use crate::cli::progress;
use crate::stack::generate::Progress;

/// Parts of one arm on the bar.
const PARTS: u64 = 1000;

/// A bar over all arms of a job.
#[derive(Clone)]
pub struct Bar {
    bar: ProgressBar,
}

impl Bar {
    /// A bar for this many arms. It draws on standard error, and only if that is a terminal.
    pub fn new(n_arms: usize) -> Self {
        let bar = progress::bar("{msg:32} [{wide_bar}] {percent:>3} % {eta:>5}");
        bar.set_length(n_arms as u64 * PARTS);
        Self { bar }
    }

    /// Says what is going on.
    pub fn say(&self, what: impl Into<String>) {
        self.bar.set_message(what.into());
        self.bar.tick();
    }

    /// Shows how far the generation of an arm is.
    pub fn advance(&self, arm: usize, name: &str, at: Progress) {
        let steps = f64::from(at.step - 1) + at.window as f64 / at.n_windows as f64;
        let share = steps / f64::from(at.n_steps);
        self.bar.set_position((PARTS as f64 * (arm as f64 + share)) as u64);
        self.bar.set_message(format!("{name}: step {} of {}", at.step, at.n_steps));
    }

    /// Shows how many windows of how many are done.
    pub fn share(&self, done: usize, n: usize) {
        self.bar.set_position(PARTS * done as u64 / n as u64);
        self.bar.set_message(format!("window {done} of {n}"));
    }

    /// Takes the bar off the terminal.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
