//! Folders of 10x Genomics on their way in: written as an `.h5ad`, because a folder cannot be read a few cells
//! at a time.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::anndata;
use crate::cli::{Error, Result};

/// A folder that was written as a file, which lasts only if it is imported.
pub(super) struct Converted {
    /// Where the file is now.
    file: PathBuf,
    /// Where it is kept: the name tells the content, so that the file of another import stays what it is.
    place: PathBuf,
    /// Whether it was put there for this import and would be of no use without it.
    is_new: bool,
    /// Where it is written; goes with what is left in it.
    _scratch: TempDir,
}

impl Converted {
    /// Writes the cells of the folder `from` to a file, which is to be kept among the `atlases` unless this
    /// is a dry run.
    pub(super) fn write(from: &Path, atlases: &Path, dataset: &str, dry_run: bool) -> Result<Self> {
        let data = anndata::read_mtx_folder(from).map_err(Error::failed)?;
        let failed = |error: std::io::Error| Error::failed(format!("cannot write in {}: {error}", atlases.display()));
        let scratch = match dry_run {
            true => tempfile::tempdir().map_err(|error| Error::failed(format!("no temporary folder: {error}")))?,
            false => {
                fs::create_dir_all(atlases).map_err(failed)?;
                tempfile::Builder::new().prefix(".haystack-").tempdir_in(atlases).map_err(failed)?
            }
        };
        let file = scratch.path().join("cells.h5ad");
        anndata::write(&file, &data)?;
        let digest = sha256(&file).map_err(failed)?;
        let place = atlases.join(format!("{dataset}-{}.h5ad", &digest[..16]));
        Ok(Self { file, place, is_new: false, _scratch: scratch })
    }

    /// Where the file is now.
    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// Where it is kept, or would be.
    pub(super) fn place(&self) -> &Path {
        &self.place
    }

    /// Puts the file in its place, unless the same is there.
    pub(super) fn put_in_place(&mut self) -> Result {
        let failed = |error: std::io::Error| Error::failed(format!("cannot write {}: {error}", self.place.display()));
        let is_there = self.place.exists();
        if !is_there || sha256(&self.place).map_err(failed)? != sha256(&self.file).map_err(failed)? {
            fs::rename(&self.file, &self.place).map_err(failed)?;
            self.is_new = !is_there;
        }
        self.file.clone_from(&self.place);
        Ok(())
    }

    /// Lets the file last: it was imported.
    pub(super) fn imported(mut self) {
        self.is_new = false;
    }
}

impl Drop for Converted {
    fn drop(&mut self) {
        if self.is_new {
            // One that cannot be removed is taken for what it is by the next import.
            let _ = fs::remove_file(&self.place);
        }
    }
}

fn sha256(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; 1 << 20]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex::encode(hash.finalize())),
            n => hash.update(&buffer[..n]),
        }
    }
}
