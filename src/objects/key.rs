//! Every object we store, and where it lies.
//!
//! ```text
//! runs/RUN/output.h5ad  report.md  report.html  log.json
//! batch-io/RUN/iter_N/NAME.h5ad  ARM.predictions.h5ad  request.json  summary.json
//! models/NAME/FILE
//! atlases/DATASET/FILE
//! probe/ID
//! ```

use std::fmt;
use std::str::FromStr;

use crate::domain::RunId;

/// One object of ours. [`fmt::Display`] gives its key, [`FromStr`] reads it back.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ObjectKey {
    /// Cells an iteration hands to inference: `prompt`, `control`, `query`.
    RunInput {
        /// Run.
        run: RunId,
        /// From 1.
        iteration: u32,
        /// Which cells.
        name: String,
    },
    /// Cells predicted by one arm.
    Prediction {
        /// Run.
        run: RunId,
        /// From 1.
        iteration: u32,
        /// Name of the arm.
        arm: String,
    },
    /// What inference is asked.
    InferRequest {
        /// Run.
        run: RunId,
        /// From 1.
        iteration: u32,
    },
    /// What inference came to; written last.
    InferSummary {
        /// Run.
        run: RunId,
        /// From 1.
        iteration: u32,
    },
    /// The final cells.
    Output {
        /// Run.
        run: RunId,
    },
    /// The report as Markdown.
    ReportMarkdown {
        /// Run.
        run: RunId,
    },
    /// The report as one HTML file.
    ReportHtml {
        /// Run.
        run: RunId,
    },
    /// The complete trace.
    Log {
        /// Run.
        run: RunId,
    },
    /// A file of an imported model.
    Model {
        /// Name it was imported under.
        name: String,
        /// Such as `model.safetensors`.
        file: String,
    },
    /// A file of an imported data set.
    Atlas {
        /// Name of the data set.
        dataset: String,
        /// Such as `cells.h5ad`.
        file: String,
    },
    /// Written and deleted again to see whether the store works.
    Probe {
        /// Unique.
        id: String,
    },
}

/// Why a text is not the key of an object of ours, or an object can have no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{key}' is not an object of haystack: {why}")]
pub struct KeyError {
    key: String,
    why: String,
}

/// The longest name in a key.
const LONGEST_NAME: usize = 128;

impl ObjectKey {
    /// The folder of an imported model.
    pub fn model_folder(name: &str) -> String {
        format!("models/{name}")
    }

    /// The media type a browser should see.
    pub fn media_type(&self) -> &'static str {
        media_type_of(&self.to_string())
    }

    /// The last part of the key: the name a downloaded file gets.
    pub fn file_name(&self) -> String {
        let key = self.to_string();
        key.rsplit('/').next().unwrap_or_default().to_owned()
    }

    /// Fails when a name in it cannot be part of a key, such as `..` or one with a slash.
    pub(super) fn check(&self) -> Result<(), KeyError> {
        let names: &[&String] = match self {
            Self::RunInput { name, .. } => &[name],
            Self::Prediction { arm, .. } => &[arm],
            Self::Model { name, file } => &[name, file],
            Self::Atlas { dataset, file } => &[dataset, file],
            Self::Probe { id } => &[id],
            _ => &[],
        };
        names.iter().try_for_each(|name| check_name(name)).map_err(|why| KeyError { key: self.to_string(), why })
    }
}

/// Whether a text can name a model, a data set or an arm: letters, digits, `.`, `_`, `-`, at most 128,
/// not beginning with a dot.
pub fn check_name(name: &str) -> Result<(), String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if name.is_empty() || name.len() > LONGEST_NAME || name.starts_with('.') || !name.chars().all(allowed) {
        return Err(format!(
            "the name '{name}' must have 1 to {LONGEST_NAME} letters, digits, '.', '_' or '-', and not begin with a dot"
        ));
    }
    Ok(())
}

/// The media type of an object, by how its key or address ends.
pub(super) fn media_type_of(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("json") => "application/json",
        Some("md") => "text/markdown; charset=utf-8",
        Some("html") => "text/html; charset=utf-8",
        Some("txt") => "text/plain; charset=utf-8",
        Some("h5ad") => "application/x-hdf5",
        _ => "application/octet-stream",
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RunInput { run, iteration, name } => write!(f, "batch-io/{run}/iter_{iteration}/{name}.h5ad"),
            Self::Prediction { run, iteration, arm } => {
                write!(f, "batch-io/{run}/iter_{iteration}/{arm}.predictions.h5ad")
            }
            Self::InferRequest { run, iteration } => write!(f, "batch-io/{run}/iter_{iteration}/request.json"),
            Self::InferSummary { run, iteration } => write!(f, "batch-io/{run}/iter_{iteration}/summary.json"),
            Self::Output { run } => write!(f, "runs/{run}/output.h5ad"),
            Self::ReportMarkdown { run } => write!(f, "runs/{run}/report.md"),
            Self::ReportHtml { run } => write!(f, "runs/{run}/report.html"),
            Self::Log { run } => write!(f, "runs/{run}/log.json"),
            Self::Model { name, file } => write!(f, "models/{name}/{file}"),
            Self::Atlas { dataset, file } => write!(f, "atlases/{dataset}/{file}"),
            Self::Probe { id } => write!(f, "probe/{id}"),
        }
    }
}

impl FromStr for ObjectKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let refuse = |why: &str| KeyError { key: text.to_owned(), why: why.to_owned() };
        let run = |id: &str| id.parse::<RunId>().map_err(|error| refuse(&error.to_string()));
        let parts: Vec<&str> = text.split('/').collect();
        let key = match parts[..] {
            ["runs", id, "output.h5ad"] => Self::Output { run: run(id)? },
            ["runs", id, "report.md"] => Self::ReportMarkdown { run: run(id)? },
            ["runs", id, "report.html"] => Self::ReportHtml { run: run(id)? },
            ["runs", id, "log.json"] => Self::Log { run: run(id)? },
            ["batch-io", id, folder, file] => {
                let run = run(id)?;
                let number = folder.strip_prefix("iter_").and_then(|number| number.parse().ok());
                let iteration = number.ok_or_else(|| refuse("expected iter_N"))?;
                match file {
                    "request.json" => Self::InferRequest { run, iteration },
                    "summary.json" => Self::InferSummary { run, iteration },
                    _ => {
                        let name = file.strip_suffix(".h5ad").ok_or_else(|| refuse("no such file in an iteration"))?;
                        match name.strip_suffix(".predictions") {
                            Some(arm) => Self::Prediction { run, iteration, arm: arm.to_owned() },
                            None => Self::RunInput { run, iteration, name: name.to_owned() },
                        }
                    }
                }
            }
            ["models", name, file] => Self::Model { name: name.to_owned(), file: file.to_owned() },
            ["atlases", dataset, file] => Self::Atlas { dataset: dataset.to_owned(), file: file.to_owned() },
            ["probe", id] => Self::Probe { id: id.to_owned() },
            _ => return Err(refuse("no such kind of object")),
        };
        key.check()?;
        // One object, one key: `iter_01` is not another spelling of `iter_1`.
        if key.to_string() == text { Ok(key) } else { Err(refuse("no such kind of object")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_go_both_ways() {
        let run: RunId = "run_0123456789ab".parse().unwrap();
        let name = "stack-large_v1.0".to_owned();
        let keys = [
            ObjectKey::RunInput { run: run.clone(), iteration: 3, name: "prompt".into() },
            ObjectKey::Prediction { run: run.clone(), iteration: 1, arm: "control".into() },
            ObjectKey::InferRequest { run: run.clone(), iteration: 1 },
            ObjectKey::InferSummary { run: run.clone(), iteration: 10 },
            ObjectKey::Output { run: run.clone() },
            ObjectKey::ReportMarkdown { run: run.clone() },
            ObjectKey::ReportHtml { run: run.clone() },
            ObjectKey::Log { run },
            ObjectKey::Model { name: name.clone(), file: "model.safetensors".into() },
            ObjectKey::Atlas { dataset: name.clone(), file: "cells.h5ad".into() },
            ObjectKey::Probe { id: name },
        ];
        for key in keys {
            assert_eq!(key.to_string().parse::<ObjectKey>().unwrap(), key);
        }
    }

    #[test]
    fn what_is_not_a_key_is_refused() {
        let bad = [
            "",
            "runs",
            "/runs/run_0123456789ab/output.h5ad",
            "runs/run_0123456789ab/../run_0123456789ab/output.h5ad",
            "runs/run_0123456789ab/secret",
            "models/../../etc/passwd",
            "models/../passwd",
            "models/a/..",
            "models/a/.hidden",
            "models/a/b/c",
            "models/a/",
            "models/a/b c",
            "models/a/b\0",
            "batch-io/run_0123456789ab/iter_01/request.json",
            "batch-io/run_0123456789ab/iter_+1/request.json",
            "batch-io/run_0123456789ab/iter_1/.predictions.h5ad",
        ];
        for text in bad {
            assert!(text.parse::<ObjectKey>().is_err(), "{text:?} was taken");
        }
        assert!(ObjectKey::Model { name: "..".into(), file: "x".into() }.check().is_err());
    }
}
