//! Damaged and foreign files: an error, never a panic, an abort or a huge allocation.
//!
//! A fault in the HDF5 library would end the process, so the reading is done in processes of our own: the
//! test runs itself again with [`FOLDER`] set and looks at what happened.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;

use haystack::anndata::{File, Frame};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::support::{fixture, shared};

/// Names the folder or file to read in the process that reads.
const FOLDER: &str = "HAYSTACK_TEST_READ";

/// Reads everything there is in a file; how many parts could be read.
fn read_everything(path: &Path) -> Result<usize, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let mut parts = 0;
    let mut table = |frame: &Frame| {
        parts += usize::from(frame.index().is_ok());
        parts += frame.columns().iter().filter(|name| frame.column(name).is_ok()).count();
    };
    table(file.obs());
    table(file.var());
    file.raw_var().map(&mut table);
    for info in file.matrices() {
        parts += usize::from(file.read_rows(&info.matrix, None).is_ok());
        let some: Vec<usize> = (0..info.n_rows).step_by(7).rev().collect();
        parts += usize::from(file.read_rows(&info.matrix, Some(&some)).is_ok());
    }
    Ok(parts)
}

/// Reads every file of a folder in this process, saying before each which it is.
fn read_folder(folder: &Path) {
    let mut files: Vec<PathBuf> = walk(folder);
    files.sort();
    for file in files {
        println!("reading {}", file.display());
        let outcome = catch_unwind(AssertUnwindSafe(|| read_everything(&file)));
        match outcome {
            Ok(Ok(parts)) => println!("parts {parts}"),
            Ok(Err(error)) => println!("error {error}"),
            Err(_) => println!("PANIC {}", file.display()),
        }
    }
    println!("done");
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

/// Reads a folder in a process of its own with at most 2 GiB of address space; its lines.
pub(super) fn read_apart(test: &str, folder: &Path) -> Vec<String> {
    let output = Command::new("sh")
        .args(["-c", "ulimit -v 2097152; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(FOLDER, folder)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines: Vec<String> = said.lines().map(str::to_owned).collect();
    let last = lines.iter().rev().find(|line| line.starts_with("reading ")).cloned().unwrap_or_default();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && lines.iter().any(|line| line == "done"), "died at {last}: {errors}");
    assert!(!lines.iter().any(|line| line.starts_with("PANIC")), "{errors}\n{}", lines.join("\n"));
    lines
}

/// The folder to read, in the process that reads.
pub(super) fn folder_to_read() -> Option<PathBuf> {
    std::env::var_os(FOLDER).map(PathBuf::from)
}

#[test]
fn odd_hdf5_files_are_refused() {
    if let Some(folder) = folder_to_read() {
        return read_folder(&folder);
    }
    let Some(folder) = shared("data/hdf5_edge") else { return };
    let lines = read_apart("anndata::damage::odd_hdf5_files_are_refused", &folder);
    let errors = lines.iter().filter(|line| line.starts_with("error ")).count();
    assert!(errors >= 60, "{errors} errors:\n{}", lines.join("\n"));
}

/// Makes `count` damaged copies of a file and reads each in this process.
fn read_damaged(original: &Path, count: u64) {
    let whole = std::fs::read(original).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("damaged.h5ad");
    let (mut opened, mut refused) = (0, 0);
    for seed in 0..count {
        println!("reading {} damaged with seed {seed}", original.display());
        std::fs::write(&path, damage(&whole, seed)).unwrap();
        match catch_unwind(AssertUnwindSafe(|| read_everything(&path))) {
            Ok(Ok(_)) => opened += 1,
            Ok(Err(_)) => refused += 1,
            Err(_) => println!("PANIC with seed {seed}"),
        }
    }
    println!("opened {opened}, refused {refused}");
}

/// A file cut short, or with some bytes changed: at random places, or near each other.
fn damage(whole: &[u8], seed: u64) -> Vec<u8> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut bytes = whole.to_vec();
    if seed.is_multiple_of(4) {
        bytes.truncate(random.random_range(0..whole.len()));
        return bytes;
    }
    let centre = random.random_range(0..whole.len());
    let reach = if seed % 4 == 1 { whole.len() } else { 64 };
    for _ in 0..random.random_range(1..=8) {
        let at = (centre + random.random_range(0..reach)) % whole.len();
        bytes[at] = match random.random_range(0..4) {
            0 => 0,
            1 => 0xff,
            2 => bytes[at] ^ (1 << random.random_range(0..8)),
            _ => random.random(),
        };
    }
    bytes
}

#[test]
fn damaged_files_are_refused_or_read() {
    // More of them find rarer faults: tens of thousands are worth a night.
    const DAMAGES: &str = "HAYSTACK_TEST_DAMAGES";
    let count = std::env::var(DAMAGES).map_or(300, |count| count.parse().unwrap());
    if let Some(folder) = folder_to_read() {
        for name in ["current", "legacy-0.5", "legacy-0.7", "odd"] {
            read_damaged(&folder.join(format!("{name}.h5ad")), count);
        }
        println!("done");
        return;
    }
    let lines = read_apart("anndata::damage::damaged_files_are_refused_or_read", &fixture("anndata"));
    let outcomes: Vec<&String> = lines.iter().filter(|line| line.starts_with("opened ")).collect();
    assert_eq!(outcomes.len(), 4, "{outcomes:?}");
}
