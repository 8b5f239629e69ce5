//! A group of a file that is being written: groups, data sets and attributes with their encoding.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use hdf5::types::{CompoundField, CompoundType, FloatSize, TypeDescriptor, VarLenUnicode};
use hdf5::{Dataset, Extents, H5Type, Location};

use super::{Group, join, raw};
use crate::anndata::data::{RecArray, RecField};
use crate::anndata::error::{Error, Problem, Result};

/// Data smaller than this is stored as it is; beyond, shuffled and compressed with gzip.
const SMALL: usize = 16 << 10;
/// Values in a chunk of compressed data.
const CHUNK: usize = 64 << 10;
/// Values written at once where they are streamed.
const STREAMED: usize = 16 * CHUNK;
/// The gzip level of h5py, and so of anndata.
const GZIP: u8 = 4;

/// A group that is being written, with the file as its user knows it and the path for messages.
#[derive(Clone, Debug)]
pub(in crate::anndata) struct Target {
    file: Arc<PathBuf>,
    path: String,
    h5: hdf5::Group,
}

impl Target {
    /// The root of a new file that will become `file`.
    pub(in crate::anndata) fn root(file: &Path, h5: hdf5::Group) -> Self {
        Self { file: Arc::new(file.to_owned()), path: String::new(), h5 }
    }

    /// A group that is already in a file.
    pub(in crate::anndata) fn existing(file: &Path, group: &Group) -> Self {
        Self { file: Arc::new(file.to_owned()), path: group.path.clone(), h5: group.h5.clone() }
    }

    /// An error about something in this group.
    pub(in crate::anndata) fn unwritable(&self, name: &str, what: impl Into<String>) -> Error {
        Error::new(&self.file, join(&self.path, name), Problem::Unwritable { what: what.into() })
    }

    fn failed(&self, name: &str) -> impl Fn(hdf5::Error) -> Error {
        let (file, at) = (self.file.clone(), join(&self.path, name));
        move |error| Error::new(&file, at.clone(), Problem::from_write(&error))
    }

    /// Says how this group is encoded.
    pub(in crate::anndata) fn encode(&self, encoding: &str, version: &str) -> Result<()> {
        encode(&self.h5, encoding, version).map_err(self.failed(""))
    }

    /// A new group in this one.
    pub(in crate::anndata) fn group(&self, name: &str, encoding: &str, version: &str) -> Result<Self> {
        self.check_name(name)?;
        let create = || self.h5.create_group_builder().obj_track_times(false).create(name);
        let h5 = create().map_err(self.failed(name))?;
        let group = Self { file: self.file.clone(), path: join(&self.path, name), h5 };
        group.encode(encoding, version)?;
        Ok(group)
    }

    /// Takes a name out of this group, if it is there; a link, not what it leads to.
    pub(in crate::anndata) fn remove(&self, name: &str) -> Result<()> {
        self.check_name(name)?;
        match raw::link(&self.h5, name).map_err(self.failed(name))? {
            Some(_) => self.h5.unlink(name).map_err(self.failed(name)),
            None => Ok(()),
        }
    }

    fn check_name(&self, name: &str) -> Result<()> {
        match is_name(name) {
            true => Ok(()),
            false => Err(self.unwritable(name, format!("{name:?} cannot be a name in the file; rename it"))),
        }
    }

    /// Refuses lists in which a name comes twice.
    pub(in crate::anndata) fn check_unique<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Result<()> {
        let mut seen = BTreeSet::new();
        match names.into_iter().find(|name| !seen.insert(*name)) {
            Some(twice) => Err(self.unwritable("", format!("the name {twice:?} comes twice; rename one"))),
            None => Ok(()),
        }
    }

    /// An attribute of text.
    pub(in crate::anndata) fn attribute_text(&self, name: &str, text: &str) -> Result<()> {
        let text = self.text(name, text)?;
        let write = || self.h5.new_attr::<VarLenUnicode>().create(name)?.write_scalar(&text);
        write().map_err(self.failed(""))
    }

    /// An attribute of texts.
    pub(in crate::anndata) fn attribute_texts(&self, name: &str, texts: &[&str]) -> Result<()> {
        let texts = texts.iter().map(|text| self.text(name, text)).collect::<Result<Vec<_>>>()?;
        let write = || self.h5.new_attr::<VarLenUnicode>().shape([texts.len()]).create(name)?.write_raw(&texts);
        write().map_err(self.failed(""))
    }

    /// An attribute that is a boolean.
    pub(in crate::anndata) fn attribute_bool(&self, name: &str, value: bool) -> Result<()> {
        let write = || self.h5.new_attr::<bool>().create(name)?.write_scalar(&value);
        write().map_err(self.failed(""))
    }

    /// An attribute of whole numbers.
    pub(in crate::anndata) fn attribute_integers(&self, name: &str, values: &[i64]) -> Result<()> {
        let write = || self.h5.new_attr::<i64>().shape([values.len()]).create(name)?.write_raw(values);
        write().map_err(self.failed(""))
    }

    /// A list of numbers or booleans without an encoding of its own, as the parts of sparse matrices are.
    pub(in crate::anndata) fn part<T: H5Type>(&self, name: &str, values: &[T]) -> Result<()> {
        self.dataset(name, values, vec![values.len()]).map(|_| ())
    }

    /// An array of numbers or booleans.
    pub(in crate::anndata) fn array<T: H5Type>(&self, name: &str, values: &[T], shape: Vec<usize>) -> Result<()> {
        let dataset = self.dataset(name, values, shape)?;
        encode(&dataset, "array", "0.2.0").map_err(self.failed(name))
    }

    /// A list of texts.
    pub(in crate::anndata) fn texts<S: AsRef<str>>(&self, name: &str, texts: &[S]) -> Result<()> {
        let texts = texts.iter().map(|text| self.text(name, text.as_ref())).collect::<Result<Vec<_>>>()?;
        let dataset = self.dataset(name, &texts, vec![texts.len()])?;
        encode(&dataset, "string-array", "0.2.0").map_err(self.failed(name))
    }

    /// A single text.
    pub(in crate::anndata) fn scalar_text(&self, name: &str, text: &str) -> Result<()> {
        let text = self.text(name, text)?;
        self.scalar(name, &text, "string")
    }

    /// A single number or boolean.
    pub(in crate::anndata) fn scalar_number<T: H5Type>(&self, name: &str, value: T) -> Result<()> {
        self.scalar(name, &value, "numeric-scalar")
    }

    /// Python's `None`.
    pub(in crate::anndata) fn null(&self, name: &str) -> Result<()> {
        self.check_name(name)?;
        let write = || {
            let dataset = self.h5.new_dataset::<f32>().shape(Extents::Null).obj_track_times(false).create(name)?;
            encode(&dataset, "null", "0.1.0")
        };
        write().map_err(self.failed(name))
    }

    /// Records with a member for each field.
    pub(in crate::anndata) fn records(&self, name: &str, records: &RecArray) -> Result<()> {
        self.check_name(name)?;
        let n_records = records.fields.first().map_or(0, |(_, values)| values.len());
        if let Some((field, _)) = records.fields.iter().find(|(_, values)| values.len() != n_records) {
            return Err(self.unwritable(name, format!("the field {field:?} is not as long as the first")));
        }
        if records.fields.is_empty() {
            return Err(self.unwritable(name, "records need at least one field"));
        }
        if let Some((field, _)) = records.fields.iter().find(|(field, _)| !is_field_name(field)) {
            return Err(self.unwritable(name, format!("{field:?} cannot be the name of a field; rename it")));
        }
        let fields = records.fields.iter().map(|(field, _)| field.as_str());
        Self { path: join(&self.path, name), ..self.clone() }.check_unique(fields)?;
        let (mut members, mut size) = (Vec::new(), 0);
        for (index, (field, values)) in records.fields.iter().enumerate() {
            let member = match values {
                RecField::Strings(_) => TypeDescriptor::VarLenUnicode,
                RecField::F32(_) => TypeDescriptor::Float(FloatSize::U4),
                RecField::F64(_) => TypeDescriptor::Float(FloatSize::U8),
            };
            let offset = size;
            size += member.size();
            members.push(CompoundField::new(field, member, offset, index));
        }
        let packed = TypeDescriptor::Compound(CompoundType { fields: members, size });
        let write = || {
            let builder = self.h5.new_dataset_builder().packed(true).obj_track_times(false).empty_as(&packed);
            let dataset = builder.shape([n_records]).create(name)?;
            raw::write_records(&dataset, &packed, records)?;
            encode(&dataset, "rec-array", "0.2.0")
        };
        write().map_err(self.failed(name))
    }

    fn scalar<T: H5Type>(&self, name: &str, value: &T, encoding: &str) -> Result<()> {
        self.check_name(name)?;
        let write = || {
            let dataset = self.h5.new_dataset::<T>().shape(()).obj_track_times(false).create(name)?;
            dataset.write_scalar(value)?;
            encode(&dataset, encoding, "0.2.0")
        };
        write().map_err(self.failed(name))
    }

    /// The same as [`Target::part`] for values of four bytes that `source` gives one after the other.
    pub(in crate::anndata) fn streamed_part<T: H5Type>(
        &self,
        name: &str,
        shape: Vec<usize>,
        source: &mut dyn Read,
        decode: fn([u8; 4]) -> T,
    ) -> Result<()> {
        self.streamed(name, shape, source, decode).map(|_| ())
    }

    /// The same as [`Target::array`] for numbers that `source` gives one after the other, little-endian.
    pub(in crate::anndata) fn streamed_array(
        &self,
        name: &str,
        shape: Vec<usize>,
        source: &mut dyn Read,
    ) -> Result<()> {
        let dataset = self.streamed(name, shape, source, f32::from_le_bytes)?;
        encode(&dataset, "array", "0.2.0").map_err(self.failed(name))
    }

    /// Writes whole chunks at a time, which gives the same file as writing all at once.
    fn streamed<T: H5Type>(
        &self,
        name: &str,
        shape: Vec<usize>,
        source: &mut dyn Read,
        decode: fn([u8; 4]) -> T,
    ) -> Result<Dataset> {
        let row: usize = shape[1..].iter().product();
        let rows_at_once = (chunk(&shape)[0] * (STREAMED / CHUNK)).max(1);
        let n_rows = shape[0];
        let dataset = self.create::<T>(name, shape.clone())?;
        let mut bytes = Vec::new();
        for start in (0..n_rows).step_by(rows_at_once) {
            let end = n_rows.min(start + rows_at_once);
            bytes.resize((end - start) * row * 4, 0);
            source.read_exact(&mut bytes).map_err(|error| self.unwritable(name, format!("its values: {error}")))?;
            let values: Vec<T> = bytes.as_chunks::<4>().0.iter().map(|&word| decode(word)).collect();
            let within = std::iter::once(start..end).chain(shape[1..].iter().map(|&length| 0..length));
            raw::write_part(&dataset, &within.collect::<Vec<_>>(), &values).map_err(self.failed(name))?;
        }
        Ok(dataset)
    }

    fn dataset<T: H5Type>(&self, name: &str, values: &[T], shape: Vec<usize>) -> Result<Dataset> {
        let dataset = self.create::<T>(name, shape)?;
        if !values.is_empty() {
            dataset.write_raw(values).map_err(self.failed(name))?;
        }
        Ok(dataset)
    }

    /// A data set without values yet.
    fn create<T: H5Type>(&self, name: &str, shape: Vec<usize>) -> Result<Dataset> {
        self.check_name(name)?;
        let fixed = !matches!(T::type_descriptor(), TypeDescriptor::VarLenUnicode);
        let bytes = shape.iter().product::<usize>().saturating_mul(size_of::<T>());
        let builder = self.h5.new_dataset::<T>().obj_track_times(false);
        let builder = if fixed && bytes >= SMALL {
            builder.chunk(chunk(&shape)).shuffle().deflate(GZIP)
        } else {
            builder.no_chunk()
        };
        builder.shape(shape).create(name).map_err(self.failed(name))
    }

    fn text(&self, name: &str, text: &str) -> Result<VarLenUnicode> {
        VarLenUnicode::from_str(text)
            .map_err(|_| self.unwritable(name, format!("{text:?} contains a NUL, which text in HDF5 cannot")))
    }
}

/// Whether something in a file can be called so: the name of a column, a matrix or a value. Names that
/// would become a path cannot be written, nor those that h5py cannot open.
pub fn is_name(name: &str) -> bool {
    !(name.is_empty() || name == "." || name.contains(['/', '\0']))
}

/// Whether a field of records can be called so, such as a group of cells in scanpy's marker genes.
pub fn is_field_name(name: &str) -> bool {
    !(name.is_empty() || name.contains('\0'))
}

fn encode(location: &Location, encoding: &str, version: &str) -> hdf5::Result<()> {
    for (name, text) in [("encoding-type", encoding), ("encoding-version", version)] {
        let text = VarLenUnicode::from_str(text).map_err(|error| hdf5::Error::Internal(error.to_string()))?;
        location.new_attr::<VarLenUnicode>().create(name)?.write_scalar(&text)?;
    }
    Ok(())
}

/// Chunks of whole rows, or of parts of one row where a row is long.
fn chunk(shape: &[usize]) -> Vec<usize> {
    match *shape {
        [rows, columns] => {
            let columns_at_once = columns.clamp(1, CHUNK);
            vec![(CHUNK / columns_at_once).clamp(1, rows.max(1)), columns_at_once]
        }
        _ => shape.iter().map(|&length| length.clamp(1, CHUNK)).collect(),
    }
}
