//! What is to be known of objects before they are read: attributes, filters, chunks.

use std::ptr;

use hdf5::h5check;
use hdf5_sys::h5a::H5Aexists;
use hdf5_sys::h5p::{H5Pget_filter2, H5Pget_nfilters};

use super::{c_string, locked, until_nul};

/// Whether an object has an attribute called `name`.
pub(in crate::anndata::store) fn has_attribute(location: &hdf5::Location, name: &str) -> hdf5::Result<bool> {
    let name = c_string(name)?;
    // SAFETY: `name` is NUL-terminated and the id valid while the location is borrowed.
    locked(|| Ok(unsafe { h5check(H5Aexists(location.id(), name.as_ptr())) }? > 0))
}

/// Numbers and names of the filters in a data set's creation properties.
pub(in crate::anndata::store) fn filters(settings: &hdf5::PropertyList) -> hdf5::Result<Vec<(i32, String)>> {
    // SAFETY: HDF5 writes at most the lengths given, and no parameters as there is no room for any.
    locked(|| unsafe {
        let count = h5check(H5Pget_nfilters(settings.id()))?;
        (0..u32::try_from(count).unwrap_or(0))
            .map(|position| {
                let (mut flags, mut parameters) = (0, 0);
                let mut name = [0u8; 64];
                let number = h5check(H5Pget_filter2(
                    settings.id(),
                    position,
                    &raw mut flags,
                    &raw mut parameters,
                    ptr::null_mut(),
                    name.len() - 1,
                    name.as_mut_ptr().cast(),
                    ptr::null_mut(),
                ))?;
                Ok((number, until_nul(&name)))
            })
            .collect()
    })
}

/// The smallest stored chunk of a data set in bytes, if it has any.
pub(in crate::anndata::store) fn smallest_chunk(dataset: &hdf5::Dataset) -> hdf5::Result<Option<u64>> {
    let mut smallest = None;
    dataset.chunks_visit(|chunk| {
        smallest = Some(smallest.map_or(chunk.size, |size: u64| size.min(chunk.size)));
        0
    })?;
    Ok(smallest)
}
