//! The JSON releases of ontologies that CELLxGENE validates data with: one object, from id to label,
//! description, synonyms, ancestors with their distance, and what replaced the withdrawn.
//!
//! Synonyms are exact ones. Of organs and stages of life the tables merge `is_a` and `part_of`; both are
//! containment, and are read as `part_of`. Other ontologies have `is_a` alone. The release is told by the
//! file's name.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};

use super::graph::OF_PARTS;
use super::obo::Document;
use super::{Problem, Result, Source};
use crate::domain::{Curie, OntologyTerm, Relation, Scope, Synonym};

/// Reads a release.
///
/// # Errors
/// With the line, if the file is not such JSON or ends early.
pub fn parse(source: &Source) -> Result<Document> {
    let entries: Entries =
        serde_json::from_str(&source.text).map_err(|error| source.error(error.line(), error.to_string()))?;
    let mut problems = Vec::new();
    let mut problem = |what: String| problems.push(Problem { line: 0, what });
    let mut terms: Vec<OntologyTerm> = Vec::with_capacity(entries.0.len());
    let mut held: HashMap<Curie, usize> = HashMap::with_capacity(entries.0.len());
    for (id, entry) in entries.0 {
        let Ok(id) = id.parse::<Curie>() else {
            problem(format!("'{id}' is not an id of the form PREFIX:LOCAL"));
            continue;
        };
        if held.contains_key(&id) {
            problem(format!("{id} is defined a second time; the first stands"));
            continue;
        }
        // Withdrawn terms often have no label left; they still lead to what replaced them.
        if entry.label.is_empty() && !entry.deprecated {
            problem(format!("{id} has no label"));
            continue;
        }
        held.insert(id.clone(), terms.len());
        terms.push(term(id, entry, &mut problem));
    }
    Ok(Document::new(source, version(&source.stem(".json")), terms, problems))
}

fn term(id: Curie, entry: Entry, problem: &mut impl FnMut(String)) -> OntologyTerm {
    let relation = if OF_PARTS.contains(&id.prefix()) { Relation::PartOf } else { Relation::IsA };
    let mut relations = Vec::new();
    for (parent, _) in entry.ancestors.iter().filter(|(_, distance)| **distance == 1) {
        match parent.parse::<Curie>() {
            Ok(parent) if parent != id => relations.push((relation, parent)),
            Ok(_) => {}
            Err(_) => problem(format!("{id} has the ancestor '{parent}', which is not an id of the form PREFIX:LOCAL")),
        }
    }
    relations.sort();
    let replaced_by = entry.replaced_by.as_deref().and_then(|by| {
        let found = curie(by);
        if found.is_none() {
            problem(format!("{id} is replaced by '{by}', which is not an id"));
        }
        found
    });
    let mut synonyms: Vec<Synonym> = Vec::new();
    for text in entry.synonyms.iter().map(|text| text.trim()).filter(|text| !text.is_empty()) {
        let synonym = Synonym { text: text.to_owned(), scope: Scope::Exact };
        if !synonyms.contains(&synonym) {
            synonyms.push(synonym);
        }
    }
    OntologyTerm {
        name: if entry.label.is_empty() { id.to_string() } else { entry.label },
        id,
        definition: entry.description.filter(|text| !text.is_empty()),
        synonyms,
        relations,
        obsolete: entry.deprecated,
        replaced_by,
    }
}

/// `CL:0000057`, also as `obo.CL_0000057` or at the end of a web address.
fn curie(text: &str) -> Option<Curie> {
    let last = text.rsplit('/').next().unwrap_or(text);
    let last = last.strip_prefix("obo.").unwrap_or(last);
    let colon = if last.contains(':') { last.to_owned() } else { last.replacen('_', ":", 1) };
    colon.parse().ok()
}

/// The release in a file's name, such as `CL-ontology-v2026-03-26`.
fn version(stem: &str) -> Option<String> {
    let (_, version) = stem.rsplit_once("-v")?;
    version.starts_with(|c: char| c.is_ascii_digit()).then(|| version.to_owned())
}

/// One term as it is written.
#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    label: String,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    synonyms: Vec<String>,
    #[serde(default)]
    ancestors: BTreeMap<String, u32>,
    #[serde(default)]
    deprecated: bool,
    #[serde(default)]
    replaced_by: Option<String>,
}

/// All of them in the order of the file, repeats included: a map would hide them.
struct Entries(Vec<(String, Entry)>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Entries;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object from term ids to terms")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Entries, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::knowledge::Error;

    const TWO: &str = r#"{
 "CL:1": {"label": "cell", "ancestors": {}, "deprecated": false},
 "CL:2": {"label": "B cell", "ancestors": {"CL:1": 1}, "synonyms": ["B lymphocyte", " "], "deprecated": false},
 "CL:3": {"label": "", "ancestors": {}, "deprecated": true, "replaced_by": "http://purl.obolibrary.org/obo/CL_2"},
 "CL:2": {"label": "again", "ancestors": {}, "deprecated": false},
 "nothing": {"label": "x", "ancestors": {}, "deprecated": false}
}"#;

    #[test]
    fn terms_relations_and_replacements_are_read() {
        let document = parse(&Source::from_text("CL-ontology-v2025-02-13.json", TWO)).unwrap();
        let (ontology, problems) = document.into_ontology(None).unwrap();
        assert_eq!((ontology.prefix.as_str(), ontology.version.as_str()), ("CL", "2025-02-13"));
        let [cell, b, old] = &ontology.terms[..] else { panic!("{:?}", ontology.terms) };
        assert_eq!(b.relations, [(Relation::IsA, cell.id.clone())]);
        assert_eq!(b.synonyms, [Synonym { text: "B lymphocyte".into(), scope: Scope::Exact }]);
        assert_eq!((old.obsolete, old.replaced_by.as_ref()), (true, Some(&b.id)));
        let problems: Vec<_> = problems.into_iter().map(|problem| problem.what).collect();
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(problems[0].contains("CL:2 is defined a second time") && problems[1].contains("'nothing'"));
    }

    #[test]
    fn what_is_cut_off_or_loops_is_refused() {
        let error = parse(&Source::from_text("CL.json", &TWO[..150])).unwrap_err();
        assert!(matches!(error, Error::Line { line: 3, .. }), "{error}");
        let looped =
            r#"{"CL:1": {"label": "a", "ancestors": {"CL:2": 1}}, "CL:2": {"label": "b", "ancestors": {"CL:1": 1}}}"#;
        let error = parse(&Source::from_text("CL.json", looped)).unwrap().into_ontology(None).unwrap_err();
        assert!(matches!(error, Error::Cycle { .. }), "{error}");
        assert!(parse(&Source::from_text("x.json", "{}")).unwrap().into_ontology(None).is_err());
    }
}
