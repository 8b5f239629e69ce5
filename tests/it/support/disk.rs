//! Disks with a problem: full after a few megabytes, or read-only.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::missing;

/// Set in the process that has the disk: where it is.
const MOUNTED: &str = "HAYSTACK_TEST_DISK";

/// A folder on a file system of 16 MiB, for the test of this name; `None` where the caller should
/// stop, because the test was run (and passed) in a process of its own.
pub fn small_disk(test: &str) -> Option<PathBuf> {
    disk(test, "size=16m")
}

/// The same on a file system that cannot be written, not even by root.
pub fn read_only_disk(test: &str) -> Option<PathBuf> {
    disk(test, "size=1m,ro")
}

/// Fills the disk of a folder with a file called `filler`, but for about `left` bytes.
pub fn fill(folder: &Path, left: u64) {
    let mut filler = File::create(folder.join("filler")).unwrap();
    let block = vec![0; 64 << 10];
    while filler.write_all(&block).is_ok() {}
    let length = filler.metadata().unwrap().len();
    filler.set_len(length.checked_sub(left).expect("the disk is larger than what is left")).unwrap();
}

/// Mounting needs a namespace in which this user is root; `unshare` makes one, and the mount ends with
/// the process.
fn disk(test: &str, options: &str) -> Option<PathBuf> {
    if let Some(folder) = std::env::var_os(MOUNTED) {
        return Some(PathBuf::from(folder));
    }
    let folder = tempfile::tempdir().unwrap();
    let mount = format!("mount -t tmpfs -o {options} tmpfs \"$1\"");
    if !unshared(&mount, folder.path()).status().is_ok_and(|s| s.success()) {
        return missing("the right to mount a small file system (unshare --user --map-root-user --mount)");
    }
    let again = format!("{mount} && exec \"$2\" --exact \"$3\" --nocapture");
    let output = unshared(&again, folder.path())
        .arg(std::env::current_exe().unwrap())
        .arg(test)
        .env(MOUNTED, folder.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    None
}

fn unshared(script: &str, folder: &Path) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"]).arg(folder);
    command
}
