//! What we write, Python's anndata and scanpy open without a warning, and so do we.

use std::path::Path;
use std::process::Command;

use haystack::anndata::{
    AnnData, Column, DenseMatrix, File, Matrix, Numbers, Problem, RecArray, RecField, Table, Value, annotate, write,
};
use haystack::domain::Csr;
use serde_json::{Value as Json, json};

use super::peer::{differences, digest};
use crate::support::{names_in, python};

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

/// Six cells and four genes, with a column of every kind and marker genes in scanpy's layout.
fn example() -> AnnData {
    let counts = Csr::new(
        4,
        vec![0, 2, 2, 3, 5, 7, 8],
        vec![0, 2, 3, 0, 1, 1, 3, 2],
        vec![1.0, 5.0, 2.0, 7.0, 1.0, 3.0, 16_777_215.0, 4.0],
    )
    .unwrap();
    let condition = Column::Categorical {
        codes: vec![0, 0, 0, 1, 1, -1],
        categories: strings(&["control", "stimulated"]),
        ordered: true,
    };
    let obs = Table {
        index_name: None,
        index: (1..=6).map(|n| format!("cell-{n}")).collect(),
        columns: vec![
            ("condition".into(), condition),
            (
                "name".into(),
                Column::Strings(strings(&["a", "b", "", "ü", "日本", "a"]).into_iter().map(Some).collect()),
            ),
            (
                "some".into(),
                Column::Strings(vec![Some("x".into()), None, Some("b".into()), None, Some("x".into()), None]),
            ),
            ("n".into(), Column::Integers((0..6).map(|n| Some(n * 1_000_000_000_000)).collect())),
            ("n_missing".into(), Column::Integers(vec![Some(-1), None, Some(3), Some(4), None, Some(6)])),
            ("share".into(), Column::Floats(vec![0.5, f64::NAN, -1e-7, 3.0, f64::INFINITY, 0.1])),
            ("flag".into(), Column::Booleans([true, false, true, true, false, false].map(Some).to_vec())),
            ("flag_missing".into(), Column::Booleans(vec![Some(true), None, Some(false), None, None, Some(true)])),
        ],
    };
    let var = Table {
        index_name: Some("gene_id".into()),
        index: strings(&["ISG15", "IFI6", "ACTB", "HLA-A/B"]),
        columns: vec![("highly_variable".into(), Column::Booleans(vec![Some(true); 4]))],
    };
    let per_group = |low: [f64; 4], high: [f64; 4], narrow: bool| {
        let field = |values: [f64; 4]| match narrow {
            true => RecField::F32(values.map(|v| v as f32).to_vec()),
            false => RecField::F64(values.to_vec()),
        };
        Value::Records(RecArray { fields: vec![("control".into(), field(low)), ("IFN-β 24h".into(), field(high))] })
    };
    let names = |genes: &[&str]| RecField::Strings(strings(genes));
    let markers = vec![
        (
            "names".into(),
            Value::Records(RecArray {
                fields: vec![
                    ("control".into(), names(&["ACTB", "HLA-A/B", "IFI6", "ISG15"])),
                    ("IFN-β 24h".into(), names(&["ISG15", "IFI6", "HLA-A/B", "ACTB"])),
                ],
            }),
        ),
        ("scores".into(), per_group([2.0, 1.0, 0.5, -3.0], [4.0, 3.0, 0.0, -1.0], true)),
        ("pvals".into(), per_group([0.01, 0.3, 0.5, 0.001], [1e-300, 1e-5, 1.0, 0.3], false)),
        ("pvals_adj".into(), per_group([0.02, 0.4, 0.5, 0.004], [4e-300, 2e-5, 1.0, 0.4], false)),
        ("logfoldchanges".into(), per_group([1.0, 0.5, 0.25, -2.0], [5.0, 4.0, 0.0, -0.5], true)),
        (
            "params".into(),
            Value::Dict(vec![
                ("groupby".into(), Value::String("condition".into())),
                ("reference".into(), Value::String("rest".into())),
                ("method".into(), Value::String("wilcoxon".into())),
                ("corr_method".into(), Value::String("benjamini-hochberg".into())),
                ("use_raw".into(), Value::Bool(false)),
                ("layer".into(), Value::Null),
            ]),
        ),
        (
            "pts".into(),
            Value::Table(Table {
                index_name: None,
                index: var.index.clone(),
                columns: vec![
                    ("control".into(), Column::Floats(vec![0.25, 0.5, 1.0, 0.0])),
                    ("IFN-β 24h".into(), Column::Floats(vec![1.0, 0.75, 1.0, 0.0])),
                ],
            }),
        ),
    ];
    let uns = vec![
        ("rank_genes_groups".into(), Value::Dict(markers)),
        ("condition_colors".into(), Value::Strings(strings(&["#1f77b4", "#ff7f0e"]))),
        ("log1p".into(), Value::Dict(vec![("base".into(), Value::Null)])),
        (
            "haystack".into(),
            Value::Dict(vec![
                ("seed".into(), Value::Int(42)),
                ("score".into(), Value::Float(0.1)),
                ("empty".into(), Value::String(String::new())),
                ("none".into(), Value::Strings(vec![])),
                ("floats".into(), Value::Floats(vec![1.5, -2.0])),
                ("ints".into(), Value::Ints(vec![i64::MIN, i64::MAX])),
                ("no_columns".into(), Value::Table(Table { index: strings(&["r"]), ..Table::default() })),
                ("nothing".into(), Value::Dict(vec![])),
            ]),
        ),
    ];
    let umap = DenseMatrix { n_rows: 6, n_cols: 2, values: (0..12).map(|n| n as f32 / 4.0).collect() };
    let dense = DenseMatrix { n_rows: 6, n_cols: 4, values: (0..24).map(|n| (n % 5) as f32).collect() };
    AnnData {
        obs,
        var,
        x: Some(Numbers::Sparse(counts.clone())),
        layers: vec![("counts".into(), Numbers::Counts(counts)), ("dense".into(), dense.into())],
        obsm: vec![("X_umap".into(), umap)],
        uns,
    }
}

/// What Python says about a file we wrote, with every warning an error.
fn ask_python(path: &Path) -> Option<Json> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/anndata/written.py");
    let output = Command::new(python()?).arg("-B").arg(script).arg(path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

#[test]
fn python_opens_draws_and_rewrites_it_without_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("written.h5ad");
    write(&path, &example()).unwrap();
    let Some(mut theirs) = ask_python(&path) else { return };
    let mut take = |key: &str| theirs.as_object_mut().unwrap().remove(key).unwrap();

    let uns = take("uns");
    assert_eq!(uns["log1p"], json!({ "base": null }));
    assert_eq!(
        uns["haystack"],
        json!({
            "seed": 42, "score": 0.1, "empty": "", "none": [], "floats": [1.5, -2.0], "ints": [i64::MIN, i64::MAX],
            "no_columns": { "index_name": null, "index": ["r"], "columns": [] }, "nothing": {},
        })
    );
    let markers = &uns["rank_genes_groups"];
    assert_eq!(markers["names"]["IFN-β 24h"], json!({ "dtype": "|O", "values": ["ISG15", "IFI6", "HLA-A/B", "ACTB"] }));
    assert_eq!(markers["scores"]["control"], json!({ "dtype": "<f4", "values": [2.0, 1.0, 0.5, -3.0] }));
    assert_eq!(markers["pvals"]["IFN-β 24h"], json!({ "dtype": "<f8", "values": [1e-300, 1e-5, 1.0, 0.3] }));
    assert_eq!(markers["params"]["use_raw"], json!(false));
    let ranked = take("markers");
    assert_eq!(ranked["IFN-β 24h"][0]["names"], "ISG15");
    assert_eq!(ranked["IFN-β 24h"][1]["logfoldchanges"], 4.0);
    assert_eq!(take("axes"), 2);
    assert_eq!(take("dtypes"), json!({ "counts": "int32", "dense": "float32" }));
    assert_eq!(take("obsm")["X_umap"]["shape"], json!([6, 2]));
    take("size_again");

    let mut found = Vec::new();
    differences(&digest(&path).unwrap(), &theirs, "written", &mut found);
    // The path is in our digest only.
    found.retain(|line| !line.starts_with("written.path"));
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn it_reads_back_what_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("written.h5ad");
    let data = example();
    write(&path, &data).unwrap();
    let file = File::open(&path).unwrap();
    assert_eq!(file.obs().index().unwrap(), data.obs.index);
    assert_eq!(file.var().index_name(), Some("gene_id"));
    for (name, column) in &data.obs.columns {
        let back = file.obs().column(name).unwrap();
        assert_eq!(back.to_strings(), column.to_strings(), "{name}");
        // Missing text comes back as a categorical, everything else as what it was.
        assert!(std::mem::discriminant(&back) == std::mem::discriminant(column) || name == "some", "{name}");
    }
    let (Some(Numbers::Sparse(x)), Numbers::Counts(counts)) = (&data.x, &data.layers[0].1) else { unreachable!() };
    assert_eq!(file.read_rows(&Matrix::X, None).unwrap(), *x);
    assert_eq!(file.read_rows(&Matrix::Layer("counts".into()), None).unwrap(), *counts);
    assert_eq!(file.read_rows(&Matrix::X, Some(&[5, 0, 5])).unwrap(), x.select_rows(&[5, 0, 5]));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "a temporary file was left behind");
}

#[test]
fn a_value_is_put_into_uns_and_never_into_another_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (victim, cells) = (path("victim.h5ad"), path("cells.h5ad"));
    write(&victim, &example()).unwrap();
    let before = std::fs::read(&victim).unwrap();
    let value = Value::String("put there".into());
    type Change = fn(&hdf5::Group, &str);
    // What `uns` is, the name to write, and what is said; `None` where it is written.
    let cases: [(&str, &str, Option<&str>, Change); 9] = [
        ("itself", "haystack", None, |_, _| ()),
        ("missing", "new", None, |root, _| root.unlink("uns").unwrap()),
        ("soft", "haystack", None, |root, _| {
            root.relink("uns", "real").unwrap();
            root.link_soft("real", "hop").unwrap();
            root.link_soft("/hop", "uns").unwrap();
        }),
        ("external", "haystack", Some("lies in another file"), |root, victim| {
            root.unlink("uns").unwrap();
            root.link_external(victim, "/uns", "uns").unwrap();
        }),
        ("soft to external", "haystack", Some("lies in another file"), |root, victim| {
            root.unlink("uns").unwrap();
            root.link_external(victim, "/", "out").unwrap();
            root.link_soft("out/uns", "uns").unwrap();
        }),
        ("endless", "haystack", Some("without an end"), |root, _| {
            root.unlink("uns").unwrap();
            root.link_soft("/uns", "uns").unwrap();
        }),
        ("a data set", "haystack", Some("expected a group"), |root, _| {
            root.unlink("uns").unwrap();
            root.new_dataset::<i32>().shape([3]).create("uns").unwrap();
        }),
        // The name itself: a link is replaced, and what it leads to stays.
        ("with an external value", "haystack", None, |root, victim| {
            root.unlink("uns/haystack").unwrap();
            root.link_external(victim, "/uns/haystack", "uns/haystack").unwrap();
        }),
        ("with a path for a name", "out/haystack", Some("cannot be a name"), |root, victim| {
            root.link_external(victim, "/uns", "uns/out").unwrap();
        }),
    ];
    for (what, name, refused, change) in cases {
        write(&cells, &example()).unwrap();
        let file = hdf5::File::open_rw(&cells).unwrap();
        change(&file.group("/").unwrap(), victim.to_str().unwrap());
        drop(file);
        let original = std::fs::read(&cells).unwrap();
        let outcome = annotate(&cells, &cells, name, &value);
        assert!(std::fs::read(&victim).unwrap() == before, "{what}: the other file was written to");
        match refused {
            Some(said) => {
                let error = outcome.unwrap_err().to_string();
                assert!(error.contains(said) && error.contains("cells.h5ad"), "{what}: {error}");
                assert!(std::fs::read(&cells).unwrap() == original, "{what}");
            }
            None => {
                outcome.unwrap_or_else(|error| panic!("{what}: {error}"));
                let text = File::open(&cells).unwrap().uns_text(&[name]).unwrap();
                assert_eq!(text.as_deref(), Some("put there"), "{what}");
            }
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "{what}");
    }
}

#[test]
fn the_same_data_are_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (folder.path().join("one.h5ad"), folder.path().join("two.h5ad"));
    write(&one, &example()).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(1100));
    write(&two, &example()).unwrap();
    assert!(std::fs::read(one).unwrap() == std::fs::read(two).unwrap());
}

#[test]
fn what_cannot_be_stored_is_refused_and_leaves_the_old_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kept.h5ad");
    write(&path, &example()).unwrap();
    let before = std::fs::read(&path).unwrap();
    type Spoil = fn(&mut AnnData);
    let spoil: [(&str, &str, Spoil); 11] = [
        ("obs/n", "3 values for 6 rows", |data| data.obs.columns[3].1 = Column::Integers(vec![None; 3])),
        ("obs", "comes twice", |data| data.obs.columns[3].0 = "name".into()),
        ("obs/a/b", "cannot be a name", |data| data.obs.columns[3].0 = "a/b".into()),
        ("obs/_index", "reserved", |data| data.obs.columns[3].0 = "_index".into()),
        ("obs/name", "NUL", |data| data.obs.columns[1].1 = Column::Strings(vec![Some("a\0b".into()); 6])),
        ("obs/condition", "not among", |data| {
            data.obs.columns[0].1 =
                Column::Categorical { codes: vec![2; 6], categories: strings(&["a"]), ordered: false };
        }),
        ("obs/condition", "the category \"a\" comes twice", |data| {
            data.obs.columns[0].1 =
                Column::Categorical { codes: vec![0; 6], categories: strings(&["a", "a"]), ordered: false };
        }),
        ("uns/r", "\"\" cannot be the name of a field", |data| {
            let records = RecArray { fields: vec![(String::new(), RecField::F64(vec![1.0]))] };
            data.uns.push(("r".into(), Value::Records(records)));
        }),
        ("X", "6 × 4, but the tables have 6 × 3", |data| drop(data.var.index.pop().zip(data.var.columns.pop()))),
        ("layers/counts", "not a 32-bit whole number", |data| {
            let csr = Csr::new(4, vec![0, 1, 1, 1, 1, 1, 1], vec![0], vec![0.5]).unwrap();
            data.layers[0].1 = Numbers::Counts(csr);
        }),
        ("obsm/X_umap", "11 values for 6 × 2", |data| data.obsm[0].1.values.truncate(11)),
    ];
    for (at, what, spoil) in spoil {
        let mut data = example();
        spoil(&mut data);
        let error = write(&path, &data).unwrap_err();
        assert_eq!(error.at, at, "{error}");
        assert!(error.to_string().contains(what), "{error}");
        assert!(matches!(error.problem, Problem::Unwritable { .. }));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "{at}");
        assert!(std::fs::read(&path).unwrap() == before, "{at}");
    }
    let nowhere = write(&folder.path().join("no/such/folder.h5ad"), &example()).unwrap_err();
    assert!(nowhere.to_string().contains("no/such/folder.h5ad: cannot be written: No such file"), "{nowhere}");
}

#[test]
fn a_full_disk_leaves_the_old_file_and_nothing_else() {
    const FOLDER: &str = "HAYSTACK_TEST_WRITE";
    let mut data = example();
    let noise = (0..600_000u32).map(|n| n.wrapping_mul(2_654_435_761) as f32).collect();
    data.obsm.push(("X_noise".into(), DenseMatrix { n_rows: 6, n_cols: 100_000, values: noise }));
    if let Some(folder) = std::env::var_os(FOLDER) {
        // In a process that may write files of 256 KiB at most; HDF5 must survive its failure.
        let path = Path::new(&folder).join("kept.h5ad");
        for _ in 0..3 {
            println!("error {}", write(&path, &data).unwrap_err());
        }
        write(&Path::new(&folder).join("small.h5ad"), &example()).unwrap();
        assert_eq!(File::open(&path).unwrap().n_cells(), 6);
        #[cfg(target_os = "linux")]
        for open in std::fs::read_dir("/proc/self/fd").unwrap() {
            let file = std::fs::read_link(open.unwrap().path()).unwrap_or_default();
            assert!(!file.to_string_lossy().contains(".part"), "{} is still open", file.display());
        }
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kept.h5ad");
    write(&path, &example()).unwrap();
    let before = std::fs::read(&path).unwrap();
    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 512; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "anndata::write::a_full_disk_leaves_the_old_file_and_nothing_else", "--nocapture"])
        .env(FOLDER, folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let errors: Vec<&str> = said.lines().filter_map(|line| line.strip_prefix("error ")).collect();
    assert_eq!(errors.len(), 3, "{said}");
    for error in errors {
        let named = error.starts_with(path.to_str().unwrap());
        assert!(named && error.ends_with("cannot be written: File too large; nothing was left behind"), "{error}");
    }
    assert_eq!(names_in(folder.path()), ["kept.h5ad", "small.h5ad"]);
    assert!(std::fs::read(&path).unwrap() == before);
}
