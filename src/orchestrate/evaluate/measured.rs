//! The prediction held against cells in which the perturbation was really measured.

use std::collections::HashMap;

use crate::domain::Expression;
use crate::domain::evaluation::{Agreement, MeasuredComparison};
use crate::stats::correlation::{pearson, spearman};
use crate::stats::fold_change::mean_log2_difference;

use super::response::symbol;
use super::{EvaluateError, columns};

/// Genes that count as those with the largest measured response.
pub const N_TOP: usize = 50;

/// A predicted response: the cells and what they are compared with.
#[derive(Clone, Copy, Debug)]
pub struct Predicted<'a> {
    /// Predicted treated cells.
    pub treatment: &'a Expression,
    /// Predicted control cells, or the query cells.
    pub control: &'a Expression,
}

/// Compares the answer and the baseline with measured treated and control cells.
///
/// All matrices hold counts. They are cut to the genes all of them have, by symbol,
/// before they are normalised, so that a cell's total means the same everywhere.
pub fn compare_with_measured(
    measured_treatment: &Expression,
    measured_control: &Expression,
    answer: Predicted<'_>,
    baseline: Predicted<'_>,
) -> Result<MeasuredComparison, EvaluateError> {
    let all = [
        ("measured", measured_treatment),
        ("measured control", measured_control),
        ("predicted", answer.treatment),
        ("control", answer.control),
        ("baseline", baseline.treatment),
        ("baseline control", baseline.control),
    ];
    for (side, expression) in all {
        if expression.counts.n_rows() == 0 {
            return Err(EvaluateError::TooFewCells { side, found: 0, needed: 1 });
        }
    }
    let common = common_genes(&all.map(|(_, expression)| expression));
    if common.is_empty() {
        return Err(EvaluateError::NoCommonGenes { left: "measured", right: "predicted" });
    }
    let mut means = Vec::with_capacity(all.len());
    for (side, expression) in all {
        means.push(mean_log_expression(side, expression, &common)?);
    }
    let response = |pair: &[Vec<f64>]| -> Vec<f64> {
        pair[0].iter().zip(&pair[1]).map(|(&treated, &control)| mean_log2_difference(treated, control)).collect()
    };
    let measured = response(&means[0..2]);
    let n_top = N_TOP.min(common.len());
    Ok(MeasuredComparison {
        n_treatment: measured_treatment.counts.n_rows(),
        n_control: measured_control.counts.n_rows(),
        n_genes: common.len(),
        n_top,
        answer: agreement(&measured, &response(&means[2..4]), n_top),
        baseline: agreement(&measured, &response(&means[4..6]), n_top),
    })
}

/// Symbols that every matrix has, in the order of the first.
fn common_genes(matrices: &[&Expression]) -> Vec<String> {
    let positions: Vec<HashMap<String, usize>> = matrices[1..].iter().map(|m| positions(m)).collect();
    let mut seen = std::collections::HashSet::new();
    let symbols = matrices[0].genes.iter().map(|gene| symbol(gene));
    symbols.filter(|gene| positions.iter().all(|p| p.contains_key(gene)) && seen.insert(gene.clone())).collect()
}

/// The first column of each symbol.
fn positions(expression: &Expression) -> HashMap<String, usize> {
    let mut positions = HashMap::new();
    for (column, gene) in expression.genes.iter().enumerate() {
        positions.entry(symbol(gene)).or_insert(column);
    }
    positions
}

fn mean_log_expression(
    side: &'static str,
    expression: &Expression,
    genes: &[String],
) -> Result<Vec<f64>, EvaluateError> {
    let positions = positions(expression);
    let sources: Vec<Option<usize>> = genes.iter().map(|gene| positions.get(gene).copied()).collect();
    let cut = Expression {
        cells: expression.cells.clone(),
        genes: genes.to_vec(),
        counts: expression.counts.select_columns(&sources),
    };
    let columns = columns(side, &cut)?;
    Ok((0..columns.n_cols()).map(|gene| columns.mean(gene)).collect())
}

fn agreement(measured: &[f64], predicted: &[f64], n_top: usize) -> Agreement {
    let top = largest(measured, n_top);
    let predicted_top = largest(predicted, n_top);
    let of = |values: &[f64]| top.iter().map(|&gene| values[gene]).collect::<Vec<_>>();
    let (measured_top, predicted_there) = (of(measured), of(predicted));
    let pairs = || measured_top.iter().zip(&predicted_there);
    let same_sign = pairs().filter(|(m, p)| *m * *p > 0.0).count();
    let squares: f64 = pairs().map(|(m, p)| (m - p) * (m - p)).sum();
    Agreement {
        pearson: pearson(measured, predicted),
        spearman: spearman(measured, predicted),
        pearson_top: pearson(&measured_top, &predicted_there),
        spearman_top: spearman(&measured_top, &predicted_there),
        direction_top: same_sign as f64 / n_top as f64,
        overlap_top: top.iter().filter(|gene| predicted_top.contains(gene)).count(),
        rmse_top: (squares / n_top as f64).sqrt(),
    }
}

/// The genes with the largest absolute values, largest first; equal ones in their order.
fn largest(values: &[f64], n: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[b].abs().total_cmp(&values[a].abs()));
    order.truncate(n);
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Csr;

    fn cells(genes: &[&str], rows: &[&[f32]]) -> Expression {
        let row = |row: &&[f32]| row.iter().enumerate().map(|(g, &v)| (g as u32, v)).collect::<Vec<_>>();
        Expression {
            cells: (0..rows.len()).map(|i| format!("c{i}")).collect(),
            genes: genes.iter().map(|&g| g.to_owned()).collect(),
            counts: Csr::from_rows(genes.len(), rows.iter().map(row)).unwrap(),
        }
    }

    #[test]
    fn a_perfect_prediction_agrees_with_itself_whatever_the_order_of_genes() {
        let genes = ["A", "B", "C", "D"];
        let treated = cells(&genes, &[&[9.0, 1.0, 4.0, 1.0], &[8.0, 2.0, 4.0, 2.0]]);
        let control = cells(&genes, &[&[1.0, 6.0, 4.0, 3.0]]);
        let shuffled =
            cells(&["only here", "d", "c", "b", "a"], &[&[0.0, 1.0, 4.0, 1.0, 9.0], &[0.0, 2.0, 4.0, 2.0, 8.0]]);
        let flat = Predicted { treatment: &control, control: &control };
        let answer = Predicted { treatment: &shuffled, control: &control };
        let found = compare_with_measured(&treated, &control, answer, flat).unwrap();
        assert_eq!((found.n_genes, found.n_top, found.n_treatment), (4, 4, 2));
        assert!((found.answer.pearson.unwrap() - 1.0).abs() < 1e-12);
        assert_eq!((found.answer.direction_top, found.answer.overlap_top), (1.0, 4));
        assert!(found.answer.rmse_top < 1e-12);
        // A prediction of no change has no correlation rather than a zero.
        assert_eq!((found.baseline.pearson, found.baseline.direction_top), (None, 0.0));
    }

    #[test]
    fn matrices_without_a_common_gene_are_named() {
        let ours = cells(&["A"], &[&[1.0]]);
        let theirs = cells(&["ENSG1"], &[&[1.0]]);
        let predicted = Predicted { treatment: &theirs, control: &theirs };
        let error = compare_with_measured(&ours, &ours, predicted, predicted).unwrap_err();
        assert!(error.to_string().contains("gene symbol"), "{error}");
    }
}
