//! The HDF5 calls the safe bindings lack, each wrapped so that its callers need no `unsafe`.
//!
//! The bindings read only into types known at compile time. Columns of legacy files are members of
//! compound types and fixed-length strings of any length, so here the type in memory is chosen when
//! the file is read. Text of variable length is read as the references the file holds; see `heap`.
#![expect(unsafe_code, reason = "calls to the HDF5 C library that the safe bindings do not offer")]

mod chunks;
mod elements;
mod kinds;
mod links;
mod properties;

use std::ffi::CString;

pub(super) use chunks::{Chunk, chunk_with, offset};
pub(super) use elements::{Number, Part, read_fixed_text, read_numbers, read_references, write_part, write_records};
pub(in crate::anndata) use kinds::Kind;
pub(super) use kinds::kind;
pub(super) use links::{Link, link, names};
pub(super) use properties::{filters, has_attribute, smallest_chunk};

/// Runs HDF5 calls under the library's one lock.
fn locked<T>(calls: impl FnOnce() -> T) -> T {
    hdf5::sync::sync(calls)
}

fn c_string(name: &str) -> hdf5::Result<CString> {
    CString::new(name).map_err(|_| hdf5::Error::Internal(format!("the name {name:?} contains a NUL")))
}

fn until_nul(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}
