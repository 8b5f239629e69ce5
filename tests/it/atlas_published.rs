//! Published sets import by their columns alone, and 10x Genomics files with a cell type named.
//!
//! The sets are generated with the columns, labels and proportions of the real ones. How many cells have a
//! label is counted in the file, not by the import.

use std::collections::BTreeMap;
use std::path::Path;

use haystack::anndata::File;
use haystack::atlas::import::{Imported, Request};
use haystack::atlas::profile::Profile;
use haystack::domain::datasets::Field;
use haystack::domain::{CellSet, Condition};

use crate::atlas::{request, run};
use crate::generate::{self, Plan, Set};
use crate::support::{TestDatabase, databases, shared};

/// A small atlas of a set.
pub fn generated(folder: &Path, set: Set, n_cells: usize) -> std::path::PathBuf {
    let path = folder.join(format!("{set:?}-{n_cells}.h5ad"));
    if !path.exists() {
        let plan = Plan { set, n_cells, n_genes: 60, depth: 25.0, gzip: false, seed: 5 };
        generate::write(&path, &plan).unwrap();
    }
    path
}

/// How many cells of a file have each text in a column.
fn counted(path: &Path, column: &str) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for text in File::open(path).unwrap().obs().column(column).unwrap().to_strings() {
        *counts.entry(text.unwrap()).or_default() += 1;
    }
    counts
}

async fn imported(database: &TestDatabase, path: &Path, set: Set) -> (Imported, Vec<CellSet>) {
    let profile = (set == Set::Vcc).then_some(Profile::Vcc);
    let imported = run(database, Request { profile, ..request(path, "set", None) }).await.unwrap();
    assert_eq!(imported.dataset.profile, set.profile());
    let sets = database.cell_sets(&[]).await.unwrap();
    assert_eq!(sets.iter().map(|set| set.n_cells).sum::<u64>(), imported.dataset.n_cells);
    (imported, sets)
}

fn controls(sets: &[CellSet]) -> u64 {
    sets.iter().filter(|set| set.key.condition.is_control()).map(|set| set.n_cells).sum()
}

/// Perturbation, dose and time of every perturbed set.
fn treatments<'a>(sets: &'a [CellSet]) -> Vec<(&'a str, Option<&'a str>, Option<&'a str>)> {
    let of_perturbed = |set: &'a CellSet| match &set.key.condition {
        Condition::Perturbed { perturbation, dose, time } => {
            Some((perturbation.original.as_str(), dose.as_deref(), time.as_deref()))
        }
        Condition::Control { .. } => None,
    };
    let mut all: Vec<_> = sets.iter().filter_map(of_perturbed).collect();
    all.sort_unstable();
    all.dedup();
    all
}

#[tokio::test]
async fn each_set_has_its_controls_by_its_own_label() {
    let folder = tempfile::tempdir().unwrap();
    let labels = [
        (Set::Parse, "cytokine", &["PBS"][..]),
        (Set::OpenProblems, "sm_name", &["Dimethyl Sulfoxide"]),
        (Set::Cellxgene, "experimental_condition_ontology_term_id", &["na"]),
        (Set::Replogle, "gene", &["non-targeting"]),
        (Set::Vcc, "target_gene", &["non-targeting"]),
        (Set::Tahoe, "drug", &["DMSO_TF"]),
    ];
    for database in databases().await {
        for (set, column, names) in labels {
            let path = generated(folder.path(), set, 3000);
            let expected: u64 = names.iter().map(|name| counted(&path, column)[*name]).sum();
            let (imported, sets) = imported(&database, &path, set).await;
            assert_eq!(controls(&sets), expected, "{set:?}");
            let taken: Vec<_> = imported.dataset.summary.controls.iter().map(|c| c.original.as_deref()).collect();
            assert_eq!(taken, names.iter().map(|name| Some(*name)).collect::<Vec<_>>(), "{set:?}");
            assert!(database.delete_dataset("set").await.unwrap());
        }
    }
}

#[tokio::test]
async fn doses_times_plates_and_lines_are_where_each_set_keeps_them() {
    let folder = tempfile::tempdir().unwrap();
    for database in databases().await {
        let mut of = BTreeMap::new();
        for set in Set::ALL {
            let path = generated(folder.path(), set, 3000);
            of.insert(set.profile().to_owned() + &format!("{set:?}"), imported(&database, &path, set).await);
            database.delete_dataset("set").await.unwrap();
        }
        let sets = |set: Set| &of[&(set.profile().to_owned() + &format!("{set:?}"))].1;
        let distinct = |set: Set, of: &dyn Fn(&CellSet) -> Option<String>| {
            sets(set).iter().filter_map(of).collect::<std::collections::BTreeSet<_>>()
        };
        let batch = |set: &CellSet| set.key.batch.clone();
        let donor = |set: &CellSet| set.key.donor.clone();

        assert!(treatments(sets(Set::Parse)).contains(&("IFN-beta", None, Some("24 h"))));
        assert_eq!((distinct(Set::Parse, &donor).len(), distinct(Set::Parse, &batch).len()), (12, 0));
        assert!(treatments(sets(Set::OpenProblems)).contains(&("Belinostat", Some("1.0 uM"), Some("24.0 h"))));
        assert_eq!(distinct(Set::OpenProblems, &batch).len(), 6);
        assert!(treatments(sets(Set::Tahoe)).contains(&("Drug 007", Some("0.05 uM"), None)));
        assert_eq!(distinct(Set::Tahoe, &batch).len(), 14);
        assert_eq!(distinct(Set::Replogle, &batch).len(), 48);
        for set in [Set::TabulaSapiens, Set::TabulaSapiensCellxgene] {
            assert_eq!((controls(sets(set)), distinct(set, &donor).len(), distinct(set, &batch).len()), (3000, 24, 2));
        }
        assert!(sets(Set::TabulaSapiensCellxgene).iter().all(|set| set.key.cell_type_id().is_some()));
        let guides = [("STAT1", Some("0.0 uM"), None), ("STAT1 + dabrafenib", Some("1.0 uM"), None)];
        assert!(guides.iter().all(|guide| treatments(sets(Set::ScPerturb)).contains(guide)));
        assert!(sets(Set::Vcc).iter().all(|set| set.key.cell_type.original == "embryonic stem cell"));

        // Cells of a line have no type; `pooled` is a donor, `unknown` is none.
        let types = distinct(Set::Cellxgene, &|set| Some(set.key.cell_type.original.clone()));
        assert_eq!(types.into_iter().collect::<Vec<_>>(), ["A-549", "B cell", "fibroblast"]);
        assert_eq!(distinct(Set::Cellxgene, &donor).len(), 4);
        let (imported, _) = &of["cellxgeneCellxgene"];
        let how = |original: &str| {
            let label = imported.dataset.summary.labels.iter().find(|label| label.original == original).unwrap();
            (label.term.is_some(), label.how.clone())
        };
        let (resolved, why) = how("CHEBI:41774 || uniprot:P01137");
        assert!(!resolved && why.contains("several together"), "{why}");
        let (resolved, why) = how("anti-uniprot:P01375");
        assert!(!resolved && why.contains("an antibody against uniprot:P01375"), "{why}");
        assert!(imported.dataset.summary.notes.iter().any(|note| note.contains("name no donor")));
        assert!(imported.dataset.summary.unused.contains(&"is_primary_data".to_owned()));
    }
}

#[tokio::test]
async fn a_named_profile_goes_before_the_columns() {
    let folder = tempfile::tempdir().unwrap();
    let path = generated(folder.path(), Set::Parse, 3000);
    for database in databases().await {
        let named = Request { profile: Some(Profile::Generic), ..request(&path, "set", None) };
        let imported = run(&database, named).await.unwrap();
        let taken = |field: Field| {
            let found = imported.dataset.summary.fields.iter().find(|taken| taken.field == field);
            found.map(|taken| taken.from.clone())
        };
        assert_eq!(taken(Field::Perturbation).as_deref(), Some("obs['cytokine']"));
        assert_eq!((taken(Field::Time), imported.dataset.profile.as_str()), (None, "generic"));
        let message = run(&database, request(generated(folder.path(), Set::Vcc, 300), "vcc", None)).await.unwrap_err();
        assert!(message.to_string().contains("no column of obs holds cell types"), "{message}");
    }
}

#[tokio::test]
async fn files_of_10x_genomics_are_read_in_place() {
    let Some(file) = shared("data/singlecell/10x/3.0.0_filtered_feature_bc_matrix.h5") else { return };
    let mapping = "gene_symbols = 'name'\n[cell_type]\nvalue = 'B cell'";
    for database in databases().await {
        let imported = run(&database, request(&file, "tenx", Some(mapping))).await.unwrap().dataset;
        // As h5py reads `matrix/shape` and adds up `matrix/data`.
        assert_eq!((imported.n_cells, imported.n_genes, imported.summary.total_counts), (1107, 507, Some(41549.0)));
        let atlas = haystack::atlas::Atlas::new((*database).clone());
        let sets = database.cell_sets(&[]).await.unwrap();
        let drawn = atlas.load(&sets, 50, 10, 1, &haystack::atlas::Rows::default()).await.unwrap();
        assert_eq!(drawn.expression.cells.len(), 50);
        assert!(drawn.expression.cells[0].ends_with("-1") && drawn.expression.genes[0].starts_with("CH507"));
    }
}
