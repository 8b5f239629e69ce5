//! The response itself: how each gene changes, and the same seen as lists of genes by symbol.

use std::collections::HashMap;

use crate::domain::evaluation::{Criteria, GeneChange, gene_symbol};
use crate::domain::terms::Direction;
use crate::stats::adjust::{Correction, adjust};
use crate::stats::columns::Columns;
use crate::stats::fold_change::log2_fold_change;
use crate::stats::wilcoxon::{Approximation, rank_sum_genes};

/// How each gene differs between treated and control cells, in the order of the genes.
pub fn gene_changes(genes: &[String], [treatment, control]: &[Columns; 2], criteria: &Criteria) -> Vec<GeneChange> {
    let tests = rank_sum_genes(treatment, control, Approximation::default())
        .expect("both sides have cells and the same genes, and normalised counts are numbers");
    let p_values: Vec<f64> = tests.iter().map(|test| test.p_value).collect();
    let adjusted = adjust(&p_values, Correction::BenjaminiHochberg).expect("p-values of a test are in 0..=1");
    let change = |(column, test): (usize, &crate::stats::wilcoxon::RankSum)| {
        let [mean_treatment, mean_control] = [treatment.mean(column), control.mean(column)];
        let mut change = GeneChange {
            gene: genes[column].clone(),
            log2_fold_change: log2_fold_change(mean_treatment, mean_control),
            score: test.score,
            p_value: test.p_value,
            adjusted_p_value: adjusted[column],
            mean_treatment,
            mean_control,
            share_treatment: treatment.share_nonzero(column),
            share_control: control.share_nonzero(column),
            differential: None,
        };
        change.differential = direction(&change, criteria);
        change
    };
    tests.iter().enumerate().map(change).collect()
}

/// Up or down if the gene meets the criteria. Score and fold change must point the same way: they
/// can disagree where a few cells carry the mean.
fn direction(change: &GeneChange, criteria: &Criteria) -> Option<Direction> {
    let fold = change.log2_fold_change;
    let meets = change.adjusted_p_value <= criteria.max_adjusted_p_value && fold.abs() >= criteria.min_log2_fold_change;
    match (meets, fold > 0.0, change.score > 0.0) {
        (true, true, true) => Some(Direction::Up),
        (true, false, false) => Some(Direction::Down),
        _ => None,
    }
}

/// A response over the universe of measured symbols: which genes rise, which fall, and the fold
/// change of all. Of two genes with one symbol the first counts.
#[derive(Clone, Debug)]
pub struct Response {
    symbols: Vec<String>,
    position: HashMap<String, u32>,
    /// Column of each symbol in the matrix.
    columns: Vec<usize>,
    shape: Shape,
}

/// What random relabelling moves around: the changes without the names.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    /// Genes that rise, strongest first.
    pub up: Vec<u32>,
    /// Genes that fall, strongest first.
    pub down: Vec<u32>,
    /// log2 fold change of each gene.
    pub fold: Vec<f64>,
    /// Up or down where a gene is differentially expressed.
    pub differential: Vec<Option<Direction>>,
}

impl Response {
    /// The response that gene changes, in the order of the genes, amount to.
    pub fn new(changes: &[GeneChange]) -> Self {
        let mut position = HashMap::with_capacity(changes.len());
        let (mut symbols, mut columns) = (Vec::new(), Vec::new());
        for (column, change) in changes.iter().enumerate() {
            let symbol = symbol(&change.gene);
            position.entry(symbol.clone()).or_insert_with(|| {
                symbols.push(symbol);
                columns.push(column);
                columns.len() as u32 - 1
            });
        }
        let of = |gene: u32| &changes[columns[gene as usize]];
        let all = || 0..columns.len() as u32;
        let directed = |direction| {
            let mut genes: Vec<u32> = all().filter(|&gene| of(gene).differential == Some(direction)).collect();
            genes.sort_by(|&a, &b| of(b).score.abs().total_cmp(&of(a).score.abs()));
            genes
        };
        let shape = Shape {
            up: directed(Direction::Up),
            down: directed(Direction::Down),
            fold: all().map(|gene| of(gene).log2_fold_change).collect(),
            differential: all().map(|gene| of(gene).differential).collect(),
        };
        Self { symbols, position, columns, shape }
    }

    /// Every measured symbol, in upper case.
    pub fn symbols(&self) -> &[String] {
        &self.symbols
    }

    /// The number of a symbol (given in upper case), if it was measured.
    pub fn gene(&self, symbol: &str) -> Option<u32> {
        self.position.get(symbol).copied()
    }

    /// The symbol of a gene.
    pub fn symbol(&self, gene: u32) -> &str {
        &self.symbols[gene as usize]
    }

    /// The column of a gene in the matrix.
    pub fn column(&self, gene: u32) -> usize {
        self.columns[gene as usize]
    }

    /// Genes that rise, strongest first.
    pub fn up(&self) -> &[u32] {
        &self.shape.up
    }

    /// Genes that fall, strongest first.
    pub fn down(&self) -> &[u32] {
        &self.shape.down
    }

    /// The changes without the names.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }
}

/// The symbol that knowledge knows a gene by: upper case, without an Ensembl id behind it.
pub fn symbol(gene: &str) -> String {
    gene_symbol(gene).to_uppercase()
}

impl Shape {
    /// The same changes under other names: gene `labels[i]` takes what gene `i` had.
    pub fn relabelled(&self, labels: &[u32]) -> Self {
        let renamed = |genes: &[u32]| genes.iter().map(|&gene| labels[gene as usize]).collect();
        let mut fold = vec![0.0; self.fold.len()];
        let mut differential = vec![None; self.differential.len()];
        for (gene, &label) in labels.iter().enumerate() {
            fold[label as usize] = self.fold[gene];
            differential[label as usize] = self.differential[gene];
        }
        Self { up: renamed(&self.up), down: renamed(&self.down), fold, differential }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(gene: &str, fold: f64, score: f64, adjusted: f64) -> GeneChange {
        let mut change = GeneChange {
            gene: gene.into(),
            log2_fold_change: fold,
            score,
            p_value: adjusted,
            adjusted_p_value: adjusted,
            mean_treatment: 0.0,
            mean_control: 0.0,
            share_treatment: 0.0,
            share_control: 0.0,
            differential: None,
        };
        change.differential = direction(&change, &Criteria::default());
        change
    }

    #[test]
    fn criteria_are_inclusive_and_both_signs_must_agree() {
        assert_eq!(change("A", 0.5, 3.0, 0.05).differential, Some(Direction::Up));
        assert_eq!(change("A", -0.5, -3.0, 0.05).differential, Some(Direction::Down));
        assert_eq!(change("A", 0.49, 3.0, 0.01).differential, None);
        assert_eq!(change("A", 0.6, 3.0, 0.051).differential, None);
        assert_eq!(change("A", 0.6, -3.0, 0.01).differential, None);
    }

    #[test]
    fn symbols_are_upper_case_and_the_first_of_twins_counts() {
        let response = Response::new(&[
            change("Isg15", 2.0, 5.0, 0.01),
            change("ISG15", -2.0, -5.0, 0.01),
            change("Actb", 0.0, 0.0, 1.0),
            change("Cd3e", 3.0, 9.0, 0.01),
        ]);
        assert_eq!(response.symbols(), ["ISG15", "ACTB", "CD3E"]);
        assert_eq!((response.up(), response.down()), (&[2, 0][..], &[][..]));
        assert_eq!(response.column(response.gene("CD3E").unwrap()), 3);
    }

    #[test]
    fn relabelling_moves_changes_to_other_genes() {
        let response =
            Response::new(&[change("A", 2.0, 5.0, 0.01), change("B", 0.1, 0.2, 1.0), change("C", -1.0, -4.0, 0.01)]);
        let moved = response.shape().relabelled(&[1, 2, 0]);
        assert_eq!((&moved.up[..], &moved.down[..]), (&[1][..], &[0][..]));
        assert_eq!(moved.fold, [-1.0, 2.0, 0.1]);
        assert_eq!(moved.differential, [Some(Direction::Down), Some(Direction::Up), None]);
    }
}
