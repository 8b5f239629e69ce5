//! WORDS: log lines, for people or for machines.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::config::{Log, LogFormat};

/// Why logging cannot start.
#[derive(Debug, thiserror::Error)]
#[error("log.level is '{level}', which is not a level or filter such as info or haystack=debug: {why}")]
pub struct Error {
    level: String,
    why: String,
}

/// Where log lines go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// To a file or another program.
    Stored,
    /// To a person at a terminal.
    Terminal,
    /// To a person at a terminal who watches the progress of a command.
    Progress,
}

impl Reader {
    /// What the level `auto` stands for. A slow statement is no news to those who did not write it.
    fn level(self) -> &'static str {
        match self {
            Self::Stored | Self::Terminal => "warn,sqlx=error,haystack=info",
            // Why a run failed is what the command itself ends with.
            Self::Progress => "warn,sqlx=error,haystack::orchestrate=off",
        }
    }
}

/// Sends log lines to `writer` from now on, with colours for a terminal. Of two calls in one process
/// the first counts.
pub fn start<W>(log: &Log, writer: W, reader: Reader) -> Result<(), Error>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let level = if log.level == "auto" { reader.level() } else { &log.level };
    let filter =
        EnvFilter::try_new(level).map_err(|error| Error { level: level.to_owned(), why: error.to_string() })?;
    let colours = reader != Reader::Stored;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_ansi(colours);
    // A second subscriber is refused; the first keeps working, which is what we want.
    let _ = match log.format {
        LogFormat::Pretty => lines.with_target(false).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_that_is_none_is_refused_by_name() {
        let log = Log { level: "haystack=loud".into(), format: LogFormat::Json };
        let error = start(&log, std::io::sink, Reader::Stored).unwrap_err().to_string();
        assert!(error.contains("log.level") && error.contains("haystack=loud"), "{error}");
    }
}
