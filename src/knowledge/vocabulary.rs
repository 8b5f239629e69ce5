//! Words that mean the same, abbreviations, and what kind of thing a word says: what a curator of
//! cell labels knows and no ontology lists. Read from `assets/vocabulary.tsv`.
//!
//! [`Vocabulary::concepts`] turns a name into comparable words: `pulmonary` and `lung` are one word,
//! and so is a marker with its sign (`CD4+`, `CD4-positive`, `cd4pos` all become `cd4+`).

use std::collections::{HashMap, HashSet};
use std::sync::OnceLock;

use super::normalize::{Kind, words};

const TABLE: &str = include_str!("../../assets/vocabulary.tsv");

/// What kind of thing a word says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Class {
    /// `cd4+`: a marker with its sign.
    Marker,
    /// A number.
    Number,
    /// What the cells do or went through: `activated`, `cycling`, `infected`.
    State,
    /// How far along its lineage a cell is: `progenitor`, `pre`, `derived`.
    Stage,
    /// An organ or a part of one.
    Place,
    /// Says nothing that tells terms apart: `cell`, `subset`, `human`.
    Aside,
    /// Anything else.
    Other,
}

/// The table, for one kind of name.
pub(super) struct Vocabulary {
    kind: Kind,
    same: Phrases,
    short: Phrases,
    classes: HashMap<String, Class>,
    /// Part of the body to the organ it belongs to.
    organs: HashMap<String, String>,
}

/// Phrases by their first word, longest first.
#[derive(Default)]
struct Phrases(HashMap<String, Vec<Phrase>>);

/// Words and what they may be replaced by.
struct Phrase {
    words: Vec<String>,
    meanings: Vec<Meaning>,
}

/// What a phrase may mean, and the organ in which it does, if only there.
#[derive(Clone)]
struct Meaning {
    words: Vec<String>,
    organ: Option<String>,
}

/// A label's words in one of the ways it may have been meant.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Reading {
    /// As [`Vocabulary::concepts`] gives them.
    pub words: Vec<String>,
    /// How many abbreviations were spelled out.
    pub expanded: usize,
    /// Whether one of them has this meaning in the organ that the label is about.
    pub of_context: bool,
    /// Whether one of several things was left out: `Tcm` of `Tcm/Naive T`.
    pub partial: bool,
}

/// At most this many readings of one label.
const READINGS: usize = 12;

impl Vocabulary {
    /// The table for names of this kind; made once.
    pub fn of(kind: Kind) -> &'static Self {
        static ALL: [OnceLock<Vocabulary>; Kind::ALL.len()] = [const { OnceLock::new() }; Kind::ALL.len()];
        ALL[kind as usize].get_or_init(|| Self::read(kind, TABLE))
    }

    fn read(kind: Kind, table: &str) -> Self {
        let mut vocabulary = Self {
            kind,
            same: Phrases::default(),
            short: Phrases::default(),
            classes: HashMap::new(),
            organs: HashMap::new(),
        };
        for line in table.lines().filter(|line| !line.starts_with('#')) {
            let [of, class, from, to] = line.split('\t').collect::<Vec<_>>()[..] else { continue };
            if of != "any" && of != kind.as_str() {
                continue;
            }
            let (to, organ) = match to.split_once(" in ") {
                Some((to, organ)) if class == "short" => (to, Some(organ.to_owned())),
                _ => (to, None),
            };
            let (from, to) = (words(kind, from), words(kind, to));
            match class {
                "same" | "short" => {
                    let phrases = if class == "same" { &mut vocabulary.same } else { &mut vocabulary.short };
                    phrases.add(from, Meaning { words: to, organ });
                }
                "state" => vocabulary.mark(from, Class::State),
                "stage" => vocabulary.mark(from, Class::Stage),
                "aside" => vocabulary.mark(from, Class::Aside),
                "place" => {
                    if let ([part], Some(organ)) = (&from[..], to.first()) {
                        vocabulary.organs.insert(part.clone(), organ.clone());
                    }
                    vocabulary.mark(from, Class::Place);
                }
                _ => {}
            }
        }
        vocabulary
    }

    fn mark(&mut self, words: Vec<String>, class: Class) {
        for word in words {
            self.classes.entry(word).or_insert(class);
        }
    }

    /// The comparable words of a name.
    pub fn concepts(&self, name: &str) -> Vec<String> {
        self.settle(words(self.kind, name), &runs(name))
    }

    /// The ways a label may have been meant: as it is, and with abbreviations spelled out. `organs` are
    /// those the label is known to be about.
    pub fn readings(&self, label: &str, organs: &[String]) -> Vec<Reading> {
        let mut readings: Vec<Reading> = Vec::new();
        for (text, partial) in spellings(self.kind, label) {
            let runs = runs(&text);
            let plain = words(self.kind, &text);
            let as_it_is = Reading { words: plain.clone(), expanded: 0, of_context: false, partial };
            for reading in std::iter::once(as_it_is).chain(self.short.readings(&plain, organs)) {
                let reading = Reading { words: self.settle(reading.words, &runs), partial, ..reading };
                if readings.len() < READINGS && !readings.iter().any(|before| before.words == reading.words) {
                    readings.push(reading);
                }
            }
        }
        readings
    }

    fn settle(&self, words: Vec<String>, runs: &HashSet<String>) -> Vec<String> {
        let words = match self.kind {
            Kind::CellType => join_markers(words, runs),
            _ => words,
        };
        // What a phrase is replaced by may itself have a more usual word.
        (0..3).fold(words, |words, _| self.same.settle(words))
    }

    /// What kind of thing a word says.
    pub fn class(&self, word: &str) -> Class {
        if let Some(class) = self.classes.get(word) {
            return *class;
        }
        match word.as_bytes() {
            [.., b'+' | b'-' | b'^' | b'_'] => Class::Marker,
            digits if digits.iter().all(u8::is_ascii_digit) => Class::Number,
            _ => Class::Other,
        }
    }

    /// The organ a word speaks of: `lung` for `alveolus`.
    pub fn organ<'a>(&'a self, word: &'a str) -> Option<&'a str> {
        match self.classes.get(word) {
            Some(Class::Place) => Some(self.organs.get(word).map_or(word, String::as_str)),
            _ => None,
        }
    }
}

impl Phrases {
    fn add(&mut self, words: Vec<String>, meaning: Meaning) {
        let Some(first) = words.first().cloned() else { return };
        let phrases = self.0.entry(first).or_default();
        match phrases.iter_mut().find(|phrase| phrase.words == words) {
            Some(phrase) => phrase.meanings.push(meaning),
            None => phrases.push(Phrase { words, meanings: vec![meaning] }),
        }
        phrases.sort_by_key(|phrase| std::cmp::Reverse(phrase.words.len()));
    }

    /// The longest phrase that starts here.
    fn at(&self, words: &[String]) -> Option<&Phrase> {
        self.0.get(words.first()?)?.iter().find(|phrase| words.starts_with(&phrase.words))
    }

    /// Every phrase replaced by its first meaning, once from left to right.
    fn settle(&self, words: Vec<String>) -> Vec<String> {
        let mut settled = Vec::with_capacity(words.len());
        let mut rest = &words[..];
        while let Some(first) = rest.first() {
            match self.at(rest) {
                Some(phrase) => {
                    settled.extend(phrase.meanings[0].words.iter().cloned());
                    rest = &rest[phrase.words.len()..];
                }
                None => {
                    settled.push(first.clone());
                    rest = &rest[1..];
                }
            }
        }
        settled
    }

    /// All combinations of meanings, leaving out what is meant only in other organs than these, if any
    /// are known.
    fn readings(&self, words: &[String], organs: &[String]) -> Vec<Reading> {
        let here = |meaning: &Meaning| meaning.organ.as_ref().is_some_and(|organ| organs.contains(organ));
        let elsewhere = |meaning: &Meaning| !organs.is_empty() && meaning.organ.is_some() && !here(meaning);
        let mut open = vec![Reading { words: Vec::new(), expanded: 0, of_context: false, partial: false }];
        let mut rest = words;
        while let Some(first) = rest.first() {
            let found = self.at(rest);
            let meanings: Vec<&Meaning> = found
                .map_or(Vec::new(), |phrase| phrase.meanings.iter().filter(|meaning| !elsewhere(meaning)).collect());
            let mut next = Vec::new();
            for before in open {
                if meanings.is_empty() {
                    next.push(Reading { words: [&before.words[..], std::slice::from_ref(first)].concat(), ..before });
                    continue;
                }
                next.extend(meanings.iter().map(|meaning| Reading {
                    words: [&before.words[..], &meaning.words].concat(),
                    expanded: before.expanded + 1,
                    of_context: before.of_context || here(meaning),
                    partial: false,
                }));
            }
            next.truncate(READINGS);
            open = next;
            rest = &rest[found.filter(|_| !meanings.is_empty()).map_or(1, |phrase| phrase.words.len())..];
        }
        open.retain(|reading| reading.expanded > 0);
        open
    }
}

/// The label as it is written, and in the other ways its parts may belong together, with whether
/// something was left out: `hTcell1` is `Tcell1` of humans, `Tcm/Naive T` is `Tcm T` or `Naive T`.
fn spellings(kind: Kind, label: &str) -> Vec<(String, bool)> {
    let mut spellings = vec![(label.to_owned(), false)];
    if kind != Kind::CellType {
        return spellings;
    }
    let mut apart = String::with_capacity(label.len() + 4);
    let mut before = ' ';
    for c in label.chars() {
        if before.is_lowercase() && c.is_uppercase() {
            apart.push(' ');
        }
        apart.push(c);
        before = c;
    }
    let of_species = apart.strip_prefix("h ").or_else(|| apart.strip_prefix("m ")).map(str::to_owned);
    if let Some(spelling) = of_species.or(Some(apart)).filter(|spelling| spelling != label) {
        spellings.push((spelling, false));
    }
    let words: Vec<&str> = label.split(' ').collect();
    if let Some(at) = words.iter().position(|word| word.contains('/')) {
        for part in words[at].split('/').filter(|part| part.chars().any(char::is_alphabetic)).take(2) {
            let mut spelling = words.clone();
            spelling[at] = part;
            spellings.push((spelling.join(" "), true));
        }
    }
    spellings
}

/// The unbroken letters and digits of a text, in lower case: `p2ry12` of `P2RY12+ microglia`.
fn runs(text: &str) -> HashSet<String> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|run| !run.is_empty()).map(str::to_lowercase).collect()
}

/// Joins a marker with its sign into one word. A marker is what was written without a break before the
/// sign, or letters and a number; `cd 4` alone has the sign that is meant, `+`.
fn join_markers(words: Vec<String>, runs: &HashSet<String>) -> Vec<String> {
    let mut joined: Vec<String> = Vec::with_capacity(words.len());
    let mut at = 0;
    while at < words.len() {
        let word = &words[at];
        let sign = match word.as_str() {
            "positive" => '+',
            "negative" => '-',
            "high" => '^',
            "low" => '_',
            _ => {
                joined.push(word.clone());
                at += 1;
                // A number of `cd` without a sign after it, or after its letter.
                let number = joined.len() >= 2 && joined[joined.len() - 2] == "cd" && is_number(word);
                if number {
                    let letter =
                        words.get(at).filter(|next| next.len() == 1 && runs.contains(&format!("cd{word}{next}")));
                    let after = at + usize::from(letter.is_some());
                    let signed = words
                        .get(after)
                        .is_some_and(|w| matches!(w.as_str(), "positive" | "negative" | "high" | "low"));
                    if !signed {
                        let letter = letter.cloned().unwrap_or_default();
                        let number = joined.pop().unwrap_or_default();
                        joined.pop();
                        joined.push(format!("cd{number}{letter}+"));
                        at = after;
                    }
                }
                continue;
            }
        };
        at += 1;
        let longest = (1..=joined.len().min(5)).rev().find(|&n| runs.contains(&joined[joined.len() - n..].concat()));
        let n = longest.filter(|_| !joined.is_empty()).or(match &joined[..] {
            [.., name, number, letter] if is_number(number) && letter.len() == 1 && !is_number(name) => Some(3),
            [.., name, number] if is_number(number) && !is_number(name) => Some(2),
            _ => None,
        });
        match n {
            Some(n) => {
                let marker = joined.split_off(joined.len() - n).concat();
                joined.push(format!("{marker}{sign}"));
            }
            None => joined.push(word.clone()),
        }
    }
    joined
}

fn is_number(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn concepts(name: &str) -> String {
        Vocabulary::of(Kind::CellType).concepts(name).join(" ")
    }

    #[test]
    fn a_marker_and_its_sign_are_one_word() {
        for (name, expected) in [
            ("CD4+ T cells", "cd4+ t cell"),
            ("CD4-positive T cell", "cd4+ t cell"),
            ("CD4 T", "cd4+ t"),
            ("CD16-CD56bright NK", "cd16- cd56^ natural killer"),
            ("P2RY12+ microglia", "p2ry12+ microglial cell"),
            ("CD1c-positive myeloid dendritic cell", "cd1c+ myeloid dendritic cell"),
            ("CD34- CD71lo GlyA+", "cd34- cd71_ glya+"),
        ] {
            assert_eq!(concepts(name), expected, "{name}");
        }
    }

    #[test]
    fn every_line_of_the_table_is_of_a_known_class() {
        for line in TABLE.lines().filter(|line| !line.starts_with('#') && !line.starts_with("kind\t")) {
            let fields: Vec<_> = line.split('\t').collect();
            let known =
                fields.len() == 4 && matches!(fields[1], "same" | "short" | "state" | "stage" | "aside" | "place");
            let kind = fields[0] == "any" || Kind::ALL.iter().any(|kind| kind.as_str() == fields[0]);
            let has_meaning = !matches!(fields[1], "same" | "short") || !fields[3].is_empty();
            assert!(known && kind && has_meaning, "{line}");
        }
    }
}
