//! Pathway coherence: are the gene sets that should move enriched, and are they the ones that stand out?
//!
//! Statistic: 0.7 × the share of expected sets that are enriched + 0.3 × the share of the twenty
//! most enriched sets that are expected.

use crate::domain::score::{Evidence, Hundredths, Outcome};

use crate::orchestrate::numbers::p_value;

use super::Evaluator;
use super::collections::{Collections, Place, SetOutcome};
use super::expected::expected_sets;
use super::null;
use super::response::{Response, Shape};

const RECALL: f64 = 0.7;
const PRECISION: f64 = 0.3;
const N_TOP: usize = 20;

/// Scores a response, or says what is missing to score it.
pub fn coherence(evaluator: &Evaluator<'_>, collections: &Collections<'_>, response: &Response) -> Outcome {
    let insufficient = |why: String| Outcome::Insufficient { why };
    if !evaluator.pathway_enrichment {
        return insufficient("Pathway enrichment is switched off in the settings of this run.".into());
    }
    if collections.is_empty() {
        return insufficient("No gene sets are imported; add some with `haystack import gene-sets FILE.gmt`.".into());
    }
    let expected = expected_sets(evaluator.perturbation, collections);
    if expected.is_empty() {
        let name = &evaluator.perturbation.name;
        return insufficient(format!(
            "No imported gene set is expected to move with {name}: none is named among its pathways and none holds \
             enough of its targets. Name pathways or targets for it with `haystack import perturbations`, or import \
             more gene sets."
        ));
    }

    let limit = evaluator.criteria.max_adjusted_p_value;
    let judge = |shape: &Shape| Judged::new(collections.outcomes(shape), &expected, limit);
    let judged = judge(response.shape());
    let statistic = judged.statistic();
    let null = null::relabelled(response.shape(), statistic, evaluator.draws, evaluator.seed, |shape| {
        judge(shape).statistic()
    });
    let evidence = judged.evidence(collections);
    Outcome::Scored { value: Hundredths::from_share(statistic), statistic, null, evidence }
}

/// Expected sets and what became of them, and the sets that stand out.
struct Judged<'a> {
    expected: &'a [Place],
    /// For each expected set its outcome, if it holds a changed gene.
    outcomes: Vec<Option<SetOutcome>>,
    /// Up to twenty enriched sets, most enriched first.
    top: Vec<SetOutcome>,
    limit: f64,
}

impl<'a> Judged<'a> {
    /// `outcomes` ascend by place.
    fn new(outcomes: Vec<SetOutcome>, expected: &'a [Place], limit: f64) -> Self {
        let of = |place: &Place| outcomes.binary_search_by_key(place, |o| o.place).ok().map(|at| outcomes[at]);
        let found = expected.iter().map(of).collect();
        let mut top: Vec<SetOutcome> = outcomes.into_iter().filter(|o| o.adjusted_p_value < limit).collect();
        top.sort_by(|a, b| a.ln_p_value.total_cmp(&b.ln_p_value).then(a.place.cmp(&b.place)));
        top.truncate(N_TOP);
        Self { expected, outcomes: found, top, limit }
    }

    fn n_enriched(&self) -> usize {
        self.outcomes.iter().flatten().filter(|outcome| outcome.adjusted_p_value < self.limit).count()
    }

    fn n_top_expected(&self) -> usize {
        self.top.iter().filter(|outcome| self.expected.binary_search(&outcome.place).is_ok()).count()
    }

    fn statistic(&self) -> f64 {
        let share = |part: usize, whole: usize| if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
        RECALL * share(self.n_enriched(), self.expected.len())
            + PRECISION * share(self.n_top_expected(), self.top.len())
    }

    fn evidence(&self, collections: &Collections<'_>) -> Vec<Evidence> {
        let row = |(&place, outcome): (&Place, &Option<SetOutcome>)| {
            let set = collections.set(place);
            let (finding, enriched) = match outcome {
                None => (format!("none of its {} measured genes changes", collections.n_measured(place)), false),
                Some(outcome) => (self.finding(outcome), outcome.adjusted_p_value < self.limit),
            };
            Evidence { item: format!("{} ({})", set.name, set.collection), finding, credit: f64::from(enriched) }
        };
        let mut rows: Vec<Evidence> = self.expected.iter().zip(&self.outcomes).map(row).collect();
        let n_top = self.top.len();
        let credit = if n_top == 0 { 0.0 } else { self.n_top_expected() as f64 / n_top as f64 };
        let finding = match n_top {
            0 => "no set is enriched".to_owned(),
            _ => format!("of the {n_top} most enriched sets, {} expected", is_or_are(self.n_top_expected())),
        };
        rows.push(Evidence { item: "Most enriched sets".into(), finding, credit });
        rows
    }

    fn finding(&self, outcome: &SetOutcome) -> String {
        let direction = if outcome.rising { "rise" } else { "fall" };
        let SetOutcome { overlap, set_size, adjusted_p_value, .. } = outcome;
        let verdict = if *adjusted_p_value < self.limit { "enriched" } else { "not enriched" };
        format!(
            "{overlap} of {set_size} measured genes {direction}; {verdict}, adjusted p {}",
            p_value(*adjusted_p_value)
        )
    }
}

fn is_or_are(n: usize) -> String {
    if n == 1 { "1 is".into() } else { format!("{n} are") }
}
