//! Any bytes as a checkpoint file: truncated, flipped, with any zip structure.
#![no_main]

use haystack_fuzz::harness::{in_memory, read_all};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    read_all(&in_memory("model.ckpt", bytes));
});
