//! Reading a row file: its footer when it is opened, then the records of the rows asked for and no more.

use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use flate2::read::ZlibDecoder;
use rayon::prelude::*;

use super::{BLOCK, BLOCK_BYTES, Cell, Columns, Error, FOOTER, MAGIC, cell};
use crate::domain::{Csr, Expression};
use crate::objects::{ObjectKey, Objects};

/// Names of genes may take this much, unpacked.
const MOST_GENES: u64 = 256 << 20;

/// Where a row file is.
#[derive(Clone, Debug)]
pub enum Source {
    /// On this machine.
    Path(PathBuf),
    /// In the object store; ranges of it are read.
    Object(Objects, ObjectKey),
}

impl Source {
    /// Where an object is: on this machine where the store is a folder of it.
    pub fn of(objects: &Objects, key: ObjectKey) -> Result<Self, Error> {
        Ok(match objects.local_path(&key)? {
            Some(path) => Self::Path(path),
            None => Self::Object(objects.clone(), key),
        })
    }
}

/// An open row file. Cheap to clone.
#[derive(Clone, Debug)]
pub struct RowFile {
    place: Place,
    n_rows: u64,
    n_cols: u64,
    directory: u64,
    genes: Arc<Vec<String>>,
}

#[derive(Clone, Debug)]
enum Place {
    File(Arc<File>, PathBuf),
    Object(Objects, ObjectKey),
}

impl RowFile {
    /// Opens a file and checks that it was written for the import of this fingerprint.
    pub async fn open(source: Source, fingerprint: [u8; 32]) -> Result<Self, Error> {
        let (place, length) = match source {
            Source::Path(path) => {
                let failed = |source| Error::File { what: "read", path: path.clone(), source };
                let file = File::open(&path).map_err(failed)?;
                let length = file.metadata().map_err(failed)?.len();
                (Place::File(Arc::new(file), path), length)
            }
            Source::Object(objects, key) => {
                let length = objects.size(&key).await?;
                (Place::Object(objects, key), length)
            }
        };
        let shown = place.shown();
        let damaged = |what: &str| Error::Damaged { place: shown.clone(), what: what.to_owned() };
        let Some(footer_at) = length.checked_sub(FOOTER as u64) else {
            return Err(Error::NotRows { place: shown });
        };
        let footer = place.read(std::slice::from_ref(&(footer_at..length))).await?.swap_remove(0);
        let (body, magic) = footer.split_last_chunk::<8>().ok_or_else(|| damaged("the footer is too short"))?;
        if *magic != MAGIC {
            return Err(Error::NotRows { place: shown });
        }
        let body = checked(body).ok_or_else(|| damaged("the checksum of its footer is wrong"))?;
        let (words, rest) = body.as_chunks::<8>();
        let number = |at: usize| words.get(at).map_or(0, |word| u64::from_le_bytes(*word));
        if body.get(40..72) != Some(&fingerprint[..]) || !rest.is_empty() {
            return Err(Error::OtherImport { place: shown });
        }
        let (n_rows, n_cols, genes, directory) = (number(0), number(1), number(3), number(4));
        let blocks = n_rows.div_ceil(BLOCK).checked_mul(BLOCK_BYTES as u64);
        let fits = genes <= directory && blocks.and_then(|bytes| bytes.checked_add(directory)) == Some(footer_at);
        if !fits || n_cols > u64::from(u32::MAX) {
            return Err(damaged("its parts do not fit its length"));
        }
        let packed = place.read(std::slice::from_ref(&(genes..directory))).await?.swap_remove(0);
        let packed = checked(&packed).ok_or_else(|| damaged("the checksum of its genes is wrong"))?;
        let mut names = String::new();
        let read = ZlibDecoder::new(packed).take(MOST_GENES).read_to_string(&mut names);
        let genes: Vec<String> = names.split('\n').map(str::to_owned).collect();
        if read.is_err() || genes.len() as u64 != n_cols {
            return Err(damaged("its names of genes cannot be read"));
        }
        Ok(Self { place, n_rows, n_cols, directory, genes: Arc::new(genes) })
    }

    /// Number of cells.
    pub fn n_rows(&self) -> u64 {
        self.n_rows
    }

    /// Names of the genes.
    pub fn genes(&self) -> &[String] {
        &self.genes
    }

    /// Reads rows in the order given, of all columns or of the wanted ones in their order.
    pub async fn read(&self, rows: &[u32], columns: Option<Columns>) -> Result<Expression, Error> {
        let n_rows = self.n_rows;
        if let Some(&row) = rows.iter().find(|&&row| u64::from(row) >= n_rows) {
            return Err(Error::NoSuchRow { row: row.into(), n_rows, place: self.place.shown() });
        }
        let (all, rows, columns) = (self.clone(), rows.to_vec(), columns.map(Arc::new));
        let wanted = columns.clone();
        let cells = match &self.place {
            Place::File(..) => blocking(move || all.read_file(&rows, wanted.as_deref())).await?,
            Place::Object(..) => {
                let blocks = self.place.read(&self.blocks(&rows)).await?;
                let records = self.place.read(&self.records(&rows, &blocks)?).await?;
                blocking(move || {
                    let decode = |record: &Bytes| all.decode(record, wanted.as_deref());
                    records.par_iter().map(decode).collect::<Result<Vec<_>, _>>()
                })
                .await?
            }
        };
        let genes = match &columns {
            None => self.genes.to_vec(),
            Some(columns) => vec![String::new(); columns.len()],
        };
        self.assemble(cells, genes)
    }

    fn read_file(&self, rows: &[u32], wanted: Option<&Columns>) -> Result<Vec<Cell>, Error> {
        let blocks: Vec<Bytes> =
            self.blocks(rows).iter().map(|range| self.place.read_here(range)).collect::<Result<_, _>>()?;
        let records = self.records(rows, &blocks)?;
        let read = |range: &Range<u64>| self.decode(&self.place.read_here(range)?, wanted);
        records.par_iter().with_min_len(16).map(read).collect()
    }

    fn decode(&self, record: &[u8], wanted: Option<&Columns>) -> Result<Cell, Error> {
        cell::read(record, self.n_cols, wanted).map_err(|what| self.damaged(what))
    }

    /// Where the blocks of the directory are that tell where rows are, ascending and each once.
    fn blocks(&self, rows: &[u32]) -> Vec<Range<u64>> {
        let range = |block: u64| {
            let start = self.directory + block * BLOCK_BYTES as u64;
            start..start + BLOCK_BYTES as u64
        };
        block_numbers(rows).into_iter().map(range).collect()
    }

    /// Where the records of rows are, given those blocks.
    fn records(&self, rows: &[u32], blocks: &[Bytes]) -> Result<Vec<Range<u64>>, Error> {
        let numbers = block_numbers(rows);
        let mut starts = Vec::with_capacity(blocks.len());
        for block in blocks {
            let block = checked(block).ok_or_else(|| self.damaged("a checksum of its directory is wrong"))?;
            let (first, lengths) = block.split_first_chunk::<8>().ok_or_else(|| self.damaged("a short directory"))?;
            // Each length is below 2^32 and there are few, so that only the beginning can be too large.
            let mut at = u64::from_le_bytes(*first).min(self.directory);
            let (lengths, _) = lengths.as_chunks::<4>();
            let mut ends = vec![at];
            for length in lengths {
                at += u64::from(u32::from_le_bytes(*length));
                ends.push(at);
            }
            starts.push(ends);
        }
        let record = |&row: &u32| {
            let (block, at) = (u64::from(row) / BLOCK, (u64::from(row) % BLOCK) as usize);
            let ends = numbers.binary_search(&block).ok().and_then(|place| starts.get(place));
            let range = ends.and_then(|ends| Some(*ends.get(at)?..*ends.get(at + 1)?));
            let inside = |range: &Range<u64>| range.start >= MAGIC.len() as u64 && range.end <= self.directory;
            range.filter(inside).ok_or_else(|| self.damaged("its directory leads outside of it"))
        };
        rows.iter().map(record).collect()
    }

    fn assemble(&self, cells: Vec<Cell>, genes: Vec<String>) -> Result<Expression, Error> {
        let n = cells.iter().map(|cell| cell.columns.len()).sum();
        let (mut indptr, mut names) = (vec![0], Vec::with_capacity(cells.len()));
        let (mut indices, mut values) = (Vec::with_capacity(n), Vec::with_capacity(n));
        for cell in cells {
            indices.extend_from_slice(&cell.columns);
            values.extend_from_slice(&cell.counts);
            indptr.push(indices.len());
            names.push(cell.name);
        }
        let counts = Csr::new(genes.len(), indptr, indices, values);
        let counts = counts.map_err(|error| self.damaged(&error.to_string()))?;
        Ok(Expression { cells: names, genes, counts })
    }

    fn damaged(&self, what: &str) -> Error {
        Error::Damaged { place: self.place.shown(), what: what.to_owned() }
    }
}

impl Place {
    fn shown(&self) -> String {
        match self {
            Self::File(_, path) => path.display().to_string(),
            Self::Object(objects, key) => objects.address_of(key),
        }
    }

    async fn read(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, Error> {
        match self {
            Self::File(..) => ranges.iter().map(|range| self.read_here(range)).collect(),
            Self::Object(objects, key) => Ok(objects.get_ranges(key, ranges).await?),
        }
    }

    /// Reads a range that lies in the file; nothing of an object.
    fn read_here(&self, range: &Range<u64>) -> Result<Bytes, Error> {
        let Self::File(file, path) = self else { return Ok(Bytes::new()) };
        let mut bytes = vec![0; (range.end - range.start) as usize];
        let read = file.read_exact_at(&mut bytes, range.start);
        read.map_err(|source| Error::File { what: "read", path: path.clone(), source })?;
        Ok(bytes.into())
    }
}

/// The blocks of the directory that rows are in, ascending and each once.
fn block_numbers(rows: &[u32]) -> Vec<u64> {
    let mut numbers: Vec<u64> = rows.iter().map(|&row| u64::from(row) / BLOCK).collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

/// What comes before a checksum, if that is right.
fn checked(bytes: &[u8]) -> Option<&[u8]> {
    let (body, checksum) = bytes.split_last_chunk::<4>()?;
    (crc32fast::hash(body) == u32::from_le_bytes(*checksum)).then_some(body)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Error::Interrupted)?
}
