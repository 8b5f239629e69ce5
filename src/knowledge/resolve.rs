//! From a name to the term it stands for, or to nothing rather than to a guess.
//!
//! `Names::look_up` goes by names alone. In order: an id; the exact label; the label after normalisation
//! ([`super::normalize`]), its words in order and then in any; the curated names; exact synonyms as they
//! are spelled and normalised; narrower and related synonyms; all of these again for the ways the words
//! may have been meant. What several terms answer to equally well is not answered, but listed.
//!
//! `Names::resolve` (in `weigh`) weighs every name that shares words with the label (`rank`) and
//! answers with the likeliest term if it is likely enough; else it lists what the label may mean.

use std::collections::HashMap;
use std::sync::OnceLock;

use super::index::Index;
use super::normalize::{Kind, bag, folded, words};
use super::rank::Belongs;
use super::variants::{relaxed, variants};
use crate::domain::{Curie, Scope, Term};

/// How a term was found, surest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// By its id or its own name.
    Exact,
    /// By a synonym as it is spelled, or a name from our curated table.
    Synonym,
    /// By a name or synonym spelled differently.
    Normalised,
    /// By likeness.
    Fuzzy,
}

impl How {
    /// The word for people and programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Synonym => "synonym",
            Self::Normalised => "normalised",
            Self::Fuzzy => "fuzzy",
        }
    }
}

/// A term that a name may stand for.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Candidate {
    /// The term.
    pub term: Term,
    /// How it was found.
    pub how: How,
    /// 0 to 1; 1 is certain.
    pub score: f64,
}

/// What became of a name.
#[derive(Clone, Debug, PartialEq)]
pub enum Resolution {
    /// The term it stands for.
    Resolved(Candidate),
    /// Nothing near enough, or several equally near; best first.
    Abstained {
        /// What it may have meant.
        candidates: Vec<Candidate>,
    },
}

impl Resolution {
    /// The term, if there is one.
    pub fn term(&self) -> Option<&Term> {
        match self {
            Self::Resolved(candidate) => Some(&candidate.term),
            Self::Abstained { .. } => None,
        }
    }
}

/// How many candidates are listed.
pub(super) const CANDIDATES: usize = 5;

/// How a name belongs to its term, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    Label,
    Exact,
    /// A label without words that people leave out.
    Relaxed,
    Narrow,
    Related,
    Broad,
}

impl From<Scope> for Rank {
    fn from(scope: Scope) -> Self {
        match scope {
            Scope::Exact => Self::Exact,
            Scope::Narrow => Self::Narrow,
            Scope::Related => Self::Related,
            Scope::Broad => Self::Broad,
        }
    }
}

impl From<Rank> for Belongs {
    fn from(rank: Rank) -> Self {
        match rank {
            Rank::Label | Rank::Relaxed => Self::Label,
            Rank::Exact => Self::Synonym,
            Rank::Narrow | Rank::Related | Rank::Broad => Self::Loose,
        }
    }
}

/// Terms that have a name, with how it belongs to them.
type Hits = Vec<(u32, Rank)>;

/// All names of one kind.
pub(super) struct Names {
    pub(super) kind: Kind,
    pub(super) terms: Vec<Term>,
    pub(super) by_id: HashMap<String, u32>,
    pub(super) curated: HashMap<String, Vec<u32>>,
    pub(super) spelled: HashMap<String, Hits>,
    pub(super) ordered: HashMap<String, Hits>,
    pub(super) bags: HashMap<String, Hits>,
    /// Every name with its term, as it came.
    pub(super) held: Vec<(u32, Belongs, String)>,
    /// Made when first asked for.
    pub(super) index: OnceLock<Index>,
}

impl Names {
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            terms: Vec::new(),
            by_id: HashMap::new(),
            curated: HashMap::new(),
            spelled: HashMap::new(),
            ordered: HashMap::new(),
            bags: HashMap::new(),
            held: Vec::new(),
            index: OnceLock::new(),
        }
    }

    /// Adds a term with its own name and its synonyms.
    pub fn add<'a>(&mut self, term: Term, synonyms: impl IntoIterator<Item = (&'a str, Scope)>) {
        let at = self.terms.len() as u32;
        self.add_id(&term.id, at);
        self.add_name(at, &term.name, Rank::Label);
        for (synonym, scope) in synonyms {
            self.add_name(at, synonym, scope.into());
        }
        self.terms.push(term);
    }

    /// Adds a term whose names give way to the same names of other terms.
    pub fn add_beneath<'a>(&mut self, term: Term, names: impl IntoIterator<Item = &'a str>) {
        let at = self.terms.len() as u32;
        self.add_id(&term.id, at);
        for name in names {
            self.add_name(at, name, Rank::Related);
        }
        self.terms.push(term);
    }

    /// Makes another id lead to a term that was added.
    pub fn add_alias(&mut self, id: &Curie, of: &Curie) {
        if let Some(&at) = self.by_id.get(&of.as_str().to_lowercase()) {
            self.add_id(id, at);
        }
    }

    /// Makes a hand-checked name lead to a term that was added; it wins over synonyms. Given for several
    /// terms it is ambiguous.
    pub fn add_curated(&mut self, name: &str, id: &Curie) {
        if let Some(&at) = self.by_id.get(&id.as_str().to_lowercase()) {
            let words = words(self.kind, name);
            for key in [words.join(" "), bag(&words).join(" ")] {
                let terms = self.curated.entry(key).or_default();
                if !terms.contains(&at) {
                    terms.push(at);
                }
            }
            self.held.push((at, Belongs::Curated, name.to_owned()));
        }
    }

    fn add_id(&mut self, id: &Curie, at: u32) {
        self.by_id.entry(id.as_str().to_lowercase()).or_insert(at);
    }

    fn add_name(&mut self, at: u32, name: &str, rank: Rank) {
        let words = words(self.kind, name);
        if words.is_empty() {
            return;
        }
        self.held.push((at, rank.into(), name.to_owned()));
        insert(&mut self.spelled, folded(name), at, rank);
        insert(&mut self.bags, bag(&words).join(" "), at, rank);
        insert(&mut self.ordered, words.join(" "), at, rank);
        if self.kind == Kind::CellType && matches!(rank, Rank::Label | Rank::Exact) {
            let relaxed = relaxed(&words);
            if relaxed.len() < words.len() {
                insert(&mut self.bags, bag(&relaxed).join(" "), at, Rank::Relaxed);
                insert(&mut self.ordered, relaxed.join(" "), at, Rank::Relaxed);
            }
        }
    }

    /// The term a name stands for, or the several it may stand for; `None` if no name is the same
    /// after normalisation. Never by likeness.
    pub fn look_up(&self, text: &str) -> Option<Resolution> {
        if let Some(at) = self.very(text) {
            return Some(self.resolved(at, How::Exact, 1.0));
        }
        let spelled = self.spelled.get(&folded(text)).map_or(Vec::new(), |hits| with_rank(hits, Rank::Exact));
        let words = words(self.kind, text);
        if words.is_empty() {
            return None;
        }
        let variants = variants(self.kind, &words);
        let mut ambiguous = None;
        for (step, variant) in variants.iter().enumerate() {
            let keys = [variant.join(" "), bag(variant).join(" ")];
            let score = 0.95 - 0.01 * step.min(5) as f64;
            let maps = [&self.ordered, &self.bags];
            let hits = || maps.into_iter().zip(&keys).filter_map(|(map, key)| map.get(key));
            // A label, our own table, and then what the ontology lists as the same.
            if let Some([only]) = hits().map(|hits| with_rank(hits, Rank::Label)).find(|f| !f.is_empty()).as_deref() {
                let how = if spelled.contains(only) { How::Synonym } else { How::Normalised };
                return Some(self.resolved(*only, how, score));
            }
            if let Some(found) = keys.iter().find_map(|key| self.curated.get(key)) {
                return Some(self.answer(found, How::Synonym, 0.98));
            }
            if step == 0 {
                match &spelled[..] {
                    [] => {}
                    found => return Some(self.answer(found, How::Synonym, 0.98)),
                }
            }
            for rank in [Rank::Exact, Rank::Relaxed] {
                match hits().map(|hits| with_rank(hits, rank)).find(|found| !found.is_empty()).as_deref() {
                    None => {}
                    Some([only]) => return Some(self.resolved(*only, How::Normalised, score - 0.02)),
                    // Several terms answer to this: no lesser likeness may decide between them.
                    Some(several) => return Some(self.answer(several, How::Normalised, score - 0.02)),
                }
            }
            for rank in [Rank::Narrow, Rank::Related, Rank::Broad] {
                let found = hits().map(|hits| with_rank(hits, rank)).find(|found| !found.is_empty());
                match found.as_deref() {
                    // A broad synonym says less than the term does: it may mean another as well.
                    Some([only]) if rank != Rank::Broad => {
                        return Some(self.resolved(*only, How::Normalised, score - 0.05));
                    }
                    Some(several) if ambiguous.is_none() => {
                        ambiguous = Some(self.ambiguous(several, How::Normalised, score - 0.05));
                    }
                    _ => {}
                }
            }
        }
        ambiguous
    }

    /// The term with this id or this very name.
    pub(super) fn very(&self, text: &str) -> Option<u32> {
        if let Some(&at) = self.by_id.get(&text.trim().replacen('_', ":", 1).to_lowercase()) {
            return Some(at);
        }
        match with_rank(self.spelled.get(&folded(text))?, Rank::Label)[..] {
            [only] => Some(only),
            _ => None,
        }
    }

    fn answer(&self, found: &[u32], how: How, score: f64) -> Resolution {
        match found {
            [only] => self.resolved(*only, how, score),
            several => self.ambiguous(several, how, score),
        }
    }

    pub(super) fn resolved(&self, at: u32, how: How, score: f64) -> Resolution {
        Resolution::Resolved(Candidate { term: self.terms[at as usize].clone(), how, score })
    }

    fn ambiguous(&self, several: &[u32], how: How, score: f64) -> Resolution {
        let share = score / several.len() as f64;
        let candidate = |&at: &u32| Candidate { term: self.terms[at as usize].clone(), how, score: share };
        Resolution::Abstained { candidates: several.iter().take(CANDIDATES).map(candidate).collect() }
    }
}

fn insert(map: &mut HashMap<String, Hits>, key: String, at: u32, rank: Rank) {
    if key.is_empty() {
        return;
    }
    let hits = map.entry(key).or_default();
    match hits.iter_mut().find(|(term, _)| *term == at) {
        Some((_, before)) => *before = rank.min(*before),
        None => hits.push((at, rank)),
    }
}

pub(super) fn with_rank(hits: &Hits, rank: Rank) -> Vec<u32> {
    hits.iter().filter(|(_, r)| *r == rank).map(|(at, _)| *at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        let mut names = Names::new(Kind::CellType);
        let mut add = |id: &str, name: &str, synonyms: &[(&str, Scope)]| {
            let term = Term { id: id.parse().unwrap(), name: name.to_owned() };
            names.add(term, synonyms.iter().copied());
        };
        add("CL:1", "B cell", &[("B lymphocyte", Scope::Exact), ("bursa cell", Scope::Related)]);
        add("CL:2", "CD4-positive, alpha-beta T cell", &[("shared", Scope::Exact)]);
        add("CL:3", "fibroblast of lung", &[("shared", Scope::Exact), ("matrix maker", Scope::Broad)]);
        add("CL:4", "macrophage", &[("histiocyte", Scope::Exact)]);
        add("CL:5", "histiocyte", &[]);
        add("CL:6", "naive thymus-derived CD4-positive, alpha-beta T cell", &[]);
        names.add_curated("Mac", &"CL:4".parse().unwrap());
        names.add_curated("twofold", &"CL:4".parse().unwrap());
        names.add_curated("twofold", &"CL:5".parse().unwrap());
        names.add_alias(&"CL:99".parse().unwrap(), &"CL:1".parse().unwrap());
        names
    }

    fn resolved(text: &str) -> (String, How) {
        let names = names();
        match names.resolve(text, "") {
            Resolution::Resolved(found) => (found.term.id.to_string(), found.how),
            Resolution::Abstained { candidates } => {
                (candidates.iter().map(|c| c.term.id.as_str()).collect::<Vec<_>>().join("?"), How::Fuzzy)
            }
        }
    }

    #[test]
    fn each_way_of_being_found_is_told() {
        for (text, id, how) in [
            ("CL:1", "CL:1", How::Exact),
            ("cl_99", "CL:1", How::Exact),
            ("b  CELL", "CL:1", How::Exact),
            ("B lymphocyte", "CL:1", How::Synonym),
            ("mac", "CL:4", How::Synonym),
            ("B-cells", "CL:1", How::Normalised),
            ("lung fibroblasts", "CL:3", How::Normalised),
            ("CD4+ T cells", "CL:2", How::Normalised),
            ("T cells CD4", "CL:2", How::Normalised),
            ("naive CD4+ T cells", "CL:6", How::Normalised),
            ("bursa cells", "CL:1", How::Normalised),
            ("macrophgaes", "CL:4", How::Fuzzy),
            ("Fibroblasts:lung:TGFb", "CL:3", How::Normalised),
            ("Macrophage:LPS", "CL:4", How::Normalised),
        ] {
            assert_eq!(resolved(text), (id.to_owned(), how), "{text}");
        }
    }

    #[test]
    fn labels_win_over_synonyms_of_others() {
        assert_eq!(resolved("histiocytes"), ("CL:5".to_owned(), How::Normalised));
    }

    #[test]
    fn what_is_not_certain_is_listed() {
        for (text, candidates) in
            [("shared", "CL:2?CL:3"), ("twofold", "CL:4?CL:5"), ("matrix makers", "CL:3"), ("", "")]
        {
            assert!(!matches!(names().look_up(text), Some(Resolution::Resolved(_))), "{text}");
            assert_eq!(resolved(text).0, candidates, "{text}");
        }
        assert!(resolved("florbs of the lung").0.starts_with("CL:3"), "nearest first");
    }
}
