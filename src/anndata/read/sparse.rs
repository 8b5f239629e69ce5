//! Sparse matrices, compressed by rows or by columns.

use std::ops::Range;

use super::entries::Entries;
use super::rows::stretches;
use crate::anndata::error::{Problem, Result};
use crate::anndata::matrix::Storage;
use crate::anndata::store::{Array, Direct, Group, Kind};

/// Row pointers this far apart are read together rather than apart (32 KiB).
const POINTER_GAP: usize = 4096;
/// Row pointers read at once.
const POINTERS_AT_ONCE: usize = 1 << 20;
/// Entries this far apart are read together rather than apart.
const ENTRY_GAP: usize = 4096;
/// Rows that are read side by side at most.
const FEW_ROWS: usize = 1 << 14;
/// Entries read at once.
pub(super) const ENTRIES_AT_ONCE: usize = 1 << 22;

/// A sparse matrix of an open file.
#[derive(Debug)]
pub(super) struct Sparse {
    by_rows: bool,
    n_rows: usize,
    n_cols: usize,
    indptr: Array,
    indices: Array,
    data: Array,
    direct: Option<Directly>,
}

/// The three parts, where each can be read without the HDF5 library.
#[derive(Debug)]
struct Directly {
    indptr: Direct,
    indices: Direct,
    data: Direct,
}

impl Sparse {
    /// Whether a group says it is a sparse matrix: how it is compressed, in the attributes of anndata
    /// from 0.7 on or in those of h5sparse before.
    pub(super) fn storage(group: &Group) -> Result<Option<Storage>> {
        let attributes = group.attributes();
        let format = match attributes.text("encoding-type")? {
            Some(encoding) => encoding,
            None => attributes.text("h5sparse_format")?.unwrap_or_default(),
        };
        Ok(match format.as_str() {
            "csr_matrix" | "csr" => Some(Storage::Csr),
            "csc_matrix" | "csc" => Some(Storage::Csc),
            _ => None,
        })
    }

    /// Opens a sparse matrix and checks that its parts fit its shape.
    pub(super) fn open(group: &Group, storage: Storage) -> Result<Self> {
        let attributes = group.attributes();
        let shape = match attributes.integers("shape")? {
            Some(shape) => Some(shape),
            None => attributes.integers("h5sparse_shape")?,
        };
        let (n_rows, n_cols) = match shape.as_deref() {
            Some(&[rows, columns]) => match (usize::try_from(rows), usize::try_from(columns)) {
                (Ok(rows), Ok(columns)) => (rows, columns),
                _ => return Err(group.unexpected("a shape of two lengths", &format!("{rows} × {columns}"))),
            },
            Some(other) => return Err(group.unexpected("a shape of two lengths", &format!("{} of them", other.len()))),
            None => return Err(group.fail(Problem::Missing { expected: "the attribute shape".to_owned() })),
        };
        Self::of_parts(group, storage, (n_rows, n_cols))
    }

    /// Takes the three parts of a sparse matrix out of a group, and checks that they fit its shape.
    pub(super) fn of_parts(group: &Group, storage: Storage, (n_rows, n_cols): (usize, usize)) -> Result<Self> {
        let array = |name: &str, expected: &str, numbers: fn(&Kind) -> bool| {
            let array = group.array(name, expected)?;
            if numbers(array.kind()) { Ok(array) } else { Err(array.unexpected(expected, &array.kind().to_string())) }
        };
        let whole: fn(&Kind) -> bool = |kind| matches!(kind, Kind::Integer { .. });
        let any: fn(&Kind) -> bool = |kind| matches!(kind, Kind::Integer { .. } | Kind::Float { .. } | Kind::Boolean);
        let mut sparse = Self {
            by_rows: storage == Storage::Csr,
            n_rows,
            n_cols,
            indptr: array("indptr", "the pointers of a sparse matrix, whole numbers", whole)?,
            indices: array("indices", "the indices of a sparse matrix, whole numbers", whole)?,
            data: array("data", "the values of a sparse matrix, numbers", any)?,
            direct: None,
        };
        let parts = (sparse.indptr.direct(), sparse.indices.direct(), sparse.data.direct());
        if let (Some(indptr), Some(indices), Some(data)) = parts {
            sparse.direct = Some(Directly { indptr, indices, data });
        }
        let (indices, values) = (sparse.indices.length()?, sparse.data.length()?);
        if indices != values {
            let what = format!("{indices} indices but {values} values");
            return Err(group.fail(Problem::Inconsistent { what }));
        }
        let pointers = sparse.indptr.length()?;
        if pointers.checked_sub(1) != Some(sparse.n_major()) {
            let what = format!("{pointers} pointers for {} compressed rows or columns", sparse.n_major());
            return Err(sparse.indptr.fail(Problem::Inconsistent { what }));
        }
        if u32::try_from(sparse.n_cols.max(sparse.n_rows)).is_err() {
            return Err(group.unexpected("fewer than 2^32 rows and columns", &format!("{n_rows} × {n_cols}")));
        }
        Ok(sparse)
    }

    pub(super) fn shape(&self) -> (usize, usize) {
        (self.n_rows, self.n_cols)
    }

    pub(super) fn by_rows(&self) -> bool {
        self.by_rows
    }

    pub(super) fn data(&self) -> &Array {
        &self.data
    }

    pub(super) fn n_stored(&self) -> usize {
        self.data.shape().first().copied().unwrap_or(0)
    }

    fn n_major(&self) -> usize {
        if self.by_rows { self.n_rows } else { self.n_cols }
    }

    /// The given rows, which are ascending and below the number of rows.
    pub(super) fn rows(&self, rows: &[usize]) -> Result<Entries> {
        if self.by_rows { self.rows_of_csr(rows) } else { self.rows_of_csc(rows) }
    }

    /// Reads only the pointers and entries of the rows, and the gaps between them where they are small.
    fn rows_of_csr(&self, rows: &[usize]) -> Result<Entries> {
        if let Some(entries) = self.few_rows(rows) {
            return Ok(entries);
        }
        let mut entries = Entries::new();
        for (positions, span) in stretches(rows, |&row| row..row + 1, POINTER_GAP, POINTERS_AT_ONCE) {
            let pointers = self.pointers(span.clone())?;
            let stored = |&row: &usize| pointers[row - span.start]..pointers[row - span.start + 1];
            let wanted = &rows[positions];
            for (positions, span) in stretches(wanted, stored, ENTRY_GAP, ENTRIES_AT_ONCE) {
                let indices = self.minor_indices(span.clone(), self.n_cols)?;
                let values: Vec<f32> = self.data.numbers(std::slice::from_ref(&span))?;
                for row in &wanted[positions] {
                    let within = stored(row);
                    let within = within.start - span.start..within.end - span.start;
                    entries.indices.extend_from_slice(&indices[within.clone()]);
                    entries.values.extend_from_slice(&values[within]);
                    entries.end_row();
                }
            }
        }
        Ok(entries)
    }

    /// A few rows that lie far apart, where that can be done without the HDF5 library and nothing is wrong.
    fn few_rows(&self, rows: &[usize]) -> Option<Entries> {
        let direct = self.direct.as_ref()?;
        let far_apart = stretches(rows, |&row| row..row + 1, 0, usize::MAX).len() > rows.len() / 2;
        if !far_apart || rows.len() > FEW_ROWS {
            return None;
        }
        let apart = rows.len() * POINTER_GAP < self.n_rows;
        let ranges: Vec<Range<usize>> = if apart {
            let pairs: Vec<Range<usize>> = rows.iter().map(|&row| row..row + 2).collect();
            let pointers = direct.indptr.indices(&pairs, self.n_stored() + 1)?;
            pointers.iter().map(|pair| pair[0] as usize..pair[1] as usize).collect()
        } else {
            let (&first, &last) = (rows.first()?, rows.last()?);
            let pointers = self.pointers(first..last + 1).ok()?;
            rows.iter().map(|&row| pointers[row - first]..pointers[row - first + 1]).collect()
        };
        let total: usize = ranges.iter().map(ExactSizeIterator::len).sum();
        if ranges.iter().any(|range| range.start > range.end) || total > ENTRIES_AT_ONCE {
            return None;
        }
        let (indices, values) = (direct.indices.indices(&ranges, self.n_cols)?, direct.data.floats(&ranges)?);
        let mut entries = Entries::new();
        for (indices, values) in indices.iter().zip(&values) {
            entries.indices.extend(indices.iter().map(|&index| index as u32));
            entries.values.extend_from_slice(values);
            entries.end_row();
        }
        Some(entries)
    }

    /// Entries of each row of a matrix compressed by rows.
    pub(super) fn stored_per_row(&self) -> Result<Vec<u32>> {
        let mut stored = Vec::with_capacity(self.n_rows);
        for start in (0..self.n_rows).step_by(POINTERS_AT_ONCE) {
            let pointers = self.pointers(start..self.n_rows.min(start + POINTERS_AT_ONCE))?;
            for (row, pair) in pointers.windows(2).enumerate() {
                stored.push(u32::try_from(pair[1] - pair[0]).map_err(|_| {
                    let what = format!("row {} has {} entries", start + row, pair[1] - pair[0]);
                    self.indptr.fail(Problem::Inconsistent { what })
                })?);
            }
        }
        Ok(stored)
    }

    /// Goes through all entries twice, a stretch at a time: to count those of each row, then to place them.
    fn rows_of_csc(&self, rows: &[usize]) -> Result<Entries> {
        const UNWANTED: u32 = u32::MAX;
        let mut places = vec![UNWANTED; self.n_rows];
        for (place, &row) in rows.iter().enumerate() {
            places[row] = place as u32;
        }
        let pointers = self.pointers(0..self.n_cols)?;
        let stored = pointers.last().copied().unwrap_or(0);
        let blocks = || (0..stored).step_by(ENTRIES_AT_ONCE).map(|start| start..stored.min(start + ENTRIES_AT_ONCE));

        let mut indptr = vec![0usize; rows.len() + 1];
        for block in blocks() {
            for row in self.minor_indices(block, self.n_rows)? {
                let place = places[row as usize];
                if place != UNWANTED {
                    indptr[place as usize + 1] += 1;
                }
            }
        }
        for row in 0..rows.len() {
            indptr[row + 1] += indptr[row];
        }

        let total = indptr[rows.len()];
        let (mut indices, mut values) = (vec![0u32; total], vec![0f32; total]);
        let mut next = indptr.clone();
        let mut column = 0;
        for block in blocks() {
            let block_rows = self.minor_indices(block.clone(), self.n_rows)?;
            let block_values: Vec<f32> = self.data.numbers(std::slice::from_ref(&block))?;
            for (entry, (row, value)) in block.zip(block_rows.into_iter().zip(block_values)) {
                while pointers[column + 1] <= entry {
                    column += 1;
                }
                let place = places[row as usize];
                if place != UNWANTED {
                    let slot = &mut next[place as usize];
                    (indices[*slot], values[*slot]) = (column as u32, value);
                    *slot += 1;
                }
            }
        }
        Ok(Entries { indptr, indices, values })
    }

    /// The pointers of some compressed rows or columns, one more than there are of them, checked.
    fn pointers(&self, major: Range<usize>) -> Result<Vec<usize>> {
        let first = major.start;
        let pointers: Vec<i64> = self.indptr.numbers(std::slice::from_ref(&(major.start..major.end + 1)))?;
        let inconsistent = |what: String| self.indptr.fail(Problem::Inconsistent { what });
        if first == 0 && pointers.first().is_some_and(|&pointer| pointer != 0) {
            return Err(inconsistent(format!("the first pointer is {}, not 0", pointers[0])));
        }
        if let Some(fall) = pointers.windows(2).position(|pair| pair[1] < pair[0]) {
            return Err(inconsistent(format!("pointer {} is smaller than the one before", first + fall + 1)));
        }
        if pointers.first().is_some_and(|&pointer| pointer < 0) {
            return Err(inconsistent(format!("pointer {first} is negative")));
        }
        let stored = self.n_stored();
        if pointers.last().is_some_and(|&pointer| pointer as u64 > stored as u64) {
            return Err(inconsistent(format!("pointer {} is past the {stored} entries", major.end)));
        }
        Ok(pointers.into_iter().map(|pointer| pointer as usize).collect())
    }

    /// Indices of entries, checked to be below `length`.
    fn minor_indices(&self, entries: Range<usize>, length: usize) -> Result<Vec<u32>> {
        fn check<T: Copy + Into<i64>>(wide: Vec<T>, length: usize) -> Result<Vec<u32>, (usize, i64)> {
            let narrow = |(at, index): (usize, T)| match usize::try_from(index.into()) {
                Ok(below) if below < length => Ok(below as u32),
                _ => Err((at, index.into())),
            };
            wide.into_iter().enumerate().map(narrow).collect()
        }
        let start = entries.start;
        let part = std::slice::from_ref(&entries);
        // HDF5 clips what does not fit, so the type in memory must hold every value of the one in the file.
        let checked = match *self.indices.kind() {
            Kind::Integer { bytes, signed } if bytes < 4 || (bytes == 4 && signed) => {
                check(self.indices.numbers::<i32>(part)?, length)
            }
            _ => check(self.indices.numbers::<i64>(part)?, length),
        };
        checked.map_err(|(at, index)| {
            let what = format!("index {index} of entry {} is not below {length}", start + at);
            self.indices.fail(Problem::Inconsistent { what })
        })
    }
}
