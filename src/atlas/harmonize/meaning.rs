//! What the labels of a field stand for: by the mapping, by an id, or by what we know.

use super::reader::Reader;
use super::{Asked, Found};
use crate::atlas::mapping::{Meaning, NamedMeaning, Source};
use crate::domain::datasets::Field;
use crate::domain::ids::Curie;
use crate::domain::terms::Term;

impl<E> Reader<'_, E> {
    /// What a label stands for; one that names several things stands for all of them together, which
    /// is a term only where they are the same, as two guides against one gene are.
    pub(super) fn meaning(&self, field: Field, source: &Source, label: &str, id: Option<&str>) -> Found {
        let Some(separator) = source.separator.as_deref().filter(|_| !source.values.contains_key(label)) else {
            return self.meaning_of_one(field, source, label, id);
        };
        let parts: Vec<&str> = id.unwrap_or(label).split(separator).map(str::trim).collect();
        if parts.len() == 1 {
            return self.meaning_of_one(field, source, label, id);
        }
        let found: Vec<Found> = parts.iter().map(|part| self.meaning_of_one(field, source, part, None)).collect();
        if let Some(first) = found[0].term.as_ref().filter(|first| found.iter().all(|f| f.term.as_ref() == Some(first)))
        {
            return Found { term: Some(first.clone()), how: format!("each of {} labels", parts.len()) };
        }
        let name = |(part, found): (&&str, &Found)| match &found.term {
            Some(term) => format!("{} ({})", term.name, term.id),
            None => format!("{part} (unresolved)"),
        };
        let names: Vec<String> = parts.iter().zip(&found).map(name).collect();
        Found { term: None, how: format!("several together: {}", names.join(", ")) }
    }

    /// What the mapping says, the id beside it, or what it resolves to.
    fn meaning_of_one(&self, field: Field, source: &Source, label: &str, id: Option<&str>) -> Found {
        match source.values.get(label) {
            Some(Meaning::Text(text)) => match text.parse::<Curie>() {
                Ok(id) => self.by_id(field, &id, label, "mapping"),
                Err(_) => {
                    let found = (self.resolve)(field, Asked::Text(text));
                    Found { how: format!("'{text}' in the mapping: {}", found.how), ..found }
                }
            },
            Some(Meaning::Named(meaning)) => self.by_name(field, meaning),
            None => match id.or(Some(label)).and_then(|id| id.parse::<Curie>().ok()) {
                Some(id) => self.by_id(field, &id, label, "file"),
                None => (self.resolve)(field, Asked::Text(label)),
            },
        }
    }

    /// An id the file or mapping gives is taken at its word; what we hold adds the name.
    fn by_id(&self, field: Field, id: &Curie, label: &str, place: &str) -> Found {
        // CELLxGENE writes an antibody as its antigen with `anti-` before it.
        if let Some(antigen) = id.as_str().strip_prefix("anti-").and_then(|rest| rest.parse::<Curie>().ok()) {
            let name = (self.resolve)(field, Asked::Id(&antigen)).term.map(|term| format!("{} ({antigen})", term.name));
            let against = name.unwrap_or_else(|| antigen.to_string());
            return Found { term: None, how: format!("an antibody against {against}, and not {antigen} itself") };
        }
        let found = (self.resolve)(field, Asked::Id(id));
        match found.term {
            Some(term) => Found { term: Some(term), how: format!("id in the {place}") },
            None if field == Field::Perturbation => found,
            None => Found {
                term: Some(Term { id: id.clone(), name: label.to_owned() }),
                how: format!("id in the {place}; {}", found.how),
            },
        }
    }

    fn by_name(&self, field: Field, meaning: &NamedMeaning) -> Found {
        let known = meaning.id.as_ref().and_then(|id| (self.resolve)(field, Asked::Id(id)).term);
        let known = known.or_else(|| (self.resolve)(field, Asked::Text(&meaning.name)).term);
        match (known, &meaning.id) {
            (Some(term), _) => Found { term: Some(term), how: "mapping".to_owned() },
            (None, Some(id)) => Found {
                term: Some(Term { id: id.clone(), name: meaning.name.clone() }),
                how: "mapping; not among the terms held".to_owned(),
            },
            (None, None) => Found { term: None, how: format!("'{}' in the mapping is not known here", meaning.name) },
        }
    }
}
