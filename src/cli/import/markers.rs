//! `haystack import markers`: marker genes by cell type.

use std::path::PathBuf;

use super::closing::{self, Bar};
use crate::cli::{Result, open};
use crate::config::Config;
use crate::knowledge::import;

/// Arguments of `haystack import markers`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Cell types given by name are looked up among the terms of the Cell Ontology held; names that \
                        stand for none are listed and left out.")]
pub struct Args {
    /// Table with a column of cell types (ids or names) and one of gene symbols
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Name of the source, such as panglao; the file's name if left out
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// Print what was imported as JSON
    #[arg(long)]
    json: bool,
}

/// Runs the mode.
pub async fn run(args: Args, config: Config) -> Result {
    let database = open::database(&config).await?;
    let source = closing::read(&args.file).await?;
    let name = args.name.unwrap_or_else(|| closing::table_stem(&source.stem(".tsv")));
    let bar = Bar::new(&name);
    let imported = import::markers(&database, &source, &name, &|n, of| bar.set(n, of)).await?;
    drop(bar);
    database.close().await;
    closing::show(&imported, args.json)
}
