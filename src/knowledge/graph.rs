//! The ontologies as a graph: what is above, below and beside a term.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::fmt;

use crate::domain::{Curie, OntologyTerm, Relation, Term};

/// Prefixes of the ontologies of places and of stages of life, where what is part of a term belongs to
/// it as what is one of it does.
pub(super) const OF_PARTS: [&str; 3] = ["UBERON", "HsapDv", "MmusDv"];

/// All terms with their relations in both directions.
#[derive(Debug, Default)]
pub struct Graph {
    terms: Vec<OntologyTerm>,
    index: HashMap<Curie, usize>,
    /// Relations that point at a term: (relation, subject).
    inverse: Vec<Vec<(Relation, usize)>>,
}

/// How a neighbour is related to the term asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Step {
    /// The relation.
    pub relation: Relation,
    /// Whether it goes from the neighbour to the term asked about.
    pub inverse: bool,
}

impl Step {
    /// How far away such a neighbour counts as: 1 for parents and children, 2 for the others.
    pub fn distance(self) -> u32 {
        match self.relation {
            Relation::IsA => 1,
            Relation::PartOf | Relation::DevelopsFrom => 2,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.relation, if self.inverse { "_inverse" } else { "" })
    }
}

/// A term one step away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// The term.
    pub term: Term,
    /// How it is related.
    pub step: Step,
    /// [`Step::distance`].
    pub distance: u32,
}

impl Graph {
    /// A graph of these terms. Relations to terms that are not among them are left out.
    pub fn new(mut terms: Vec<OntologyTerm>) -> Self {
        terms.sort_by(|a, b| a.id.cmp(&b.id));
        let index: HashMap<Curie, usize> = terms.iter().enumerate().map(|(i, term)| (term.id.clone(), i)).collect();
        let mut inverse = vec![Vec::new(); terms.len()];
        for (subject, term) in terms.iter().enumerate() {
            for (relation, object) in &term.relations {
                if let Some(&object) = index.get(object) {
                    inverse[object].push((*relation, subject));
                }
            }
        }
        Self { terms, index, inverse }
    }

    /// All terms, by id.
    pub fn terms(&self) -> &[OntologyTerm] {
        &self.terms
    }

    /// The term with this id, obsolete or not.
    pub fn get(&self, id: &Curie) -> Option<&OntologyTerm> {
        self.index.get(id).map(|&at| &self.terms[at])
    }

    /// The term to use for this id: itself, or what replaced it; `None` if it is unknown, or obsolete
    /// without a single replacement.
    pub fn current(&self, id: &Curie) -> Option<&OntologyTerm> {
        let mut term = self.get(id)?;
        // A chain of replacements is short; the bound keeps a loop of them from hanging us.
        for _ in 0..8 {
            if !term.obsolete {
                return Some(term);
            }
            term = self.get(term.replaced_by.as_ref()?)?;
        }
        None
    }

    /// Terms one step away in either direction, nearest first: parents, children, then what it is
    /// part of and develops from, and their inverses; by id within each. Obsolete terms are left out.
    pub fn neighbours(&self, id: &Curie) -> Vec<Neighbour> {
        let Some(&at) = self.index.get(id) else { return Vec::new() };
        let outward = self.terms[at].relations.iter().filter_map(|(relation, object)| {
            Some((Step { relation: *relation, inverse: false }, *self.index.get(object)?))
        });
        let inward = self.inverse[at].iter().map(|&(relation, subject)| (Step { relation, inverse: true }, subject));
        let mut found: Vec<_> = outward.chain(inward).filter(|&(_, term)| !self.terms[term].obsolete).collect();
        found.sort_by_key(|&(step, term)| (step.distance(), step, term));
        found
            .into_iter()
            .map(|(step, term)| Neighbour { term: self.term(term), step, distance: step.distance() })
            .collect()
    }

    /// Everything that is one of these (`is_a`, over any number of steps), without the term itself,
    /// by id.
    pub fn descendants(&self, id: &Curie) -> Vec<Term> {
        let mut found = self.below(id, &[Relation::IsA]);
        found.sort_by(|a, b| a.0.id.cmp(&b.0.id));
        found.into_iter().map(|(term, _)| term).collect()
    }

    /// Everything this is one of (`is_a`), with the least number of steps, nearest first.
    pub fn ancestors(&self, id: &Curie) -> Vec<(Term, u32)> {
        self.above(id, &[Relation::IsA])
    }

    /// Everything that these relations lead down to, over any number of steps, with the least number,
    /// nearest first, then by id. Obsolete terms are left out.
    pub fn below(&self, id: &Curie, relations: &[Relation]) -> Vec<(Term, u32)> {
        self.closure(id, |at| {
            let below = self.inverse[at].iter().filter(|(relation, _)| relations.contains(relation));
            below.map(|&(_, subject)| subject).collect()
        })
    }

    /// The same upwards.
    pub fn above(&self, id: &Curie, relations: &[Relation]) -> Vec<(Term, u32)> {
        self.closure(id, |at| {
            let above = self.terms[at].relations.iter().filter(|(relation, _)| relations.contains(relation));
            above.filter_map(|(_, object)| self.index.get(object).copied()).collect()
        })
    }

    fn closure(&self, id: &Curie, next: impl Fn(usize) -> Vec<usize>) -> Vec<(Term, u32)> {
        let Some(&start) = self.index.get(id) else { return Vec::new() };
        let mut seen = HashSet::from([start]);
        let mut found = BTreeMap::new();
        let mut open = VecDeque::from([(start, 0)]);
        while let Some((at, steps)) = open.pop_front() {
            for other in next(at) {
                if seen.insert(other) && !self.terms[other].obsolete {
                    found.insert(other, steps + 1);
                    open.push_back((other, steps + 1));
                }
            }
        }
        let mut found: Vec<(usize, u32)> = found.into_iter().collect();
        found.sort_by_key(|&(at, steps)| (steps, at));
        found.into_iter().map(|(at, steps)| (self.term(at), steps)).collect()
    }

    fn term(&self, at: usize) -> Term {
        Term { id: self.terms[at].id.clone(), name: self.terms[at].name.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph() -> Graph {
        let term = |id: &str, relations: &[(Relation, &str)]| OntologyTerm {
            id: id.parse().unwrap(),
            name: format!("name of {id}"),
            definition: None,
            synonyms: vec![],
            relations: relations.iter().map(|(relation, id)| (*relation, id.parse().unwrap())).collect(),
            obsolete: false,
            replaced_by: None,
        };
        let mut old = term("CL:9", &[(Relation::IsA, "CL:1")]);
        old.obsolete = true;
        old.replaced_by = Some("CL:3".parse().unwrap());
        Graph::new(vec![
            term("CL:1", &[]),
            term("CL:2", &[(Relation::IsA, "CL:1")]),
            term("CL:3", &[(Relation::IsA, "CL:2"), (Relation::DevelopsFrom, "CL:4"), (Relation::PartOf, "UBERON:1")]),
            term("CL:4", &[(Relation::IsA, "CL:1")]),
            term("CL:5", &[(Relation::IsA, "CL:3"), (Relation::IsA, "CL:1")]),
            old,
        ])
    }

    fn id(text: &str) -> Curie {
        text.parse().unwrap()
    }

    #[test]
    fn neighbours_come_parents_first() {
        let shown: Vec<_> = graph()
            .neighbours(&id("CL:3"))
            .iter()
            .map(|n| format!("{} {} {}", n.term.id, n.step, n.distance))
            .collect();
        assert_eq!(shown, ["CL:2 is_a 1", "CL:5 is_a_inverse 1", "CL:4 develops_from 2"]);
        assert!(graph().neighbours(&id("CL:404")).is_empty());
    }

    #[test]
    fn closures_follow_is_a_and_skip_the_obsolete() {
        let below: Vec<_> = graph().descendants(&id("CL:1")).into_iter().map(|term| term.id.to_string()).collect();
        assert_eq!(below, ["CL:2", "CL:3", "CL:4", "CL:5"]);
        let above: Vec<_> = graph().ancestors(&id("CL:5")).into_iter().map(|(t, n)| format!("{} {n}", t.id)).collect();
        assert_eq!(above, ["CL:1 1", "CL:3 1", "CL:2 2"]);
    }

    #[test]
    fn other_relations_are_followed_if_asked_for() {
        let steps = |found: Vec<(Term, u32)>| -> Vec<String> {
            found.into_iter().map(|(term, steps)| format!("{} {steps}", term.id)).collect()
        };
        let both = [Relation::IsA, Relation::DevelopsFrom];
        assert_eq!(steps(graph().above(&id("CL:5"), &both)), ["CL:1 1", "CL:3 1", "CL:2 2", "CL:4 2"]);
        assert_eq!(steps(graph().below(&id("CL:4"), &both)), ["CL:3 1", "CL:5 2"]);
        assert!(graph().below(&id("CL:4"), &[Relation::PartOf]).is_empty());
    }

    #[test]
    fn obsolete_ids_lead_to_what_replaced_them() {
        assert_eq!(graph().current(&id("CL:9")).unwrap().id, id("CL:3"));
        assert!(graph().current(&id("CL:404")).is_none());
    }
}
