//! A question as words with their places, so that any run of them can be looked up as it was written.

use std::ops::Range;

/// Words of one question.
pub(super) struct Words<'a> {
    question: &'a str,
    words: Vec<Word>,
}

struct Word {
    /// Bytes of the question, without the punctuation around the word.
    place: Range<usize>,
    lower: String,
    /// Whether a sentence or a clause may end after it.
    ends: bool,
}

/// What is written onto a name with a hyphen: `LPS-treated macrophages`.
const SUFFIXES: [&str; 9] =
    ["treated", "stimulated", "exposed", "induced", "activated", "primed", "challenged", "deficient", "perturbed"];

impl<'a> Words<'a> {
    /// Cuts a question at white space.
    pub fn new(question: &'a str) -> Self {
        let mut words: Vec<Word> = Vec::new();
        let mut next = 0;
        for piece in question.split_whitespace() {
            // Pieces come in order, so the next one begins at the next place where it is found.
            let start = question[next..].find(piece).map_or(next, |at| next + at);
            next = start + piece.len();
            let bare = piece.trim_start_matches(|c| "\"'“”‘’([{<¿".contains(c));
            let from = start + piece.len() - bare.len();
            let mut name = bare.trim_end_matches(|c| "\"'“”‘’)]}>.,;:?!".contains(c));
            // A bracket that was opened inside belongs to the name: `TNF(alpha)`.
            if name.contains('(') && bare[name.len()..].starts_with(')') {
                name = &bare[..=name.len()];
            }
            let ends = bare[name.len()..].contains(['.', ';', ':', '?', '!', ')']);
            // `patient's` and `donors'` are about the patient and the donors.
            for ending in ["'s", "’s"] {
                name = name.strip_suffix(ending).unwrap_or(name);
            }
            if name.is_empty() {
                if let Some(last) = words.last_mut() {
                    last.ends |= ends;
                }
                continue;
            }
            let mut push = |place: Range<usize>, ends| {
                words.push(Word { lower: question[place.clone()].to_lowercase(), place, ends });
            };
            match head_of(name) {
                Some((head, tail)) => {
                    push(from..from + head, false);
                    push(from + tail..from + name.len(), ends);
                }
                None => push(from..from + name.len(), ends),
            }
        }
        Self { question, words }
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// One word in lower case; empty past the end.
    pub fn lower(&self, at: usize) -> &str {
        self.words.get(at).map_or("", |word| &word.lower)
    }

    /// A run of words as it was written.
    pub fn text(&self, run: &Range<usize>) -> &'a str {
        match (self.words.get(run.start), run.end.checked_sub(1).and_then(|last| self.words.get(last))) {
            (Some(first), Some(last)) if run.start < run.end => &self.question[first.place.start..last.place.end],
            _ => "",
        }
    }

    /// Whether a run stays within one clause.
    pub fn is_whole(&self, run: &Range<usize>) -> bool {
        run.clone().take(run.len().saturating_sub(1)).all(|at| self.words.get(at).is_some_and(|word| !word.ends))
    }

    /// Where the clause of a word ends: past its last word.
    pub fn clause_end(&self, at: usize) -> usize {
        (at..self.len()).find(|&i| self.words[i].ends).map_or(self.len(), |i| i + 1)
    }

    /// The first place at or after `from` where one of these phrases begins, and where it ends.
    pub fn find(&self, from: usize, phrases: &[&str]) -> Option<Range<usize>> {
        (from..self.len()).find_map(|at| {
            let here = |phrase: &&&str| phrase.split(' ').enumerate().all(|(i, part)| self.lower(at + i) == part);
            let phrase = phrases.iter().filter(here).max_by_key(|phrase| phrase.len())?;
            Some(at..at + phrase.split(' ').count())
        })
    }

    /// Whether one of these words or phrases is there.
    pub fn has(&self, phrases: &[&str]) -> bool {
        self.find(0, phrases).is_some()
    }
}

/// Where the name before one of [`SUFFIXES`] ends and the suffix begins.
fn head_of(name: &str) -> Option<(usize, usize)> {
    SUFFIXES.iter().find_map(|suffix| {
        let at = name.len().checked_sub(suffix.len())?;
        let (head, tail) = (name.get(..at)?, name.get(at..)?);
        let head = head.strip_suffix(['-', '–', '‐', '‑'])?;
        (tail.eq_ignore_ascii_case(suffix) && !head.is_empty()).then_some((head.len(), at))
    })
}

/// Words that no name begins or ends with.
pub(super) fn is_function_word(word: &str) -> bool {
    const WORDS: [&str; 79] = [
        "a", "an", "the", "of", "in", "on", "upon", "to", "with", "by", "from", "for", "at", "after", "before",
        "during", "and", "or", "but", "if", "as", "into", "onto", "within", "among", "between", "than", "then", "when",
        "while", "how", "what", "which", "why", "who", "whose", "where", "would", "will", "do", "does", "did", "can",
        "could", "should", "might", "may", "is", "are", "was", "were", "be", "been", "being", "has", "have", "had",
        "it", "its", "they", "their", "them", "this", "that", "these", "those", "there", "we", "our", "i", "my", "me",
        "us", "you", "your", "not", "via", "using", "about",
    ];
    WORDS.contains(&word)
}

/// Words of questions and experiments, which name nothing by themselves.
pub(super) fn is_plain_word(word: &str) -> bool {
    const WORDS: [&str; 120] = [
        "respond",
        "responds",
        "responding",
        "responded",
        "response",
        "responses",
        "react",
        "reacts",
        "reaction",
        "effect",
        "effects",
        "affect",
        "affects",
        "affected",
        "impact",
        "influence",
        "influences",
        "change",
        "changes",
        "changed",
        "alter",
        "alters",
        "altered",
        "modulate",
        "modulates",
        "happens",
        "happen",
        "happening",
        "predict",
        "prediction",
        "predicted",
        "simulate",
        "estimate",
        "infer",
        "impute",
        "show",
        "tell",
        "give",
        "please",
        "describe",
        "explain",
        "transcriptome",
        "transcriptomic",
        "transcriptional",
        "transcription",
        "expression",
        "express",
        "gene",
        "genes",
        "rna",
        "profile",
        "profiles",
        "signature",
        "look",
        "like",
        "treated",
        "treat",
        "treating",
        "treatment",
        "stimulated",
        "stimulate",
        "stimulating",
        "stimulation",
        "exposed",
        "expose",
        "exposure",
        "incubated",
        "cultured",
        "culture",
        "induced",
        "activated",
        "primed",
        "challenged",
        "perturbed",
        "perturbation",
        "given",
        "receive",
        "received",
        "receiving",
        "administered",
        "addition",
        "added",
        "presence",
        "human",
        "cell",
        "cells",
        "type",
        "types",
        "donor",
        "donors",
        "patient",
        "patients",
        "sample",
        "samples",
        "individual",
        "individuals",
        "subject",
        "subjects",
        "person",
        "people",
        "disease",
        "condition",
        "tissue",
        "tissues",
        "data",
        "dataset",
        "datasets",
        "atlas",
        "new",
        "set",
        "sets",
        "levels",
        "level",
        "following",
        "knocked",
        "out",
        "down",
        "behave",
        "behavior",
        "behaviour",
    ];
    WORDS.contains(&word) || is_function_word(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_keep_their_places_and_lose_their_punctuation() {
        let words = Words::new("How would (human) LPS-treated “CD14+ monocytes”, e.g. TNF(alpha) patient's, change?");
        let all: Vec<_> = (0..words.len()).map(|i| words.text(&(i..i + 1))).collect();
        let expected =
            ["How", "would", "human", "LPS", "treated", "CD14+", "monocytes", "e.g", "TNF(alpha)", "patient", "change"];
        assert_eq!(all, expected);
        assert_eq!(words.text(&(5..7)), "CD14+ monocytes");
        assert!(!words.is_whole(&(7..9)), "a full stop ends a clause");
        assert_eq!(words.find(0, &["no", "would", "would human"]), Some(1..3), "the longest phrase counts");
    }

    #[test]
    fn no_question_makes_it_panic() {
        for text in ["", " ", "?!.", "' ( )", "é–treated", "-treated", "–", "(()", "\u{301}", "a a a-treated a"] {
            let words = Words::new(text);
            for start in 0..words.len() {
                words.text(&(start..words.len()));
                words.clause_end(start);
            }
        }
    }
}
