//! The program itself: commands run to their end, and a server on a port of its own.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The program with a home folder of its own, and nothing of the environment's configuration.
pub fn haystack(home: &Path, database: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_haystack"));
    for (name, _) in std::env::vars_os() {
        let name_text = name.to_string_lossy();
        let ours = name_text.starts_with("HAYSTACK_")
            || ["DATABASE_URL", "PORT", "RUN_ID", "USER_EMAIL", "CONTROL_STRATEGY", "RUST_LOG"].contains(&&*name_text);
        if ours {
            command.env_remove(name);
        }
    }
    command.env("HAYSTACK_HOME", home).env("DATABASE_URL", database).env("HAYSTACK__LOG__LEVEL", "warn");
    command.stdin(Stdio::null());
    command
}

/// Runs the program; panics with what it wrote unless it ends with code 0. Gives its standard output.
pub fn succeed(home: &Path, database: &str, args: &[&str]) -> String {
    let output = haystack(home, database).args(args).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "haystack {args:?} ended with {}:\n{out}\n{err}", output.status);
    out.into_owned()
}

/// Runs the program; gives its exit code, standard output and standard error.
pub fn finish(home: &Path, database: &str, args: &[&str]) -> (i32, String, String) {
    let output = haystack(home, database).args(args).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

/// `haystack serve` on a free port; stopped when dropped.
pub struct Server {
    child: Child,
    /// Such as `http://127.0.0.1:45123`.
    pub url: String,
    client: reqwest::Client,
}

impl Server {
    /// Starts it and waits until it answers.
    pub async fn start(home: &Path, database: &str) -> Self {
        let port = super::free_port();
        let mut command = haystack(home, database);
        let child = command.arg("serve").env("PORT", port.to_string()).stderr(Stdio::piped()).spawn().unwrap();
        let url = format!("http://127.0.0.1:{port}");
        let mut server = Self { child, url, client: reqwest::Client::new() };
        let begin = Instant::now();
        while server.client.get(format!("{}/api/v1/health", server.url)).send().await.is_err() {
            if let Some(status) = server.child.try_wait().unwrap() {
                let mut said = String::new();
                let _ = std::io::Read::read_to_string(server.child.stderr.as_mut().unwrap(), &mut said);
                panic!("haystack serve ended with {status}: {said}");
            }
            assert!(begin.elapsed() < Duration::from_secs(300), "haystack serve does not answer");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        server
    }

    /// Status code, media type and JSON body of a `GET`.
    pub async fn get(&self, path: &str) -> (u16, String, Value) {
        answer(self.client.get(format!("{}{path}", self.url))).await
    }

    /// The same of a `POST`.
    pub async fn post(&self, path: &str, body: &Value) -> (u16, String, Value) {
        answer(self.client.post(format!("{}{path}", self.url)).json(body)).await
    }

    /// A request to shape further.
    pub fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    /// Reads a run until it is finished.
    pub async fn finished(&self, run: &str) -> Value {
        let begin = Instant::now();
        loop {
            let (_, _, status) = self.get(&format!("/api/v1/runs/{run}")).await;
            if ["completed", "failed", "cancelled"].iter().any(|word| status["status"] == *word) {
                return status;
            }
            assert!(begin.elapsed() < Duration::from_secs(600), "run {run} does not finish: {status}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

/// Status code, media type and body of an answer; a body that is not JSON is a text.
pub async fn answer(request: reqwest::RequestBuilder) -> (u16, String, Value) {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let media_type = response.headers().get("content-type").map_or("", |value| value.to_str().unwrap()).to_owned();
    let text = response.text().await.unwrap();
    (status, media_type, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
