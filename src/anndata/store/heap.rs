//! Text of variable length, read out of the file's global heap.
//!
//! HDF5 keeps such text in collections: blocks that start with `GCOL` and hold numbered objects (HDF5 File
//! Format Specification 3.0, III.E). A data set holds references to them: length, address of the collection,
//! number of the object. The HDF5 library follows damaged references and collections into endless loops and
//! into allocations of gigabytes, so the references are taken from it as they are and followed here.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

/// The largest collection taken for one; writers make them of 4 KiB or as large as one text.
const LARGEST: u64 = 64 << 20;
/// Bytes of collections kept, as neighbouring texts are in one.
const KEPT: usize = 16 << 20;

/// The global heap of an open file.
pub(super) struct Heap {
    /// Where addresses count from.
    base: u64,
    /// Length of the file.
    length: u64,
    /// Bytes of an address.
    address_bytes: usize,
    /// Bytes of a length.
    length_bytes: usize,
    state: Mutex<State>,
}

struct State {
    file: File,
    kept: HashMap<u64, Arc<Collection>>,
    kept_bytes: usize,
}

struct Collection {
    bytes: Vec<u8>,
    objects: HashMap<u16, Range<usize>>,
}

/// Why references cannot be followed.
#[derive(Debug, PartialEq)]
pub(super) enum HeapError {
    /// A reference, by its position, leads to no text.
    Astray(usize),
    /// Together they are larger than the file.
    TooLong(u64),
}

impl fmt::Debug for Heap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Heap").finish_non_exhaustive()
    }
}

impl Heap {
    /// The heap of a file whose addresses count from `base`.
    pub(super) fn new(file: File, base: u64, length: u64, address_bytes: usize, length_bytes: usize) -> Self {
        let state = Mutex::new(State { file, kept: HashMap::new(), kept_bytes: 0 });
        Self { base, length, address_bytes, length_bytes, state }
    }

    /// Bytes of a reference: a length of 4, an address, a number of 4.
    pub(super) fn reference_bytes(&self) -> usize {
        4 + self.address_bytes + 4
    }

    /// The texts that references lead to, each up to its first NUL. `left` is how many bytes they may
    /// still take together.
    pub(super) fn texts(&self, references: &[u8], left: &mut u64) -> Result<Vec<Vec<u8>>, HeapError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let follow = |(position, reference): (usize, &[u8])| {
            let (length, reference) = reference.split_at(4);
            let (address, number) = reference.split_at(self.address_bytes);
            let (length, address, number) = (number_of(length), number_of(address), number_of(number));
            if length == 0 || address == 0 {
                return Ok(Vec::new());
            }
            *left = left.checked_sub(length).ok_or(HeapError::TooLong(length))?;
            let text = self.text(&mut state, address, number, length).ok_or(HeapError::Astray(position))?;
            Ok(text)
        };
        references.chunks_exact(self.reference_bytes()).enumerate().map(follow).collect()
    }

    fn text(&self, state: &mut State, address: u64, number: u64, length: u64) -> Option<Vec<u8>> {
        let collection = match state.kept.get(&address) {
            Some(collection) => collection.clone(),
            None => {
                let collection = Arc::new(self.collection(&mut state.file, address)?);
                if state.kept_bytes + collection.bytes.len() > KEPT {
                    state.kept.clear();
                    state.kept_bytes = 0;
                }
                state.kept_bytes += collection.bytes.len();
                state.kept.insert(address, collection.clone());
                collection
            }
        };
        let object = collection.objects.get(&u16::try_from(number).ok()?)?;
        let text = collection.bytes.get(object.clone())?.get(..usize::try_from(length).ok()?)?;
        let end = text.iter().position(|&b| b == 0).unwrap_or(text.len());
        Some(text[..end].to_vec())
    }

    /// Reads a collection and finds its objects; those behind a damaged one are not found.
    fn collection(&self, file: &mut File, address: u64) -> Option<Collection> {
        let start = self.base.checked_add(address)?;
        let mut header = vec![0u8; 8 + self.length_bytes];
        file.seek(SeekFrom::Start(start)).ok()?;
        file.read_exact(&mut header).ok()?;
        let size = number_of(&header[8..]);
        if !header.starts_with(b"GCOL\x01") || size > LARGEST || start.checked_add(size)? > self.length {
            return None;
        }
        let mut bytes = vec![0u8; usize::try_from(size).ok()?];
        file.seek(SeekFrom::Start(start)).ok()?;
        file.read_exact(&mut bytes).ok()?;
        let objects = self.objects(&bytes);
        Some(Collection { bytes, objects })
    }

    fn objects(&self, bytes: &[u8]) -> HashMap<u16, Range<usize>> {
        // Headers and objects start at multiples of 8.
        let header = (8 + self.length_bytes).next_multiple_of(8);
        let mut objects = HashMap::new();
        let mut at = header;
        while let Some(entry) = bytes.get(at..at + 8 + self.length_bytes) {
            let number = u16::from_le_bytes([entry[0], entry[1]]);
            let start = at + header;
            let Some(end) = usize::try_from(number_of(&entry[8..])).ok().and_then(|length| start.checked_add(length))
            else {
                break;
            };
            // Number 0 is the free space at the end.
            if number == 0 || end > bytes.len() {
                break;
            }
            objects.insert(number, start..end);
            at = end.next_multiple_of(8);
        }
        objects
    }
}

/// A number of at most 8 bytes, least significant first.
fn number_of(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    /// A heap in a file that has it at address 32, behind a user block of 512 bytes.
    fn heap(collection: &[u8]) -> Heap {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[0; 544]).unwrap();
        file.write_all(collection).unwrap();
        Heap::new(file, 512, 544 + collection.len() as u64, 8, 8)
    }

    fn object(number: u16, claimed: u64, text: &[u8]) -> Vec<u8> {
        let mut bytes = [&number.to_le_bytes()[..], &[1, 0, 0, 0, 0, 0], &claimed.to_le_bytes(), text].concat();
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        bytes
    }

    fn collection(size: u64, objects: &[Vec<u8>]) -> Vec<u8> {
        [&b"GCOL\x01\0\0\0"[..], &size.to_le_bytes(), &objects.concat()].concat()
    }

    fn reference(length: u32, address: u64, number: u32) -> Vec<u8> {
        [&length.to_le_bytes()[..], &address.to_le_bytes(), &number.to_le_bytes()].concat()
    }

    #[test]
    fn references_lead_to_their_texts() {
        let heap = heap(&collection(80, &[object(1, 5, b"hello"), object(7, 3, b"a\0b"), object(0, 0, b"")]));
        let references = [reference(5, 32, 1), reference(3, 32, 7), reference(0, 32, 1), reference(0, 0, 0)].concat();
        let texts = heap.texts(&references, &mut 100).unwrap();
        assert_eq!(texts, [&b"hello"[..], b"a", b"", b""]);
    }

    #[test]
    fn astray_and_endless_references_are_refused() {
        let good = collection(64, &[object(1, 5, b"hello"), object(2, u64::MAX, b""), object(3, 0, b"")]);
        let astray = |collection: &[u8], reference: Vec<u8>| heap(collection).texts(&reference, &mut 100);
        for wrong in [
            reference(6, 32, 1),
            reference(5, 40, 1),
            reference(5, u64::MAX, 1),
            reference(5, 1 << 40, 1),
            reference(5, 32, 2),
            reference(5, 32, 3),
            reference(5, 32, 65_537),
        ] {
            assert_eq!(astray(&good, wrong.clone()), Err(HeapError::Astray(0)), "{wrong:?}");
        }
        assert_eq!(astray(&collection(1 << 40, &[]), reference(5, 32, 1)), Err(HeapError::Astray(0)));
        assert_eq!(astray(&collection(64, &[object(0, 0, b"")]), reference(5, 32, 1)), Err(HeapError::Astray(0)));
        assert_eq!(astray(&good, reference(u32::MAX, 32, 1)), Err(HeapError::TooLong(u64::from(u32::MAX))));
        let many = reference(5, 32, 1).repeat(30);
        assert_eq!(heap(&good).texts(&many, &mut 100), Err(HeapError::TooLong(5)));
    }
}
