//! What must hold at any size: a sample proves counts, names and labels are bounded, a data set is renamed
//! and replaced whole, and an import that is killed leaves all of it or nothing.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use haystack::anndata::{self, AnnData, File, Numbers, Problem, Table};
use haystack::atlas::counts::Proof;
use haystack::atlas::import::{self, Outcome, Request};
use haystack::database::Database;
use haystack::database::cells::Renamed;
use haystack::domain::Csr;

use crate::atlas::{refused, request, resolve, run};
use crate::atlas_published::generated;
use crate::generate::Set;
use crate::support::program::finish;
use crate::support::{databases, fixture, names_in, shared};

#[tokio::test]
async fn a_sample_gives_what_reading_everything_gives() {
    let folder = tempfile::tempdir().unwrap();
    let path = generated(folder.path(), Set::Parse, 5000);
    for database in databases().await {
        let all = Request { proof: Proof::All, ..request(&path, "all", None) };
        let sample = Request { proof: Proof::Sample, ..request(&path, "sample", None) };
        let all = run(&database, all).await.unwrap().dataset;
        let sample = run(&database, sample).await.unwrap().dataset;
        assert_eq!(all.summary.total_counts, sample.summary.total_counts, "obs has the counts per cell");
        assert!(sample.summary.notes.iter().any(|note| note.contains("of 5000 cells")), "{:?}", sample.summary.notes);
        let sets = |name: &str| {
            let filter = haystack::database::cells::Filter::Datasets(vec![name.to_owned()]);
            let database = &database;
            async move {
                let sets = database.cell_sets(&[filter]).await.unwrap();
                sets.iter().map(|set| (set.n_cells, set.mean_genes, set.mean_counts)).collect::<Vec<_>>()
            }
        };
        assert_eq!(sets("all").await, sets("sample").await);
    }
}

#[tokio::test]
async fn a_sample_finds_the_cells_that_were_normalised() {
    let mapping = "cell_type = 'type'\ndonor = 'patient'";
    for database in databases().await {
        for (file, row) in [("normalised", "row 0 "), ("mixed", "row 239 ")] {
            let file = fixture(&format!("atlas/{file}.h5ad"));
            let sampled = Request { proof: Proof::Sample, ..request(file, "x", Some(mapping)) };
            let message = refused(&database, sampled).await;
            assert!(message.contains(row) && message.contains("--counts-in"), "{message}");
        }
    }
}

#[tokio::test]
async fn cells_of_one_name_and_negative_counts_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, cells: [&str; 3], values: [f32; 3]| {
        let table =
            |index: &[&str]| Table { index: index.iter().map(|n| (*n).to_owned()).collect(), ..Table::default() };
        let counts = Csr::from_rows(2, values.map(|value| [(1, value)])).unwrap();
        let data = AnnData {
            obs: table(&cells),
            var: table(&["A", "B"]),
            x: Some(Numbers::Sparse(counts)),
            ..AnnData::default()
        };
        let path = folder.path().join(name);
        anndata::write(&path, &data).unwrap();
        path
    };
    let mapping = Some("[cell_type]\nvalue = 'B cell'");
    let twice = write("twice.h5ad", ["a", "b", "a"], [1.0, 2.0, 3.0]);
    let negative = write("negative.h5ad", ["a", "b", "c"], [1.0, -2.0, 3.0]);
    for database in databases().await {
        for proof in [Proof::All, Proof::Sample] {
            let message = refused(&database, Request { proof, ..request(&twice, "x", mapping) }).await;
            assert!(message.contains("rows 0 and 2 of obs are both named 'a'"), "{message}");
            let message = refused(&database, Request { proof, ..request(&negative, "x", mapping) }).await;
            assert!(message.contains("X is -2 in row 1 (cell b), gene B: negative"), "{message}");
        }
    }
}

#[test]
fn columns_with_a_value_for_each_cell_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = File::open(&generated(folder.path(), Set::Replogle, 3000)).unwrap();
    let labels = file.obs().labels("gene", 3000).unwrap();
    assert_eq!(labels.codes.len(), 3000);
    let texts: Vec<_> = labels.codes.iter().map(|&code| labels.values[code as usize].clone()).collect();
    assert_eq!(texts, file.obs().column("gene").unwrap().to_strings());
    for column in ["gene", "UMI_count"] {
        let error = file.obs().labels(column, 5).unwrap_err();
        assert!(matches!(error.problem, Problem::TooVaried { most: 5 }), "{error}");
        assert!(error.to_string().contains(&format!("obs/{column}")), "{error}");
    }
}

#[tokio::test]
async fn a_data_set_is_renamed_with_all_it_holds() {
    let folder = tempfile::tempdir().unwrap();
    let path = generated(folder.path(), Set::Parse, 3000);
    for database in databases().await {
        run(&database, request(&path, "old", None)).await.unwrap();
        run(&database, request(fixture("atlas/scperturb.h5ad"), "other", None)).await.unwrap();
        let before = database.cell_sets(&[]).await.unwrap().len();
        assert_eq!(database.rename_dataset("old", "other").await.unwrap(), Renamed::NameTaken);
        assert_eq!(database.rename_dataset("none", "new").await.unwrap(), Renamed::NotFound);
        assert_eq!(database.rename_dataset("old", "new").await.unwrap(), Renamed::Done);
        let names: Vec<_> = database.datasets().await.unwrap().into_iter().map(|dataset| dataset.name).collect();
        assert_eq!(names, ["new", "other"]);
        let sets = database.cell_sets(&[]).await.unwrap();
        assert!(sets.len() == before && sets.iter().all(|set| set.key.dataset != "old"), "{}", database.kind);
        // The same import under its new name is a no-op.
        assert_eq!(run(&database, request(&path, "new", None)).await.unwrap().outcome, Outcome::Unchanged);
    }
}

/// Kills the import at each thing it reports, one after the other, until one import gets through.
#[tokio::test]
async fn an_import_that_is_killed_leaves_all_or_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (generated(folder.path(), Set::Replogle, 300), generated(folder.path(), Set::Replogle, 500));
    for database in databases().await {
        for replaces in [false, true] {
            let name = if replaces { "replaced" } else { "fresh" };
            let mut before = None;
            if replaces {
                before = Some(run(&database, request(&old, name, None)).await.unwrap().dataset.summary.n_sets);
            }
            let mut killed = 0;
            loop {
                let status = import_in_a_process(&database.url, &new, name, killed);
                let stored = database.dataset(name).await.unwrap().map(|dataset| dataset.summary.n_sets);
                let filter = haystack::database::cells::Filter::Datasets(vec![name.to_owned()]);
                let sets = database.cell_sets(&[filter]).await.unwrap();
                assert_eq!(stored.unwrap_or(0), sets.len() as u64, "killed at {killed}, {}", database.kind);
                if status {
                    assert_eq!(sets.iter().map(|set| set.n_cells).sum::<u64>(), 500);
                    break;
                }
                assert_eq!(stored, before, "killed at {killed}, {}", database.kind);
                killed += 1;
            }
            assert!(killed > 10, "the import reported only {killed} moments to be killed at");
        }
    }
}

/// Runs [`imports_and_is_killed`] in a process of its own: whether it got through.
fn import_in_a_process(url: &str, file: &Path, name: &str, stop_at: u32) -> bool {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "atlas_scale::imports_and_is_killed", "--ignored"])
        .env("IT_DATABASE", url)
        .env("IT_FILE", file)
        .env("IT_DATASET", name)
        .env("IT_STOP_AT", stop_at.to_string())
        .output()
        .unwrap();
    let was_killed = std::os::unix::process::ExitStatusExt::signal(&output.status) == Some(9);
    assert!(output.status.success() || was_killed, "{}", String::from_utf8_lossy(&output.stdout));
    output.status.success()
}

#[tokio::test]
#[ignore = "run by another test, and ends by being killed"]
async fn imports_and_is_killed() {
    let variable = |name: &str| std::env::var(name).unwrap();
    let stop_at: u32 = variable("IT_STOP_AT").parse().unwrap();
    let database = Database::open(&variable("IT_DATABASE")).await.unwrap();
    let request = Request { replace: true, ..request(variable("IT_FILE"), &variable("IT_DATASET"), None) };
    let reports = Arc::new(AtomicU32::new(0));
    let kill = move |_| {
        if reports.fetch_add(1, Ordering::Relaxed) == stop_at {
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL).unwrap();
        }
    };
    import::import(&database, resolve, vec!["CL test".to_owned()], request, kill).await.unwrap();
    database.close().await;
}

#[tokio::test]
async fn the_commands_import_a_folder_and_list_rename_and_delete_it() {
    let Some(folder) = shared("data/singlecell/10x/3.0.0/filtered_feature_bc_matrix") else { return };
    let home = tempfile::tempdir().unwrap();
    let mapping = home.path().join("map.toml");
    std::fs::write(&mapping, "gene_symbols = 'name'\n[cell_type]\nvalue = 'B cell'").unwrap();
    for database in databases().await {
        let command = |args: &[&str]| finish(home.path(), &database.url, args);
        let (folder, mapping) = (folder.to_str().unwrap(), mapping.to_str().unwrap());
        let import = ["import", "atlas", folder, "--dataset", "tenx", "--map", mapping, "--rows", "--json"];
        let (code, out, words) = command(&import);
        assert_eq!(code, 0, "{words}");
        let json: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!((&json["dataset"]["n_cells"], &json["dataset"]["n_genes"]), (&1107.into(), &507.into()));
        assert!(json["dataset"]["rows_in"].as_str().unwrap().starts_with("atlases/tenx/"), "{json}");

        assert!(command(&["datasets", "list"]).1.starts_with("tenx\t1107 cells\t1 sets\tgeneric\t"));
        for wrong in ["no/name", "_hidden", &"x".repeat(65)] {
            let (code, _, words) = command(&["datasets", "rename", "tenx", wrong]);
            assert!(code == 2 && words.contains("not a name for a data set"), "{wrong}: {code} {words}");
        }
        assert_eq!(command(&["datasets", "rename", "tenx", "pbmc"]).0, 0);
        let (code, _, words) = command(&["datasets", "delete", "tenx"]);
        assert!(code == 1 && words.contains("held are pbmc"), "{code} {words}");
        assert_eq!(command(&["datasets", "delete", "pbmc"]).0, 0);
        assert_eq!(command(&["datasets", "list"]).1, "");
    }
}

/// A folder as 10x Genomics writes it, with three cells and two genes.
fn write_mtx(folder: &Path, count: u32) {
    std::fs::create_dir_all(folder).unwrap();
    let head = "%%MatrixMarket matrix coordinate integer general\n%\n2 3 3\n";
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
    write("matrix.mtx", &format!("{head}1 1 {count}\n2 2 1\n1 3 2\n"));
    write("barcodes.tsv", "c1\nc2\nc3\n");
    write("genes.tsv", "g1\tA\ng2\tB\n");
}

#[tokio::test]
async fn a_folder_is_kept_as_a_file_only_if_it_is_imported_and_never_over_that_of_another() {
    let database = databases().await.swap_remove(0);
    let home = tempfile::tempdir().unwrap();
    let (folder, mapping) = (home.path().join("tenx"), home.path().join("map.toml"));
    write_mtx(&folder, 5);
    std::fs::write(&mapping, "gene_symbols = 'name'\n[cell_type]\nvalue = 'B cell'").unwrap();
    let import = |more: &[&str]| {
        let (folder, mapping) = (folder.to_str().unwrap(), mapping.to_str().unwrap());
        let always = ["import", "atlas", folder, "--dataset", "tenx", "--map", mapping, "--json"];
        finish(home.path(), &database.url, &[&always, more].concat())
    };
    let atlases = home.path().join("atlases");
    let location = |out: &str| {
        let json: serde_json::Value = serde_json::from_str(out).unwrap();
        json["dataset"]["location"]["path"].as_str().unwrap().to_owned()
    };

    let (code, out, words) = import(&["--dry-run"]);
    assert_eq!((code, names_in(&atlases)), (0, vec![]), "{words}");
    let would_be = location(&out);
    let (code, out, words) = import(&[]);
    assert_eq!((code, location(&out)), (0, would_be), "{words}");
    let first = names_in(&atlases);
    assert!(first.len() == 1 && first[0].starts_with("tenx-"), "{first:?}");
    let content = std::fs::read(atlases.join(&first[0])).unwrap();

    // The name is taken: what is held under it stays what it is.
    write_mtx(&folder, 6);
    let no_such_matrix = ["--replace", "--counts-in", "raw/X"];
    for (more, expected) in [(&[][..], 1), (&["--replace", "--dry-run"][..], 0), (&no_such_matrix[..], 1)] {
        let (code, _, words) = import(more);
        assert_eq!((code, names_in(&atlases)), (expected, first.clone()), "{more:?}: {words}");
    }
    let (code, out, words) = import(&["--replace"]);
    assert_eq!((code, names_in(&atlases).len()), (0, 2), "{words}");
    assert!(!location(&out).ends_with(&first[0]), "{out}");
    assert!(std::fs::read(atlases.join(&first[0])).unwrap() == content);
    let (code, out, words) = import(&[]);
    assert!(code == 0 && words.contains("nothing to do") && names_in(&atlases).len() == 2, "{out}{words}");
}
