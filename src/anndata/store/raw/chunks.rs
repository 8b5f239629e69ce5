//! Where the chunks of a data set lie in the file.

use hdf5::h5check;
use hdf5_sys::h5d::{H5Dget_chunk_info_by_coord, H5Dget_offset};

use super::locked;

/// Undefined, as HDF5 spells it.
const NOWHERE: u64 = u64::MAX;

/// A chunk as it lies in the file, packed.
#[derive(Clone, Copy, Debug)]
pub(in crate::anndata::store) struct Chunk {
    pub(in crate::anndata::store) address: u64,
    pub(in crate::anndata::store) bytes: u64,
}

/// The chunk that holds an element of a data set of one dimension; nothing where it was never written, or
/// where a filter was left out for it.
pub(in crate::anndata::store) fn chunk_with(dataset: &hdf5::Dataset, element: u64) -> hdf5::Result<Option<Chunk>> {
    let (mut mask, mut address, mut bytes) = (0, NOWHERE, 0);
    // SAFETY: the data set has one dimension, so one coordinate is read; the rest are valid places to write.
    locked(|| unsafe {
        h5check(H5Dget_chunk_info_by_coord(
            dataset.id(),
            &raw const element,
            &raw mut mask,
            &raw mut address,
            &raw mut bytes,
        ))
    })?;
    Ok((mask == 0 && address != NOWHERE).then_some(Chunk { address, bytes }))
}

/// Where a data set that is stored in one piece begins, if it is.
pub(in crate::anndata::store) fn offset(dataset: &hdf5::Dataset) -> Option<u64> {
    // SAFETY: the id is valid while the data set is borrowed.
    let address = locked(|| unsafe { H5Dget_offset(dataset.id()) });
    (address != NOWHERE).then_some(address)
}
