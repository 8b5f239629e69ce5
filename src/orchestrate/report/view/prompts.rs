//! Which cells each iteration used, and why.

use crate::domain::CellSet;
use crate::domain::run::{EffectiveControl, Iteration, Strategy};
use crate::domain::score::Grounding;
use crate::domain::sentence::sentence;
use crate::orchestrate::numbers::{count, counted, duration, list};
use crate::orchestrate::report::Report;

use super::IterationView;
use super::names::plural;

pub fn iteration_view(report: &Report, iteration: &Iteration) -> IterationView {
    let score =
        |grounding: &Grounding| grounding.composite.map_or_else(|| "–".into(), |composite| composite.to_string());
    IterationView {
        number: iteration.number,
        delivered: iteration.number == report.result.best_iteration,
        score: score(&iteration.grounding),
        baseline: score(&iteration.baseline),
        strategy: match iteration.prompt.strategy {
            Strategy::Direct => "Found directly: the same perturbation, by name.",
            Strategy::Ontology => "Found through the ontology: the same perturbation in a related cell type.",
        },
        prompt: cells_of(iteration.n_prompt_cells, &iteration.prompt.sets),
        why: format!(
            "{} Rank score {:.2}, best of {}.",
            sentence(&iteration.prompt.rationale),
            iteration.prompt.rank_score,
            counted(iteration.n_candidates as usize, "candidate")
        ),
        control: control(iteration),
        query: cells_of(iteration.n_query_cells, &iteration.query) + &given_up(&iteration.query_relaxations),
        warnings: iteration.warnings.iter().map(|warning| sentence(warning)).collect(),
        seconds: duration(iteration.seconds),
    }
}

fn control(iteration: &Iteration) -> String {
    match &iteration.control {
        EffectiveControl::SyntheticControl { sets, relaxations } => format!(
            "Synthetic: a second prediction, prompted with {}{}",
            cells_of(iteration.n_control_cells, sets),
            given_up(relaxations)
        ),
        EffectiveControl::QueryAsControl { forced, why } => {
            let choice = if *forced { "nothing better was found" } else { "as chosen" };
            format!("The query cells themselves, {choice}. {}", sentence(why))
        }
    }
}

fn given_up(conditions: &[String]) -> String {
    match conditions {
        [] => ".".into(),
        _ => format!("; given up in matching: {}.", list(conditions)),
    }
}

/// A number of cells with what they share: `200 monocytes with interferon beta (data set Kang 2018,
/// donors 101 and 107)`.
pub fn cells_of(n: u32, sets: &[CellSet]) -> String {
    let distinct = |of: &dyn Fn(&CellSet) -> Option<String>| {
        let mut names: Vec<String> = Vec::new();
        for name in sets.iter().filter_map(of) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    };
    let types = distinct(&|set| Some(plural(set.key.cell_type.name())));
    let perturbations = distinct(&|set| set.key.condition.perturbation().map(|label| label.name().to_owned()));
    let datasets = distinct(&|set| Some(set.key.dataset.clone()));
    let donors = distinct(&|set| set.key.donor.clone());

    let n = count(u64::from(n));
    let what = match &types[..] {
        [one] if perturbations.is_empty() => format!("{n} unperturbed {one}"),
        [one] => format!("{n} {one} with {}", list(&perturbations)),
        several if perturbations.is_empty() => format!("{n} unperturbed cells ({})", list(several)),
        several => format!("{n} cells ({}) with {}", list(several), list(&perturbations)),
    };
    let mut place = vec![format!("data set {}", list(&datasets))];
    match &donors[..] {
        [] => {}
        [one] => place.push(format!("donor {one}")),
        several if several.len() > 5 => place.push(counted(several.len(), "donor")),
        several => place.push(format!("donors {}", list(several))),
    }
    format!("{what} ({})", place.join(", "))
}
