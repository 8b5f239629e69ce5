//! Any bytes as a gene list: an error, or names of which none is empty.
#![no_main]

use haystack_fuzz::stack::checkpoint::pickle::MAX_BYTES;
use haystack_fuzz::stack::genes::GeneList;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(genes) = GeneList::parse(bytes) {
        assert!(!genes.is_empty() && genes.names().iter().all(|name| !name.is_empty()));
        let length: usize = genes.names().iter().map(String::len).sum();
        // A pickle may name one string many times, by two bytes each.
        assert!(length <= MAX_BYTES, "{length} bytes of names");
    }
});
