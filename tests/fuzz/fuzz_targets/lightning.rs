//! Any pickle in a sound archive with a few storages: the damage is behind the checksums, where an attacker puts it.
#![no_main]

use haystack_fuzz::harness::{archive, in_memory, read_all};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|pickle: &[u8]| {
    let values: Vec<u8> = (0..64_u8).collect();
    let storages: Vec<&[u8]> = (0..64).map(|key| &values[..4 * (key % 17)]).collect();
    read_all(&in_memory("model.ckpt", &archive(pickle, &storages)));
});
