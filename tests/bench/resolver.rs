//! How often names are resolved rightly, wrongly with confidence, or not at all, per source of the gold
//! set, and how long a name takes.
//!
//! `make bench-resolver` runs all of it; `make bench-resolver ARGS='hra craft'` the sources whose name
//! holds a word. The half of the labels that the weights were fitted on is told apart from the other by
//! a hash of the label, so that a label is always in the same half, whatever source it is from.

use std::collections::BTreeMap;
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Parser;
use haystack::domain::Curie;
use haystack::knowledge::{Kind, Knowledge, Parts, Resolution, Source, obo};
use sha2::{Digest, Sha256};

/// Resolve the gold set and say how well
#[derive(Parser)]
struct Args {
    /// Only the sources whose name holds one of these words
    words: Vec<String>,
    /// Folder with `resolver_gold` and `ontologies`
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data"))]
    data: PathBuf,
    /// Write what speaks for each candidate of each label here, for resolver_fit.py
    #[arg(long)]
    features: Option<PathBuf>,
    /// Write each answer here, with the gold term
    #[arg(long)]
    answers: Option<PathBuf>,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

/// A line of the gold set.
struct Label {
    source: String,
    kind: Kind,
    text: String,
    context: String,
    gold: Vec<Curie>,
}

/// What became of the labels of one source and half.
#[derive(Default)]
struct Tally {
    n: usize,
    right: usize,
    /// Abstained, with the gold term as the first candidate.
    first: usize,
    wrong: usize,
    /// Of the wrong: above or below the gold term.
    in_line: usize,
    /// No gold term is left in the ontology.
    gone: usize,
}

/// Beside the ontologies, with their versions.
const ONTOLOGIES: [&str; 3] = ["cl.2026-03-26", "uberon.2026-04-01", "mondo.2026-05-05"];

fn main() -> Result<()> {
    let args = Args::parse();
    let knowledge = knowledge(&args.data)?;
    let asked_for =
        |label: &Label| args.words.is_empty() || args.words.iter().any(|w| label.source.contains(w.as_str()));
    let labels: Vec<Label> = gold(&args.data, &knowledge)?.into_iter().filter(asked_for).collect();
    if let Some(path) = &args.features {
        return features(&knowledge, &labels, path);
    }
    let mut answers = args.answers.as_deref().map(std::fs::File::create).transpose()?.map(BufWriter::new);
    for kind in Kind::ALL {
        // Names are prepared when a kind is first asked for.
        knowledge.resolve(kind, "warm up");
    }
    let mut alone: BTreeMap<(String, Kind), [Tally; 2]> = BTreeMap::new();
    let mut informed: BTreeMap<(String, Kind), [Tally; 2]> = BTreeMap::new();
    let mut taken: BTreeMap<Kind, Vec<Duration>> = BTreeMap::new();
    for label in &labels {
        let key = (label.source.clone(), label.kind);
        let half = usize::from(!is_for_tuning(&label.text));
        let start = Instant::now();
        let found = knowledge.resolve(label.kind, &label.text);
        taken.entry(label.kind).or_default().push(start.elapsed());
        alone.entry(key.clone()).or_default()[half].add(&knowledge, label, &found);
        if let Some(answers) = &mut answers {
            let gold: Vec<&str> = label.gold.iter().map(Curie::as_str).collect();
            writeln!(answers, "{}\t{}\t{half}\t{}\t{}", label.source, label.text, gold.join("|"), shown(&found))?;
        }
        if !label.context.is_empty() {
            let found = knowledge.resolve_in(label.kind, &label.text, &label.context);
            informed.entry(key).or_default()[half].add(&knowledge, label, &found);
        }
    }
    for (half, title) in ["the half the weights were fitted on", "the other half"].into_iter().enumerate() {
        println!("\nlabels alone, {title}");
        table(&alone, half);
        if !informed.is_empty() {
            println!("\nwith what the source says of the tissue, {title}");
            table(&informed, half);
        }
    }
    println!();
    for (kind, mut taken) in taken {
        taken.sort();
        let (mean, p99) = (taken.iter().sum::<Duration>() / taken.len() as u32, taken[taken.len() * 99 / 100]);
        println!("time: a {} takes {mean:.2?}, 99 of 100 take at most {p99:.2?}", kind.title());
    }
    println!();
    let floors = floors(&args.data)?;
    for ((source, kind), [_, held]) in &alone {
        let Some(target) = target(source, *kind, &floors).filter(|_| held.n > 0) else { continue };
        let (right, first) = (held.share(held.right), held.share(held.right + held.first));
        println!(
            "ratio: resolver {source} = {:.2} ({}s: right {:.1} %, target {:.1} %; with first candidates {:.1} %; wrong {:.1} %)",
            right / target,
            kind.title(),
            100.0 * right,
            100.0 * target,
            100.0 * first,
            100.0 * held.share(held.wrong),
        );
    }
    Ok(())
}

impl Tally {
    fn add(&mut self, knowledge: &Knowledge, label: &Label, found: &Resolution) {
        self.n += 1;
        self.gone += usize::from(label.gold.is_empty());
        match found {
            Resolution::Resolved(found) if label.gold.contains(&found.term.id) => self.right += 1,
            Resolution::Resolved(found) => {
                self.wrong += 1;
                let above =
                    |id: &Curie, other: &Curie| knowledge.ancestors(id).iter().any(|(term, _)| term.id == *other);
                let id = &found.term.id;
                self.in_line += usize::from(label.gold.iter().any(|gold| above(gold, id) || above(id, gold)));
            }
            Resolution::Abstained { candidates } => {
                let first = candidates.first().is_some_and(|first| label.gold.contains(&first.term.id));
                self.first += usize::from(first);
            }
        }
    }

    fn share(&self, n: usize) -> f64 {
        n as f64 / self.n.max(1) as f64
    }
}

fn table(tallies: &BTreeMap<(String, Kind), [Tally; 2]>, half: usize) {
    println!(
        "{:<26} {:<10} {:>6} {:>7} {:>9} {:>9} {:>7} {:>9} {:>6}",
        "source", "kind", "labels", "right", "at rank 1", "abstained", "wrong", "(in line)", "gone"
    );
    for ((source, kind), halves) in tallies {
        let t = &halves[half];
        let share = |n: usize| format!("{:.1} %", 100.0 * t.share(n));
        println!(
            "{source:<26} {:<10} {:>6} {:>7} {:>9} {:>9} {:>7} {:>9} {:>6}",
            kind.title(),
            t.n,
            share(t.right),
            share(t.right + t.first),
            share(t.n - t.right - t.wrong),
            share(t.wrong),
            share(t.in_line),
            share(t.gone),
        );
    }
}

/// What a source's labels are to reach: set for cell labels and mentions; elsewhere what looking names up
/// as they are spelled reaches, and half of what that misses.
fn target(source: &str, kind: Kind, floors: &BTreeMap<(String, Kind), f64>) -> Option<f64> {
    match kind {
        Kind::CellType if source.starts_with("craft") || source == "bioid" => Some(0.45),
        Kind::CellType if ["hra_", "celldex_", "panglao"].iter().any(|prefix| source.starts_with(prefix)) => Some(0.65),
        Kind::CellType | Kind::Perturbation => None,
        Kind::Tissue | Kind::Disease => floors.get(&(source.to_owned(), kind)).map(|floor| floor + (1.0 - floor) / 2.0),
    }
}

fn is_for_tuning(label: &str) -> bool {
    let folded = label.split_whitespace().map(str::to_lowercase).collect::<Vec<_>>().join(" ");
    Sha256::digest(format!("haystack resolver 1\n{folded}"))[0].is_multiple_of(2)
}

fn knowledge(data: &Path) -> Result<Knowledge> {
    let mut terms = Vec::new();
    for name in ONTOLOGIES {
        let path = data.join(format!("ontologies/derived/{name}.derived.obo.gz"));
        terms.extend(obo::parse(&Source::read(&path)?)?.into_ontology(None)?.0.terms);
    }
    Ok(Knowledge::new(Parts { terms, ..Parts::default() }))
}

fn gold(data: &Path, knowledge: &Knowledge) -> Result<Vec<Label>> {
    let path = data.join("resolver_gold/gold.tsv.gz");
    let file = std::fs::File::open(&path).with_context(|| path.display().to_string())?;
    let mut text = String::new();
    flate2::read::MultiGzDecoder::new(file).read_to_string(&mut text)?;
    let label = |line: &str| {
        let [source, kind, text, ids, _, context, ..] = line.split('\t').collect::<Vec<_>>()[..] else { return None };
        let gold = ids.split('|').filter_map(|id| id.parse().ok()).filter_map(|id: Curie| knowledge.term(&id));
        Some(Label {
            source: source.to_owned(),
            kind: kind_of(kind)?,
            text: text.to_owned(),
            context: context.to_owned(),
            gold: gold.map(|term| term.id).collect(),
        })
    };
    Ok(text.lines().skip(1).filter_map(label).collect())
}

fn floors(data: &Path) -> Result<BTreeMap<(String, Kind), f64>> {
    let text = std::fs::read_to_string(data.join("resolver_gold/gold_floor.tsv"))?;
    let floor = |line: &str| {
        let [source, kind, _, _, _, floor, ..] = line.split('\t').collect::<Vec<_>>()[..] else { return None };
        Some(((source.to_owned(), kind_of(kind)?), floor.parse().ok()?))
    };
    Ok(text.lines().skip(1).filter_map(floor).collect())
}

fn kind_of(word: &str) -> Option<Kind> {
    Kind::ALL.into_iter().find(|kind| kind.as_str().replace('-', "_") == word)
}

fn shown(found: &Resolution) -> String {
    let list = |candidates: &[haystack::knowledge::Candidate]| {
        let one = |c: &haystack::knowledge::Candidate| format!("{} {} {:.2}", c.term.id, c.term.name, c.score);
        candidates.iter().map(one).collect::<Vec<_>>().join("; ")
    };
    match found {
        Resolution::Resolved(found) => format!("{}\t{}", found.how.as_str(), list(std::slice::from_ref(found))),
        Resolution::Abstained { candidates } => format!("?\t{}", list(candidates)),
    }
}

/// The format is told in resolver_fit.py.
fn features(knowledge: &Knowledge, labels: &[Label], path: &Path) -> Result<()> {
    let mut out = BufWriter::new(std::fs::File::create(path)?);
    writeln!(out, "{}", Knowledge::features().join("\t"))?;
    let sparse = |values: &[f32]| {
        let nonzero = values.iter().enumerate().filter(|(_, value)| **value != 0.0);
        nonzero.map(|(at, value)| format!("{at}:{value:.4}")).collect::<Vec<_>>().join(",")
    };
    for label in labels {
        let half = if is_for_tuning(&label.text) { "T" } else { "H" };
        let kind = label.kind.as_str().replace('-', "_");
        for context in ["", &label.context].into_iter().take(if label.context.is_empty() { 1 } else { 2 }) {
            let given = if context.is_empty() { "" } else { "in" };
            let (none, candidates) = knowledge.weigh(label.kind, &label.text, context);
            write!(out, "{}\t{kind}\t{}\t{half}\t{given}\t{}", label.source, label.text, sparse(&none))?;
            for (term, values) in candidates {
                let is_gold = u8::from(label.gold.contains(&term.id));
                write!(out, "\t{}|{is_gold}|{}", term.id, sparse(&values))?;
            }
            writeln!(out)?;
        }
    }
    println!("wrote {}", path.display());
    Ok(())
}
