//! Writing: a whole file beside its place, moved there once it is complete.

mod matrix;
mod table;
mod value;

use std::fs::File;
use std::path::Path;

use super::data::{AnnData, Streamed, Value};
use super::error::{Error, Problem, Result};
use super::store::Target;

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
    let fail = |cause: &dyn std::fmt::Display| Error::new(path, "", Problem::Write { cause: cause.to_string() });
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let beside = temporary(folder).map_err(|error| fail(&error))?;
    // Without times, so that the same data are the same bytes; without a lock, as nobody else knows the file.
    let mut options = hdf5::FileBuilder::new();
    options.with_fcpl(|settings| settings.obj_track_times(false)).with_fapl(|access| access.file_locking(false));
    let file = options.create(&beside);
    let file = file.map_err(|error| Error::new(path, "", Problem::from_write(&error)))?;
    let written = write_into(path, &file, data, x);
    let closed = file.flush().and_then(|()| file.close());
    written?;
    closed.map_err(|error| Error::new(path, "", Problem::from_write(&error)))?;
    File::open(&beside).and_then(|file| file.sync_all()).map_err(|error| fail(&error))?;
    beside.persist(path).map_err(|error| fail(&error.error))
}

/// Copies a file and puts a value into its `uns`, in the place of one of that name; all else stays as it
/// is. The copy is written beside `to` and renamed, so that `to` may be the file itself.
pub fn annotate(from: &Path, to: &Path, name: &str, value: &Value) -> Result<()> {
    let fail = |cause: &dyn std::fmt::Display| Error::new(to, "", Problem::Write { cause: cause.to_string() });
    let folder = match to.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let beside = temporary(folder).map_err(|error| fail(&error))?;
    std::io::copy(
        &mut File::open(from).map_err(|error| Error::new(from, "", Problem::Open(error)))?,
        &mut File::options().write(true).open(&beside).map_err(|error| fail(&error))?,
    )
    .map_err(|error| fail(&error))?;
    let write = || -> std::result::Result<hdf5::File, hdf5::Error> {
        let mut options = hdf5::FileBuilder::new();
        options.with_fapl(|access| access.file_locking(false));
        options.open_rw(&beside)
    };
    let file = write().map_err(|error| Error::new(to, "", Problem::from_write(&error)))?;
    let written = annotate_open(to, &file, name, value);
    let closed = file.flush().and_then(|()| file.close());
    written?;
    closed.map_err(|error| Error::new(to, "", Problem::from_write(&error)))?;
    File::open(&beside).and_then(|file| file.sync_all()).map_err(|error| fail(&error))?;
    beside.persist(to).map_err(|error| fail(&error.error))
}

fn annotate_open(path: &Path, file: &hdf5::File, name: &str, value: &Value) -> Result<()> {
    let failed = |error: hdf5::Error| Error::new(path, "uns", Problem::from_write(&error));
    let root = file.group("/").map_err(failed)?;
    let uns = match root.link_exists("uns") {
        true => {
            let uns = root.group("uns").map_err(failed)?;
            if uns.link_exists(name) {
                uns.unlink(name).map_err(failed)?;
            }
            Target::existing(path, "uns", uns)
        }
        false => Target::root(path, root).group("uns", "dict", "0.1.0")?,
    };
    value::write(&uns, name, value)
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
