//! What a label most likely means: every name that shares words with it is weighed.

use std::collections::{HashMap, HashSet};

use super::index::{Index, Overlap};
use super::normalize::{Kind, bag, folded, only_joins, words};
use super::rank::{self, Belongs, Features, Model, Pair};
use super::resolve::{CANDIDATES, Candidate, How, Names, Rank, Resolution, with_rank};
use super::vocabulary::Vocabulary;
use crate::domain::Term;

/// More parts than this are no path.
const LONGEST_PATH: usize = 4;

/// How many names are weighed for each reading of a label.
const NAMES: usize = 24;

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
}
