//! The run: ours and the peer in turn, and whether they found the same.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::figure::{Figure, seconds, spread};
use crate::peer::{Answer, Peers, Prepared};

/// Measures both sides in turn, so that a busy machine slows both.
pub struct SideBySide {
    threads: usize,
    repeats: usize,
    peers: Option<Peers>,
    figures: Vec<Figure>,
    marks: Vec<String>,
}

/// What to compare.
pub struct Comparison<'a> {
    /// What both do.
    pub what: &'a str,
    /// Name of the peer in `peers/`.
    pub peer: &'a str,
    /// The peer's input.
    pub arguments: Value,
    /// Largest relative difference between the answers at which they count as the same.
    pub tolerance: f64,
    /// How often each side is measured at most, for what takes long.
    pub at_most: usize,
}

impl SideBySide {
    /// Starts the peers' process.
    pub fn new(threads: usize, repeats: usize) -> Result<Self> {
        Ok(Self { threads, repeats, peers: Peers::start(threads)?, figures: Vec::new(), marks: Vec::new() })
    }

    /// Threads either side may use.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Measures both and compares what they found. `answer` puts what `ours` returned into the
    /// columns of the peer. Fails where the answers differ; skips, loudly, where the peer is missing.
    pub fn compare<T>(
        &mut self,
        comparison: Comparison,
        mut ours: impl FnMut() -> T,
        answer: impl Fn(T) -> Answer,
    ) -> Result<()> {
        let Comparison { what, peer, arguments, tolerance, at_most } = comparison;
        let Some(peers) = &mut self.peers else {
            skipped(what, peer, "there is no Python");
            return Ok(());
        };
        let versions = match peers.prepare(peer, &arguments)? {
            Prepared::Versions(versions) => versions,
            Prepared::Missing(missing) => {
                skipped(what, peer, &missing);
                return Ok(());
            }
        };
        println!("  {what}, against {}", described(peer, &versions));

        let mut timed = || {
            let start = Instant::now();
            let found = std::hint::black_box(ours());
            (start.elapsed().as_secs_f64(), found)
        };
        let (ours_first_seconds, found) = timed();
        let peer_first_seconds = peers.run(peer)?;
        let max_relative_difference = differences(&answer(found), &peers.answer(peer)?)?;
        for (column, difference) in &max_relative_difference {
            println!("    largest relative difference in {column}: {difference:.1e}");
            ensure!(*difference <= tolerance, "{what}: {column} differs from {peer} by {difference:e}");
        }

        let (mut ours_seconds, mut peer_seconds) = (Vec::new(), Vec::new());
        for turn in 0..self.repeats.min(at_most) {
            if turn % 2 == 0 {
                ours_seconds.push(timed().0);
                peer_seconds.push(peers.run(peer)?);
            } else {
                peer_seconds.push(peers.run(peer)?);
                ours_seconds.push(timed().0);
            }
        }
        println!("    ours: {}; first call {}", spread(&ours_seconds), seconds(ours_first_seconds));
        println!("    peer: {}; first call {}", spread(&peer_seconds), seconds(peer_first_seconds));
        self.figures.push(Figure {
            what: what.to_owned(),
            peer: described(peer, &versions),
            versions,
            threads: self.threads,
            max_relative_difference,
            ours_first_seconds,
            peer_first_seconds,
            ours_seconds,
            peer_seconds,
        });
        Ok(())
    }

    /// Holds a figure of ours against what we promise: the less, the better.
    pub fn against_mark(&mut self, what: &str, mark: f64, ours: f64, unit: &str) {
        let line = format!("ratio: {what} = {:.2} (ours {ours:.1} {unit}, mark {mark:.1} {unit})", mark / ours);
        println!("  {line}");
        self.marks.push(line);
    }

    /// The figures held against marks, a line for each.
    pub fn marks(&self) -> Vec<String> {
        self.marks.clone()
    }

    /// Ends the peers' process: what was measured.
    pub fn finish(self) -> Vec<Figure> {
        self.figures
    }
}

fn skipped(what: &str, peer: &str, why: &str) {
    println!("\n!!! SKIPPED: {what}, against {peer}: {why} (make tools-bench installs the peers)\n");
}

/// With its version, which goes by the first word of its name.
fn described(peer: &str, versions: &BTreeMap<String, String>) -> String {
    let (package, rest) = peer.split_once(' ').map_or((peer, String::new()), |(name, rest)| (name, format!(" {rest}")));
    versions.get(package).map_or_else(|| peer.to_owned(), |version| format!("{package} {version}{rest}"))
}

/// The largest relative difference in each column of the peer.
fn differences(ours: &Answer, peer: &Answer) -> Result<BTreeMap<String, f64>> {
    let largest = |(name, expected): (&String, &Vec<Option<f64>>)| {
        let found = ours.get(name).map(Vec::as_slice).unwrap_or_default();
        ensure!(found.len() == expected.len(), "{name}: {} values, the peer has {}", found.len(), expected.len());
        let mut largest = 0.0_f64;
        for (row, pair) in found.iter().zip(expected).enumerate() {
            match pair {
                (None, None) => {}
                (Some(found), Some(expected)) => largest = largest.max(relative(*found, *expected)),
                _ => anyhow::bail!("{name}, row {row}: only one side has a value: {pair:?}"),
            }
        }
        Ok((name.clone(), largest))
    };
    ensure!(!peer.is_empty(), "the peer gave no column to compare");
    peer.iter().map(largest).collect()
}

/// Infinite where one is not a number. Values too small for all the digits of an `f64` are as
/// good as 0.
fn relative(found: f64, expected: f64) -> f64 {
    const VANISHED: f64 = 1e-300;
    if found == expected || (found.abs() < VANISHED && expected.abs() < VANISHED) {
        return 0.0;
    }
    let difference = ((found - expected) / expected).abs();
    if difference.is_nan() { f64::INFINITY } else { difference }
}
