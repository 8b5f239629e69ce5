//! A few rows far apart, which are read without the HDF5 library, against all rows, which are not.

use haystack::anndata::{self, AnnData, File, Matrix, Numbers, Table};

use crate::generate::{self, Plan, Set};

#[test]
fn rows_far_apart_are_those_of_the_whole_however_they_are_packed() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let plan = Plan { set: Set::Vcc, n_cells: 5000, n_genes: 300, depth: 60.0, gzip: false, seed: 3 };
    generate::write(&path("plain.h5ad"), &plan).unwrap();
    generate::write(&path("gzip.h5ad"), &Plan { gzip: true, ..plan }).unwrap();
    let whole = File::open(&path("plain.h5ad")).unwrap().read_rows(&Matrix::X, None).unwrap();
    // Ours are shuffled before they are packed.
    let table = |n: usize| Table { index: (0..n).map(|at| at.to_string()).collect(), ..Table::default() };
    let x = Some(Numbers::Counts(whole.clone()));
    let data = AnnData { obs: table(5000), var: table(300), x, ..AnnData::default() };
    anndata::write(&path("shuffled.h5ad"), &data).unwrap();

    for name in ["plain.h5ad", "gzip.h5ad", "shuffled.h5ad"] {
        let file = File::open(&path(name)).unwrap();
        assert_eq!(file.read_rows(&Matrix::X, None).unwrap(), whole, "{name}");
        let every = |step: usize| (step / 2..5000).step_by(step).collect::<Vec<_>>();
        // One row alone is far enough from all others that the pointers are read apart too.
        for rows in [vec![0], vec![4999], vec![4321, 4321], every(7), every(500), every(2).into_iter().rev().collect()]
        {
            assert_eq!(file.read_rows(&Matrix::X, Some(&rows)).unwrap(), whole.select_rows(&rows), "{name} {rows:?}");
        }
    }
}
