//! From a name to the term it stands for, or to nothing rather than to a guess.
//!
//! `Names::look_up` goes by names alone. In order: an id; the exact label; the label after normalisation
//! ([`super::normalize`]), its words in order and then in any; the curated names; exact synonyms as they
//! are spelled and normalised; narrower and related synonyms; all of these again for the ways the words
//! may have been meant. What several terms answer to equally well is not answered, but listed.
//!
//! `Names::resolve` weighs every name that shares words with the label (`rank`) and answers
//! with the likeliest term if it is likely enough; else it lists what the label may mean.

use std::collections::{HashMap, HashSet};
use std::sync::OnceLock;

use super::index::{Index, Overlap};
use super::normalize::{Kind, bag, folded, only_joins, words};
use super::rank::{self, Belongs, Features, Model, Pair};
use super::vocabulary::Vocabulary;
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
const CANDIDATES: usize = 5;

/// More parts than this are no path.
const LONGEST_PATH: usize = 4;

/// How many names are weighed for each reading of a label.
const NAMES: usize = 24;

/// How a name belongs to its term, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
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
    kind: Kind,
    terms: Vec<Term>,
    by_id: HashMap<String, u32>,
    curated: HashMap<String, Vec<u32>>,
    spelled: HashMap<String, Hits>,
    ordered: HashMap<String, Hits>,
    bags: HashMap<String, Hits>,
    /// Every name with its term, as it came.
    held: Vec<(u32, Belongs, String)>,
    /// Made when first asked for.
    index: OnceLock<Index>,
}

/// A term that a label may mean, weighed.
pub(super) struct Weighed {
    /// Which term.
    at: u32,
    how: How,
    /// What speaks for and against it.
    pub features: Features,
    score: f64,
}

/// A term that has a name with some of a label's words.
struct Near {
    at: u32,
    /// 0 to 1, of its nearest name.
    similarity: f32,
    /// Whether one of its names has just the label's words.
    complete: bool,
    /// Whether that takes slips of the finger.
    slips: bool,
}

impl Near {
    /// Takes in another name of the same term.
    fn join(&mut self, other: Self) {
        self.similarity = self.similarity.max(other.similarity);
        if other.complete {
            self.slips = other.slips && (self.slips || !self.complete);
            self.complete = true;
        }
    }
}

/// A label's candidates, best first, and what speaks for none of them.
pub(super) struct Ranking {
    pub candidates: Vec<Weighed>,
    pub none: Features,
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
        if let Some(&at) = self.by_id.get(&text.trim().replacen('_', ":", 1).to_lowercase()) {
            return Some(self.resolved(at, How::Exact, 1.0));
        }
        let spelled = self.spelled.get(&folded(text));
        let spelled = |rank: Rank| spelled.map_or(Vec::new(), |hits| with_rank(hits, rank));
        if let [only] = spelled(Rank::Label)[..] {
            return Some(self.resolved(only, How::Exact, 1.0));
        }
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
                let how = if spelled(Rank::Exact).contains(only) { How::Synonym } else { How::Normalised };
                return Some(self.resolved(*only, how, score));
            }
            if let Some(found) = keys.iter().find_map(|key| self.curated.get(key)) {
                return Some(self.answer(found, How::Synonym, 0.98));
            }
            if step == 0 {
                match spelled(Rank::Exact)[..] {
                    [] => {}
                    ref found => return Some(self.answer(found, How::Synonym, 0.98)),
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

    /// The term a label most likely stands for, if that is likely enough. `context` is what else is
    /// known of the label, such as the tissue of the data set; it may be empty.
    pub fn resolve(&self, text: &str, context: &str) -> Resolution {
        if let Some(found) = self.certain(text, context) {
            return found;
        }
        if self.kind == Kind::Perturbation {
            return self.look_up(text).unwrap_or_else(|| self.slipped(text).unwrap_or_else(|likely| likely));
        }
        if let Some(found) = self.path(text, context) {
            return found;
        }
        let model = Model::of(self.kind);
        let ranking = self.rank(text, context);
        let scores: Vec<f64> = ranking.candidates.iter().map(|candidate| candidate.score).collect();
        let probabilities = Model::probabilities(&[&scores[..], &[model.score(&ranking.none)]].concat());
        // What its names alone lead to is not told as likeness, though likeness may have decided.
        let by_name = match self.look_up(text) {
            Some(Resolution::Resolved(found)) => Some((found.term.id, found.how)),
            _ => None,
        };
        let weighed = ranking.candidates.iter().zip(probabilities);
        let mut candidates = weighed.map(|(weighed, probability)| {
            let term = self.terms[weighed.at as usize].clone();
            let how = by_name.as_ref().filter(|(id, _)| *id == term.id).map_or(weighed.how, |(_, how)| *how);
            Candidate { term, how: how.min(weighed.how), score: probability }
        });
        match candidates.next() {
            Some(best) if best.score >= model.threshold => Resolution::Resolved(best),
            first => match self.slipped(text) {
                Ok(found) => found,
                Err(_) => {
                    Resolution::Abstained { candidates: first.into_iter().chain(candidates).take(CANDIDATES).collect() }
                }
            },
        }
    }

    /// The term with this id or name, plurals and punctuation apart, or with this curated name. In a
    /// known organ, only the id and the very name are certain: a lung's `pericyte` has a term of its own.
    fn certain(&self, text: &str, context: &str) -> Option<Resolution> {
        if let Some(at) = self.very(text) {
            return Some(self.resolved(at, How::Exact, 1.0));
        }
        if !self.organs(context).is_empty() {
            return None;
        }
        let words = words(self.kind, text);
        let key = words.join(" ");
        let own = self.ordered.get(&key).map_or(Vec::new(), |hits| with_rank(hits, Rank::Label));
        if let [only] = own[..] {
            let synonyms = self.spelled.get(&folded(text)).map_or(Vec::new(), |hits| with_rank(hits, Rank::Exact));
            let how = if synonyms.contains(&only) { How::Synonym } else { How::Normalised };
            return Some(self.resolved(only, how, 0.95));
        }
        let bag = bag(&words).join(" ");
        if let Some(found) = self.curated.get(&key).or_else(|| self.curated.get(&bag)) {
            return match found[..] {
                [only] => Some(self.resolved(only, How::Synonym, 0.98)),
                _ => None,
            };
        }
        let relaxed = self.ordered.get(&key).or_else(|| self.bags.get(&bag));
        match relaxed.map_or(Vec::new(), |hits| with_rank(hits, Rank::Relaxed))[..] {
            [only] => Some(self.resolved(only, How::Normalised, 0.93)),
            _ => None,
        }
    }

    /// The narrowest term that a path of a reference atlas names: `T_cell:Treg:Naive`, or
    /// `Macrophage:Alveolar:LPS`, where what was done to the cells comes last.
    fn path(&self, text: &str, context: &str) -> Option<Resolution> {
        let parts: Vec<&str> = text.split(':').map(str::trim).filter(|part| !part.is_empty()).collect();
        let (Kind::CellType, [first, rest @ ..]) = (self.kind, &parts[..]) else { return None };
        if rest.is_empty() || rest.len() > LONGEST_PATH {
            return None;
        }
        let named = |name: &str| {
            let found = self.certain(name, context).or_else(|| self.slipped(name).ok())?;
            matches!(&found, Resolution::Resolved(found) if found.how < How::Fuzzy).then_some(found)
        };
        let narrower = (1..parts.len()).rev().find_map(|at| {
            let (part, above) = (parts[at], parts[at - 1]);
            named(&format!("{part} {above}")).or_else(|| named(&format!("{part} {first}"))).or_else(|| named(part))
        });
        // What comes after the part that was named is left out, so the name is never the very one.
        narrower.or_else(|| named(first)).map(|found| match found {
            Resolution::Resolved(found) => {
                Resolution::Resolved(Candidate { how: found.how.max(How::Normalised), ..found })
            }
            abstained => abstained,
        })
    }

    /// The term with this id or this very name.
    fn very(&self, text: &str) -> Option<u32> {
        if let Some(&at) = self.by_id.get(&text.trim().replacen('_', ":", 1).to_lowercase()) {
            return Some(at);
        }
        match with_rank(self.spelled.get(&folded(text))?, Rank::Label)[..] {
            [only] => Some(only),
            _ => None,
        }
    }

    /// The one term of which a name has just these words, in any order and with slips of the finger; or
    /// else the terms with the nearest names.
    fn slipped(&self, text: &str) -> std::result::Result<Resolution, Resolution> {
        let mut words = Vocabulary::of(self.kind).concepts(text);
        words.retain(|word| !only_joins(word));
        let index = self.index();
        let asked = index.asked(&words);
        let of_label: f32 = asked.iter().map(|word| word.weight).sum();
        let mut near: Vec<Near> = Vec::new();
        for name in index.nearest(&asked, NAMES) {
            let Overlap { shared, complete, slips } = index.overlap(&asked, name);
            let held = index.name(name);
            let next = Near { at: held.entry, similarity: 2.0 * shared / (of_label + held.weight), complete, slips };
            match near.iter_mut().find(|near| near.at == next.at) {
                Some(before) => before.join(next),
                None => near.push(next),
            }
        }
        let candidate = |near: &Near| Candidate {
            term: self.terms[near.at as usize].clone(),
            how: if near.complete && !near.slips { How::Normalised } else { How::Fuzzy },
            score: f64::from(near.similarity.clamp(0.0, 0.95)),
        };
        match near.iter().filter(|near| near.complete).collect::<Vec<_>>()[..] {
            [only] => Ok(Resolution::Resolved(candidate(only))),
            _ => Err(Resolution::Abstained { candidates: near.iter().take(CANDIDATES).map(candidate).collect() }),
        }
    }

    /// The organs a text speaks of.
    fn organs(&self, context: &str) -> Vec<String> {
        let vocabulary = Vocabulary::of(self.kind);
        let words = if context.is_empty() { Vec::new() } else { vocabulary.concepts(context) };
        words.iter().filter_map(|word| vocabulary.organ(word)).map(str::to_owned).collect()
    }

    /// The terms whose names share words with a label, weighed against it.
    pub fn rank(&self, text: &str, context: &str) -> Ranking {
        let vocabulary = Vocabulary::of(self.kind);
        let model = Model::of(self.kind);
        let index = self.index();
        let organs = self.organs(context);
        let spelled = self.spelled.get(&folded(text));
        let first: HashSet<String> = match text.split_once([':', '(', '[', ';', ',']) {
            Some((first, _)) => vocabulary.readings(first, &organs).into_iter().flat_map(|it| it.words).collect(),
            None => HashSet::new(),
        };
        let mut best: HashMap<u32, Weighed> = HashMap::new();
        let mut none = None;
        for reading in vocabulary.readings(text, &organs) {
            let asked = index.asked(&reading.words);
            none.get_or_insert_with(|| rank::none(text, &reading.words, &asked));
            for name in index.nearest(&asked, NAMES) {
                let at = index.name(name).entry;
                let belongs = Belongs::from_code(index.name(name).rank);
                let pair = Pair {
                    vocabulary,
                    index,
                    words: &reading.words,
                    asked: &asked,
                    expanded: reading.expanded,
                    meant_here: reading.of_context,
                    partial: reading.partial,
                    first: &first,
                    label: text,
                    context: &organs,
                    name,
                    belongs,
                };
                let mut features = pair.features();
                let spelled = spelled.and_then(|hits| hits.iter().find(|(term, _)| *term == at)).map(|(_, rank)| *rank);
                rank::as_spelled(&mut features, spelled.map(Belongs::from));
                let score = model.score(&features);
                let how = match spelled {
                    Some(Rank::Label) => How::Exact,
                    Some(_) => How::Synonym,
                    None if rank::is_same(&features) && belongs == Belongs::Curated => How::Synonym,
                    None if rank::is_same(&features) => How::Normalised,
                    None => How::Fuzzy,
                };
                let weighed = Weighed { at, how, features, score };
                match best.get_mut(&at) {
                    Some(before) if before.score >= score => {}
                    Some(before) => *before = weighed,
                    None => _ = best.insert(at, weighed),
                }
            }
        }
        let mut candidates: Vec<Weighed> = best.into_values().collect();
        let by_id = |weighed: &Weighed| &self.terms[weighed.at as usize].id;
        candidates.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| by_id(a).cmp(by_id(b))));
        candidates.truncate(NAMES);
        Ranking { candidates, none: none.unwrap_or_else(|| rank::none(text, &[], &[])) }
    }

    /// The term of a candidate.
    pub fn term(&self, weighed: &Weighed) -> &Term {
        &self.terms[weighed.at as usize]
    }

    fn index(&self) -> &Index {
        self.index.get_or_init(|| {
            // In the order of the alphabet, so that the same names always give the same answers.
            let vocabulary = Vocabulary::of(self.kind);
            let mut names: Vec<_> =
                self.held.iter().map(|(at, belongs, name)| (vocabulary.concepts(name), *at, *belongs as u8)).collect();
            names.sort();
            names.dedup_by(|next, kept| next.0 == kept.0 && next.1 == kept.1);
            let mut index = Index::default();
            for (words, at, belongs) in &names {
                index.add(*at, *belongs, words);
            }
            index.finish();
            index
        })
    }

    fn answer(&self, found: &[u32], how: How, score: f64) -> Resolution {
        match found {
            [only] => self.resolved(*only, how, score),
            several => self.ambiguous(several, how, score),
        }
    }

    fn resolved(&self, at: u32, how: How, score: f64) -> Resolution {
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

fn with_rank(hits: &Hits, rank: Rank) -> Vec<u32> {
    hits.iter().filter(|(_, r)| *r == rank).map(|(at, _)| *at).collect()
}

/// A cell type's name without words that papers leave out: `CD4-positive, alpha-beta T cell` is
/// known as the CD4+ T cell.
fn relaxed(words: &[String]) -> Vec<String> {
    let mut kept: Vec<String> = Vec::with_capacity(words.len());
    let mut rest = words;
    while let Some((first, tail)) = rest.split_first() {
        let followed_by = |next: &str| tail.first().is_some_and(|word| word == next);
        let left_out = match first.as_str() {
            "alpha" => followed_by("beta"),
            "thymus" => followed_by("derived"),
            "human" | "vertebrata" => tail.is_empty(),
            _ => false,
        };
        rest = match left_out {
            true if !tail.is_empty() => &tail[1..],
            true => tail,
            false => {
                kept.push(first.clone());
                tail
            }
        };
    }
    kept
}

/// The words in the ways a biologist may have meant them, surest first.
fn variants(kind: Kind, words: &[String]) -> Vec<Vec<String>> {
    let mut variants = vec![words.to_vec()];
    // `M` or `H` alone may be short for anything.
    if let [only] = words
        && only.len() < 3
    {
        return variants;
    }
    let mut add = |variant: Vec<String>| {
        if !variant.is_empty() && !variants.contains(&variant) {
            variants.push(variant);
        }
    };
    match kind {
        Kind::CellType => {
            let expanded = expanded(words);
            for words in [words.to_vec(), expanded] {
                for words in [words.clone(), with_signs(&words)] {
                    add(words.clone());
                    match words.split_last() {
                        Some((last, rest)) if last == "cell" => add(rest.to_vec()),
                        _ => add([words, vec!["cell".to_owned()]].concat()),
                    }
                }
            }
        }
        Kind::Perturbation => {
            const ASIDE: [&str; 14] = [
                "recombinant",
                "human",
                "rh",
                "rhu",
                "treatment",
                "stimulation",
                "stimulated",
                "treated",
                "protein",
                "cytokine",
                "exposure",
                "therapy",
                "drug",
                "compound",
            ];
            add(words.iter().filter(|word| !ASIDE.contains(&word.as_str())).cloned().collect());
        }
        Kind::Tissue => {
            if let Some((last, rest)) = words.split_last()
                && matches!(last.as_str(), "tissue" | "sample" | "biopsy")
            {
                add(rest.to_vec());
            }
        }
        Kind::Disease => {}
    }
    variants
}

/// Laboratory shorthand spelled out.
fn expanded(words: &[String]) -> Vec<String> {
    let spell = |word: &str| -> Option<&'static str> {
        Some(match word {
            "tcm" => "central memory t cell",
            "tem" => "effector memory t cell",
            "temra" => "effector memory t cell terminally differentiated",
            "tfh" => "t follicular helper cell",
            "dc" => "dendritic cell",
            "pdc" => "plasmacytoid dendritic cell",
            "cdc" => "conventional dendritic cell",
            "mdc" => "myeloid dendritic cell",
            "ec" => "endothelial cell",
            "lec" => "lymphatic endothelial cell",
            "smc" => "smooth muscle cell",
            "vsmc" => "vascular smooth muscle cell",
            "hsc" => "hematopoietic stem cell",
            "mono" => "monocyte",
            "mac" | "macs" => "macrophage",
            "neut" => "neutrophil",
            "fib" | "fibro" => "fibroblast",
            "epi" => "epithelial cell",
            "endo" => "endothelial cell",
            "oligo" => "oligodendrocyte",
            "opc" => "oligodendrocyte precursor cell",
            "astro" => "astrocyte",
            "ilc" => "innate lymphoid cell",
            _ => return None,
        })
    };
    words
        .iter()
        .flat_map(|word| match spell(word) {
            Some(spelled) => spelled.split(' ').map(str::to_owned).collect::<Vec<_>>(),
            None => vec![word.clone()],
        })
        .collect()
}

/// `cd 4` as `cd 4 positive` where no sign is given.
fn with_signs(words: &[String]) -> Vec<String> {
    let mut signed = Vec::with_capacity(words.len() + 1);
    for (at, word) in words.iter().enumerate() {
        signed.push(word.clone());
        let is_marker = at > 0 && words[at - 1] == "cd" && word.bytes().all(|b| b.is_ascii_digit());
        let has_sign = words.get(at + 1).is_some_and(|next| {
            matches!(next.as_str(), "positive" | "negative" | "high" | "low" | "single" | "double")
        });
        if is_marker && !has_sign {
            signed.push("positive".to_owned());
        }
    }
    signed
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
