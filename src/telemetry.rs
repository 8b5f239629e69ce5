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

/// Sends log lines to `writer` from now on, with colours if it is a terminal. Of two calls in one
/// process the first counts.
pub fn start<W>(log: &Log, writer: W, is_terminal: bool) -> Result<(), Error>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter =
        EnvFilter::try_new(&log.level).map_err(|error| Error { level: log.level.clone(), why: error.to_string() })?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_ansi(is_terminal);
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
        let error = start(&log, std::io::sink, false).unwrap_err().to_string();
        assert!(error.contains("log.level") && error.contains("haystack=loud"), "{error}");
    }
}
