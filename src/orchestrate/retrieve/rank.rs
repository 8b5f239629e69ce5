//! Ranking: relevance, diversity and quality, chosen greedily.
//!
//! The best candidate is taken, the diversity of the others is computed again, and so on. Prompts
//! tried in earlier iterations count as taken, so that a new iteration tries something else.

use crate::config;
use crate::domain::run::PromptCandidate;

/// Shares of the rank score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weights {
    /// Of relevance.
    pub relevance: f64,
    /// Of diversity.
    pub diversity: f64,
    /// Of quality.
    pub quality: f64,
}

impl Weights {
    /// As configured.
    pub fn of(config: &config::Retrieval) -> Self {
        Self { relevance: config.relevance_weight, diversity: config.diversity_weight, quality: config.quality_weight }
    }
}

/// The best `top` candidates that were not tried, with their rank scores, best first.
pub fn rank(
    candidates: Vec<PromptCandidate>,
    tried: &[PromptCandidate],
    weights: &Weights,
    top: usize,
) -> Vec<PromptCandidate> {
    let most = candidates.iter().map(PromptCandidate::n_cells).max().unwrap_or(1);
    let is_new = |candidate: &PromptCandidate| {
        let key = candidate.selection_key();
        tried.iter().all(|tried| tried.selection_key() != key)
    };
    let mut left: Vec<PromptCandidate> = candidates.into_iter().filter(is_new).collect();
    let mut taken: Vec<PromptCandidate> = tried.to_vec();
    let mut ranked = Vec::new();
    while ranked.len() < top && !left.is_empty() {
        for candidate in &mut left {
            candidate.rank_score = weights.relevance * candidate.relevance
                + weights.diversity * diversity(candidate, &taken)
                + weights.quality * quality(candidate, most);
        }
        // Of equals the first stays first: strategies propose in a fixed order.
        let best = (0..left.len()).rev().max_by(|&a, &b| left[a].rank_score.total_cmp(&left[b].rank_score));
        let Some(best) = best.map(|best| left.remove(best)) else { break };
        taken.push(best.clone());
        ranked.push(best);
    }
    ranked
}

/// 1 less 0.3, 0.2 and 0.1 times the share of taken prompts of the same perturbation, cell type and
/// data set; 1 when none is taken.
fn diversity(candidate: &PromptCandidate, taken: &[PromptCandidate]) -> f64 {
    if taken.is_empty() {
        return 1.0;
    }
    let key = candidate.selection_key();
    let share = |field: usize| {
        let same = taken.iter().filter(|taken| taken.selection_key()[field] == key[field]).count();
        same as f64 / taken.len() as f64
    };
    let (dataset, perturbation, cell_type) = (share(0), share(1), share(2));
    (1.0 - 0.3 * perturbation - 0.2 * cell_type - 0.1 * dataset).max(0.0)
}

/// 0.8 times its cells over the most cells of any candidate, and 0.2 if controls can be paired.
fn quality(candidate: &PromptCandidate, most: u64) -> f64 {
    0.8 * candidate.n_cells() as f64 / most as f64 + if candidate.has_control { 0.2 } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::atlas::testing::perturbed;
    use crate::domain::run::Strategy;

    const WEIGHTS: Weights = Weights { relevance: 0.4, diversity: 0.3, quality: 0.3 };

    fn candidate(cell_type: &str, donor: &str, n_cells: u64, relevance: f64, has_control: bool) -> PromptCandidate {
        PromptCandidate {
            sets: vec![perturbed(1, "kang", cell_type, donor, n_cells)],
            strategy: Strategy::Direct,
            relevance,
            rank_score: 0.0,
            has_control,
            rationale: String::new(),
        }
    }

    fn scores(ranked: &[PromptCandidate]) -> Vec<f64> {
        ranked.iter().map(|candidate| (candidate.rank_score * 1e6).round() / 1e6).collect()
    }

    #[test]
    fn the_score_is_the_weighted_sum_worked_out_by_hand() {
        let candidates = vec![
            candidate("CL:1", "a", 100, 0.6, true),
            candidate("CL:1", "b", 50, 0.6, true),
            candidate("CL:2", "a", 50, 0.5, false),
        ];
        let ranked = rank(candidates, &[], &WEIGHTS, 10);
        // First: .4*.6 + .3*1 + .3*(.8+.2). Then CL:2: .4*.5 + .3*(1-.3-.1) + .3*.4, against CL:1 of
        // donor b: .4*.6 + .3*(1-.3-.2-.1) + .3*(.4+.2), which wins; last CL:2: its type is shared by none.
        assert_eq!(scores(&ranked), [0.84, 0.54, 0.5]);
        let donors: Vec<_> = ranked.iter().map(|c| c.sets[0].key.donor.as_deref().unwrap()).collect();
        assert_eq!(donors, ["a", "b", "a"]);
    }

    #[test]
    fn tried_prompts_are_left_out_and_push_others_of_their_type_down() {
        let a = candidate("CL:1", "a", 100, 0.6, true);
        let candidates = vec![a.clone(), candidate("CL:1", "b", 100, 0.6, true), candidate("CL:2", "a", 90, 0.6, true)];
        let ranked = rank(candidates.clone(), &[a], &WEIGHTS, 10);
        let types: Vec<_> = ranked.iter().map(|c| c.selection_key()[2].clone()).collect();
        assert_eq!(types, ["type CL:2", "type CL:1"]);
        assert!(rank(candidates.clone(), &candidates, &WEIGHTS, 10).is_empty());
    }

    #[test]
    fn equals_keep_their_order_and_the_top_is_bounded() {
        let candidates: Vec<_> = (0..20).map(|i| candidate("CL:1", &format!("{i:02}"), 10, 0.6, true)).collect();
        let ranked = rank(candidates, &[], &WEIGHTS, 10);
        let donors: Vec<_> = ranked.iter().map(|c| c.sets[0].key.donor.clone().unwrap()).collect();
        assert_eq!(donors, (0..10).map(|i| format!("{i:02}")).collect::<Vec<_>>());
    }
}
