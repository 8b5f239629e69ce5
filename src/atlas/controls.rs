//! Pairing: which control cells belong to a prompt, and which cells to predict for.
//!
//! Both hold a list of conditions, least important first. They are given up as few as possible and
//! the less important ones before the more important: giving up one costs more than giving up all
//! those before it. What was given up is named in the result. For paired controls the data set and
//! the cell type are no such conditions: a difference between data sets or types would be read as an
//! effect of the perturbation.

use std::collections::BTreeMap;

use crate::domain::cells::{CellSet, CellSetKey};
use crate::domain::ids::Curie;
use crate::domain::run::EffectiveControl;
use crate::domain::terms::Label;

/// Numbers of query cells that are looked for one after the other before the least number is
/// accepted: with fewer than fifty a test has little power, so donors and subtypes are taken along.
const QUERY_CELLS: [u64; 2] = [50, 25];

/// A condition that two cell sets agree on, or that is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Match {
    SampleCondition,
    Time,
    Batch,
    Tissue,
    Disease,
    Donor,
}

/// Least important first.
const PAIRING: [Match; 6] =
    [Match::SampleCondition, Match::Time, Match::Batch, Match::Disease, Match::Tissue, Match::Donor];

impl Match {
    fn holds(self, a: &CellSetKey, b: &CellSetKey) -> bool {
        match self {
            Self::SampleCondition => a.sample_condition == b.sample_condition,
            // A control without a time was not taken along in time: it fits every one.
            Self::Time => b.condition.time().is_none() || a.condition.time() == b.condition.time(),
            Self::Batch => a.batch == b.batch,
            Self::Tissue => same(a.tissue.as_ref(), b.tissue.as_ref()),
            Self::Disease => same(a.disease.as_ref(), b.disease.as_ref()),
            Self::Donor => a.donor == b.donor,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::SampleCondition => "sample condition",
            Self::Time => "time",
            Self::Batch => "batch",
            Self::Tissue => "tissue",
            Self::Disease => "disease",
            Self::Donor => "donor",
        }
    }
}

/// Pairs a prompt with control cells of the same data set and cell type.
///
/// `controls` are control sets; those of other data sets and types are passed over. Conditions are
/// given up, in the order sample condition, time, batch, disease, tissue, donor, until `min_cells`
/// cells are found; if there are none, the query cells are the control, which is recorded as forced.
pub fn pair(prompt: &[CellSet], controls: &[CellSet], min_cells: u64) -> EffectiveControl {
    let eligible: Vec<&CellSet> = controls
        .iter()
        .filter(|c| c.key.condition.is_control())
        .filter(|c| prompt.iter().any(|p| p.key.dataset == c.key.dataset && same_type(&p.key, &c.key)))
        .collect();
    for (kept, given_up) in choices(&PAIRING) {
        let fits = |c: &CellSet| prompt.iter().any(|p| kept.iter().all(|m| m.holds(&p.key, &c.key)));
        let sets: Vec<CellSet> = eligible.iter().filter(|c| fits(c)).map(|c| (*c).clone()).collect();
        if cells(&sets) >= min_cells {
            let relaxations = given_up.iter().map(|m| m.name().to_owned()).collect();
            return EffectiveControl::SyntheticControl { sets, relaxations };
        }
    }
    EffectiveControl::QueryAsControl { forced: true, why: why_unpaired(prompt, &eligible, min_cells) }
}

/// Every way to keep some conditions and give up the others, the cheapest first.
fn choices<T: Copy>(conditions: &[T]) -> impl Iterator<Item = (Vec<T>, Vec<T>)> {
    (0..1_usize << conditions.len()).map(|mask| {
        let (up, kept): (Vec<_>, Vec<_>) = conditions.iter().enumerate().partition(|(i, _)| mask >> i & 1 == 1);
        let plain = |list: Vec<(usize, &T)>| list.into_iter().map(|(_, condition)| *condition).collect();
        (plain(kept), plain(up))
    })
}

fn why_unpaired(prompt: &[CellSet], eligible: &[&CellSet], min_cells: u64) -> String {
    let Some(first) = prompt.first() else { return "there are no prompt cells to pair".to_owned() };
    let (dataset, cell_type) = (&first.key.dataset, first.key.cell_type.name());
    match eligible.iter().map(|set| set.n_cells).sum::<u64>() {
        0 => format!("data set {dataset} has no control cells of type {cell_type}"),
        n => format!("data set {dataset} has only {n} control cells of type {cell_type}; {min_cells} are needed"),
    }
}

/// The cells to predict for, and the conditions given up to have enough of them.
#[derive(Clone, Debug, PartialEq)]
pub struct QueryCells {
    /// Control sets of the asked type, all of one data set.
    pub sets: Vec<CellSet>,
    /// Conditions given up, in order, such as `donor of the prompt`.
    pub relaxations: Vec<String>,
}

/// What the query cells should be like.
#[derive(Clone, Copy, Debug)]
pub struct QueryWish<'a> {
    /// The asked cell type.
    pub cell_type: &'a Curie,
    /// Its descendants.
    pub descendants: &'a [Curie],
    /// The prompt the prediction will be made with.
    pub prompt: &'a [CellSet],
    /// A donor the question names.
    pub donor: Option<&'a str>,
    /// A tissue the question names.
    pub tissue: Option<&'a Curie>,
    /// A disease the question names.
    pub disease: Option<&'a Curie>,
}

/// Chooses query cells among control sets of any data set.
///
/// Wanted are cells of exactly the asked type, of the prompt's data set and donor, and of the donor,
/// tissue and disease the question names. The type's descendants are taken along first (they are
/// cells of the type too), then other donors, to have fifty cells, or twenty-five, or at least
/// `min_cells`. Only when those are not to be had is the data set of the prompt given up, and after
/// it the disease, the tissue and the donor the question names. Query cells come from one data set.
pub fn query_cells(wish: &QueryWish<'_>, controls: &[CellSet], min_cells: u64) -> Option<QueryCells> {
    use Query::*;
    let of_type =
        |c: &CellSet| c.key.cell_type_id().is_some_and(|id| id == wish.cell_type || wish.descendants.contains(id));
    let eligible: Vec<&CellSet> = controls.iter().filter(|c| c.key.condition.is_control() && of_type(c)).collect();
    let asked = |(condition, asked): (Query, bool)| asked.then_some(condition);
    let soft: Vec<Query> =
        [(ExactType, true), (PromptDonor, wish.donor.is_none())].into_iter().filter_map(asked).collect();
    let named = [(Disease, wish.disease.is_some()), (Tissue, wish.tissue.is_some()), (Donor, wish.donor.is_some())];
    let hard: Vec<Query> = std::iter::once((Dataset, true)).chain(named).filter_map(asked).collect();
    for (hard_kept, hard_up) in choices(&hard) {
        for enough in QUERY_CELLS.into_iter().filter(|&n| n > min_cells).chain([min_cells]) {
            for (soft_kept, soft_up) in choices(&soft) {
                let fits = |c: &CellSet| hard_kept.iter().chain(&soft_kept).all(|q| q.holds(wish, &c.key));
                let sets = largest_dataset(eligible.iter().copied().filter(|c| fits(c)));
                if cells(&sets) >= enough {
                    let differs = |q: &&Query| sets.iter().any(|c| !q.holds(wish, &c.key));
                    let relaxations = soft_up.iter().chain(&hard_up).filter(differs).map(|q| q.name(wish)).collect();
                    return Some(QueryCells { sets, relaxations });
                }
            }
        }
    }
    None
}

/// A condition on query cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Query {
    ExactType,
    PromptDonor,
    Dataset,
    Disease,
    Tissue,
    Donor,
}

impl Query {
    fn holds(self, wish: &QueryWish<'_>, key: &CellSetKey) -> bool {
        let in_prompt = |same: &dyn Fn(&CellSetKey) -> bool| wish.prompt.iter().any(|set| same(&set.key));
        match self {
            Self::ExactType => key.cell_type_id() == Some(wish.cell_type),
            Self::PromptDonor => in_prompt(&|p| p.dataset != key.dataset || p.donor == key.donor),
            Self::Dataset => in_prompt(&|p| p.dataset == key.dataset),
            Self::Disease => key.disease.as_ref().and_then(Label::id) == wish.disease,
            Self::Tissue => key.tissue.as_ref().and_then(Label::id) == wish.tissue,
            Self::Donor => key.donor.as_deref() == wish.donor,
        }
    }

    fn name(self, wish: &QueryWish<'_>) -> String {
        let id = |id: Option<&Curie>| id.map_or("", Curie::as_str).to_owned();
        match self {
            Self::ExactType => "exact cell type (subtypes taken along)".to_owned(),
            Self::PromptDonor => "donor of the prompt".to_owned(),
            Self::Dataset => "data set of the prompt".to_owned(),
            Self::Disease => format!("disease {}", id(wish.disease)),
            Self::Tissue => format!("tissue {}", id(wish.tissue)),
            Self::Donor => format!("donor {}", wish.donor.unwrap_or_default()),
        }
    }
}

/// The sets of the data set that has the most of these cells; the first by name among equals.
fn largest_dataset<'a>(sets: impl Iterator<Item = &'a CellSet>) -> Vec<CellSet> {
    let mut by_dataset: BTreeMap<&str, Vec<&CellSet>> = BTreeMap::new();
    for set in sets {
        by_dataset.entry(&set.key.dataset).or_default().push(set);
    }
    let size = |sets: &[&CellSet]| sets.iter().map(|set| set.n_cells).sum::<u64>();
    let largest = by_dataset.into_values().rev().max_by_key(|sets| size(sets));
    largest.unwrap_or_default().into_iter().cloned().collect()
}

fn cells(sets: &[CellSet]) -> u64 {
    sets.iter().map(|set| set.n_cells).sum()
}

/// Whether two cell sets are of one type: by id where both have one, else by spelling.
pub fn same_type(a: &CellSetKey, b: &CellSetKey) -> bool {
    same(Some(&a.cell_type), Some(&b.cell_type))
}

fn same(a: Option<&Label>, b: Option<&Label>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => match (a.id(), b.id()) {
            (Some(a), Some(b)) => a == b,
            _ => a.original == b.original,
        },
        (None, None) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::atlas::testing::{control, perturbed};

    fn sets_of(control: EffectiveControl) -> (Vec<i64>, Vec<String>) {
        match control {
            EffectiveControl::SyntheticControl { sets, relaxations } => {
                (sets.iter().map(|set| set.id).collect(), relaxations)
            }
            EffectiveControl::QueryAsControl { why, .. } => panic!("not paired: {why}"),
        }
    }

    #[test]
    fn controls_come_from_the_same_data_set_donor_and_type() {
        let prompt = [perturbed(1, "kang", "CL:0000624", "101", 100)];
        let controls = [
            control(2, "kang", "CL:0000624", "101", 50),
            control(3, "kang", "CL:0000624", "107", 500),
            control(4, "kang", "CL:0000236", "101", 500),
            control(5, "other", "CL:0000624", "101", 500),
        ];
        assert_eq!(sets_of(pair(&prompt, &controls, 10)), (vec![2], vec![]));
    }

    #[test]
    fn conditions_are_given_up_in_order_and_named_only_when_they_differ() {
        let mut prompt = perturbed(1, "kang", "CL:0000624", "101", 100);
        prompt.key.batch = Some("a".into());
        let mut other_batch = control(2, "kang", "CL:0000624", "101", 50);
        other_batch.key.batch = Some("b".into());
        let mut few = control(3, "kang", "CL:0000624", "101", 9);
        few.key.batch = Some("a".into());
        let other_donor = control(4, "kang", "CL:0000624", "107", 500);
        let controls = [other_batch, few, other_donor.clone()];
        assert_eq!(sets_of(pair(&[prompt.clone()], &controls, 10)), (vec![2, 3], vec!["batch".to_owned()]));
        let (sets, relaxations) = sets_of(pair(&[prompt], &[other_donor], 10));
        assert_eq!((sets, relaxations), (vec![4], vec!["batch".to_owned(), "donor".to_owned()]));
    }

    #[test]
    fn another_data_set_or_type_is_never_the_control() {
        let prompt = [perturbed(1, "kang", "CL:0000624", "101", 100)];
        let controls = [control(2, "other", "CL:0000624", "101", 500), control(3, "kang", "CL:0000236", "101", 500)];
        let EffectiveControl::QueryAsControl { forced: true, why } = pair(&prompt, &controls, 10) else {
            panic!("paired across data sets or types");
        };
        assert!(why.contains("kang"), "{why}");
        let few = [control(4, "kang", "CL:0000624", "101", 9)];
        let EffectiveControl::QueryAsControl { why, .. } = pair(&prompt, &few, 10) else { panic!("paired nine cells") };
        assert!(why.contains("only 9"), "{why}");
    }

    fn wish<'a>(cell_type: &'a Curie, descendants: &'a [Curie], prompt: &'a [CellSet]) -> QueryWish<'a> {
        QueryWish { cell_type, descendants, prompt, donor: None, tissue: None, disease: None }
    }

    #[test]
    fn query_cells_prefer_the_prompts_donor_then_data_set() {
        let b_cell: Curie = "CL:0000236".parse().unwrap();
        let prompt = [perturbed(1, "kang", "CL:0000624", "101", 100)];
        let controls = [
            control(2, "kang", "CL:0000236", "101", 60),
            control(3, "kang", "CL:0000236", "107", 60),
            control(4, "other", "CL:0000236", "101", 900),
            control(5, "kang", "CL:0000624", "101", 900),
        ];
        let chosen = query_cells(&wish(&b_cell, &[], &prompt), &controls, 10).unwrap();
        assert_eq!(chosen.sets.iter().map(|s| s.id).collect::<Vec<_>>(), [2]);
        assert!(chosen.relaxations.is_empty());
        // With too few of that donor, the other donors of the data set are taken along.
        let mut few = controls.clone();
        few[0].n_cells = 20;
        let chosen = query_cells(&wish(&b_cell, &[], &prompt), &few, 10).unwrap();
        assert_eq!(chosen.sets.iter().map(|s| s.id).collect::<Vec<_>>(), [2, 3]);
        assert_eq!(chosen.relaxations, ["donor of the prompt"]);
        // A widening that brings nothing is not recorded.
        let alone = query_cells(&wish(&b_cell, &[], &prompt), &few[..1], 10).unwrap();
        assert_eq!((alone.sets.len(), alone.relaxations.len()), (1, 0));
        assert_eq!(query_cells(&wish(&b_cell, &[], &prompt), &few[3..], 10), None);
    }

    #[test]
    fn subtypes_are_cells_of_the_type_and_a_named_donor_is_kept_longest() {
        let b_cell: Curie = "CL:0000236".parse().unwrap();
        let naive: Curie = "CL:0000788".parse().unwrap();
        let prompt = [perturbed(1, "kang", "CL:0000624", "101", 100)];
        let controls = [control(2, "kang", "CL:0000788", "101", 80), control(3, "other", "CL:0000236", "9", 80)];
        let descendants = [naive];
        let chosen = query_cells(&wish(&b_cell, &descendants, &prompt), &controls, 10).unwrap();
        assert_eq!(chosen.sets[0].id, 2);
        assert_eq!(chosen.relaxations, ["exact cell type (subtypes taken along)"]);
        let named = QueryWish { donor: Some("9"), ..wish(&b_cell, &descendants, &prompt) };
        let chosen = query_cells(&named, &controls, 10).unwrap();
        // Donor 9 is in the other data set alone: what the question names outweighs the data set.
        assert_eq!(chosen.sets[0].id, 3);
        assert_eq!(chosen.relaxations, ["data set of the prompt"]);
    }

    #[test]
    fn conditions_are_given_up_least_important_first() {
        let order: Vec<String> = choices(&['a', 'b', 'c']).map(|(_, up)| up.into_iter().collect()).collect();
        assert_eq!(order, ["", "a", "b", "ab", "c", "ac", "bc", "abc"]);
    }
}
