//! `haystack import perturbations`: cytokines, drugs and other perturbations.

use std::path::PathBuf;

use super::closing::{self, Bar};
use crate::cli::{Result, open};
use crate::config::Config;
use crate::knowledge::import;

const FORMAT: &str = "\
The table is tab-separated with a header. Lists are separated by ';'. All but name and kind may be empty.

  name       canonical name, such as interferon beta
  kind       drug, cytokine, genetic or unknown
  ids        identifiers, the preferred one first: uniprot:P01574, CHEBI:76612
  synonyms   other names
  targets    what it binds or edits: +IFNAR1;+IFNAR2 or -BTK
  effectors  transcription factors it switches: +STAT1;+STAT2
  responses  genes that follow: +ISG15;-IL6
  pathways   names of gene sets expected to be enriched

+GENE is activated or rises, -GENE is inhibited or falls, GENE is not known. Lines that begin with # are \
comments. What several sources say of one name is put together.";

/// Arguments of `haystack import perturbations`.
#[derive(Debug, clap::Args)]
#[command(after_help = FORMAT)]
pub struct Args {
    /// Table of perturbations, in the format below
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Name of the source; the file's name if left out
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
    let imported = import::perturbations(&database, &source, &name, &|n, of| bar.set(n, of)).await?;
    drop(bar);
    database.close().await;
    closing::show(&imported, args.json)
}
