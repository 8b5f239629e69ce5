//! OBO files: the text format in which ontologies are released.
//!
//! Reads OBO 1.0 to 1.4 as it is found, not only as it is specified: unquoted synonyms, dangling
//! references and unknown tags are reported or passed over, never a reason to refuse a release.
//! Refused is what would give wrong answers: a loop of `is_a`, or a file without terms.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::source::Source;
use super::{Error, Problem, Result};
use crate::domain::{Curie, Ontology, OntologyTerm, Relation, Scope, Synonym};

/// What a file holds, before its own terms are told from those it only mentions.
#[derive(Clone, Debug, Default)]
pub struct Document {
    /// The file's name, for messages.
    source: String,
    /// `data-version`, `owl:versionInfo` or `date`, in this order.
    version: Option<String>,
    /// `ontology`, such as `cl` or `cl/cl-basic`.
    ontology: Option<String>,
    /// All terms with an id and a name, in the order of the file.
    pub terms: Vec<OntologyTerm>,
    /// Ids that were merged into a term of `terms`.
    merged: Vec<(Curie, usize)>,
    /// What was passed over, with its line.
    pub problems: Vec<Problem>,
}

/// Reads a file.
pub fn parse(source: &Source) -> Result<Document> {
    let mut document = Document { source: source.name.clone(), ..Document::default() };
    let mut stanza = Stanza::Header;
    let mut version_info = None;
    let mut date = None;
    let mut seen = HashMap::new();
    for (line, text) in joined_lines(source) {
        let text = text.trim();
        if text.is_empty() || text.starts_with('!') {
            continue;
        }
        if let Some(kind) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')).map(|(kind, _)| kind) {
            document.finish(std::mem::replace(&mut stanza, Stanza::new(kind, line)), &mut seen);
            continue;
        }
        let Some((tag, value)) = text.split_once(':') else {
            document.problem(line, format!("'{}' is neither a stanza nor 'tag: value'", shortened(text)));
            continue;
        };
        let value = without_trailer(value.trim());
        match &mut stanza {
            Stanza::Header => match tag {
                "data-version" => document.version = Some(unescaped(value)),
                "ontology" => document.ontology = Some(unescaped(value)),
                "date" => date = Some(unescaped(value)),
                "property_value" if value.starts_with("owl:versionInfo") => version_info = quoted(value).map(|q| q.0),
                _ => {}
            },
            Stanza::Term(term) => {
                if let Err(what) = term.take(tag, value) {
                    document.problem(line, what);
                }
            }
            Stanza::Other => {}
        }
    }
    document.finish(stanza, &mut seen);
    document.version = document.version.or(version_info).or(date);
    Ok(document)
}

impl Document {
    /// A document from another format than OBO.
    pub(super) fn new(
        source: &Source,
        version: Option<String>,
        terms: Vec<OntologyTerm>,
        problems: Vec<Problem>,
    ) -> Self {
        Self { source: source.name.clone(), version, terms, problems, ..Self::default() }
    }

    /// The file's own terms as one release. `prefix` says which are its own; without it, the
    /// `ontology` header does, or else the commonest prefix.
    ///
    /// Own relations to own terms that are not there are dropped and reported.
    ///
    /// # Errors
    /// If there are no such terms, or `is_a` goes round in a loop.
    pub fn into_ontology(mut self, prefix: Option<&str>) -> Result<(Ontology, Vec<Problem>)> {
        let prefix = self.own_prefix(prefix)?;
        let merged = std::mem::take(&mut self.merged);
        let own_ids: HashSet<&Curie> = self.terms.iter().map(|term| &term.id).collect();
        let replaced = merged.into_iter().filter(|(id, _)| id.prefix() == prefix && !own_ids.contains(id));
        let replaced: Vec<OntologyTerm> = replaced
            .map(|(id, by)| OntologyTerm {
                id,
                name: self.terms[by].name.clone(),
                definition: None,
                synonyms: Vec::new(),
                relations: Vec::new(),
                obsolete: true,
                replaced_by: Some(self.terms[by].id.clone()),
            })
            .collect();
        let mut terms: Vec<OntologyTerm> = self.terms.into_iter().filter(|term| term.id.prefix() == prefix).collect();
        terms.extend(replaced);
        let ids: HashSet<Curie> = terms.iter().map(|term| term.id.clone()).collect();
        for term in &mut terms {
            term.relations.retain(|(relation, object)| {
                let known = object.prefix() != prefix || ids.contains(object);
                if !known {
                    let what = format!("{} {relation} {object}, which is not in the file", term.id);
                    self.problems.push(Problem { line: 0, what });
                }
                known
            });
        }
        if let Some(members) = find_cycle(&terms) {
            return Err(Error::Cycle { name: self.source, members });
        }
        let version = self.version.as_deref().map_or("unknown".to_owned(), release_date);
        Ok((Ontology { prefix, version, terms }, self.problems))
    }

    fn own_prefix(&self, wanted: Option<&str>) -> Result<String> {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for term in &self.terms {
            *counts.entry(term.id.prefix()).or_default() += 1;
        }
        let header = self.ontology.as_deref().and_then(|ontology| ontology.split('/').next());
        let by_name = |name: &str| counts.keys().find(|prefix| prefix.eq_ignore_ascii_case(name)).copied();
        let empty =
            || Error::Empty { name: self.source.clone(), what: "ontology terms; is it an OBO file?".to_owned() };
        match wanted {
            _ if counts.is_empty() => Err(empty()),
            Some(wanted) => by_name(wanted).ok_or_else(|| Error::Empty {
                name: self.source.clone(),
                what: format!(
                    "terms with the prefix '{wanted}'; it has {}",
                    counts.keys().copied().collect::<Vec<_>>().join(", ")
                ),
            }),
            None => header
                .and_then(by_name)
                .or_else(|| counts.iter().max_by_key(|(_, n)| **n).map(|(prefix, _)| *prefix))
                .ok_or_else(empty),
        }
        .map(str::to_owned)
    }

    fn finish(&mut self, stanza: Stanza, seen: &mut HashMap<Curie, usize>) {
        let Stanza::Term(draft) = stanza else { return };
        let line = draft.line;
        let Some(id) = draft.id else {
            self.problem(line, "a term without an id".to_owned());
            return;
        };
        let id: Curie = match id.parse() {
            Ok(id) => id,
            Err(_) => return self.problem(line, format!("'{}' is not an id of the form PREFIX:LOCAL", shortened(&id))),
        };
        if let Some(first) = seen.get(&id) {
            self.problem(line, format!("{id} is defined a second time (first at line {first}); the first stands"));
            return;
        }
        seen.insert(id.clone(), line);
        let Some(name) = draft.name else {
            // A reference to another ontology's term, or an obsolete stub: nothing to call it by.
            self.problem(line, format!("{id} has no name"));
            return;
        };
        let mut relations = draft.relations;
        relations.sort();
        relations.dedup();
        relations.retain(|(_, object)| *object != id);
        let replaced_by = match draft.replaced_by.as_slice() {
            [only] => Some(only.clone()),
            _ => None,
        };
        self.merged.extend(draft.alternative_ids.into_iter().map(|other| (other, self.terms.len())));
        self.terms.push(OntologyTerm {
            id,
            name,
            definition: draft.definition,
            synonyms: draft.synonyms,
            relations,
            obsolete: draft.obsolete,
            replaced_by,
        });
    }

    fn problem(&mut self, line: usize, what: String) {
        self.problems.push(Problem { line, what });
    }
}

enum Stanza {
    Header,
    Term(Box<Draft>),
    Other,
}

impl Stanza {
    fn new(kind: &str, line: usize) -> Self {
        match kind {
            "Term" => Self::Term(Box::new(Draft { line, ..Draft::default() })),
            _ => Self::Other,
        }
    }
}

/// A term while its lines are read.
#[derive(Default)]
struct Draft {
    line: usize,
    id: Option<String>,
    name: Option<String>,
    definition: Option<String>,
    synonyms: Vec<Synonym>,
    relations: Vec<(Relation, Curie)>,
    obsolete: bool,
    replaced_by: Vec<Curie>,
    alternative_ids: Vec<Curie>,
}

impl Draft {
    fn take(&mut self, tag: &str, value: &str) -> std::result::Result<(), String> {
        match tag {
            "id" => self.id = Some(unescaped(value)),
            "name" => self.name = Some(unescaped(value)).filter(|name| !name.is_empty()),
            "def" => match quoted(value) {
                Some((text, _)) => self.definition = Some(text).filter(|text| !text.is_empty()),
                None => return Err(format!("a definition that is not quoted: {}", shortened(value))),
            },
            "synonym" => self.add_synonym(value, None)?,
            "exact_synonym" => self.add_synonym(value, Some(Scope::Exact))?,
            "narrow_synonym" => self.add_synonym(value, Some(Scope::Narrow))?,
            "broad_synonym" => self.add_synonym(value, Some(Scope::Broad))?,
            "related_synonym" => self.add_synonym(value, Some(Scope::Related))?,
            "is_a" => self.relations.push((Relation::IsA, id_at(value)?)),
            "relationship" => {
                let mut words = value.split_whitespace();
                let relation = match words.next().unwrap_or_default() {
                    // CELLxGENE's tables merge the two; containment holds for both.
                    "part_of" | "BFO:0000050" | "is_a_or_part_of" => Relation::PartOf,
                    "develops_from" | "RO:0002202" => Relation::DevelopsFrom,
                    _ => return Ok(()),
                };
                self.relations.push((relation, id_at(words.next().unwrap_or_default())?));
            }
            "is_obsolete" => self.obsolete = value.eq_ignore_ascii_case("true"),
            "replaced_by" => self.replaced_by.push(id_at(value)?),
            "alt_id" => self.alternative_ids.push(id_at(value)?),
            _ => {}
        }
        Ok(())
    }

    fn add_synonym(&mut self, value: &str, scope: Option<Scope>) -> std::result::Result<(), String> {
        let Some((text, rest)) = quoted(value) else {
            return Err(format!("a synonym that is not quoted: {}", shortened(value)));
        };
        let word = rest.split_whitespace().next().unwrap_or_default();
        // Without a scope OBO means RELATED.
        let scope = scope.or_else(|| word.parse().ok()).unwrap_or(Scope::Related);
        let synonym = Synonym { text: text.trim().to_owned(), scope };
        if !synonym.text.is_empty() && !self.synonyms.contains(&synonym) {
            self.synonyms.push(synonym);
        }
        Ok(())
    }
}

/// Lines with their numbers, those ending in a lone backslash joined with the next.
fn joined_lines(source: &Source) -> impl Iterator<Item = (usize, String)> {
    let mut lines = source.lines();
    std::iter::from_fn(move || {
        let (number, first) = lines.next()?;
        let mut text = first.to_owned();
        while text.ends_with('\\') && !text.ends_with("\\\\") {
            text.pop();
            text.push_str(lines.next().map_or("", |(_, next)| next));
        }
        Some((number, text))
    })
}

/// The value without a trailing ` ! comment` and `{modifiers}`, both outside quotes.
fn without_trailer(value: &str) -> &str {
    let (mut in_quotes, mut escaped, mut after_space) = (false, false, true);
    let mut end = value.len();
    let mut brace = None;
    for (at, c) in value.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => in_quotes = !in_quotes,
            '!' if !in_quotes && after_space => {
                end = at;
                break;
            }
            '{' if !in_quotes && after_space => brace = Some(at),
            _ => {}
        }
        after_space = c.is_whitespace();
    }
    let value = value[..end].trim_end();
    match brace {
        // Modifiers are `key="value"` pairs; other braces belong to the text.
        Some(at) if at < value.len() && value.ends_with('}') && value[at..].contains('=') => value[..at].trim_end(),
        _ => value,
    }
}

/// The first quoted text of a value, unescaped, and what follows it.
fn quoted(value: &str) -> Option<(String, &str)> {
    let start = value.find('"')? + 1;
    let mut escaped = false;
    for (at, c) in value[start..].char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some((unescaped(&value[start..start + at]), &value[start + at + 1..])),
            _ => {}
        }
    }
    None
}

fn unescaped(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('n') => result.push('\n'),
                Some('t') => result.push('\t'),
                Some('W') => result.push(' '),
                Some(other) => result.push(other),
                None => result.push('\\'),
            },
            c => result.push(c),
        }
    }
    result.trim().to_owned()
}

fn id_at(value: &str) -> std::result::Result<Curie, String> {
    let word = value.split_whitespace().next().unwrap_or_default();
    word.parse().map_err(|_| format!("'{}' is not an id of the form PREFIX:LOCAL", shortened(word)))
}

/// The date in a version such as `cl/releases/2022-12-15/cl-basic.owl`, or else all of it.
fn release_date(version: &str) -> String {
    let is_date =
        |w: &[u8]| w.iter().enumerate().all(|(i, b)| if i == 4 || i == 7 { *b == b'-' } else { b.is_ascii_digit() });
    let date = version.as_bytes().windows(10).find(|w| is_date(w));
    date.map_or(version.to_owned(), |date| String::from_utf8_lossy(date).into_owned())
}

/// The ids of one loop of `is_a`, if there is one.
fn find_cycle(terms: &[OntologyTerm]) -> Option<Vec<Curie>> {
    #[derive(Clone, Copy, PartialEq)]
    enum Mark {
        New,
        Open,
        Done,
    }
    let index: HashMap<&Curie, usize> = terms.iter().enumerate().map(|(i, term)| (&term.id, i)).collect();
    let parents = |i: usize| -> Vec<usize> {
        let is_a = terms[i].relations.iter().filter(|(relation, _)| *relation == Relation::IsA);
        is_a.filter_map(|(_, object)| index.get(object).copied()).collect()
    };
    let mut marks = vec![Mark::New; terms.len()];
    for start in 0..terms.len() {
        if marks[start] != Mark::New {
            continue;
        }
        // Depth first without recursion: a hostile file may be a million terms deep.
        let mut path = vec![(start, parents(start))];
        marks[start] = Mark::Open;
        while let Some((here, open)) = path.last_mut() {
            match open.pop() {
                None => {
                    marks[*here] = Mark::Done;
                    path.pop();
                }
                Some(next) if marks[next] == Mark::Open => {
                    let from = path.iter().position(|(i, _)| *i == next).unwrap_or(0);
                    return Some(path[from..].iter().map(|(i, _)| terms[*i].id.clone()).collect());
                }
                Some(next) if marks[next] == Mark::New => {
                    marks[next] = Mark::Open;
                    path.push((next, parents(next)));
                }
                Some(_) => {}
            }
        }
    }
    None
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Document {
        parse(&Source::from_text("test.obo", text)).unwrap()
    }

    fn ontology(text: &str) -> Ontology {
        read(text).into_ontology(None).unwrap().0
    }

    #[test]
    fn a_term_is_read_with_all_that_matters() {
        let ontology = ontology(
            "format-version: 1.2\ndata-version: cl/releases/2026-03-26/cl.owl\nontology: cl\n\n\
             [Term]\nid: CL:2 {x=\"y\"} ! trailing\nname: B cell \\{special\\} ! comment\n\
             def: \"Says \\\"hi\\\" ! not a comment {no=modifier}.\" [PMID:1, X:\"2\"] {a=\"b\"}\n\
             synonym: \"B lymphocyte\" EXACT []\nsynonym: \"B \\\"x\\\"\" BROAD PLURAL [] {c=\"d\"}\n\
             synonym: \"no scope\" []\nexact_synonym: \"old style\" []\n\
             is_a: CL:1 {is_inferred=\"true\"} ! lymphocyte\nrelationship: part_of UBERON:7 ! blood\n\
             relationship: RO:0002202 CL:1\nrelationship: has_part CL:1\nalt_id: CL:9\n\n\
             [Term]\nid: CL:1\nname: lymphocyte\n\n[Typedef]\nid: part_of\nname: part of\n",
        );
        assert_eq!((ontology.prefix.as_str(), ontology.version.as_str()), ("CL", "2026-03-26"));
        let term = &ontology.terms[0];
        assert_eq!(term.name, "B cell {special}");
        assert_eq!(term.definition.as_deref(), Some("Says \"hi\" ! not a comment {no=modifier}."));
        let synonyms: Vec<_> = term.synonyms.iter().map(|s| (s.text.as_str(), s.scope)).collect();
        assert_eq!(
            synonyms,
            [
                ("B lymphocyte", Scope::Exact),
                ("B \"x\"", Scope::Broad),
                ("no scope", Scope::Related),
                ("old style", Scope::Exact)
            ]
        );
        let relations: Vec<_> = term.relations.iter().map(|(r, o)| (r.as_str(), o.as_str())).collect();
        assert_eq!(relations, [("is_a", "CL:1"), ("part_of", "UBERON:7"), ("develops_from", "CL:1")]);
        let merged = &ontology.terms[2];
        assert_eq!((merged.id.as_str(), merged.obsolete), ("CL:9", true));
        assert_eq!(merged.replaced_by.as_ref().unwrap().as_str(), "CL:2");
    }

    #[test]
    fn obsolete_terms_keep_what_replaced_them_only_if_it_is_one() {
        let one = ontology("[Term]\nid: A:1\nname: x\nis_obsolete: true\nreplaced_by: A:2\n[Term]\nid: A:2\nname: y");
        assert!(one.terms[0].obsolete && one.terms[0].replaced_by.is_some());
        let two = ontology("[Term]\nid: A:1\nname: x\nis_obsolete: true\nreplaced_by: A:2\nreplaced_by: A:3\n");
        assert_eq!(two.terms[0].replaced_by, None);
    }

    #[test]
    fn what_is_passed_over_is_reported_with_its_line() {
        let document = read(
            "ontology: a\n[Term]\nid: A:1\nname: one\nsynonym: unquoted EXACT []\nnonsense\nis_a: nowhere\n\
             [Term]\nid: A:1\nname: again\n[Term]\nname: no id\n[Term]\nid: A:3\n",
        );
        let lines: Vec<_> = document.problems.iter().map(|problem| problem.line).collect();
        assert_eq!(lines, [5, 6, 7, 8, 11, 13]);
        assert!(document.problems[3].what.contains("A:1 is defined a second time (first at line 2)"));
        assert_eq!(document.terms.len(), 1);
    }

    #[test]
    fn terms_of_other_ontologies_are_left_out_but_relations_to_them_stay() {
        let text = "ontology: cl/subsets/x\n[Term]\nid: UBERON:1\nname: u\n[Term]\nid: UBERON:2\nname: v\n\
                    [Term]\nid: CL:1\nname: c\nis_a: CL:404\nrelationship: part_of UBERON:1\n";
        let (ontology, problems) = read(text).into_ontology(None).unwrap();
        assert_eq!((ontology.prefix.as_str(), ontology.terms.len()), ("CL", 1));
        assert_eq!(ontology.terms[0].relations.len(), 1);
        assert!(problems[0].what.contains("CL:404"), "{problems:?}");
        assert_eq!(read(text).into_ontology(Some("uberon")).unwrap().0.terms.len(), 2);
        let error = read(text).into_ontology(Some("GO")).unwrap_err().to_string();
        assert!(error.contains("'GO'") && error.contains("CL, UBERON"), "{error}");
    }

    #[test]
    fn loops_and_empty_files_are_refused() {
        let looped = "[Term]\nid: A:1\nname: a\nis_a: A:2\n[Term]\nid: A:2\nname: b\nis_a: A:3\n\
                      [Term]\nid: A:3\nname: c\nis_a: A:2\n";
        let error = read(looped).into_ontology(None).unwrap_err().to_string();
        assert!(error.contains("A:2") && error.contains("A:3") && !error.contains("A:1"), "{error}");
        let error = read("hello\nworld: x\n").into_ontology(None).unwrap_err().to_string();
        assert!(error.contains("test.obo") && error.contains("OBO"), "{error}");
    }

    #[test]
    fn no_text_makes_it_panic() {
        let text = "[Term]\nid: A:1 \\\nname: x\ny \"\\\nsynonym: \"é\\\" EXACT\ndef: \"\\\\\" [] {a=\"}\"} ! b\n[Term";
        for (at, _) in text.char_indices() {
            let _ = read(&text[..at]).into_ontology(None);
            let _ = read(&text[at..]).into_ontology(None);
        }
    }
}
