//! The peers: one Python process that lives through the run, so that imports and what its libraries
//! compile are not counted. `peers/serve.py` is its other end.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::child::Child;

/// The process.
pub struct Peers(Child);

/// Columns of numbers a peer found, by name; `None` where it has no number to give.
pub type Answer = BTreeMap<String, Vec<Option<f64>>>;

/// Whether a peer can run.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Prepared {
    /// It holds its input. Names and versions of what it runs on.
    Versions(BTreeMap<String, String>),
    /// What is not installed.
    Missing(String),
}

impl Peers {
    /// Starts Python with so many threads for its libraries; `None` if there is no Python.
    pub fn start(threads: usize) -> Result<Option<Self>> {
        let Some(python) = python() else { return Ok(None) };
        let serve = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bench/peers/serve.py");
        let mut command = Command::new(&python);
        for library in ["OMP", "OPENBLAS", "MKL", "NUMBA", "RAYON"] {
            command.env(format!("{library}_NUM_THREADS"), threads.to_string());
        }
        command.env("PYTHONDONTWRITEBYTECODE", "1");
        command.arg(serve);
        Ok(Some(Self(Child::start(command)?)))
    }

    /// Gives a peer its input.
    pub fn prepare(&mut self, peer: &str, arguments: &Value) -> Result<Prepared> {
        self.ask(peer, json!({"do": "prepare", "peer": peer, "arguments": arguments}))
    }

    /// Lets it run once: the seconds it took.
    pub fn run(&mut self, peer: &str) -> Result<f64> {
        self.ask(peer, json!({"do": "run", "peer": peer}))
    }

    /// What it found when it last ran.
    pub fn answer(&mut self, peer: &str) -> Result<Answer> {
        self.ask(peer, json!({"do": "answer", "peer": peer}))
    }

    fn ask<T: for<'a> Deserialize<'a>>(&mut self, peer: &str, request: Value) -> Result<T> {
        self.0.ask(&request).with_context(|| peer.to_owned())
    }
}

/// `HAYSTACK_PYTHON`, or the Python of the environment that `make bench` prepares.
fn python() -> Option<PathBuf> {
    let prepared = || {
        let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))?;
        Some(cache.join("haystack/venv/bin/python"))
    };
    std::env::var_os("HAYSTACK_PYTHON").map(PathBuf::from).or_else(prepared).filter(|path| path.is_file())
}
