//! One real server that speaks the S3 protocol (moto) for the whole test process.

use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::watchdog::after_this_process;
use super::{free_port, missing, python};

/// The address of the server: `http://127.0.0.1:PORT`. Started by the first call; `None` (after a
/// loud line) where moto is not installed.
pub fn server() -> Option<&'static str> {
    static SERVER: OnceLock<Option<String>> = OnceLock::new();
    SERVER.get_or_init(start).as_deref().or_else(|| missing("an S3 server (pip install 'moto[server]')"))
}

/// A fresh bucket. Its name has no dashes, so that it can stand in for a Google bucket too.
pub async fn bucket(server: &str) -> String {
    let name = format!("bucket{:016x}", rand::random::<u64>());
    let response = reqwest::Client::new().put(format!("{server}/{name}")).send().await.unwrap();
    assert!(response.status().is_success(), "{response:?}");
    name
}

fn start() -> Option<String> {
    let python = python()?;
    let found = Command::new(&python).args(["-c", "import moto.server"]).stderr(Stdio::null()).status().unwrap();
    if !found.success() {
        return None;
    }
    for _ in 0..3 {
        let port = free_port();
        let mut child = Command::new(&python)
            .args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &port.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        after_this_process("kill -KILL \"$1\"", &[&child.id().to_string()]);
        let begin = Instant::now();
        while child.try_wait().unwrap().is_none() && begin.elapsed() < Duration::from_secs(300) {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Some(format!("http://127.0.0.1:{port}"));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    panic!("moto does not start");
}
