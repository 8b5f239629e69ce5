//! Checkpoints and gene lists.

#[path = "../../../src/stack/checkpoint/mod.rs"]
pub mod checkpoint;
#[path = "../../../src/stack/config.rs"]
pub mod config;
#[path = "../../../src/stack/genes/mod.rs"]
pub mod genes;
