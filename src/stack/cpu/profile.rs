//! Where the time goes.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Instant;

/// Time and work of each part of the network since it was loaded.
#[derive(Debug, Default)]
pub struct Profile(Mutex<BTreeMap<&'static str, Share>>);

/// What one part took.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Share {
    /// Wall-clock seconds.
    pub seconds: f64,
    /// Floating-point operations, a multiplication and an addition each one; 0 where not counted.
    pub operations: f64,
}

impl Profile {
    /// Does a piece of a part's work.
    pub fn time<T>(&self, part: &'static str, operations: usize, work: impl FnOnce() -> T) -> T {
        let _span = tracing::trace_span!("block", part).entered();
        let start = Instant::now();
        let done = work();
        let seconds = start.elapsed().as_secs_f64();
        let mut shares = self.0.lock().expect("no panic while it is held");
        let share = shares.entry(part).or_default();
        share.seconds += seconds;
        share.operations += operations as f64;
        done
    }

    /// Every part, by name.
    pub fn shares(&self) -> Vec<(&'static str, Share)> {
        self.0.lock().expect("no panic while it is held").iter().map(|(part, share)| (*part, *share)).collect()
    }
}
