//! The OBO reader on real releases, against counts made without it (`tests/fixtures/obo/count.py`).

use std::collections::BTreeSet;

use haystack::domain::{Curie, Relation};
use haystack::knowledge::{Graph, Source, obo};

use crate::support::{fixture, shared};

#[test]
fn real_releases_hold_what_an_independent_count_says() {
    if shared("data/ontologies").is_none() {
        return;
    }
    let counts = std::fs::read_to_string(fixture("obo/counts.tsv")).unwrap();
    for line in counts.lines().skip(1) {
        let (file, expected) = line.split_once('\t').unwrap();
        let source = Source::read(&shared(&format!("data/ontologies/{file}")).unwrap()).unwrap();
        let document = obo::parse(&source).unwrap();
        let terms = &document.terms;
        let n_is_a = |relation: &&(Relation, Curie)| relation.0 == Relation::IsA;
        let found = format!(
            "{}\t{}\t{}\t{}",
            terms.len(),
            terms.iter().filter(|term| term.obsolete).count(),
            terms.iter().map(|term| term.synonyms.len()).sum::<usize>(),
            terms.iter().map(|term| term.relations.iter().filter(n_is_a).count()).sum::<usize>(),
        );
        assert_eq!(found, expected, "{file}: terms, obsolete, synonyms, is_a");
        // Every release can be imported: it has terms of its own and no loop.
        let (ontology, _) = document.into_ontology(None).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(!ontology.terms.is_empty(), "{file}");
    }
}

#[test]
fn descendants_agree_with_the_tables_of_cellxgene() {
    let Some(expected) = shared("data/ontologies/cellxgene/cell_type_descendants.json") else { return };
    let expected: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(expected).unwrap()).unwrap();
    let path = shared("data/ontologies/derived/cl.2026-03-26.derived.obo.gz").unwrap();
    let (ontology, _) = obo::parse(&Source::read(&path).unwrap()).unwrap().into_ontology(None).unwrap();
    let graph = Graph::new(ontology.terms);
    let (mut listed, mut found) = (0, 0);
    for (id, below) in expected.as_object().unwrap() {
        let id: Curie = id.parse().unwrap();
        let ours: BTreeSet<String> = graph.descendants(&id).into_iter().map(|term| term.id.to_string()).collect();
        for other in below.as_array().unwrap() {
            let other: Curie = other.as_str().unwrap().parse().unwrap();
            // The table is of an earlier release, lists a term below itself, and some terms are withdrawn by now.
            let is_current = |id| graph.get(id).is_some_and(|term| !term.obsolete);
            if other != id && is_current(&other) && is_current(&id) {
                listed += 1;
                found += usize::from(ours.contains(other.as_str()));
            }
        }
    }
    assert!(listed > 1000 && found * 100 >= listed * 99, "{found} of {listed} found");
}
