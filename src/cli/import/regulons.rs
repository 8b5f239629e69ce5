//! `haystack import regulons`: a network of transcription factors and their targets.

use std::path::PathBuf;

use super::closing::{self, Bar};
use crate::cli::{Result, open};
use crate::config::Config;
use crate::knowledge::import;

/// Arguments of `haystack import regulons`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Table with the columns source, target and weight (CollecTRI), or tf, target and mor (DoRothEA)
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Name of the network, such as collectri; the file's name if left out
    #[arg(long, value_name = "NAME")]
    network: Option<String>,

    /// Keep only relations with these confidence levels, such as A,B,C
    #[arg(long, value_name = "LETTERS", value_delimiter = ',')]
    confidence: Vec<char>,

    /// Print what was imported as JSON
    #[arg(long)]
    json: bool,
}

/// Runs the mode.
pub async fn run(args: Args, config: Config) -> Result {
    let database = open::database(&config).await?;
    let source = closing::read(&args.file).await?;
    let network = args.network.unwrap_or_else(|| closing::table_stem(&source.stem(".csv")));
    let levels: Vec<char> = args.confidence.iter().map(char::to_ascii_uppercase).collect();
    let bar = Bar::new(&network);
    let imported = import::regulons(&database, &source, &network, &levels, &|n, of| bar.set(n, of)).await?;
    drop(bar);
    database.close().await;
    closing::show(&imported, args.json)
}
