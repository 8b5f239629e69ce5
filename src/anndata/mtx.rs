//! Folders of 10x Genomics: a matrix of features × barcodes in MatrixMarket text, with the names of both.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use super::{AnnData, Column, Numbers, Table};
use crate::domain::Csr;

/// Why a folder cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{}: {}{what}", file.display(), line.map_or(String::new(), |line| format!("line {line}: ")))]
pub struct MtxError {
    /// The file, or the folder where one is missing.
    pub file: PathBuf,
    /// Line, from 1, where one is meant.
    pub line: Option<u64>,
    /// What is wrong, in words.
    pub what: String,
}

/// Whether a path is such a folder.
pub fn is_mtx_folder(path: &Path) -> bool {
    path.is_dir() && find(path, &["matrix.mtx"]).is_some()
}

/// Reads a folder: `matrix.mtx`, `barcodes.tsv` and `features.tsv` (or `genes.tsv`, before Cell Ranger 3), each
/// as it is or with `.gz`. Genes are named by their ids, with `name` and `feature_type` in `var`.
pub fn read_mtx_folder(folder: &Path) -> Result<AnnData, MtxError> {
    let require = |names: &[&str]| {
        find(folder, names).ok_or_else(|| MtxError {
            file: folder.to_owned(),
            line: None,
            what: format!("there is no {} in it, nor one with .gz", names.join(" and no ")),
        })
    };
    let barcodes = fields(&require(&["barcodes.tsv"])?)?;
    let features = fields(&require(&["features.tsv", "genes.tsv"])?)?;
    let x = matrix(&require(&["matrix.mtx"])?, barcodes.len(), features.len())?;
    let column = |at: usize| -> Vec<Option<String>> { features.iter().map(|row| row.get(at).cloned()).collect() };
    let first = |rows: &[Vec<String>]| rows.iter().map(|row| row.first().cloned().unwrap_or_default()).collect();
    let mut columns = Vec::new();
    for (at, name) in [(1, "name"), (2, "feature_type")] {
        let texts = column(at);
        if texts.iter().any(Option::is_some) {
            columns.push((name.to_owned(), Column::Strings(texts)));
        }
    }
    Ok(AnnData {
        obs: Table { index_name: Some("barcodes".to_owned()), index: first(&barcodes), columns: vec![] },
        var: Table { index_name: Some("id".to_owned()), index: first(&features), columns },
        x: Some(Numbers::Sparse(x)),
        ..AnnData::default()
    })
}

/// The first of the files that is there, as it is or compressed.
fn find(folder: &Path, names: &[&str]) -> Option<PathBuf> {
    let both = names.iter().flat_map(|name| [folder.join(name), folder.join(format!("{name}.gz"))]);
    both.into_iter().find(|path| path.is_file())
}

fn open(path: &Path) -> Result<Box<dyn BufRead>, MtxError> {
    let failed = |error: std::io::Error| MtxError { file: path.to_owned(), line: None, what: error.to_string() };
    let file = File::open(path).map_err(failed)?;
    let packed = path.extension().is_some_and(|extension| extension == "gz");
    let bytes: Box<dyn Read> = if packed { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
    Ok(Box::new(BufReader::with_capacity(1 << 18, bytes)))
}

/// The tab-separated fields of each line.
fn fields(path: &Path) -> Result<Vec<Vec<String>>, MtxError> {
    let mut rows = Vec::new();
    for (at, line) in open(path)?.lines().enumerate() {
        let wrong = |error: std::io::Error| MtxError {
            file: path.to_owned(),
            line: Some(at as u64 + 1),
            what: error.to_string(),
        };
        rows.push(line.map_err(wrong)?.trim_end_matches('\r').split('\t').map(str::to_owned).collect());
    }
    Ok(rows)
}

/// Cells × features out of a matrix of features × cells.
fn matrix(path: &Path, n_cells: usize, n_features: usize) -> Result<Csr, MtxError> {
    let mut lines = open(path)?;
    let (mut line, mut number) = (String::new(), 0u64);
    let fail = |number: u64, what: String| MtxError { file: path.to_owned(), line: Some(number), what };
    let mut next = |line: &mut String, number: &mut u64| {
        line.clear();
        *number += 1;
        lines.read_line(line).map_err(|error| fail(*number, error.to_string()))
    };
    next(&mut line, &mut number)?;
    let head = line.trim().to_lowercase();
    let kinds = ["integer", "real"].map(|kind| format!("%%matrixmarket matrix coordinate {kind} general"));
    if !kinds.contains(&head) {
        let what = format!("expected '%%MatrixMarket matrix coordinate integer general', found '{}'", line.trim());
        return Err(fail(number, what));
    }
    let mut shape = None;
    // Cell, feature and value of each entry; they need not be in any order.
    let mut entries: Vec<(u32, u32, f32)> = Vec::new();
    while next(&mut line, &mut number)? > 0 {
        let text = line.trim();
        if text.is_empty() || text.starts_with('%') {
            continue;
        }
        let parts: Vec<&str> = text.split_ascii_whitespace().collect();
        let whole = |at: usize| parts.get(at).and_then(|part| part.parse::<usize>().ok());
        match shape {
            None => {
                let (Some(rows), Some(columns), Some(n)) = (whole(0), whole(1), whole(2)) else {
                    return Err(fail(number, format!("expected features, cells and entries, found '{text}'")));
                };
                if (rows, columns) != (n_features, n_cells) {
                    let what = format!("{rows} features and {columns} cells, but {n_features} and {n_cells} are named");
                    return Err(fail(number, what));
                }
                shape = Some(n);
            }
            Some(_) => {
                let inside = |n: Option<usize>, most: usize| n.filter(|n| (1..=most).contains(n)).map(|n| n as u32 - 1);
                let value = parts.get(2).and_then(|part| part.parse::<f32>().ok());
                match (inside(whole(0), n_features), inside(whole(1), n_cells), value) {
                    (Some(feature), Some(cell), Some(value)) => entries.push((cell, feature, value)),
                    _ => return Err(fail(number, format!("expected feature, cell and value, found '{text}'"))),
                }
            }
        }
    }
    if shape != Some(entries.len()) {
        let what =
            format!("{} entries, but {} were announced; copy or download it again", entries.len(), shape.unwrap_or(0));
        return Err(fail(number, what));
    }
    entries.sort_unstable_by_key(|&(cell, feature, _)| (cell, feature));
    if let Some(pair) = entries.windows(2).find(|pair| (pair[0].0, pair[0].1) == (pair[1].0, pair[1].1)) {
        let what = format!("feature {} of cell {} has two entries", pair[0].1 + 1, pair[0].0 + 1);
        return Err(MtxError { file: path.to_owned(), line: None, what });
    }
    let mut left = entries.iter().peekable();
    let rows = (0..n_cells as u32).map(|cell| {
        let mut row = Vec::new();
        while let Some((_, feature, value)) = left.next_if(|entry| entry.0 == cell) {
            row.push((*feature, *value));
        }
        row
    });
    Csr::from_rows(n_features, rows).map_err(|error| MtxError {
        file: path.to_owned(),
        line: None,
        what: error.to_string(),
    })
}
