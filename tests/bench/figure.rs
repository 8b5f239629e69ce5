//! One figure: the seconds both sides took for the same thing.

use std::collections::BTreeMap;

use serde::Serialize;

/// The seconds both sides took, in the order they were measured.
#[derive(Serialize)]
pub struct Figure {
    /// What both did.
    pub what: String,
    /// Who the other was.
    pub peer: String,
    /// What the peer ran on: its own version and those of its libraries.
    pub versions: BTreeMap<String, String>,
    /// Threads either side was given.
    pub threads: usize,
    /// Largest relative difference between the two answers, by column.
    pub max_relative_difference: BTreeMap<String, f64>,
    /// Our first call, not counted below.
    pub ours_first_seconds: f64,
    /// The peer's first call, with what it compiles on the way; not counted below.
    pub peer_first_seconds: f64,
    /// Ours.
    pub ours_seconds: Vec<f64>,
    /// The peer's.
    pub peer_seconds: Vec<f64>,
}

impl Figure {
    /// The line to read: how many times faster we are, by the medians.
    pub fn ratio(&self) -> String {
        let (ours, peer) = (median(&self.ours_seconds), median(&self.peer_seconds));
        let what = format!("{}, against {}", self.what, self.peer);
        format!("ratio: {what} = {:.2} (ours {}, peer {})", peer / ours, seconds(ours), seconds(peer))
    }
}

/// The middle value, or the mean of the two in the middle.
fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    (sorted[(sorted.len() - 1) / 2] + sorted[sorted.len() / 2]) / 2.0
}

/// `median 1.70 ms, 1.52 ms to 2.31 ms`.
pub fn spread(values: &[f64]) -> String {
    let smallest = values.iter().copied().fold(f64::INFINITY, f64::min);
    let largest = values.iter().copied().fold(0.0, f64::max);
    format!("median {}, {} to {}", seconds(median(values)), seconds(smallest), seconds(largest))
}

/// Seconds in the unit that suits them.
pub fn seconds(value: f64) -> String {
    match value {
        v if v < 1e-3 => format!("{:.1} µs", v * 1e6),
        v if v < 1.0 => format!("{:.2} ms", v * 1e3),
        v => format!("{v:.3} s"),
    }
}
