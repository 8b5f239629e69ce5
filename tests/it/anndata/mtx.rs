//! Folders of 10x Genomics against its `.h5` of the same cells, and wrong ones.

use haystack::anndata::{self, File, Matrix};

use crate::support::shared;

#[test]
fn a_folder_holds_what_the_file_beside_it_holds() {
    let Some(folder) = shared("data/singlecell/10x") else { return };
    let pairs = [
        ("3.0.0/filtered_feature_bc_matrix", "3.0.0_filtered_feature_bc_matrix.h5"),
        ("1.2.0/filtered_gene_bc_matrices/hg19_chr21", "1.2.0_filtered_gene_bc_matrices_h5.h5"),
    ];
    let scratch = tempfile::tempdir().unwrap();
    for (of_text, h5) in pairs {
        let path = scratch.path().join("cells.h5ad");
        anndata::write(&path, &anndata::read_mtx_folder(&folder.join(of_text)).unwrap()).unwrap();
        let read = |path: &std::path::Path| File::open(path).unwrap().read_expression(&Matrix::X, None, None).unwrap();
        assert_eq!(read(&path), read(&folder.join(h5)), "{of_text}");
    }
    assert!(anndata::is_mtx_folder(&folder.join("int-ids")) && !anndata::is_mtx_folder(&folder));
    let ints = anndata::read_mtx_folder(&folder.join("int-ids")).unwrap();
    assert_eq!((ints.obs.index.len(), ints.var.index[0].as_str()), (5, "574405"));
}

#[test]
fn wrong_folders_are_refused_with_file_and_line() {
    let head = "%%MatrixMarket matrix coordinate integer general\n%\n";
    let cases = [
        (format!("{head}2 2 1\n1 1 5\n"), None),
        (format!("{head}2 2 2\n1 1 5\n"), Some("1 entries, but 2 were announced")),
        (format!("{head}2 3 1\n1 1 5\n"), Some("line 3: 2 features and 3 cells, but 2 and 2 are named")),
        (format!("{head}2 2 1\n3 1 5\n"), Some("line 4: expected feature, cell and value, found '3 1 5'")),
        (format!("{head}2 2 1\n0 1 5\n"), Some("line 4")),
        (format!("{head}2 2 1\n1 1 x\n"), Some("line 4")),
        (format!("{head}2 2 2\n1 1 5\n1 1 6\n"), Some("feature 1 of cell 1 has two entries")),
        (format!("{head}99999999999999999999 2 2\n"), Some("line 3")),
        ("%%MatrixMarket matrix array real general\n".to_owned(), Some("line 1")),
        (String::new(), Some("line 1")),
    ];
    for (text, says) in cases {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("matrix.mtx", &text);
        let message = anndata::read_mtx_folder(folder.path()).unwrap_err().to_string();
        assert!(message.contains("there is no barcodes.tsv"), "{message}");
        write("barcodes.tsv", "c1\nc2\n");
        write("genes.tsv", "g1\tA\ng2\tB\n");
        match (anndata::read_mtx_folder(folder.path()), says) {
            (Ok(data), None) => assert_eq!(data.var.columns.len(), 1),
            (Err(error), Some(says)) => assert!(error.to_string().contains(says), "{error}"),
            (read, says) => panic!("{text}: {read:?}, expected {says:?}"),
        }
    }
}
