//! `haystack import`: bring in cells, models and knowledge, once per source.

mod atlas;
mod closing;
mod converted;
mod fetch;
mod gene_sets;
mod interactions;
mod markers;
mod model;
mod ontology;
mod perturbations;
mod regulons;
mod starter;

use clap::Subcommand;

use super::{Result, open};
use crate::config::Config;
use crate::database::Database;

/// Arguments of `haystack import`.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true, arg_required_else_help = true)]
pub struct Args {
    #[command(subcommand)]
    what: Option<What>,

    #[command(flatten)]
    fetch: fetch::Args,
}

/// What to import.
#[derive(Debug, Subcommand)]
pub enum What {
    /// Import a file of cells with raw counts (.h5ad)
    Atlas(Box<atlas::Args>),
    /// Import the starter knowledge and a simulated atlas, to try questions on
    Starter(starter::Args),
    /// Convert a STACK checkpoint once, so that runs can name it
    Model(model::Args),
    /// Import a release of an ontology (OBO or JSON), such as CL, UBERON or MONDO; list and switch releases
    Ontology(ontology::Args),
    /// Import a collection of gene sets (GMT)
    GeneSets(gene_sets::Args),
    /// Import a network of transcription factors and their targets
    Regulons(regulons::Args),
    /// Import a network of interacting proteins
    Interactions(interactions::Args),
    /// Import a table of marker genes by cell type
    Markers(markers::Args),
    /// Import a table of perturbations, their ids and targets
    Perturbations(perturbations::Args),
}

/// Runs the mode.
pub async fn run(args: Args, config: Config) -> Result {
    // Takes its turn itself, once it has downloaded the file.
    let Some(what) = args.what else { return fetch::run(args.fetch, config).await };
    let needs_turn = match &what {
        // A model goes into the object store alone, and needs no database.
        What::Model(_) => false,
        What::Ontology(args) => !args.only_lists(),
        _ => true,
    };
    if !needs_turn {
        return what.run(config).await;
    }
    let database = open::database(&config).await?;
    alone(&database, what.run(config)).await
}

impl What {
    async fn run(self, config: Config) -> Result {
        match self {
            Self::Atlas(args) => atlas::run(*args, config).await,
            Self::Starter(args) => starter::run(args, config).await,
            Self::Model(args) => model::run(args, config).await,
            Self::Ontology(args) => ontology::run(args, config).await,
            Self::GeneSets(args) => gene_sets::run(args, config).await,
            Self::Regulons(args) => regulons::run(args, config).await,
            Self::Interactions(args) => interactions::run(args, config).await,
            Self::Markers(args) => markers::run(args, config).await,
            Self::Perturbations(args) => perturbations::run(args, config).await,
        }
    }
}

/// Does the work of one import at a time: what one resolves names with must not change under it.
async fn alone(database: &Database, import: impl Future<Output = Result>) -> Result {
    let guard = database.import_guard("import").await?;
    let outcome = import.await;
    let released = guard.release().await;
    outcome?;
    Ok(released?)
}
