//! Jobs as child processes of this program on this machine.
//!
//! A child holds the reading end of a pipe as its standard input and ends when the pipe does
//! (`--tethered`). Only its parent holds the writing end, so a child ends with its parent however that
//! ends, on every platform and whichever thread started it; Linux's parent-death signal would need
//! unsafe code and fires already when the starting *thread* ends.
//!
//! Slots are locked files in the home folder: every process on this machine counts the same ones, and
//! the system gives back those of a process that died.

use std::collections::HashMap;
use std::fs::{File, TryLockError};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::process::{Process, Role};
use super::{Error, Job, JobStatus, Result};
use crate::config::{Config, Jobs};
use crate::domain::run::JobHandle;

/// How often a full house is looked at again.
const LOOK_FOR_SLOT: Duration = Duration::from_millis(200);

/// How much of the end of a log is read for an error.
const TAIL_BYTES: u64 = 16 << 10;
const TAIL_LINES: usize = 20;

/// How many jobs that ended are remembered.
const REMEMBERED: usize = 1000;

#[derive(Clone, Debug)]
pub(super) struct Local(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    program: PathBuf,
    /// Before the arguments of the job.
    arguments: Vec<std::ffi::OsString>,
    /// Where logs are.
    folder: PathBuf,
    jobs: Jobs,
    known: Mutex<HashMap<String, Known>>,
}

/// A job started here.
#[derive(Clone, Debug)]
struct Known {
    stop: CancellationToken,
    outcome: watch::Receiver<Option<Result<()>>>,
}

impl Local {
    pub(super) fn new(config: &Config, program: &Path) -> Result<Self> {
        let folder = config.home.join("jobs");
        let slots = folder.join("slots");
        std::fs::create_dir_all(&slots).map_err(|error| unusable(&slots, &error))?;
        let mut arguments = vec!["--tethered".into()];
        if let Some(file) = &config.file {
            arguments.extend(["--config".into(), file.into()]);
        }
        let (program, jobs) = (program.to_owned(), config.jobs.clone());
        Ok(Self(Arc::new(Parts { program, arguments, folder, jobs, known: Mutex::default() })))
    }

    pub(super) async fn submit(&self, job: &Job) -> Result<JobHandle> {
        self.start(job).await.map(|(handle, _)| handle)
    }

    pub(super) async fn run(&self, job: &Job) -> Result<()> {
        let (_, known) = self.start(job).await?;
        let _stop_when_dropped: DropGuard = known.stop.clone().drop_guard();
        outcome(known.outcome).await
    }

    pub(super) fn status(&self, handle: &JobHandle) -> Result<JobStatus> {
        Ok(match self.known(handle) {
            Some(known) => match &*known.outcome.borrow() {
                None => JobStatus::Running,
                Some(Ok(())) => JobStatus::Succeeded,
                Some(Err(_)) => JobStatus::Failed,
            },
            None if Process::parse(handle)?.is_running() => JobStatus::Running,
            None => JobStatus::Gone,
        })
    }

    pub(super) async fn wait(&self, handle: &JobHandle) -> Result<()> {
        match self.known(handle) {
            Some(known) => outcome(known.outcome).await,
            None => {
                Process::parse(handle)?.gone().await;
                Err(Error::Gone(handle.0.clone()))
            }
        }
    }

    pub(super) async fn cancel(&self, handle: &JobHandle) -> Result<()> {
        match self.known(handle) {
            Some(known) => {
                known.stop.cancel();
                // How it ended does not matter any more.
                let _ = outcome(known.outcome).await;
            }
            None => {
                let process = Process::parse(handle)?;
                match process.role() {
                    Role::Job => process.stop(self.0.jobs.grace()).await,
                    // It may do other things too, and sees for itself that its run was cancelled.
                    Role::Owner => {}
                }
            }
        }
        Ok(())
    }

    pub(super) fn owner() -> JobHandle {
        let pid = std::process::id();
        Process::find(pid, Role::Owner).unwrap_or_else(|| Process::ended(pid, Role::Owner)).handle()
    }

    fn known(&self, handle: &JobHandle) -> Option<Known> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner).get(&handle.0).cloned()
    }

    async fn start(&self, job: &Job) -> Result<(JobHandle, Known)> {
        let (slot, limit) = match job {
            Job::Orchestrate { .. } => (None, self.0.jobs.orchestrate_timeout()),
            Job::Infer { .. } => (Some(self.slot().await?), self.0.jobs.infer_timeout()),
        };
        let log = Log::open(self.0.folder.join(format!("{}.log", job.name())))?;
        let child = self.spawn(job, &log)?;
        let pid = child.id().unwrap_or_default();
        let process = Process::find(pid, Role::Job);
        let (stop, (send, receive)) = (CancellationToken::new(), watch::channel(None));
        let handle = process.clone().unwrap_or_else(|| Process::ended(pid, Role::Job)).handle();
        let known = Known { stop: stop.clone(), outcome: receive };
        self.remember(&handle, &known);
        let watched = Watched { child, process, title: job.title(), log, limit, grace: self.0.jobs.grace(), stop };
        tokio::spawn(async move {
            let outcome = watched.end().await;
            drop(slot);
            let _ = send.send(Some(outcome));
        });
        Ok((handle, known))
    }

    fn spawn(&self, job: &Job, log: &Log) -> Result<Child> {
        let failed = |error: std::io::Error| Error::Start { program: self.0.program.clone(), why: error.to_string() };
        Command::new(&self.0.program)
            .args(&self.0.arguments)
            .args(job.argv())
            .stdin(Stdio::piped())
            .stdout(log.file.try_clone().map_err(failed)?)
            .stderr(log.file.try_clone().map_err(failed)?)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)
    }

    fn remember(&self, handle: &JobHandle, known: &Known) {
        let mut jobs = self.0.known.lock().unwrap_or_else(PoisonError::into_inner);
        if jobs.len() >= REMEMBERED {
            jobs.retain(|_, job| job.outcome.borrow().is_none());
        }
        jobs.insert(handle.0.clone(), known.clone());
    }

    /// Waits for a free slot; it is free again when the file is closed.
    async fn slot(&self) -> Result<File> {
        loop {
            for number in 0..self.0.jobs.slots {
                let path = self.0.folder.join(format!("slots/{number}.lock"));
                let options = File::options().create(true).append(true).open(&path);
                let file = options.map_err(|error| unusable(&path, &error))?;
                match file.try_lock() {
                    Ok(()) => return Ok(file),
                    Err(TryLockError::WouldBlock) => {}
                    Err(TryLockError::Error(error)) => return Err(unusable(&path, &error)),
                }
            }
            tokio::time::sleep(LOOK_FOR_SLOT).await;
        }
    }
}

async fn outcome(mut outcome: watch::Receiver<Option<Result<()>>>) -> Result<()> {
    match outcome.wait_for(Option::is_some).await {
        Ok(outcome) => outcome.clone().unwrap_or(Ok(())),
        // The watching task was dropped with its runtime; the child ends with it.
        Err(_) => Err(Error::Cancelled { job: "the job".to_owned() }),
    }
}

fn unusable(path: &Path, error: &std::io::Error) -> Error {
    Error::Folder { path: path.to_owned(), why: error.to_string() }
}

/// A child on its way to its end.
struct Watched {
    child: Child,
    process: Option<Process>,
    title: String,
    log: Log,
    limit: Duration,
    grace: Duration,
    stop: CancellationToken,
}

impl Watched {
    async fn end(mut self) -> Result<()> {
        // `wait` would close the child's standard input, by which it knows that we are here.
        let tether = self.child.stdin.take();
        let ended = tokio::select! {
            status = self.child.wait() => Ok(status),
            () = tokio::time::sleep(self.limit) => {
                Err(Error::TimedOut { job: self.title.clone(), limit: self.limit, log: self.log.path.clone() })
            }
            () = self.stop.cancelled() => Err(Error::Cancelled { job: self.title.clone() }),
        };
        let status = match ended {
            Ok(status) => status,
            Err(error) => {
                self.end_child().await;
                return Err(error);
            }
        };
        drop(tether);
        // What it started and left behind goes too.
        if let Some(process) = &self.process {
            process.kill();
        }
        match status {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(self.failed(status)),
            Err(error) => Err(Error::Folder { path: self.log.path, why: error.to_string() }),
        }
    }

    async fn end_child(&mut self) {
        let Some(process) = &self.process else { return };
        process.terminate();
        let _ = tokio::time::timeout(self.grace, self.child.wait()).await;
        process.kill();
        let _ = self.child.wait().await;
    }

    fn failed(&self, status: ExitStatus) -> Error {
        Error::Failed {
            job: self.title.clone(),
            code: status.code(),
            signal: status.signal(),
            last: self.log.last_lines(),
            log: self.log.path.clone(),
        }
    }
}

/// What a job writes. A later attempt at the same job is added at the end.
struct Log {
    path: PathBuf,
    file: File,
    /// Where this attempt begins.
    begin: u64,
}

impl Log {
    fn open(path: PathBuf) -> Result<Self> {
        let opened = File::options().create(true).append(true).open(&path);
        let opened = opened.and_then(|file| Ok((file.metadata()?.len(), file)));
        let (begin, file) = opened.map_err(|error| unusable(&path, &error))?;
        Ok(Self { path, file, begin })
    }

    fn last_lines(&self) -> Vec<String> {
        let read = || -> std::io::Result<Vec<u8>> {
            let mut file = File::open(&self.path)?;
            let end = file.metadata()?.len();
            file.seek(SeekFrom::Start(end.saturating_sub(TAIL_BYTES).max(self.begin)))?;
            let mut bytes = Vec::new();
            file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        let bytes = read().unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<_> = text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].iter().map(|line| line.to_string()).collect()
    }
}
