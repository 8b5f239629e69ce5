//! Any references into any bytes as the heap of an HDF5 file: texts that lie in the file, or an error.
#![no_main]

use haystack_fuzz::anndata::texts;
use haystack_fuzz::harness::in_memory;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((&[widths, base, count], rest)) = bytes.split_first_chunk() else { return };
    let width = |bits: u8| 2_usize << (bits & 3);
    let widths = [width(widths), width(widths >> 2)];
    let (references, file) = rest.split_at(rest.len().min(usize::from(count) * (8 + widths[0])));
    let left = 4 * file.len() as u64;
    let path = in_memory("heap.h5", file);
    let file_bytes = file.len();
    let file = std::fs::File::open(path).expect("a file in memory");
    if let Some(texts) = texts(file, u64::from(base), widths, references, left) {
        assert_eq!(texts.len(), references.len() / (8 + widths[0]));
        assert!(texts.iter().all(|text| text.len() <= file_bytes && !text.contains(&0)));
        assert!(texts.iter().map(Vec::len).sum::<usize>() as u64 <= left);
    }
});
