//! `haystack import`: bring in cells, models and knowledge, once per source.

mod atlas;
mod closing;
mod gene_sets;
mod markers;
mod model;
mod ontology;
mod perturbations;
mod regulons;
mod starter;

use clap::Subcommand;

use super::{Result, open};
use crate::config::Config;

/// What to import.
#[derive(Debug, Subcommand)]
pub enum What {
    /// Import a file of cells with raw counts (.h5ad)
    Atlas(Box<atlas::Args>),
    /// Import the starter knowledge and a simulated atlas, to try questions on
    Starter(starter::Args),
    /// Convert a STACK checkpoint once, so that runs can name it
    Model(model::Args),
    /// Import a release of an ontology (OBO), such as CL, UBERON or MONDO
    Ontology(ontology::Args),
    /// Import a collection of gene sets (GMT)
    GeneSets(gene_sets::Args),
    /// Import a network of transcription factors and their targets
    Regulons(regulons::Args),
    /// Import a table of marker genes by cell type
    Markers(markers::Args),
    /// Import a table of perturbations
    Perturbations(perturbations::Args),
}

/// Runs the mode. One import at a time: what one resolves names with must not change under it.
pub async fn run(what: What, config: Config) -> Result {
    let guard = match &what {
        // A model goes into the object store alone, and needs no database.
        What::Model(_) => None,
        _ => Some(open::database(&config).await?.import_guard("import").await?),
    };
    let outcome = match what {
        What::Model(args) => model::run(args, config).await,
        What::Atlas(args) => atlas::run(*args, config).await,
        What::Starter(args) => starter::run(args, config).await,
        What::Ontology(args) => ontology::run(args, config).await,
        What::GeneSets(args) => gene_sets::run(args, config).await,
        What::Regulons(args) => regulons::run(args, config).await,
        What::Markers(args) => markers::run(args, config).await,
        What::Perturbations(args) => perturbations::run(args, config).await,
    };
    if let Some(guard) = guard {
        guard.release().await?;
    }
    outcome
}
