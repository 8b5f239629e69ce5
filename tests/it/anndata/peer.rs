//! Every `.h5ad` file of the shared data is read as Python's anndata reads it.

use std::path::{Path, PathBuf};
use std::process::Command;

use haystack::anndata::{Column, File, Frame};
use haystack::domain::Csr;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::{python, shared};

/// What Python says about each file, in their order.
pub fn ask_python(files: &[PathBuf]) -> Option<Vec<Value>> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/anndata/peer.py");
    let output = Command::new(python()?).arg(script).args(files).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    let answers: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers.len(), files.len());
    Some(answers)
}

/// The same about a file, read by us.
pub fn digest(path: &Path) -> Result<Value, haystack::anndata::Error> {
    let file = File::open(path)?;
    let mut matrices = serde_json::Map::new();
    for info in file.matrices() {
        let csr = file.read_rows(&info.matrix, None)?;
        matrices.insert(info.matrix.to_string(), matrix(&csr));
    }
    if let Some((_, error)) = file.unreadable().first() {
        panic!("{error}");
    }
    let raw_var = file.raw_var().map(table).transpose()?;
    Ok(json!({
        "path": path, "obs": table(file.obs())?, "var": table(file.var())?, "raw_var": raw_var, "matrices": matrices,
    }))
}

fn table(frame: &Frame) -> Result<Value, haystack::anndata::Error> {
    let columns: Result<Vec<Value>, _> =
        frame.columns().iter().map(|name| Ok(json!([name, column(&frame.column(name)?)]))).collect();
    Ok(json!({ "index_name": frame.index_name(), "index": frame.index()?, "columns": columns? }))
}

fn column(column: &Column) -> Value {
    let values = column.to_strings();
    match column {
        Column::Categorical { codes, categories, ordered } => json!({
            "kind": "categorical", "codes": codes, "categories": categories, "ordered": ordered, "values": values,
        }),
        Column::Strings(_) => json!({ "kind": "strings", "values": values }),
        Column::Integers(_) => json!({ "kind": "integers", "values": values }),
        Column::Floats(_) => json!({ "kind": "floats", "values": values }),
        Column::Booleans(_) => json!({ "kind": "booleans", "values": values }),
    }
}

fn matrix(csr: &Csr) -> Value {
    let mut sha = Sha256::new();
    csr.indptr().iter().for_each(|&pointer| sha.update((pointer as u64).to_le_bytes()));
    csr.indices().iter().for_each(|&column| sha.update(column.to_le_bytes()));
    csr.values().iter().for_each(|&v| sha.update(if v.is_nan() { f32::NAN } else { v }.to_le_bytes()));
    json!({
        "shape": [csr.n_rows(), csr.n_cols()], "entries": csr.nnz(), "sha256": hex::encode(sha.finalize())
    })
}

/// Where two answers differ, in words; empty where they agree.
pub fn differences(ours: &Value, theirs: &Value, at: &str, found: &mut Vec<String>) {
    match (ours, theirs) {
        (Value::Object(a), Value::Object(b)) => {
            for key in a.keys().chain(b.keys().filter(|key| !a.contains_key(*key))) {
                let missing = Value::String("(absent)".into());
                let (a, b) = (a.get(key).unwrap_or(&missing), b.get(key).unwrap_or(&missing));
                differences(a, b, &format!("{at}.{key}"), found);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (position, (a, b)) in a.iter().zip(b).enumerate() {
                differences(a, b, &format!("{at}[{position}]"), found);
            }
        }
        _ if ours == theirs => {}
        _ => found.push(format!("{at}: ours {ours}, Python's {theirs}")),
    }
}

fn h5ad_files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "h5ad"))
        .collect();
    files.sort();
    files
}

#[test]
fn files_are_read_as_python_reads_them() {
    let folders = [
        "data/singlecell/anndata_archives",
        "data/singlecell/h5ad_variants",
        "data/singlecell",
        "stack/fixtures/public/formats",
        "stack/fixtures/public/odd",
        "stack/fixtures/public/small",
        "stack/fixtures/public/tiny",
        "stack/fixtures/public/tiny/cli_generation_mean",
        "stack/fixtures/public/tiny/cli_generation_sampled",
        "stack/kang/inputs",
    ];
    let Some(folders) = folders.iter().map(|folder| shared(folder)).collect::<Option<Vec<_>>>() else { return };
    let mut files: Vec<PathBuf> = folders.iter().flat_map(|folder| h5ad_files(folder)).collect();
    for name in ["3.0.0_filtered_feature_bc_matrix", "seurat_visium_filtered_feature_bc_matrix"] {
        files.extend(shared(&format!("data/singlecell/10x/{name}.h5")));
    }
    assert!(files.len() >= 50, "only {} files", files.len());
    let Some(answers) = ask_python(&files) else { return };
    let mut wrong = Vec::new();
    for (file, theirs) in files.iter().zip(answers) {
        let name = file.file_name().unwrap().to_string_lossy();
        match (digest(file), theirs.get("error")) {
            (Ok(ours), None) => {
                let mut found = Vec::new();
                differences(&ours, &theirs, &name, &mut found);
                wrong.extend(found.into_iter().take(5));
            }
            (Err(error), None) => wrong.push(format!("{error}, but Python reads it")),
            (Ok(_), Some(error)) => wrong.push(format!("{name}: read, but Python says {error}")),
            (Err(error), Some(theirs)) => println!("refused by both: {error} (Python: {theirs})"),
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn zarr_stores_are_told_apart_with_the_way_out() {
    let Some(folder) = shared("data/singlecell/anndata_archives") else { return };
    for version in ["v0.7.0", "v0.7.8", "v0.11.4"] {
        let error = File::open(&folder.join(format!("{version}_adata.zarr.zip"))).unwrap_err();
        assert!(matches!(error.problem, haystack::anndata::Problem::Zarr), "{error}");
        assert!(error.to_string().contains("anndata.read_zarr(STORE).write_h5ad"), "{error}");
    }
}

#[test]
fn other_hdf5_formats_are_told_apart_with_the_way_out() {
    let Some(folder) = shared("data/singlecell") else { return };
    let hint = |name: &str| File::open(&folder.join(name)).unwrap_err().to_string();
    assert!(hint("10x/1.2.0_multiple_genomes.h5").contains("several genomes (another_genome, hg19_chr21)"));
    assert!(hint("h5mu/v0.1.2_mdata_axis0.h5mu").contains("MuData"));
    assert!(hint("h5mu/v0.4.1_mdata_axis0.h5mu").contains("MuData"));
}
