//! What the tests stand on: shared data, Python, real servers, fresh databases.
//!
//! A part that a developer may lack (the shared data folder, Python, a PostgreSQL) is skipped with a
//! loud line; where the environment variable `CI` is set, its absence fails the test.

pub mod browser;
mod databases;
mod disk;
mod postgres;
pub mod program;
pub mod s3;

mod watchdog;

use std::io::Write;
use std::path::{Path, PathBuf};

pub use databases::{TestDatabase, databases, empty_databases};
pub use disk::{fill, read_only_disk, small_disk};
pub use watchdog::after_this_process;

/// A file of the shared data folder beside the checkout, such as `data/ontologies/cl.obo`.
///
/// `None` (after a loud line) where the whole folder is absent. Panics when only the file is.
pub fn shared(path: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    if !folder.is_dir() {
        return missing(&format!("the folder {}, for {path}", folder.display()));
    }
    let file = folder.join(path);
    assert!(file.exists(), "{} is missing from the shared data", file.display());
    Some(file)
}

/// The Python with anndata, scanpy and the test servers: `HAYSTACK_PYTHON`, or the environment that
/// `make test` prepares.
pub fn python() -> Option<PathBuf> {
    let prepared = || {
        let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))?;
        Some(cache.join("haystack/venv/bin/python"))
    };
    let python = std::env::var_os("HAYSTACK_PYTHON").map(PathBuf::from).or_else(prepared);
    match python.filter(|path| path.is_file()) {
        Some(path) => Some(path),
        None => missing("Python with the test packages (make tools-test installs it)"),
    }
}

/// The configuration with a home folder of its own and these variables set; nothing of the real
/// environment counts.
pub fn config(home: &Path, variables: &[(&str, &str)]) -> haystack::config::Config {
    let home = home.to_str().unwrap();
    let variables =
        [("HAYSTACK_HOME", home)].iter().chain(variables).map(|(n, v)| (n.to_string(), v.to_string())).collect();
    haystack::config::Config::load(None, &variables).unwrap()
}

/// A file under `tests/fixtures`.
pub fn fixture(path: &str) -> PathBuf {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(path);
    assert!(file.exists(), "{} is missing", file.display());
    file
}

/// Names of what is in a folder, sorted; none where there is no folder.
pub fn names_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Says loudly that something is missing; panics where `CI` is set.
fn missing<T>(what: &str) -> Option<T> {
    assert!(std::env::var_os("CI").is_none(), "missing: {what}");
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    // The test harness keeps what passing tests print to itself, but not what is written like this.
    let line = format!("\n!!! SKIPPED (in part): {test}: missing {what}\n");
    let _ = std::io::stderr().write_all(line.as_bytes());
    None
}

/// A free port of the loopback interface. Another process may take it first, so starting a server
/// on it is tried again.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
