//! Importing ten million cells: seconds, memory and the size of the database, against what we promise.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::generate::{Plan, Set};
use crate::rows::{atlas, folder};
use crate::side_by_side::SideBySide;

const N_CELLS: usize = 10_000_000;

pub fn run(bench: &mut SideBySide) -> Result<()> {
    // The others have fewer groups of cells than these.
    for set in Set::ALL.into_iter().filter(|set| matches!(set, Set::Parse | Set::Replogle | Set::Tahoe)) {
        let depth = if set == Set::Parse { 25.0 } else { 5.0 };
        let plan = Plan { set, n_cells: N_CELLS, n_genes: 18_533, depth, gzip: false, seed: 0 };
        let file = atlas(&plan)?;
        let home = tempfile::tempdir_in(folder()?)?;
        haystack(home.path(), &["migrate"])?;
        haystack(home.path(), &["import", "starter"])?;
        let before = database_bytes(home.path())?;
        let file = file.to_string_lossy().into_owned();
        let (seconds, memory) = haystack(home.path(), &["import", "atlas", &file, "--dataset", "atlas"])?;
        let added = database_bytes(home.path())? - before;
        println!("  {set:?}, of profile {}", set.profile());
        let what = |figure: &str| format!("import of 10 million cells, {set:?}, {figure}");
        bench.against_mark(&what("seconds"), 60.0, seconds, "s");
        bench.against_mark(&what("memory"), 1000.0, memory, "MB");
        bench.against_mark(&what("database"), 200.0, added, "MB");
    }
    Ok(())
}

/// Runs the program: the seconds it took, and the most memory it had in MB.
fn haystack(home: &Path, args: &[&str]) -> Result<(f64, f64)> {
    let begin = Instant::now();
    let mut command = Command::new(env!("CARGO_BIN_EXE_haystack"));
    // Nothing of the environment's configuration: another database would be filled, and not measured.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("HAYSTACK_") || ["DATABASE_URL", "RUST_LOG"].contains(&&*text) {
            command.env_remove(name);
        }
    }
    let mut child = command.args(args).env("HAYSTACK_HOME", home).stderr(Stdio::null()).spawn()?;
    let mut most = 0.0_f64;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        // The kernel keeps the highest; only what comes in the last moment is missed.
        let about = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let line = about.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
        let kilobytes = line.trim().trim_end_matches(" kB").parse().unwrap_or(0.0);
        most = most.max(kilobytes * 1024.0 / 1e6);
        std::thread::sleep(Duration::from_millis(20));
    };
    ensure!(status.success(), "haystack {args:?} ended with {status}");
    Ok((begin.elapsed().as_secs_f64(), most))
}

/// Bytes of the database and its log, in MB.
fn database_bytes(home: &Path) -> Result<f64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(home)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().contains(".db") {
            bytes += entry.metadata()?.len();
        }
    }
    Ok(bytes as f64 / 1e6)
}
