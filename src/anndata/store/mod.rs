//! The thin layer over HDF5: opening what a path names, with every length checked before memory is
//! taken and every error naming the file and the place in it.

mod array;
mod attributes;
mod direct;
mod group;
mod heap;
mod open;
mod raw;
mod target;
mod text;

pub(super) use array::{Array, blocks};
pub(super) use attributes::Attributes;
pub(super) use direct::Direct;
pub(super) use group::{Group, Node};
pub(super) use open::{open, root};
pub(super) use raw::Kind;
pub(super) use target::Target;
pub use target::{is_field_name, is_name};

use std::path::PathBuf;
use std::sync::Arc;

use heap::{Heap, HeapError};

use super::error::{Error, Problem};

/// The file things come from.
#[derive(Debug)]
pub(super) struct Origin {
    /// Where it is.
    path: PathBuf,
    /// Its length in bytes.
    length: u64,
    /// Its text of variable length.
    heap: Heap,
    /// The file itself, where addresses in it count from its beginning.
    bytes: Option<Arc<std::fs::File>>,
}

impl Origin {
    pub(super) fn error(&self, at: &str, problem: Problem) -> Error {
        Error::new(&self.path, at.trim_start_matches('/'), problem)
    }

    fn hdf5(&self, at: &str, error: hdf5::Error) -> Error {
        self.error(at, Problem::Hdf5(error))
    }
}

fn join(parent: &str, name: &str) -> String {
    if parent.is_empty() || name.is_empty() { format!("{parent}{name}") } else { format!("{parent}/{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::anndata::error::Result;
    use std::path::{Path, PathBuf};

    /// Reads everything in a group in every way there is; how many data sets were read in some way.
    fn read_all(group: &Group, depth: usize) -> usize {
        let Ok(names) = group.names() else { return 0 };
        let mut read = 0;
        for name in names {
            let Ok(Some(node)) = group.get(&name) else { continue };
            for attribute in ["encoding-type", "TITLE", "scalar_int", "1D_float", "vlen_attr", "attr"] {
                let _ = node.attributes().texts(attribute);
                let _ = node.attributes().integers(attribute);
                let _ = node.attributes().reference(attribute);
            }
            match node {
                Node::Group(inner) if depth < 5 => read += read_all(&inner, depth + 1),
                Node::Group(_) => {}
                Node::Array(array) => read += usize::from(read_array(&array)),
            }
        }
        read
    }

    fn read_array(array: &Array) -> bool {
        let all = array.shape().iter().try_fold(1, |n: usize, &length| n.checked_mul(length));
        // The whole of small ones, a corner of the others.
        let most = if all.is_some_and(|all| all < 1 << 22) { usize::MAX } else { 16 };
        let part: Vec<_> = array.shape().iter().map(|&length| 0..length.min(most)).collect();
        let selected: usize = part.iter().map(ExactSizeIterator::len).product();
        let length = array.length().unwrap_or(0);
        let members: Vec<Option<&str>> = match array.kind() {
            Kind::Compound(members) => members.iter().map(|(name, _)| Some(name.as_str())).collect(),
            _ => vec![None],
        };
        let mut read = array.scalar_text().is_ok();
        for member in members {
            let wholes: Result<Vec<i64>> = array.member_numbers(member, &part);
            let numbers: Result<Vec<f32>> = array.member_numbers(member, &part);
            // Of a single number nothing is read this way.
            read |= !part.is_empty() && wholes.is_ok_and(|values| values.len() == selected);
            read |= !part.is_empty() && numbers.is_ok_and(|values| values.len() == selected);
            read |= array.texts(member, 0..length.min(1 << 16)).is_ok();
        }
        read
    }

    #[test]
    fn odd_hdf5_files_are_read_or_refused() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/hdf5_edge");
        if !folder.is_dir() {
            assert!(std::env::var_os("CI").is_none(), "{} is missing", folder.display());
            eprintln!("SKIPPED: {} is missing", folder.display());
            return;
        }
        let parts = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<PathBuf> =
            parts.flat_map(|part| std::fs::read_dir(part).unwrap()).map(|entry| entry.unwrap().path()).collect();
        files.sort();
        let (mut opened, mut read) = (0, 0);
        for file in &files {
            if let Ok(root) = open(file) {
                opened += 1;
                read += read_all(&root, 0);
            }
        }
        // All but one open, as in h5py, and there is much in them that we do read.
        assert!(opened >= 73 && read >= 2000, "{opened} of {} files opened, {read} data sets read", files.len());
    }
}
