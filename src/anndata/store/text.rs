//! Text in a data set or attribute, of fixed or variable length.

use hdf5::Container;

use super::raw::{self, Part};
use super::{HeapError, Origin};
use crate::anndata::error::{Problem, Result};

/// Where text is, and what kind of text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Text<'a> {
    pub(super) origin: &'a Origin,
    /// Path for messages.
    pub(super) at: &'a str,
    pub(super) source: &'a Container,
    /// The member of records that is meant.
    pub(super) member: Option<&'a str>,
    /// Bytes of one text, unless variable.
    pub(super) fixed: Option<usize>,
    /// Declared as UTF-8 rather than ASCII.
    pub(super) utf8: bool,
}

impl Text<'_> {
    /// Bytes that the texts of one source may take together: each lies in the file as it is, though some
    /// may share one place.
    pub(super) fn budget(&self) -> u64 {
        self.origin.length.saturating_mul(4).saturating_add(64 << 20)
    }

    /// Reads texts; `first` is the position of the first, `left` the bytes they may still take.
    pub(super) fn read(&self, part: Part, first: usize, left: &mut u64) -> Result<Vec<String>> {
        let hdf5 = |error| self.origin.hdf5(self.at, error);
        let texts = match self.fixed {
            Some(bytes) => raw::read_fixed_text(self.source, (bytes, self.utf8), self.member, part).map_err(hdf5)?,
            None => {
                let heap = &self.origin.heap;
                let references = raw::read_references(self.source, heap.reference_bytes(), self.member, part);
                let texts = heap.texts(&references.map_err(hdf5)?, left);
                texts.map_err(|error| self.origin.error(self.at, self.problem(error, first)))?
            }
        };
        let decode = |(position, bytes)| {
            let wrong = |_| self.origin.error(self.at, Problem::NotText { index: first + position });
            String::from_utf8(bytes).map_err(wrong)
        };
        texts.into_iter().enumerate().map(decode).collect()
    }

    fn problem(&self, error: HeapError, first: usize) -> Problem {
        match error {
            HeapError::Astray(position) => {
                Problem::Inconsistent { what: format!("value {} leads to no text", first + position) }
            }
            HeapError::TooLong(bytes) => Problem::TooLong { elements: 1, bytes, held: self.origin.length },
        }
    }
}
