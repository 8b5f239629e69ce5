//! What the elements of a data set or attribute are.

use std::ffi::CStr;

use hdf5::{Container, Datatype, from_id, h5check};
use hdf5_sys::h5::H5free_memory;
use hdf5_sys::h5i::hid_t;
use hdf5_sys::h5t::{
    H5T_class_t, H5T_cset_t, H5T_sign_t, H5Tget_class, H5Tget_cset, H5Tget_member_name, H5Tget_member_type,
    H5Tget_member_value, H5Tget_nmembers, H5Tget_sign, H5Tget_size, H5Tis_variable_str,
};

use super::locked;

/// What the elements of a data set or attribute are in the file.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::anndata) enum Kind {
    /// Whole numbers, including enumerations other than booleans.
    Integer {
        /// Bytes of one.
        bytes: usize,
        /// Whether they may be negative.
        signed: bool,
    },
    /// Floating-point numbers of any width.
    Float {
        /// Bytes of one.
        bytes: usize,
    },
    /// An enumeration of FALSE and TRUE, as h5py writes booleans.
    Boolean,
    /// Text of one length in bytes, or of variable length.
    Text {
        /// Bytes of one, unless variable.
        fixed: Option<usize>,
        /// Declared as UTF-8 rather than ASCII.
        utf8: bool,
    },
    /// Records.
    Compound(Vec<(String, Kind)>),
    /// References to objects or regions.
    Reference,
    /// Anything else, by name.
    Other(&'static str),
}

/// The kind of the elements of a data set or attribute.
pub(in crate::anndata::store) fn kind(container: &Container) -> hdf5::Result<Kind> {
    kind_of(&container.dtype()?, 0)
}

fn kind_of(datatype: &Datatype, depth: usize) -> hdf5::Result<Kind> {
    let id = datatype.id();
    // SAFETY: the id is valid while the datatype is borrowed; none of these calls writes memory of ours.
    let (class, bytes) = locked(|| unsafe { (H5Tget_class(id), H5Tget_size(id)) });
    Ok(match class {
        H5T_class_t::H5T_INTEGER => {
            // SAFETY: as above.
            let sign = locked(|| unsafe { H5Tget_sign(id) });
            Kind::Integer { bytes, signed: sign == H5T_sign_t::H5T_SGN_2 }
        }
        H5T_class_t::H5T_FLOAT => Kind::Float { bytes },
        H5T_class_t::H5T_ENUM => {
            if is_boolean(id, bytes)? {
                Kind::Boolean
            } else {
                Kind::Integer { bytes, signed: true }
            }
        }
        H5T_class_t::H5T_STRING => {
            // SAFETY: as above.
            let (variable, cset) = locked(|| unsafe { (H5Tis_variable_str(id), H5Tget_cset(id)) });
            Kind::Text { fixed: (h5check(variable)? == 0).then_some(bytes), utf8: cset == H5T_cset_t::H5T_CSET_UTF8 }
        }
        H5T_class_t::H5T_COMPOUND if depth == 0 => Kind::Compound(members(id)?),
        H5T_class_t::H5T_COMPOUND => Kind::Other("nested records"),
        H5T_class_t::H5T_REFERENCE => Kind::Reference,
        H5T_class_t::H5T_TIME => Kind::Other("times"),
        H5T_class_t::H5T_BITFIELD => Kind::Other("bit fields"),
        H5T_class_t::H5T_OPAQUE => Kind::Other("opaque bytes"),
        H5T_class_t::H5T_VLEN => Kind::Other("lists of varying length"),
        H5T_class_t::H5T_ARRAY => Kind::Other("arrays"),
        _ => Kind::Other("an unknown type"),
    })
}

fn is_boolean(id: hid_t, bytes: usize) -> hdf5::Result<bool> {
    locked(|| {
        // SAFETY: the id is a valid enumeration of one byte, so a member's value fits in one byte.
        unsafe {
            if bytes != 1 || h5check(H5Tget_nmembers(id))? != 2 {
                return Ok(false);
            }
            let mut named = [false; 2];
            for member in 0..2 {
                let mut value = 0u8;
                h5check(H5Tget_member_value(id, member, (&raw mut value).cast()))?;
                let expected: &[u8] = if value == 0 { b"FALSE" } else { b"TRUE" };
                let name = member_name(id, member)?;
                if let Some(slot) = named.get_mut(usize::from(value)) {
                    *slot = name.as_bytes() == expected;
                }
            }
            Ok(named == [true, true])
        }
    })
}

/// # Safety
/// `id` must be a valid datatype with members.
unsafe fn member_name(id: hid_t, member: u32) -> hdf5::Result<String> {
    // SAFETY: HDF5 gives a NUL-terminated copy, or null, that is ours to free.
    unsafe {
        let name = H5Tget_member_name(id, member);
        if name.is_null() {
            return Err(hdf5::Error::Internal("a member of a type has no name".to_owned()));
        }
        let owned = CStr::from_ptr(name).to_string_lossy().into_owned();
        H5free_memory(name.cast());
        Ok(owned)
    }
}

fn members(id: hid_t) -> hdf5::Result<Vec<(String, Kind)>> {
    // SAFETY: the id is a valid compound type; each member type is a new id that its Datatype closes.
    locked(|| unsafe {
        let count = h5check(H5Tget_nmembers(id))?;
        (0..u32::try_from(count).unwrap_or(0))
            .map(|member| {
                let name = member_name(id, member)?;
                let datatype: Datatype = from_id(h5check(H5Tget_member_type(id, member))?)?;
                Ok((name, kind_of(&datatype, 1)?))
            })
            .collect()
    })
}
