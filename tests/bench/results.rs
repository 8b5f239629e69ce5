//! The raw seconds of a run, kept with date and processor.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::{Value, json};

use crate::figure::Figure;

/// Writes `tests/bench/results/DATE-PROCESSOR.json`; what is measured again on that day takes the place
/// of what was.
pub fn keep(figures: &[Figure], threads: usize) -> Result<PathBuf> {
    let date = chrono::Local::now().format("%Y-%m-%d").to_string();
    let processor = processor();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bench/results");
    fs::create_dir_all(&folder)?;
    let file = folder.join(format!("{date}-{}.json", in_a_name(&processor)));
    let mut kept = fs::read_to_string(&file).ok().and_then(|text| earlier(&text)).unwrap_or_default();
    kept.retain(|held| !figures.iter().any(|new| held["what"] == new.what && held["peer"] == new.peer));
    kept.extend(figures.iter().map(|figure| json!(figure)));
    let results = json!({
        "date": date,
        "processor": processor,
        "cores": std::thread::available_parallelism()?,
        "threads": threads,
        "haystack": env!("CARGO_PKG_VERSION"),
        "figures": kept,
    });
    fs::write(&file, serde_json::to_string_pretty(&results)? + "\n")?;
    Ok(file)
}

/// The figures of an earlier run.
fn earlier(text: &str) -> Option<Vec<Value>> {
    serde_json::from_str::<Value>(text).ok()?.get("figures")?.as_array().cloned()
}

/// Its name as the kernel tells it.
fn processor() -> String {
    let described = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let named = described.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    named.map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, name)| name.trim().to_owned())
}

/// Lower case, one dash for whatever is neither letter nor digit.
fn in_a_name(text: &str) -> String {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect::<Vec<_>>().join("-")
}
