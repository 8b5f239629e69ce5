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
use crate::support::{config, databases};

const FINGERPRINT: [u8; 32] = [7; 32];

/// A row file of the first matrix of an `.h5ad`, and what that holds.
fn written(folder: &Path, n_cells: usize) -> (std::path::PathBuf, Expression) {
    let file = File::open(&generated(folder, Set::Parse, n_cells)).unwrap();
    let whole = file.read_expression(&Matrix::X, None, None).unwrap();
    let path = folder.join("cells.rows");
    let mut writer = Writer::create(&path, whole.genes.len()).unwrap();
    for (row, name) in whole.cells.iter().enumerate() {
        let (columns, counts) = whole.counts.row(row);
        writer.add(name, columns, counts).unwrap();
    }
    let length = writer.finish(&whole.genes, FINGERPRINT).unwrap();
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

        let with_rows = || Request { rows: Some(objects.clone()), ..request(&path, "cells", None) };
        let imported = run(&database, with_rows()).await.unwrap();
        let key = imported.dataset.rows_in.clone().unwrap();
        assert_eq!((imported.outcome, key.starts_with("atlases/cells/")), (Outcome::Replaced, true));
        assert_eq!(run(&database, with_rows()).await.unwrap().outcome, Outcome::Unchanged);
        let sets = database.cell_sets(&[]).await.unwrap();
        let after = atlas.load(&sets, 200, 10, 3, &Rows::default()).await.unwrap();
        assert_eq!(before, after);

        // The imported file may be gone then: all that is read is in the row file.
        let rows = objects.local_path(&key.parse().unwrap()).unwrap().unwrap();
        assert!(rows.is_file());
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
