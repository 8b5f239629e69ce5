//! A process known by its number and start time, so that a number used again is not mistaken for it.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::domain::run::JobHandle;

use super::{Error, Result};

/// How often a process we did not start is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// A process that leads a group of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Process {
    pid: i32,
    /// As the system gives it; compared, never read.
    started: String,
}

impl Process {
    /// A process that is at work now.
    pub(super) fn find(pid: u32) -> Option<Self> {
        let pid = i32::try_from(pid).ok()?;
        Some(Self { pid, started: start_time(pid)? })
    }

    pub(super) fn handle(&self) -> JobHandle {
        JobHandle(format!("local:{}:{}", self.pid, self.started))
    }

    pub(super) fn parse(handle: &JobHandle) -> Result<Self> {
        let parts = handle.0.strip_prefix("local:").and_then(|rest| rest.split_once(':'));
        let process = parts.and_then(|(pid, started)| {
            // 0 and -1 mean other things than one group to the system.
            let pid = pid.parse().ok().filter(|pid| *pid > 1)?;
            Some(Self { pid, started: started.to_owned() })
        });
        process.ok_or_else(|| Error::Handle(handle.0.clone()))
    }

    pub(super) fn is_running(&self) -> bool {
        start_time(self.pid).is_some_and(|started| started == self.started)
    }

    /// Asks the group to end.
    pub(super) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Ends the group.
    pub(super) fn kill(&self) {
        self.signal(Signal::KILL);
    }

    fn signal(&self, signal: Signal) {
        // Refused only when nobody is left in the group, which is what we want.
        if let Some(pid) = Pid::from_raw(self.pid) {
            let _ = kill_process_group(pid, signal);
        }
    }

    /// Stops a process that someone else started and waits until it is gone.
    pub(super) async fn stop(&self, grace: Duration) {
        if !self.is_running() {
            return;
        }
        self.terminate();
        let begin = Instant::now();
        while self.is_running() {
            if begin.elapsed() >= grace {
                self.kill();
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits until a process that someone else started is gone.
    pub(super) async fn gone(&self) {
        while self.is_running() {
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// When a process started; nothing when it is not at work.
#[cfg(target_os = "linux")]
fn start_time(pid: i32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the name in brackets, which may hold anything.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace();
    let state = fields.next()?;
    // A zombie has ended; its parent has not asked yet how.
    let ended = state == "Z" || state == "X";
    // The start time is the 22nd field, the state the third.
    fields.nth(18).filter(|_| !ended).map(str::to_owned)
}

/// When a process started; nothing when it is not at work.
#[cfg(not(target_os = "linux"))]
fn start_time(pid: i32) -> Option<String> {
    let output =
        std::process::Command::new("ps").args(["-o", "stat=,lstart=", "-p", &pid.to_string()]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let (state, started) = text.trim().split_once(' ')?;
    (!state.starts_with('Z')).then(|| started.trim().replace(' ', "_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_runs_and_one_of_another_time_does_not() {
        let here = Process::find(std::process::id()).unwrap();
        assert!(here.is_running());
        assert_eq!(Process::parse(&here.handle()).unwrap(), here);
        assert!(!Process { started: "1".into(), ..here }.is_running());
        for bad in ["", "local:", "local:0:1", "local:-1:1", "local:1:1", "batch:12:1", "local:x:1"] {
            assert!(Process::parse(&JobHandle(bad.into())).is_err(), "{bad:?} was taken");
        }
    }
}
