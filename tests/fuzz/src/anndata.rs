//! Text of variable length in HDF5 files.

#[path = "../../../src/anndata/store/heap.rs"]
mod heap;

use std::fs::File;

/// Follows references into the heap of a file whose addresses count from `base`; `widths` are the bytes of an
/// address and of a length, `left` how many bytes the texts may have together.
pub fn texts(file: File, base: u64, widths: [usize; 2], references: &[u8], left: u64) -> Option<Vec<Vec<u8>>> {
    let length = file.metadata().expect("a file").len();
    let heap = heap::Heap::new(file, base, length, widths[0], widths[1]);
    assert_eq!(heap.reference_bytes(), 8 + widths[0]);
    heap.texts(references, &mut left.clone()).ok()
}
