//! What can be wrong with an `.h5ad` file, and where.

use std::io;
use std::path::{Path, PathBuf};

/// A result of reading or writing an `.h5ad` file.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A [`Problem`], the file it is in and the place inside the file.
#[derive(Debug, thiserror::Error)]
#[error("{}: {}{problem}", file.display(), place(at))]
pub struct Error {
    /// The file.
    pub file: PathBuf,
    /// Path inside the file such as `obs/cell_type`; empty where the whole file is meant.
    pub at: String,
    /// What is wrong, and the way out.
    #[source]
    pub problem: Problem,
}

impl Error {
    pub(super) fn new(file: &Path, at: impl Into<String>, problem: Problem) -> Self {
        Self { file: file.to_owned(), at: at.into(), problem }
    }
}

fn place(at: &str) -> String {
    if at.is_empty() { String::new() } else { format!("{at}: ") }
}

/// What is wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The file cannot be opened at all.
    #[error("cannot be opened: {0}")]
    Open(io::Error),
    /// Some other kind of file.
    #[error("not an HDF5 file: {hint}")]
    NotHdf5 {
        /// What it seems to be and what to do.
        hint: &'static str,
    },
    /// A Zarr store in place of an HDF5 file.
    #[error(
        "a Zarr store, and only .h5ad (HDF5) is read; convert it in Python with \
         anndata.read_zarr(STORE).write_h5ad(\"FILE.h5ad\") (unpack a .zip first)"
    )]
    Zarr,
    /// The end of the file is missing.
    #[error("truncated: the end of the file is missing; copy or download it again")]
    Truncated,
    /// HDF5, but no AnnData.
    #[error("HDF5 but not AnnData: {hint}")]
    NotAnnData {
        /// What it seems to be and what to do.
        hint: String,
    },
    /// Something that must be there is not.
    #[error("missing; expected {expected}")]
    Missing {
        /// What should be there.
        expected: String,
    },
    /// Something else than what should be there.
    #[error("expected {expected}, found {found}")]
    Unexpected {
        /// What should be there.
        expected: String,
        /// What is there.
        found: String,
    },
    /// Written with an encoding this reader does not know.
    #[error(
        "encoded as `{encoding}`, which is not supported here; in Python, remove it or convert it to a \
         plain column or matrix and write the file again"
    )]
    Encoding {
        /// `encoding-type` and `encoding-version`.
        encoding: String,
    },
    /// A length the file cannot hold.
    #[error(
        "claims {elements} elements ({bytes} bytes), but only {held} bytes of the file are behind it; \
         the file is damaged: copy or download it again"
    )]
    TooLong {
        /// Number of elements claimed.
        elements: u64,
        /// Their size in memory.
        bytes: u64,
        /// Bytes stored in the file.
        held: u64,
    },
    /// Indices, codes or row pointers that contradict the shape.
    #[error("inconsistent: {what}")]
    Inconsistent {
        /// In words, with the first offender.
        what: String,
    },
    /// A link to another file, or data kept in one. Never followed.
    #[error("lies in another file ({target}), which is never followed; in Python, read and write it into one file")]
    External {
        /// The other file as named in this one.
        target: String,
    },
    /// Soft links that lead in a circle, or nowhere near an end.
    #[error("a chain of soft links without an end")]
    LinkLoop,
    /// Compressed with something this reader does not have.
    #[error(
        "compressed with {filter}, which is not supported here; in Python, write the file again with \
         .write_h5ad(FILE, compression=\"gzip\")"
    )]
    Filter {
        /// Name and number of the HDF5 filter.
        filter: String,
    },
    /// Text that is not UTF-8.
    #[error("value {index} is not valid UTF-8 text")]
    NotText {
        /// Position in the array.
        index: usize,
    },
    /// A column of labels in which nearly every row has its own.
    #[error(
        "holds more than {most} different values, so it names cells rather than groups of them; name another column, \
         or leave the field out (ignore = true in a mapping)"
    )]
    TooVaried {
        /// How many there may be.
        most: usize,
    },
    /// A row past the end was asked for.
    #[error("row {row} was asked for, but there are only {n_rows} rows")]
    NoSuchRow {
        /// The row, from 0.
        row: usize,
        /// Number of rows.
        n_rows: usize,
    },
    /// A matrix or column that the file does not have was asked for.
    #[error("there is no {what}; there are: {}", if present.is_empty() { "none".to_owned() } else { present.join(", ") })]
    NoSuch {
        /// What was asked for.
        what: String,
        /// What could have been.
        present: Vec<String>,
    },
    /// The HDF5 library refused.
    #[error("cannot be read: {0}")]
    Hdf5(#[source] hdf5::Error),
    /// The data handed over cannot be stored.
    #[error("cannot be written: {what}")]
    Unwritable {
        /// In words.
        what: String,
    },
    /// Writing failed, for example because the disk is full. Nothing is left behind.
    #[error("cannot be written: {cause}; nothing was left behind")]
    Write {
        /// What the system or the HDF5 library says.
        cause: String,
    },
}

impl Problem {
    /// What went wrong in writing. HDF5 buries the system's own message in a long one.
    pub(super) fn from_write(error: &hdf5::Error) -> Self {
        let inner = |stack: hdf5::ExpandedErrorStack| {
            stack.iter().find_map(|frame| {
                let (_, message) = frame.desc().split_once("error message = '")?;
                Some(message.split('\'').next().unwrap_or(message).to_owned())
            })
        };
        Self::Write { cause: error.stack().and_then(inner).unwrap_or_else(|| error.to_string()) }
    }
}
