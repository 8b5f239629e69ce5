//! Any bytes as a gene list: an error, or names of which none is empty.
#![no_main]

use haystack_fuzz::stack::genes::GeneList;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(genes) = GeneList::parse(bytes) {
        assert!(!genes.is_empty() && genes.names().iter().all(|name| !name.is_empty()));
        let length: usize = genes.names().iter().map(String::len).sum();
        // Text is at most as long as its bytes; a pickle may name one string many times, by two bytes each.
        assert!(length <= bytes.len().saturating_mul(bytes.len().max(4)), "{length} bytes of names");
    }
});
