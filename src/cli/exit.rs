//! How the program ends: kinds of failure, what is printed, exit codes.
//!
//! | code | meaning |
//! |---|---|
//! | 0 | finished, or cancelled on request |
//! | 1 | the input cannot be used, or the run failed |
//! | 2 | wrong usage or configuration |
//! | 70 | a bug of ours |
//! | 75 | something outside failed; the same command may work later (Batch retries on it) |
//!
//! A failure is printed to stderr as its message, the chain of causes, and hints. Errors of the
//! modules below become an [`Error`] here, in one place each.

use std::error::Error as StdError;
use std::fmt::Write;
use std::process::ExitCode;

use crate::{config, database, executor, objects, telemetry};

/// What kind of failure ends the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The input cannot be used, or the run failed.
    Failed,
    /// Wrong usage or configuration.
    Usage,
    /// Something outside failed; trying again may help.
    TryAgain,
    /// A bug of ours.
    Bug,
}

impl Kind {
    /// The exit code, a documented contract.
    pub fn code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::TryAgain => 75,
            Self::Bug => 70,
        }
    }
}

/// Why the program ends without success.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    source: Box<dyn StdError + Send + Sync>,
    hints: Vec<String>,
}

/// Result of a mode.
pub type Result<T = ()> = std::result::Result<T, Error>;

impl Error {
    /// From an error or a message. Whatever failed for want of room may work later.
    pub fn new(kind: Kind, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        let source = source.into();
        let kind = if kind == Kind::Failed && is_disk_full(source.as_ref()) { Kind::TryAgain } else { kind };
        Self { kind, source, hints: Vec::new() }
    }

    /// The input cannot be used, or the run failed.
    pub fn failed(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::new(Kind::Failed, source)
    }

    /// Wrong usage or configuration.
    pub fn usage(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::new(Kind::Usage, source)
    }

    /// Something outside failed; trying again may help.
    pub fn try_again(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::new(Kind::TryAgain, source)
    }

    /// A bug of ours.
    pub fn bug(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::new(Kind::Bug, source)
    }

    /// Adds a way out.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Adds where the database is, if it is the database that failed: its errors do not know.
    pub(super) fn in_database(self, place: &str) -> Self {
        let mut next: Option<&(dyn StdError + 'static)> = Some(self.source.as_ref());
        while let Some(error) = next {
            if matches!(error.downcast_ref(), Some(database::Error::Query(_))) {
                return self.hint(format!("the database is {place}"));
            }
            next = error.source();
        }
        self
    }

    /// What kind it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What is printed.
    pub fn report(&self) -> String {
        let mut text = match self.kind {
            Kind::Bug => format!("Internal error: {}\n", self.source),
            _ => format!("Error: {}\n", self.source),
        };
        for cause in causes(self.source.as_ref()) {
            let _ = writeln!(text, "  caused by: {cause}");
        }
        let full = is_disk_full(self.source.as_ref());
        let full = full.then(|| "free some space there; nothing half-written was left behind".to_owned());
        for hint in self.hints.iter().chain(&full) {
            let _ = writeln!(text, "Hint: {hint}");
        }
        text
    }
}

/// An error and its causes in one line.
pub(super) fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut parts = vec![error.to_string()];
    parts.extend(causes(error));
    parts.join(": ")
}

/// What caused an error, outermost first, without what the message before says already: some
/// libraries repeat the cause in their own message.
fn causes(error: &(dyn StdError + 'static)) -> Vec<String> {
    let mut causes = Vec::new();
    let mut shown = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let message = cause.to_string();
        if !shown.contains(&message) {
            causes.push(message.clone());
            shown = message;
        }
        next = cause.source();
    }
    causes
}

fn is_disk_full(error: &(dyn StdError + 'static)) -> bool {
    let text = chain(error);
    ["No space left on device", "database or disk is full"].iter().any(|words| text.contains(words))
}

/// Prints a failure; returns the exit code.
pub(super) fn finish(outcome: Result) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprint!("{}", error.report());
            error.kind.code().into()
        }
    }
}

/// Runs `work`; a panic ends as a bug of ours, except that a reader who closed our output (as `head`
/// does) is no failure.
pub(super) fn catch_panics(work: impl FnOnce() -> ExitCode + std::panic::UnwindSafe) -> ExitCode {
    std::panic::set_hook(Box::new(|panic| {
        if !reader_left(panic.payload()) {
            let place = panic.location().map(|place| format!(" at {place}")).unwrap_or_default();
            let message = message(panic.payload());
            eprintln!("Internal error: {message}{place}");
            eprintln!("Hint: this is a bug in haystack; please report it with the command you ran");
        }
    }));
    match std::panic::catch_unwind(work) {
        Ok(code) => code,
        Err(payload) if reader_left(&*payload) => ExitCode::SUCCESS,
        Err(_) => Kind::Bug.code().into(),
    }
}

fn message(payload: &(dyn std::any::Any + Send)) -> &str {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("panic")
}

fn reader_left(payload: &(dyn std::any::Any + Send)) -> bool {
    let message = message(payload);
    message.starts_with("failed printing to stdout") && message.contains("Broken pipe")
}

impl From<config::Error> for Error {
    fn from(error: config::Error) -> Self {
        let hint = "assets/config.default.toml lists every key; 'haystack doctor' shows what is in effect";
        Self::usage(error).hint(hint)
    }
}

impl From<telemetry::Error> for Error {
    fn from(error: telemetry::Error) -> Self {
        Self::usage(error)
    }
}

impl From<database::Error> for Error {
    fn from(error: database::Error) -> Self {
        let hint = match &error {
            database::Error::Open { place, .. } if place.starts_with("sqlite:") => {
                Some("check that the folder exists and may be written to, or set DATABASE_URL")
            }
            database::Error::Open { .. } => Some("check that the server runs and that DATABASE_URL names it"),
            _ => None,
        };
        let kind = match &error {
            _ if error.is_transient() => Kind::TryAgain,
            database::Error::Address(_)
            | database::Error::InMemory(_)
            | database::Error::Absent { .. }
            | database::Error::Schema(_)
            | database::Error::Open { .. } => Kind::Usage,
            database::Error::Lock { .. } => Kind::Failed,
            _ => Kind::Bug,
        };
        let error = Self::new(kind, error);
        match hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}

impl From<objects::Error> for Error {
    fn from(error: objects::Error) -> Self {
        let kind = match &error {
            _ if error.is_transient() => Kind::TryAgain,
            objects::Error::Access { .. } | objects::Error::Open { .. } => Kind::Usage,
            _ => Kind::Failed,
        };
        Self::new(kind, error)
    }
}

impl From<executor::Error> for Error {
    fn from(error: executor::Error) -> Self {
        let kind = if error.is_transient() { Kind::TryAgain } else { Kind::Failed };
        Self::new(kind, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_has_message_causes_and_hints() {
        let io = std::io::Error::other("disk on fire");
        let error = config::Error::Read { path: "/etc/h.toml".into(), source: io };
        let error = Error::from(error).hint("try water");
        assert_eq!(error.kind().code(), 2);
        let report = error.report();
        let lines: Vec<_> = report.lines().collect();
        assert_eq!(lines[0], "Error: cannot read the configuration file /etc/h.toml");
        assert_eq!(lines[1], "  caused by: disk on fire");
        assert_eq!(lines[3], "Hint: try water");
    }
}
