//! Tests of what crosses a door: files, databases, object stores, processes, HTTP.

mod anndata;
mod api;
mod atlas;
mod atlas_published;
mod atlas_rows;
mod atlas_scale;
mod browser;
mod cli;
mod database;
mod evaluate;
mod executor;
mod fetch;
#[path = "../generate/mod.rs"]
mod generate;
mod knowledge;
mod objects;
mod obo;
mod openapi;
mod question;
mod report;
mod resolve;
mod resolver_gold;
mod retrieve;
mod run;
mod runs;
mod stack;
mod starter;
mod stats;
mod support;
mod tidy;

#[test]
fn every_file_here_is_declared() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    let declared = std::fs::read_to_string(folder.join("main.rs")).unwrap();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let is_module = path.join("mod.rs").is_file() || path.extension().is_some_and(|e| e == "rs");
        let forgotten = is_module && name != "main" && !declared.lines().any(|line| line == format!("mod {name};"));
        assert!(!forgotten, "{} is never compiled: add 'mod {name};' to tests/it/main.rs", path.display());
    }
}
