//! What can go wrong with a source, and what may be passed over in one.

use crate::domain::Curie;

/// Something passed over in a file, with its place.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Problem {
    /// From 1; 0 where no single line is to blame.
    pub line: usize,
    /// In words.
    pub what: String,
}

/// Why knowledge could not be read or stored.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read or unpacked.
    #[error("cannot read {name}")]
    Read {
        /// The file.
        name: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is larger than any we know of.
    #[error("{name} holds more than {limit} bytes of text; no known release is that large")]
    TooLarge {
        /// The file.
        name: String,
        /// Bytes.
        limit: u64,
    },
    /// A line of a file is not what it must be.
    #[error("{name}, line {line}: {what}")]
    Line {
        /// The file.
        name: String,
        /// From 1.
        line: usize,
        /// In words.
        what: String,
    },
    /// A file has nothing of what was asked for.
    #[error("{name} has no {what}")]
    Empty {
        /// The file.
        name: String,
        /// What is missing.
        what: String,
    },
    /// `is_a` goes round in a loop.
    #[error("{name}: 'is_a' goes round in a loop: {}", chain(members))]
    Cycle {
        /// The file.
        name: String,
        /// The terms of the loop, each a child of the next, the last a child of the first.
        members: Vec<Curie>,
    },
    /// Something must be imported first.
    #[error("{0}")]
    Missing(String),
    /// The database.
    #[error(transparent)]
    Database(#[from] crate::database::Error),
}

/// Result of reading or storing knowledge.
pub type Result<T> = std::result::Result<T, Error>;

fn chain(members: &[Curie]) -> String {
    let shown: Vec<_> = members.iter().chain(members.first()).take(12).map(Curie::as_str).collect();
    shown.join(" → ")
}
