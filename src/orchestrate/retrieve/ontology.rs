//! Ontology: the same perturbation in a neighbour of the cell type.
//!
//! Parents and children count as one step away, what a type is part of or develops from (and the
//! inverses) as two; the relevance is 1 / (steps + 1). The nearest relations come first.

use std::collections::HashMap;

use super::pool::{Group, Pool};
use crate::domain::run::{PromptCandidate, Strategy};
use crate::knowledge::Step;

/// Proposes groups, nearest first. At most a third of `max` neighbours for each relation, and a sixth
/// of `max` groups for each neighbour.
pub fn propose(pool: &Pool<'_>, max: usize) -> Vec<PromptCandidate> {
    let mut taken: HashMap<Step, usize> = HashMap::new();
    let mut proposed = Vec::new();
    for neighbour in pool.graph.neighbours(&pool.query.cell_type.id) {
        let mut groups: Vec<&Group> =
            pool.groups.iter().filter(|group| group.term().is_some_and(|term| term.id == neighbour.term.id)).collect();
        if groups.is_empty() {
            continue;
        }
        let of_relation = taken.entry(neighbour.step).or_default();
        *of_relation += 1;
        if *of_relation > max / 3 {
            continue;
        }
        groups.sort_by_key(|group| std::cmp::Reverse(group.n_cells()));
        let relevance = 1.0 / f64::from(neighbour.distance + 1);
        let why = format!("{} of {}, {} away", neighbour.step, pool.query.cell_type.name, steps(neighbour.distance));
        proposed.extend(groups.iter().take(max / 6).map(|group| group.candidate(Strategy::Ontology, relevance, &why)));
    }
    proposed.truncate(max);
    proposed
}

fn steps(distance: u32) -> String {
    if distance == 1 { "one step".to_owned() } else { format!("{distance} steps") }
}

#[cfg(test)]
mod tests {
    use super::super::pool::tests::{knowledge, perturbation, question, sets};
    use super::*;
    use crate::domain::query::Task;
    use crate::domain::run::Measured;

    #[test]
    fn neighbours_are_proposed_by_distance_and_other_types_are_not() {
        let (query, knowledge, (stimulated, controls)) =
            (question(Task::PerturbationNovelCellTypes, None), knowledge(), sets());
        let pool = Pool::new(&query, &perturbation(), &knowledge, stimulated, controls, Measured::Use, 10);
        let proposed: Vec<_> = propose(&pool, 50).iter().map(|c| (c.sets[0].id, c.relevance)).collect();
        assert_eq!(proposed, [(10, 0.5), (11, 0.5)]);
        assert!(propose(&pool, 50)[0].rationale.contains("is_a_inverse of B cell, one step away"));
        assert_eq!(propose(&pool, 6).len(), 1, "at most a sixth of the groups for each neighbour");
    }
}
