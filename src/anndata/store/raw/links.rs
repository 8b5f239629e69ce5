//! The links of a group, looked at without following them.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::mem::MaybeUninit;
use std::ptr;

use hdf5::h5check;
use hdf5_sys::h5::{H5_index_t, H5_iter_order_t};
use hdf5_sys::h5i::hid_t;
use hdf5_sys::h5l::{H5L_info2_t, H5Lexists, H5Lget_info2, H5Lget_val, H5Literate2, H5Lunpack_elink_val};
use hdf5_sys::h5p::H5P_DEFAULT;

use super::{c_string, locked, until_nul};

/// What a name in a group stands for.
#[derive(Debug, PartialEq)]
pub(in crate::anndata::store) enum Link {
    /// An object in this group.
    Hard,
    /// Another path in the same file.
    Soft(String),
    /// An object in another file, which is named here.
    External(String),
    /// A kind of link nobody but its maker can follow.
    Unknown,
}

/// The link called `name` (one component of a path), if there is one.
pub(in crate::anndata::store) fn link(group: &hdf5::Group, name: &str) -> hdf5::Result<Option<Link>> {
    /// Longest path a link may hold; HDF5 itself stops at 64 KiB for compact storage.
    const LONGEST: usize = 1 << 20;
    let name = c_string(name)?;
    locked(|| {
        // SAFETY: `name` is NUL-terminated and the group's id is valid while it is borrowed.
        if unsafe { h5check(H5Lexists(group.id(), name.as_ptr(), H5P_DEFAULT)) }? == 0 {
            return Ok(None);
        }
        let mut info = MaybeUninit::<H5L_info2_t>::zeroed();
        // SAFETY: `info` has room for the structure that HDF5 fills.
        unsafe { h5check(H5Lget_info2(group.id(), name.as_ptr(), info.as_mut_ptr(), H5P_DEFAULT)) }?;
        // SAFETY: the first field is a C int; it is read as one because user-defined link classes are
        // not among the variants of the Rust enum.
        let class = unsafe { info.as_ptr().cast::<c_int>().read() };
        if class == 0 {
            return Ok(Some(Link::Hard));
        }
        // SAFETY: for links that are not hard the union holds the length of the value; zeroed before.
        let length = unsafe { (&raw const (*info.as_ptr()).u).cast::<usize>().read() };
        if length > LONGEST || !matches!(class, 1 | 64) {
            return Ok(Some(Link::Unknown));
        }
        let mut value = vec![0u8; length + 1];
        // SAFETY: at most `length` bytes are written to a buffer one longer.
        unsafe { h5check(H5Lget_val(group.id(), name.as_ptr(), value.as_mut_ptr().cast(), length, H5P_DEFAULT)) }?;
        if class == 1 {
            return Ok(Some(Link::Soft(until_nul(&value))));
        }
        let mut file: *const c_char = ptr::null();
        // SAFETY: `value` holds the `length` bytes HDF5 gave for this external link and ends in NUL, so
        // that the strings pointed into it end inside the buffer.
        let file = unsafe {
            h5check(H5Lunpack_elink_val(
                value.as_ptr().cast(),
                length,
                ptr::null_mut(),
                &raw mut file,
                ptr::null_mut(),
            ))?;
            if file.is_null() { String::new() } else { CStr::from_ptr(file).to_string_lossy().into_owned() }
        };
        Ok(Some(Link::External(file)))
    })
}

/// Names in a group, in the order of the names.
pub(in crate::anndata::store) fn names(group: &hdf5::Group) -> hdf5::Result<Vec<String>> {
    unsafe extern "C" fn collect(
        _group: hid_t,
        name: *const c_char,
        _link: *const H5L_info2_t,
        names: *mut c_void,
    ) -> c_int {
        if name.is_null() || names.is_null() {
            return -1;
        }
        // SAFETY: `names` is the vector handed to the iteration below, `name` a C string of HDF5's.
        let (names, name) = unsafe { (&mut *names.cast::<Vec<String>>(), CStr::from_ptr(name)) };
        names.push(name.to_string_lossy().into_owned());
        0
    }
    let mut names: Vec<String> = Vec::new();
    locked(|| {
        // SAFETY: the callback matches its data, which outlives the call.
        unsafe {
            h5check(H5Literate2(
                group.id(),
                H5_index_t::H5_INDEX_NAME,
                H5_iter_order_t::H5_ITER_INC,
                ptr::null_mut(),
                Some(collect),
                (&raw mut names).cast(),
            ))
        }
    })?;
    Ok(names)
}
