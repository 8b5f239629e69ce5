//! `haystack infer` and `haystack import model` as a user runs them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use haystack::anndata::{self, AnnData, File, Matrix, Numbers, Table};
use haystack::domain::Csr;
use haystack::domain::inference::{Arm, InferRequest, InferSummary, Location, Method, Sampling};
use serde_json::Value;

use super::reference::{TOLERANCE, dense, models, row_error};
use crate::support::{fixture, names_in, python};

/// A home folder of its own, with a query and prompts made from the reference's files.
pub struct Workplace {
    pub folder: tempfile::TempDir,
    pub model: PathBuf,
}

impl Workplace {
    pub fn new() -> Self {
        Self::from(&fixture("stack/tiny"))
    }

    pub fn from(model: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for donor in ["ctrl", "Drug A/1"] {
            let file = File::open(&model.join("base.h5ad")).unwrap();
            let donors = file.obs().column("donor").unwrap().to_strings();
            let rows: Vec<usize> = donors
                .iter()
                .enumerate()
                .filter(|(_, name)| name.as_deref() == Some(donor))
                .map(|(row, _)| row)
                .collect();
            let data = file.read_expression(&Matrix::X, Some(&rows), None).unwrap();
            let name = donor.replace([' ', '/'], "_");
            write_cells(&folder.path().join(format!("{name}.h5ad")), &data.genes, data.counts);
        }
        fs::copy(model.join("test.h5ad"), folder.path().join("query.h5ad")).unwrap();
        Self { folder, model: model.to_owned() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The command, with a home and working folder of this workplace and nothing from the environment.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_haystack"));
        command.args(arguments).current_dir(self.folder.path()).env_clear().env("HAYSTACK_HOME", self.path("home"));
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    pub fn infer(&self, arguments: &[&str]) -> InferSummary {
        let output = self.run(&[&["infer"], arguments].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let stdout = String::from_utf8(output.stdout).unwrap();
        serde_json::from_str(stdout.lines().last().unwrap()).unwrap()
    }

    /// Runs what must fail: its exit code and what it said.
    pub fn fails(&self, arguments: &[&str]) -> (i32, String) {
        let before = self.files();
        let output = self.run(&[&["infer"], arguments].concat());
        assert!(output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stdout));
        assert_eq!(self.files(), before, "a failure leaves nothing behind");
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    }

    /// Names of the files, the home left out.
    pub fn files(&self) -> Vec<String> {
        let mut names = names_in(self.folder.path());
        names.retain(|name| name != "home");
        names
    }

    pub fn flags(&self) -> (String, String) {
        let path = |name: &str| self.model.join(name).to_string_lossy().into_owned();
        (path("icl.ckpt"), path("genes.pkl"))
    }
}

#[test]
fn generation_from_file_to_file_is_that_of_the_reference() {
    for folder in models() {
        let place = Workplace::from(&folder);
        let (model, genes) = place.flags();
        for prompt in ["ctrl", "Drug_A_1"] {
            let expected = folder.join(format!("cli_generation_mean/{prompt}.h5ad"));
            if !expected.is_file() {
                continue;
            }
            let (from, to) = (format!("{prompt}.h5ad"), format!("out_{prompt}.h5ad"));
            let summary = place.infer(&[
                "--prompt",
                &from,
                "--query",
                "query.h5ad",
                "--output",
                &to,
                "--checkpoint",
                &model,
                "--genes",
                &genes,
                "--diffusion-steps",
                "5",
                "--seed",
                "0",
                "--counts",
                "mean",
            ]);
            let (found, expected) = (File::open(&place.path(&to)).unwrap(), File::open(&expected).unwrap());
            let (found_x, expected_x) = (counts(&found), counts(&expected));
            assert_eq!(found_x.n_cols(), expected_x.n_cols());
            let error = row_error(&dense(&found_x), &dense(&expected_x), expected_x.n_cols());
            println!("{}/{prompt}.h5ad: worst relative error {error:.1e}", folder.file_name().unwrap().display());
            assert!(error < TOLERANCE, "{error}");
            assert_eq!(found.obs().index().unwrap(), expected.obs().index().unwrap());
            assert_eq!(found.var().index().unwrap(), expected.var().index().unwrap());
            assert_eq!(found.obs().columns(), expected.obs().columns());
            for column in expected.obs().columns().iter().filter(|name| *name != "gen_logit") {
                let of = |file: &File| file.obs().column(column).unwrap().to_strings();
                assert_eq!(of(&found), of(&expected), "{column}");
            }
            let logits = |file: &File| match file.obs().column("gen_logit").unwrap() {
                anndata::Column::Floats(values) => values,
                other => panic!("{other:?}"),
            };
            let (found_logits, expected_logits) = (logits(&found), logits(&expected));
            let largest = expected_logits.iter().fold(1.0_f64, |m, v| m.max(v.abs()));
            for (found, expected) in found_logits.iter().zip(expected_logits) {
                assert!((found - expected).abs() < TOLERANCE * largest, "{found} {expected}");
            }
            assert_eq!(summary.n_query_cells, found.n_cells());
            assert_eq!(summary.n_genes, found.var().n_rows());
            assert_eq!(summary.device, "cpu");
            assert!(summary.warnings.iter().any(|warning| warning.contains("licence")), "{:?}", summary.warnings);
        }
    }
}

#[test]
fn drawn_counts_depend_on_the_seed_and_not_on_the_threads() {
    for folder in models() {
        let place = Workplace::from(&folder);
        let (model, genes) = place.flags();
        let run = |to: &str, seed: &str, threads: &str| {
            let output = place
                .command(&["infer", "--prompt", "ctrl.h5ad", "--query", "query.h5ad", "--output", to])
                .args(["--model", &model, "--genes", &genes, "--seed", seed])
                .env("RAYON_NUM_THREADS", threads)
                .output()
                .unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            let file = File::open(&place.path(to)).unwrap();
            file.read_rows(&Matrix::X, None).unwrap()
        };
        let one = run("one.h5ad", "3", "1");
        assert!(one.values().iter().all(|value| value.fract() == 0.0 && *value > 0.0));
        assert_eq!(run("two.h5ad", "3", "2"), one);
        assert_eq!(run("five.h5ad", "3", "5"), one);
        assert_ne!(run("other.h5ad", "4", "2"), one);
    }
}

#[test]
fn a_profile_says_where_the_time_went() {
    let place = Workplace::new();
    let (model, genes) = place.flags();
    let files = ["infer", "--prompt", "ctrl.h5ad", "--query", "query.h5ad", "--output", "out.h5ad"];
    let output = place.run(&[&files[..], &["--model", &model, "--genes", &genes, "--profile"]].concat());
    let said = String::from_utf8(output.stderr).unwrap();
    let seconds = |part: &str| -> f64 {
        let line = said.lines().find(|line| line.starts_with(part)).unwrap_or_else(|| panic!("{part}: {said}"));
        line[part.len()..].split_whitespace().next().unwrap().parse().unwrap()
    };
    let parts = [
        "tokens",
        "inside cells",
        "between cells: qkv",
        "between cells: attention",
        "between cells: projection",
        "between cells: norm",
        "logits",
        "head: hidden",
        "head: scales",
        "head: softmax",
        "head: dispersions",
        "head: medians",
    ];
    let sum: f64 = parts.iter().map(|part| seconds(part)).sum();
    assert!((sum - seconds("all parts")).abs() < 0.0005 * (parts.len() + 1) as f64, "{said}");
    assert!(said.contains("GFLOP/s") && said.contains("This machine multiplies large matrices at"), "{said}");
}

/// Splits go to a folder, which may not be where the prompt is: a split could replace it.
#[test]
fn no_output_replaces_an_input() {
    let place = Workplace::new();
    let (model, genes) = place.flags();
    let donors = place.path("donors");
    fs::create_dir(&donors).unwrap();
    fs::copy(place.model.join("base.h5ad"), donors.join("ctrl.h5ad")).unwrap();
    let before = fs::read(donors.join("ctrl.h5ad")).unwrap();
    let files = ["--prompt", "donors/ctrl.h5ad", "--query", "query.h5ad", "--model", &model, "--genes", &genes];
    let splits = ["--split-column", "donor", "--output-dir", "donors"];
    let (code, said) = place.fails(&[&files[..], &splits].concat());
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("donors/ctrl.h5ad would be written over an input"), "{said}");
    assert_eq!(fs::read(donors.join("ctrl.h5ad")).unwrap(), before);
    assert_eq!(fs::read_dir(&donors).unwrap().count(), 1);
    // An address of a folder is one, not a folder called file:.
    let address = format!("file://{}", place.path("by-address").display());
    place.infer(&[&files[..], &["--split-column", "donor", "--output-dir", &address]].concat());
    assert!(place.path("by-address/ctrl.h5ad").is_file());
}

/// The query's symbols stand in a column; the baseline beside STACK still finds the prompt's genes.
#[test]
fn both_methods_take_files_indexed_by_other_names() {
    let place = Workplace::new();
    let (model, genes) = place.flags();
    for name in ["Drug_A_1", "ctrl", "query"] {
        let file = File::open(&place.path(&format!("{name}.h5ad"))).unwrap();
        let matrix = if file.raw_var().is_some() { Matrix::RawX } else { Matrix::X };
        let data = file.read_expression(&matrix, None, None).unwrap();
        let var = Table {
            index: data.genes.iter().map(|gene| format!("ENSG_{gene}")).collect(),
            columns: vec![(
                "gene_symbol".to_owned(),
                anndata::Column::Strings(data.genes.iter().cloned().map(Some).collect()),
            )],
            ..Table::default()
        };
        let obs = Table { index: data.cells, ..Table::default() };
        let renamed = AnnData { obs, var, x: Some(Numbers::Sparse(data.counts)), ..AnnData::default() };
        anndata::write(&place.path(&format!("{name}_ens.h5ad")), &renamed).unwrap();
    }
    let at = |name: &str| Location::Path(place.path(name));
    let arm = |name: &str, method| Arm {
        name: name.to_owned(),
        method,
        prompt: at("Drug_A_1_ens.h5ad"),
        split: None,
        control: Some(at("ctrl_ens.h5ad")),
        output: at(&format!("{name}.h5ad")),
    };
    let request = InferRequest {
        model: Some(Location::Path(model.into())),
        genes: Some(Location::Path(genes.into())),
        query: at("query_ens.h5ad"),
        arms: vec![arm("stack", Method::Stack), arm("baseline", Method::MeanShift)],
        sampling: Sampling { diffusion_steps: 1, ..Sampling::default() },
        summary: None,
    };
    fs::write(place.path("request.json"), serde_json::to_vec(&request).unwrap()).unwrap();
    place.infer(&["--request", "request.json"]);
    let names = |name: &str| File::open(&place.path(name)).unwrap().var().index().unwrap();
    assert!(names("baseline.h5ad").iter().all(|name| name.starts_with("ENSG_")));
    assert!(names("stack.h5ad").iter().all(|name| !name.starts_with("ENSG_")));
}

/// Import once, then one job with a STACK arm for each prompt and a baseline, from a stored request.
#[test]
fn an_imported_model_serves_all_arms_of_a_request() {
    let place = Workplace::new();
    let (checkpoint, genes) = place.flags();
    let import =
        ["import", "model", &checkpoint, "--genes", &genes, "--name", "tiny", "--licence", "CC BY-NC 4.0", "--json"];
    let first = place.run(&import);
    assert!(first.status.success(), "{}", String::from_utf8_lossy(&first.stderr));
    let about: Value = serde_json::from_slice(&first.stdout).unwrap();
    assert_eq!((about["kind"].as_str(), about["n_genes"].as_u64()), (Some("aligned"), Some(64)));
    let again = place.run(&import);
    assert!(again.status.success());
    assert!(String::from_utf8_lossy(&again.stderr).contains("nothing to do"));
    // The same name for other weights.
    let base = place.model.join("base_minimal.ckpt");
    let other = place.run(&["import", "model", base.to_str().unwrap(), "--genes", &genes, "--name", "tiny"]);
    assert_eq!(other.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&other.stderr).contains("another model called tiny"));

    let at = |name: &str| Location::Path(place.path(name));
    let arm = |name: &str, method, prompt: &str, control: Option<&str>| Arm {
        name: name.to_owned(),
        method,
        prompt: at(prompt),
        split: None,
        control: control.map(at),
        output: at(&format!("{name}.h5ad")),
    };
    let request = InferRequest {
        model: Some(Location::Key("models/tiny".to_owned())),
        genes: None,
        query: at("query.h5ad"),
        arms: vec![
            arm("perturbed", Method::Stack, "Drug_A_1.h5ad", None),
            arm("control", Method::Stack, "ctrl.h5ad", None),
            arm("baseline", Method::MeanShift, "Drug_A_1.h5ad", Some("ctrl.h5ad")),
        ],
        sampling: Sampling { diffusion_steps: 2, seed: 7, ..Sampling::default() },
        summary: Some(at("summary.json")),
    };
    // By path, then as the orchestrator asks: everything by key in the object store.
    fs::write(place.path("request.json"), serde_json::to_vec(&request).unwrap()).unwrap();
    let summary = place.infer(&["--request", "request.json"]);
    let folder = "batch-io/run_0123456789ab/iter_1";
    let mut by_key = request.clone();
    for arm in &mut by_key.arms {
        arm.output = Location::Key(format!("{folder}/{}.predictions.h5ad", arm.name));
    }
    by_key.summary = Some(Location::Key(format!("{folder}/summary.json")));
    let stored = place.path("home/objects").join(folder);
    fs::create_dir_all(&stored).unwrap();
    fs::write(stored.join("request.json"), serde_json::to_vec(&by_key).unwrap()).unwrap();
    place.infer(&["--request", &format!("{folder}/request.json"), "--device", "cpu"]);
    for arm in &request.arms {
        let x = |path: PathBuf| counts(&File::open(&path).unwrap());
        let output = place.path(&format!("{}.h5ad", arm.name));
        assert_eq!(x(stored.join(format!("{}.predictions.h5ad", arm.name))), x(output), "{}", arm.name);
    }
    assert!(stored.join("summary.json").is_file());
    let stored: InferSummary = serde_json::from_slice(&fs::read(place.path("summary.json")).unwrap()).unwrap();
    assert_eq!(stored, summary);
    assert_eq!(summary.model.as_deref(), Some("tiny"));
    assert_eq!(summary.model_licence.as_deref(), Some("CC BY-NC 4.0"));
    assert_eq!(summary.model_sha256.as_deref(), about["sha256"].as_str());
    assert_eq!(
        summary.arms.iter().map(|arm| arm.name.as_str()).collect::<Vec<_>>(),
        ["perturbed", "control", "baseline"]
    );
    let query = File::open(&place.path("query.h5ad")).unwrap();
    let library = query.read_rows(&Matrix::RawX, None).unwrap().row_sums();
    let baseline = File::open(&place.path("baseline.h5ad")).unwrap().read_rows(&Matrix::X, None).unwrap();
    for (found, expected) in baseline.row_sums().iter().zip(library) {
        // Each gene is rounded on its own, so the sum is that of the query but for rounding.
        assert!((found - expected).abs() <= 4.0 * (baseline.n_cols() as f64).sqrt(), "{found} {expected}");
    }
    check_with_scanpy(&place);
}

/// What scanpy sees: counts, the query's cells, the origin with the licence.
fn check_with_scanpy(place: &Workplace) {
    let Some(python) = python() else { return };
    let script = r#"
import warnings; warnings.simplefilter("error")
import anndata, numpy as np, scanpy as sc
query = anndata.read_h5ad("query.h5ad")
for name in ["perturbed", "control", "baseline"]:
    a = anndata.read_h5ad(name + ".h5ad")
    assert (a.obs_names == query.obs_names).all() and list(a.obs.columns)[:4] == list(query.obs.columns)
    assert (a.obs["cell_type"] == query.obs["cell_type"]).all()
    assert a.X.dtype == np.float32 and (a.X.data % 1 == 0).all() and (a.X.data > 0).all()
    about = a.uns["haystack"]
    assert about["arm"] == name and about["seed"] == "7", about
    if name != "baseline":
        assert about["model_licence"] == "CC BY-NC 4.0" and about["model"] == "tiny" and about["diffusion_steps"] == 2
        assert "gen_logit" in a.obs and a.shape == (37, 64)
    sc.pp.normalize_total(a, target_sum=1e4); sc.pp.log1p(a)
print("fine")
"#;
    let output = Command::new(python).args(["-c", script]).current_dir(place.folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn input_that_cannot_be_used_is_refused_by_name() {
    let place = Workplace::new();
    let (model, genes) = place.flags();
    let with = |query: &str, more: &[&str]| {
        let flags =
            ["--prompt", "ctrl.h5ad", "--query", query, "--output", "out.h5ad", "--model", &model, "--genes", &genes];
        place.fails(&[&flags, more].concat())
    };
    let symbols = ["ABC1235".to_owned(), "ABC1839".to_owned()];
    let rows = |a: f32, b: f32| Csr::from_rows(2, [[(0, a), (1, b)], [(0, 1.0), (1, 2.0)]]).unwrap();

    write_cells(&place.path("log.h5ad"), &symbols, rows(1.0986, 0.5));
    let (code, said) = with("log.h5ad", &[]);
    assert_eq!(code, 1);
    assert!(said.contains("query log.h5ad holds no raw counts: X holds 1.0986"), "{said}");

    write_cells(&place.path("negative.h5ad"), &symbols, rows(3.0, -1.0));
    assert!(with("negative.h5ad", &[]).1.contains("X holds -1"));

    write_cells(&place.path("ensembl.h5ad"), &["ENSG1".to_owned(), "ENSG2".to_owned()], rows(1.0, 2.0));
    let (code, said) = with("ensembl.h5ad", &[]);
    assert_eq!(code, 1);
    assert!(said.contains("none of the 64 genes") && said.contains("--gene-column"), "{said}");

    let mouse = Table {
        index: vec!["a".to_owned(), "b".to_owned()],
        columns: vec![(
            "organism".to_owned(),
            anndata::Column::Strings(vec![Some("Homo sapiens".to_owned()), Some("Mus musculus".to_owned())]),
        )],
        ..Table::default()
    };
    let var = Table { index: symbols.to_vec(), ..Table::default() };
    let data = AnnData { obs: mouse, var, x: Some(Numbers::Sparse(rows(1.0, 2.0))), ..AnnData::default() };
    anndata::write(&place.path("mouse.h5ad"), &data).unwrap();
    let (code, said) = with("mouse.h5ad", &[]);
    assert_eq!(code, 1);
    assert!(said.contains("1 of 2 cells are not Homo sapiens") && said.contains("Mus musculus"), "{said}");

    fs::write(place.path("text.h5ad"), "not hdf5").unwrap();
    assert!(with("text.h5ad", &[]).1.contains("text.h5ad"));
    assert!(with("absent.h5ad", &[]).1.contains("absent.h5ad"));

    let (code, said) = with("query.h5ad", &["--prompt-ratio", "0.8"]);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("0.8"), "{said}");

    let base = place.model.join("base_minimal.ckpt");
    let flags =
        ["--prompt", "ctrl.h5ad", "--query", "query.h5ad", "--output", "out.h5ad", "--genes", &genes, "--model"];
    let (code, said) = place.fails(&[&flags[..], &[base.to_str().unwrap()]].concat());
    assert_eq!(code, 2);
    assert!(said.contains("vanilla"), "{said}");
    let (code, said) = place.fails(&[&flags[..], &["no-such-model"]].concat());
    assert_eq!(code, 2);
    assert!(said.contains("there is no model 'no-such-model'; none is imported"), "{said}");

    fs::write(place.path("few.txt"), "IL6\nMX1\n").unwrap();
    let flags = ["--prompt", "ctrl.h5ad", "--query", "query.h5ad", "--output", "out.h5ad", "--model", &model];
    let (code, said) = place.fails(&[&flags[..], &["--genes", "few.txt"]].concat());
    assert_eq!(code, 1);
    assert!(said.contains("64 genes and the list has 2"), "{said}");
    fs::copy(&model, place.path("alone.ckpt")).unwrap();
    let (code, said) = place.fails(&[&flags[..6], &["--model", "alone.ckpt"]].concat());
    assert_eq!(code, 2);
    assert!(said.contains("does not bring its gene list"), "{said}");

    fs::write(place.path("evil.pkl"), b"cos\nsystem\n(S'touch was-here'\ntR.").unwrap();
    let (code, said) = place.fails(&[&flags[..], &["--genes", "evil.pkl"]].concat());
    assert_eq!(code, 1);
    assert!(said.contains("asks to import os.system; refused"), "{said}");
    assert!(!place.path("was-here").exists());
}

#[test]
fn symbols_are_found_in_a_column_where_the_index_has_other_names() {
    let place = Workplace::new();
    let (model, genes) = place.flags();
    let query = File::open(&place.path("query.h5ad")).unwrap();
    let data = query.read_expression(&Matrix::RawX, None, None).unwrap();
    let symbols = data.genes.iter().map(|gene| Some(gene.clone())).collect();
    let var = Table {
        index: (0..data.genes.len()).map(|gene| format!("ENSG{gene}")).collect(),
        columns: vec![("feature_name".to_owned(), anndata::Column::Strings(symbols))],
        ..Table::default()
    };
    let obs = Table { index: data.cells.clone(), ..Table::default() };
    let renamed = AnnData { obs, var, x: Some(Numbers::Sparse(data.counts)), ..AnnData::default() };
    anndata::write(&place.path("renamed.h5ad"), &renamed).unwrap();
    let infer = |query: &str, to: &str| {
        let flags = ["--prompt", "ctrl.h5ad", "--query", query, "--output", to, "--model", &model, "--genes", &genes];
        place.infer(&[&flags[..], &["--diffusion-steps", "1"]].concat())
    };
    infer("query.h5ad", "plain.h5ad");
    let summary = infer("renamed.h5ad", "found.h5ad");
    assert!(summary.warnings.iter().any(|warning| warning.contains("feature_name")), "{:?}", summary.warnings);
    let of = |name: &str| File::open(&place.path(name)).unwrap().read_rows(&Matrix::X, None).unwrap();
    assert_eq!(of("plain.h5ad"), of("found.h5ad"));
}

/// A job that is told to end does so soon, and leaves what was there before.
#[cfg(unix)]
#[test]
fn a_stopped_job_leaves_no_output() {
    let place = Workplace::new();
    let (model, genes) = place.flags();
    fs::write(place.path("out.h5ad"), "what was there before").unwrap();
    let temporary = place.path("home/tmp");
    fs::create_dir_all(&temporary).unwrap();
    let mut child = place
        .command(&["infer", "--prompt", "ctrl.h5ad", "--query", "query.h5ad", "--output", "out.h5ad"])
        .args(["--model", &model, "--genes", &genes, "--diffusion-steps", "1000"])
        .env("TMPDIR", &temporary)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It is at work when it has a folder for temporary files.
    while fs::read_dir(&temporary).unwrap().next().is_none() {
        assert_eq!(child.try_wait().unwrap(), None);
        std::thread::sleep(Duration::from_millis(10));
    }
    let killed = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(75), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stderr).contains("SIGTERM"));
    assert!(output.stdout.is_empty());
    assert_eq!(fs::read_to_string(place.path("out.h5ad")).unwrap(), "what was there before");
    assert_eq!(place.files(), ["Drug_A_1.h5ad", "ctrl.h5ad", "out.h5ad", "query.h5ad"]);
}

pub fn counts(file: &File) -> Csr {
    file.read_rows(&Matrix::X, None).unwrap()
}

pub fn write_cells(path: &Path, genes: &[String], counts: Csr) {
    let obs = Table { index: (0..counts.n_rows()).map(|cell| format!("cell{cell}")).collect(), ..Table::default() };
    let var = Table { index: genes.to_vec(), ..Table::default() };
    let data = AnnData { obs, var, x: Some(Numbers::Sparse(counts)), ..AnnData::default() };
    anndata::write(path, &data).unwrap();
}
