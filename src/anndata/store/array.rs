//! Data sets: what they hold, whether the file can hold that much, and reading parts of them.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use hdf5::plist::dataset_create::Layout;

use super::raw::{self, Kind, Number};
use super::text::Text;
use super::{Attributes, Direct, Origin};
use crate::anndata::error::{Problem, Result};

/// The most that deflate, the strongest supported filter, can shrink data, with room for rounding. Data
/// that are not filtered may claim as much for chunks never written.
const MOST_SHRINKING: u64 = 1100;
/// What may be claimed without any data behind it.
const UNWRITTEN: u64 = 1 << 20;
/// Chunks touched by one call: HDF5 takes about 3 KB for each before it reads any.
const CHUNKS_AT_ONCE: usize = 1024;
/// The filters that anndata and h5py write with: deflate, shuffle, fletcher32 and lzf.
const FILTERS: [i32; 4] = [1, 2, FLETCHER32, 32000];
/// The filter that adds a checksum of 4 bytes to a chunk.
const FLETCHER32: i32 = 3;
/// Elements of variable-length text read at once.
const TEXTS_AT_ONCE: usize = 1 << 16;

/// A data set of an open file, checked to lie in it.
#[derive(Clone, Debug)]
pub(in crate::anndata) struct Array {
    pub(super) origin: Arc<Origin>,
    pub(super) path: String,
    h5: hdf5::Dataset,
    kind: Kind,
    shape: Vec<usize>,
    null: bool,
    chunk: Option<Vec<usize>>,
}

impl Array {
    pub(super) fn new(origin: Arc<Origin>, path: String, h5: hdf5::Dataset) -> Result<Self> {
        let fail = |error| origin.hdf5(&path, error);
        let space = h5.space().map_err(fail)?;
        let settings = h5.create_plist().map_err(fail)?;
        let layout = settings.get_layout().map_err(fail)?;
        if layout == Layout::Virtual {
            return Err(origin.error(&path, Problem::External { target: "a virtual data set".to_owned() }));
        }
        if let Some(file) = settings.get_external().map_err(fail)?.into_iter().next() {
            return Err(origin.error(&path, Problem::External { target: file.name }));
        }
        let filters = raw::filters(&settings).map_err(fail)?;
        if let Some((number, name)) = filters.iter().find(|(number, _)| !FILTERS.contains(number)) {
            return Err(origin.error(&path, Problem::Filter { filter: filter_name(*number, name) }));
        }
        if filters.iter().any(|&(number, _)| number == FLETCHER32) {
            check_sums(&origin, &path, &h5, &filters)?;
        }
        let kind = raw::kind(&h5).map_err(fail)?;
        let array = Self {
            shape: space.shape(),
            null: space.is_null(),
            chunk: (layout == Layout::Chunked).then(|| settings.chunk()).flatten(),
            origin: origin.clone(),
            path: path.clone(),
            h5,
            kind,
        };
        array.check_length()?;
        Ok(array)
    }

    /// Refuses a data set that claims more than the file can hold.
    fn check_length(&self) -> Result<()> {
        let size = self.h5.dtype().map_err(|error| self.hdf5(error))?.size() as u128;
        let product = |lengths: &[usize]| lengths.iter().fold(1u128, |n, &length| n.saturating_mul(length as u128));
        let elements = if self.null { 0 } else { product(&self.shape) };
        let chunk = self.chunk.as_deref().map_or(0, product);
        let held = self.h5.storage_size().min(self.origin.length);
        let most = u128::from(held) * u128::from(MOST_SHRINKING) + u128::from(UNWRITTEN);
        let bytes = elements.max(chunk).saturating_mul(size);
        let damaged = bytes > most || self.h5.offset().is_some_and(|at| at > self.origin.length);
        if damaged {
            let narrow = |wide: u128| u64::try_from(wide).unwrap_or(u64::MAX);
            let elements = narrow(elements.max(chunk));
            return Err(self.fail(Problem::TooLong { elements, bytes: narrow(bytes), held }));
        }
        Ok(())
    }

    /// Where it is in the file.
    pub(in crate::anndata) fn path(&self) -> &str {
        &self.path
    }

    /// Length along each dimension.
    pub(in crate::anndata) fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Shape of the chunks, if it is stored in chunks.
    pub(in crate::anndata) fn chunk(&self) -> Option<&[usize]> {
        self.chunk.as_deref()
    }

    /// What its elements are.
    pub(in crate::anndata) fn kind(&self) -> &Kind {
        &self.kind
    }

    /// Whether it holds nothing, not even a scalar.
    pub(in crate::anndata) fn is_null(&self) -> bool {
        self.null
    }

    /// Length of a data set with one dimension.
    pub(in crate::anndata) fn length(&self) -> Result<usize> {
        match self.shape[..] {
            [length] if !self.null => Ok(length),
            _ => Err(self.unexpected("one dimension", &self.describe_shape())),
        }
    }

    /// A way to read stretches of it side by side, where it is a list of numbers that lies in the file in a
    /// simple way.
    pub(in crate::anndata) fn direct(&self) -> Option<Direct> {
        Direct::of(self, &self.h5, self.origin.bytes.as_ref()?)
    }

    /// The attributes.
    pub(in crate::anndata) fn attributes(&self) -> Attributes<'_> {
        Attributes { origin: &self.origin, path: &self.path, location: &self.h5 }
    }

    /// An error about this data set.
    pub(in crate::anndata) fn fail(&self, problem: Problem) -> super::Error {
        self.origin.error(&self.path, problem)
    }

    pub(in crate::anndata) fn unexpected(&self, expected: &str, found: &str) -> super::Error {
        self.fail(Problem::Unexpected { expected: expected.to_owned(), found: found.to_owned() })
    }

    fn hdf5(&self, error: hdf5::Error) -> super::Error {
        self.origin.hdf5(&self.path, error)
    }

    /// The shape in words.
    pub(in crate::anndata) fn describe_shape(&self) -> String {
        match &self.shape[..] {
            _ if self.null => "nothing at all (a null data set)".to_owned(),
            [] => "a single value".to_owned(),
            [length] => format!("{length} elements"),
            lengths => lengths.iter().map(ToString::to_string).collect::<Vec<_>>().join(" × "),
        }
    }

    /// The elements in `part`, one range per dimension, as numbers; HDF5 converts.
    pub(in crate::anndata) fn numbers<T: Number>(&self, part: &[Range<usize>]) -> Result<Vec<T>> {
        self.member_numbers(None, part)
    }

    /// As [`Array::numbers`], of one member of records.
    pub(in crate::anndata) fn member_numbers<T: Number>(
        &self,
        member: Option<&str>,
        part: &[Range<usize>],
    ) -> Result<Vec<T>> {
        let kind = self.kind_of(member)?;
        if !matches!(kind, Kind::Integer { .. } | Kind::Float { .. } | Kind::Boolean) {
            return Err(self.unexpected("numbers", &kind.to_string()));
        }
        let Some((rows, across)) = part.split_first() else { return Ok(Vec::new()) };
        let mut values = Vec::new();
        for block in blocks(rows, self.rows_at_once(across)) {
            let part = [std::slice::from_ref(&block), across].concat();
            let read = raw::read_numbers(&self.h5, member, Some(&part)).map_err(|error| self.hdf5(error))?;
            if block == *rows {
                return Ok(read);
            }
            values.extend(read);
        }
        Ok(values)
    }

    /// The elements in `range` of a data set of one dimension, or one member of its records, as text.
    pub(in crate::anndata) fn texts(&self, member: Option<&str>, range: Range<usize>) -> Result<Vec<String>> {
        let text = self.text(member)?;
        let mut left = text.budget();
        let mut texts = Vec::with_capacity(range.len());
        for block in blocks(&range, self.rows_at_once(&[]).min(TEXTS_AT_ONCE)) {
            texts.extend(text.read(Some(std::slice::from_ref(&block)), block.start, &mut left)?);
        }
        Ok(texts)
    }

    /// The text of a data set that is a single value.
    pub(in crate::anndata) fn scalar_text(&self) -> Result<String> {
        let text = self.text(None)?;
        let texts = text.read(None, 0, &mut text.budget())?;
        texts.into_iter().next().ok_or_else(|| self.unexpected("a single text", &self.describe_shape()))
    }

    /// How far along the first dimension one call may read, the other dimensions being `across`.
    fn rows_at_once(&self, across: &[Range<usize>]) -> usize {
        let Some((chunk_rows, chunk)) = self.chunk.as_deref().and_then(<[usize]>::split_first) else {
            return usize::MAX;
        };
        let chunks = |(range, &length): (&Range<usize>, &usize)| range.len() / length.max(1) + 2;
        let chunks_across = across.iter().zip(chunk).map(chunks).fold(1, usize::saturating_mul);
        (CHUNKS_AT_ONCE / chunks_across).max(1).saturating_mul(*chunk_rows)
    }

    fn text<'a>(&'a self, member: Option<&'a str>) -> Result<Text<'a>> {
        let (fixed, utf8) = match self.kind_of(member)? {
            Kind::Text { fixed, utf8 } => (*fixed, *utf8),
            other => return Err(self.unexpected("text", &other.to_string())),
        };
        Ok(Text { origin: &self.origin, at: &self.path, source: &self.h5, member, fixed, utf8 })
    }

    /// What the elements, or one member of them, are.
    pub(in crate::anndata) fn kind_of(&self, member: Option<&str>) -> Result<&Kind> {
        let Some(name) = member else { return Ok(&self.kind) };
        match &self.kind {
            Kind::Compound(members) => members
                .iter()
                .find(|(present, _)| present == name)
                .map(|(_, kind)| kind)
                .ok_or_else(|| self.unexpected(&format!("a member {name}"), "records without it")),
            other => Err(self.unexpected("records", &other.to_string())),
        }
    }
}

/// A range in pieces of at most `length`, in order.
pub(in crate::anndata) fn blocks(range: &Range<usize>, length: usize) -> impl Iterator<Item = Range<usize>> + use<> {
    let (end, length) = (range.end, length.max(1));
    range.clone().step_by(length).map(move |start| start..end.min(start.saturating_add(length)))
}

/// Refuses chunks too small for their checksum, and checksums before another filter where that cannot be
/// seen: the HDF5 library would read far outside its buffer.
fn check_sums(origin: &Origin, path: &str, h5: &hdf5::Dataset, filters: &[(i32, String)]) -> Result<()> {
    let last = filters.last().is_some_and(|&(number, _)| number == FLETCHER32);
    if !last || filters.iter().filter(|&&(number, _)| number == FLETCHER32).count() > 1 {
        let filter = "checksums (HDF5 filter 3) before another filter".to_owned();
        return Err(origin.error(path, Problem::Filter { filter }));
    }
    match raw::smallest_chunk(h5).map_err(|error| origin.hdf5(path, error))? {
        Some(bytes @ ..4) => {
            let what = format!("a chunk of {bytes} bytes has no room for its checksum");
            Err(origin.error(path, Problem::Inconsistent { what }))
        }
        _ => Ok(()),
    }
}

/// Name and number of a filter that is not built in; the file's own name for it where it has one.
fn filter_name(number: i32, name: &str) -> String {
    let known = match number {
        4 => "szip",
        32001 => "blosc",
        32004 => "lz4",
        32008 => "bitshuffle",
        32013 => "zfp",
        32015 => "zstd",
        32026 => "blosc2",
        _ if name.is_empty() => "an unknown filter",
        _ => name,
    };
    format!("{known} (HDF5 filter {number})")
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer { .. } => f.write_str("whole numbers"),
            Self::Float { .. } => f.write_str("decimal numbers"),
            Self::Boolean => f.write_str("booleans"),
            Self::Text { .. } => f.write_str("text"),
            Self::Compound(_) => f.write_str("records"),
            Self::Reference => f.write_str("references"),
            Self::Other(name) => f.write_str(name),
        }
    }
}
