//! From a question in words to a [`StructuredQuery`], by rules: no language model is asked.
//!
//! A name counts only if it is the name of something we hold, spelled one way or another. A slip of
//! the finger is answered with what was probably meant: a run takes minutes, and an answer to another
//! question is worth nothing.

mod names;
mod slots;
mod words;

use std::ops::Range;

use super::normalize;
use super::{Candidate, How, Kind, Knowledge, Resolution};
use crate::domain::organism::{ORGANISMS, Organism};
use crate::domain::query::{StructuredQuery, Task};
use crate::domain::run::{Failure, FailureKind};
use crate::domain::terms::PerturbationKind;
use crate::domain::{Perturbation, Term};
use names::Name;
use words::Words;

/// The shortest question, in characters.
pub const MIN_CHARACTERS: usize = 10;

/// The longest question, in characters; more is a document.
pub const MAX_CHARACTERS: usize = 2000;

/// What a question may look like, for hints.
const EXAMPLE: &str = "How would B cells respond to interferon beta?";

/// Names that only the data know.
#[derive(Clone, Debug, Default)]
pub struct Holdings {
    /// Donors, as the data name them; if there are none, the question's word is taken.
    pub donors: Vec<String>,
    /// Perturbations, by the name they are held under.
    pub perturbations: Vec<String>,
    /// Data sets.
    pub datasets: Vec<String>,
    /// Organisms, as the data name them; if there are none, the question's is left aside.
    pub organisms: Vec<String>,
}

/// The question without white space around it, if it is neither too short nor too long.
pub fn check(question: &str) -> Result<&str, Failure> {
    let question = question.trim();
    let n = question.chars().count();
    if n < MIN_CHARACTERS {
        let what = format!("the question has {n} characters; at least {MIN_CHARACTERS} are needed");
        return Err(parsing(what, format!("ask for example: {EXAMPLE}")));
    }
    if n > MAX_CHARACTERS {
        let what = format!("the question has {n} characters; at most {MAX_CHARACTERS} are read");
        return Err(parsing(what, "ask one question in one sentence".to_owned()));
    }
    Ok(question)
}

/// Understands a question (see [`understand`]) and makes sure that it is of a kind that can be
/// answered.
pub fn answerable(knowledge: &Knowledge, holdings: &Holdings, question: &str) -> Result<StructuredQuery, Failure> {
    let query = understand(knowledge, holdings, question)?;
    if query.task.is_perturbational() {
        return Ok(query);
    }
    let task = query.task.as_str().replace('_', " ");
    Err(parsing(
        format!("this question asks for {task}, which cannot be scored yet"),
        "ask how a cell type responds to a perturbation".to_owned(),
    ))
}

/// Understands a question by what we know and by names that only the data know.
///
/// # Errors
/// `QueryParsingError` if it is too short, too long or not about one cell type and one perturbation
/// (or donor, or data set); `EntityResolutionError`, with the words and what they may have meant, if it
/// names something we do not hold.
pub fn understand(knowledge: &Knowledge, holdings: &Holdings, question: &str) -> Result<StructuredQuery, Failure> {
    let question = check(question)?;
    if !knowledge.has_ontology("CL") {
        return Err(Failure {
            kind: FailureKind::EntityResolutionError,
            message: "no cell types are known yet".to_owned(),
            hint: Some("run 'haystack import starter', or 'haystack import ontology' on a release of CL".to_owned()),
        });
    }
    let words = Words::new(question);
    let names = names::find(&words, knowledge, &|text| held_perturbation(text, holdings));
    let reading = Reading { words, names, knowledge, holdings };
    reading.check_turned()?;
    let organism = reading.organism()?;
    let donor = reading.donor()?;
    let perturbation = reading.perturbation()?;
    let task = reading.task(perturbation.is_some(), donor.is_some()).ok_or_else(|| reading.no_perturbation())?;
    let cell_type = reading.cell_type(task)?;
    Ok(StructuredQuery {
        question: question.to_owned(),
        task,
        tissue: reading.tissue(),
        disease: reading.of(Kind::Disease).find_map(Name::term).cloned(),
        notes: reading.notes(&cell_type, &[donor.as_deref(), organism]),
        cell_type,
        perturbation,
        donor,
    })
}

fn held_perturbation(text: &str, holdings: &Holdings) -> Option<Term> {
    let asked = normalize::words(Kind::Perturbation, text);
    let name = holdings.perturbations.iter().find(|name| normalize::words(Kind::Perturbation, name) == asked)?;
    Some(Perturbation::named(name, PerturbationKind::Unknown).term())
}

/// Words beside a perturbation that make it another one: a TNF inhibitor is not TNF.
const TURNS_BEFORE: [&str; 10] = [
    "anti",
    "without",
    "no",
    "blocking",
    "neutralizing",
    "neutralising",
    "inhibiting",
    "lacking",
    "against",
    "absence",
];
const TURNS_AFTER: [&str; 22] = [
    "receptor",
    "receptors",
    "inhibitor",
    "inhibitors",
    "inhibition",
    "blockade",
    "blocker",
    "blocking",
    "antibody",
    "antibodies",
    "antagonist",
    "antagonists",
    "agonist",
    "neutralization",
    "neutralisation",
    "withdrawal",
    "deprivation",
    "depletion",
    "deficiency",
    "deficient",
    "mimetic",
    "analog",
];

/// Words for those that cells come from.
const SAMPLES: [&str; 11] = [
    "donor",
    "donors",
    "patient",
    "patients",
    "individual",
    "individuals",
    "subject",
    "subjects",
    "sample",
    "samples",
    "person",
];

/// A question with the names found in it.
struct Reading<'a> {
    words: Words<'a>,
    names: Vec<Name>,
    knowledge: &'a Knowledge,
    holdings: &'a Holdings,
}

impl Reading<'_> {
    fn check_turned(&self) -> Result<(), Failure> {
        for name in self.of(Kind::Perturbation) {
            let mut before = name.run.start;
            // `absence of IL-2`: the word that turns it may stand one further off.
            while before > 0 && matches!(self.words.lower(before - 1), "of" | "the") {
                before -= 1;
            }
            let before = before.checked_sub(1).filter(|&at| TURNS_BEFORE.contains(&self.words.lower(at)));
            let wider = name.run.start..name.run.end + 1;
            let is_turned = TURNS_AFTER.contains(&self.words.lower(name.run.end)) && self.words.is_whole(&wider);
            if before.is_some() || is_turned {
                let run = before.unwrap_or(name.run.start)..name.run.end + usize::from(is_turned);
                return Err(self.not_found(Kind::Perturbation, self.words.text(&run)));
            }
        }
        Ok(())
    }

    fn perturbation(&self) -> Result<Option<Perturbation>, Failure> {
        if let Some(term) = self.only(Kind::Perturbation)? {
            let known = self.knowledge.perturbation(&term);
            return Ok(Some(known.unwrap_or_else(|| Perturbation::named(&term.name, PerturbationKind::Unknown))));
        }
        // Nothing known; but where the grammar says that one is named, say what was not found, or what
        // stands there instead.
        let instead = slots::after_cue(&self.words).and_then(|at| self.names.iter().find(|name| name.run.start == at));
        match slots::perturbation(&self.words, &self.taken()).or_else(|| instead.map(|name| name.run.clone())) {
            Some(run) => Err(self.not_found(Kind::Perturbation, self.words.text(&run))),
            None => Ok(None),
        }
    }

    fn cell_type(&self, task: Task) -> Result<Term, Failure> {
        if let Some(term) = self.only(Kind::CellType)? {
            return Ok(term);
        }
        let taken = self.taken();
        if let Some(run) = slots::cell_type(&self.words, &taken) {
            return Err(self.not_found(Kind::CellType, self.words.text(&run)));
        }
        match slots::left_over(&self.words, &taken)[..] {
            [] => {
                let asked = if task.is_perturbational() { "response" } else { "expression" };
                let what = format!("the question does not say which cell type's {asked} is wanted");
                Err(parsing(what, format!("name one, for example: {EXAMPLE}")))
            }
            ref rest => Err(self.not_found(Kind::CellType, &rest.join(" "))),
        }
    }

    /// The one thing of a kind that the question names.
    fn only(&self, kind: Kind) -> Result<Option<Term>, Failure> {
        let mut found: Vec<&Name> = self.of(kind).collect();
        if kind == Kind::CellType && found.len() > 1 {
            // `T cells from PBMC`: what they are taken from is not what is asked about.
            let others: Vec<&Name> = found.iter().filter(|name| !self.is_origin(name)).copied().collect();
            if !others.is_empty() {
                found = others;
            }
        }
        if let Some(ambiguous) = found.iter().find(|name| name.term().is_none()) {
            return Err(Failure {
                kind: FailureKind::EntityResolutionError,
                message: format!("'{}' may be more than one {}", self.words.text(&ambiguous.run), kind.title()),
                hint: Some(format!("did you mean {}?", listed(&ambiguous.meanings))),
            });
        }
        let mut terms: Vec<&Term> = found.iter().filter_map(|name| name.term()).collect();
        let mut seen = Vec::new();
        terms.retain(|term| {
            !seen.contains(&&term.id) && {
                seen.push(&term.id);
                true
            }
        });
        match terms[..] {
            [] => Ok(None),
            [only] => Ok(Some(only.clone())),
            _ => {
                let shown: Vec<_> = terms.iter().map(|term| term.name.as_str()).collect();
                let what = format!("the question names more than one {}: {}", kind.title(), shown.join("; "));
                Err(parsing(what, format!("ask about one {} at a time", kind.title())))
            }
        }
    }

    fn is_origin(&self, name: &Name) -> bool {
        let before = name.run.start.checked_sub(1).map_or("", |at| self.words.lower(at));
        matches!(before, "from" | "among" | "within")
            || self.knowledge.look_up(Kind::Tissue, self.words.text(&name.run)).is_some()
    }

    /// A donor the data have, or an error about the word after `donor` that they do not have.
    fn donor(&self) -> Result<Option<String>, Failure> {
        const CUES: [&str; 5] = ["donor", "patient", "individual", "subject", "sample"];
        let taken = self.taken();
        for at in 0..self.words.len() {
            let follows_cue = at > 0 && CUES.contains(&self.words.lower(at - 1));
            let text = self.words.text(&(at..at + 1));
            let is_in_name = taken.iter().any(|run| run.contains(&at));
            let has_digit = text.contains(|c: char| c.is_ascii_digit());
            if let Some(donor) = self.holdings.donors.iter().find(|donor| donor.eq_ignore_ascii_case(text)) {
                // A donor called `1` or `B` is only meant where the question says so.
                let is_telling = text.len() > 2 && (has_digit || text.contains('_'));
                if follows_cue || (is_telling && !is_in_name) {
                    return Ok(Some(donor.clone()));
                }
            } else if follows_cue && !is_in_name && has_digit {
                if self.holdings.donors.is_empty() {
                    return Ok(Some(text.to_owned()));
                }
                return Err(self.no_donor(text));
            }
        }
        Ok(None)
    }

    fn no_donor(&self, text: &str) -> Failure {
        let mut near: Vec<_> = self.holdings.donors.iter().collect();
        near.sort_by_key(|donor| strsim::osa_distance(&donor.to_lowercase(), &text.to_lowercase()));
        let near: Vec<_> = near.into_iter().take(5).map(String::as_str).collect();
        Failure {
            kind: FailureKind::EntityResolutionError,
            message: format!("no data of the donor '{text}' are held"),
            hint: Some(format!("donors held are for example {}", near.join(", "))),
        }
    }

    fn task(&self, has_perturbation: bool, has_donor: bool) -> Option<Task> {
        const IMPUTING: [&str; 9] = [
            "impute",
            "imputation",
            "missing",
            "unmeasured",
            "not measured",
            "not sampled",
            "fill in",
            "unobserved",
            "imputed",
        ];
        const DATA_SETS: [&str; 6] = ["dataset", "datasets", "data set", "data sets", "atlas", "atlases"];
        const LOOKING: [&str; 12] = [
            "look like",
            "expression",
            "express",
            "predict",
            "transcriptome",
            "profile",
            "profiles",
            "expect",
            "generate",
            "reconstruct",
            "differ",
            "what are",
        ];
        let names_samples = has_donor || self.words.has(&SAMPLES);
        if has_perturbation {
            return Some(if names_samples { Task::PerturbationNovelSamples } else { Task::PerturbationNovelCellTypes });
        }
        let n_datasets = self.holdings.datasets.iter().filter(|name| self.words.has(&[&name.to_lowercase()])).count();
        let across = self.words.has(&["across", "into", "to", "between", "from one"]);
        if n_datasets > 1 || (across && self.words.has(&DATA_SETS)) {
            return Some(Task::CrossDatasetGeneration);
        }
        if self.words.has(&IMPUTING) {
            return Some(Task::CellTypeImputation);
        }
        let names_context = names_samples || self.of(Kind::Disease).next().is_some();
        (names_context && self.words.has(&LOOKING)).then_some(Task::DonorExpressionPrediction)
    }

    fn no_perturbation(&self) -> Failure {
        let about = self.of(Kind::CellType).find_map(Name::term);
        let about = about.map_or(String::new(), |term| format!(" to the {} ({})", term.name, term.id));
        let what =
            format!("the question does not say what is done{about}: it names no cytokine, drug or gene change we hold");
        match slots::left_over(&self.words, &self.taken())[..] {
            [] => parsing(what, format!("name one, for example: {EXAMPLE}")),
            ref rest => Failure {
                kind: FailureKind::EntityResolutionError,
                message: what,
                hint: Some(format!("not understood: '{}'; ask for example: {EXAMPLE}", rest.join("', '"))),
            },
        }
    }

    fn tissue(&self) -> Option<Term> {
        self.of(Kind::Tissue).find_map(Name::term).cloned().or_else(|| {
            // `T cells from PBMC` names the blood, though PBMC are cells too.
            let origins = self.of(Kind::CellType).filter(|name| self.is_origin(name));
            let mut found = origins.filter_map(|name| self.knowledge.look_up(Kind::Tissue, self.words.text(&name.run)));
            found.find_map(|found| found.term().cloned())
        })
    }

    /// The word that names an organism, where one does.
    fn organism(&self) -> Result<Option<&str>, Failure> {
        let find = |organism: &'static Organism| Some((self.words.find(0, organism.called)?, organism));
        let Some((run, organism)) = ORGANISMS.iter().find_map(find) else { return Ok(None) };
        let word = self.words.text(&run);
        let held: Vec<Option<&Organism>> = self.holdings.organisms.iter().map(|held| Organism::named(held)).collect();
        if held.contains(&Some(organism)) {
            return Ok(Some(word));
        }
        // One that the data call by a name we do not know may be the one that is meant.
        if held.is_empty() || held.contains(&None) {
            return Ok(None);
        }
        let held = self.holdings.organisms.join(" and ");
        Err(Failure {
            kind: FailureKind::EntityResolutionError,
            message: format!("the question is about {} cells, and the data sets held are of {held}", organism.name),
            hint: Some(format!("ask without '{word}', or import a data set of {} first", organism.name)),
        })
    }

    /// What a reader of the answer should know; words taken elsewhere are no news.
    fn notes(&self, cell_type: &Term, taken: &[Option<&str>]) -> Vec<String> {
        let mut notes = Vec::new();
        for name in &self.names {
            let Some(Candidate { term, how, .. }) = name.meanings.first() else { continue };
            let is_origin = name.kind == Kind::CellType && term != cell_type;
            if *how != How::Exact && !is_origin {
                let text = self.words.text(&name.run);
                notes.push(format!("'{text}' was read as the {} {} ({})", name.kind.title(), term.name, term.id));
            }
        }
        let rest = slots::left_over(&self.words, &self.taken());
        let is_taken = |word: &&str| taken.iter().flatten().any(|taken| taken.eq_ignore_ascii_case(word));
        let rest: Vec<_> = rest.into_iter().filter(|word| !is_taken(word)).collect();
        if !rest.is_empty() {
            notes.push(format!("not taken into account: '{}'", rest.join("', '")));
        }
        notes
    }

    fn not_found(&self, kind: Kind, text: &str) -> Failure {
        let failure = |message, hint| Failure { kind: FailureKind::EntityResolutionError, message, hint: Some(hint) };
        for other in Kind::ALL.into_iter().filter(|other| *other != kind) {
            if let Some(Resolution::Resolved(found)) = self.knowledge.look_up(other, text) {
                let what = format!("'{text}' is a {} ({}), not a {}", other.title(), found.term.id, kind.title());
                return failure(what, format!("ask for example: {EXAMPLE}"));
            }
        }
        let candidates = match self.knowledge.resolve(kind, text) {
            Resolution::Resolved(candidate) => vec![candidate],
            Resolution::Abstained { candidates } => candidates,
        };
        let hint = match candidates.is_empty() {
            false => format!("did you mean {}?", listed(&candidates)),
            true if !self.knowledge.has_names(kind) => {
                let what = if kind == Kind::Perturbation { "perturbations" } else { "ontology" };
                format!("none is imported yet: use 'haystack import {what}', or 'haystack import starter' to try it")
            }
            true => match &self.holdings.perturbations[..] {
                held if kind == Kind::Perturbation && !held.is_empty() => {
                    format!("cells are held under {}", few(held))
                }
                _ => "nothing that is held has a name like it".to_owned(),
            },
        };
        failure(format!("no {} called '{text}' is held", kind.title()), hint)
    }

    fn of(&self, kind: Kind) -> impl Iterator<Item = &Name> {
        self.names.iter().filter(move |name| name.kind == kind)
    }

    fn taken(&self) -> Vec<Range<usize>> {
        self.names.iter().map(|name| name.run.clone()).collect()
    }
}

fn parsing(message: String, hint: String) -> Failure {
    Failure { kind: FailureKind::QueryParsingError, message, hint: Some(hint) }
}

/// The first of many names.
fn few(names: &[String]) -> String {
    const SHOWN: usize = 8;
    match names.len().saturating_sub(SHOWN) {
        0 => names.join(", "),
        more => format!("{} and {more} more", names[..SHOWN].join(", ")),
    }
}

fn listed(candidates: &[Candidate]) -> String {
    let shown: Vec<_> = candidates.iter().take(5).map(|c| format!("{} ({})", c.term.name, c.term.id)).collect();
    match &shown[..] {
        [] => String::new(),
        [only] => only.clone(),
        [rest @ .., last] => format!("{} or {last}", rest.join(", ")),
    }
}
