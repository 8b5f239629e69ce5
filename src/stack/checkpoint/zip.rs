//! The zip archive that `torch.save` writes: stored entries, one of them the pickle.

use std::fs::File;
use std::io::{BufReader, Read};

use zip::{CompressionMethod, ZipArchive};

use super::Problem;
use super::pickle::MAX_BYTES;
use super::values::Span;

/// An opened archive.
#[derive(Debug)]
pub struct Archive {
    zip: ZipArchive<BufReader<File>>,
    /// Name of the folder every entry lies in.
    root: String,
    file_size: u64,
}

impl Archive {
    /// Opens a checkpoint and finds its pickle.
    pub fn open(file: File) -> Result<Self, Problem> {
        let file_size = file.metadata()?.len();
        let zip = ZipArchive::new(BufReader::new(file))?;
        let names = zip.file_names().filter_map(Result::ok);
        let roots = names.filter_map(|name| name.strip_suffix("/data.pkl").map(str::to_owned));
        let mut roots: Vec<String> = roots.filter(|root| !root.contains('/')).collect();
        let (Some(root), true) = (roots.pop(), roots.is_empty()) else {
            return Err(Problem::Archive(
                "this zip archive is not a torch checkpoint, which holds one entry called FOLDER/data.pkl".to_owned(),
            ));
        };
        let mut archive = Self { zip, root, file_size };
        if archive.zip.index_for_name(&format!("{}/byteorder", archive.root)).is_some()
            && archive.read("byteorder", Some(6))? != b"little"
        {
            return Err(Problem::Archive("the checkpoint was saved on a big-endian machine".to_owned()));
        }
        Ok(archive)
    }

    /// Size of the whole file in bytes.
    pub fn file_size(&self) -> u64 {
        self.file_size
    }

    /// The bytes of the pickle.
    pub fn pickle(&mut self) -> Result<Vec<u8>, Problem> {
        if self.stored_size("data.pkl")? > MAX_BYTES as u64 {
            return Err(Problem::Pickle(super::pickle::PickleError::TooLarge));
        }
        self.read("data.pkl", None)
    }

    /// Size in bytes of a storage.
    pub fn storage_size(&mut self, key: &str) -> Result<u64, Problem> {
        let name = self.storage_name(key)?;
        self.stored_size(&name)
    }

    /// The bytes of a storage; its checksum is verified.
    pub fn storage(&mut self, key: &str) -> Result<Vec<u8>, Problem> {
        let name = self.storage_name(key)?;
        self.read(&name, None)
    }

    /// Where the bytes of a storage are.
    pub fn span(&mut self, key: &str) -> Result<Option<Span>, Problem> {
        let name = self.storage_name(key)?;
        let bytes = self.stored_size(&name)?;
        let entry = self.zip.by_name(&format!("{}/{name}", self.root))?;
        let crc32 = Some(entry.crc32());
        Ok(entry.data_start().map(|start| Span { start, bytes, crc32 }))
    }

    fn storage_name(&self, key: &str) -> Result<String, Problem> {
        if key.is_empty() || !key.bytes().all(|b| b.is_ascii_digit()) {
            return Err(Problem::Archive(format!("'{}' is not the number of a storage", key.escape_debug())));
        }
        Ok(format!("data/{key}"))
    }

    /// Size of an entry, which cannot be more than the file: entries must be stored as they are, so
    /// a small file cannot unpack to a large one.
    fn stored_size(&mut self, name: &str) -> Result<u64, Problem> {
        let (file_size, path) = (self.file_size, format!("{}/{name}", self.root));
        let entry = self.zip.by_name(&path)?;
        if entry.compression() != CompressionMethod::Stored || entry.size() != entry.compressed_size() {
            return Err(Problem::Archive(format!(
                "entry '{path}' is compressed; torch.save stores entries as they are. Save the checkpoint again with torch.save"
            )));
        }
        if entry.size() > file_size {
            return Err(Problem::Archive(format!("entry '{path}' claims to be larger than the file")));
        }
        Ok(entry.size())
    }

    fn read(&mut self, name: &str, most: Option<u64>) -> Result<Vec<u8>, Problem> {
        let size = self.stored_size(name)?;
        let size = most.map_or(size, |most| most.min(size));
        let mut bytes = Vec::with_capacity(size as usize);
        // One byte more than there should be, so that the end is reached and the checksum compared.
        self.zip.by_name(&format!("{}/{name}", self.root))?.take(size + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 != size {
            return Err(Problem::Archive(format!("entry '{name}' holds {} bytes, not {size}", bytes.len())));
        }
        Ok(bytes)
    }
}
