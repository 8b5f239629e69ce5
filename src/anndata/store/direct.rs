//! Reading a few stretches of a long list of numbers without the HDF5 library.
//!
//! The library takes one call at a time and unpacks whole chunks. Where a list lies in the file in a way
//! that is simple to follow (in one piece, or in chunks packed by deflate, in the order of this machine's
//! bytes), its stretches are read side by side here, and a chunk is unpacked only as far as it is needed.
//! Whatever is not as expected is left to the library, which says what is wrong.

use std::collections::BTreeMap;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use flate2::{Decompress, FlushDecompress};
use hdf5::plist::dataset_create::Layout;
use rayon::prelude::*;

use super::array::Array;
use super::raw::{self, Kind};

/// The filters of HDF5 that are followed.
const DEFLATE: i32 = 1;
const SHUFFLE: i32 = 2;

/// Parts of a chunk that are wanted: of which range, and from where to where in the chunk.
type Parts = Vec<(usize, Range<usize>)>;

/// A list of numbers that can be read like this.
#[derive(Debug)]
pub(in crate::anndata) struct Direct {
    file: Arc<File>,
    dataset: hdf5::Dataset,
    kind: Kind,
    bytes: usize,
    length: usize,
    place: Place,
}

#[derive(Debug)]
enum Place {
    /// In one piece from here on.
    Whole(u64),
    /// In chunks of so many elements.
    Chunks { length: usize, shuffled: bool, packed: bool },
}

impl Direct {
    /// Of a data set of one dimension, if it lies in the file in a way that is followed here.
    pub(super) fn of(array: &Array, dataset: &hdf5::Dataset, file: &Arc<File>) -> Option<Self> {
        let length = array.length().ok()?;
        let bytes = match array.kind() {
            Kind::Integer { bytes, .. } | Kind::Float { bytes } if matches!(bytes, 4 | 8) => *bytes,
            _ => return None,
        };
        let order = dataset.dtype().ok()?.byte_order();
        if order != hdf5::datatype::ByteOrder::LittleEndian || cfg!(target_endian = "big") {
            return None;
        }
        let settings = dataset.create_plist().ok()?;
        let filters: Vec<i32> = raw::filters(&settings).ok()?.into_iter().map(|(number, _)| number).collect();
        let place = match (settings.get_layout().ok()?, array.chunk(), &filters[..]) {
            (Layout::Contiguous, None, []) => Place::Whole(raw::offset(dataset)?),
            (Layout::Chunked, Some(&[length]), filters) => {
                let (shuffled, packed) = match filters {
                    [] => (false, false),
                    [DEFLATE] => (false, true),
                    [SHUFFLE, DEFLATE] => (true, true),
                    _ => return None,
                };
                Place::Chunks { length: length.max(1), shuffled, packed }
            }
            _ => return None,
        };
        Some(Self { file: file.clone(), dataset: dataset.clone(), kind: array.kind().clone(), bytes, length, place })
    }

    /// The elements of each range as `f32`; nothing where something is not as expected.
    pub(in crate::anndata) fn floats(&self, ranges: &[Range<usize>]) -> Option<Vec<Vec<f32>>> {
        let all = self.read(ranges)?;
        let convert = |bytes: Vec<u8>| -> Option<Vec<f32>> {
            Some(match self.kind {
                Kind::Float { bytes: 4 } => words(&bytes).map(f32::from_le_bytes).collect(),
                Kind::Float { bytes: 8 } => words(&bytes).map(|word| f64::from_le_bytes(word) as f32).collect(),
                Kind::Integer { bytes: 4, signed: true } => {
                    words(&bytes).map(|w| i32::from_le_bytes(w) as f32).collect()
                }
                Kind::Integer { bytes: 4, signed: false } => {
                    words(&bytes).map(|w| u32::from_le_bytes(w) as f32).collect()
                }
                Kind::Integer { bytes: 8, signed: true } => {
                    words(&bytes).map(|w| i64::from_le_bytes(w) as f32).collect()
                }
                Kind::Integer { bytes: 8, signed: false } => {
                    words(&bytes).map(|w| u64::from_le_bytes(w) as f32).collect()
                }
                _ => return None,
            })
        };
        all.into_iter().map(convert).collect()
    }

    /// The elements of each range as whole numbers below `most`; nothing where one is not, or something else
    /// is not as expected.
    pub(in crate::anndata) fn indices(&self, ranges: &[Range<usize>], most: usize) -> Option<Vec<Vec<u64>>> {
        let all = self.read(ranges)?;
        let convert = |bytes: Vec<u8>| -> Option<Vec<u64>> {
            let numbers: Vec<u64> = match self.kind {
                // A negative number becomes a very large one.
                Kind::Integer { bytes: 4, signed: true } => {
                    words(&bytes).map(|w| i32::from_le_bytes(w) as u64).collect()
                }
                Kind::Integer { bytes: 4, signed: false } => {
                    words(&bytes).map(|w| u32::from_le_bytes(w).into()).collect()
                }
                Kind::Integer { bytes: 8, .. } => words(&bytes).map(u64::from_le_bytes).collect(),
                _ => return None,
            };
            numbers.iter().all(|&number| number < most as u64).then_some(numbers)
        };
        all.into_iter().map(convert).collect()
    }

    /// The bytes of each range.
    fn read(&self, ranges: &[Range<usize>]) -> Option<Vec<Vec<u8>>> {
        if ranges.iter().any(|range| range.start > range.end || range.end > self.length) {
            return None;
        }
        match self.place {
            Place::Whole(start) => {
                let read = |range: &Range<usize>| {
                    let mut bytes = vec![0; range.len() * self.bytes];
                    let at = start.checked_add((range.start * self.bytes) as u64)?;
                    self.file.read_exact_at(&mut bytes, at).ok()?;
                    Some(bytes)
                };
                ranges.par_iter().with_min_len(16).map(read).collect()
            }
            Place::Chunks { length, shuffled, packed } => self.read_chunks(ranges, length, shuffled, packed),
        }
    }

    fn read_chunks(
        &self,
        ranges: &[Range<usize>],
        length: usize,
        shuffled: bool,
        packed: bool,
    ) -> Option<Vec<Vec<u8>>> {
        let mut wanted: BTreeMap<usize, Parts> = BTreeMap::new();
        for (at, range) in ranges.iter().enumerate().filter(|(_, range)| !range.is_empty()) {
            for chunk in range.start / length..=(range.end - 1) / length {
                let first = chunk * length;
                let part = range.start.max(first) - first..range.end.min(first + length) - first;
                wanted.entry(chunk).or_default().push((at, part));
            }
        }
        let chunks: Vec<(raw::Chunk, Parts)> = wanted
            .into_iter()
            .map(|(chunk, parts)| Some((raw::chunk_with(&self.dataset, (chunk * length) as u64).ok()??, parts)))
            .collect::<Option<_>>()?;
        let size = length * self.bytes;
        let unpack = |(chunk, parts): &(raw::Chunk, Parts)| {
            let end = parts.iter().map(|(_, part)| part.end).max()? * self.bytes;
            // Shuffled bytes of one element lie all over the chunk.
            let unpacked = self.unpack(*chunk, packed, size, if shuffled { size } else { end })?;
            let piece = |part: &Range<usize>| -> Option<Vec<u8>> {
                if !shuffled {
                    return unpacked.get(part.start * self.bytes..part.end * self.bytes).map(<[u8]>::to_vec);
                }
                let byte = |at: usize| unpacked.get(at % self.bytes * length + at / self.bytes).copied();
                (part.start * self.bytes..part.end * self.bytes).map(byte).collect()
            };
            parts.iter().map(|(at, part)| Some((*at, piece(part)?))).collect::<Option<Vec<_>>>()
        };
        let unpacked: Vec<Vec<(usize, Vec<u8>)>> = chunks.par_iter().map(unpack).collect::<Option<_>>()?;
        // Chunks are in their order, so that parts of a range that spans some follow each other.
        let mut all: Vec<Vec<u8>> = vec![Vec::new(); ranges.len()];
        for (at, piece) in unpacked.into_iter().flatten() {
            if all[at].is_empty() { all[at] = piece } else { all[at].extend(piece) }
        }
        Some(all)
    }

    /// The first `wanted` bytes of a chunk that has `size` when it is unpacked.
    fn unpack(&self, chunk: raw::Chunk, packed: bool, size: usize, wanted: usize) -> Option<Vec<u8>> {
        // Data that deflate cannot shrink grow a little; anything larger is not such a chunk.
        let bytes = usize::try_from(chunk.bytes).ok().filter(|bytes| *bytes <= size + size / 100 + 1024)?;
        let mut stored = vec![0; if packed { bytes } else { wanted.min(bytes) }];
        self.file.read_exact_at(&mut stored, chunk.address).ok()?;
        if !packed {
            return Some(stored);
        }
        let mut unpacked = vec![0; wanted];
        let mut inflate = Decompress::new(true);
        let _ = inflate.decompress(&stored, &mut unpacked, FlushDecompress::None).ok()?;
        (inflate.total_out() == wanted as u64).then_some(unpacked)
    }
}

fn words<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> {
    bytes.as_chunks::<N>().0.iter().copied()
}
