//! The names in a question: the longest runs of words that stand for something we hold.

use std::cmp::Reverse;
use std::ops::Range;

use super::words::{Words, is_function_word, is_plain_word};
use crate::domain::Term;
use crate::knowledge::{Candidate, How, Kind, Knowledge, Resolution};

/// The longest name looked for, in words.
const MAX_WORDS: usize = 9;

/// Terms so wide that a question which names only them names nothing.
const TOO_WIDE: [&str; 9] = [
    "CL:0000000",
    "CL:0000255",
    "CL:0000548",
    "CL:0000003",
    "MONDO:0000001",
    "MONDO:0700096",
    "UBERON:0000479",
    "UBERON:0000062",
    "UBERON:0000468",
];

/// A run of words that stands for something.
#[derive(Clone, Debug)]
pub(super) struct Name {
    /// Which words.
    pub run: Range<usize>,
    /// What it names.
    pub kind: Kind,
    /// What it stands for; several where it is ambiguous.
    pub meanings: Vec<Candidate>,
}

impl Name {
    /// The one term, unless the name is ambiguous.
    pub fn term(&self) -> Option<&Term> {
        match &self.meanings[..] {
            [only] => Some(&only.term),
            _ => None,
        }
    }
}

/// The names, in the order of the question; none shares a word with another. `held` finds
/// perturbations that only the data know.
pub(super) fn find(words: &Words<'_>, knowledge: &Knowledge, held: &dyn Fn(&str) -> Option<Term>) -> Vec<Name> {
    let mut found = Vec::new();
    for start in 0..words.len() {
        for end in start + 1..=words.len().min(start + MAX_WORDS) {
            let run = start..end;
            if !words.is_whole(&run) {
                break;
            }
            if !may_be_name(words, &run) {
                continue;
            }
            for kind in Kind::ALL {
                if let Some(meanings) = meanings(kind, words.text(&run), knowledge, held) {
                    found.push(Name { run: run.clone(), kind, meanings });
                }
            }
        }
    }
    // The longest first; of one run the certain before the ambiguous, and what questions are about
    // before where it happens.
    let order = |kind: Kind| match kind {
        Kind::Perturbation => 0,
        Kind::CellType => 1,
        Kind::Tissue => 2,
        Kind::Disease => 3,
    };
    found.sort_by_key(|name| (Reverse(name.run.len()), name.meanings.len() > 1, order(name.kind), name.run.start));
    let mut chosen: Vec<Name> = Vec::new();
    for name in found {
        if chosen.iter().all(|other| other.run.end <= name.run.start || name.run.end <= other.run.start) {
            chosen.push(name);
        }
    }
    chosen.sort_by_key(|name| name.run.start);
    chosen
}

fn may_be_name(words: &Words<'_>, run: &Range<usize>) -> bool {
    let edges = [run.start, run.end - 1].map(|at| words.lower(at));
    if edges.iter().any(|word| is_function_word(word)) || run.clone().all(|at| is_plain_word(words.lower(at))) {
        return false;
    }
    // One letter is never a name; two only when written large, as in NK.
    let text = words.text(run);
    match text.chars().count() {
        0 | 1 => false,
        2 => text.chars().all(|c| c.is_uppercase() || c.is_ascii_digit()),
        _ => true,
    }
}

fn meanings(
    kind: Kind,
    text: &str,
    knowledge: &Knowledge,
    held: &dyn Fn(&str) -> Option<Term>,
) -> Option<Vec<Candidate>> {
    let meanings = match knowledge.look_up(kind, text) {
        Some(Resolution::Resolved(found)) if is_chance(kind, text, found.how) => return None,
        Some(Resolution::Resolved(candidate)) => vec![candidate],
        Some(Resolution::Abstained { candidates }) => candidates,
        None if kind == Kind::Perturbation => vec![Candidate { term: held(text)?, how: How::Exact, score: 1.0 }],
        None => return None,
    };
    let is_wide = |candidate: &Candidate| TOO_WIDE.contains(&candidate.term.id.as_str());
    (!meanings.is_empty() && !meanings.iter().any(is_wide)).then_some(meanings)
}

/// Whether a short word in small letters only happens to be spelled like an abbreviation: among a
/// hundred thousand names of diseases are most words of four letters.
fn is_chance(kind: Kind, text: &str, how: How) -> bool {
    let is_context = matches!(kind, Kind::Tissue | Kind::Disease);
    let is_small = text.chars().all(char::is_lowercase);
    is_context && is_small && (text.len() <= 3 && how > How::Exact || text.len() == 4 && how > How::Synonym)
}
