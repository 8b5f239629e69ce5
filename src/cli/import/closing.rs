//! What imports of knowledge share: reading the file, a bar while it is written, a table when it is done.

use std::path::Path;

use indicatif::ProgressBar;

use crate::cli::blocking::blocking;
use crate::cli::{Error, Result, progress};
use crate::database::Stored;
use crate::knowledge::import::Imported;
use crate::knowledge::{self, Source};

/// Problems and unresolved names shown at most; `--json` has all.
const SHOWN: usize = 10;

/// Reads a file on a thread of its own.
pub async fn read(path: &Path) -> Result<Source> {
    let path = path.to_owned();
    blocking(move || Ok(Source::read(&path)?)).await
}

/// A file name without the endings of tables.
pub fn table_stem(name: &str) -> String {
    let endings = [".csv", ".tsv", ".txt"];
    endings.iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(name).to_owned()
}

/// A bar on standard error, drawn only on a terminal.
pub struct Bar(ProgressBar);

impl Bar {
    /// A bar that says what is being imported.
    pub fn new(what: &str) -> Self {
        let bar = progress::bar("{msg:32} [{wide_bar}] {percent:>3} %");
        bar.set_message(what.to_owned());
        Self(bar)
    }

    /// Shows how many of how many rows are written.
    pub fn set(&self, written: usize, total: usize) {
        self.0.set_length(total as u64);
        self.0.set_position(written as u64);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// Says what came of an import: a table on standard error, and JSON on standard output if asked.
pub fn show(imported: &Imported, json: bool) -> Result {
    eprint!("{}", table(imported));
    if json {
        let counts: serde_json::Map<String, serde_json::Value> =
            imported.counts.iter().map(|(what, n)| (what.replace(' ', "_"), (*n).into())).collect();
        let value = serde_json::json!({
            "kind": imported.kind,
            "name": imported.name,
            "version": imported.version,
            "source": imported.source,
            "outcome": imported.outcome,
            "counts": counts,
            "unresolved": imported.unresolved,
            "problems": imported.problems,
        });
        println!("{value}");
    }
    Ok(())
}

fn table(imported: &Imported) -> String {
    let version = imported.version.as_ref().map_or(String::new(), |version| format!(" {version}"));
    let what = format!("{} {}{version}", imported.kind.replace('-', " "), imported.name);
    if imported.outcome == Stored::Unchanged {
        return format!("{what}: already imported with the same content; nothing to do\n");
    }
    let done = if imported.outcome == Stored::New { "Imported" } else { "Replaced" };
    let mut text = format!("{done} {what} from {}\n", imported.source);
    let width = imported.counts.iter().map(|(_, n)| n.to_string().len()).max().unwrap_or(0);
    for (what, n) in &imported.counts {
        text += &format!("  {n:>width$} {what}\n");
    }
    let list = |title: String, items: Vec<String>| -> String {
        let more = items.len().saturating_sub(SHOWN);
        let shown: String = items.iter().take(SHOWN).map(|item| format!("    {item}\n")).collect();
        let more = if more > 0 { format!("    … and {more} more (--json lists all)\n") } else { String::new() };
        format!("  {title}:\n{shown}{more}")
    };
    if !imported.unresolved.is_empty() {
        let title = format!("{} names stand for nothing held; left out", imported.unresolved.len());
        text += &list(title, imported.unresolved.clone());
    }
    if !imported.problems.is_empty() {
        let place = |line: usize| if line == 0 { String::new() } else { format!("line {line}: ") };
        let items =
            imported.problems.iter().map(|problem| format!("{}{}", place(problem.line), problem.what)).collect();
        text += &list(format!("{} places passed over", imported.problems.len()), items);
    }
    text
}

impl From<knowledge::Error> for Error {
    fn from(error: knowledge::Error) -> Self {
        match error {
            knowledge::Error::Database(error) => error.into(),
            knowledge::Error::Cycle { .. } => Self::failed(error).hint("nothing was stored; get the release anew"),
            error => Self::failed(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::knowledge::Problem;

    #[test]
    fn the_table_counts_and_lists_what_was_passed_over() {
        let mut imported = Imported {
            kind: "gene-sets",
            name: "hallmark".into(),
            version: None,
            source: "h.gmt".into(),
            outcome: Stored::New,
            counts: vec![("gene sets", 50), ("genes", 4384)],
            unresolved: vec![],
            problems: (1..=12).map(|line| Problem { line, what: "no genes".into() }).collect(),
        };
        let text = table(&imported);
        assert!(text.starts_with("Imported gene sets hallmark from h.gmt\n    50 gene sets\n  4384 genes\n"), "{text}");
        assert!(text.contains("line 10: no genes\n    … and 2 more"), "{text}");
        imported.outcome = Stored::Unchanged;
        assert_eq!(table(&imported), "gene sets hallmark: already imported with the same content; nothing to do\n");
    }
}
