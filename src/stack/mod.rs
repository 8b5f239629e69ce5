//! COMPUTE: the STACK model. Synchronous, no network.
//!
//! A port of the network and the in-context generation of arc-stack 0.1.3: same windows, masks,
//! rounding, median and schedule; draws agree in distribution. To read it, begin with [`config`],
//! [`model`], [`tensors`] and [`attention`] (the network, as a GPU computes it), then [`schedule`],
//! [`windows`] and [`generate`] (the generation); [`spool`] bounds its memory. [`cpu`] is the same
//! network on the cores of the processor. [`checkpoint`] and [`genes`] read the files people have.

pub mod attention;
pub mod checkpoint;
pub mod config;
pub mod cpu;
pub mod embed;
pub mod folder;
pub mod generate;
pub mod genes;
pub mod mean_shift;
pub mod model;
pub mod random;
pub mod sample;
pub mod schedule;
pub mod spool;
pub mod tensors;
pub mod tokens;
pub mod windows;
