//! Cleaning up after this process, however it ends.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

/// Runs `script` (with `arguments` as `$1`, `$2`, …) once this process has ended.
///
/// The shell waits for the end of a pipe that only this process holds open. The system closes it
/// even when the process is killed, which no destructor would see.
#[expect(clippy::zombie_processes, reason = "the shell outlives this process")]
pub fn after_this_process(script: &str, arguments: &[&str]) {
    let mut shell = Command::new("sh")
        .args(["-c", &format!("cat > /dev/null; {script}"), "watchdog"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .expect("sh starts");
    // Never dropped: dropping would close the pipe.
    std::mem::forget(shell.stdin.take());
}
