//! `output.h5ad`: the predicted cells with the answer, laid out so that scanpy opens and plots it.
//!
//! `X` and `layers["counts"]` hold counts, `layers["log1p"]` the log-normalised values that the test
//! was made on. `uns["rank_genes_groups"]` compares `perturbed` with `control` cells,
//! `uns["rank_genes_groups_baseline"]` the mean-shift baseline with its own control, both in scanpy's
//! layout. `uns["haystack"]` holds the run; four of its fields are repeated at the top of `uns`.

mod tables;

mod uns;

use std::collections::HashMap;

use crate::anndata::{AnnData, Numbers, Value};
use crate::domain::evaluation::{Evaluation, GeneChange};
use crate::domain::score::{Grounding, Hundredths};
use crate::domain::{Csr, Expression};
use crate::stats::normalize::{InvalidCount, log1p_cp10k};

use super::Report;

/// The cells of the delivered iteration. All have the same genes in the same order.
#[derive(Clone, Copy, Debug)]
pub struct Arms<'a> {
    /// Predicted treated cells.
    pub perturbed: &'a Expression,
    /// What they were compared with: predicted control cells, or the query cells.
    pub control: &'a Expression,
    /// The baseline's treated cells.
    pub baseline: &'a Expression,
    /// What the baseline was compared with, where that is not `control`: the query cells.
    pub query: Option<&'a Expression>,
}

/// Why the cells cannot be put into one table.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum OutputError {
    /// Two arms with different genes.
    #[error("the {arm} cells do not have the genes of the perturbed cells, so they cannot share a table")]
    Genes {
        /// Which arm.
        arm: &'static str,
    },
    /// The evaluation is of other genes.
    #[error("gene '{gene}' of the {of} is not among the genes of the predicted cells")]
    Change {
        /// The gene.
        gene: String,
        /// `evaluation` or `baseline`.
        of: &'static str,
    },
    /// A value that is no count.
    #[error(transparent)]
    NotACount(#[from] InvalidCount),
}

/// Colours of the conditions, in the order of their categories: told apart by colour-blind readers too.
const CONDITIONS: [(&str, &str); 4] =
    [("perturbed", "#c2452d"), ("control", "#8a97a5"), ("baseline", "#e0b04c"), ("query", "#2f6db5")];

/// Lays out the file.
pub fn output(report: &Report, arms: &Arms<'_>) -> Result<AnnData, OutputError> {
    let all = [Some(arms.perturbed), Some(arms.control), Some(arms.baseline), arms.query];
    let present: Vec<(usize, &Expression)> =
        all.into_iter().enumerate().filter_map(|(i, arm)| Some((i, arm?))).collect();
    for (condition, arm) in &present {
        if arm.genes != arms.perturbed.genes {
            return Err(OutputError::Genes { arm: CONDITIONS[*condition].0 });
        }
    }
    let genes = unique(arms.perturbed.genes.clone());
    let counts = stacked(&present.iter().map(|(_, arm)| &arm.counts).collect::<Vec<_>>());
    let normal = log1p_cp10k(&counts)?;

    let answer = by_gene("evaluation", &arms.perturbed.genes, &report.evaluation)?;
    let baseline = by_gene("baseline", &arms.perturbed.genes, &report.baseline)?;
    let baseline_control = if arms.query.is_some() { "query" } else { "control" };

    let whole = counts.values().iter().all(|value| value.fract() == 0.0);
    let layer = if whole { Numbers::Counts(counts.clone()) } else { Numbers::Sparse(counts.clone()) };
    let enrichment = uns::enrichment_table(&report.evaluation);
    let query = Value::String(report.query.question.clone());
    let config = uns::record(&serde_json::json!(report.settings));
    let colours = present.iter().map(|(condition, _)| CONDITIONS[*condition].1.to_owned()).collect();
    Ok(AnnData {
        obs: tables::obs(report, &present),
        var: tables::var(report, &arms.perturbed.genes, &genes, &answer, &baseline),
        x: Some(Numbers::Sparse(counts)),
        layers: vec![("counts".into(), layer), ("log1p".into(), Numbers::Sparse(normal))],
        obsm: Vec::new(),
        uns: vec![
            ("condition_colors".into(), Value::Strings(colours)),
            ("config".into(), config.clone()),
            ("enrichment_results".into(), Value::Table(enrichment.clone())),
            ("haystack".into(), uns::haystack(report, &query, config, enrichment)),
            ("log1p".into(), Value::Dict(vec![("base".into(), Value::Null)])),
            ("query".into(), query),
            ("rank_genes_groups".into(), uns::ranked(&genes, &answer, "perturbed", "control")),
            ("rank_genes_groups_baseline".into(), uns::ranked(&genes, &baseline, "baseline", baseline_control)),
            ("run_id".into(), Value::String(report.run_id.to_string())),
        ],
    })
}

/// One matrix of all rows.
fn stacked(matrices: &[&Csr]) -> Csr {
    let rows = matrices.iter().flat_map(|matrix| {
        (0..matrix.n_rows()).map(|row| {
            let (columns, values) = matrix.row(row);
            columns.iter().copied().zip(values.iter().copied())
        })
    });
    let n_cols = matrices.first().map_or(0, |matrix| matrix.n_cols());
    Csr::from_rows(n_cols, rows).expect("rows of valid matrices of one width")
}

/// Names made unique by `-1`, `-2`, … as anndata does.
fn unique(names: Vec<String>) -> Vec<String> {
    let mut taken: std::collections::HashSet<String> = names.iter().cloned().collect();
    let mut seen: HashMap<String, usize> = HashMap::new();
    names
        .into_iter()
        .map(|name| {
            let times = seen.entry(name.clone()).or_insert(0);
            if *times == 0 {
                *times = 1;
                return name;
            }
            loop {
                let candidate = format!("{name}-{times}");
                *times += 1;
                if taken.insert(candidate.clone()) {
                    return candidate;
                }
            }
        })
        .collect()
}

/// The changes in the order of the matrix' columns. Genes of one name are matched one by one.
fn by_gene<'a>(
    of: &'static str,
    genes: &[String],
    evaluation: &'a Evaluation,
) -> Result<Vec<&'a GeneChange>, OutputError> {
    let mut columns: HashMap<&str, std::collections::VecDeque<usize>> = HashMap::new();
    for (column, gene) in genes.iter().enumerate() {
        columns.entry(gene).or_default().push_back(column);
    }
    let mut placed: Vec<Option<&GeneChange>> = vec![None; genes.len()];
    for change in &evaluation.changes {
        let column = columns.get_mut(change.gene.as_str()).and_then(|columns| columns.pop_front());
        let column = column.ok_or_else(|| OutputError::Change { gene: change.gene.clone(), of })?;
        placed[column] = Some(change);
    }
    let missing = |column: usize| OutputError::Change { gene: genes[column].clone(), of };
    placed.into_iter().enumerate().map(|(column, change)| change.ok_or_else(|| missing(column))).collect()
}

/// The composite score, NaN where there is none.
fn composite(grounding: &Grounding) -> f64 {
    grounding.composite.map_or(f64::NAN, hundredths)
}

fn hundredths(value: Hundredths) -> f64 {
    f64::from(value.get()) / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_unique_without_taking_another_name() {
        let names = ["A", "A", "B", "A", "A-1"].map(str::to_owned).to_vec();
        assert_eq!(unique(names), ["A", "A-2", "B", "A-3", "A-1"]);
    }
}
