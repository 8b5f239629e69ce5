//! `haystack import ontology`: a release of an ontology.

use std::path::PathBuf;

use super::closing::{self, Bar};
use crate::cli::{Result, open};
use crate::config::Config;
use crate::knowledge::import;

/// Arguments of `haystack import ontology`.
#[derive(Debug, clap::Args)]
#[command(after_help = "The release takes the place of the one held under the same prefix. Terms of other \
                        ontologies that the file mentions are left out.")]
pub struct Args {
    /// OBO file, gzipped or not
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Prefix of the ontology's own terms, such as CL; told by the file if left out
    #[arg(long, value_name = "PREFIX")]
    prefix: Option<String>,

    /// Print what was imported as JSON
    #[arg(long)]
    json: bool,
}

/// Runs the mode.
pub async fn run(args: Args, config: Config) -> Result {
    let database = open::database(&config).await?;
    let source = closing::read(&args.file).await?;
    let bar = Bar::new(&source.stem(".obo"));
    let imported = import::ontology(&database, &source, args.prefix.as_deref(), &|n, of| bar.set(n, of)).await?;
    drop(bar);
    database.close().await;
    closing::show(&imported, args.json)
}
