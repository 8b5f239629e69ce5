//! The folder of an imported model: weights as safetensors, configuration, genes, and what it is.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::checkpoint::{CONFIG_FILE, Checkpoint, CheckpointError, Kind, WEIGHTS_FILE};
use super::genes::{GeneList, GeneListError};

/// The gene list, a JSON array.
pub const GENES_FILE: &str = "genes.json";
/// What the model is; written last.
pub const ABOUT_FILE: &str = "model.json";
/// When the weights were last hashed, and what they looked like then. Only of use on the disk it was
/// written on, so it is not part of the model.
const CHECKED_FILE: &str = "checked.json";
/// Every file of the folder, in the order they are written.
pub const FILES: [&str; 4] = [WEIGHTS_FILE, CONFIG_FILE, GENES_FILE, ABOUT_FILE];

/// What a model is and where it came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// The name it was imported under.
    pub name: String,
    /// Base or aligned.
    pub kind: Kind,
    /// Genes in its list.
    pub n_genes: usize,
    /// Cells in a window.
    pub n_cells: usize,
    /// Licence of the weights, as the importing user stated it.
    pub licence: Option<String>,
    /// File name of the checkpoint it was converted from.
    pub source: String,
    /// SHA-256 of the weights file, in hexadecimal.
    pub sha256: String,
    /// SHA-256 of the gene list file, in hexadecimal.
    pub genes_sha256: String,
}

impl About {
    /// Whether two imports hold the same model: weights and genes.
    pub fn is_same_model(&self, other: &Self) -> bool {
        self.sha256 == other.sha256 && self.genes_sha256 == other.genes_sha256
    }
}

/// Why a model could not be converted or opened.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// The checkpoint.
    #[error("{0}")]
    Checkpoint(#[from] CheckpointError),
    /// The gene list.
    #[error("{0}")]
    Genes(#[from] GeneListError),
    /// Checkpoint and gene list do not belong together.
    #[error(
        "{checkpoint} was trained on {model} genes and the list has {listed}: they do not belong together; \
         give the gene list that was published with these weights", checkpoint = checkpoint.display()
    )]
    GeneCount {
        /// The checkpoint.
        checkpoint: PathBuf,
        /// Genes of the model.
        model: usize,
        /// Genes of the list.
        listed: usize,
    },
    /// Reading or writing a file.
    #[error("{path}: {error}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The description is not one.
    #[error("{path}: {error}", path = path.display())]
    About {
        /// The file.
        path: PathBuf,
        /// Why.
        error: serde_json::Error,
    },
}

/// Writes the folder's files from a checkpoint and its gene list. The same input gives the same bytes.
pub fn convert(
    checkpoint: &mut Checkpoint,
    genes: &GeneList,
    name: &str,
    licence: Option<&str>,
    folder: &Path,
) -> Result<About, FolderError> {
    check_genes(checkpoint, genes)?;
    let weights = folder.join(WEIGHTS_FILE);
    let io = |path: &Path| {
        let path = path.to_owned();
        move |error| FolderError::Io { path, error }
    };
    let file = File::create(&weights).map_err(io(&weights))?;
    let mut file = BufWriter::with_capacity(1 << 20, Hashed { inner: file, hash: Sha256::new() });
    checkpoint.write_safetensors(&mut file)?;
    let hashed = file.into_inner().map_err(|error| io(&weights)(error.into_error()))?;
    hashed.inner.sync_all().map_err(io(&weights))?;

    let genes_json = json(genes.names());
    let about = About {
        name: name.to_owned(),
        kind: checkpoint.kind(),
        n_genes: genes.len(),
        n_cells: checkpoint.config().n_cells,
        licence: licence.map(str::to_owned),
        source: checkpoint.path().file_name().unwrap_or_default().to_string_lossy().into_owned(),
        sha256: hex::encode(hashed.hash.finalize()),
        genes_sha256: hex::encode(Sha256::digest(&genes_json)),
    };
    for (file, content) in
        [(CONFIG_FILE, json(checkpoint.config())), (GENES_FILE, genes_json), (ABOUT_FILE, json(&about))]
    {
        let path = folder.join(file);
        fs::write(&path, content).map_err(io(&path))?;
    }
    Ok(about)
}

/// Reads what an imported model is. `None` where the folder has no description.
pub fn about(folder: &Path) -> Result<Option<About>, FolderError> {
    let path = folder.join(ABOUT_FILE);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(FolderError::Io { path, error }),
    };
    serde_json::from_slice(&text).map(Some).map_err(|error| FolderError::About { path, error })
}

/// Refuses a gene list that is not as long as the model is wide.
pub fn check_genes(checkpoint: &Checkpoint, genes: &GeneList) -> Result<(), FolderError> {
    let model = checkpoint.config().n_genes;
    if genes.len() == model {
        return Ok(());
    }
    Err(FolderError::GeneCount { checkpoint: checkpoint.path().to_owned(), model, listed: genes.len() })
}

/// SHA-256 of a file, in hexadecimal.
pub fn sha256(path: &Path) -> Result<String, FolderError> {
    let hash = || -> io::Result<String> {
        let mut hash = Hashed { inner: io::sink(), hash: Sha256::new() };
        io::copy(&mut File::open(path)?, &mut hash)?;
        Ok(hex::encode(hash.hash.finalize()))
    };
    hash().map_err(|error| FolderError::Io { path: path.to_owned(), error })
}

/// What a file looks like from outside, and the SHA-256 it had when it looked so.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Checked {
    bytes: u64,
    /// Nanoseconds since 1970.
    modified: u128,
    sha256: String,
}

/// SHA-256 of the weights in the folder of an imported model, in hexadecimal. They are hashed when their
/// size or time is not as it was when they were last hashed: once after an import, and once after the
/// folder was copied.
pub fn checked_sha256(folder: &Path) -> Result<String, FolderError> {
    let weights = folder.join(WEIGHTS_FILE);
    let looks = looks(&weights).map_err(|error| FolderError::Io { path: weights.clone(), error })?;
    let noted = fs::read(folder.join(CHECKED_FILE)).ok();
    let noted = noted.and_then(|json| serde_json::from_slice::<Checked>(&json).ok());
    if let Some(noted) = noted.filter(|noted| (noted.bytes, noted.modified) == looks) {
        return Ok(noted.sha256);
    }
    let sha256 = sha256(&weights)?;
    note_checked(folder, &sha256);
    Ok(sha256)
}

/// Notes the hash of the weights in a folder, which must be what they have now. Where nothing can be
/// written they are hashed again the next time.
pub fn note_checked(folder: &Path, sha256: &str) {
    let note = folder.join(CHECKED_FILE);
    let noted = looks(&folder.join(WEIGHTS_FILE)).and_then(|(bytes, modified)| {
        write_beside(&note, &json(&Checked { bytes, modified, sha256: sha256.to_owned() }))
    });
    if let Err(error) = noted {
        tracing::debug!("{} is not written: {error}", note.display());
    }
}

/// Size and time of a file.
fn looks(file: &Path) -> io::Result<(u64, u128)> {
    let data = fs::metadata(file)?;
    Ok((data.len(), data.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos()))
}

/// Puts a small file in its place at once: another process may be doing the same.
fn write_beside(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(path.parent().unwrap_or(Path::new(".")))?;
    file.write_all(content)?;
    file.persist(path)?;
    Ok(())
}

fn json(value: &(impl Serialize + ?Sized)) -> Vec<u8> {
    let mut text = serde_json::to_vec_pretty(value).expect("strings and finite numbers are JSON");
    text.push(b'\n');
    text
}

/// A writer that hashes what passes.
struct Hashed<W> {
    inner: W,
    hash: Sha256,
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
