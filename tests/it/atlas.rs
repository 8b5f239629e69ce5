//! Importing atlases and drawing cells, on SQLite and on PostgreSQL.
//!
//! The expected numbers are from pandas: `tests/fixtures/atlas/expected.py`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use haystack::anndata::Matrix;
use haystack::atlas::counts::Proof;
use haystack::atlas::harmonize::{Asked, Found};
use haystack::atlas::import::{self, Error, Imported, Outcome, Request};
use haystack::atlas::{Atlas, Rows};
use haystack::database::Database;
use haystack::database::cells::{Filter, NewCellSet};
use haystack::domain::datasets::Field;
use haystack::domain::{CellSet, CellSetKey, Condition, Label, Term};
use sqlx::Connection;

use crate::support::program::finish;
use crate::support::{TestDatabase, databases, fixture, shared};

/// By type, treatment and donor as the file spells them: cells, mean genes, mean counts.
type Summary = BTreeMap<[String; 3], (u64, f64, f64)>;

fn summary(sets: &[CellSet]) -> Summary {
    let key = |set: &CellSet| {
        let treatment = match &set.key.condition {
            Condition::Control { label, .. } => label.clone().unwrap_or_default(),
            Condition::Perturbed { perturbation, .. } => perturbation.original.clone(),
        };
        [set.key.cell_type.original.clone(), treatment, set.key.donor.clone().unwrap_or_default()]
    };
    sets.iter().map(|set| (key(set), (set.n_cells, set.mean_genes.unwrap(), set.mean_counts.unwrap()))).collect()
}

/// The same from the numbers pandas computed.
fn expected(part: &str) -> (Summary, f64) {
    let text = std::fs::read_to_string(fixture("atlas/expected.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let sets = json[part]["sets"].as_array().unwrap().iter().map(|set| {
        let key: [String; 3] = serde_json::from_value(set["key"].clone()).unwrap();
        let number = |name: &str| set[name].as_f64().unwrap();
        (key, (set["n_cells"].as_u64().unwrap(), number("mean_genes"), number("mean_counts")))
    });
    (sets.collect(), json[part]["total_counts"].as_f64().unwrap())
}

fn assert_same(found: &Summary, expected: &Summary) {
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (key, (n_cells, genes, counts)) in expected {
        let found = found[key];
        assert_eq!(found.0, *n_cells, "{key:?}");
        assert!((found.1 - genes).abs() < 1e-9 && (found.2 - counts).abs() < 1e-6, "{key:?}: {found:?}");
    }
}

/// Knows the names in the fixtures, mystery cells aside.
pub fn resolve(field: Field, asked: Asked<'_>) -> Found {
    let table = [
        (Field::CellType, "CL:0000236", "B cell"),
        (Field::CellType, "CL:0000084", "T cell"),
        (Field::CellType, "CL:0000576", "monocyte"),
        (Field::CellType, "CL:0000623", "natural killer cell"),
        (Field::CellType, "CL:0000066", "epithelial cell"),
        (Field::Perturbation, "uniprot:P01574", "interferon beta"),
        (Field::Perturbation, "uniprot:P05231", "interleukin-6"),
    ];
    let fits = |(of, id, name): &&(Field, &str, &str)| {
        *of == field
            && match asked {
                Asked::Text(text) => text == *name,
                Asked::Id(asked) => asked.as_str() == *id,
            }
    };
    let term = table.iter().find(fits).map(|(_, id, name)| Term { id: id.parse().unwrap(), name: (*name).into() });
    let how = if term.is_some() { "exact" } else { "nothing like it" };
    Found { term, how: how.to_owned() }
}

const TINY_MAPPING: &str = r#"
gene_symbols = "symbol"
cell_type = "type"
donor = "patient"
[perturbation]
column = "treatment"
[perturbation.values]
IFNB = { name = "interferon beta", id = "uniprot:P01574" }
IL6 = "interleukin-6"
"#;

const NO_DONORS: &str = "cell_type = 'type'\n[donor]\nignore = true";

pub fn request(file: impl Into<PathBuf>, dataset: &str, mapping: Option<&str>) -> Request {
    Request {
        file: file.into(),
        dataset: dataset.to_owned(),
        profile: None,
        mapping: mapping.map(str::to_owned),
        counts_in: None,
        proof: Proof::BySize,
        objects: None,
        rows: false,
        replace: false,
        dry_run: false,
    }
}

pub fn tiny() -> Request {
    request(fixture("atlas/tiny.h5ad"), "tiny", Some(TINY_MAPPING))
}

pub async fn run(database: &Database, request: Request) -> Result<Imported, Error> {
    import::import(database, resolve, vec!["CL test".to_owned()], request, |_| ()).await
}

pub async fn refused(database: &Database, request: Request) -> String {
    let message = run(database, request).await.unwrap_err().to_string();
    assert!(database.datasets().await.unwrap().is_empty(), "a refused import left something behind: {message}");
    assert!(database.cell_sets(&[]).await.unwrap().is_empty(), "a refused import left cell sets behind: {message}");
    message
}

/// A change to a copy of the tiny atlas, in the system's temporary folder.
fn copy_of(file: &Path, folder: &Path, name: &str) -> PathBuf {
    let copy = folder.join(name);
    std::fs::copy(file, &copy).unwrap();
    copy
}

#[tokio::test]
async fn a_constructed_atlas_becomes_the_sets_pandas_counts() {
    let (sets, total) = expected("tiny");
    for database in databases().await {
        let imported = run(&database, tiny()).await.unwrap();
        assert_eq!(imported.outcome, Outcome::Imported);
        let dataset = imported.dataset;
        assert_eq!((dataset.n_cells, dataset.n_genes, dataset.counts_in.as_str()), (240, 12, "layers/counts"));
        assert_eq!(dataset.summary.total_counts, Some(total));
        assert_same(&summary(&database.cell_sets(&[]).await.unwrap()), &sets);
        let unresolved: Vec<_> = dataset.summary.unresolved().map(|label| label.original.as_str()).collect();
        assert_eq!(unresolved, ["mystery cell"]);
        assert_eq!(database.dataset("tiny").await.unwrap(), Some(dataset), "{}", database.kind);
    }
}

#[tokio::test]
async fn kang_becomes_the_sets_pandas_counts() {
    let Some(file) = shared("data/singlecell/kang2018_muscat_1556x1267.h5ad") else { return };
    let mapping = std::fs::read_to_string(fixture("kang2018.toml")).unwrap();
    let (sets, total) = expected("kang");
    for database in databases().await {
        let imported = run(&database, request(&file, "kang2018", Some(&mapping))).await.unwrap();
        let found = database.cell_sets(&[]).await.unwrap();
        assert_same(&summary(&found), &sets);
        assert_eq!((imported.dataset.summary.total_counts, imported.dataset.counts_in.as_str()), (Some(total), "X"));
        let unresolved: Vec<_> = imported.dataset.summary.unresolved().map(|label| label.field).collect();
        assert_eq!(unresolved, [Field::Tissue, Field::Disease], "neither is among the terms of this test");
        let filters = [
            Filter::Perturbed,
            Filter::Perturbation { names: vec![], ids: vec!["uniprot:P01574".parse().unwrap()] },
            Filter::CellTypes(vec!["CL:0000236".parse().unwrap()]),
            Filter::Donor("101".into()),
        ];
        let b_cells = database.cell_sets(&filters).await.unwrap();
        assert_eq!(b_cells.iter().map(|set| set.n_cells).collect::<Vec<_>>(), [100], "{}", database.kind);
        assert_eq!(b_cells[0].key.condition.time(), Some("6 h"));
    }
}

#[tokio::test]
async fn both_databases_hold_the_same_sets_in_the_same_order() {
    let mut seen: Vec<Vec<CellSet>> = Vec::new();
    for database in databases().await {
        run(&database, tiny()).await.unwrap();
        let mut sets = database.cell_sets(&[]).await.unwrap();
        sets.iter_mut().for_each(|set| set.id = 0);
        seen.push(sets);
    }
    assert!(seen.windows(2).all(|pair| pair[0] == pair[1]));
}

#[tokio::test]
async fn every_filter_selects_what_it_says() {
    for database in databases().await {
        run(&database, tiny()).await.unwrap();
        run(&database, request(fixture("atlas/scperturb.h5ad"), "sc", None)).await.unwrap();
        let cells = async |filters: &[Filter]| -> u64 {
            database.cell_sets(filters).await.unwrap().iter().map(|set| set.n_cells).sum()
        };
        let tiny = || Filter::Datasets(vec!["tiny".into()]);
        assert_eq!(cells(&[tiny()]).await, 240);
        assert_eq!(cells(&[tiny(), Filter::Control]).await, 120);
        assert_eq!(cells(&[tiny(), Filter::Perturbed]).await, 120);
        let ifnb = Filter::Perturbation { names: vec!["interferon beta".into()], ids: vec![] };
        assert_eq!(cells(&[ifnb, Filter::Donor("D2".into())]).await, 50);
        assert_eq!(cells(&[Filter::UnresolvedCellType(vec!["MYSTERY CELL".into()]), Filter::Control]).await, 24);
        assert_eq!(cells(&[Filter::UnresolvedPerturbation(vec!["stat1_irf1 + Dabrafenib".into()])]).await, 20);
        assert_eq!(cells(&[Filter::CellTypes(vec![])]).await, 0);
        assert_eq!(cells(&[Filter::Tissue("UBERON:0000178".parse().unwrap())]).await, 0);
        assert_eq!(cells(&[Filter::Disease("PATO:0000461".parse().unwrap())]).await, 0);
    }
}

#[tokio::test]
async fn scperturb_columns_are_understood() {
    for database in databases().await {
        let imported = run(&database, request(fixture("atlas/scperturb.h5ad"), "sc", None)).await.unwrap();
        assert_eq!(imported.dataset.profile, "scperturb");
        let sets = database.cell_sets(&[]).await.unwrap();
        let found: Vec<_> = sets
            .iter()
            .map(|set| match &set.key.condition {
                Condition::Control { label, .. } => (label.clone().unwrap_or("no label".into()), None, set.n_cells),
                Condition::Perturbed { perturbation, dose, .. } => {
                    (perturbation.original.clone(), dose.clone(), set.n_cells)
                }
            })
            .collect();
        let entry = |label: &str, dose: Option<&str>, n: u64| (label.to_owned(), dose.map(str::to_owned), n);
        let wanted = [
            // Cells without a guide are controls of the guides: with no drug either, controls.
            entry("control", None, 20),
            entry("STAT1", Some("0.0 uM"), 10),
            entry("STAT1 + dabrafenib", Some("1.0 uM"), 5),
            entry("STAT1_IRF1 + dabrafenib", Some("1.0 uM"), 20),
            entry("dabrafenib", Some("1.0 uM"), 5),
        ];
        let (mut found, mut wanted) = (found, wanted.to_vec());
        found.sort();
        wanted.sort();
        assert_eq!(found, wanted);
    }
}

#[tokio::test]
async fn cellxgene_ids_are_used_and_a_wrong_one_refused() {
    let folder = "data/singlecell/h5ad_variants";
    let Some(valid) = shared(&format!("{folder}/cellxgene_schema_example_valid.h5ad")) else { return };
    let Some(invalid) = shared(&format!("{folder}/cellxgene_schema_example_invalid_CL.h5ad")) else { return };
    for database in databases().await {
        let message = refused(&database, request(&invalid, "x", None)).await;
        assert!(message.contains("PATO:0000461") || message.contains("CL:12312"), "{message}");
        let imported = run(&database, request(&valid, "valid", None)).await.unwrap();
        assert_eq!((imported.dataset.profile.as_str(), imported.dataset.n_cells), ("cellxgene", 2));
        let set = &database.cell_sets(&[]).await.unwrap()[0];
        assert_eq!(set.key.cell_type.id().unwrap().as_str(), "CL:0000066");
        assert_eq!(set.key.tissue.as_ref().unwrap().id().unwrap().as_str(), "UBERON:0002048");
        assert_eq!(set.key.disease.as_ref().unwrap().id().unwrap().as_str(), "MONDO:0100096");
        assert_eq!((set.key.donor.as_deref(), set.key.condition.is_control()), (Some("donor_1"), true));
    }
}

#[tokio::test]
async fn other_real_sets_import_with_a_short_mapping() {
    let sets = [
        ("papalexi2021_thp1_crispr_20729x299.h5ad", "[cell_type]\nvalue = 'monocyte'", 20729),
        (
            "zhao2021_glioblastoma_panobinostat_5000x300.h5ad",
            "gene_symbols = 'symbol'\nperturbation = 'treatment'\n[cell_type]\nvalue = 'glioblastoma'",
            5000,
        ),
    ];
    for (name, mapping, n_cells) in sets {
        let Some(file) = shared(&format!("data/singlecell/{name}")) else { return };
        for database in databases().await {
            let imported = run(&database, request(&file, "real", Some(mapping))).await.unwrap();
            assert_eq!(imported.dataset.n_cells, n_cells);
            let controls: u64 = imported.dataset.summary.controls.iter().map(|control| control.n_cells).sum();
            assert!(controls > 0, "{name}: {:?}", imported.dataset.summary);
            let stored: u64 = database.cell_sets(&[]).await.unwrap().iter().map(|set| set.n_cells).sum();
            assert_eq!(stored, n_cells);
        }
    }
}

#[tokio::test]
async fn files_without_counts_are_refused_with_where_and_what() {
    for database in databases().await {
        let message = refused(&database, request(fixture("atlas/normalised.h5ad"), "x", Some(TINY_MAPPING))).await;
        assert!(message.contains("X is ") && message.contains("row 0 (cell cell000)"), "{message}");
        assert!(message.contains("--counts-in"), "{message}");
        // One normalised row among 240 is enough.
        let message = refused(&database, request(fixture("atlas/mixed.h5ad"), "x", Some(TINY_MAPPING))).await;
        assert!(message.contains("row 239 (cell cell239)"), "{message}");
        // A named place is the only one looked at.
        let named = Request { counts_in: Some(Matrix::X), ..tiny() };
        let message = refused(&database, named).await;
        assert!(message.contains("X is ") && !message.contains("layers/counts is"), "{message}");
        let named = Request { counts_in: Some(Matrix::Layer("spliced".into())), ..tiny() };
        let message = refused(&database, named).await;
        assert!(message.contains("spliced") && message.contains("layers/counts"), "{message}");
    }
}

#[tokio::test]
async fn broken_files_are_refused_and_leave_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = std::fs::read(fixture("atlas/tiny.h5ad")).unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let cases = [
        (write("empty.h5ad", b""), "empty.h5ad"),
        (write("text.h5ad", b"cell\tgene\n1\t2\n"), "not an HDF5 file"),
        (write("half.h5ad", &bytes[..bytes.len() / 2]), "truncated"),
        (folder.path().join("absent.h5ad"), "cannot be opened"),
        (fixture("atlas/obs_longer.h5ad"), "30"),
    ];
    for database in databases().await {
        for (path, says) in &cases {
            let message = refused(&database, request(path, "x", Some(TINY_MAPPING))).await;
            assert!(message.contains(says), "{}: {message}", path.display());
        }
    }
}

#[tokio::test]
async fn wrong_columns_and_names_are_refused() {
    for database in databases().await {
        let file = fixture("atlas/tiny.h5ad");
        let cases = [
            // `type` is no name the generic profile knows.
            (request(&file, "x", None), "no column of obs holds cell types; it has type, patient, treatment, age"),
            (request(&file, "x", Some("cell_type = 'typ'")), "did you mean 'type'?"),
            (request(&file, "x", Some("cell_type = 'type'\ngene_symbols = 'symbols'")), "did you mean 'symbol'?"),
            (request(&file, "x", Some("cell_types = 'type'")), "did you mean 'cell_type'?"),
            (request(&file, "my data", Some(TINY_MAPPING)), "'my data' is not a name"),
            (request(&file, "../x", Some(TINY_MAPPING)), "'../x' is not a name"),
        ];
        for (request, says) in cases {
            let message = refused(&database, request).await;
            assert!(message.contains(says), "{message}");
        }
    }
}

#[tokio::test]
async fn the_same_import_again_is_nothing_and_another_needs_replace() {
    let folder = tempfile::tempdir().unwrap();
    for database in databases().await {
        let first = run(&database, tiny()).await.unwrap().dataset;
        let again = run(&database, tiny()).await.unwrap();
        assert_eq!((again.outcome, &again.dataset), (Outcome::Unchanged, &first));
        let ids: Vec<i64> = database.cell_sets(&[]).await.unwrap().iter().map(|set| set.id).collect();

        let other = request(fixture("atlas/mixed.h5ad"), "tiny", Some(TINY_MAPPING));
        assert!(matches!(run(&database, other).await, Err(Error::NameTaken { same_file: false, .. })));
        let settings = request(fixture("atlas/tiny.h5ad"), "tiny", Some(NO_DONORS));
        let error = run(&database, settings.clone()).await.unwrap_err();
        assert!(error.to_string().contains("--replace"), "{error}");
        let after: Vec<i64> = database.cell_sets(&[]).await.unwrap().iter().map(|set| set.id).collect();
        assert_eq!(ids, after);

        let replaced = run(&database, Request { replace: true, ..settings }).await.unwrap();
        assert_eq!(replaced.outcome, Outcome::Replaced);
        // Without a donor column there are fewer sets; the old ones are gone.
        let sets = database.cell_sets(&[]).await.unwrap();
        assert_eq!(sets.iter().map(|set| set.n_cells).sum::<u64>(), 240);
        assert!(sets.iter().all(|set| set.key.donor.is_none()));

        // The same file in another place is the same data set, found there from now on.
        let moved = copy_of(&fixture("atlas/tiny.h5ad"), folder.path(), "moved.h5ad");
        let moved = Request { file: moved, mapping: Some(NO_DONORS.into()), ..tiny() };
        let moved = run(&database, moved).await.unwrap();
        assert_eq!(moved.outcome, Outcome::Replaced);
        assert!(moved.dataset.location.to_string().ends_with("moved.h5ad"));

        assert!(database.delete_dataset("tiny").await.unwrap());
        assert!(!database.delete_dataset("tiny").await.unwrap());
        assert!(database.cell_sets(&[]).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_dry_run_stores_nothing() {
    for database in databases().await {
        let looked = run(&database, Request { dry_run: true, ..tiny() }).await.unwrap();
        assert_eq!((looked.outcome, looked.dataset.summary.n_sets), (Outcome::DryRun, 22));
        assert!(database.datasets().await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn of_two_imports_at_once_one_wins() {
    for database in databases().await {
        let other = request(fixture("atlas/tiny.h5ad"), "tiny", Some("cell_type = 'type'"));
        let (one, two) = tokio::join!(run(&database, tiny()), run(&database, other));
        let won = [&one, &two].iter().filter(|result| result.is_ok()).count();
        assert_eq!(won, 1, "{one:?} {two:?}");
        let lost = one.err().or(two.err()).unwrap();
        assert!(matches!(lost, Error::NameTaken { .. }), "{lost}");
        let sets = database.cell_sets(&[]).await.unwrap();
        assert_eq!(sets.iter().map(|set| set.n_cells).sum::<u64>(), 240, "{}", database.kind);
    }
}

#[tokio::test]
async fn drawn_cells_have_the_counts_of_their_rows() {
    let Ok(json) =
        serde_json::from_str::<serde_json::Value>(&std::fs::read_to_string(fixture("atlas/expected.json")).unwrap())
    else {
        panic!("expected.json is not JSON")
    };
    let tbce: Vec<f32> = serde_json::from_value(json["tiny"]["tbce"].clone()).unwrap();
    let mut seen = Vec::new();
    for database in databases().await {
        run(&database, tiny()).await.unwrap();
        let controls = database.cell_sets(&[Filter::Control]).await.unwrap();
        let atlas = Atlas::new((*database).clone());
        let drawn = atlas.load(&controls, 40, 10, 3, &Rows::default()).await.unwrap();
        assert_eq!((drawn.cells.len(), drawn.expression.counts.n_rows()), (40, 40));
        // Two columns are named TBCE: pandas added them up too.
        let column = drawn.expression.genes.iter().position(|gene| gene == "TBCE").unwrap();
        assert_eq!(drawn.expression.genes.len(), 11);
        for (at, cell) in drawn.cells.iter().enumerate() {
            let (columns, values) = drawn.expression.counts.row(at);
            let found = columns.iter().position(|&c| c as usize == column).map_or(0.0, |i| values[i]);
            assert_eq!(found, tbce[cell.row as usize], "row {}", cell.row);
            assert_eq!(drawn.expression.cells[at], format!("cell{:03}", cell.row));
            assert!(cell.key.condition.is_control());
        }
        // Ten control sets of twelve cells: four of each.
        assert_eq!(drawn.cells.iter().filter(|cell| cell.key == controls[0].key).count(), 4);

        // Rows already drawn are not drawn again while there are others; when they are needed, it is said.
        let rest = atlas.load(&controls, 80, 10, 3, &drawn.rows).await.unwrap();
        assert_eq!((rest.cells.len(), rest.n_not_avoided), (80, 0));
        assert_eq!(rest.rows.overlap(&drawn.rows), 0);
        let mut all = drawn.rows.clone();
        all.extend(&rest.rows);
        let again = atlas.load(&controls, 20, 10, 4, &all).await.unwrap();
        assert_eq!((again.cells.len(), again.n_not_avoided), (20, 20));
        seen.push(drawn);
    }
    assert!(seen.windows(2).all(|pair| pair[0] == pair[1]), "the two databases draw different cells");
}

#[tokio::test]
async fn a_file_that_changed_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    for database in databases().await {
        let file = copy_of(&fixture("atlas/tiny.h5ad"), folder.path(), &format!("{}.h5ad", database.kind));
        run(&database, Request { file: file.clone(), ..tiny() }).await.unwrap();
        let sets = database.cell_sets(&[]).await.unwrap();
        let atlas = Atlas::new((*database).clone());
        let load = async || atlas.load(&sets, 10, 10, 0, &Rows::default()).await;

        // Touched, but the same: read, and the new time is kept.
        let before = database.dataset("tiny").await.unwrap().unwrap().modified;
        std::fs::File::options().append(true).open(&file).unwrap().set_modified(std::time::SystemTime::now()).unwrap();
        load().await.unwrap();
        assert_ne!(database.dataset("tiny").await.unwrap().unwrap().modified, before);

        // Another byte, as many of them.
        let mut bytes = std::fs::read(&file).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        std::fs::write(&file, &bytes).unwrap();
        let message = load().await.unwrap_err().to_string();
        assert!(message.contains("changed since data set 'tiny'"), "{message}");
        std::fs::remove_file(&file).unwrap();
        let message = load().await.unwrap_err().to_string();
        assert!(message.contains("cannot read the file of data set 'tiny'"), "{message}");
    }
}

#[tokio::test]
async fn an_import_that_stops_halfway_leaves_nothing() {
    for database in databases().await {
        // Stopped at moments spread over the whole import: there is all of it or nothing, never a part.
        for microseconds in [0, 500, 2_000, 5_000, 10_000, 20_000, 40_000] {
            let import = run(&database, Request { dataset: format!("after-{microseconds}"), ..tiny() });
            let _ = tokio::time::timeout(std::time::Duration::from_micros(microseconds), import).await;
            for (dataset, sets) in sets_per_dataset(&database).await {
                assert_eq!(sets, 22, "{}: {dataset}", database.kind);
            }
        }
    }
}

/// The stored data sets with their numbers of cell sets, all of one moment: a stopped import may
/// have sent its commit already, and what it stored then appears between two questions.
async fn sets_per_dataset(database: &TestDatabase) -> Vec<(String, i64)> {
    sqlx::any::install_default_drivers();
    let mut connection = sqlx::AnyConnection::connect(&database.url).await.unwrap();
    let sql = "SELECT d.name, count(s.id) FROM datasets d LEFT JOIN cell_sets s ON s.dataset = d.name GROUP BY d.name";
    sqlx::query_as(sql).fetch_all(&mut connection).await.unwrap()
}

#[tokio::test]
async fn a_set_that_cannot_be_stored_takes_everything_before_it_along() {
    for database in databases().await {
        let imported = run(&database, Request { dry_run: true, ..tiny() }).await.unwrap();
        let key = |dataset: &str| CellSetKey { dataset: dataset.to_owned(), ..a_key() };
        let set = |dataset: &str| NewCellSet {
            key: key(dataset),
            rows: [1, 2, 3].into(),
            mean_genes: None,
            mean_counts: None,
        };
        let mut sets = vec![set("tiny"); 100];
        sets.push(set("there is no such data set"));
        assert!(database.store_dataset(&imported.dataset, &sets, None, &|_| ()).await.is_err());
        assert!(database.datasets().await.unwrap().is_empty() && database.cell_sets(&[]).await.unwrap().is_empty());
        assert_eq!(run(&database, tiny()).await.unwrap().outcome, Outcome::Imported);
    }
}

fn a_key() -> CellSetKey {
    CellSetKey {
        dataset: String::new(),
        cell_type: Label { original: "B".into(), term: None },
        condition: Condition::Control { label: None, time: None },
        donor: None,
        tissue: None,
        disease: None,
        batch: None,
        sample_condition: None,
    }
}

#[tokio::test]
async fn the_command_imports_says_so_and_ends_with_the_right_code() {
    let home = tempfile::tempdir().unwrap();
    let file = fixture("atlas/tiny.h5ad");
    let mapping = home.path().join("map.toml");
    std::fs::write(&mapping, TINY_MAPPING).unwrap();
    for database in databases().await {
        let import = |rest: &[&str]| {
            let args = [&["import", "atlas", file.to_str().unwrap(), "--dataset", "tiny"], rest].concat();
            finish(home.path(), &database.url, &args)
        };
        let map = ["--map", mapping.to_str().unwrap()];

        let (code, out, words) = import(&[&map[..], &["--dry-run"]].concat());
        assert_eq!((code, out.as_str()), (0, ""), "{words}");
        assert!(words.contains("nothing was stored") && words.contains("'mystery cell'"), "{words}");
        assert!(words.contains("Controls: PBS (120 cells)"), "{words}");
        assert!(database.datasets().await.unwrap().is_empty());

        let (code, out, words) = import(&[&map[..], &["--json"]].concat());
        assert_eq!(code, 0, "{words}");
        let json: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!((&json["outcome"], &json["dataset"]["n_cells"]), (&"imported".into(), &240.into()));
        assert!(words.contains("no Cell Ontology is imported"), "{words}");
        assert!(import(&map).2.contains("nothing to do"));

        let (code, _, words) = import(&["--replace"]);
        assert!(code == 1 && words.contains("no column of obs holds cell types"), "{code} {words}");
        let (code, _, words) = import(&["--map", "/nowhere/map.toml"]);
        assert!(code == 1 && words.contains("/nowhere/map.toml"), "{code} {words}");
        let (code, _, words) = import(&[&map[..], &["--counts-in", "layers/counts"]].concat());
        assert!(code == 1 && words.contains("--replace"), "{code} {words}");
        assert_eq!(import(&["--profile", "seurat"]).0, 2);
        assert_eq!(import(&["--counts-in", "obs"]).0, 2);
        assert_eq!(database.cell_sets(&[]).await.unwrap().len(), 22, "what was there before is there still");
    }
}
