//! Rows of counts in memory or, beyond what memory is allowed, in scratch files.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use super::model::States;
use crate::domain::Csr;

/// Bytes of one entry: its column and its value.
const ENTRY: usize = 8;

/// Rows passed on at once.
const BLOCK: usize = 1024;

/// How much memory cells on their way may take, and where the rest goes.
#[derive(Clone, Debug)]
pub struct Budget {
    /// Bytes for each matrix that is held: the query cells, and the embeddings of a step.
    pub bytes: usize,
    /// Folder for scratch files, which have no name and end with the process.
    pub scratch: PathBuf,
}

impl Budget {
    /// Everything in memory.
    pub fn unlimited() -> Self {
        Self { bytes: usize::MAX, scratch: std::env::temp_dir() }
    }

    fn file(&self) -> io::Result<File> {
        let named = |error: io::Error| {
            io::Error::new(error.kind(), format!("no scratch file in {}: {error}", self.scratch.display()))
        };
        tempfile::tempfile_in(&self.scratch).map_err(named)
    }
}

/// A sparse matrix that is read by rows. A clone is the same matrix, not a copy of it.
#[derive(Clone, Debug)]
pub struct Spool {
    n_cols: usize,
    body: Body,
}

#[derive(Clone, Debug)]
enum Body {
    Memory(Arc<Csr>),
    Files(Arc<Files>),
}

/// Columns as `u32` and values as `f32`, little-endian, row after row.
#[derive(Debug)]
struct Files {
    indptr: Vec<u64>,
    indices: File,
    values: File,
}

impl From<Csr> for Spool {
    fn from(csr: Csr) -> Self {
        Self { n_cols: csr.n_cols(), body: Body::Memory(Arc::new(csr)) }
    }
}

impl Spool {
    /// Number of rows.
    pub fn n_rows(&self) -> usize {
        match &self.body {
            Body::Memory(csr) => csr.n_rows(),
            Body::Files(files) => files.indptr.len() - 1,
        }
    }

    /// Number of columns.
    pub fn n_cols(&self) -> usize {
        self.n_cols
    }

    /// The matrix, where it is in memory.
    pub fn in_memory(&self) -> Option<&Csr> {
        match &self.body {
            Body::Memory(csr) => Some(csr),
            Body::Files(_) => None,
        }
    }

    /// A matrix that holds the given rows, and where in it they are. What is in memory is not copied.
    ///
    /// # Panics
    /// If a row is out of range.
    pub fn rows<'a>(&'a self, rows: &'a [usize]) -> io::Result<(Cow<'a, Csr>, Cow<'a, [usize]>)> {
        match &self.body {
            Body::Memory(csr) => Ok((Cow::Borrowed(&**csr), Cow::Borrowed(rows))),
            Body::Files(files) => {
                let mut found = Builder::new(self.n_cols);
                // Neighbours are read together: the cells of a window are such.
                for run in rows.chunk_by(|a, b| a + 1 == *b) {
                    found.extend(&files.read(run[0]..run[0] + run.len(), self.n_cols)?);
                }
                Ok((Cow::Owned(found.finish()), Cow::Owned((0..rows.len()).collect())))
            }
        }
    }

    /// Consecutive rows.
    ///
    /// # Panics
    /// If they are out of range.
    pub fn block(&self, rows: Range<usize>) -> io::Result<Csr> {
        match &self.body {
            Body::Memory(csr) => Ok(csr.select_rows(&rows.collect::<Vec<_>>())),
            Body::Files(files) => files.read(rows, self.n_cols),
        }
    }

    /// The whole matrix in memory, whatever it takes.
    pub fn into_csr(self) -> io::Result<Csr> {
        match self.body {
            Body::Memory(csr) => Ok(Arc::unwrap_or_clone(csr)),
            Body::Files(files) => files.read(0..files.indptr.len() - 1, self.n_cols),
        }
    }

    /// The parts of a matrix that is in files: row pointers, columns as `u32` and values as `f32`, both
    /// little-endian. `None` where it is in memory.
    pub fn parts(&self) -> Option<(&[u64], impl Read, impl Read)> {
        let Body::Files(files) = &self.body else { return None };
        let from_start = |file| FromStart { file, at: 0 };
        Some((&files.indptr, from_start(&files.indices), from_start(&files.values)))
    }
}

/// Reads a file from its beginning, whatever else reads it.
struct FromStart<'a> {
    file: &'a File,
    at: u64,
}

impl Read for FromStart<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(bytes, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

impl Files {
    fn read(&self, rows: Range<usize>, n_cols: usize) -> io::Result<Csr> {
        let pointers = &self.indptr[rows.start..=rows.end];
        let (start, end) = (pointers[0], pointers[pointers.len() - 1]);
        let words = |file: &File| -> io::Result<Vec<[u8; 4]>> {
            let mut bytes = vec![0; (end - start) as usize * 4];
            file.read_exact_at(&mut bytes, start * 4)?;
            Ok(bytes.as_chunks::<4>().0.to_vec())
        };
        let indices = words(&self.indices)?.into_iter().map(u32::from_le_bytes).collect();
        let values = words(&self.values)?.into_iter().map(f32::from_le_bytes).collect();
        let indptr = pointers.iter().map(|pointer| (pointer - start) as usize).collect();
        Csr::new(n_cols, indptr, indices, values).map_err(|error| io::Error::other(format!("scratch file: {error}")))
    }
}

/// Takes rows one after the other, first into memory, then into files.
pub struct Spooler {
    budget: Budget,
    held: Builder,
    files: Option<(Vec<u64>, BufWriter<File>, BufWriter<File>)>,
}

impl Spooler {
    /// For rows of so many columns.
    pub fn new(n_cols: usize, budget: &Budget) -> Self {
        Self { budget: budget.clone(), held: Builder::new(n_cols), files: None }
    }

    /// Appends a row of columns with their values, columns ascending.
    pub fn push(&mut self, row: impl IntoIterator<Item = (u32, f32)>) -> io::Result<()> {
        if let Some((indptr, indices, values)) = &mut self.files {
            let mut end = indptr.last().copied().unwrap_or(0);
            for (column, value) in row {
                indices.write_all(&column.to_le_bytes())?;
                values.write_all(&value.to_le_bytes())?;
                end += 1;
            }
            indptr.push(end);
            return Ok(());
        }
        self.held.push(row);
        if self.held.bytes() > self.budget.bytes {
            self.spill()?;
        }
        Ok(())
    }

    /// Appends the rows of a matrix.
    pub fn extend(&mut self, block: &Csr) -> io::Result<()> {
        (0..block.n_rows()).try_for_each(|row| self.push(pairs(block, row)))
    }

    /// Appends the rows of a matrix that may lie in files.
    pub fn append(&mut self, rows: &Spool) -> io::Result<()> {
        (0..rows.n_rows()).step_by(BLOCK).try_for_each(|start| {
            let block = rows.block(start..rows.n_rows().min(start + BLOCK))?;
            self.extend(&block)
        })
    }

    /// Moves what is held to files, where all that follows goes too.
    fn spill(&mut self) -> io::Result<()> {
        let file = || Ok::<_, io::Error>(BufWriter::with_capacity(1 << 20, self.budget.file()?));
        self.files = Some((vec![0], file()?, file()?));
        let empty = Builder::new(self.held.n_cols);
        let held = std::mem::replace(&mut self.held, empty).finish();
        tracing::debug!(rows = held.n_rows(), "cells go to scratch files from here on");
        self.extend(&held)
    }

    /// What was taken.
    pub fn finish(self) -> io::Result<Spool> {
        let n_cols = self.held.n_cols;
        let body = match self.files {
            None => Body::Memory(Arc::new(self.held.finish())),
            Some((indptr, indices, values)) => {
                let end = |file: BufWriter<File>| file.into_inner().map_err(io::IntoInnerError::into_error);
                Body::Files(Arc::new(Files { indptr, indices: end(indices)?, values: end(values)? }))
            }
        };
        Ok(Spool { n_cols, body })
    }
}

/// A matrix that grows by rows.
struct Builder {
    n_cols: usize,
    indptr: Vec<usize>,
    indices: Vec<u32>,
    values: Vec<f32>,
}

impl Builder {
    fn new(n_cols: usize) -> Self {
        Self { n_cols, indptr: vec![0], indices: Vec::new(), values: Vec::new() }
    }

    fn push(&mut self, row: impl IntoIterator<Item = (u32, f32)>) {
        for (column, value) in row {
            self.indices.push(column);
            self.values.push(value);
        }
        self.indptr.push(self.indices.len());
    }

    fn extend(&mut self, block: &Csr) {
        (0..block.n_rows()).for_each(|row| self.push(pairs(block, row)));
    }

    fn bytes(&self) -> usize {
        self.indices.len() * ENTRY + self.indptr.len() * size_of::<usize>()
    }

    fn finish(self) -> Csr {
        Csr::new(self.n_cols, self.indptr, self.indices, self.values).expect("rows of a matrix, one after the other")
    }
}

/// Columns and values of a row, in pairs.
pub fn pairs(csr: &Csr, row: usize) -> impl Iterator<Item = (u32, f32)> {
    let (columns, values) = csr.row(row);
    columns.iter().copied().zip(values.iter().copied())
}

/// The embeddings of windows, in memory or, beyond the budget, in a scratch file.
#[derive(Debug)]
pub struct Windows {
    budget: Budget,
    held: Vec<States>,
    bytes_held: usize,
    spilled: Option<File>,
    /// Of each that was spilled: where it begins, how many numbers, and how many per cell.
    places: Vec<(u64, usize, usize)>,
}

impl Windows {
    /// None yet.
    pub fn new(budget: &Budget) -> Self {
        Self { budget: budget.clone(), held: Vec::new(), bytes_held: 0, spilled: None, places: Vec::new() }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.held.len() + self.places.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends the embeddings of a window.
    pub fn push(&mut self, states: States) -> io::Result<()> {
        let bytes = size_of_val(states.values());
        if self.spilled.is_none() && self.bytes_held.saturating_add(bytes) <= self.budget.bytes {
            self.bytes_held += bytes;
            self.held.push(states);
            return Ok(());
        }
        let file = match &mut self.spilled {
            Some(file) => file,
            none => none.insert(self.budget.file()?),
        };
        let start = self.places.last().map_or(0, |(start, count, _)| start + 4 * *count as u64);
        let bytes: Vec<u8> = states.values().iter().flat_map(|value| value.to_le_bytes()).collect();
        file.write_all_at(&bytes, start)?;
        self.places.push((start, states.values().len(), states.width()));
        Ok(())
    }

    /// The embeddings of one window.
    ///
    /// # Panics
    /// If there is no such window.
    pub fn get(&self, window: usize) -> io::Result<Cow<'_, States>> {
        if let Some(states) = self.held.get(window) {
            return Ok(Cow::Borrowed(states));
        }
        let (start, count, width) = self.places[window - self.held.len()];
        let file = self.spilled.as_ref().expect("a file holds what memory does not");
        let mut bytes = vec![0; count * 4];
        file.read_exact_at(&mut bytes, start)?;
        let values = bytes.as_chunks().0.iter().map(|&word| f32::from_le_bytes(word)).collect();
        Ok(Cow::Owned(States::new(values, width)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix() -> Csr {
        let rows =
            (0..50_u32).map(|row| (0..row % 7).map(|column| (column, (row * 10 + column) as f32)).collect::<Vec<_>>());
        Csr::from_rows(7, rows).unwrap()
    }

    fn budget(bytes: usize) -> Budget {
        Budget { bytes, ..Budget::unlimited() }
    }

    #[test]
    fn rows_are_the_same_wherever_they_lie() {
        for bytes in [0, 100, 700, usize::MAX] {
            let mut spooler = Spooler::new(7, &budget(bytes));
            spooler.extend(&matrix()).unwrap();
            let spool = spooler.finish().unwrap();
            assert_eq!(spool.in_memory().is_some(), bytes == usize::MAX);
            assert_eq!((spool.n_rows(), spool.n_cols()), (50, 7));
            let wanted = [3, 4, 5, 49, 0, 5];
            let (csr, at) = spool.rows(&wanted).unwrap();
            assert_eq!(csr.select_rows(&at), matrix().select_rows(&wanted), "{bytes}");
            assert_eq!(spool.block(10..13).unwrap(), matrix().select_rows(&[10, 11, 12]));
            if let Some((indptr, mut indices, mut values)) = spool.parts() {
                assert!(indptr.iter().map(|&at| at as usize).eq(matrix().indptr().iter().copied()));
                let read = |from: &mut dyn Read| {
                    let mut bytes = Vec::new();
                    from.read_to_end(&mut bytes).unwrap();
                    bytes
                };
                assert_eq!(
                    read(&mut indices),
                    matrix().indices().iter().flat_map(|c| c.to_le_bytes()).collect::<Vec<_>>()
                );
                assert_eq!(
                    read(&mut values),
                    matrix().values().iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>()
                );
            }
            assert_eq!(spool.into_csr().unwrap(), matrix());
        }
    }

    #[test]
    fn windows_are_the_same_wherever_they_lie() {
        for bytes in [0, 30, usize::MAX] {
            let mut windows = Windows::new(&budget(bytes));
            let window = |at: usize| States::new(vec![at as f32, -1.5, 0.25, 1e-30], 2);
            (0..9).for_each(|at| windows.push(window(at)).unwrap());
            assert_eq!(windows.len(), 9);
            (0..9).rev().for_each(|at| assert_eq!(*windows.get(at).unwrap(), window(at), "{bytes}"));
        }
    }
}
