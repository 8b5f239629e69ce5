//! The STACK model against the reference package: network, generation, files, command line.

mod blocks;
mod cells;
mod command;
mod embed;
mod files;
mod kang;
mod numeric;
mod parity;
mod places;
mod reference;
mod splits;
mod spooled;
mod surprises;
