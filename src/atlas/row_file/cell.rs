//! One cell's record.

use super::bits::{self, Reader};

/// What a record holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cell {
    /// Name of the cell.
    pub name: String,
    /// Columns of its counts, ascending.
    pub columns: Vec<u32>,
    /// Its counts.
    pub counts: Vec<f32>,
}

/// The columns to read, in the order to give them.
#[derive(Clone, Debug)]
pub struct Columns {
    targets: Vec<u32>,
    n: usize,
    ascending: bool,
}

impl Columns {
    const UNWANTED: u32 = u32::MAX;

    /// Column `j` of what is read is column `sources[j]` of the file, or zeros where that is `None`.
    /// A column of the file is taken once, for the first that asks for it.
    pub fn new(sources: &[Option<usize>], n_cols: usize) -> Self {
        let mut targets = vec![Self::UNWANTED; n_cols];
        let (mut last, mut ascending) = (None, true);
        for (target, source) in sources.iter().enumerate() {
            let Some(source) = *source else { continue };
            if let Some(slot) = targets.get_mut(source).filter(|slot| **slot == Self::UNWANTED) {
                *slot = target as u32;
                ascending &= last.is_none_or(|last| last < source);
                last = Some(source);
            }
        }
        Self { targets, n: sources.len(), ascending }
    }

    /// How many columns there will be.
    pub fn len(&self) -> usize {
        self.n
    }

    /// Whether none is wanted.
    pub fn is_empty(&self) -> bool {
        self.n == 0
    }
}

/// Bytes of a record besides its name, gaps and counts.
const FIXED: usize = 2 + 4 + 4 + 1 + 1 + 4;

/// Writes a record after what is there. Says what cannot be written.
pub(super) fn write(name: &str, columns: &[u32], counts: &[f32], out: &mut Vec<u8>) -> Result<(), String> {
    let start = out.len();
    let length = u16::try_from(name.len()).map_err(|_| format!("the name of the cell has {} bytes", name.len()))?;
    let mut gaps = Vec::with_capacity(columns.len());
    let mut next = 0;
    for &column in columns {
        gaps.push(column.checked_sub(next).ok_or("its columns do not ascend")?);
        next = column + 1;
    }
    let count = |&count: &f32| {
        let whole = count >= 1.0 && count.fract() == 0.0 && count <= u32::MAX as f32;
        if whole { Ok((count as u64 - 1) as u32) } else { Err(format!("{count} is no count")) }
    };
    let less_one = counts.iter().map(count).collect::<Result<Vec<_>, _>>()?;
    let (gap_k, count_k) = (bits::best_k(&gaps), bits::best_k(&less_one));
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(&(columns.len() as u32).to_le_bytes());
    let gap_bytes_at = out.len();
    out.extend_from_slice(&[0, 0, 0, 0, gap_k, count_k]);
    let gaps_at = out.len();
    bits::write(&gaps, gap_k, out);
    let gap_bytes = (out.len() - gaps_at) as u32;
    out[gap_bytes_at..gap_bytes_at + 4].copy_from_slice(&gap_bytes.to_le_bytes());
    bits::write(&less_one, count_k, out);
    let checksum = crc32fast::hash(&out[start..]);
    out.extend_from_slice(&checksum.to_le_bytes());
    Ok(())
}

/// Reads a record. Says in words what is wrong with it.
pub(super) fn read(record: &[u8], n_cols: u64, wanted: Option<&Columns>) -> Result<Cell, &'static str> {
    let (body, checksum) = record.split_last_chunk::<4>().ok_or("a record is too short")?;
    if crc32fast::hash(body) != u32::from_le_bytes(*checksum) {
        return Err("a checksum is wrong");
    }
    if record.len() < FIXED {
        return Err("a record is too short");
    }
    let short = "a record is too short for what it claims";
    let (length, rest) = body.split_first_chunk::<2>().ok_or(short)?;
    let (name, rest) = rest.split_at_checked(u16::from_le_bytes(*length).into()).ok_or(short)?;
    let name = std::str::from_utf8(name).map_err(|_| "a name is no text")?.to_owned();
    let (n, rest) = rest.split_first_chunk::<4>().ok_or(short)?;
    let (gap_bytes, rest) = rest.split_first_chunk::<4>().ok_or(short)?;
    let (ks, rest) = rest.split_first_chunk::<2>().ok_or(short)?;
    let (gaps, counts) = rest.split_at_checked(u32::from_le_bytes(*gap_bytes) as usize).ok_or(short)?;
    let n = u32::from_le_bytes(*n) as usize;
    // Each takes a bit at least, so that memory is taken only for what can be there.
    if n as u64 > gaps.len() as u64 * 8 || n as u64 > counts.len() as u64 * 8 {
        return Err(short);
    }
    let mut gaps = Reader::new(gaps, ks[0]).ok_or("a parameter is too large")?;
    let mut counts = Reader::new(counts, ks[1]).ok_or("a parameter is too large")?;
    let mut cell = Cell { name, columns: Vec::with_capacity(n), counts: Vec::with_capacity(n) };
    let mut next = 0u64;
    for _ in 0..n {
        let column = next + u64::from(gaps.next());
        next = column + 1;
        cell.columns.push(column as u32);
        cell.counts.push((u64::from(counts.next()) + 1) as f32);
    }
    if next > n_cols || !gaps.is_at_end() || !counts.is_at_end() {
        return Err("a record holds something else than it claims");
    }
    if let Some(wanted) = wanted {
        select(&mut cell, wanted);
    }
    Ok(cell)
}

/// Keeps the wanted columns, in their order.
fn select(cell: &mut Cell, wanted: &Columns) {
    let mut kept = 0;
    for at in 0..cell.columns.len() {
        let target = wanted.targets.get(cell.columns[at] as usize).copied().unwrap_or(Columns::UNWANTED);
        if target != Columns::UNWANTED {
            (cell.columns[kept], cell.counts[kept]) = (target, cell.counts[at]);
            kept += 1;
        }
    }
    cell.columns.truncate(kept);
    cell.counts.truncate(kept);
    if !wanted.ascending {
        let mut pairs: Vec<(u32, f32)> = cell.columns.iter().copied().zip(cell.counts.iter().copied()).collect();
        pairs.sort_unstable_by_key(|&(column, _)| column);
        cell.columns = pairs.iter().map(|&(column, _)| column).collect();
        cell.counts = pairs.iter().map(|&(_, count)| count).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_comes_back_whole_and_in_the_columns_asked_for() {
        let mut bytes = Vec::new();
        write("c1", &[0, 3, 4, 90], &[1.0, 70000.0, 2.0, 1.0], &mut bytes).unwrap();
        let cell = read(&bytes, 91, None).unwrap();
        assert_eq!((cell.name.as_str(), &cell.columns[..]), ("c1", &[0, 3, 4, 90][..]));
        assert_eq!(cell.counts, [1.0, 70000.0, 2.0, 1.0]);
        let columns = Columns::new(&[Some(90), None, Some(3), Some(5)], 91);
        let some = read(&bytes, 91, Some(&columns)).unwrap();
        assert_eq!((some.columns, some.counts, columns.len()), (vec![0, 2], vec![1.0, 70000.0], 4));
        assert!(read(&bytes, 90, None).is_err(), "a column past the end");
    }

    #[test]
    fn what_is_no_count_is_not_written_and_what_is_damaged_not_read() {
        for count in [0.0, -1.0, 1.5, f32::NAN, f32::INFINITY] {
            assert!(write("c", &[1], &[count], &mut Vec::new()).is_err(), "{count}");
        }
        assert!(write("c", &[4, 3], &[1.0, 1.0], &mut Vec::new()).is_err());
        let mut bytes = Vec::new();
        write("cell", &[1, 2, 30], &[1.0, 2.0, 3.0], &mut bytes).unwrap();
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            assert!(read(&damaged, 31, None).is_err(), "byte {at}");
            // Also where the checksum fits what is wrong.
            let body = damaged.len() - 4;
            let checksum = crc32fast::hash(&damaged[..body]).to_le_bytes();
            damaged[body..].copy_from_slice(&checksum);
            let _ = read(&damaged, 31, None);
            let _ = read(&damaged[..at], 31, None);
        }
    }
}
