//! Our own fixtures: every encoding is read as Python read it when they were made, and every wrong file is
//! refused with words that say what is wrong and where.

use haystack::anndata::{File, Matrix, Problem, Storage};
use serde_json::Value;

use super::peer::{differences, digest};
use crate::support::fixture;

#[test]
fn every_encoding_is_read_as_python_read_it() {
    for name in ["current", "legacy-0.7", "legacy-0.5", "odd", "big-endian"] {
        let expected = std::fs::read_to_string(fixture(&format!("anndata/{name}.json"))).unwrap();
        let expected: Value = serde_json::from_str(&expected).unwrap();
        let mut ours = digest(&fixture(&format!("anndata/{name}.h5ad"))).unwrap();
        ours.as_object_mut().unwrap().remove("path");
        let mut found = Vec::new();
        differences(&ours, &expected, name, &mut found);
        assert!(found.is_empty(), "\n{}", found.join("\n"));
    }
}

/// For comparing matrices with NaN, which is not equal to itself.
fn debug(csr: &haystack::domain::Csr) -> String {
    format!("{csr:?}")
}

#[test]
fn rows_and_blocks_of_every_storage_are_those_of_the_whole() {
    for name in ["current", "legacy-0.7", "legacy-0.5", "odd"] {
        let file = File::open(&fixture(&format!("anndata/{name}.h5ad"))).unwrap();
        for info in file.matrices() {
            let whole = file.read_rows(&info.matrix, None).unwrap();
            let n = whole.n_rows();
            for rows in [vec![], vec![n - 1], vec![2, 0, 2, 1], (0..n).rev().collect(), (0..n).step_by(2).collect()] {
                let some = file.read_rows(&info.matrix, Some(&rows)).unwrap();
                assert_eq!(debug(&some), debug(&whole.select_rows(&rows)), "{name} {} {rows:?}", info.matrix);
            }
            for size in [0, 1, 5, 1000] {
                let mut next = 0;
                file.for_each_block(&info.matrix, size, |first, block| {
                    assert_eq!(first, next);
                    let rows: Vec<usize> = (first..first + block.n_rows()).collect();
                    assert_eq!(
                        debug(block),
                        debug(&whole.select_rows(&rows)),
                        "{name} {} in blocks of {size}",
                        info.matrix
                    );
                    next += block.n_rows();
                    std::ops::ControlFlow::Continue(())
                })
                .unwrap();
                assert_eq!(next, n);
            }
            let mut blocks = 0;
            let stop = |_: usize, _: &_| {
                blocks += 1;
                std::ops::ControlFlow::Break(())
            };
            file.for_each_block(&info.matrix, 1, stop).unwrap();
            assert_eq!(blocks, 1);
        }
    }
}

#[test]
fn matrices_are_listed_before_they_are_read() {
    let file = File::open(&fixture("anndata/current.h5ad")).unwrap();
    let listed: Vec<_> =
        file.matrices().iter().map(|info| (info.matrix.to_string(), info.storage, info.n_cols)).collect();
    let layer = |name: &str, storage| (format!("layers/{name}"), storage, 7);
    assert_eq!(
        listed,
        [
            ("X".into(), Storage::Csr, 7),
            ("raw/X".into(), Storage::Csr, 9),
            layer("by_column", Storage::Csc),
            layer("dense", Storage::Dense),
            layer("dense_whole", Storage::Dense),
            layer("double", Storage::Csr),
            layer("whole", Storage::Csr),
            layer("with_nan", Storage::Dense),
            layer("yes_no", Storage::Dense),
        ]
    );
    let error = file.read_rows(&Matrix::Layer("counts".into()), None).unwrap_err();
    assert!(
        error.to_string().contains("there is no matrix layers/counts; there are: X, raw/X, layers/by_column"),
        "{error}"
    );
    let error = file.read_rows(&Matrix::X, Some(&[3, 12])).unwrap_err();
    assert!(error.to_string().ends_with("X: row 12 was asked for, but there are only 12 rows"), "{error}");
    let error = file.obs().column("celltype").unwrap_err();
    assert!(error.to_string().contains("obs: there is no column celltype; there are: type, cluster"), "{error}");
}

#[test]
fn expression_comes_with_the_names_asked_for() {
    let file = File::open(&fixture("anndata/current.h5ad")).unwrap();
    let expression = file.read_expression(&Matrix::RawX, Some(&[3, 1, 3]), Some("symbol")).unwrap();
    assert_eq!(expression.cells, ["cell 3", "cell 1", "cell 3"]);
    assert_eq!(expression.genes[..2], ["S0", "S1"]);
    assert_eq!(expression.counts, file.read_rows(&Matrix::RawX, Some(&[3, 1, 3])).unwrap());
    let whole = file.read_expression(&Matrix::X, None, None).unwrap();
    assert_eq!((whole.cells.len(), whole.genes[6].as_str()), (12, "G6"));
    assert!(file.read_expression(&Matrix::X, None, Some("symbol")).is_err());
}

/// What is said about `bad/NAME.h5ad`, from the place on.
fn refusal(name: &str) -> String {
    let path = fixture(&format!("anndata/bad/{name}.h5ad"));
    let read = || {
        let file = File::open(&path)?;
        for column in file.obs().columns() {
            file.obs().column(column)?;
        }
        file.read_rows(&Matrix::X, None)?;
        Ok(())
    };
    let error: haystack::anndata::Error = read().unwrap_err();
    assert_eq!(error.file, path);
    let said = error.to_string();
    said.strip_prefix(&format!("{}: ", path.display())).unwrap_or_else(|| panic!("no file in {said}")).to_owned()
}

#[test]
fn wrong_files_are_refused_with_the_place_and_the_reason() {
    let cases = [
        ("index-past-end", "X/indices: inconsistent: index 4 of entry 3 is not below 4"),
        ("index-negative", "X/indices: inconsistent: index -1 of entry 1 is not below 4"),
        ("pointer-falls", "X/indptr: inconsistent: pointer 2 is smaller than the one before"),
        ("pointer-past-end", "X/indptr: inconsistent: pointer 3 is past the 4 entries"),
        ("pointer-first", "X/indptr: inconsistent: the first pointer is 1, not 0"),
        ("pointer-negative", "X/indptr: inconsistent: the first pointer is -5, not 0"),
        ("pointers-too-few", "X/indptr: inconsistent: 2 pointers for 3 compressed rows or columns"),
        ("pointers-by-column", "X/indptr: inconsistent: 4 pointers for 4 compressed rows or columns"),
        ("values-too-few", "X: inconsistent: 4 indices but 3 values"),
        ("values-text", "X/data: expected the values of a sparse matrix, numbers, found text"),
        ("indices-decimal", "X/indices: expected the indices of a sparse matrix, whole numbers, found decimal numbers"),
        ("shape-other", "X: expected 3 cells × 4 genes, as the tables have, found 3 × 5"),
        ("shape-missing", "X: missing; expected the attribute shape"),
        ("shape-negative", "X: expected a shape of two lengths, found 3 × -4"),
        ("dense-huge", "X: claims 1000000000000 elements (4000000000000 bytes), but only 0 bytes"),
        ("dense-one-dimension", "X: expected a matrix of two dimensions, found 12 elements"),
        ("dense-text", "X: expected a matrix of numbers, found text"),
        ("chunk-huge", "X: claims 400000000 elements (3200000000 bytes), but only 0 bytes"),
        ("column-huge", "obs/odd: claims 1000000000000 elements (1000000000000 bytes), but only 0 bytes"),
        ("external-link", "X: lies in another file (elsewhere.h5), which is never followed"),
        ("external-storage", "X: lies in another file (/etc/hostname), which is never followed"),
        ("virtual", "X: lies in another file (a virtual data set), which is never followed"),
        ("soft-loop", "X: a chain of soft links without an end"),
        ("soft-nowhere", "X: missing; expected what the soft link leads to, /nowhere"),
        ("filter", "X: compressed with blosc (HDF5 filter 32001), which is not supported here; in Python"),
        ("code-past-end", "obs/kind/codes: inconsistent: code 2 of row 2 is not among the 2 categories"),
        ("mask-short", "obs/n: inconsistent: 3 values but a mask of 2"),
        ("column-short", "obs: inconsistent: column odd has 2 values for 3 rows"),
        ("column-null", "obs/odd: expected one dimension, found nothing at all (a null data set)"),
        ("column-scalar", "obs/odd: expected one dimension, found a single value"),
        ("column-references", "obs/odd: expected a column of numbers, booleans or text, found references"),
        ("column-wide", "obs/odd: expected one dimension, found 3 × 2"),
        ("column-not-utf8", "obs/odd: value 1 is not valid UTF-8 text"),
        ("column-encoding", "obs/odd: encoded as `awkward-array 0.1.0`, which is not supported here"),
        ("column-missing", "obs/gone: missing; expected a column of the table"),
        ("no-obs", "HDF5 but not AnnData: there is no obs; write it with anndata's write_h5ad"),
        ("no-index", "obs: missing; expected an index: the attribute _index, or a column _index or index"),
        ("obs-is-numbers", "obs: expected a table, found whole numbers"),
    ];
    for (name, said) in cases {
        let refusal = refusal(name);
        assert!(refusal.starts_with(said), "{name}\n  said     {refusal}\n  expected {said}");
    }
    let bad = std::fs::read_dir(fixture("anndata/bad")).unwrap().count();
    assert_eq!(bad, cases.len(), "a fixture is not tested");
}

#[test]
fn other_kinds_of_file_are_recognised() {
    let folder = tempfile::tempdir().unwrap();
    let refuse = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        File::open(&path).unwrap_err().problem.to_string()
    };
    assert!(refuse("empty", b"").contains("it is empty"));
    assert!(refuse("text", b"cell,gene\n").contains("expected a file written by anndata"));
    assert!(refuse("gzip", &[0x1f, 0x8b, 8, 0]).contains("gunzip"));
    assert!(refuse("page", b"<!DOCTYPE html>").contains("web page"));
    assert!(refuse("zip", b"PK\x03\x04 something").contains("unpack it"));
    assert!(refuse("zarr.zip", b"PK\x03\x04 .zgroup").contains("anndata.read_zarr"));
    let whole = std::fs::read(fixture("anndata/current.h5ad")).unwrap();
    assert!(refuse("short", &whole[..whole.len() / 2]).contains("truncated"));
    let missing = File::open(&folder.path().join("missing.h5ad")).unwrap_err();
    assert!(matches!(missing.problem, Problem::Open(_)), "{missing}");
    assert!(File::open(folder.path()).unwrap_err().to_string().contains("it is a folder"));
}
