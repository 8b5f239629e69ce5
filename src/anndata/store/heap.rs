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

/// Collections up to this size are read whole; of larger ones, which writers make for one text as large,
/// only what is asked for.
const WHOLE: u64 = 16 << 20;
/// Objects of a collection: their numbers have 16 bits.
const MOST_OBJECTS: usize = 1 << 16;
/// Bytes of collections kept, as neighbouring texts are in one.
const KEPT: usize = 32 << 20;
/// About what an object takes in memory besides its bytes.
const OBJECT: usize = 32;

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
    /// Where it is in the file.
    start: u64,
    /// All of it, unless it is large.
    bytes: Option<Vec<u8>>,
    /// Where in the collection each object is.
    objects: HashMap<u16, Range<u64>>,
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
                let size = collection.bytes.as_ref().map_or(0, Vec::len) + OBJECT * collection.objects.len();
                if state.kept_bytes + size > KEPT {
                    state.kept.clear();
                    state.kept_bytes = 0;
                }
                state.kept_bytes += size;
                state.kept.insert(address, collection.clone());
                collection
            }
        };
        let object = collection.objects.get(&u16::try_from(number).ok()?)?;
        if length > object.end - object.start {
            return None;
        }
        let mut text = match &collection.bytes {
            Some(bytes) => bytes.get(object.start as usize..(object.start + length) as usize)?.to_vec(),
            None => read(&mut state.file, collection.start + object.start, length)?,
        };
        text.truncate(text.iter().position(|&b| b == 0).unwrap_or(text.len()));
        Some(text)
    }

    /// Reads a collection and finds its objects; those behind a damaged one are not found.
    fn collection(&self, file: &mut File, address: u64) -> Option<Collection> {
        let start = self.base.checked_add(address)?;
        let header = read(file, start, 8 + self.length_bytes as u64)?;
        let size = number_of(&header[8..]);
        if !header.starts_with(b"GCOL\x01") || start.checked_add(size)? > self.length {
            return None;
        }
        if size > WHOLE {
            let objects = self.objects(size, |at, entry| read_into(file, start + at, entry));
            return Some(Collection { start, bytes: None, objects });
        }
        let bytes = read(file, start, size)?;
        let objects = self.objects(size, |at, entry| {
            entry.copy_from_slice(bytes.get(at as usize..)?.get(..entry.len())?);
            Some(())
        });
        Some(Collection { start, bytes: Some(bytes), objects })
    }

    /// Walks the objects of a collection of `size` bytes; `fill` gives the bytes from a place on.
    fn objects(&self, size: u64, mut fill: impl FnMut(u64, &mut [u8]) -> Option<()>) -> HashMap<u16, Range<u64>> {
        let mut entry = vec![0; 8 + self.length_bytes];
        let entry_bytes = entry.len() as u64;
        // Headers and objects start at multiples of 8.
        let header = entry_bytes.next_multiple_of(8);
        let mut objects = HashMap::new();
        let mut at = header;
        for _ in 0..MOST_OBJECTS {
            if at + entry_bytes > size || fill(at, &mut entry).is_none() {
                break;
            }
            let number = u16::from_le_bytes([entry[0], entry[1]]);
            let start = at + header;
            let end = start.checked_add(number_of(&entry[8..])).filter(|end| *end <= size);
            // Number 0 is the free space at the end.
            let Some(end) = end.filter(|_| number != 0) else { break };
            objects.insert(number, start..end);
            at = end.next_multiple_of(8);
        }
        objects
    }
}

/// Bytes of a file, which is known to be as long.
fn read(file: &mut File, start: u64, length: u64) -> Option<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(length).ok()?];
    read_into(file, start, &mut bytes)?;
    Some(bytes)
}

fn read_into(file: &mut File, start: u64, bytes: &mut [u8]) -> Option<()> {
    file.seek(SeekFrom::Start(start)).ok()?;
    file.read_exact(bytes).ok()
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
    fn a_text_larger_than_all_that_is_read_at_once_is_read() {
        let text = vec![b'x'; (WHOLE + 8) as usize];
        let object = object(1, text.len() as u64, &text);
        let size = 16 + object.len() as u64;
        let heap = heap(&collection(size, &[object]));
        let references = [reference(text.len() as u32, 32, 1), reference(3, 32, 1)].concat();
        assert!(heap.texts(&references, &mut u64::from(u32::MAX)).unwrap() == [&text[..], b"xxx"]);
        let beyond = reference(text.len() as u32 + 1, 32, 1);
        assert_eq!(heap.texts(&beyond, &mut u64::from(u32::MAX)), Err(HeapError::Astray(0)));
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
