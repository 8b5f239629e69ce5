//! Terms of the ontologies, labels of the data, and perturbations.

use serde::{Deserialize, Serialize};

use super::ids::Curie;

/// A term of an ontology we hold: its id and its preferred name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Term {
    /// Such as `CL:0000236`.
    pub id: Curie,
    /// Such as `B cell`.
    pub name: String,
}

/// What a data file calls something, and the term it was resolved to, if it was.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Label {
    /// The file's own spelling; never changed.
    pub original: String,
    /// The term it stands for, absent when nothing could be resolved with confidence.
    pub term: Option<Term>,
}

impl Label {
    /// The term's name where there is one, else the file's spelling.
    pub fn name(&self) -> &str {
        self.term.as_ref().map_or(&self.original, |term| &term.name)
    }

    /// The term's id, if resolved.
    pub fn id(&self) -> Option<&Curie> {
        self.term.as_ref().map(|term| &term.id)
    }
}

/// What kind of thing perturbs the cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PerturbationKind {
    /// A small molecule or other drug.
    Drug,
    /// A cytokine, chemokine, growth factor or other secreted protein.
    Cytokine,
    /// A change of a gene: knock-out, knock-down, activation, over-expression.
    Genetic,
    /// Anything else, or not known.
    Unknown,
}

/// The sign of an expected change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Expected to rise, or to be activated.
    Up,
    /// Expected to fall, or to be inhibited.
    Down,
    /// Expected to change; which way is not known.
    Unknown,
}

/// A gene (by symbol) that a perturbation is known to act on, and which way.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct GeneEffect {
    /// Upper-case HGNC symbol.
    pub gene: String,
    /// Which way.
    pub direction: Direction,
}

/// A perturbation with what is known of it before any prediction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Perturbation {
    /// Canonical name, such as `interferon beta`.
    pub name: String,
    /// Drug, cytokine, genetic or unknown.
    pub kind: PerturbationKind,
    /// Identifiers in other databases, such as `uniprot:P01574`; the first is the preferred one.
    pub ids: Vec<Curie>,
    /// Other names.
    pub synonyms: Vec<String>,
    /// What it binds or edits: receptors of a cytokine, protein targets of a drug, the edited gene.
    pub targets: Vec<GeneEffect>,
    /// Transcription factors it is known to switch on or off.
    pub effectors: Vec<GeneEffect>,
    /// Genes whose expression is known to follow.
    pub responses: Vec<GeneEffect>,
    /// Names of gene sets expected to be enriched.
    pub pathways: Vec<String>,
}

impl Perturbation {
    /// One of which no more is known than its name and kind.
    pub fn named(name: &str, kind: PerturbationKind) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            ids: Vec::new(),
            synonyms: Vec::new(),
            targets: Vec::new(),
            effectors: Vec::new(),
            responses: Vec::new(),
            pathways: Vec::new(),
        }
    }

    /// Its preferred id and canonical name. One without an id gets `haystack:` and its name.
    pub fn term(&self) -> Term {
        let id = self.ids.first().cloned().unwrap_or_else(|| {
            let slug: String = self
                .name
                .chars()
                .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' })
                .collect();
            format!("haystack:{slug}")
                .parse()
                .unwrap_or_else(|_| "haystack:unnamed".parse().expect("of the right form"))
        });
        Term { id, name: self.name.clone() }
    }
}
