//! When a run stops, and which iteration it delivers: arithmetic on the scores so far.

use crate::domain::run::TerminationReason;
use crate::domain::score::Grounding;

/// What decides about going on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The run stops when a score reaches it.
    pub score_threshold: u32,
    /// At most this many iterations.
    pub max_iterations: u32,
    /// How many of the last iterations must bring a gain over all before them.
    pub plateau_window: usize,
    /// The least gain in whole points.
    pub min_improvement: u32,
}

/// Whether to try another prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Try another prompt.
    Continue,
    /// Deliver the best.
    Stop(TerminationReason),
}

/// Decides after an iteration, from the groundings of all iterations so far (at least one).
///
/// A plateau is reached when the best of the last `plateau_window` scores is less than
/// `min_improvement` above the best of those before, so it takes one iteration more than the window.
pub fn next(policy: &Policy, history: &[Grounding]) -> Decision {
    let scores: Vec<u32> = history.iter().filter_map(Grounding::score).collect();
    if scores.iter().any(|&score| score >= policy.score_threshold) {
        return Decision::Stop(TerminationReason::ThresholdReached);
    }
    if scores.is_empty() {
        return Decision::Stop(TerminationReason::NoScore);
    }
    if history.len() >= policy.max_iterations as usize {
        return Decision::Stop(TerminationReason::MaxIterations);
    }
    let (before, last) = scores.split_at(scores.len().saturating_sub(policy.plateau_window));
    if let (Some(before), Some(last)) = (before.iter().max(), last.iter().max())
        && *last < before + policy.min_improvement
    {
        return Decision::Stop(TerminationReason::Plateau);
    }
    Decision::Continue
}

/// Index of the iteration to deliver: the highest composite, the earliest of equals. Absent for an
/// empty history.
pub fn best(history: &[Grounding]) -> Option<usize> {
    (0..history.len()).max_by_key(|&i| (history[i].composite, std::cmp::Reverse(i)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: Policy = Policy { score_threshold: 7, max_iterations: 5, plateau_window: 3, min_improvement: 1 };

    fn history(composites: &[Option<u32>]) -> Vec<Grounding> {
        let grounding = |composite: &Option<u32>| Grounding {
            components: vec![],
            penalty: 0,
            composite: composite.map(|c| c.try_into().unwrap()),
        };
        composites.iter().map(grounding).collect()
    }

    fn check(composites: &[u32], expected: Decision) {
        let composites: Vec<_> = composites.iter().copied().map(Some).collect();
        assert_eq!(next(&POLICY, &history(&composites)), expected, "{composites:?}");
    }

    #[test]
    fn the_loop_ends_for_the_reason_that_comes_first() {
        check(&[400], Decision::Continue);
        check(&[400, 650], Decision::Continue); // 6.5 rounds to 6
        check(&[400, 651], Decision::Stop(TerminationReason::ThresholdReached));
        check(&[500, 400, 300], Decision::Continue);
        check(&[500, 400, 300, 500], Decision::Stop(TerminationReason::Plateau));
        check(&[500, 400, 300, 600], Decision::Continue);
        check(&[300, 400, 500, 600, 400], Decision::Stop(TerminationReason::MaxIterations));
        check(&[300, 400, 500, 600, 700], Decision::Stop(TerminationReason::ThresholdReached));
    }

    #[test]
    fn without_a_score_there_is_nothing_to_improve() {
        assert_eq!(next(&POLICY, &history(&[None])), Decision::Stop(TerminationReason::NoScore));
    }

    #[test]
    fn the_best_is_delivered_and_the_earliest_of_equals() {
        assert_eq!(best(&history(&[Some(400), Some(610), Some(590), Some(610)])), Some(1));
        assert_eq!(best(&history(&[None, Some(100)])), Some(1));
        assert_eq!(best(&[]), None);
    }
}
