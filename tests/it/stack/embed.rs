//! `haystack embed` as a user runs it, against what `stack-embedding` wrote.

use std::fs;
use std::path::Path;

use haystack::anndata::{self, AnnData, Column, File, Matrix, Numbers, Table};
use serde_json::Value;

use super::command::{Workplace, counts};
use super::reference::{Tensors, base_checkpoint, dense, models};
use crate::support::{python, shared};

/// Runs the command with the reference's own flags.
fn embed(place: &Workplace, checkpoint: &Path, adata: &Path, output: &str, more: &[&str]) -> Value {
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    let genes = path(&place.model.join("genes.pkl"));
    let flags = [
        "embed",
        "--checkpoint",
        &path(checkpoint),
        "--adata",
        &path(adata),
        "--genelist",
        &genes,
        "--output",
        output,
        "--batch-size",
        "4",
        "--num-workers",
        "0",
        "--show-progress",
    ];
    let output = place.run(&[&flags, more].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The numbers of a `.npy` file of `f32`.
pub fn numpy(path: &Path) -> Vec<f32> {
    let bytes = fs::read(path).unwrap();
    let start = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    bytes[start..].as_chunks().0.iter().map(|&word| f32::from_le_bytes(word)).collect()
}

#[test]
fn embeddings_are_those_of_the_reference() {
    for folder in models() {
        let place = Workplace::from(&folder);
        let stored = Tensors::load(&folder.join("cli_embedding.safetensors"));
        let cases: [(&str, &str, &[&str]); 3] = [
            ("base", "base.h5ad", &[]),
            ("test_raw", "test.h5ad", &["--random-seed", "0"]),
            ("test_noraw_featname", "test_noraw_featname.h5ad", &["--gene-name-col", "feature_name"]),
        ];
        for (name, file, more) in cases {
            let summary = embed(&place, &base_checkpoint(&folder), &folder.join(file), "e.npy", more);
            let found = numpy(&place.path("e.npy"));
            stored.check(name, &found);
            assert_eq!(summary["n_cells"], stored.shape(name)[0]);
            assert_eq!(summary["width"], stored.shape(name)[1]);
            // The aligned model is the same network; its query mark is not for embeddings.
            embed(&place, &folder.join("icl.ckpt"), &folder.join(file), "aligned.npy", more);
            assert_eq!(numpy(&place.path("aligned.npy")), found);
        }
    }
}

#[test]
fn the_anndata_form_is_that_of_the_reference() {
    for folder in models() {
        let place = Workplace::from(&folder);
        let test = folder.join("test.h5ad");
        let source = ["--obs-source", test.to_str().unwrap()];
        embed(&place, &base_checkpoint(&folder), &test, "e.h5ad", &source);
        let [found, expected] =
            [place.path("e.h5ad"), folder.join("cli_embedding_test.h5ad")].map(|f| File::open(&f).unwrap());
        let stored = Tensors::load(&folder.join("cli_embedding.safetensors"));
        stored.check("test_raw", &dense(&counts(&found)));
        assert_eq!(found.obs().index().unwrap(), expected.obs().index().unwrap());
        assert_eq!(found.obs().columns(), expected.obs().columns());
        assert_eq!(found.var().index().unwrap(), expected.var().index().unwrap());
        assert_eq!(found.matrices()[0].storage, expected.matrices()[0].storage);
    }
}

#[test]
fn python_opens_both_forms() {
    let Some(python) = python() else { return };
    let place = Workplace::new();
    let (model, cells) = (base_checkpoint(&place.model), place.model.join("test.h5ad"));
    embed(&place, &model, &cells, "e.npy", &[]);
    embed(&place, &model, &cells, "e.h5ad", &[]);
    let script = r#"
import anndata, numpy as np
e, a, q = np.load("e.npy"), anndata.read_h5ad("e.h5ad"), anndata.read_h5ad("query.h5ad")
assert e.dtype == a.X.dtype == np.float32 and (e == a.X).all() and e.shape == (37, 64)
assert list(a.obs_names) == list(q.obs_names) and (a.obs["cell_type"] == q.obs["cell_type"]).all()
assert list(a.var_names[:2]) == ["latent_0", "latent_1"] and a.uns["haystack"]["model_sha256"]
"#;
    let output =
        std::process::Command::new(python).args(["-c", script]).current_dir(place.folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The files of the reference with an organism column, and one of ours in which mice come first.
#[test]
fn only_human_cells_are_embedded_and_keep_their_names() {
    if let Some(formats) = shared("stack/fixtures/public/formats") {
        let tiny = shared("stack/fixtures/public/tiny").unwrap();
        let place = Workplace::from(&tiny);
        let stored = Tensors::load(&formats.join("expected_embeddings.safetensors"));
        for name in ["organism_cat", "organism_str"] {
            embed(&place, &tiny.join("base.ckpt"), &formats.join(format!("{name}.h5ad")), "e.npy", &[]);
            stored.check(name, &numpy(&place.path("e.npy")));
        }
    }
    let place = Workplace::new();
    let query = File::open(&place.path("query.h5ad")).unwrap();
    let data = query.read_expression(&Matrix::RawX, None, None).unwrap();
    let mice = 5;
    let organism = |row: usize| (row != 7).then(|| if row < mice { "Mus musculus" } else { "Homo sapiens" }.to_owned());
    let organisms = Column::Strings((0..data.cells.len()).map(organism).collect());
    let obs =
        Table { index: data.cells.clone(), columns: vec![("organism".to_owned(), organisms)], ..Table::default() };
    let var = Table { index: data.genes.clone(), ..Table::default() };
    let mixed = AnnData { obs, var, x: Some(Numbers::Sparse(data.counts)), ..AnnData::default() };
    anndata::write(&place.path("mixed.h5ad"), &mixed).unwrap();
    let model = base_checkpoint(&place.model);
    // The same names where the table comes from the file itself, and where it is given.
    for more in [&[][..], &["--obs-source", "mixed.h5ad"]] {
        let summary = embed(&place, &model, &place.path("mixed.h5ad"), "e.h5ad", more);
        assert_eq!(summary["n_cells_of_other_organisms"], mice + 1, "one cell does not say and is no human either");
        assert_eq!(summary["warnings"].as_array().unwrap().len(), 2, "{summary}");
        let kept: Vec<String> = data
            .cells
            .iter()
            .enumerate()
            .filter(|(row, _)| *row >= mice && *row != 7)
            .map(|(_, name)| name.clone())
            .collect();
        assert_eq!(File::open(&place.path("e.h5ad")).unwrap().obs().index().unwrap(), kept);
    }
    let nobody = AnnData {
        obs: Table {
            columns: vec![(
                "organism".to_owned(),
                Column::Strings(vec![Some("Mus musculus".to_owned()); data.cells.len()]),
            )],
            ..mixed.obs.clone()
        },
        ..mixed
    };
    anndata::write(&place.path("mice.h5ad"), &nobody).unwrap();
    let (genes, model) = (place.model.join("genes.pkl"), model.to_str().unwrap().to_owned());
    let output = place.run(&[
        "embed",
        "--cells",
        "mice.h5ad",
        "--model",
        &model,
        "--genes",
        genes.to_str().unwrap(),
        "--output",
        "e.npy",
    ]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no cell is Homo sapiens"));
}

#[test]
fn the_first_windows_alone_are_the_first_cells() {
    let place = Workplace::new();
    let (model, cells) = (base_checkpoint(&place.model), place.model.join("test.h5ad"));
    embed(&place, &model, &cells, "all.npy", &[]);
    let summary = embed(&place, &model, &cells, "two.npy", &["--max-samples", "2"]);
    assert_eq!(summary["n_cells"], 32);
    let (all, two) = (numpy(&place.path("all.npy")), numpy(&place.path("two.npy")));
    assert_eq!(two, all[..two.len()]);
    // Of the whole file the last window is short, and its fill depends on the seed.
    embed(&place, &model, &cells, "other.npy", &["--random-seed", "42"]);
    let other = numpy(&place.path("other.npy"));
    assert_eq!(other[..two.len()], all[..two.len()]);
    assert_ne!(other, all);
    let stored = Tensors::load(&place.model.join("cli_embedding.safetensors"));
    assert_ne!(stored.integers("test_raw.window_rows_seed0"), stored.integers("test_raw.window_rows_seed42"));
}

#[test]
fn what_cannot_be_embedded_is_refused() {
    let place = Workplace::new();
    // A copy by itself: beside the original lies a gene list, which would be taken.
    let (model, genes) = (place.path("alone.ckpt"), place.model.join("genes.pkl"));
    std::fs::copy(base_checkpoint(&place.model), &model).unwrap();
    let run = |output: &str, more: &[&str]| {
        let flags = ["embed", "--cells", "query.h5ad", "--model", model.to_str().unwrap(), "--output", output];
        let done = place.run(&[&flags, more].concat());
        (done.status.code(), String::from_utf8(done.stderr).unwrap())
    };
    let genes = ["--genes", genes.to_str().unwrap()];
    assert_eq!(run("e.txt", &genes).0, Some(2));
    let before = fs::read(place.path("query.h5ad")).unwrap();
    let (code, said) = run("./query.h5ad", &genes);
    assert!(code == Some(2) && said.contains("would be written over an input"), "{said}");
    assert_eq!(fs::read(place.path("query.h5ad")).unwrap(), before);
    let (_, said) = run("e.npy", &[]);
    assert!(said.contains("does not bring its gene list"), "{said}");
    let few = ["--obs-source", "few.h5ad"];
    super::command::write_cells(
        &place.path("few.h5ad"),
        &["A".to_owned()],
        haystack::domain::Csr::from_rows(1, [[(0, 1.0)]]).unwrap(),
    );
    let (code, said) = run("e.h5ad", &[&genes[..], &few].concat());
    assert_eq!(code, Some(1));
    assert!(said.contains("few.h5ad has 1 cells and 37 were embedded"), "{said}");
    assert!(!place.path("e.h5ad").exists());
}
