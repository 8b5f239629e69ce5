//! HAVE: the cells we hold.
//!
//! A file is imported once ([`import`]): its columns are harmonised into cell sets, its counts are
//! proven. From then on, searching and pairing work on cell sets alone ([`search`], [`controls`]), and
//! counts are read for the few cells that are drawn ([`cells`]).

pub mod cells;
pub mod coded;
pub mod control_labels;
pub mod controls;
pub mod counts;
pub mod draw;
mod file_state;
pub mod harmonize;
pub mod import;
pub mod mapping;
pub mod profile;
pub mod resolve;
pub mod row_file;
pub mod search;
pub mod simulate;
#[cfg(test)]
pub mod testing;
pub mod treatment;
pub mod tuples;

use std::path::PathBuf;

use crate::database::{self, Database};
use crate::objects::Objects;

pub use cells::{Drawn, DrawnCell};
pub use draw::Rows;

/// The cells we hold.
#[derive(Clone, Debug)]
pub struct Atlas {
    database: Database,
    /// Where row files are; without it, cells are read from the imported files alone.
    objects: Option<Objects>,
}

/// Why cells could not be found or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such data set.
    #[error("there is no data set '{0}'; it was removed or renamed since its cells were chosen")]
    NoDataset(String),
    /// The file is not on this machine.
    #[error("the file of data set '{dataset}' is at {location}; cells are read from files on this machine")]
    NotLocal {
        /// Data set.
        dataset: String,
        /// Where its file is.
        location: String,
    },
    /// The file cannot be read.
    #[error("cannot read the file of data set '{dataset}', {}", path.display())]
    Read {
        /// Data set.
        dataset: String,
        /// Where its file was.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not the one that was imported.
    #[error("{} changed since data set '{dataset}' was imported from it; import it again with --replace", path.display())]
    Changed {
        /// Data set.
        dataset: String,
        /// Where its file is.
        path: PathBuf,
    },
    /// The file cannot be read as AnnData.
    #[error(transparent)]
    AnnData(#[from] crate::anndata::Error),
    /// Counts of a stored data set are nowhere.
    #[error("the counts of a data set are stored as being in '{0}', which is no place in a file")]
    CountsIn(String),
    /// No cells to draw from.
    #[error("there are no cells to draw from")]
    NoCells,
    /// Data sets that measured different genes.
    #[error("the data sets {0} have no gene in common")]
    NoSharedGenes(String),
    /// Counts that do not form a matrix.
    #[error("the counts do not form a matrix: {0}")]
    Matrix(String),
    /// The row file cannot be read.
    #[error(transparent)]
    RowFile(#[from] row_file::Error),
    /// A reading thread stopped.
    #[error("reading was interrupted")]
    Interrupted,
    /// The database failed.
    #[error(transparent)]
    Database(#[from] database::Error),
}

impl Atlas {
    /// The cells indexed in this database.
    pub fn new(database: Database) -> Self {
        Self { database, objects: None }
    }

    /// The same, reading row files from this store where data sets have one.
    pub fn with_objects(self, objects: Objects) -> Self {
        Self { objects: Some(objects), ..self }
    }
}
