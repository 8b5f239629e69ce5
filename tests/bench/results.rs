//! The raw seconds of a run, kept with date and processor.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::{Value, json};

/// Writes what was measured, a JSON object, to `tests/bench/results/DATE-PROCESSOR.json`, with `-WHAT`
/// after the processor where there is more than one benchmark. Figures that are measured again on
/// that day take the place of what was.
pub fn keep(what: Option<&str>, measured: Value) -> Result<PathBuf> {
    let date = chrono::Local::now().format("%Y-%m-%d").to_string();
    let processor = processor();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bench/results");
    fs::create_dir_all(&folder)?;
    let what = what.map(|what| format!("-{what}")).unwrap_or_default();
    let file = folder.join(format!("{date}-{}{what}.json", in_a_name(&processor)));
    let mut results = json!({
        "date": date,
        "processor": processor,
        "cores": std::thread::available_parallelism()?,
        "haystack": env!("CARGO_PKG_VERSION"),
    });
    for (name, value) in measured.as_object().into_iter().flatten() {
        results[name] = value.clone();
    }
    if let Some(figures) = results["figures"].as_array_mut() {
        let mut kept = fs::read_to_string(&file).ok().and_then(|text| earlier(&text)).unwrap_or_default();
        kept.retain(|held| !figures.iter().any(|new| held["what"] == new["what"] && held["peer"] == new["peer"]));
        kept.append(figures);
        *figures = kept;
    }
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
