//! How often names are resolved rightly, wrongly with confidence, or not at all, per source of the
//! gold set. `cargo test --test it resolver_gold -- --nocapture` prints the table.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use haystack::domain::Curie;
use haystack::knowledge::{Kind, Knowledge, Parts, Resolution, Source, obo};

use crate::support::shared;

/// In a debug build all 47 000 names would take minutes; `make bench-resolver` takes them all.
const PER_SOURCE: usize = 120;

/// Wrong with confidence, at most, in percent of a source's names. An answer above or below the gold
/// term (`is_a`) is counted apart: the gold set often has the organ's own term for a name that does not
/// say the organ (`pericyte` in a lung), or a coarser one (`monocyte` for `Cycling monocytes`).
const MAX_WRONG: f64 = 5.0;

#[derive(Default)]
struct Tally {
    n: usize,
    right: usize,
    wrong: usize,
    related: usize,
}

#[test]
fn wrong_answers_are_rare_on_the_gold_set() {
    let Some(gold) = shared("data/resolver_gold/gold.tsv.gz") else { return };
    let knowledge = knowledge();
    let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
    for (source, kind, text, ids) in sample(&gold, PER_SOURCE) {
        let ids: Vec<Curie> = ids.iter().filter_map(|id| knowledge.term(id).map(|term| term.id)).collect();
        let key = format!("{source} {}", kind.as_str().replace('-', "_"));
        let tally = tallies.entry(key.clone()).or_default();
        tally.n += 1;
        if let Resolution::Resolved(found) = knowledge.resolve(kind, &text) {
            if ids.contains(&found.term.id) {
                tally.right += 1;
            } else {
                tally.wrong += 1;
                let above = |id, other: &Curie| knowledge.ancestors(id).iter().any(|(term, _)| term.id == *other);
                let related = ids.iter().any(|id| above(id, &found.term.id) || above(&found.term.id, id));
                tally.related += usize::from(related);
                tally.wrong -= usize::from(related);
            }
        }
    }
    println!("\n{:<32} {:>6} {:>7} {:>7} {:>10} {:>10}", "source", "names", "right", "wrong", "in line", "abstained");
    for (key, t) in &tallies {
        let share = |n: usize| 100.0 * n as f64 / t.n as f64;
        println!(
            "{key:<32} {:>6} {:>6.1}% {:>6.1}% {:>9.1}% {:>9.1}%",
            t.n,
            share(t.right),
            share(t.wrong),
            share(t.related),
            share(t.n - t.right - t.wrong - t.related)
        );
    }
    for (key, t) in &tallies {
        // One wrong answer is allowed anywhere: a source of 15 names has no 5 %.
        let share = 100.0 * t.wrong.saturating_sub(1) as f64 / t.n as f64;
        assert!(share <= MAX_WRONG, "{key}: {} of {} names resolved wrongly", t.wrong, t.n);
    }
}

/// Every `n`th name of each source, evenly spread, so that about `limit` are left.
fn sample(path: &Path, limit: usize) -> Vec<(String, Kind, String, Vec<Curie>)> {
    let mut text = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    type Rows = Vec<(String, Vec<Curie>)>;
    let mut by_source: BTreeMap<(String, Kind), Rows> = BTreeMap::new();
    for line in text.lines().skip(1) {
        let fields: Vec<&str> = line.split('\t').collect();
        let kind = match fields[1] {
            "cell_type" => Kind::CellType,
            "tissue" => Kind::Tissue,
            "disease" => Kind::Disease,
            _ => continue,
        };
        let ids = fields[3].split('|').filter_map(|id| id.parse().ok()).collect();
        by_source.entry((fields[0].to_owned(), kind)).or_default().push((fields[2].to_owned(), ids));
    }
    let mut taken = Vec::new();
    for ((source, kind), rows) in by_source {
        let step = rows.len().div_ceil(limit);
        taken.extend(rows.into_iter().step_by(step).map(|(text, ids)| (source.clone(), kind, text, ids)));
    }
    taken
}

fn knowledge() -> Knowledge {
    let mut terms = Vec::new();
    for name in ["cl.2026-03-26", "uberon.2026-04-01", "mondo.2026-05-05"] {
        let path = shared(&format!("data/ontologies/derived/{name}.derived.obo.gz")).unwrap();
        let document = obo::parse(&Source::read(&path).unwrap()).unwrap();
        terms.extend(document.into_ontology(None).unwrap().0.terms);
    }
    Knowledge::new(Parts { terms, ..Parts::default() })
}
