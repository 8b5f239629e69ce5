//! `haystack doctor`: is everything here that is needed, and if not, what to do.

use std::path::Path;

use serde::Serialize;

use super::exit::chain;
use super::{Error, Result};
use crate::config::{self, Config, PlannerKind};
use crate::database::{Database, Dialect};
use crate::domain::run::Predictor;
use crate::executor::Executor;
use crate::objects::Objects;

/// How to show what was found.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Below this a run may not have room for its files.
const LEAST_FREE_BYTES: u64 = 1 << 30;

/// What was found.
#[derive(Debug, Serialize)]
struct Report {
    /// Whether nothing is broken.
    ok: bool,
    parts: Vec<Part>,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Part {
    name: &'static str,
    state: State,
    /// What was found.
    found: String,
    /// The way out.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    /// As it should be.
    Ok,
    /// Works, but there is nothing in it yet, or something is short.
    Warning,
    /// Needed, and cannot be used.
    Broken,
}

/// Looks at every part; fails when one that is needed is broken.
pub async fn run(args: Args, config: std::result::Result<Config, config::Error>) -> Result {
    let parts = examine(config).await;
    let broken = parts.iter().filter(|part| part.state == State::Broken).count();
    let report = Report { ok: broken == 0, parts };
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report).map_err(Error::bug)?);
    } else {
        print(&report);
    }
    match broken {
        0 => Ok(()),
        1 => Err(Error::failed("1 part is broken")),
        n => Err(Error::failed(format!("{n} parts are broken"))),
    }
}

fn print(report: &Report) {
    for part in &report.parts {
        let state = match part.state {
            State::Ok => "ok",
            State::Warning => "warning",
            State::Broken => "BROKEN",
        };
        println!("{state:<8} {:<14} {}", part.name, part.found);
        if let Some(hint) = &part.hint {
            println!("{:<23} -> {hint}", "");
        }
    }
}

async fn examine(config: std::result::Result<Config, config::Error>) -> Vec<Part> {
    let mut parts = vec![program()];
    let config = match config {
        Ok(config) => config,
        Err(error) => {
            let hint = "assets/config.default.toml lists every key with its meaning";
            parts.push(broken("configuration", &error, hint));
            return parts;
        }
    };
    parts.push(ok("configuration", config.file.as_ref().map_or("defaults".to_owned(), |f| f.display().to_string())));
    parts.push(home(&config));
    parts.push(disk(&config.home));
    parts.extend(database(&config).await);
    let (objects, part) = objects(&config).await;
    parts.push(part);
    parts.push(predictor(&config, objects.as_ref()).await);
    parts.push(planner(&config));
    parts.push(jobs(&config));
    parts
}

fn ok(name: &'static str, found: impl Into<String>) -> Part {
    Part { name, state: State::Ok, found: found.into(), hint: None }
}

fn warning(name: &'static str, found: impl Into<String>, hint: impl Into<String>) -> Part {
    Part { name, state: State::Warning, found: found.into(), hint: Some(hint.into()) }
}

fn broken(name: &'static str, error: &(dyn std::error::Error + 'static), hint: impl Into<String>) -> Part {
    Part { name, state: State::Broken, found: chain(error), hint: Some(hint.into()) }
}

fn program() -> Part {
    let version = env!("CARGO_PKG_VERSION");
    let device = if cfg!(feature = "cuda") { "CPU and CUDA" } else { "CPU" };
    match std::env::current_exe() {
        Ok(path) => ok("program", format!("haystack {version} at {} ({device})", path.display())),
        Err(error) => {
            broken("program", &error, "jobs are started from the program's own file; start it by its full path")
        }
    }
}

fn home(config: &Config) -> Part {
    let hint = "set HAYSTACK_HOME to a folder you may write to";
    let probe = || {
        std::fs::create_dir_all(&config.home)?;
        tempfile::NamedTempFile::new_in(&config.home)
    };
    match probe() {
        Ok(_) => ok("home", config.home.display().to_string()),
        Err(error) => {
            let error = std::io::Error::new(error.kind(), format!("{}: {error}", config.home.display()));
            broken("home", &error, hint)
        }
    }
}

fn disk(home: &Path) -> Part {
    let existing = home.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
    match rustix::fs::statvfs(existing) {
        Ok(found) => {
            let free = found.f_bavail.saturating_mul(found.f_frsize);
            let text = format!("{:.1} GB free at {}", free as f64 / 1e9, existing.display());
            match free < LEAST_FREE_BYTES {
                true => warning("disk", text, "a run needs room for its cells; free some space or move HAYSTACK_HOME"),
                false => ok("disk", text),
            }
        }
        Err(error) => broken("disk", &error, "set HAYSTACK_HOME to a folder on a working disk"),
    }
}

async fn database(config: &Config) -> Vec<Part> {
    let hint = match &config.database {
        config::Database::Sqlite { .. } => "'haystack migrate' makes it; set DATABASE_URL to use another",
        config::Database::Postgres { .. } => "check that the server runs, and that DATABASE_URL names it",
    };
    let database = match Database::open_existing(config.database.url()).await {
        Ok(database) => database,
        Err(error) => return vec![broken("database", &error, hint)],
    };
    let mut parts = vec![match (database.check_schema().await, database.schema_version().await) {
        (Ok(()), Ok(version)) => ok("database", format!("{}, schema version {version}", database.place())),
        (Err(error), _) | (_, Err(error)) => broken("database", &error, "'haystack migrate' updates the schema"),
    }];
    let usable = parts[0].state == State::Ok;
    if database.dialect() == Dialect::Postgres {
        parts.push(server(&database).await);
    }
    if usable {
        parts.extend(holdings(&database).await);
    }
    database.close().await;
    parts
}

async fn server(database: &Database) -> Part {
    match database.server_version().await {
        Ok(Some((version, Some(vector)))) => ok("server", format!("PostgreSQL {version} with pgvector {vector}")),
        Ok(Some((version, None))) => warning(
            "server",
            format!("PostgreSQL {version} without pgvector"),
            "install the extension 'vector' on the server",
        ),
        Ok(None) => ok("server", "none needed"),
        Err(error) => broken("server", &error, "check that the server runs"),
    }
}

async fn holdings(database: &Database) -> Vec<Part> {
    let held = match database.holdings().await {
        Ok(held) => held,
        Err(error) => return vec![broken("knowledge", &error, "the database may be damaged; restore a backup")],
    };
    let simulated = match held.simulated {
        0 => String::new(),
        n if n == held.datasets => " (simulated)".to_owned(),
        n => format!(" ({n} of the data sets simulated)"),
    };
    let sets = if held.datasets == 1 { "1 data set".to_owned() } else { format!("{} data sets", held.datasets) };
    let atlas = format!("{sets}, {} cells{simulated}", held.cells);
    let ontologies = format!("{} ontologies, {} terms", held.ontologies, held.ontology_terms);
    let knowledge = format!(
        "{} perturbations, {} gene sets, {} regulator-target pairs, {} markers",
        held.perturbations, held.gene_sets, held.regulons, held.markers
    );
    let lacking = [held.perturbations, held.gene_sets, held.regulons].contains(&0);
    let starter = "'haystack import starter' brings a small set, 'haystack import' your own";
    let part = |name, found, lacking| if lacking { warning(name, found, starter) } else { ok(name, found) };
    vec![
        part("atlases", atlas, held.datasets == 0),
        part("ontologies", ontologies, held.ontology_terms == 0),
        part("knowledge", knowledge, lacking),
    ]
}

async fn objects(config: &Config) -> (Option<Objects>, Part) {
    let hint = "check objects.url and its credentials";
    let objects = match Objects::open(&config.objects) {
        Ok(objects) => objects,
        Err(error) => return (None, broken("objects", &error, hint)),
    };
    match objects.probe().await {
        Ok(()) => {
            let found = format!("{}: written, read and deleted", objects.address());
            (Some(objects), ok("objects", found))
        }
        Err(error) => (None, broken("objects", &error, hint)),
    }
}

async fn predictor(config: &Config, objects: Option<&Objects>) -> Part {
    let Some(objects) = objects else {
        return warning("predictor", "the models cannot be looked for", "see objects above");
    };
    let held = objects.models().await;
    let Predictor::Stack { model } = &config.predictor else {
        let models = held.ok().filter(|held| !held.is_empty());
        let models = models.map_or_else(String::new, |held| format!("; models held: {}", held.join(", ")));
        return ok("predictor", format!("mean-shift, the baseline{models}"));
    };
    match held {
        Ok(held) if held.contains(model) => ok("predictor", format!("STACK model {model}")),
        Ok(_) => broken(
            "predictor",
            &std::io::Error::other(format!("the STACK model '{model}' is not imported")),
            format!("'haystack import model CKPT --genes FILE --name {model}' imports it"),
        ),
        Err(error) => broken("predictor", &error, "check objects.url"),
    }
}

fn planner(config: &Config) -> Part {
    match config.planner.kind {
        PlannerKind::Rules => ok("planner", "rules"),
    }
}

fn jobs(config: &Config) -> Part {
    match Executor::local(config) {
        Ok(_) => ok("jobs", format!("child processes, {} at a time", config.jobs.slots)),
        Err(error) => broken("jobs", &error, "set HAYSTACK_HOME to a folder you may write to"),
    }
}
