//! KNOW: names and facts. What the ontologies and tables we imported say, held in memory.
//!
//! Each kind of source has a parser of its own; [`import`] stores what they read, [`Knowledge`]
//! loads it. Nothing here asks anyone outside.
//!
//! To add a source: a parser beside the others, a variant of `database::Facts` if it holds a new kind
//! of fact, a function in [`import`], and a subcommand of `haystack import`.

pub mod cellxgene;
mod error;
pub mod genetic;
pub mod gmt;
pub mod graph;
pub mod import;
mod index;
pub mod interactions;
mod latest;
pub mod markers;
pub mod normalize;
pub mod obo;
pub mod perturbations;
pub mod question;
mod rank;
pub mod regulons;
pub mod resolve;
mod source;
pub mod starter;
mod table;
mod targets;
mod unpack;
mod variants;
mod vocabulary;
mod weigh;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::OnceLock;

pub use error::{Error, Problem, Result};
pub use graph::{Graph, Neighbour, Step};
pub use latest::Latest;
pub use normalize::Kind;
pub use resolve::{Candidate, How, Resolution};
pub use source::Source;

use crate::database::{Database, OntologyRecord};
use crate::domain::{
    Curie, GeneSet, Interaction, Marker, OntologyTerm, Perturbation, Regulation, Relation, Scope, Term,
};
use resolve::Names;

/// Names that biologists use and the ontologies lack: kind, name, id, label.
const CURATED_NAMES: &str = include_str!("../../assets/names.tsv");

/// Everything we know, as it was when it was loaded.
pub struct Knowledge {
    ontologies: Vec<OntologyRecord>,
    graph: Graph,
    perturbations: Vec<Perturbation>,
    gene_sets: Vec<GeneSet>,
    regulons: BTreeMap<String, Vec<Regulation>>,
    interactions: BTreeMap<String, Vec<Interaction>>,
    markers: BTreeMap<Curie, Vec<String>>,
    genes: BTreeSet<String>,
    /// By kind, made when first asked for: diseases alone have 100 000 names.
    names: [OnceLock<Names>; Kind::ALL.len()],
}

/// What [`Knowledge`] is made of.
#[derive(Clone, Debug, Default)]
pub struct Parts {
    /// The releases the terms are from.
    pub ontologies: Vec<OntologyRecord>,
    /// Terms of all ontologies.
    pub terms: Vec<OntologyTerm>,
    /// Perturbations with the source each is from; the same name in two sources is one perturbation.
    pub perturbations: Vec<(String, Perturbation)>,
    /// Gene sets of all collections.
    pub gene_sets: Vec<GeneSet>,
    /// Regulations with the network each is from.
    pub regulons: Vec<(String, Regulation)>,
    /// Interactions with the network each is from.
    pub interactions: Vec<(String, Interaction)>,
    /// Markers of all sources.
    pub markers: Vec<Marker>,
}

impl Knowledge {
    /// Reads everything from the database.
    pub async fn load(database: &Database) -> Result<Self> {
        Ok(Self::new(Parts {
            ontologies: database.ontologies().await?,
            terms: database.ontology_terms().await?,
            perturbations: database.perturbations().await?,
            gene_sets: database.gene_sets().await?,
            regulons: database.regulons().await?,
            interactions: database.interactions().await?,
            markers: database.markers().await?,
        }))
    }

    /// Knowledge of these parts. The order of the parts does not matter: the two databases sort
    /// differently, and the same knowledge must give the same answers.
    pub fn new(mut parts: Parts) -> Self {
        parts.gene_sets.sort_by(|a, b| (&a.collection, &a.name).cmp(&(&b.collection, &b.name)));
        parts.regulons.sort_by(|a, b| (&a.0, &a.1.source, &a.1.target).cmp(&(&b.0, &b.1.source, &b.1.target)));
        parts.markers.sort();
        parts.markers.dedup();
        let graph = Graph::new(parts.terms);
        let mut markers: BTreeMap<Curie, Vec<String>> = BTreeMap::new();
        for marker in parts.markers {
            // An id may have been replaced since the markers were imported.
            let id = graph.current(&marker.cell_type).map_or(marker.cell_type, |term| term.id.clone());
            let genes = markers.entry(id).or_default();
            if !genes.contains(&marker.gene) {
                genes.push(marker.gene);
            }
        }
        let mut regulons: BTreeMap<String, Vec<Regulation>> = BTreeMap::new();
        for (network, regulation) in parts.regulons {
            regulons.entry(network).or_default().push(regulation);
        }
        parts.interactions.sort_by(|a, b| (&a.0, &a.1.source, &a.1.target).cmp(&(&b.0, &b.1.source, &b.1.target)));
        let mut interactions: BTreeMap<String, Vec<Interaction>> = BTreeMap::new();
        for (network, interaction) in parts.interactions {
            interactions.entry(network).or_default().push(interaction);
        }
        let perturbations = merged(parts.perturbations);
        let genes = all_genes(&parts.gene_sets, &regulons, &markers, &perturbations);
        Self {
            ontologies: parts.ontologies,
            graph,
            perturbations,
            gene_sets: parts.gene_sets,
            regulons,
            interactions,
            markers,
            genes,
            names: Default::default(),
        }
    }

    /// The term a name stands for, or candidates where that is not certain.
    pub fn resolve(&self, kind: Kind, text: &str) -> Resolution {
        self.resolve_in(kind, text, "")
    }

    /// The same where something is known of what the name is about, such as the tissue: `HSC` is another
    /// cell in the liver than in the bone marrow.
    pub fn resolve_in(&self, kind: Kind, text: &str, context: &str) -> Resolution {
        match self.names(kind).resolve(text, context) {
            Resolution::Abstained { candidates } if kind == Kind::Perturbation => {
                self.genetic(text).unwrap_or(Resolution::Abstained { candidates })
            }
            found => found,
        }
    }

    /// The term a name stands for, never by likeness: `None` where no name is the same after normalisation.
    pub fn look_up(&self, kind: Kind, text: &str) -> Option<Resolution> {
        if let Some(found) = self.names(kind).look_up(text) {
            return Some(found);
        }
        if kind == Kind::Perturbation { self.genetic(text) } else { None }
    }

    /// How a label of a kind weighs against each candidate: the features of *none of them*, then per
    /// candidate its term and features, in the order of [`Self::features`]. For fitting the weights.
    pub fn weigh(&self, kind: Kind, text: &str, context: &str) -> (Vec<f32>, Vec<(Term, Vec<f32>)>) {
        let names = self.names(kind);
        let ranking = names.rank(text, context);
        let weighed = |candidate: &weigh::Weighed| (names.term(candidate).clone(), candidate.features.to_vec());
        (ranking.none.to_vec(), ranking.candidates.iter().map(weighed).collect())
    }

    /// The names of what [`Self::weigh`] measures.
    pub fn features() -> &'static [&'static str] {
        &rank::FEATURES
    }

    /// A genetic change of a gene we know: `STAT1 knockout`.
    fn genetic(&self, text: &str) -> Option<Resolution> {
        let change = genetic::parse(text).filter(|change| self.is_gene(&change.gene))?;
        let term = change.perturbation().term();
        Some(Resolution::Resolved(Candidate { term, how: How::Normalised, score: 0.95 }))
    }

    /// The perturbation a resolved term stands for.
    pub fn perturbation(&self, term: &Term) -> Option<Perturbation> {
        let by_name = self.perturbations.iter().find(|perturbation| perturbation.name == term.name);
        by_name.cloned().or_else(|| {
            let change = genetic::parse(&term.name)?;
            self.is_gene(&change.gene).then(|| change.perturbation())
        })
    }

    /// All perturbations of the tables, by name.
    pub fn perturbations(&self) -> &[Perturbation] {
        &self.perturbations
    }

    /// The ontologies behind the terms.
    pub fn ontologies(&self) -> &[OntologyRecord] {
        &self.ontologies
    }

    /// Whether anything is held that names of this kind could stand for.
    pub fn has_names(&self, kind: Kind) -> bool {
        match kind {
            Kind::CellType => self.has_ontology("CL"),
            Kind::Tissue => self.has_ontology("UBERON"),
            Kind::Disease => self.has_ontology("MONDO"),
            Kind::Perturbation => !self.perturbations.is_empty(),
        }
    }

    /// Whether terms with this prefix are held.
    pub fn has_ontology(&self, prefix: &str) -> bool {
        self.graph.terms().iter().any(|term| term.id.prefix() == prefix)
    }

    /// The ontologies as a graph.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The term to use for an id; what replaced it, if it is obsolete.
    pub fn term(&self, id: &Curie) -> Option<Term> {
        if id.as_str() == NORMAL.0 {
            return Some(normal());
        }
        self.graph.current(id).map(|term| Term { id: term.id.clone(), name: term.name.clone() })
    }

    /// See [`Graph::neighbours`].
    pub fn neighbours(&self, id: &Curie) -> Vec<Neighbour> {
        self.graph.neighbours(id)
    }

    /// See [`Graph::descendants`]. What is part of an organ or a stage of life belongs to it as well: the
    /// alveolus to the lung.
    pub fn descendants(&self, id: &Curie) -> Vec<Term> {
        if !graph::OF_PARTS.contains(&id.prefix()) {
            return self.graph.descendants(id);
        }
        let below = self.graph.below(id, &[Relation::IsA, Relation::PartOf]).into_iter();
        let mut parts: Vec<Term> = below.map(|(term, _)| term).filter(|term| term.id.prefix() == id.prefix()).collect();
        parts.sort_by(|a, b| a.id.cmp(&b.id));
        parts
    }

    /// See [`Graph::ancestors`].
    pub fn ancestors(&self, id: &Curie) -> Vec<(Term, u32)> {
        self.graph.ancestors(id)
    }

    /// All gene sets, by collection and name.
    pub fn gene_sets(&self) -> &[GeneSet] {
        &self.gene_sets
    }

    /// Names of the collections of gene sets.
    pub fn collections(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.gene_sets.iter().map(|set| set.collection.as_str()).collect();
        names.dedup();
        names
    }

    /// Regulations by network, each by source and target.
    pub fn regulons(&self) -> &BTreeMap<String, Vec<Regulation>> {
        &self.regulons
    }

    /// Interactions by network, each by source and target.
    pub fn interactions(&self) -> &BTreeMap<String, Vec<Interaction>> {
        &self.interactions
    }

    /// Marker genes of a cell type, by symbol; empty where none are known.
    pub fn markers(&self, cell_type: &Curie) -> &[String] {
        self.markers.get(cell_type).map_or(&[], Vec::as_slice)
    }

    /// Whether any of our sources names this gene symbol.
    pub fn is_gene(&self, symbol: &str) -> bool {
        self.genes.contains(&symbol.to_uppercase())
    }

    fn names(&self, kind: Kind) -> &Names {
        self.names[kind as usize].get_or_init(|| match kind {
            Kind::CellType => self.ontology_names(kind, "CL"),
            Kind::Tissue => self.ontology_names(kind, "UBERON"),
            Kind::Disease => self.ontology_names(kind, "MONDO"),
            Kind::Perturbation => self.perturbation_names(),
        })
    }

    fn ontology_names(&self, kind: Kind, prefix: &str) -> Names {
        let mut names = Names::new(kind);
        let own = || self.graph.terms().iter().filter(|term| term.id.prefix() == prefix);
        for term in own().filter(|term| !term.obsolete) {
            let synonyms = term.synonyms.iter().map(|synonym| (synonym.text.as_str(), synonym.scope));
            names.add(Term { id: term.id.clone(), name: term.name.clone() }, synonyms);
        }
        if kind == Kind::Disease {
            names.add(normal(), []);
        }
        for term in own().filter(|term| term.obsolete) {
            if let Some(current) = self.graph.current(&term.id) {
                names.add_alias(&term.id, &current.id);
            }
        }
        for line in CURATED_NAMES.lines() {
            if let [of, name, id, _] = line.split('\t').collect::<Vec<_>>()[..]
                && let (true, Ok(id)) = (of == kind.as_str(), id.parse())
            {
                names.add_curated(name, &id);
            }
        }
        names
    }

    fn perturbation_names(&self) -> Names {
        let mut names = Names::new(Kind::Perturbation);
        for perturbation in &self.perturbations {
            let term = perturbation.term();
            let id = term.id.clone();
            names.add(term, perturbation.synonyms.iter().map(|name| (name.as_str(), Scope::Exact)));
            for other in &perturbation.ids {
                names.add_alias(other, &id);
            }
        }
        // Families and complexes of FamPlex: `interferon`, `TGFB`. A perturbation of that name comes first.
        for term in self.graph.terms().iter().filter(|term| term.id.prefix() == FAMILIES && !term.obsolete) {
            let synonyms = term.synonyms.iter().map(|synonym| synonym.text.as_str());
            let all = std::iter::once(term.name.as_str()).chain(synonyms);
            names.add_beneath(Term { id: term.id.clone(), name: term.name.clone() }, all);
        }
        names
    }
}

/// Prefix of FamPlex.
const FAMILIES: &str = "FPLX";

/// CELLxGENE's term for people without a disease; MONDO has none.
const NORMAL: (&str, &str) = ("PATO:0000461", "normal");

fn normal() -> Term {
    Term { id: NORMAL.0.parse().expect("a constant of the right form"), name: NORMAL.1.to_owned() }
}

/// One perturbation per name, with what all sources say of it; the first source's word comes first.
fn merged(mut parts: Vec<(String, Perturbation)>) -> Vec<Perturbation> {
    fn join<T: PartialEq>(into: &mut Vec<T>, from: Vec<T>) {
        for item in from {
            if !into.contains(&item) {
                into.push(item);
            }
        }
    }
    parts.sort_by(|a, b| (&a.1.name, &a.0).cmp(&(&b.1.name, &b.0)));
    let mut merged: Vec<Perturbation> = Vec::with_capacity(parts.len());
    let mut index: HashMap<String, usize> = HashMap::new();
    for (_, next) in parts {
        match index.get(&next.name.to_lowercase()) {
            Some(&at) => {
                let first = &mut merged[at];
                join(&mut first.ids, next.ids);
                join(&mut first.synonyms, next.synonyms);
                join(&mut first.targets, next.targets);
                join(&mut first.effectors, next.effectors);
                join(&mut first.responses, next.responses);
                join(&mut first.pathways, next.pathways);
            }
            None => {
                index.insert(next.name.to_lowercase(), merged.len());
                merged.push(next);
            }
        }
    }
    merged
}

fn all_genes(
    gene_sets: &[GeneSet],
    regulons: &BTreeMap<String, Vec<Regulation>>,
    markers: &BTreeMap<Curie, Vec<String>>,
    perturbations: &[Perturbation],
) -> BTreeSet<String> {
    let of_sets = gene_sets.iter().flat_map(|set| &set.genes);
    let of_regulons = regulons.values().flatten().flat_map(|regulation| [&regulation.source, &regulation.target]);
    let of_markers = markers.values().flatten();
    let of_perturbations = perturbations
        .iter()
        .flat_map(|p| p.targets.iter().chain(&p.effectors).chain(&p.responses).map(|effect| &effect.gene));
    of_sets.chain(of_regulons).chain(of_markers).chain(of_perturbations).cloned().collect()
}
