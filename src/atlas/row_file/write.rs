//! Writing a row file, a cell after the other: beside its place, moved there once it is complete.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::ZlibEncoder;

use super::{BLOCK, Error, MAGIC, cell};

/// A row file that is being written. Dropped before [`Writer::finish`], it leaves nothing.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    out: BufWriter<tempfile::NamedTempFile>,
    /// Their names, joined by line feeds.
    genes: String,
    n_cols: u64,
    n_counts: u64,
    at: u64,
    /// Bytes of each record; where blocks begin follows from them.
    lengths: Vec<u32>,
    record: Vec<u8>,
}

impl Writer {
    /// Begins a file that will be at `path`, with a column for each gene.
    pub fn create(path: &Path, genes: &[String]) -> Result<Self, Error> {
        if let Some(gene) = genes.iter().find(|gene| gene.contains('\n')) {
            return Err(Error::Genes(format!("the name of the gene {gene:?} has a line break in it")));
        }
        if genes.is_empty() {
            return Err(Error::Genes("there are no genes".to_owned()));
        }
        let folder = path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
        let failed = |source| Error::File { what: "write", path: path.to_owned(), source };
        let file = tempfile::Builder::new().prefix(".haystack-").suffix(".rows.part").tempfile_in(folder);
        let mut writer = Self {
            path: path.to_owned(),
            out: BufWriter::with_capacity(1 << 20, file.map_err(failed)?),
            genes: genes.join("\n"),
            n_cols: genes.len() as u64,
            n_counts: 0,
            at: 0,
            lengths: Vec::new(),
            record: Vec::new(),
        };
        writer.put(&MAGIC)?;
        Ok(writer)
    }

    /// Adds the next cell: columns ascending, counts whole and at least 1.
    pub fn add(&mut self, name: &str, columns: &[u32], counts: &[f32]) -> Result<(), Error> {
        let row = self.lengths.len() as u64;
        let mut record = std::mem::take(&mut self.record);
        record.clear();
        let unwritable = |what| Error::Unwritable { row, what };
        if let Some(column) = columns.last().filter(|&&column| u64::from(column) >= self.n_cols) {
            return Err(unwritable(format!("it has a count in column {column} of {}", self.n_cols)));
        }
        cell::write(name, columns, counts, &mut record).map_err(unwritable)?;
        self.put(&record)?;
        self.lengths.push(record.len() as u32);
        self.n_counts += columns.len() as u64;
        self.record = record;
        Ok(())
    }

    /// Ends the file and puts it in its place: its length in bytes. `fingerprint` is that of the import.
    pub fn finish(mut self, fingerprint: [u8; 32]) -> Result<u64, Error> {
        let path = self.path.clone();
        let failed = |source| Error::File { what: "write", path: path.clone(), source };
        let genes_at = self.at;
        let mut packed = ZlibEncoder::new(Vec::new(), Compression::default());
        packed.write_all(self.genes.as_bytes()).map_err(failed)?;
        let packed = packed.finish().map_err(failed)?;
        self.put_checked(packed)?;
        let directory_at = self.at;
        let lengths = std::mem::take(&mut self.lengths);
        let mut start = MAGIC.len() as u64;
        for block in lengths.chunks(BLOCK as usize) {
            let mut bytes = start.to_le_bytes().to_vec();
            for at in 0..BLOCK as usize {
                bytes.extend_from_slice(&block.get(at).copied().unwrap_or(0).to_le_bytes());
            }
            start += block.iter().map(|&length| u64::from(length)).sum::<u64>();
            self.put_checked(bytes)?;
        }
        let numbers = [lengths.len() as u64, self.n_cols, self.n_counts, genes_at, directory_at];
        let mut footer: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        footer.extend_from_slice(&fingerprint);
        self.put_checked(footer)?;
        self.put(&MAGIC)?;
        let length = self.at;
        let file = self.out.into_inner().map_err(|error| failed(error.into_error()))?;
        file.as_file().sync_all().map_err(failed)?;
        let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        std::fs::set_permissions(file.path(), permissions).map_err(failed)?;
        let _: File = file.persist(&path).map_err(|error| failed(error.error))?;
        Ok(length)
    }

    fn put_checked(&mut self, mut bytes: Vec<u8>) -> Result<(), Error> {
        let checksum = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        self.put(&bytes)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.at += bytes.len() as u64;
        self.out.write_all(bytes).map_err(|source| Error::File { what: "write", path: self.path.clone(), source })
    }
}
