//! One side of the benchmark: a process that answers requests, a line each way.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::Value;

use crate::child::Child;

/// The process and its name for messages.
pub struct Side {
    name: &'static str,
    child: Child,
}

/// The variable that tells a side where to compute.
pub const DEVICE: &str = "STACK_BENCH_DEVICE";

/// Tells glibc to keep what was freed instead of giving it back and fetching it anew.
const TUNED: [(&str, &str); 3] =
    [("MALLOC_MMAP_MAX_", "0"), ("MALLOC_TRIM_THRESHOLD_", "64000000000"), ("MALLOC_TOP_PAD_", "268435456")];

impl Side {
    /// This program again, serving.
    pub fn ours(folder: &Path, output: &Path, threads: usize, device: &str) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("--serve").args([folder, output]).env("RAYON_NUM_THREADS", threads.to_string());
        command.env(DEVICE, device);
        Self::start("ours", command)
    }

    /// PyTorch.
    pub fn peer(folder: &Path, output: &Path, threads: usize, device: &str) -> Result<Self> {
        let mut command = Command::new(python()?);
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bench/stack/peer.py")).args([folder, output]);
        for library in ["OMP", "OPENBLAS", "MKL", "NUMBA"] {
            command.env(format!("{library}_NUM_THREADS"), threads.to_string());
        }
        // On a GPU the peer is at its best when it is compiled.
        if device == "cuda" {
            command.env("STACK_BENCH_COMPILE", "1");
        } else {
            command.env("CUDA_VISIBLE_DEVICES", "");
        }
        command.envs(TUNED).env(DEVICE, device).env("PYTHONDONTWRITEBYTECODE", "1");
        Self::start("peer", command)
    }

    fn start(name: &'static str, command: Command) -> Result<Self> {
        Ok(Self { name, child: Child::start(command).context(name)? })
    }

    /// Asks for one thing and waits for it.
    pub fn ask<T: for<'a> Deserialize<'a>>(&mut self, request: Value) -> Result<T> {
        self.child.ask(&request).context(self.name)
    }
}

/// The Python with PyTorch and arc-stack: `HAYSTACK_BENCH_PYTHON`, or that of `make tools-bench-stack`.
pub fn python() -> Result<PathBuf> {
    let python = match std::env::var_os("HAYSTACK_BENCH_PYTHON") {
        Some(python) => PathBuf::from(python),
        None => cache()?.join("bench-venv/bin/python"),
    };
    if !python.is_file() {
        bail!("{} is missing: make tools-bench-stack installs the peer; --alone measures without it", python.display());
    }
    Ok(python)
}

/// Where tools and large inputs are kept.
pub fn cache() -> Result<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache"));
    Ok(cache.or_else(home).context("neither XDG_CACHE_HOME nor HOME is set")?.join("haystack"))
}
