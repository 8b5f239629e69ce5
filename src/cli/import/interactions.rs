//! `haystack import interactions`: a network of proteins acting on each other.

use std::path::PathBuf;

use super::closing::{self, Bar};
use crate::cli::{Result, open};
use crate::config::Config;
use crate::knowledge::import;

/// Arguments of `haystack import interactions`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Table of gene symbols, as STRING, OmniPath or CellChat lay it out, packed or not
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Name of the network, such as omnipath; the file's name if left out
    #[arg(long, value_name = "NAME")]
    network: Option<String>,

    /// Print what was imported as JSON
    #[arg(long)]
    json: bool,
}

/// Runs the mode.
pub async fn run(args: Args, config: Config) -> Result {
    let database = open::database(&config).await?;
    let source = closing::read(&args.file).await?;
    let network = args.network.unwrap_or_else(|| closing::table_stem(&source.stem(".csv")));
    let bar = Bar::new(&network);
    let imported = import::interactions(&database, &source, &network, &|n, of| bar.set(n, of)).await?;
    drop(bar);
    database.close().await;
    closing::show(&imported, args.json)
}
