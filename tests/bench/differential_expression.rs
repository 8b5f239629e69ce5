//! Differential expression of one run, by the rank-sum test with ties corrected: 400 predicted
//! cells against 512 control cells, 18 533 genes, about 2 000 of them seen in a cell.
//!
//! Everyone starts from one log-normalised matrix of all cells and labels of the two groups, and
//! ends with p-values, their correction for many tests and fold changes.

use std::collections::BTreeMap;

use anyhow::Result;
use haystack::anndata::{self, AnnData, Column, Table};
use haystack::domain::Csr;
use haystack::stats::adjust::{Correction, adjust};
use haystack::stats::columns::Columns;
use haystack::stats::fold_change::log2_fold_change;
use haystack::stats::normalize::log1p_cp10k;
use haystack::stats::wilcoxon::{RankSum, Ties, rank_sum_genes};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::json;

use crate::peer::Answer;
use crate::side_by_side::{Comparison, SideBySide};
use crate::synthetic::{Popularity, size};

const N_GENES: usize = 18_533;
const N_TREATED: usize = 400;
const N_CONTROL: usize = 512;

pub fn run(bench: &mut SideBySide) -> Result<()> {
    let (cells, treated) = cells()?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("cells.h5ad");
    anndata::write(&file, &labelled(&cells, &treated))?;
    println!("  {} cells × {N_GENES} genes, {} values", cells.n_rows(), cells.nnz());

    let what = format!("differential expression, {N_TREATED} v {N_CONTROL} cells × {N_GENES} genes");
    for (peer, tolerance) in [("scanpy", 1e-9), ("illico", 1e-9)] {
        let arguments = json!({"file": file, "threads": bench.threads()});
        let comparison = Comparison { what: &what, peer, arguments, tolerance };
        bench.compare(comparison, || compare_groups(&cells, &treated), answer)?;
    }
    Ok(())
}

/// What is found for every gene.
struct Found {
    tests: Vec<RankSum>,
    adjusted: Vec<f64>,
    /// By gene; kept so that it is computed.
    _log2_fold_changes: Vec<f64>,
    /// Genes by falling score, as scanpy lists them.
    _order: Vec<usize>,
}

fn compare_groups(cells: &Csr, treated: &[bool]) -> Found {
    let side = |side: bool| {
        let rows: Vec<usize> = (0..cells.n_rows()).filter(|&row| treated[row] == side).collect();
        Columns::new(&cells.select_rows(&rows))
    };
    let (treatment, control) = rayon::join(|| side(true), || side(false));
    let tests = rank_sum_genes(&treatment, &control, Ties::Correct).expect("both sides have cells and numbers");
    let p_values: Vec<f64> = tests.iter().map(|test| test.p_value).collect();
    let adjusted = adjust(&p_values, Correction::BenjaminiHochberg).expect("p-values are in 0..=1");
    let fold_change = |gene| log2_fold_change(treatment.mean(gene), control.mean(gene));
    let mut order: Vec<usize> = (0..N_GENES).collect();
    order.sort_by(|&a, &b| tests[b].score.total_cmp(&tests[a].score));
    Found { adjusted, _log2_fold_changes: (0..N_GENES).map(fold_change).collect(), _order: order, tests }
}

fn answer(found: Found) -> Answer {
    let p_values = found.tests.iter().map(|test| Some(test.p_value)).collect();
    let adjusted = found.adjusted.into_iter().map(Some).collect();
    BTreeMap::from([("p-value".into(), p_values), ("adjusted p-value".into(), adjusted)])
}

/// Log-normalised cells, and which of them are treated: every twentieth gene is more or less common
/// in those.
fn cells() -> Result<(Csr, Vec<bool>)> {
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let control = Popularity::log_normal(N_GENES, 2.0, &mut rng);
    let perturbed = control.perturbed(20, 1.0, &mut rng);
    // Mixed, as the cells of an atlas are.
    let treated: Vec<bool> =
        (0..N_TREATED + N_CONTROL).map(|cell| cell * N_TREATED % (N_TREATED + N_CONTROL) < N_TREATED).collect();
    let rows = treated.iter().map(|&treated| {
        let mut counts: BTreeMap<u32, f32> = BTreeMap::new();
        for _ in 0..size(8.2, 0.5, [500.0, 20_000.0], &mut rng) {
            let gene = if treated { perturbed.draw(&mut rng) } else { control.draw(&mut rng) };
            *counts.entry(gene).or_default() += 1.0;
        }
        counts
    });
    Ok((log1p_cp10k(&Csr::from_rows(N_GENES, rows.collect::<Vec<_>>())?)?, treated))
}

fn labelled(cells: &Csr, treated: &[bool]) -> AnnData {
    let labels = Column::Categorical {
        codes: treated.iter().map(|&treated| i32::from(treated)).collect(),
        categories: vec!["control".into(), "treated".into()],
        ordered: false,
    };
    let names =
        |letter: &str, n: usize| Table { index: (0..n).map(|i| format!("{letter}{i}")).collect(), ..Table::default() };
    AnnData {
        obs: Table { columns: vec![("perturbation".into(), labels)], ..names("cell", cells.n_rows()) },
        var: names("gene", N_GENES),
        x: Some(cells.clone().into()),
        ..AnnData::default()
    }
}
