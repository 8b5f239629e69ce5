//! Cell sets for tests.

use crate::domain::cells::{CellSet, CellSetKey, Condition};
use crate::domain::terms::{Label, Term};

/// Control cells; `cell_type` is a CL id.
pub fn control(id: i64, dataset: &str, cell_type: &str, donor: &str, n_cells: u64) -> CellSet {
    let condition = Condition::Control { label: Some("ctrl".into()), time: None };
    CellSet {
        id,
        key: CellSetKey {
            dataset: dataset.into(),
            cell_type: label(cell_type),
            condition,
            donor: Some(donor.into()),
            tissue: None,
            disease: None,
            batch: None,
            sample_condition: None,
        },
        n_cells,
        mean_genes: Some(500.0),
        mean_counts: Some(2000.0),
    }
}

/// Cells under interferon beta.
pub fn perturbed(id: i64, dataset: &str, cell_type: &str, donor: &str, n_cells: u64) -> CellSet {
    let mut set = control(id, dataset, cell_type, donor, n_cells);
    let id = "uniprot:P01574".parse().unwrap();
    let perturbation = Label { original: "stim".into(), term: Some(Term { id, name: "interferon beta".into() }) };
    set.key.condition = Condition::Perturbed { perturbation, dose: None, time: None };
    set
}

fn label(id: &str) -> Label {
    Label { original: format!("cells {id}"), term: Some(Term { id: id.parse().unwrap(), name: format!("type {id}") }) }
}
