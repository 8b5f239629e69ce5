//! Target activation: do the genes and factors a perturbation is known to act on change as they should?
//!
//! Looked at are
//! - its response genes: 1 if differentially expressed in the right direction, 0.5 if so and the
//!   right direction is not known, 0.25 if the sign is right but the change falls short, else 0;
//! - its effector factors: 1 if the regulon is enriched in the right direction, 0.25 if more targets
//!   than expected by chance change that way but too few for significance, else 0; half as much
//!   where the right direction is not known;
//! - for a genetic perturbation the edited genes, as response genes. What a drug or a cytokine binds
//!   need not change in expression, so it is not looked at.
//!
//! Statistic: the mean credit of what was measured.

use crate::domain::evaluation::GeneChange;
use crate::domain::score::{Evidence, Hundredths, Outcome};
use crate::domain::terms::{Direction, GeneEffect, PerturbationKind};

use crate::orchestrate::numbers::{fold_change, p_value};

use super::Evaluator;
use super::null;
use super::regulons::{FactorOutcome, MIN_TARGETS, RegulonIndex};
use super::response::{Response, Shape};

/// Scores a response, or says what is missing to score it.
pub fn activation(
    evaluator: &Evaluator<'_>,
    regulons: &RegulonIndex<'_>,
    response: &Response,
    changes: &[GeneChange],
) -> Outcome {
    let items = Items::new(evaluator, regulons, response);
    if items.genes.is_empty() && items.factors.is_empty() {
        return Outcome::Insufficient { why: nothing_to_look_at(evaluator, regulons) };
    }
    let statistic = items.statistic(response.shape(), regulons);
    let null = null::relabelled(response.shape(), statistic, evaluator.draws, evaluator.seed, |shape| {
        items.statistic(shape, regulons)
    });
    let evidence = items.evidence(response, regulons, changes);
    Outcome::Scored { value: Hundredths::from_share(statistic), statistic, null, evidence }
}

fn nothing_to_look_at(evaluator: &Evaluator<'_>, regulons: &RegulonIndex<'_>) -> String {
    let perturbation = evaluator.perturbation;
    let name = &perturbation.name;
    let add = "add them with `haystack import perturbations`";
    let genetic = perturbation.kind == PerturbationKind::Genetic;
    let known = !perturbation.responses.is_empty() || (genetic && !perturbation.targets.is_empty());
    match (known, perturbation.effectors.is_empty()) {
        (false, true) => format!("No response genes or effectors of {name} are known; {add}."),
        (false, false) if regulons.is_empty() => format!(
            "No response genes of {name} are known ({add}), and no regulons are imported to judge its effectors by \
             (`haystack import regulons`)."
        ),
        _ => format!(
            "Of the response genes and effectors known for {name}, no gene was measured and no effector has \
             {MIN_TARGETS} measured targets; {add}."
        ),
    }
}

/// What is looked at: genes by number, factors by number, each with the right direction.
struct Items {
    genes: Vec<(u32, Direction)>,
    factors: Vec<(usize, Direction)>,
    limit: f64,
}

impl Items {
    fn new(evaluator: &Evaluator<'_>, regulons: &RegulonIndex<'_>, response: &Response) -> Self {
        let perturbation = evaluator.perturbation;
        let edited = match perturbation.kind {
            PerturbationKind::Genetic => &perturbation.targets[..],
            _ => &[],
        };
        let mut genes: Vec<(u32, Direction)> = Vec::new();
        for GeneEffect { gene, direction } in edited.iter().chain(&perturbation.responses) {
            match response.gene(&gene.to_uppercase()) {
                Some(gene) if genes.iter().all(|(seen, _)| *seen != gene) => genes.push((gene, *direction)),
                _ => {}
            }
        }
        let factor = |effect: &GeneEffect| Some((regulons.factor(&effect.gene.to_uppercase())?, effect.direction));
        let mut factors: Vec<(usize, Direction)> = perturbation.effectors.iter().filter_map(factor).collect();
        factors.dedup_by_key(|(factor, _)| *factor);
        Self { genes, factors, limit: evaluator.criteria.max_adjusted_p_value }
    }

    fn statistic(&self, shape: &Shape, regulons: &RegulonIndex<'_>) -> f64 {
        let genes = self.genes.iter().map(|&(gene, direction)| gene_credit(shape, gene, direction));
        let credits: f64 = genes.chain(self.factor_credits(shape, regulons)).sum();
        credits / (self.genes.len() + self.factors.len()) as f64
    }

    fn factor_credits(&self, shape: &Shape, regulons: &RegulonIndex<'_>) -> Vec<f64> {
        let credit = |(outcomes, &(_, direction))| factor_credit(&outcomes, direction, self.limit);
        self.factor_outcomes(shape, regulons).into_iter().zip(&self.factors).map(credit).collect()
    }

    fn factor_outcomes(&self, shape: &Shape, regulons: &RegulonIndex<'_>) -> Vec<[FactorOutcome; 2]> {
        match self.factors.is_empty() {
            true => Vec::new(),
            false => regulons.outcomes(shape, &self.factors.iter().map(|(factor, _)| *factor).collect::<Vec<_>>()),
        }
    }

    fn evidence(&self, response: &Response, regulons: &RegulonIndex<'_>, changes: &[GeneChange]) -> Vec<Evidence> {
        let shape = response.shape();
        let genes = self.genes.iter().map(|&(gene, direction)| {
            let change = &changes[response.column(gene)];
            let finding = format!(
                "{}: log2 fold change {}, adjusted p {}",
                expectation("change", direction),
                fold_change(change.log2_fold_change),
                p_value(change.adjusted_p_value)
            );
            Evidence { item: change.gene.clone(), finding, credit: gene_credit(shape, gene, direction) }
        });
        let outcomes = self.factor_outcomes(shape, regulons);
        let factors = outcomes.iter().zip(&self.factors).map(|(outcomes, &(factor, direction))| {
            let shown = outcomes[usize::from(shut_off(outcomes, direction))];
            let finding = format!(
                "{}: {} of its targets change that way where chance gives {:.1}, adjusted p {}",
                expectation("act", direction),
                shown.overlap,
                shown.expected,
                p_value(shown.adjusted_p_value)
            );
            let item = format!("{} (transcription factor)", regulons.name(factor));
            Evidence { item, finding, credit: factor_credit(outcomes, direction, self.limit) }
        });
        genes.chain(factors).collect()
    }
}

fn expectation(verb: &str, direction: Direction) -> String {
    match (direction, verb) {
        (Direction::Up, "act") => "expected to become active".into(),
        (Direction::Down, "act") => "expected to be shut off".into(),
        (Direction::Up, _) => "expected to rise".into(),
        (Direction::Down, _) => "expected to fall".into(),
        (Direction::Unknown, _) => format!("expected to {verb}, direction not known"),
    }
}

fn gene_credit(shape: &Shape, gene: u32, expected: Direction) -> f64 {
    let gene = gene as usize;
    let right_sign = match expected {
        Direction::Up => shape.fold[gene] > 0.0,
        Direction::Down => shape.fold[gene] < 0.0,
        Direction::Unknown => false,
    };
    match (shape.differential[gene], expected) {
        (Some(_), Direction::Unknown) => 0.5,
        (Some(found), _) if found == expected => 1.0,
        (Some(_), _) => 0.0,
        (None, _) if right_sign => 0.25,
        (None, _) => 0.0,
    }
}

fn factor_credit(outcomes: &[FactorOutcome; 2], expected: Direction, limit: f64) -> f64 {
    let credit = |outcome: &FactorOutcome| match outcome {
        o if o.adjusted_p_value < limit => 1.0,
        o if o.overlap as f64 > o.expected => 0.25,
        _ => 0.0,
    };
    match expected {
        Direction::Up => credit(&outcomes[0]),
        Direction::Down => credit(&outcomes[1]),
        Direction::Unknown => 0.5 * credit(&outcomes[usize::from(shut_off(outcomes, expected))]),
    }
}

/// Whether the second outcome, shut off, is the one to look at.
fn shut_off(outcomes: &[FactorOutcome; 2], expected: Direction) -> bool {
    match expected {
        Direction::Up => false,
        Direction::Down => true,
        Direction::Unknown => outcomes[1].adjusted_p_value < outcomes[0].adjusted_p_value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn genes_earn_by_direction_and_strength() {
        let shape = Shape {
            up: vec![0],
            down: vec![1],
            fold: vec![2.0, -2.0, 0.2, 0.0],
            differential: vec![Some(Direction::Up), Some(Direction::Down), None, None],
        };
        let credits = |gene| {
            [Direction::Up, Direction::Down, Direction::Unknown].map(|direction| gene_credit(&shape, gene, direction))
        };
        assert_eq!(credits(0), [1.0, 0.0, 0.5]);
        assert_eq!(credits(1), [0.0, 1.0, 0.5]);
        assert_eq!(credits(2), [0.25, 0.0, 0.0]);
        assert_eq!(credits(3), [0.0, 0.0, 0.0]);
    }

    #[test]
    fn factors_earn_by_the_enrichment_of_their_regulon() {
        let outcome = |overlap, adjusted_p_value| FactorOutcome { overlap, expected: 2.0, adjusted_p_value };
        let active = [outcome(9, 0.001), outcome(1, 1.0)];
        let hint = [outcome(3, 0.2), outcome(2, 1.0)];
        let credits = |outcomes| {
            [Direction::Up, Direction::Down, Direction::Unknown]
                .map(|direction| factor_credit(outcomes, direction, 0.05))
        };
        assert_eq!(credits(&active), [1.0, 0.0, 0.5]);
        assert_eq!(credits(&hint), [0.25, 0.0, 0.125]);
    }
}
