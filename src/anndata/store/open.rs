//! Opening a file, and saying what it is when it is not HDF5.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use hdf5::MinorErrorCode;
use hdf5::plist::file_create::Sizeof;

use super::heap::Heap;
use super::{Group, Origin};
use crate::anndata::error::{Error, Problem, Result};

/// Bytes each data set keeps unpacked, so that neighbouring reads do not unpack a chunk twice.
const CHUNK_CACHE: usize = 32 << 20;

/// Opens a file for reading; gives its root.
pub(in crate::anndata) fn open(path: &Path) -> Result<Group> {
    let fail = |problem| Error::new(path, "", problem);
    let metadata = fs::metadata(path).map_err(|e| fail(Problem::Open(e)))?;
    if metadata.is_dir() {
        let zarr = [".zgroup", "zarr.json", ".zattrs"].iter().any(|name| path.join(name).exists());
        let folder = Problem::NotHdf5 { hint: "it is a folder; name the .h5ad file in it" };
        return Err(fail(if zarr { Problem::Zarr } else { folder }));
    }
    // Without locks: a lock outlives its file in any child process started meanwhile, and not every file
    // system has them.
    let mut options = hdf5::FileBuilder::new();
    let options = options.with_fapl(|access| access.chunk_cache(12_289, CHUNK_CACHE, 0.75).file_locking(false));
    let opened = options.open(path);
    let file = opened.map_err(|error| fail(diagnose(path, error)))?;
    root(&file, path, path)
}

/// The root of an open file that lies at `path` and that messages call `name`.
pub(in crate::anndata) fn root(file: &hdf5::File, path: &Path, name: &Path) -> Result<Group> {
    let fail = |problem| Error::new(name, "", problem);
    let group = file.group("/").map_err(|error| fail(Problem::Hdf5(error)))?;
    let (address_bytes, length_bytes) = widths(file).map_err(|error| fail(Problem::Hdf5(error)))?;
    let bytes = fs::File::open(path).map_err(|error| fail(Problem::Open(error)))?;
    let length = bytes.metadata().map_err(|error| fail(Problem::Open(error)))?.len();
    let base = file.userblock();
    let direct = bytes.try_clone().ok().filter(|_| base == 0).map(Arc::new);
    let heap = Heap::new(bytes, base, length, address_bytes, length_bytes);
    let origin = Origin { path: name.to_owned(), length, heap, bytes: direct };
    Ok(Group::root(Arc::new(origin), group))
}

/// Bytes of an address and of a length in a file.
fn widths(file: &hdf5::File) -> hdf5::Result<(usize, usize)> {
    let sizes = file.create_plist()?.get_sizes()?;
    Ok((bytes(sizes.sizeof_addr), bytes(sizes.sizeof_size)))
}

fn bytes(width: Sizeof) -> usize {
    match width {
        Sizeof::Bytes2 => 2,
        Sizeof::Bytes4 => 4,
        Sizeof::Bytes8 => 8,
        Sizeof::Bytes16 => 16,
    }
}

/// Why a file that exists does not open as HDF5.
fn diagnose(path: &Path, error: hdf5::Error) -> Problem {
    if error.contains_minor(MinorErrorCode::Truncated) {
        return Problem::Truncated;
    }
    let mut start = Vec::new();
    match fs::File::open(path).and_then(|file| file.take(4096).read_to_end(&mut start)) {
        Err(error) => return Problem::Open(error),
        Ok(0) => return Problem::NotHdf5 { hint: "it is empty; copy or download it again" },
        Ok(_) => {}
    }
    let names = |needle: &[u8]| start.windows(needle.len()).any(|window| window == needle);
    if start.starts_with(b"\x89HDF\r\n\x1a\n") {
        return Problem::Hdf5(error);
    }
    if start.starts_with(b"PK") {
        let zarr = [&b".zgroup"[..], b".zattrs", b".zarray", b"zarr.json", b"zarr"].iter().any(|name| names(name));
        return if zarr { Problem::Zarr } else { Problem::NotHdf5 { hint: "it is a zip archive; unpack it first" } };
    }
    Problem::NotHdf5 {
        hint: match start.as_slice() {
            [0x1f, 0x8b, ..] => "it is compressed as a whole with gzip; unpack it first (gunzip)",
            [b'<', ..] => "it is a web page, perhaps an error saved in place of the download; download it again",
            [b'R', b'D', b'X' | b'A', ..] | [0xfd, b'7', b'z', ..] | [b'B', b'Z', b'h', ..] => {
                "it is another format or compressed as a whole; export it as .h5ad first"
            }
            _ => "expected a file written by anndata's write_h5ad",
        },
    }
}
