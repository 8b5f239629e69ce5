//! The pool: perturbed cells in groups, with what decides whether and how well they fit.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::atlas::controls;
use crate::domain::Scope;
use crate::domain::cells::CellSet;
use crate::domain::ids::Curie;
use crate::domain::query::{StructuredQuery, Task};
use crate::domain::run::{EffectiveControl, Measured, PromptCandidate, Strategy};
use crate::domain::terms::{Perturbation, Term};
use crate::knowledge::normalize::folded;
use crate::knowledge::{Graph, Knowledge};

/// Groups of cell sets that may be prompts, and those that are kept back.
pub struct Pool<'a> {
    /// The question.
    pub query: &'a StructuredQuery,
    /// The ontologies.
    pub graph: &'a Graph,
    /// Groups with enough cells, by selection key.
    pub groups: Vec<Group>,
    /// Cells measured for the very question.
    pub measured: Vec<CellSet>,
}

/// Cell sets that share the seven fields of a selection key.
#[derive(Clone, Debug)]
pub struct Group {
    /// The sets.
    pub sets: Vec<CellSet>,
    /// How its cell type relates to the one asked about.
    pub cell_type: TypeMatch,
    /// Whether the perturbation is a resolved label; else it was matched by its spelling.
    pub resolved: bool,
    /// Whether controls to pair with are held.
    pub has_control: bool,
}

/// How a cell type relates to the one asked about.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TypeMatch {
    /// The same term.
    Exact,
    /// An unresolved label that is spelled like one of its names.
    Spelled,
    /// Another type; with how many of the types above either lie above both, 0 to 1.
    Other {
        /// See [`similarity`].
        similarity: f64,
    },
}

impl<'a> Pool<'a> {
    /// Groups the cells held under the perturbation of a question.
    pub fn new(
        query: &'a StructuredQuery,
        perturbation: &Perturbation,
        knowledge: &'a Knowledge,
        sets: Vec<CellSet>,
        controls: Vec<CellSet>,
        measured: Measured,
        min_cells: u64,
    ) -> Self {
        let graph = knowledge.graph();
        let names = names_of(graph, &query.cell_type);
        let descendants: HashSet<Curie> = graph.descendants(&query.cell_type.id).into_iter().map(|t| t.id).collect();
        let type_of = |set: &CellSet| match set.key.cell_type_id() {
            Some(id) if *id == query.cell_type.id => TypeMatch::Exact,
            Some(id) => TypeMatch::Other { similarity: similarity(graph, &query.cell_type.id, id) },
            None if names.contains(&folded(&set.key.cell_type.original)) => TypeMatch::Spelled,
            None => TypeMatch::Other { similarity: 0.0 },
        };
        let is_asked = |set: &CellSet| {
            !matches!(type_of(set), TypeMatch::Other { .. })
                || set.key.cell_type_id().is_some_and(|id| descendants.contains(id))
        };
        let of_donor = |set: &CellSet| query.donor.is_some() && set.key.donor == query.donor;
        let kept_back = |set: &CellSet| match (measured, query.task) {
            (Measured::Use, _) => false,
            (Measured::HoldOut, Task::PerturbationNovelSamples) => of_donor(set),
            (Measured::HoldOut, _) => is_asked(set),
        };
        let (kept, open): (Vec<CellSet>, Vec<CellSet>) = sets.into_iter().partition(kept_back);
        let measured = kept.into_iter().filter(is_asked).collect();
        let canonical = |set: &CellSet| {
            let term = set.key.condition.perturbation().and_then(|label| label.term.as_ref());
            term.is_some_and(|term| term.name == perturbation.name || perturbation.ids.contains(&term.id))
        };
        let pairs = Pairing::new(controls, min_cells);
        let groups = grouped(open)
            .into_iter()
            .filter(|sets| sets.iter().map(|set| set.n_cells).sum::<u64>() >= min_cells)
            .map(|sets| Group {
                cell_type: type_of(&sets[0]),
                resolved: sets.iter().any(&canonical),
                has_control: pairs.has_control(&sets),
                sets,
            })
            .collect();
        Self { query, graph, groups, measured }
    }
}

impl Group {
    /// The cell type's term, where its label was resolved.
    pub fn term(&self) -> Option<&Term> {
        self.sets[0].key.cell_type.term.as_ref()
    }

    /// Cells over all sets.
    pub fn n_cells(&self) -> u64 {
        self.sets.iter().map(|set| set.n_cells).sum()
    }

    /// As a candidate; its rank is not known yet.
    pub fn candidate(&self, strategy: Strategy, relevance: f64, why: &str) -> PromptCandidate {
        let key = &self.sets[0].key;
        let donor = key.donor.as_ref().map(|donor| format!(", donor {donor}")).unwrap_or_default();
        let control = if self.has_control { "" } else { ", no controls to pair with" };
        let rationale =
            format!("{}: {why} ({}{donor}, {} cells{control})", key.cell_type.name(), key.dataset, self.n_cells());
        PromptCandidate {
            sets: self.sets.clone(),
            strategy,
            relevance,
            rank_score: 0.0,
            has_control: self.has_control,
            rationale,
        }
    }
}

/// The names of a term that mean just it, folded.
fn names_of(graph: &Graph, term: &Term) -> HashSet<String> {
    let known = graph.get(&term.id);
    let synonyms = known.iter().flat_map(|known| &known.synonyms).filter(|synonym| synonym.scope == Scope::Exact);
    synonyms.map(|synonym| folded(&synonym.text)).chain([folded(&term.name)]).collect()
}

/// How alike two cell types are: of all types at or above either one, the share at or above both
/// (simUI of Gentleman 2005). 1 for the same type, 0 when one of them is not in the ontology.
///
/// Steps along the graph would not do: B cells are as many steps from T cells as from monocytes, but
/// share more with T cells.
pub fn similarity(graph: &Graph, a: &Curie, b: &Curie) -> f64 {
    if graph.get(a).is_none() || graph.get(b).is_none() {
        return 0.0;
    }
    let lineage = |id: &Curie| -> HashSet<Curie> {
        graph.ancestors(id).into_iter().map(|(term, _)| term.id).chain([id.clone()]).collect()
    };
    let (a, b) = (lineage(a), lineage(b));
    a.intersection(&b).count() as f64 / a.union(&b).count() as f64
}

/// Sets with the same selection key together, in the order of the keys.
fn grouped(sets: Vec<CellSet>) -> Vec<Vec<CellSet>> {
    let mut groups: BTreeMap<[String; 7], Vec<CellSet>> = BTreeMap::new();
    for set in sets {
        groups.entry(selection_key(&set)).or_default().push(set);
    }
    groups.into_values().collect()
}

fn selection_key(set: &CellSet) -> [String; 7] {
    let alone = PromptCandidate {
        sets: vec![set.clone()],
        strategy: Strategy::Direct,
        relevance: 0.0,
        rank_score: 0.0,
        has_control: false,
        rationale: String::new(),
    };
    alone.selection_key()
}

/// Controls by data set, so that pairing a group looks at those of its own alone.
struct Pairing {
    controls: HashMap<String, Vec<CellSet>>,
    min_cells: u64,
}

impl Pairing {
    fn new(controls: Vec<CellSet>, min_cells: u64) -> Self {
        let mut by_dataset: HashMap<String, Vec<CellSet>> = HashMap::new();
        for set in controls {
            by_dataset.entry(set.key.dataset.clone()).or_default().push(set);
        }
        Self { controls: by_dataset, min_cells }
    }

    fn has_control(&self, sets: &[CellSet]) -> bool {
        let controls = self.controls.get(&sets[0].key.dataset).map_or(&[][..], Vec::as_slice);
        matches!(controls::pair(sets, controls, self.min_cells), EffectiveControl::SyntheticControl { .. })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::atlas::testing::{control, perturbed};
    use crate::domain::terms::PerturbationKind;
    use crate::domain::{OntologyTerm, Relation};
    use crate::knowledge::Parts;

    /// leukocyte > lymphocyte > B, T > CD4 T; leukocyte > monocyte; B > naive B.
    pub fn knowledge() -> Knowledge {
        let term = |id: &str, name: &str, parents: &[&str]| OntologyTerm {
            id: id.parse().unwrap(),
            name: name.to_owned(),
            definition: None,
            synonyms: vec![],
            relations: parents.iter().map(|parent| (Relation::IsA, parent.parse().unwrap())).collect(),
            obsolete: false,
            replaced_by: None,
        };
        let terms = vec![
            term("CL:0000738", "leukocyte", &[]),
            term("CL:0000542", "lymphocyte", &["CL:0000738"]),
            term("CL:0000236", "B cell", &["CL:0000542"]),
            term("CL:0000788", "naive B cell", &["CL:0000236"]),
            term("CL:0000084", "T cell", &["CL:0000542"]),
            term("CL:0000624", "CD4-positive, alpha-beta T cell", &["CL:0000084"]),
            term("CL:0000576", "monocyte", &["CL:0000738"]),
        ];
        Knowledge::new(Parts { terms, ..Parts::default() })
    }

    pub fn perturbation() -> Perturbation {
        Perturbation {
            name: "interferon beta".into(),
            kind: PerturbationKind::Cytokine,
            ids: vec!["uniprot:P01574".parse().unwrap()],
            synonyms: vec!["IFNB1".into()],
            targets: vec![],
            effectors: vec![],
            responses: vec![],
            pathways: vec![],
        }
    }

    pub fn question(task: Task, donor: Option<&str>) -> StructuredQuery {
        StructuredQuery {
            question: "How would B cells respond to interferon beta?".into(),
            task,
            cell_type: Term { id: "CL:0000236".parse().unwrap(), name: "B cell".into() },
            perturbation: Some(perturbation()),
            tissue: None,
            disease: None,
            donor: donor.map(str::to_owned),
            notes: vec![],
        }
    }

    /// Two donors of B, naive B, CD4 T and monocytes under interferon beta, with controls of donor 1.
    pub fn sets() -> (Vec<CellSet>, Vec<CellSet>) {
        let (mut stimulated, mut controls) = (Vec::new(), Vec::new());
        for (at, cell_type) in ["CL:0000236", "CL:0000788", "CL:0000624", "CL:0000576"].into_iter().enumerate() {
            let at = at as i64;
            stimulated.push(perturbed(10 * at, "kang", cell_type, "1", 100));
            stimulated.push(perturbed(10 * at + 1, "kang", cell_type, "2", 100));
            controls.push(control(10 * at + 2, "kang", cell_type, "1", 100));
        }
        (stimulated, controls)
    }

    fn pool<'a>(query: &'a StructuredQuery, knowledge: &'a Knowledge, measured: Measured) -> Pool<'a> {
        let (stimulated, controls) = sets();
        Pool::new(query, &perturbation(), knowledge, stimulated, controls, measured, 10)
    }

    fn ids(pool: &Pool<'_>) -> Vec<i64> {
        let mut ids: Vec<i64> = pool.groups.iter().flat_map(|group| &group.sets).map(|set| set.id).collect();
        ids.sort_unstable();
        ids
    }

    #[test]
    fn the_asked_type_and_its_subtypes_are_held_out_for_comparison() {
        let (query, knowledge) = (question(Task::PerturbationNovelCellTypes, None), knowledge());
        let held_out = pool(&query, &knowledge, Measured::HoldOut);
        assert_eq!(ids(&held_out), [20, 21, 30, 31]);
        let measured: Vec<i64> = held_out.measured.iter().map(|set| set.id).collect();
        assert_eq!(measured, [0, 1, 10, 11]);
        let used = pool(&query, &knowledge, Measured::Use);
        assert_eq!((used.groups.len(), used.measured.len()), (8, 0));
    }

    #[test]
    fn for_a_novel_sample_the_donor_is_held_out_instead() {
        let (query, knowledge) = (question(Task::PerturbationNovelSamples, Some("2")), knowledge());
        let pool = pool(&query, &knowledge, Measured::HoldOut);
        assert_eq!(ids(&pool), [0, 10, 20, 30]);
        assert_eq!(pool.measured.iter().map(|set| set.id).collect::<Vec<_>>(), [1, 11]);
    }

    #[test]
    fn likeness_counts_shared_ancestors() {
        let knowledge = knowledge();
        let id = |text: &str| text.parse::<Curie>().unwrap();
        let alike = |a: &str, b: &str| similarity(knowledge.graph(), &id(a), &id(b));
        assert_eq!(alike("CL:0000236", "CL:0000236"), 1.0);
        // {B, lymphocyte, leukocyte} and {CD4 T, T, lymphocyte, leukocyte}: 2 of 5.
        assert_eq!(alike("CL:0000236", "CL:0000624"), 0.4);
        // {B, lymphocyte, leukocyte} and {monocyte, leukocyte}: 1 of 4.
        assert_eq!(alike("CL:0000236", "CL:0000576"), 0.25);
        assert_eq!(alike("CL:0000236", "CL:9999999"), 0.0);
    }

    #[test]
    fn unresolved_labels_spelled_like_the_type_are_held_out_too() {
        let (query, knowledge) = (question(Task::PerturbationNovelCellTypes, None), knowledge());
        let mut set = perturbed(1, "kang", "CL:0000236", "1", 100);
        set.key.cell_type.term = None;
        set.key.cell_type.original = "b  CELL".into();
        let pool = Pool::new(&query, &perturbation(), &knowledge, vec![set], vec![], Measured::HoldOut, 10);
        assert_eq!((pool.groups.len(), pool.measured.len()), (0, 1));
    }

    #[test]
    fn groups_join_sets_of_one_key_and_small_ones_are_left_out() {
        let (query, knowledge) = (question(Task::PerturbationNovelCellTypes, None), knowledge());
        let mut high = perturbed(1, "kang", "CL:0000624", "1", 6);
        let mut low = perturbed(2, "kang", "CL:0000624", "1", 6);
        (high.key.batch, low.key.batch) = (Some("a".into()), Some("b".into()));
        let few = perturbed(3, "kang", "CL:0000576", "1", 9);
        let sets = vec![high, low, few];
        let pool = Pool::new(&query, &perturbation(), &knowledge, sets, vec![], Measured::HoldOut, 10);
        assert_eq!(ids(&pool), [1, 2]);
        assert_eq!((pool.groups.len(), pool.groups[0].has_control), (1, false));
    }
}
