//! Resolving labels with what we know.

use std::sync::Arc;

use super::harmonize::{Asked, Found};
use crate::domain::datasets::Field;
use crate::knowledge::{Candidate, Kind, Knowledge, Resolution};

/// Candidates named where a label could not be resolved.
const CANDIDATES: usize = 3;

/// Resolves labels with this knowledge.
pub fn with(knowledge: Arc<Knowledge>) -> impl Fn(Field, Asked<'_>) -> Found + Send + 'static {
    move |field, asked| {
        let Some(kind) = kind_of(field) else {
            return Found { term: None, how: "kept as it is".to_owned() };
        };
        match asked {
            Asked::Text(text) => found(knowledge.resolve(kind, text)),
            // Perturbations are resolved by any of their ids; terms must be of an ontology we hold.
            Asked::Id(id) if kind == Kind::Perturbation => found(knowledge.resolve(kind, id.as_str())),
            Asked::Id(id) => match knowledge.term(id) {
                Some(term) => Found { term: Some(term), how: "id".to_owned() },
                None => Found { term: None, how: format!("{id} is not among the terms held") },
            },
        }
    }
}

/// The versions of what labels are resolved with: each ontology's release, and how many perturbations
/// the tables hold.
pub fn versions(knowledge: &Knowledge) -> Vec<String> {
    let mut versions: Vec<String> =
        knowledge.ontologies().iter().map(|record| format!("{} {}", record.prefix, record.version)).collect();
    versions.sort();
    versions.push(format!("{} perturbations", knowledge.perturbations().len()));
    versions
}

fn kind_of(field: Field) -> Option<Kind> {
    match field {
        Field::CellType => Some(Kind::CellType),
        Field::Perturbation => Some(Kind::Perturbation),
        Field::Tissue => Some(Kind::Tissue),
        Field::Disease => Some(Kind::Disease),
        Field::Dose | Field::Time | Field::Donor | Field::Batch | Field::SampleCondition | Field::Organism => None,
    }
}

fn found(resolution: Resolution) -> Found {
    match resolution {
        Resolution::Resolved(Candidate { term, how, .. }) => Found { term: Some(term), how: how.as_str().to_owned() },
        Resolution::Abstained { candidates } if candidates.is_empty() => {
            Found { term: None, how: "nothing like it is known".to_owned() }
        }
        Resolution::Abstained { candidates } => {
            let names = candidates.iter().take(CANDIDATES).map(|c| format!("{} ({})", c.term.name, c.term.id));
            Found { term: None, how: format!("not certain; perhaps {}", names.collect::<Vec<_>>().join(", ")) }
        }
    }
}
