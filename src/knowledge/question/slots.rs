//! Where a question has its cell type and its perturbation by its grammar, whether or not we know what
//! stands there: needed to say which words were not found.

use std::ops::Range;

use super::words::{Words, is_function_word, is_plain_word};

/// Phrases that a perturbation follows.
const BEFORE_PERTURBATION: [&str; 36] = [
    "respond to",
    "responds to",
    "responding to",
    "response to",
    "responses to",
    "react to",
    "reaction to",
    "exposed to",
    "exposure to",
    "subjected to",
    "sensitive to",
    "resistant to",
    "treated with",
    "treatment with",
    "treat with",
    "stimulated with",
    "stimulated by",
    "stimulation with",
    "stimulation by",
    "incubated with",
    "cultured with",
    "challenged with",
    "perturbed with",
    "perturbed by",
    "presence of",
    "addition of",
    "administered",
    "effect of",
    "effects of",
    "impact of",
    "influence of",
    "knockout of",
    "knockdown of",
    "overexpression of",
    "deletion of",
    "given",
];

/// What a perturbation stands before, where nothing else says that it is one.
const AFTER_PERTURBATION: [&str; 14] = [
    "do to",
    "affect",
    "affects",
    "influence",
    "influences",
    "change",
    "changes",
    "alter",
    "alters",
    "modulate",
    "modulates",
    "impact",
    "treated",
    "stimulated",
];

/// Phrases that a cell type follows.
const BEFORE_CELL_TYPE: [&str; 21] = [
    "how would",
    "how will",
    "how do",
    "how does",
    "how might",
    "how could",
    "how can",
    "happens to",
    "happen to",
    "happens in",
    "do to",
    "response of",
    "responses of",
    "reaction of",
    "on",
    "upon",
    "in",
    "affect",
    "influence",
    "alter",
    "expression of",
];

/// The words where the perturbation must be, as they were not found among the names.
pub(super) fn perturbation(words: &Words<'_>, taken: &[Range<usize>]) -> Option<Range<usize>> {
    let mut from = 0;
    while let Some(cue) = words.find(from, &BEFORE_PERTURBATION) {
        let run = phrase(words, cue.end, taken);
        if run.is_some() {
            return run;
        }
        from = cue.end;
    }
    // `How does FOO affect T cells?`, `FOO-treated T cells`: what stands before the verb.
    let cue = words.find(1, &AFTER_PERTURBATION)?;
    let start = (0..cue.start).rev().find(|&at| is_boundary(words, at, taken)).map_or(0, |at| at + 1);
    trimmed(words, start..cue.start)
}

/// The first word after a phrase that a perturbation follows.
pub(super) fn after_cue(words: &Words<'_>) -> Option<usize> {
    let cue = words.find(0, &BEFORE_PERTURBATION)?;
    (cue.end..words.len()).find(|&at| !matches!(words.lower(at), "the" | "a" | "an"))
}

/// The words where the cell type must be, as they were not found among the names.
pub(super) fn cell_type(words: &Words<'_>, taken: &[Range<usize>]) -> Option<Range<usize>> {
    let mut from = 0;
    while let Some(cue) = words.find(from, &BEFORE_CELL_TYPE) {
        let run = phrase(words, cue.end, taken);
        if run.is_some() {
            return run;
        }
        from = cue.start + 1;
    }
    // What is left over and ends in `cells`.
    (0..words.len()).filter(|&at| matches!(words.lower(at), "cell" | "cells")).find_map(|at| {
        let start = (0..at).rev().find(|&i| is_boundary(words, i, taken)).map_or(0, |i| i + 1);
        trimmed(words, start..at + 1)
    })
}

/// Runs of words that name nothing we know: neither part of a name nor plain.
pub(super) fn left_over<'a>(words: &Words<'a>, taken: &[Range<usize>]) -> Vec<&'a str> {
    let is_taken = |at: usize| taken.iter().any(|run| run.contains(&at));
    let mut runs: Vec<Range<usize>> = Vec::new();
    for at in (0..words.len()).filter(|&at| !is_taken(at) && !is_plain_word(words.lower(at))) {
        match runs.last_mut() {
            Some(last) if last.end == at => last.end += 1,
            _ => runs.push(at..at + 1),
        }
    }
    runs.iter().map(|run| words.text(run)).collect()
}

/// The words from `start` up to the next that cannot belong to a name; `None` if they name nothing.
fn phrase(words: &Words<'_>, start: usize, taken: &[Range<usize>]) -> Option<Range<usize>> {
    let start = (start..words.len()).find(|&at| !matches!(words.lower(at), "the" | "a" | "an"))?;
    let end = words.clause_end(start);
    let end = (start..end).find(|&at| is_boundary(words, at, taken)).unwrap_or(end);
    trimmed(words, start..end)
}

fn is_boundary(words: &Words<'_>, at: usize, taken: &[Range<usize>]) -> bool {
    const VERBS: [&str; 15] = [
        "respond",
        "responds",
        "react",
        "change",
        "look",
        "express",
        "affect",
        "affects",
        "alter",
        "alters",
        "treated",
        "stimulated",
        "exposed",
        "given",
        "behave",
    ];
    let word = words.lower(at);
    // `of` joins names: fibroblasts of the lung.
    (is_function_word(word) && word != "of") || VERBS.contains(&word) || taken.iter().any(|run| run.contains(&at))
}

/// The run without function words at its ends, if it says anything.
fn trimmed(words: &Words<'_>, run: Range<usize>) -> Option<Range<usize>> {
    let is_end = |at: &usize| !is_function_word(words.lower(*at));
    let start = run.clone().find(is_end)?;
    let end = run.rev().find(is_end)? + 1;
    (start..end).any(|at| !is_plain_word(words.lower(at))).then_some(start..end)
}
