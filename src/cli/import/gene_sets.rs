//! `haystack import gene-sets`: a collection of gene sets.

use std::path::PathBuf;

use super::closing::{self, Bar};
use crate::cli::{Result, open};
use crate::config::Config;
use crate::knowledge::import;

/// Arguments of `haystack import gene-sets`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// GMT file, gzipped or not: a line is a name, a description and gene symbols, separated by tabs
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Name of the collection, such as hallmark; the file's name if left out
    #[arg(long, value_name = "NAME")]
    collection: Option<String>,

    /// Print what was imported as JSON
    #[arg(long)]
    json: bool,
}

/// Runs the mode.
pub async fn run(args: Args, config: Config) -> Result {
    let database = open::database(&config).await?;
    let source = closing::read(&args.file).await?;
    let collection = args.collection.unwrap_or_else(|| source.stem(".gmt"));
    let bar = Bar::new(&collection);
    let imported = import::gene_sets(&database, &source, &collection, &|n, of| bar.set(n, of)).await?;
    drop(bar);
    database.close().await;
    closing::show(&imported, args.json)
}
