//! Direct: the same perturbation, by name.
//!
//! | what matches | relevance |
//! |---|---|
//! | perturbation and cell type, both resolved | 1.0 |
//! | both, but one only by a synonym in an unresolved label | 0.9 |
//! | the perturbation alone | 0.5 to 0.7, by how alike the cell types are |
//!
//! The last row is taken only while the first two leave room. Its middle is the 0.6 a partial match
//! counts; the more of the ontology above two types is common to both, the more.

use super::pool::{Group, Pool, TypeMatch};
use crate::domain::run::{PromptCandidate, Strategy};

/// Relevance of a perturbation match in a type that shares nothing, and what full likeness adds.
const PARTIAL: (f64, f64) = (0.5, 0.2);

/// Proposes groups, most relevant first.
pub fn propose(pool: &Pool<'_>, max: usize) -> Vec<PromptCandidate> {
    let mut whole: Vec<PromptCandidate> = pool.groups.iter().filter_map(of_the_type).collect();
    sort(&mut whole);
    whole.truncate(max);
    if whole.len() < max / 2 {
        let mut partial: Vec<PromptCandidate> = pool.groups.iter().filter_map(of_another_type).collect();
        sort(&mut partial);
        partial.truncate(max - whole.len());
        whole.extend(partial);
    }
    whole
}

fn of_the_type(group: &Group) -> Option<PromptCandidate> {
    let (relevance, why) = match (group.cell_type, group.resolved) {
        (TypeMatch::Exact, true) => (1.0, "the asked cell type under the asked perturbation"),
        (TypeMatch::Exact | TypeMatch::Spelled, _) => (0.9, "the asked cell type and perturbation, one by a synonym"),
        (TypeMatch::Other { .. }, _) => return None,
    };
    Some(group.candidate(Strategy::Direct, relevance, why))
}

fn of_another_type(group: &Group) -> Option<PromptCandidate> {
    let TypeMatch::Other { similarity } = group.cell_type else { return None };
    let why = format!("the asked perturbation in another cell type, {:.0} % alike", 100.0 * similarity);
    Some(group.candidate(Strategy::Direct, PARTIAL.0 + PARTIAL.1 * similarity, &why))
}

/// By relevance, then cells, then key, so that the order never depends on the database.
fn sort(candidates: &mut [PromptCandidate]) {
    candidates.sort_by(|a, b| {
        let by_relevance = b.relevance.total_cmp(&a.relevance).then(b.n_cells().cmp(&a.n_cells()));
        by_relevance.then_with(|| a.selection_key().cmp(&b.selection_key()))
    });
}

#[cfg(test)]
mod tests {
    use super::super::pool::tests::{knowledge, perturbation, question, sets};
    use super::*;
    use crate::atlas::testing::perturbed;
    use crate::domain::query::Task;
    use crate::domain::run::Measured;

    fn proposed(measured: Measured, max: usize) -> Vec<(i64, f64)> {
        let (query, knowledge, (stimulated, controls)) =
            (question(Task::PerturbationNovelCellTypes, None), knowledge(), sets());
        let pool = Pool::new(&query, &perturbation(), &knowledge, stimulated, controls, measured, 10);
        propose(&pool, max).iter().map(|c| (c.sets[0].id, (c.relevance * 1e6).round() / 1e6)).collect()
    }

    #[test]
    fn nearer_types_come_first_when_the_type_itself_is_held_out() {
        // Likeness 0.4 and 0.25: see the pool. Donors of equal size come by name.
        assert_eq!(proposed(Measured::HoldOut, 50), [(20, 0.58), (21, 0.58), (30, 0.55), (31, 0.55)]);
    }

    #[test]
    fn the_asked_type_is_first_when_it_may_be_used_and_fills_half_before_others_count() {
        let all = proposed(Measured::Use, 50);
        // Naive B cells: 3 of 4 types above are shared.
        assert_eq!(all[..4], [(0, 1.0), (1, 1.0), (10, 0.65), (11, 0.65)]);
        assert_eq!(proposed(Measured::Use, 4), [(0, 1.0), (1, 1.0)]);
    }

    #[test]
    fn a_synonym_in_an_unresolved_label_counts_a_little_less() {
        let mut by_synonym = perturbed(1, "kang", "CL:0000236", "1", 100);
        if let crate::domain::Condition::Perturbed { perturbation, .. } = &mut by_synonym.key.condition {
            (perturbation.term, perturbation.original) = (None, "ifnb1".into());
        }
        let (query, knowledge) = (question(Task::PerturbationNovelCellTypes, None), knowledge());
        let pool = Pool::new(&query, &perturbation(), &knowledge, vec![by_synonym], vec![], Measured::Use, 10);
        assert_eq!(propose(&pool, 50)[0].relevance, 0.9);
    }
}
