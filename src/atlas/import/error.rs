//! Why a file cannot be imported.

use crate::anndata;
use crate::atlas::{harmonize, mapping};
use crate::database;

/// Why a file cannot be imported.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The name is not one for a data set.
    #[error(
        "'{0}' is not a name for a data set; use letters, digits, '.', '_' and '-', at most 64, beginning with a letter or digit"
    )]
    Name(String),
    /// The file cannot be opened or read to its end.
    #[error("cannot read {file}")]
    Read {
        /// The file.
        file: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is no AnnData file we can read.
    #[error(transparent)]
    AnnData(#[from] anndata::Error),
    /// The mapping is not one.
    #[error(transparent)]
    Mapping(#[from] mapping::Error),
    /// The columns cannot be harmonised.
    #[error("{file}: {source}")]
    Columns {
        /// The file.
        file: String,
        /// What is wrong with them.
        source: harmonize::Error,
    },
    /// A column the mapping names is not there.
    #[error("{file}: {table} has no column '{column}' for {what}; {hint}")]
    NoColumn {
        /// The file.
        file: String,
        /// `obs` or `var`.
        table: &'static str,
        /// As named.
        column: String,
        /// The field or use it was named for.
        what: String,
        /// The column that was probably meant, or the columns there are.
        hint: String,
    },
    /// No raw counts were found.
    #[error(
        "{file} has no raw counts: {seen}. Counts are whole numbers of 0 or more; name their place with --counts-in (X, raw/X or layers/NAME), or export the file with its raw counts"
    )]
    NoCounts {
        /// The file.
        file: String,
        /// What was seen where.
        seen: String,
    },
    /// Two cells have one name.
    #[error(
        "{file}: rows {first} and {second} of obs are both named '{name}'; make the names unique, in Python with adata.obs_names_make_unique()"
    )]
    DuplicateCell {
        /// The file.
        file: String,
        /// The name.
        name: String,
        /// Row, from 0.
        first: usize,
        /// Row, from 0.
        second: usize,
    },
    /// The file has no cells or no genes.
    #[error("{file} holds {n_cells} cells and {n_genes} genes; there is nothing to import")]
    Empty {
        /// The file.
        file: String,
        /// Cells.
        n_cells: usize,
        /// Genes.
        n_genes: usize,
    },
    /// More cells than row numbers go.
    #[error("{file} holds {0} cells; a data set may have up to 4 294 967 295", .n_cells)]
    TooManyCells {
        /// The file.
        file: String,
        /// Cells.
        n_cells: usize,
    },
    /// A data set of that name is there, and was not imported from the same file in the same way.
    #[error("there is a data set '{name}' already, imported {imported_at} from {}; choose another name, or put this one in its place with --replace", if *.same_file { "the same file with other settings" } else { location })]
    NameTaken {
        /// Name of the data set.
        name: String,
        /// When.
        imported_at: String,
        /// Where from.
        location: String,
        /// Whether only the mapping, profile or place of the counts differs.
        same_file: bool,
    },
    /// The file changed while it was read.
    #[error("{0} changed while it was imported; nothing was stored")]
    Changed(String),
    /// The row file cannot be written.
    #[error(transparent)]
    RowFile(#[from] crate::atlas::row_file::Error),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] database::Error),
    /// A reading thread stopped.
    #[error("reading was interrupted")]
    Interrupted,
}
