//! Differential expression by the rank-sum test with ties corrected, 18 533 genes, about 2 000 of them
//! seen in a cell: one run (400 predicted cells against 512 control cells), and 10 and 240
//! perturbations of 400 cells against 4 000 control cells.
//!
//! Everyone starts from one log-normalised matrix of all cells and labels of the groups, and ends with
//! p-values and fold changes; ours and scanpy's are corrected for many tests and ordered, too.

use std::collections::BTreeMap;

use anyhow::Result;
use haystack::anndata::{self, AnnData, Column, Table};
use haystack::domain::Csr;
use haystack::stats::adjust::Correction;
use haystack::stats::differential::{GroupTests, Groups, Reference, Test, compare};
use haystack::stats::normalize::log1p_cp10k;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde_json::json;

use crate::peer::Answer;
use crate::side_by_side::{Comparison, SideBySide};
use crate::synthetic::{Popularity, size};

const N_GENES: usize = 18_533;
const N_TREATED: usize = 400;

/// Groups whose answers are compared; all are computed.
const N_COMPARED: usize = 10;

pub fn run(bench: &mut SideBySide) -> Result<()> {
    for (n_groups, n_control, peers, at_most) in
        [(1, 512, &["scanpy", "illico"][..], usize::MAX), (10, 4_000, &["illico"], 5), (240, 4_000, &["illico"], 3)]
    {
        let (cells, groups) = cells(n_groups, n_control)?;
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("cells.h5ad");
        anndata::write(&file, &labelled(&cells, &groups, n_groups))?;
        println!("  {} cells × {N_GENES} genes, {} values", cells.n_rows(), cells.nnz());
        let labels: Vec<Option<u32>> = groups.iter().map(|&group| Some(group)).collect();
        let tested: Vec<u32> = (1..=n_groups as u32).collect();
        let ours = || compare_groups(&cells, &labels, &tested);
        let times = if n_groups == 1 { String::new() } else { format!("{n_groups} × ") };
        let what = format!("differential expression, {times}{N_TREATED} v {n_control} cells × {N_GENES} genes");
        for peer in peers {
            let n_compared = n_groups.min(N_COMPARED);
            let arguments = json!({"file": file, "threads": bench.threads(), "n_compared": n_compared});
            let comparison = Comparison { what: &what, peer, arguments, tolerance: 1e-9, at_most };
            bench.compare(comparison, ours, |(found, _)| answer(&found[..n_compared]))?;
        }
    }
    Ok(())
}

/// The tests of each group, and its genes by falling score as scanpy lists them.
fn compare_groups(cells: &Csr, labels: &[Option<u32>], tested: &[u32]) -> (Vec<GroupTests>, Vec<Vec<u32>>) {
    let groups = Groups::new(labels, tested, Reference::Group(0)).expect("groups are told apart");
    let test = Test::Wilcoxon(Default::default());
    let found = compare(cells, &groups, test, Correction::BenjaminiHochberg).expect("all sides have cells and numbers");
    let ordered = |group: &GroupTests| {
        let mut order: Vec<u32> = (0..N_GENES as u32).collect();
        order.sort_by(|&a, &b| group.genes[b as usize].score.total_cmp(&group.genes[a as usize].score));
        order
    };
    let orders = found.par_iter().map(ordered).collect();
    (found, orders)
}

fn answer(found: &[GroupTests]) -> Answer {
    let column = |of: fn(&haystack::stats::differential::GeneTest) -> f64| {
        found.iter().flat_map(|group| group.genes.iter().map(move |gene| Some(of(gene)))).collect()
    };
    BTreeMap::from([
        ("p-value".into(), column(|gene| gene.p_value)),
        ("adjusted p-value".into(), column(|gene| gene.adjusted_p_value)),
    ])
}

/// Log-normalised cells and the group of each, 0 being the control: every twentieth gene is more or less
/// common in the cells of a group.
fn cells(n_groups: usize, n_control: usize) -> Result<(Csr, Vec<u32>)> {
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let control = Popularity::log_normal(N_GENES, 2.0, &mut rng);
    let mut popularities = vec![control];
    for _ in 0..n_groups {
        popularities.push(popularities[0].perturbed(20, 1.0, &mut rng));
    }
    // Mixed, as the cells of an atlas are.
    let n_cells = n_groups * N_TREATED + n_control;
    let mut groups: Vec<u32> = Vec::with_capacity(n_cells);
    let (mut treated, mut next) = (0, 0);
    for cell in 1..=n_cells {
        let is_treated = cell * n_groups * N_TREATED / n_cells > treated;
        groups.push(if is_treated { next + 1 } else { 0 });
        if is_treated {
            treated += 1;
            next = (next + 1) % n_groups as u32;
        }
    }
    let row = |(cell, &group): (usize, &u32)| {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        rng.set_stream(cell as u64);
        let n = size(8.2, 0.5, [500.0, 20_000.0], &mut rng);
        let mut drawn: Vec<u32> = (0..n).map(|_| popularities[group as usize].draw(&mut rng)).collect();
        drawn.sort_unstable();
        drawn.chunk_by(|a, b| a == b).map(|same| (same[0], same.len() as f32)).collect::<Vec<_>>()
    };
    let rows: Vec<Vec<(u32, f32)>> = groups.par_iter().enumerate().map(row).collect();
    Ok((log1p_cp10k(&Csr::from_rows(N_GENES, rows)?)?, groups))
}

fn labelled(cells: &Csr, groups: &[u32], n_groups: usize) -> AnnData {
    let group = |group: usize| if group == 0 { "control".to_owned() } else { format!("treated{group:03}") };
    let labels = Column::Categorical {
        codes: groups.iter().map(|&group| group as i32).collect(),
        categories: (0..=n_groups).map(group).collect(),
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
