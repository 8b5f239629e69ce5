//! The simulated atlas: cells that were never measured, to try the program on.
//!
//! Every cell is drawn from a seeded model ([`model`]) of a few dozen cell types under well-known
//! perturbations; what each gene does is taken from the starter tables ([`effects`]). The file says that
//! it is simulated in `obs`, in `uns` and in the name of its data set. Nothing about biology can be
//! learned from it.

pub mod design;
pub mod effects;
pub mod model;

use std::path::Path;

use sha2::{Digest, Sha256};

use crate::anndata::{self, AnnData, Column, Numbers, Table, Value};
use crate::domain::Csr;

pub use design::{Design, Sizes};

/// Name of the data set it is imported under.
pub const DATASET: &str = "simulated-starter";

/// Raised when the model changes, so that an older file is made again.
const VERSION: u32 = 1;

/// What a file of it says of itself.
const NOTE: &str = "Simulated by haystack from its starter tables. No cell was measured; nothing about biology can be \
                    learned from these counts.";

/// Why the atlas cannot be simulated.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A starter table is not what it must be: a bug of ours.
    #[error("the starter tables do not fit together: {0}")]
    Tables(String),
    /// A starter table cannot be parsed: a bug of ours.
    #[error(transparent)]
    Knowledge(#[from] crate::knowledge::Error),
    /// The file cannot be written.
    #[error(transparent)]
    Write(#[from] anndata::Error),
}

/// Name of the file for this design and seed: another design, seed or model has another name.
pub fn file_name(design: &Design, seed: u64) -> String {
    let mut hash = Sha256::new();
    hash.update(VERSION.to_le_bytes());
    hash.update(seed.to_le_bytes());
    hash.update(design.fingerprint());
    format!("{DATASET}-{}.h5ad", &hex::encode(hash.finalize())[..8])
}

/// Simulates the atlas and writes it.
pub fn write(path: &Path, design: &Design, seed: u64) -> Result<(), Error> {
    Ok(anndata::write(path, &simulate(design, seed)?)?)
}

/// Simulates the atlas. The same design and seed give the same counts, on any number of threads.
pub fn simulate(design: &Design, seed: u64) -> Result<AnnData, Error> {
    let effects = effects::Effects::of(design, seed);
    let groups = design.groups();
    let cells = model::draw(design, &effects, &groups, seed);
    let counts = Csr::from_rows(effects.genes.len(), cells).map_err(|error| Error::Tables(error.to_string()))?;
    let var = Table {
        index_name: None,
        index: effects.genes.clone(),
        columns: vec![("feature_name".to_owned(), Column::Strings(effects.genes.iter().cloned().map(Some).collect()))],
    };
    let about = vec![
        ("simulated".to_owned(), Value::Bool(true)),
        ("note".to_owned(), Value::String(NOTE.to_owned())),
        ("seed".to_owned(), Value::Int(seed as i64)),
        ("version".to_owned(), Value::Int(i64::from(VERSION))),
    ];
    Ok(AnnData {
        obs: obs(design, &groups),
        var,
        x: Some(Numbers::Counts(counts)),
        layers: vec![],
        obsm: vec![],
        uns: vec![
            ("title".to_owned(), Value::String("Simulated starter atlas (no measured cells)".to_owned())),
            ("haystack".to_owned(), Value::Dict(about)),
        ],
    })
}

/// The table of cells, in the column names of the CELLxGENE schema where it has them.
fn obs(design: &Design, groups: &[design::Group]) -> Table {
    let n_cells: usize = groups.iter().map(|group| group.n_cells).sum();
    let column = |name: &str, of: &dyn Fn(&design::Group) -> String| {
        let labels = groups.iter().flat_map(|group| std::iter::repeat_n(of(group), group.n_cells));
        (name.to_owned(), categorical(labels))
    };
    let treatment = |group: &design::Group| group.treatment.map(|at| &design.treatments[at]);
    let cell_type = |group: &design::Group| &design.cell_types[group.cell_type];
    Table {
        index_name: None,
        index: (0..n_cells).map(|at| format!("simulated-{at:05}")).collect(),
        columns: vec![
            column("cell_type", &|group| cell_type(group).term.name.clone()),
            column("cell_type_ontology_term_id", &|group| cell_type(group).term.id.to_string()),
            column("perturbation", &|group| treatment(group).map_or("control", |t| &t.perturbation.name).to_owned()),
            column("dose", &|group| treatment(group).map_or("", |t| &t.dose).to_owned()),
            column("time", &|group| treatment(group).map_or(String::new(), |t| format!("{} h", t.hours))),
            column("donor_id", &|group| format!("simulated-donor-{}", group.donor + 1)),
            column("tissue", &|group| cell_type(group).tissue.name.clone()),
            column("disease", &|_| "normal".to_owned()),
            column("organism", &|_| "Homo sapiens".to_owned()),
            ("simulated".to_owned(), Column::Booleans(vec![Some(true); n_cells])),
        ],
    }
}

/// A categorical column; an empty label is a missing value.
fn categorical(labels: impl Iterator<Item = String>) -> Column {
    let labels: Vec<String> = labels.collect();
    let mut categories: Vec<String> = labels.iter().filter(|label| !label.is_empty()).cloned().collect();
    categories.sort();
    categories.dedup();
    let code = |label: &String| categories.binary_search(label).map_or(-1, |code| code as i32);
    let codes = labels.iter().map(code).collect();
    Column::Categorical { codes, categories, ordered: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> Design {
        Design::starter(Sizes { donors: 2, control_cells: 12, treated_cells: 10 }).unwrap()
    }

    fn counts(data: &AnnData) -> &Csr {
        match &data.x {
            Some(Numbers::Counts(counts)) => counts,
            other => panic!("counts are not stored as whole numbers: {other:?}"),
        }
    }

    #[test]
    fn one_seed_gives_the_same_cells_on_any_number_of_threads() {
        let design = small();
        let alone = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        let alone = alone.install(|| simulate(&design, 7).unwrap());
        let several = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
        let several = several.install(|| simulate(&design, 7).unwrap());
        assert_eq!(counts(&alone), counts(&several));
        assert_eq!((alone.obs, alone.var), (several.obs, several.var));
        assert_ne!(counts(&simulate(&design, 8).unwrap()), counts(&simulate(&design, 7).unwrap()));
    }

    #[test]
    fn every_cell_says_that_it_is_simulated() {
        let data = simulate(&small(), 7).unwrap();
        let (_, column) = data.obs.columns.iter().find(|(name, _)| name == "simulated").unwrap();
        assert_eq!(*column, Column::Booleans(vec![Some(true); data.obs.index.len()]));
        assert!(data.obs.index.iter().all(|name| name.starts_with("simulated-")));
        let Some((_, Value::Dict(about))) = data.uns.iter().find(|(name, _)| name == "haystack") else { panic!() };
        assert!(about.contains(&("simulated".to_owned(), Value::Bool(true))));
    }

    #[test]
    fn another_seed_or_size_has_another_file_name() {
        let (design, large) = (small(), Design::starter(Sizes::default()).unwrap());
        assert_eq!(file_name(&design, 7), file_name(&small(), 7));
        assert_ne!(file_name(&design, 7), file_name(&design, 8));
        assert_ne!(file_name(&design, 7), file_name(&large, 7));
    }
}
