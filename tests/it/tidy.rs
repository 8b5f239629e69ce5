//! The shape of the source: who may use whom, and that every file says what it is.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Which modules of the crate each module may use. `cli` may use all.
const LAYERS: [(&str, &str); 14] = [
    ("domain", ""),
    ("config", "domain"),
    ("telemetry", "config"),
    ("stats", "domain"),
    ("anndata", "domain"),
    ("stack", "domain"),
    ("objects", "domain config"),
    ("database", "domain config"),
    ("executor", "domain config"),
    ("knowledge", "domain config database"),
    ("atlas", "domain config database objects anndata knowledge"),
    ("api", "domain config database objects executor atlas knowledge"),
    ("orchestrate", "domain config database objects executor knowledge atlas stats anndata"),
    ("main", "cli"),
];

#[test]
fn modules_use_only_the_layers_below_them() {
    let mut wrong = Vec::new();
    for file in rust_files("src") {
        let module = module_of(&file);
        if module == "cli" || module == "lib" {
            continue;
        }
        let allowed = LAYERS.iter().find(|(name, _)| *name == module).map(|(_, allowed)| *allowed);
        let allowed = allowed.unwrap_or_else(|| panic!("module '{module}' is not in the layer table of {}", file!()));
        let text = fs::read_to_string(&file).unwrap();
        for used in modules_named_in(&text) {
            if used != module && !allowed.split(' ').any(|name| name == used) {
                wrong.push(format!("{} uses crate::{used}; {module} may use: {allowed}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn the_layer_table_has_no_cycle() {
    let allowed = |name: &str| -> Vec<&str> {
        LAYERS.iter().find(|(n, _)| *n == name).map_or(vec![], |(_, a)| a.split_whitespace().collect())
    };
    for (start, _) in LAYERS {
        let mut open = allowed(start);
        let mut seen = BTreeSet::new();
        while let Some(next) = open.pop() {
            assert_ne!(next, start, "{start} may use itself through others");
            if seen.insert(next) {
                open.extend(allowed(next));
            }
        }
    }
}

#[test]
fn every_file_says_what_it_is_in_its_first_line() {
    let files = rust_files("src").into_iter().chain(rust_files("tests"));
    let silent: Vec<_> = files
        .filter(|file| !fs::read_to_string(file).unwrap().starts_with("//! "))
        .map(|file| file.display().to_string())
        .collect();
    assert!(silent.is_empty(), "these files do not begin with '//! ': {silent:?}");
}

#[test]
fn only_config_reads_the_environment_and_only_cli_writes_to_the_terminal() {
    let mut wrong = Vec::new();
    for file in rust_files("src") {
        let module = module_of(&file);
        let text = fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for (number, line) in code.lines().enumerate() {
            let place = || format!("{}:{}: {}", file.display(), number + 1, line.trim());
            let line_code = line.split("//").next().unwrap_or_default();
            if module != "config" && ["env::var", "env::vars", "var_os("].iter().any(|word| line_code.contains(word)) {
                wrong.push(place());
            }
            let terminal = ["println!", "print!", "eprintln!", "eprint!", "io::stdout", "io::stderr", "process::exit"];
            if module != "cli" && module != "main" && terminal.iter().any(|word| line_code.contains(word)) {
                wrong.push(place());
            }
            if module != "database" && ["sqlx::query", "QueryBuilder"].iter().any(|word| line_code.contains(word)) {
                wrong.push(place());
            }
            if ["todo!", "unimplemented!", "dbg!"].iter().any(|word| line_code.contains(word)) {
                wrong.push(place());
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// The names after `crate::` (also inside `crate::{…}`) that begin with a lower-case letter.
fn modules_named_in(text: &str) -> BTreeSet<String> {
    let word = |rest: &str| rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect::<String>();
    let mut found = BTreeSet::new();
    for (at, _) in text.match_indices("crate::") {
        let rest = &text[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            None => {
                found.insert(word(rest));
            }
            Some(group) => {
                let (mut depth, mut start) = (0, true);
                for (i, c) in group.char_indices() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => start = true,
                        c if start && !c.is_whitespace() => {
                            found.insert(word(&group[i..]));
                            start = false;
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    found.remove("");
    found.remove("haystack");
    found
}

/// `src/anndata/read.rs` and `src/anndata.rs` belong to `anndata`.
fn module_of(file: &Path) -> String {
    let inside = file.strip_prefix(root().join("src")).unwrap();
    let first = inside.iter().next().unwrap().to_string_lossy().into_owned();
    first.trim_end_matches(".rs").to_owned()
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(folder: &str) -> Vec<PathBuf> {
    let mut open = vec![root().join(folder)];
    let mut files = Vec::new();
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                // What the fuzzers are built into.
                if path != root().join("tests/fuzz/target") {
                    open.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

#[test]
fn names_are_found_in_every_form_of_use() {
    let text = "use crate::domain::Csr; use crate::{stats::{a, b}, anndata}; crate::config::load()";
    let found: Vec<_> = modules_named_in(text).into_iter().collect();
    assert_eq!(found, ["anndata", "config", "domain", "stats"]);
}
