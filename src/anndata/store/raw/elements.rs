//! Reading and writing the elements of data sets and attributes.

use std::ffi::{CString, c_int, c_void};
use std::ops::Range;
use std::ptr;
use std::sync::OnceLock;

use hdf5::types::{CompoundField, CompoundType, FloatSize, IntSize, TypeDescriptor};
use hdf5::{Container, Dataspace, Datatype, H5Type, from_id, h5check};
use hdf5_sys::h5a::H5Aread;
use hdf5_sys::h5d::{H5Dread, H5Dwrite};
use hdf5_sys::h5i::{H5I_type_t, hid_t};
use hdf5_sys::h5p::H5P_DEFAULT;
use hdf5_sys::h5s::{H5S_ALL, H5S_seloper_t, H5Sselect_hyperslab};
use hdf5_sys::h5t::{H5T_bkg_t, H5T_cdata_t, H5T_class_t, H5T_pers_t, H5Tcreate, H5Tget_size, H5Tinsert, H5Tregister};

use super::{c_string, locked};
use crate::anndata::data::{RecArray, RecField};

/// A number that HDF5 converts whatever the file holds into.
pub(in crate::anndata) trait Number: Copy + Default {
    /// Its type in memory.
    const TYPE: TypeDescriptor;
}

impl Number for i32 {
    const TYPE: TypeDescriptor = TypeDescriptor::Integer(IntSize::U4);
}
impl Number for i64 {
    const TYPE: TypeDescriptor = TypeDescriptor::Integer(IntSize::U8);
}
impl Number for u64 {
    const TYPE: TypeDescriptor = TypeDescriptor::Unsigned(IntSize::U8);
}
impl Number for f32 {
    const TYPE: TypeDescriptor = TypeDescriptor::Float(FloatSize::U4);
}
impl Number for f64 {
    const TYPE: TypeDescriptor = TypeDescriptor::Float(FloatSize::U8);
}

/// Which elements to read: one range per dimension, or everything.
pub(in crate::anndata::store) type Part<'a> = Option<&'a [Range<usize>]>;

/// Reads numbers; of the member `member` where the elements are records.
pub(in crate::anndata::store) fn read_numbers<T: Number>(
    source: &Container,
    member: Option<&str>,
    part: Part,
) -> hdf5::Result<Vec<T>> {
    let memory = memory_type(T::TYPE, member)?;
    let mut values = vec![T::default(); count(source, part)?];
    // SAFETY: `memory` describes one `T` for each element of the selection, and the buffer has as many.
    unsafe { read_into(source, &memory, part, values.as_mut_ptr().cast()) }?;
    Ok(values)
}

/// Reads text of fixed length `bytes`, without its padding; of a member where the elements are records.
pub(in crate::anndata::store) fn read_fixed_text(
    source: &Container,
    (bytes, utf8): (usize, bool),
    member: Option<&str>,
    part: Part,
) -> hdf5::Result<Vec<Vec<u8>>> {
    let text = if utf8 { TypeDescriptor::FixedUnicode(bytes) } else { TypeDescriptor::FixedAscii(bytes) };
    let memory = memory_type(text, member)?;
    let length = count(source, part)?
        .checked_mul(bytes)
        .ok_or_else(|| hdf5::Error::Internal("more text than memory can hold".to_owned()))?;
    let mut buffer = vec![0u8; length];
    // SAFETY: `memory` describes `bytes` bytes for each element of the selection.
    unsafe { read_into(source, &memory, part, buffer.as_mut_ptr().cast()) }?;
    Ok(buffer
        .chunks_exact(bytes.max(1))
        .map(|text| text[..text.iter().rposition(|&b| b != 0).map_or(0, |last| last + 1)].to_vec())
        .collect())
}

/// Reads the references that stand for text of variable length, `bytes` bytes each, as the file has them; of
/// a member where the elements are records.
pub(in crate::anndata::store) fn read_references(
    source: &Container,
    bytes: usize,
    member: Option<&str>,
    part: Part,
) -> hdf5::Result<Vec<u8>> {
    static REGISTERED: OnceLock<bool> = OnceLock::new();
    // SAFETY: the types are new ids that their owners close; `keep` matches what it is registered for.
    let memory: Datatype = locked(|| unsafe {
        let opaque: Datatype = from_id(h5check(H5Tcreate(H5T_class_t::H5T_OPAQUE, bytes))?)?;
        let register = || {
            let Ok(text) = Datatype::from_descriptor(&TypeDescriptor::VarLenUnicode) else { return false };
            let (soft, name) = (H5T_pers_t::H5T_PERS_SOFT, c"references");
            H5Tregister(soft, name.as_ptr(), text.id(), opaque.id(), Some(keep)) >= 0
        };
        if !*REGISTERED.get_or_init(register) {
            return Err(hdf5::Error::Internal("the HDF5 library takes no conversion of text".to_owned()));
        }
        let Some(member) = member else { return Ok(opaque) };
        let record: Datatype = from_id(h5check(H5Tcreate(H5T_class_t::H5T_COMPOUND, bytes))?)?;
        h5check(H5Tinsert(record.id(), c_string(member)?.as_ptr(), 0, opaque.id()))?;
        Ok(record)
    })?;
    let length = count(source, part)?
        .checked_mul(bytes)
        .ok_or_else(|| hdf5::Error::Internal("more text than memory can hold".to_owned()))?;
    let mut buffer = vec![0u8; length];
    // SAFETY: `memory` describes `bytes` bytes for each element of the selection.
    unsafe { read_into(source, &memory, part, buffer.as_mut_ptr().cast()) }?;
    Ok(buffer)
}

/// The conversion from text of variable length to opaque bytes: none, as both are of one size.
extern "C" fn keep(
    source: hid_t,
    target: hid_t,
    data: *mut H5T_cdata_t,
    _count: usize,
    _stride: usize,
    _background_stride: usize,
    _buffer: *mut c_void,
    _background: *mut c_void,
    _transfer: hid_t,
) -> c_int {
    // SAFETY: HDF5 hands over its own data and valid types; the command is read as a C int because the
    // Rust enum need not know all of them.
    unsafe {
        if data.is_null() {
            return -1;
        }
        let is_first_call = (&raw const (*data).command).cast::<c_int>().read() == 0;
        if is_first_call {
            (*data).need_bkg = H5T_bkg_t::H5T_BKG_NO;
            if H5Tget_size(source) != H5Tget_size(target) {
                return -1;
            }
        }
    }
    0
}

fn is_attribute(source: &Container) -> bool {
    source.id_type() == H5I_type_t::H5I_ATTR
}

/// The type in memory of one element, or of a record that has only the wanted member.
fn memory_type(element: TypeDescriptor, member: Option<&str>) -> hdf5::Result<Datatype> {
    let Some(name) = member else { return Datatype::from_descriptor(&element) };
    let size = element.size();
    let field = CompoundField::new(name, element, 0, 0);
    Datatype::from_descriptor(&TypeDescriptor::Compound(CompoundType { fields: vec![field], size }))
}

/// How many elements `part` selects: the length that buffers get. An attribute gives all it has, whatever
/// the part, so there must be none.
fn count(source: &Container, part: Part) -> hdf5::Result<usize> {
    match part {
        Some(_) if is_attribute(source) => {
            Err(hdf5::Error::Internal("attributes are read whole, not in parts".to_owned()))
        }
        Some(ranges) => ranges
            .iter()
            .try_fold(1, |n: usize, range| n.checked_mul(range.len()))
            .ok_or_else(|| hdf5::Error::Internal("more elements than memory can hold".to_owned())),
        None => Ok(source.space()?.size()),
    }
}

/// # Safety
/// `buffer` must have room for one `memory` per element that `part` selects.
unsafe fn read_into(source: &Container, memory: &Datatype, part: Part, buffer: *mut c_void) -> hdf5::Result<()> {
    if count(source, part)? == 0 {
        return Ok(());
    }
    locked(|| {
        // SAFETY: the ids are valid while their owners are borrowed; the selection is checked by HDF5
        // against the extent, and the space in memory has exactly its size.
        unsafe {
            if is_attribute(source) {
                h5check(H5Aread(source.id(), memory.id(), buffer))?;
                return Ok(());
            }
            let Some(ranges) = part else {
                h5check(H5Dread(source.id(), memory.id(), H5S_ALL, H5S_ALL, H5P_DEFAULT, buffer))?;
                return Ok(());
            };
            let (space, within) = select(source, ranges)?;
            h5check(H5Dread(source.id(), memory.id(), within.id(), space.id(), H5P_DEFAULT, buffer))?;
            Ok(())
        }
    })
}

/// The part of a data set's space that is wanted, and the space it has in memory.
fn select(source: &Container, ranges: &[Range<usize>]) -> hdf5::Result<(Dataspace, Dataspace)> {
    let space = source.space()?;
    if space.ndim() != ranges.len() {
        return Err(hdf5::Error::Internal(format!("{} dimensions, not {}", space.ndim(), ranges.len())));
    }
    let start: Vec<u64> = ranges.iter().map(|range| range.start as u64).collect();
    let counts: Vec<u64> = ranges.iter().map(|range| range.len() as u64).collect();
    // SAFETY: both lists have a number for each dimension of the space.
    locked(|| unsafe {
        h5check(H5Sselect_hyperslab(
            space.id(),
            H5S_seloper_t::H5S_SELECT_SET,
            start.as_ptr(),
            ptr::null(),
            counts.as_ptr(),
            ptr::null(),
        ))
    })?;
    let within = Dataspace::try_new(ranges.iter().map(ExactSizeIterator::len).collect::<Vec<_>>())?;
    Ok((space, within))
}

/// Writes numbers to a part of a data set, one range per dimension.
pub(in crate::anndata::store) fn write_part<T: H5Type>(
    dataset: &hdf5::Dataset,
    ranges: &[Range<usize>],
    values: &[T],
) -> hdf5::Result<()> {
    if count(dataset, Some(ranges))? != values.len() {
        return Err(hdf5::Error::Internal(format!("{} values do not fill their part", values.len())));
    }
    let memory = Datatype::from_type::<T>()?;
    let (space, within) = select(dataset, ranges)?;
    // SAFETY: `memory` describes one `T` for each element of the selection, and there are as many values.
    locked(|| unsafe {
        h5check(H5Dwrite(dataset.id(), memory.id(), within.id(), space.id(), H5P_DEFAULT, values.as_ptr().cast()))
    })?;
    Ok(())
}

/// Writes records whose fields lie in memory as `packed` says: without gaps, in the order of the fields.
pub(in crate::anndata::store) fn write_records(
    dataset: &hdf5::Dataset,
    packed: &TypeDescriptor,
    records: &RecArray,
) -> hdf5::Result<()> {
    let n_records = dataset.size();
    let mut texts: Vec<CString> = Vec::new();
    let mut buffer: Vec<u8> = Vec::with_capacity(n_records * packed.size());
    for record in 0..n_records {
        for (_, values) in &records.fields {
            match values {
                RecField::F32(values) => buffer.extend_from_slice(&values[record].to_ne_bytes()),
                RecField::F64(values) => buffer.extend_from_slice(&values[record].to_ne_bytes()),
                RecField::Strings(values) => {
                    let text = c_string(&values[record])?;
                    buffer.extend_from_slice(&(text.as_ptr() as usize).to_ne_bytes());
                    texts.push(text);
                }
            }
        }
    }
    let memory = Datatype::from_descriptor(packed)?;
    if n_records == 0 || buffer.len() != n_records * memory.size() {
        let wrong = hdf5::Error::Internal("records do not fit their type".to_owned());
        return if n_records == 0 { Ok(()) } else { Err(wrong) };
    }
    // SAFETY: the buffer holds `n_records` elements of `memory`, as just checked; pointers in it are to
    // NUL-terminated strings kept alive in `texts` until after the call.
    locked(|| unsafe {
        h5check(H5Dwrite(dataset.id(), memory.id(), H5S_ALL, H5S_ALL, H5P_DEFAULT, buffer.as_ptr().cast()))
    })?;
    drop(texts);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_attributes_and_parts_beyond_memory_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = hdf5::File::create(folder.path().join("f.h5")).unwrap();
        let attribute = file.new_attr::<i64>().shape([8]).create("a").unwrap();
        attribute.write_raw(&[7_i64; 8]).unwrap();
        // HDF5 would write all eight into a buffer for one.
        assert!(read_numbers::<i64>(&attribute, None, Some(std::slice::from_ref(&(0..1)))).is_err());
        assert_eq!(read_numbers::<i64>(&attribute, None, None).unwrap(), [7; 8]);
        let dataset = file.new_dataset::<i64>().shape([2, 2]).create("d").unwrap();
        // The product is 0 in 64 bits.
        assert!(read_numbers::<i64>(&dataset, None, Some(&[0..1 << 32, 0..1 << 32])).is_err());
        assert_eq!(read_numbers::<i64>(&dataset, None, Some(&[0..1, 0..2])).unwrap(), [0, 0]);
    }
}
