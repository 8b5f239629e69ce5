//! From `.h5ad` files to embeddings, in every storage the reference was run on.

use std::ops::ControlFlow;
use std::path::Path;

use haystack::anndata::{File, Matrix};
use haystack::domain::{Csr, Expression};
use haystack::stack::checkpoint::Checkpoint;
use haystack::stack::embed::embed;
use haystack::stack::genes::{Case, GeneList};
use haystack::stack::model::{Compute, Model};
use haystack::stack::windows;

use super::command::Workplace;
use super::embed::numpy;
use super::reference::{Tensors, dense, json, models};
use crate::support::shared;

/// As a user embeds them.
#[test]
fn embeddings_of_every_file_form() {
    let Some(folder) = shared("stack/fixtures/public/formats") else { return };
    let tiny = shared("stack/fixtures/public/tiny").unwrap();
    let place = Workplace::from(&tiny);
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    let stored = Tensors::load(&folder.join("expected_embeddings.safetensors"));
    let cases = json(&folder.join("expected_embeddings.json"));
    let cases = cases.as_object().unwrap();
    assert_eq!(cases.len(), 10);
    for (name, case) in cases {
        let list = case["gene_list"].as_str().unwrap();
        let list = if folder.join(list).is_file() { folder.join(list) } else { tiny.join(list) };
        let cells = folder.join(case["file"].as_str().unwrap());
        let model = ["embed", "--model", &path(&tiny.join("base.ckpt")), "--genes", &path(&list)];
        let column: Vec<&str> = case["gene_name_col"].as_str().into_iter().flat_map(|c| ["--gene-column", c]).collect();
        let output = place.run(&[&model[..], &["--cells", &path(&cells), "--output", "e.npy"], &column].concat());
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        let found = numpy(&place.path("e.npy"));
        assert_eq!(stored.shape(name)[0] as u64, case["rows"].as_u64().unwrap(), "{name}");
        stored.check(name, &found);
    }
}

#[test]
fn embeddings_of_files_with_raw_counts_and_symbol_columns() {
    for name in ["tiny", "small", "odd"] {
        let Some(folder) = shared(&format!("stack/fixtures/public/{name}")) else { return };
        let (model, genes) = (load(&folder.join("base.ckpt")), GeneList::read(&folder.join("genes.pkl")).unwrap());
        let stored = Tensors::load(&folder.join("cli_embedding.safetensors"));
        let files = [
            ("base", "base.h5ad", None),
            ("test_raw", "test.h5ad", None),
            ("test_noraw_featname", "test_noraw_featname.h5ad", Some("feature_name")),
        ];
        for (case, file, column) in files {
            let counts = genes.align(&human(&folder.join(file), column), Case::AsListed).unwrap().counts;
            for seed in [0, 42] {
                let found: Vec<i64> = windows::in_order(counts.n_rows(), model.config().n_cells, seed)
                    .into_iter()
                    .flatten()
                    .map(|row| row as i64)
                    .collect();
                assert_eq!(found, stored.integers(&format!("{case}.window_rows_seed{seed}")), "{name} {case}");
            }
            if case == "test_raw" {
                let rows: Vec<usize> =
                    windows::in_order(counts.n_rows(), model.config().n_cells, 0).into_iter().flatten().collect();
                assert_eq!(dense(&counts.select_rows(&rows)), stored.values("test_raw.window_counts"));
            }
            stored.check(case, &embeddings(&model, counts));
        }
    }
}

/// The alignment of the reference's command line: both sides upper-cased.
#[test]
fn files_align_to_the_model_as_in_the_reference() {
    for folder in models() {
        let genes = GeneList::read(&folder.join("genes.pkl")).unwrap();
        let stored = Tensors::load(&folder.join("aligned_inputs.safetensors"));
        let test = genes.align(&human(&folder.join("test.h5ad"), None), Case::Folded).unwrap();
        assert_eq!(dense(&test.counts), stored.values("test_counts"));
        assert!(test.n_matched < genes.len(), "some genes of the model are missing in the file");
        let base = human(&folder.join("base.h5ad"), None);
        let donors = File::open(&folder.join("base.h5ad")).unwrap().obs().column("donor").unwrap().to_strings();
        let rows: Vec<usize> =
            donors.iter().enumerate().filter(|(_, d)| d.as_deref() == Some("Drug A/1")).map(|(row, _)| row).collect();
        let base = genes.align(&base, Case::Folded).unwrap().counts.select_rows(&rows);
        assert_eq!(dense(&base), stored.values("base_DrugA1_counts"));
    }
}

/// Counts as the reference takes them: `raw/X` if there is one, human cells only.
fn human(path: &Path, column: Option<&str>) -> Expression {
    let file = File::open(path).unwrap();
    let matrix = if file.raw_var().is_some() { Matrix::RawX } else { Matrix::X };
    let mut data = file.read_expression(&matrix, None, None).unwrap();
    if let Some(column) = column {
        let names = file.genes_of(&matrix).column(column).unwrap().to_strings();
        data.genes = names.into_iter().map(Option::unwrap_or_default).collect();
    }
    if file.obs().has("organism") {
        let organisms = file.obs().column("organism").unwrap().to_strings();
        let human = |(row, name): (usize, &Option<String>)| (name.as_deref() == Some("Homo sapiens")).then_some(row);
        let rows: Vec<usize> = organisms.iter().enumerate().filter_map(human).collect();
        data.cells = rows.iter().map(|&row| data.cells[row].clone()).collect();
        data.counts = data.counts.select_rows(&rows);
    }
    data
}

fn embeddings(model: &Model, counts: Csr) -> Vec<f32> {
    let mut all = Vec::new();
    embed(model, &counts.into(), 0, |window| {
        all.extend_from_slice(window.values);
        ControlFlow::Continue(())
    })
    .unwrap();
    all
}

fn load(path: &Path) -> Model {
    Model::load(&mut Checkpoint::open(path).unwrap(), &Compute::default()).unwrap()
}
