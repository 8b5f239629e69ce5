//! Writing: a whole file beside its place, moved there once it is complete.

mod matrix;
mod table;
mod value;

use std::fs::File;
use std::path::Path;

use super::data::{AnnData, Streamed, Value};
use super::error::{Error, Problem, Result};
use super::store::{self, Group, Target};

pub use super::store::{is_field_name, is_name};
pub use table::is_column_name;

/// Writes a file as anndata 0.12 does. It is written beside `path` and renamed, so that a failed write
/// leaves nothing behind and an existing file as it was.
///
/// Text columns with missing values become categoricals, as that is what anndata makes of them too.
pub fn write(path: &Path, data: &AnnData) -> Result<()> {
    write_all(path, data, None)
}

/// The same with an `X` that does not lie in memory; the file is as if it did. What `data` has as `X` is
/// not written.
pub fn write_streamed(path: &Path, data: &AnnData, x: Streamed) -> Result<()> {
    write_all(path, data, Some(x))
}

fn write_all(path: &Path, data: &AnnData, x: Option<Streamed>) -> Result<()> {
    let create = |beside: &Path| {
        let mut options = hdf5::FileBuilder::new();
        // Without times, so that the same data are the same bytes; without a lock, as nobody else knows the file.
        options.with_fcpl(|settings| settings.obj_track_times(false)).with_fapl(|access| access.file_locking(false));
        options.create(beside).map_err(|error| Error::new(path, "", Problem::from_write(&error)))
    };
    replace(path, create, |_, file| write_into(path, file, data, x))
}

/// Copies a file and puts a value into its `uns`, in the place of one of that name; all else stays as it
/// is. The copy is written beside `to` and renamed, so that `to` may be the file itself. An `uns` that lies
/// in another file is refused.
pub fn annotate(from: &Path, to: &Path, name: &str, value: &Value) -> Result<()> {
    let copy = |beside: &Path| {
        let fail = |cause: std::io::Error| Error::new(to, "", Problem::Write { cause: cause.to_string() });
        let mut original = File::open(from).map_err(|error| Error::new(from, "", Problem::Open(error)))?;
        let mut copy = File::options().write(true).open(beside).map_err(fail)?;
        std::io::copy(&mut original, &mut copy).map_err(fail)?;
        let mut options = hdf5::FileBuilder::new();
        options.with_fapl(|access| access.file_locking(false));
        options.open_rw(beside).map_err(|error| Error::new(to, "", Problem::from_write(&error)))
    };
    replace(to, copy, |beside, file| annotate_open(&store::root(file, beside, to)?, to, name, value))
}

fn annotate_open(root: &Group, path: &Path, name: &str, value: &Value) -> Result<()> {
    // Looked up as in reading, which follows no link out of the file: HDF5 itself would, and write there.
    let uns = match root.get("uns")? {
        Some(uns) => Target::existing(path, &uns.into_group("a group")?),
        None => Target::existing(path, root).group("uns", "dict", "0.1.0")?,
    };
    uns.remove(name)?;
    value::write(&uns, name, value)
}

/// Has a file opened and filled beside `path`, and moves it there once it is complete.
fn replace(
    path: &Path,
    open: impl FnOnce(&Path) -> Result<hdf5::File>,
    fill: impl FnOnce(&Path, &hdf5::File) -> Result<()>,
) -> Result<()> {
    let fail = |cause: &dyn std::fmt::Display| Error::new(path, "", Problem::Write { cause: cause.to_string() });
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let beside = temporary(folder).map_err(|error| fail(&error))?;
    let file = open(&beside)?;
    let filled = fill(&beside, &file);
    let closed = file.flush().and_then(|()| file.close());
    filled?;
    closed.map_err(|error| Error::new(path, "", Problem::from_write(&error)))?;
    File::open(&beside).and_then(|file| file.sync_all()).map_err(|error| fail(&error))?;
    beside.persist(path).map_err(|error| fail(&error.error))
}

/// An empty file with ordinary permissions that removes itself unless it is kept.
fn temporary(folder: &Path) -> std::io::Result<tempfile::TempPath> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".haystack-").suffix(".h5ad.part");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    Ok(builder.tempfile_in(folder)?.into_temp_path())
}

fn write_into(path: &Path, file: &hdf5::File, data: &AnnData, x: Option<Streamed>) -> Result<()> {
    let root = file.group("/").map_err(|error| Error::new(path, "", Problem::from_write(&error)))?;
    let root = Target::root(path, root);
    root.encode("anndata", "0.1.0")?;
    let shape = (data.obs.index.len(), data.var.index.len());
    table::write(&root, "obs", &data.obs)?;
    table::write(&root, "var", &data.var)?;
    match (x, &data.x) {
        (Some(x), _) => matrix::write_streamed(&root, "X", x, shape)?,
        (None, Some(x)) => matrix::write(&root, "X", x, shape)?,
        (None, None) => {}
    }
    let layers = root.group("layers", "dict", "0.1.0")?;
    layers.check_unique(data.layers.iter().map(|(name, _)| name.as_str()))?;
    for (name, layer) in &data.layers {
        matrix::write(&layers, name, layer, shape)?;
    }
    let obsm = root.group("obsm", "dict", "0.1.0")?;
    obsm.check_unique(data.obsm.iter().map(|(name, _)| name.as_str()))?;
    for (name, embedding) in &data.obsm {
        matrix::write_dense(&obsm, name, embedding, (shape.0, embedding.n_cols))?;
    }
    for name in ["obsp", "varm", "varp"] {
        root.group(name, "dict", "0.1.0")?;
    }
    value::write_dict(&root, "uns", &data.uns)
}
