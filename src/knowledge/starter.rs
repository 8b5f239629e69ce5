//! The starter knowledge: small, ours and checked by hand, so that a fresh installation can answer.
//!
//! `assets/starter/README.md` says what each file holds and where its facts are from. A release of an
//! ontology that is already held is never replaced by the starter's extract of it.

use super::import::{self, Imported, OnRows};
use super::{Result, Source};
use crate::database::{Database, Stored};

/// What the starter's sources are held under.
pub const NAME: &str = "starter";

const ONTOLOGIES: [(&str, &str, &str); 3] = [
    ("CL", "starter/cl.obo", include_str!("../../assets/starter/cl.obo")),
    ("UBERON", "starter/uberon.obo", include_str!("../../assets/starter/uberon.obo")),
    ("MONDO", "starter/mondo.obo", include_str!("../../assets/starter/mondo.obo")),
];
const CELL_TYPES: &str = include_str!("../../assets/starter/cell_types.tsv");
const PERTURBATIONS: &str = include_str!("../../assets/starter/perturbations.tsv");
const GENE_SETS: &str = include_str!("../../assets/starter/gene_sets.gmt");
const MARKERS: &str = include_str!("../../assets/starter/markers.tsv");
const REGULONS: &str = include_str!("../../assets/starter/regulons.tsv");

/// Imports all of it. Twice is as good as once.
pub async fn import(database: &Database, on_rows: OnRows<'_>) -> Result<Vec<Imported>> {
    let mut done = Vec::new();
    let held = database.ontologies().await?;
    for (prefix, name, text) in ONTOLOGIES {
        let other = held.iter().find(|record| record.prefix == prefix && !record.source.starts_with("starter/"));
        done.push(match other {
            Some(record) => Imported {
                kind: "ontology",
                name: prefix.to_owned(),
                version: Some(record.version.clone()),
                source: record.source.clone(),
                outcome: Stored::Unchanged,
                counts: Vec::new(),
                unresolved: Vec::new(),
                problems: Vec::new(),
            },
            None => import::ontology(database, &Source::from_text(name, text), Some(prefix), on_rows).await?,
        });
    }
    let source = |name: &str, text: &str| Source::from_text(format!("starter/{name}"), text);
    done.push(import::gene_sets(database, &source("gene_sets.gmt", GENE_SETS), NAME, on_rows).await?);
    done.push(import::regulons(database, &source("regulons.tsv", REGULONS), NAME, &[], on_rows).await?);
    done.push(import::markers(database, &source("markers.tsv", MARKERS), NAME, on_rows).await?);
    done.push(import::perturbations(database, &source("perturbations.tsv", PERTURBATIONS), NAME, on_rows).await?);
    Ok(done)
}

/// The cell types of the starter: Cell Ontology id and label, as the simulated atlas uses them.
pub fn cell_types() -> Vec<(&'static str, &'static str)> {
    let rows = CELL_TYPES.lines().filter(|line| !line.starts_with('#') && !line.starts_with("id\t"));
    rows.filter_map(|line| line.split('\t').take(2).collect::<Vec<_>>().try_into().ok())
        .map(|[id, label]: [&str; 2]| (id, label))
        .collect()
}
