//! Row files hold what the imported file holds, wherever they lie, and never what it does not.

use std::path::Path;

use haystack::anndata::{File, Matrix};
use haystack::atlas::import::{Outcome, Request};
use haystack::atlas::row_file::{Columns, Error, RowFile, Source, Writer, fingerprint};
use haystack::atlas::{Atlas, Rows};
use haystack::domain::Expression;
use haystack::objects::{ObjectKey, Objects};
use proptest::prelude::*;

use crate::atlas::{request, run};
use crate::atlas_published::generated;
use crate::generate::Set;
use crate::objects::stores;
use crate::support::program::finish;
use crate::support::{config, databases};

const FINGERPRINT: [u8; 32] = [7; 32];

/// A row file of the first matrix of an `.h5ad`, and what that holds.
fn written(folder: &Path, n_cells: usize) -> (std::path::PathBuf, Expression) {
    let file = File::open(&generated(folder, Set::Parse, n_cells)).unwrap();
    let whole = file.read_expression(&Matrix::X, None, None).unwrap();
    let path = folder.join("cells.rows");
    let mut writer = Writer::create(&path, &whole.genes).unwrap();
    for (row, name) in whole.cells.iter().enumerate() {
        let (columns, counts) = whole.counts.row(row);
        writer.add(name, columns, counts).unwrap();
    }
    let length = writer.finish(FINGERPRINT).unwrap();
    assert_eq!(length, std::fs::metadata(&path).unwrap().len());
    (path, whole)
}

fn rows_of(whole: &Expression, rows: &[u32]) -> Expression {
    let rows: Vec<usize> = rows.iter().map(|&row| row as usize).collect();
    let cells = rows.iter().map(|&row| whole.cells[row].clone()).collect();
    Expression { cells, genes: whole.genes.clone(), counts: whole.counts.select_rows(&rows) }
}

#[tokio::test]
async fn rows_come_back_in_any_order_and_any_columns_wherever_the_file_is() {
    let folder = tempfile::tempdir().unwrap();
    let (path, whole) = written(folder.path(), 1700);
    // Of every block of the directory, repeated, and not ascending.
    let rows = [1699, 0, 511, 512, 3, 3, 1024, 700];
    let key = ObjectKey::Atlas { dataset: "x".into(), file: "y.rows".into() };
    let mut sources = vec![Source::Path(path.clone())];
    let stores = stores().await;
    for store in &stores {
        store.objects.put_file(&key, &path).await.unwrap();
        sources.push(Source::Object(store.objects.clone(), key.clone()));
    }
    for source in sources {
        let file = RowFile::open(source, FINGERPRINT).await.unwrap();
        assert_eq!((file.n_rows(), file.genes()), (1700, &whole.genes[..]));
        assert_eq!(file.read(&rows, None).await.unwrap(), rows_of(&whole, &rows));
        assert_eq!(file.read(&[], None).await.unwrap().cells.len(), 0);
        let sources = [Some(40), None, Some(2), Some(59)];
        let some = file.read(&rows, Some(Columns::new(&sources, whole.genes.len()))).await.unwrap();
        assert_eq!(some.counts, rows_of(&whole, &rows).counts.select_columns(&sources));
        let error = file.read(&[1700], None).await.unwrap_err();
        assert!(matches!(error, Error::NoSuchRow { row: 1700, n_rows: 1700, .. }), "{error}");
    }
    let other = RowFile::open(Source::Path(path), [8; 32]).await.unwrap_err();
    assert!(matches!(other, Error::OtherImport { .. }), "{other}");
}

#[tokio::test]
async fn drawn_cells_are_the_same_with_and_without_a_row_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = generated(folder.path(), Set::Parse, 3000);
    for database in databases().await {
        let home = folder.path().join(database.kind);
        let objects = Objects::open(&config(&home, &[]).objects).unwrap();
        let plain = run(&database, request(&path, "cells", None)).await.unwrap().dataset;
        assert_eq!(plain.rows_in, None);
        let sets = database.cell_sets(&[]).await.unwrap();
        let atlas = Atlas::new((*database).clone()).with_objects(objects.clone());
        let before = atlas.load(&sets, 200, 10, 3, &Rows::default()).await.unwrap();

        let with_rows = || with_rows(&objects, &path, "cells");
        let imported = run(&database, with_rows()).await.unwrap();
        let key = imported.dataset.rows_in.clone().unwrap();
        assert_eq!((imported.outcome, key.starts_with("atlases/cells/")), (Outcome::Replaced, true));
        assert_eq!(run(&database, with_rows()).await.unwrap().outcome, Outcome::Unchanged);
        let sets = database.cell_sets(&[]).await.unwrap();
        // The imported file may be gone then: all that is read is in the row file.
        let away = path.with_extension("away");
        std::fs::rename(&path, &away).unwrap();
        let after = atlas.load(&sets, 200, 10, 3, &Rows::default()).await.unwrap();
        assert_eq!(before, after);
        std::fs::rename(&away, &path).unwrap();

        let rows = objects.local_path(&key.parse().unwrap()).unwrap().unwrap();
        // Without the row file, cells are read as before.
        std::fs::remove_file(&rows).unwrap();
        assert_eq!(atlas.load(&sets, 200, 10, 3, &Rows::default()).await.unwrap(), before);

        // What an interrupted or replaced import left is gone after the next.
        let left = ObjectKey::Atlas { dataset: "cells".into(), file: "left.rows".into() };
        objects.put(&left, bytes::Bytes::from_static(b"?")).await.unwrap();
        let mapping = Some("[batch]\nignore = true");
        run(&database, Request { replace: true, mapping: mapping.map(str::to_owned), ..with_rows() }).await.unwrap();
        assert_eq!(objects.list("atlases/cells").await.unwrap().len(), 1);
    }
}

/// An import with a row file.
fn with_rows(objects: &Objects, path: &Path, dataset: &str) -> Request {
    Request { objects: Some(objects.clone()), rows: true, ..request(path, dataset, None) }
}

#[tokio::test]
async fn a_row_file_that_is_gone_or_damaged_is_written_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = generated(folder.path(), Set::Parse, 300);
    for database in databases().await {
        let objects = Objects::open(&config(&folder.path().join(database.kind), &[]).objects).unwrap();
        let import = || run(&database, with_rows(&objects, &path, "cells"));
        let key = import().await.unwrap().dataset.rows_in.unwrap();
        let rows = objects.local_path(&key.parse().unwrap()).unwrap().unwrap();
        let written = std::fs::read(&rows).unwrap();
        assert_eq!(import().await.unwrap().outcome, Outcome::Unchanged);
        let damages: [&dyn Fn(); 3] = [
            &|| std::fs::remove_file(&rows).unwrap(),
            &|| std::fs::write(&rows, &written[..written.len() - 10]).unwrap(),
            &|| std::fs::write(&rows, "no rows at all").unwrap(),
        ];
        for damage in damages {
            damage();
            let again = import().await.unwrap();
            assert_eq!((again.outcome, again.dataset.rows_in.as_ref()), (Outcome::Replaced, Some(&key)));
            assert!(std::fs::read(&rows).unwrap() == written, "{}", database.kind);
        }
    }
}

#[tokio::test]
async fn row_files_go_with_the_last_data_set_that_has_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = generated(folder.path(), Set::Parse, 300);
    for database in databases().await {
        let home = folder.path().join(database.kind);
        let objects = Objects::open(&config(&home, &[]).objects).unwrap();
        let held = async || -> Vec<String> {
            objects.list("atlases").await.unwrap().into_iter().map(|object| object.key).collect()
        };
        let command = |args: &[&str]| {
            let (code, _, words) = finish(&home, &database.url, args);
            assert_eq!(code, 0, "{words}");
        };
        // Two data sets with one row file: the first was renamed, and then imported again.
        let key = run(&database, with_rows(&objects, &path, "one")).await.unwrap().dataset.rows_in.unwrap();
        command(&["datasets", "rename", "one", "two"]);
        run(&database, with_rows(&objects, &path, "one")).await.unwrap();
        assert_eq!(held().await, [key.as_str()]);
        command(&["datasets", "delete", "one"]);
        assert_eq!(held().await, [key.as_str()], "the other data set has it too");

        // Replaced under its new name with another row file, and then without any.
        let other = |rows| {
            let mapping = Some("[batch]\nignore = true".to_owned()).filter(|_| rows);
            Request { mapping, rows, replace: true, ..with_rows(&objects, &path, "two") }
        };
        let second = run(&database, other(true)).await.unwrap().dataset.rows_in.unwrap();
        assert!(second.starts_with("atlases/two/"), "{second}");
        assert_eq!(held().await, [second.as_str()]);
        assert_eq!(run(&database, other(false)).await.unwrap().dataset.rows_in, None);
        assert_eq!(held().await, [""; 0]);

        // The same by the command.
        let mapping = home.join("map.toml");
        std::fs::write(&mapping, "[batch]\nignore = true").unwrap();
        let import = ["import", "atlas", path.to_str().unwrap(), "--dataset", "three"];
        let replace = ["--replace", "--map", mapping.to_str().unwrap()];
        command(&[&import[..], &["--rows"]].concat());
        assert_eq!(held().await.len(), 1);
        command(&[&import[..], &replace].concat());
        assert_eq!(held().await, [""; 0]);
        command(&[&import[..], &replace, &["--rows"]].concat());
        command(&["datasets", "delete", "three"]);
        assert_eq!(held().await, [""; 0]);
    }
}

#[test]
fn genes_and_counts_that_could_not_be_read_back_are_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cells.rows");
    let create = |genes: &[&str]| {
        let genes: Vec<String> = genes.iter().map(|&gene| gene.to_owned()).collect();
        Writer::create(&path, &genes)
    };
    let error = create(&["A", "B\nC"]).unwrap_err().to_string();
    assert!(error.contains(r#""B\nC" has a line break"#), "{error}");
    assert!(create(&[]).unwrap_err().to_string().contains("no genes"));
    let error = create(&["A", "B"]).unwrap().add("c", &[0, 2], &[1.0, 1.0]).unwrap_err().to_string();
    assert!(error.contains("row 0") && error.contains("column 2 of 2"), "{error}");
    assert!(!path.exists());
}

#[test]
fn damaged_files_are_refused_and_never_read_as_something_else() {
    let folder = tempfile::tempdir().unwrap();
    let (path, whole) = written(folder.path(), 30);
    let bytes = std::fs::read(&path).unwrap();
    let rows: Vec<u32> = (0..30).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let damaged = folder.path().join("damaged.rows");
    let read = |bytes: &[u8]| {
        std::fs::write(&damaged, bytes).unwrap();
        runtime.block_on(async {
            let file = RowFile::open(Source::Path(damaged.clone()), FINGERPRINT).await?;
            file.read(&rows, None).await
        })
    };
    assert_eq!(read(&bytes).unwrap(), whole);
    proptest!(ProptestConfig::with_cases(600), |(at in 0..bytes.len(), flip in 1u8.., cut in any::<bool>())| {
        let mut wrong = bytes.clone();
        if cut {
            wrong.truncate(at);
        } else {
            wrong[at] ^= flip;
        }
        match read(&wrong) {
            // The beginning is for people and programs that look at files; nothing is read from it.
            Ok(found) => prop_assert!(at < 8 && found == whole),
            Err(error) => prop_assert!(error.to_string().contains("damaged.rows"), "{error}"),
        }
    });
    assert_eq!(fingerprint("not hexadecimal"), [0; 32]);
}
