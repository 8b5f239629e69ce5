//! `haystack import ontology`: releases of ontologies, and which of them is in use.

use std::path::PathBuf;

use super::closing::{self, Bar};
use crate::cli::{Error, Result, open};
use crate::config::Config;
use crate::database::{Database, Stored};
use crate::knowledge::import;

/// Arguments of `haystack import ontology`.
#[derive(Debug, clap::Args)]
#[command(after_help = "The release is put in use in the place of the one in use under the same prefix, which \
                        is kept: --list shows all, --use puts one in use again. Terms of other ontologies that \
                        the file mentions are left out.")]
pub struct Args {
    /// OBO file or a JSON release of CELLxGENE, packed (.gz, .zst) or not
    #[arg(value_name = "FILE", required_unless_present_any = ["list", "release"])]
    file: Option<PathBuf>,

    /// Prefix of the ontology's own terms, such as CL; told by the file if left out
    #[arg(long, value_name = "PREFIX", requires = "file")]
    prefix: Option<String>,

    /// Keep the release beside the one in use
    #[arg(long, requires = "file")]
    beside: bool,

    /// List the releases held, one per line: prefix, version, whether in use, file
    #[arg(long, conflicts_with_all = ["file", "release"])]
    list: bool,

    /// Put a release that is kept in use, such as CL@2025-02-13
    #[arg(long = "use", id = "release", value_name = "PREFIX@VERSION", conflicts_with = "file")]
    release: Option<String>,

    /// Print what was imported as JSON
    #[arg(long, requires = "file")]
    json: bool,
}

impl Args {
    /// Whether it changes nothing.
    pub(super) fn only_lists(&self) -> bool {
        self.list
    }
}

/// Runs the mode.
pub async fn run(args: Args, config: Config) -> Result {
    let database = open::database(&config).await?;
    let outcome = match (&args.file, &args.release) {
        (Some(_), _) => import(&database, &args).await,
        (None, Some(release)) => put_in_use(&database, release).await,
        (None, None) => list(&database).await,
    };
    database.close().await;
    outcome
}

async fn import(database: &Database, args: &Args) -> Result {
    let Some(file) = &args.file else { return Ok(()) };
    let source = closing::read(file).await?;
    let stem = source.stem(".obo");
    let bar = Bar::new(stem.strip_suffix(".json").unwrap_or(&stem));
    let prefix = args.prefix.as_deref();
    let imported = match args.beside {
        true => import::ontology_beside(database, &source, prefix).await?,
        false => import::ontology(database, &source, prefix, &|n, of| bar.set(n, of)).await?,
    };
    drop(bar);
    closing::show(&imported, args.json)
}

async fn put_in_use(database: &Database, release: &str) -> Result {
    let Some((prefix, version)) = release.split_once('@') else {
        return Err(Error::usage(format!("'{release}' is not PREFIX@VERSION, such as CL@2025-02-13")));
    };
    match database.use_ontology(prefix, version, &|_| {}).await? {
        None => {
            Err(Error::failed(format!("no release {release} is held"))
                .hint("'haystack import ontology --list' shows all"))
        }
        Some(Stored::Unchanged) => {
            eprintln!("{prefix} {version} is in use already; nothing to do");
            Ok(())
        }
        Some(_) => {
            eprintln!("{prefix} {version} is in use");
            Ok(())
        }
    }
}

async fn list(database: &Database) -> Result {
    let in_use = database.ontologies().await?;
    for release in database.ontology_releases().await? {
        let is_used = in_use.iter().any(|used| (&used.prefix, &used.version) == (&release.prefix, &release.version));
        let state = if is_used { "in use" } else { "kept" };
        println!("{}\t{}\t{state}\t{}", release.prefix, release.version, release.source);
    }
    Ok(())
}
