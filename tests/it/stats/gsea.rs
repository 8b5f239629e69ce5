//! Preranked enrichment against fgsea and GSEApy.

use std::collections::HashMap;
use std::path::Path;

use haystack::stats::gsea::{GseaError, Options, prerank, score};
use serde::Deserialize;

use super::{Worst, read_table, read_text};
use crate::support::shared;

/// A column of numbers below a header.
fn numbers(path: &Path) -> Vec<f64> {
    read_text(path).lines().filter_map(|line| line.trim().parse().ok()).collect()
}

#[test]
fn scores_are_those_of_fgsea() {
    #[derive(Deserialize)]
    struct Row {
        pathway_index0: usize,
        #[serde(rename = "ES")]
        es: f64,
    }
    let Some(stats) = shared("data/expected/gseapy_fgsea/inputs/stats.tsv") else { return };
    let values = numbers(&stats);
    let sets = shared_sets();
    let mut worst = Worst::new("fgsea, enrichment score", 1e-10);
    for row in read_table::<Row>(&shared("data/expected/gseapy_fgsea/refs/ref_calcGseaStatBatchCpp.tsv").unwrap()) {
        let found = score(&values, &sets[row.pathway_index0], 1.0);
        worst.relative(found.es, row.es, &format!("set {}", row.pathway_index0));
    }
    worst.check();
}

fn shared_sets() -> Vec<Vec<u32>> {
    let text = read_text(&shared("data/expected/gseapy_fgsea/inputs/pathways.tsv").unwrap());
    let set = |line: &str| line.split('\t').map(|gene| gene.trim().parse::<u32>().unwrap() - 1).collect();
    text.lines().map(set).collect()
}

/// The error that goes with a p-value is what estimates with other seeds differ by from a far larger
/// sample.
#[test]
fn p_values_differ_from_those_of_a_larger_sample_by_their_errors() {
    let Some(ranks) = shared("data/expected/gseapy_fgsea/inputs/stats.tsv") else { return };
    let values = numbers(&ranks);
    let sets = shared_sets();
    let options = Options { min_size: 1, max_size: 3000, ..Options::default() };
    let exact = Options { permutations: 20_000, sample_size: 501, seed: 1, ..options };
    let reference = prerank(&values, &sets, &exact).unwrap();
    let mut furthest = 0.0_f64;
    for seed in 0..3 {
        for (found, reference) in prerank(&values, &sets, &Options { seed, ..options }).unwrap().iter().zip(&reference)
        {
            assert_eq!(found.es, reference.es);
            assert!((found.nes / reference.nes - 1.0).abs() < 0.15, "{found:?} {reference:?}");
            let error = found.log2_error.hypot(reference.log2_error);
            let distance = (found.p_value.log2() - reference.p_value.log2()).abs() / error;
            furthest = furthest.max(distance);
        }
    }
    println!("p-values of three seeds: at most {furthest:.1} standard deviations from those of a larger sample");
    assert!(furthest < 4.5, "{furthest}");
}

#[test]
fn the_interferon_response_is_ranked_as_gseapy_ranks_it() {
    #[derive(Deserialize)]
    struct Row {
        #[serde(rename = "Term")]
        term: String,
        #[serde(rename = "ES")]
        es: f64,
        #[serde(rename = "NES")]
        nes: f64,
        #[serde(rename = "NOM p-val")]
        p: f64,
        #[serde(rename = "Lead_genes")]
        lead: String,
    }
    let Some(ranks) = shared("data/expected/peer_runs/kang_ttest.rnk.tsv.gz") else { return };
    let ranks = read_text(&ranks);
    let mut rows: Vec<(&str, f64)> = ranks
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .filter_map(|(gene, value)| Some((gene, value.parse().ok()?)))
        .collect();
    rows.sort_by(|a, b| b.1.total_cmp(&a.1));
    let position: HashMap<&str, u32> = rows.iter().zip(0..).map(|(row, at)| (row.0, at)).collect();
    let values: Vec<f64> = rows.iter().map(|row| row.1).collect();
    let gmt = read_text(&shared("data/genesets/h.all.v7.0.symbols.gmt.gz").unwrap());
    let sets: Vec<Vec<&str>> = gmt.lines().map(|line| line.split('\t').collect()).collect();
    let members: Vec<Vec<u32>> =
        sets.iter().map(|set| set[2..].iter().filter_map(|gene| position.get(gene).copied()).collect()).collect();
    let options = Options { min_size: 5, max_size: 1000, seed: 7, ..Options::default() };
    let found = prerank(&values, &members, &options).unwrap();
    let path = shared("data/expected/peer_runs/gseapy_prerank_kang_hallmark.tsv.gz").unwrap();
    let expected: HashMap<String, Row> =
        read_table::<Row>(&path).into_iter().map(|row| (row.term.clone(), row)).collect();
    let mut es = Worst::new("GSEApy, hallmark, enrichment score", 1e-9);
    for found in &found {
        let term = sets[found.set][0];
        let row = &expected[term];
        es.relative(found.es, row.es, term);
        // Both divide by the mean of a thousand random scores, and count how many are larger.
        assert!((found.nes / row.nes - 1.0).abs() < 0.12, "{term}: NES {} and {}", found.nes, row.nes);
        assert!((found.p_value - row.p).abs() < 0.12, "{term}: p {} and {}", found.p_value, row.p);
        let lead: Vec<&str> = found.leading_edge.iter().map(|&gene| rows[gene as usize].0).collect();
        assert_eq!(lead.join(";"), row.lead, "{term}");
    }
    assert_eq!(found.len(), expected.len());
    es.check();
}

#[test]
fn the_seed_decides_and_the_number_of_threads_does_not() {
    let values: Vec<f64> = (0..600).map(|at| 3.0 - f64::from(at) / 100.0).collect();
    let sets: Vec<Vec<u32>> = vec![
        (0..40).map(|at| at * 3).collect(),
        (0..40).map(|at| 599 - at * 4).collect(),
        (0..30).map(|at| at * 20).collect(),
    ];
    let on = |threads: usize, seed| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let options = Options { permutations: 200, sample_size: 31, seed, ..Options::default() };
        pool.install(|| prerank(&values, &sets, &options).unwrap())
    };
    let found = on(1, 5);
    assert_eq!(found, on(4, 5));
    assert_ne!(found, on(1, 6));
    assert!(found[0].es > 0.0 && found[0].p_value < 1e-4 && found[1].es < 0.0 && found[1].p_value < 1e-3, "{found:?}");
    assert!(found[2].p_value > 0.01, "{found:?}");
}

/// Labels that mean nothing: p-values of random sets are uniform.
#[test]
fn random_sets_score_at_chance() {
    use rand::SeedableRng;
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(11);
    let values: Vec<f64> = (0..1000).map(|at| 2.0 - f64::from(at) / 250.0).collect();
    let sets: Vec<Vec<u32>> = (0..200)
        .map(|_| rand::seq::index::sample(&mut rng, 1000, 25).iter().map(|gene| gene as u32).collect())
        .collect();
    let options = Options { permutations: 400, sample_size: 31, ..Options::default() };
    let mut p: Vec<f64> = prerank(&values, &sets, &options).unwrap().iter().map(|found| found.p_value).collect();
    p.sort_by(f64::total_cmp);
    let n = p.len() as f64;
    // The two-sided p-value takes the smaller side of a sign, so it is uniform within a sign.
    let distance = p.iter().enumerate().map(|(at, p)| (p - (at as f64 + 0.5) / n).abs()).fold(0.0, f64::max);
    println!("Kolmogorov-Smirnov distance of 200 p-values from uniform: {distance:.3}");
    // 0.1 % critical value 1.95 / sqrt(200), and a little for the randomness of the p-values.
    assert!(distance < 0.16, "{distance}");
}

#[test]
fn rankings_that_are_none_are_refused() {
    let run = |values: &[f64], sets: &[Vec<u32>]| prerank(values, sets, &Options { min_size: 1, ..Options::default() });
    let set = || vec![vec![0]];
    assert_eq!(run(&[1.0], &set()), Err(GseaError::TooFewGenes(1)));
    assert_eq!(run(&[1.0, 2.0], &set()), Err(GseaError::Unordered(1)));
    assert_eq!(run(&[0.0, 0.0], &set()), Err(GseaError::NoWeight));
    assert!(matches!(run(&[f64::INFINITY, 0.0], &set()), Err(GseaError::NotFinite { position: 0, .. })));
    assert!(matches!(run(&[2.0, 1.0], &[vec![2]]), Err(GseaError::UnknownGene { set: 0, gene: 2, n_genes: 2 })));
    // All genes, or none: nothing to test.
    assert_eq!(run(&[2.0, 1.0], &[vec![0, 1], vec![]]), Ok(vec![]));
    // All values on one side: no random score on the other.
    let found = run(&[5.0, 4.0, 3.0, 2.0, 1.0], &set()).unwrap();
    assert!(found[0].es > 0.0 && found[0].p_value > 0.0);
}
