//! WORLD: running jobs: child processes of this binary, in a bounded number of slots.

mod local;
mod process;

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::Config;
use crate::domain::RunId;
use crate::domain::run::JobHandle;

/// Something to run in a process of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Job {
    /// A run's loop.
    Orchestrate {
        /// Which run.
        run: RunId,
    },
    /// All predictions of one iteration.
    Infer {
        /// For which run.
        run: RunId,
        /// From 1.
        iteration: u32,
        /// Key of the request in the object store.
        request: String,
    },
}

impl Job {
    /// The arguments after the program's name: the one place a command line is written.
    pub fn argv(&self) -> Vec<String> {
        let words = match self {
            Self::Orchestrate { run } => ["orchestrate", "--run-id", run.as_str()],
            Self::Infer { request, .. } => ["infer", "--request", request],
        };
        words.map(str::to_owned).to_vec()
    }

    /// Its name in files, such as `run_0123456789ab.iter_1.infer`.
    fn name(&self) -> String {
        match self {
            Self::Orchestrate { run } => format!("{run}.orchestrate"),
            Self::Infer { run, iteration, .. } => format!("{run}.iter_{iteration}.infer"),
        }
    }

    /// For people.
    fn title(&self) -> String {
        match self {
            Self::Orchestrate { run } => format!("the job of {run}"),
            Self::Infer { run, iteration, .. } => format!("the inference job of iteration {iteration} of {run}"),
        }
    }
}

/// Where a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobStatus {
    /// At work.
    Running,
    /// Ended with exit code 0.
    Succeeded,
    /// Ended otherwise.
    Failed,
    /// Not at work, and how it ended is not known here: another process started it.
    Gone,
}

/// Why a job did not start or did not succeed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder for jobs cannot be used.
    #[error("cannot use {} for jobs: {why}", path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// What the system said.
        why: String,
    },
    /// The program cannot be started.
    #[error("cannot start {}: {why}", program.display())]
    Start {
        /// Its path.
        program: PathBuf,
        /// What the system said.
        why: String,
    },
    /// It ended with another exit code than 0, or by a signal.
    #[error("{job} ended with {}{}; its log is {}", end(*code, *signal), said(last), log.display())]
    Failed {
        /// Which, in words.
        job: String,
        /// Its exit code, unless a signal ended it.
        code: Option<i32>,
        /// The signal that ended it.
        signal: Option<i32>,
        /// The last lines it wrote, at most 20.
        last: Vec<String>,
        /// Everything it wrote.
        log: PathBuf,
    },
    /// It took too long and was stopped.
    #[error("{job} was stopped after {} s, the most it may take; its log is {}", limit.as_secs(), log.display())]
    TimedOut {
        /// Which, in words.
        job: String,
        /// How long it may take.
        limit: Duration,
        /// Everything it wrote.
        log: PathBuf,
    },
    /// It was cancelled.
    #[error("{job} was cancelled")]
    Cancelled {
        /// Which, in words.
        job: String,
    },
    /// Another process started it, and it is gone.
    #[error("job {0} is gone; how it ended is not known here")]
    Gone(String),
    /// The handle is not one of ours.
    #[error("'{0}' is not the handle of a job on this machine")]
    Handle(String),
}

impl Error {
    /// Whether the same job may succeed later: it said so by its exit code, or the system ended it,
    /// as it does when memory is short.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Failed { code: Some(75), .. } | Self::Failed { signal: Some(9), .. })
    }
}

/// Result of running a job.
pub type Result<T> = std::result::Result<T, Error>;

/// Runs jobs. Cheap to clone; clones share what they know of their jobs.
///
/// Jobs end with the process that started them.
#[derive(Clone, Debug)]
pub struct Executor {
    backend: Backend,
}

#[derive(Clone, Debug)]
enum Backend {
    Local(local::Local),
}

impl Executor {
    /// Runs jobs as child processes of this program, under the same configuration.
    pub fn local(config: &Config) -> Result<Self> {
        let program = std::env::current_exe()
            .map_err(|error| Error::Start { program: "this program".into(), why: error.to_string() })?;
        Self::local_program(config, &program)
    }

    /// The same with another program, which takes the arguments of ours.
    pub fn local_program(config: &Config, program: &Path) -> Result<Self> {
        Ok(Self { backend: Backend::Local(local::Local::new(config, program)?) })
    }

    /// The handle of this process, for a run that it carries out itself or has not handed over yet.
    /// Others can see whether it is still at work; cancelling it does nothing.
    pub fn owner() -> JobHandle {
        local::Local::owner()
    }

    /// Starts a job and returns once it is started. An inference job first waits for a free slot.
    pub async fn submit(&self, job: &Job) -> Result<JobHandle> {
        let Backend::Local(local) = &self.backend;
        local.submit(job).await
    }

    /// Where a job is.
    pub async fn status(&self, job: &JobHandle) -> Result<JobStatus> {
        let Backend::Local(local) = &self.backend;
        local.status(job)
    }

    /// Waits for a job to end; an error when it did not succeed.
    pub async fn wait(&self, job: &JobHandle) -> Result<()> {
        let Backend::Local(local) = &self.backend;
        local.wait(job).await
    }

    /// Stops a job and every process it started, and waits until they are gone. One that ended
    /// before is fine.
    pub async fn cancel(&self, job: &JobHandle) -> Result<()> {
        let Backend::Local(local) = &self.backend;
        local.cancel(job).await
    }

    /// Runs a job to its end. When the returned future is dropped, as when a run is cancelled, the
    /// job is stopped.
    pub async fn run(&self, job: &Job) -> Result<()> {
        let Backend::Local(local) = &self.backend;
        local.run(job).await
    }
}

fn end(code: Option<i32>, signal: Option<i32>) -> String {
    match (code, signal) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(9)) => "signal 9 (killed; the machine may be short of memory)".to_owned(),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "an unknown status".to_owned(),
    }
}

fn said(last: &[String]) -> String {
    // Our own programs print what went wrong in a line of its own, before causes and hints.
    let error = last.iter().rev().find(|line| line.starts_with("Error: ") || line.starts_with("Internal error: "));
    error.or(last.last()).map(|line| format!(" ({line})")).unwrap_or_default()
}
