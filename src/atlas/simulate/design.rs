//! Design of the simulated atlas: which cell types, donors and treatments, and how many cells.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::Error;
use crate::domain::facts::{GeneSet, Regulation};
use crate::domain::{Curie, Perturbation, Term};
use crate::knowledge::{Source, gmt, markers, perturbations, regulons};

const CELL_TYPES: &str = include_str!("../../../assets/starter/atlas_cell_types.tsv");
const TREATMENTS: &str = include_str!("../../../assets/starter/atlas_perturbations.tsv");
const PERTURBATIONS: &str = include_str!("../../../assets/starter/perturbations.tsv");
const GENE_SETS: &str = include_str!("../../../assets/starter/gene_sets.gmt");
const MARKERS: &str = include_str!("../../../assets/starter/markers.tsv");
const REGULONS: &str = include_str!("../../../assets/starter/regulons.tsv");

/// How many of what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Donors.
    pub donors: usize,
    /// Control cells of each type and donor.
    pub control_cells: usize,
    /// Treated cells of each type, donor and treatment.
    pub treated_cells: usize,
}

impl Default for Sizes {
    fn default() -> Self {
        Self { donors: 4, control_cells: 80, treated_cells: 24 }
    }
}

/// What is simulated, and the facts it is simulated from.
#[derive(Clone, Debug)]
pub struct Design {
    /// How many of what.
    pub sizes: Sizes,
    /// The cell types.
    pub cell_types: Vec<CellType>,
    /// The treatments.
    pub treatments: Vec<Treatment>,
    /// Gene sets the perturbations name.
    pub gene_sets: Vec<GeneSet>,
    /// What transcription factors do.
    pub regulons: Vec<Regulation>,
}

/// A cell type.
#[derive(Clone, Debug, PartialEq)]
pub struct CellType {
    /// Cell Ontology term.
    pub term: Term,
    /// Where it is from.
    pub tissue: Term,
    /// Genes it is known by, upper case.
    pub markers: Vec<String>,
}

/// A perturbation as it was given.
#[derive(Clone, Debug, PartialEq)]
pub struct Treatment {
    /// The perturbation.
    pub perturbation: Perturbation,
    /// With unit.
    pub dose: String,
    /// Duration in hours.
    pub hours: u32,
    /// Indices of the cell types treated.
    pub cell_types: Vec<usize>,
}

/// Cells that share type, donor and treatment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    /// Index of the cell type.
    pub cell_type: usize,
    /// Index of the treatment; controls have none.
    pub treatment: Option<usize>,
    /// From 0.
    pub donor: usize,
    /// How many cells.
    pub n_cells: usize,
}

impl Design {
    /// The starter's design, from the starter's tables alone: what else was imported does not change it.
    pub fn starter(sizes: Sizes) -> Result<Self, Error> {
        let source = |name: &str, text: &str| Source::from_text(format!("starter/{name}"), text);
        let (known, _) = perturbations::parse(&source("perturbations.tsv", PERTURBATIONS))?;
        let (gene_sets, _) = gmt::parse(&source("gene_sets.gmt", GENE_SETS), "starter")?;
        let (rows, _) = markers::parse(&source("markers.tsv", MARKERS))?;
        let (regulons, _) = regulons::parse(&source("regulons.tsv", REGULONS), &[])?;
        let mut genes: BTreeMap<Curie, Vec<String>> = BTreeMap::new();
        for row in rows {
            if let Some(id) = row.id {
                genes.entry(id).or_default().extend(row.genes);
            }
        }
        let cell_types = rows_of(CELL_TYPES).map(|row| cell_type(&row, &genes)).collect::<Result<Vec<_>, _>>()?;
        let treatments = rows_of(TREATMENTS).map(|row| treatment(&row, &known, &cell_types));
        let treatments = treatments.collect::<Result<Vec<_>, _>>()?;
        Ok(Self { sizes, cell_types, treatments, gene_sets, regulons })
    }

    /// Every group of cells, controls first.
    pub fn groups(&self) -> Vec<Group> {
        let donors = || 0..self.sizes.donors;
        let controls = (0..self.cell_types.len()).flat_map(|cell_type| {
            donors().map(move |donor| Group { cell_type, treatment: None, donor, n_cells: self.sizes.control_cells })
        });
        let treated = self.treatments.iter().enumerate().flat_map(|(at, treatment)| {
            treatment.cell_types.iter().flat_map(move |&cell_type| {
                donors().map(move |donor| Group {
                    cell_type,
                    treatment: Some(at),
                    donor,
                    n_cells: self.sizes.treated_cells,
                })
            })
        });
        controls.chain(treated).collect()
    }

    /// SHA-256 of the tables and sizes.
    pub fn fingerprint(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        for table in [CELL_TYPES, TREATMENTS, PERTURBATIONS, GENE_SETS, MARKERS, REGULONS] {
            hash.update((table.len() as u64).to_le_bytes());
            hash.update(table);
        }
        for size in [self.sizes.donors, self.sizes.control_cells, self.sizes.treated_cells] {
            hash.update((size as u64).to_le_bytes());
        }
        hash.finalize().into()
    }
}

/// The rows of a table below its comments and its header.
fn rows_of(table: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    let lines = table.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    lines.skip(1).map(|line| line.split('\t').collect())
}

fn cell_type(row: &[&str], markers: &BTreeMap<Curie, Vec<String>>) -> Result<CellType, Error> {
    let [id, name, tissue_id, tissue] = row else {
        return Err(Error::Tables(format!("a cell type has four columns, not {row:?}")));
    };
    let term = Term { id: curie(id)?, name: (*name).to_owned() };
    let tissue = Term { id: curie(tissue_id)?, name: (*tissue).to_owned() };
    let markers = markers.get(&term.id).cloned().unwrap_or_default();
    if markers.is_empty() {
        return Err(Error::Tables(format!("{name} has no markers")));
    }
    Ok(CellType { term, tissue, markers })
}

fn treatment(row: &[&str], known: &[Perturbation], cell_types: &[CellType]) -> Result<Treatment, Error> {
    let [name, dose, hours, ids] = row else {
        return Err(Error::Tables(format!("a treatment has four columns, not {row:?}")));
    };
    let unknown = |what: &str| Error::Tables(format!("{name} is given to, or for, {what}, which is not known"));
    let perturbation = known.iter().find(|perturbation| perturbation.name == *name);
    let place = |id: &str| cell_types.iter().position(|cell_type| cell_type.term.id.as_str() == id);
    Ok(Treatment {
        perturbation: perturbation.cloned().ok_or_else(|| unknown("a perturbation"))?,
        dose: (*dose).to_owned(),
        hours: hours.parse().map_err(|_| unknown(hours))?,
        cell_types: ids.split(';').map(|id| place(id).ok_or_else(|| unknown(id))).collect::<Result<_, _>>()?,
    })
}

fn curie(text: &str) -> Result<Curie, Error> {
    text.parse().map_err(|error: crate::domain::ids::CurieError| Error::Tables(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_starter_is_broad_and_small_enough() {
        let design = Design::starter(Sizes::default()).unwrap();
        assert!(design.cell_types.len() >= 12 && design.treatments.len() >= 20 && design.sizes.donors >= 4);
        let groups = design.groups();
        let n_cells: usize = groups.iter().map(|group| group.n_cells).sum();
        assert!((10_000..=20_000).contains(&n_cells), "{n_cells} cells");
        assert!(groups.iter().all(|group| group.n_cells >= 10));
        let mut unique = groups.clone();
        unique.sort_by_key(|g| (g.cell_type, g.treatment, g.donor));
        unique.dedup_by_key(|g| (g.cell_type, g.treatment, g.donor));
        assert_eq!(unique.len(), groups.len(), "a combination comes twice");
        // Every treatment was given to several types, so that any one of them can be the novel one.
        assert!(design.treatments.iter().all(|treatment| treatment.cell_types.len() >= 3));
    }
}
