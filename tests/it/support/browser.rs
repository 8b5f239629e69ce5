//! A real browser: Chromium, driven through chromedriver by the WebDriver protocol, in which each
//! command is one HTTP request.

use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::watchdog::after_this_process;
use super::{free_port, missing};

/// How long something may take to show on the page.
const PATIENCE: Duration = Duration::from_secs(300);

/// The name under which WebDriver hands out elements.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A browser with an empty profile; ended when dropped, however the test went.
pub struct Browser {
    driver: Child,
    /// Address of the session.
    session: String,
    client: reqwest::Client,
    _profile: TempDir,
}

impl Browser {
    /// Starts it; `None` (after a loud line) where there is no browser.
    pub async fn start() -> Option<Self> {
        let installed = |program: &str| Command::new(program).arg("--version").output().is_ok();
        if !installed("chromedriver") || !installed("chromium") {
            return missing("a browser (apt-get install chromium chromium-driver)");
        }
        let (driver, address) = start_driver();
        let profile = tempfile::tempdir().unwrap();
        let client = reqwest::Client::new();
        let mut browser = Self { driver, session: address, client, _profile: profile };
        let flags = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run \
                     --disable-background-networking --disable-component-update --disable-sync";
        let folder = format!("--user-data-dir={}", browser._profile.path().display());
        let arguments: Vec<&str> = flags.split_whitespace().chain([folder.as_str()]).collect();
        let capabilities = json!({"capabilities": {"alwaysMatch": {
            "goog:chromeOptions": {"args": arguments},
            "goog:loggingPrefs": {"browser": "ALL"},
        }}});
        let session = browser.send("/session", Some(capabilities)).await;
        browser.session += &format!("/session/{}", session["sessionId"].as_str().unwrap());
        Some(browser)
    }

    /// Opens an address.
    pub async fn open(&self, url: &str) {
        self.send("/url", Some(json!({ "url": url }))).await;
    }

    /// The address it is at.
    pub async fn address(&self) -> String {
        self.send("/url", None).await.as_str().unwrap().to_owned()
    }

    /// The back button.
    pub async fn back(&self) {
        self.send("/back", Some(json!({}))).await;
    }

    /// The forward button.
    pub async fn forward(&self) {
        self.send("/forward", Some(json!({}))).await;
    }

    /// What a person can read of the element at this CSS selector; nothing when it is hidden.
    pub async fn text(&self, selector: &str) -> String {
        self.on(selector, "text", None).await.as_str().unwrap().to_owned()
    }

    /// Waits until the element shows these words.
    pub async fn wait_for(&self, selector: &str, words: &str) {
        let begin = Instant::now();
        loop {
            let text = self.text(selector).await;
            if text.contains(words) && !text.is_empty() {
                return;
            }
            assert!(begin.elapsed() < PATIENCE, "{selector} does not say '{words}' but '{text}'");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Clicks as a mouse would: the element must be visible and nothing in front of it.
    pub async fn click(&self, selector: &str) {
        self.on(selector, "click", Some(json!({}))).await;
    }

    /// Types into the element.
    pub async fn type_into(&self, selector: &str, text: &str) {
        self.on(selector, "value", Some(json!({ "text": text }))).await;
    }

    /// Empties a field and types into it.
    pub async fn retype(&self, selector: &str, text: &str) {
        self.on(selector, "clear", Some(json!({}))).await;
        self.type_into(selector, text).await;
    }

    /// Presses a key, such as [`TAB`], wherever the focus is, while others are held down.
    pub async fn press(&self, held: &[char], key: char) {
        let press = |kind: &str, key: &char| json!({"type": kind, "value": key.to_string()});
        let down = held.iter().chain([&key]).map(|key| press("keyDown", key));
        let up = [&key].into_iter().chain(held).map(|key| press("keyUp", key));
        let actions: Vec<Value> = down.chain(up).collect();
        self.send("/actions", Some(json!({"actions": [{"type": "key", "id": "keyboard", "actions": actions}]}))).await;
    }

    /// Runs a script; gives what it returns.
    pub async fn run(&self, script: &str) -> Value {
        self.send("/execute/sync", Some(json!({"script": script, "args": []}))).await
    }

    /// Goes on in the newest window or tab.
    pub async fn enter_newest_window(&self) {
        let windows = self.send("/window/handles", None).await;
        self.send("/window", Some(json!({"handle": windows.as_array().unwrap().last()}))).await;
    }

    /// Closes the window it is in and goes on in the first.
    pub async fn close_window(&self) {
        let left = self.client.delete(format!("{}/window", self.session)).send().await.unwrap();
        let left: Value = left.json().await.unwrap();
        self.send("/window", Some(json!({"handle": left["value"][0]}))).await;
    }

    /// Makes the page this large, in CSS pixels, and this fine; scroll bars float as on a phone.
    pub async fn resize(&self, width: u32, height: u32, scale: f64) {
        self.devtools("Emulation.setScrollbarsHidden", json!({"hidden": true})).await;
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": scale, "mobile": false});
        self.devtools("Emulation.setDeviceMetricsOverride", metrics).await;
    }

    /// Prefers dark colours from now on, or light ones.
    pub async fn prefer_dark(&self, dark: bool) {
        let value = if dark { "dark" } else { "light" };
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": value}]});
        self.devtools("Emulation.setEmulatedMedia", features).await;
    }

    /// What is seen, as PNG.
    pub async fn screenshot(&self) -> Vec<u8> {
        let shot = self.devtools("Page.captureScreenshot", json!({"format": "png"})).await;
        base64::engine::general_purpose::STANDARD.decode(shot["data"].as_str().unwrap()).unwrap()
    }

    /// What went wrong on the pages since this was last asked: errors of scripts, violated policies,
    /// failed requests. An answer of 404 or 422 is part of the game and not among them.
    pub async fn complaints(&self) -> Vec<String> {
        let entries = self.send("/se/log", Some(json!({"type": "browser"}))).await;
        let messages = entries.as_array().unwrap().iter().filter_map(|entry| {
            let message = entry["message"].as_str().unwrap();
            let answered = entry["source"] == "network"
                && ["404", "422"].iter().any(|s| message.contains(&format!("status of {s}")));
            (!answered).then(|| message.to_owned())
        });
        messages.collect()
    }

    /// The first element of that kind, waiting until there is one.
    async fn element(&self, selector: &str) -> String {
        let begin = Instant::now();
        loop {
            let found = self.send("/elements", Some(json!({"using": "css selector", "value": selector}))).await;
            if let Some(id) = found[0][ELEMENT].as_str() {
                return id.to_owned();
            }
            assert!(begin.elapsed() < PATIENCE, "there is no {selector} on the page");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Does something with an element. One that the page replaces at this very moment is looked for again.
    async fn on(&self, selector: &str, command: &str, body: Option<Value>) -> Value {
        let begin = Instant::now();
        loop {
            let element = self.element(selector).await;
            match self.try_send(&format!("/element/{element}/{command}"), body.clone()).await {
                Ok(value) => return value,
                Err(why) if why["error"] == "stale element reference" && begin.elapsed() < PATIENCE => {}
                Err(why) => panic!("{command} of {selector}: {}", why["message"]),
            }
        }
    }

    async fn devtools(&self, command: &str, params: Value) -> Value {
        self.send("/goog/cdp/execute", Some(json!({"cmd": command, "params": params}))).await
    }

    /// `POST` with a body, `GET` without; gives the value of the answer.
    async fn send(&self, command: &str, body: Option<Value>) -> Value {
        let answer = self.try_send(command, body).await;
        answer.unwrap_or_else(|why| panic!("{command}: {}", why["message"]))
    }

    async fn try_send(&self, command: &str, body: Option<Value>) -> Result<Value, Value> {
        let url = format!("{}{command}", self.session);
        let request = match &body {
            Some(body) => self.client.post(&url).json(body),
            None => self.client.get(&url),
        };
        let response = request.send().await.unwrap();
        let status = response.status();
        let mut answer: Value = response.json().await.unwrap();
        let value = answer["value"].take();
        if status.is_success() { Ok(value) } else { Err(value) }
    }
}

/// The tabulator key.
pub const TAB: char = '\u{e004}';
/// The enter key.
pub const ENTER: char = '\u{e007}';
/// The control key.
pub const CONTROL: char = '\u{e009}';

impl Drop for Browser {
    fn drop(&mut self) {
        // The browser is in the driver's group.
        if let Some(group) = Pid::from_raw(self.driver.id() as i32) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.driver.wait();
    }
}

/// A chromedriver that leads a process group of its own, and its address.
fn start_driver() -> (Child, String) {
    for _ in 0..3 {
        let port = free_port();
        let mut driver = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        after_this_process("kill -KILL \"-$1\"", &[&driver.id().to_string()]);
        let begin = Instant::now();
        while driver.try_wait().unwrap().is_none() && begin.elapsed() < PATIENCE {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return (driver, format!("http://127.0.0.1:{port}"));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    panic!("chromedriver does not start");
}
