//! A process known by its machine, its number and its start time, so that a number used again, here or
//! elsewhere, is not mistaken for it.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::domain::run::JobHandle;

use super::{Error, Result};

/// How often a process we did not start is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// A process of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Process {
    role: Role,
    pid: i32,
    /// As the system gives it; compared, never read.
    started: String,
}

/// What a process is to the run it works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Started as a job; leads a group of its own.
    Job,
    /// Carries the run out itself, among whatever else it does.
    Owner,
}

impl Role {
    fn word(self) -> &'static str {
        match self {
            Self::Job => "local",
            Self::Owner => "owner",
        }
    }

    /// The smallest number such a process can have. A job leads a group, and to signal group 1 is to signal
    /// every process there is; an owner may be the first process of a container.
    fn least_pid(self) -> i32 {
        match self {
            Self::Job => 2,
            Self::Owner => 1,
        }
    }
}

impl Process {
    /// A process that is at work now.
    pub(super) fn find(pid: u32, role: Role) -> Option<Self> {
        let pid = i32::try_from(pid).ok()?;
        Some(Self { role, pid, started: start_time(pid)? })
    }

    /// One that is no more, and was gone before it could be looked at.
    pub(super) fn ended(pid: u32, role: Role) -> Self {
        Self { role, pid: i32::try_from(pid).unwrap_or(i32::MAX), started: "ended".to_owned() }
    }

    pub(super) fn handle(&self) -> JobHandle {
        JobHandle(format!("{}:{}:{}:{}", self.role.word(), machine(), self.pid, self.started))
    }

    /// The process of a handle that was made on this machine.
    pub(super) fn parse(handle: &JobHandle) -> Result<Self> {
        let mut parts = handle.0.splitn(4, ':');
        let mut next = || parts.next().ok_or_else(|| Error::Handle(handle.0.clone()));
        let (role, place, pid, started) = (next()?, next()?, next()?, next()?.to_owned());
        let role = [Role::Job, Role::Owner].into_iter().find(|known| known.word() == role);
        match (role, pid.parse::<i32>()) {
            (Some(role), Ok(pid)) if place == machine() && pid >= role.least_pid() => Ok(Self { role, pid, started }),
            _ => Err(Error::Handle(handle.0.clone())),
        }
    }

    pub(super) fn role(&self) -> Role {
        self.role
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
        if self.role != Role::Job || self.pid < self.role.least_pid() {
            return;
        }
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

/// The name of this machine, without the sign that separates the parts of a handle.
fn machine() -> &'static str {
    static NAME: LazyLock<String> = LazyLock::new(|| machine_name().trim().replace(':', "_"));
    &NAME
}

#[cfg(target_os = "linux")]
fn machine_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default()
}

#[cfg(not(target_os = "linux"))]
fn machine_name() -> String {
    let output = std::process::Command::new("uname").arg("-n").output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
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
        let here = Process::find(std::process::id(), Role::Owner).unwrap();
        assert!(here.is_running());
        assert_eq!(Process::parse(&here.handle()).unwrap(), here);
        assert!(!Process { started: "1".into(), ..here }.is_running());
        let ended = Process::ended(std::process::id(), Role::Job);
        assert_eq!(Process::parse(&ended.handle()).unwrap(), ended);
        assert!(!ended.is_running());
    }

    #[test]
    fn a_handle_of_something_else_or_of_somewhere_else_is_refused() {
        let machine = machine();
        for good in ["local:M:12:1", "owner:M:12:Mon_Jan_1_10:00:00_2026", "owner:M:1:5"] {
            Process::parse(&JobHandle(good.replace('M', machine))).unwrap();
        }
        let bad = [
            "",
            "local:",
            "local:M",
            "local:M:0:1",
            "local:M:-1:1",
            "local:M:1:1",
            "owner:M:0:1",
            "owner:M:-1:1",
            "batch:M:12:1",
            "local:M:x:1",
        ];
        for bad in bad.map(|bad| bad.replace('M', machine)).into_iter().chain(["local:not-here:12:1".to_owned()]) {
            assert!(Process::parse(&JobHandle(bad.clone())).is_err(), "{bad:?} was taken");
        }
    }
}
