//! Anything that can be written reads back as it was, by us and by Python.

use std::path::Path;

use haystack::anndata::{AnnData, Column, DenseMatrix, File, Matrix, Numbers, Table, Value, write};
use haystack::domain::Csr;
use proptest::collection::{btree_set, vec};
use proptest::option::weighted;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};

use super::peer::{ask_python, differences, digest};

/// Text without NUL, of any script, often empty or odd.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![4 => "[a-zA-Z0-9_ ]{0,12}", 2 => "[^\\x00]{0,6}", 1 => Just("nan".to_owned()), 1 => Just(String::new())]
}

/// Names that are all different, as many as asked for.
fn names(count: usize, prefix: &'static str) -> impl Strategy<Value = Vec<String>> {
    vec("[A-Za-z0-9β.-]{0,8}", count)
        .prop_map(move |names| names.into_iter().enumerate().map(|(n, name)| format!("{prefix}{n}{name}")).collect())
}

fn column(n: usize) -> impl Strategy<Value = Column> {
    let categorical = (btree_set(text(), 1..200), any::<bool>()).prop_flat_map(move |(categories, ordered)| {
        let categories: Vec<String> = categories.into_iter().collect();
        vec(-1..categories.len() as i32, n).prop_map(move |codes| Column::Categorical {
            codes,
            categories: categories.clone(),
            ordered,
        })
    });
    prop_oneof![
        categorical,
        vec(text().prop_map(Some), n).prop_map(Column::Strings),
        vec(any::<i64>().prop_map(Some), n).prop_map(Column::Integers),
        vec(weighted(0.7, any::<i64>()), n).prop_map(Column::Integers),
        vec(any::<f64>(), n).prop_map(Column::Floats),
        vec(any::<bool>().prop_map(Some), n).prop_map(Column::Booleans),
        vec(weighted(0.7, any::<bool>()), n).prop_map(Column::Booleans),
    ]
}

fn table(n: usize, prefix: &'static str) -> impl Strategy<Value = Table> {
    (names(n, prefix), 0..5usize).prop_flat_map(move |(index, n_columns)| {
        (vec(column(n), n_columns), names(n_columns, "c"), weighted(0.5, Just("the index".to_owned()))).prop_map(
            move |(columns, names, index_name)| Table {
                index_name,
                index: index.clone(),
                columns: names.into_iter().zip(columns).collect(),
            },
        )
    })
}

/// A sparse matrix of whole numbers that are not zero.
fn csr(n_rows: usize, n_cols: usize) -> impl Strategy<Value = Csr> {
    let entry = prop_oneof![2 => Just(0i32), 1 => 1..100i32, 1 => -16_777_216..16_777_216];
    vec(vec(entry, n_cols), n_rows).prop_map(move |rows| {
        let entries = |row: Vec<i32>| {
            row.into_iter().enumerate().filter(|&(_, value)| value != 0).map(|(at, value)| (at as u32, value as f32))
        };
        Csr::from_rows(n_cols, rows.into_iter().map(entries)).unwrap()
    })
}

fn anndata() -> impl Strategy<Value = AnnData> {
    (0..40usize, prop_oneof![4 => 0..12usize, 1 => 150..300usize]).prop_flat_map(|(n, m)| {
        let dense = vec(any::<f32>(), n * m).prop_map(move |values| DenseMatrix { n_rows: n, n_cols: m, values });
        (table(n, "cell"), table(m, "gene"), csr(n, m), csr(n, m), dense, vec(text(), 0..5)).prop_map(
            |(obs, var, x, counts, dense, notes)| AnnData {
                obs,
                var,
                x: Some(x.into()),
                layers: vec![("counts".into(), Numbers::Counts(counts)), ("dense".into(), dense.into())],
                obsm: vec![],
                uns: vec![("notes".into(), Value::Strings(notes))],
            },
        )
    })
}

fn values_of(numbers: &Numbers) -> Csr {
    match numbers {
        Numbers::Sparse(csr) | Numbers::Counts(csr) => csr.clone(),
        Numbers::Dense(dense) => {
            let row = |n: usize| dense.values[n * dense.n_cols..][..dense.n_cols].iter().copied().enumerate();
            let stored = |row| Iterator::filter(row, |&(_, v): &(usize, f32)| v != 0.0).map(|(at, v)| (at as u32, v));
            Csr::from_rows(dense.n_cols, (0..dense.n_rows).map(|n| stored(row(n)))).unwrap()
        }
    }
}

/// Columns and matrices in words, as NaN is not equal to itself.
fn debug(value: &impl std::fmt::Debug) -> String {
    format!("{value:?}")
}

fn check(data: &AnnData, path: &Path) {
    write(path, data).unwrap();
    let file = File::open(path).unwrap();
    for (table, frame) in [(&data.obs, file.obs()), (&data.var, file.var())] {
        assert_eq!(frame.index().unwrap(), table.index);
        assert_eq!(frame.index_name(), table.index_name.as_deref());
        assert!(frame.columns().iter().eq(table.columns.iter().map(|(name, _)| name)));
        for (name, column) in &table.columns {
            assert_eq!(debug(&frame.column(name).unwrap()), debug(column), "{name}");
        }
    }
    let matrices = data.layers.iter().map(|(name, layer)| (Matrix::Layer(name.clone()), layer));
    for (matrix, numbers) in matrices.chain([(Matrix::X, data.x.as_ref().unwrap())]) {
        let whole = values_of(numbers);
        assert_eq!(debug(&file.read_rows(&matrix, None).unwrap()), debug(&whole), "{matrix}");
        let some: Vec<usize> = (0..whole.n_rows()).rev().step_by(3).collect();
        assert_eq!(debug(&file.read_rows(&matrix, Some(&some)).unwrap()), debug(&whole.select_rows(&some)));
    }
}

proptest! {
    #![proptest_config(Config { cases: 48, failure_persistence: None, ..Config::default() })]

    #[test]
    fn we_read_what_we_wrote(data in anndata()) {
        let folder = tempfile::tempdir().unwrap();
        check(&data, &folder.path().join("data.h5ad"));
    }
}

#[test]
fn python_reads_what_we_wrote() {
    let folder = tempfile::tempdir().unwrap();
    let mut runner = TestRunner::deterministic();
    let files: Vec<_> = (0..20)
        .map(|n| {
            let path = folder.path().join(format!("{n}.h5ad"));
            write(&path, &anndata().new_tree(&mut runner).unwrap().current()).unwrap();
            path
        })
        .collect();
    let Some(answers) = ask_python(&files) else { return };
    let mut found = Vec::new();
    for (path, theirs) in files.iter().zip(answers) {
        differences(&digest(path).unwrap(), &theirs, &path.file_name().unwrap().to_string_lossy(), &mut found);
    }
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}
