//! The STACK model against the reference package: network, generation, files, command line.

mod cells;
mod command;
mod files;
mod kang;
mod numeric;
mod parity;
mod places;
mod reference;
