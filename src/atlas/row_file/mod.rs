//! Row files: counts laid out so that a few cells are read quickly, from a disk or by ranges of an object.
//!
//! An `.h5ad` compressed with gzip unpacks some 100 KB for each cell that is drawn, twice. A row file holds
//! each cell on its own, in about a byte per count. It is written beside an import, holds nothing that the
//! imported file does not, and can be deleted at any time.
//!
//! # The format, version 1
//!
//! Numbers are little-endian. A checksum is the CRC-32 of gzip over all bytes before it in its part.
//!
//! ```text
//! magic      8 bytes   "HSROWS\0\x01"
//! cells                one record after the other, in the order of the rows
//!   name_length u16, name (UTF-8)
//!   n           u32    counts of this cell
//!   gap_bytes   u32    bytes of the gaps
//!   gap_k, count_k u8  parameters of the two codes
//!   gaps               n gaps: the column, less the one before it, less one; the first is a column
//!   counts             n counts, less one
//!   checksum    u32
//! genes                names of the columns joined by line feeds, compressed with zlib; checksum u32
//! directory            a block for every 512 cells
//!   start       u64    where the first of them begins
//!   lengths     u32    bytes of each record, 0 past the last cell
//!   checksum    u32
//! footer    84 bytes   n_rows u64, n_cols u64, n_counts u64, genes u64, directory u64 (where both begin),
//!                      fingerprint 32 bytes (of the import), checksum u32, magic 8 bytes
//! ```
//!
//! Gaps and counts are Rice codes, in each byte from the lowest bit on: the number without its lowest `k`
//! bits as that many ones and a zero, then those `k` bits. From 31 ones on there is no zero, and the whole
//! number follows in 32 bits. Each of the two ends with its last byte.

mod bits;
mod cell;
mod read;
mod write;

pub use cell::{Cell, Columns};
pub use read::{RowFile, Source};
pub use write::Writer;

use std::path::PathBuf;

/// At both ends of a row file; the last byte is the version.
const MAGIC: [u8; 8] = *b"HSROWS\0\x01";
/// Bytes of the footer.
const FOOTER: usize = 5 * 8 + 32 + 4 + 8;
/// Cells in a block of the directory.
const BLOCK: u64 = 512;
/// Bytes of a block of the directory.
const BLOCK_BYTES: usize = 8 + 4 * BLOCK as usize + 4;

/// The 32 bytes that tell an import: of its fingerprint in hexadecimal, zeros where it is none.
pub fn fingerprint(hexadecimal: &str) -> [u8; 32] {
    hex::decode(hexadecimal).ok().and_then(|bytes| bytes.try_into().ok()).unwrap_or_default()
}

/// Why a row file cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system said no.
    #[error("cannot {what} the row file {}", path.display())]
    File {
        /// `read` or `write`.
        what: &'static str,
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The object store said no.
    #[error(transparent)]
    Objects(#[from] crate::objects::Error),
    /// It is another file, or of another version.
    #[error("{place} is no row file of this version; delete it and import the data set again")]
    NotRows {
        /// Where it is.
        place: String,
    },
    /// It does not hold what it says.
    #[error("{place} is damaged ({what}); delete it and import the data set again")]
    Damaged {
        /// Where it is.
        place: String,
        /// What, and where.
        what: String,
    },
    /// It was written for another import.
    #[error("{place} was written for another import of the data set; delete it and import the data set again")]
    OtherImport {
        /// Where it is.
        place: String,
    },
    /// A row past the end was asked for.
    #[error("row {row} was asked for, but {place} has only {n_rows}")]
    NoSuchRow {
        /// Row, from 0.
        row: u64,
        /// How many there are.
        n_rows: u64,
        /// Where it is.
        place: String,
    },
    /// A reading thread stopped.
    #[error("reading was interrupted")]
    Interrupted,
    /// Genes that cannot be written.
    #[error("cannot write a row file: {0}")]
    Genes(String),
    /// Counts that cannot be written.
    #[error("cannot write row {row} of a row file: {what}")]
    Unwritable {
        /// Row, from 0.
        row: u64,
        /// In words.
        what: String,
    },
}
