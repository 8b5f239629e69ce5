//! A process that answers requests through its pipes, a line of JSON each way.

use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The process and its two pipes; it ends with this.
pub struct Child {
    process: std::process::Child,
    requests: ChildStdin,
    replies: BufReader<ChildStdout>,
}

/// What it answers.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply<T> {
    /// What was asked for.
    Ok(T),
    /// Why there is nothing.
    Error(String),
}

impl Child {
    pub fn start(mut command: Command) -> Result<Self> {
        let started = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut process = started.with_context(|| format!("{command:?} does not start"))?;
        let requests = process.stdin.take().context("the process has a standard input")?;
        let replies = BufReader::new(process.stdout.take().context("the process has a standard output")?);
        Ok(Self { process, requests, replies })
    }

    /// Asks for one thing and waits for it.
    pub fn ask<T: for<'a> Deserialize<'a>>(&mut self, request: &Value) -> Result<T> {
        writeln!(self.requests, "{request}").context("the process has ended")?;
        let mut line = String::new();
        self.replies.read_line(&mut line)?;
        match serde_json::from_str(&line).with_context(|| format!("no reply to {request} but `{line}`"))? {
            Reply::Ok(answer) => Ok(answer),
            Reply::Error(error) => bail!("{request} failed: {error}"),
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
