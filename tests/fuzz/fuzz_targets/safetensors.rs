//! Any bytes as a safetensors file beside a sound configuration.
#![no_main]

use haystack_fuzz::harness::{in_memory, read_all};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    read_all(&in_memory("model.safetensors", bytes));
});
