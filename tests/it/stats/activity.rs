//! Activities against decoupler, in R and in Python.

use std::collections::{BTreeMap, HashMap};

use haystack::knowledge::{Source, regulons};
use haystack::stats::activity::linear_model;
use serde::Deserialize;

use super::{Worst, read_table, read_text};
use crate::support::shared;

#[test]
fn activities_are_those_of_decoupler_in_r() {
    #[derive(Deserialize)]
    struct Edge {
        source: String,
        target: String,
        mor: f64,
    }
    #[derive(Deserialize)]
    struct Row {
        source: String,
        condition: String,
        score: f64,
        p_value: f64,
    }
    let Some(matrix) = shared("data/expected/decoupler/mat.tsv") else { return };
    let text = read_text(&matrix);
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split('\t').collect()).collect();
    let genes: HashMap<&str, u32> = rows[1..].iter().zip(0..).map(|(row, at)| (row[0], at)).collect();
    let mut network: BTreeMap<String, Vec<(u32, f64)>> = BTreeMap::new();
    for edge in read_table::<Edge>(&shared("data/expected/decoupler/net.tsv").unwrap()) {
        network.entry(edge.source).or_default().push((genes[edge.target.as_str()], edge.mor));
    }
    let (names, sources): (Vec<String>, Vec<Vec<(u32, f64)>>) = network.into_iter().unzip();
    let expected: Vec<Row> = read_table(&shared("data/expected/decoupler/output-ulm.tsv").unwrap());
    let mut score = Worst::new("decoupleR, ULM score", 1e-9);
    let mut p = Worst::new("decoupleR, ULM p", 1e-9);
    for (column, sample) in rows[0].iter().enumerate().skip(1) {
        let values: Vec<f64> = rows[1..].iter().map(|row| row[column].parse().unwrap()).collect();
        for found in linear_model(&values, &sources, 1).unwrap() {
            let of = |row: &&Row| row.condition == *sample && row.source == names[found.source];
            let row = expected.iter().find(of).unwrap();
            score.relative(found.score, row.score, sample);
            p.relative(found.p_value, row.p_value, sample);
        }
    }
    assert_eq!(score.pairs, expected.len());
    score.check();
    p.check();
}

#[test]
fn factors_of_the_interferon_response_are_those_of_decoupler() {
    #[derive(Deserialize)]
    struct Row {
        source: String,
        score: f64,
        padj_or_p: f64,
    }
    let Some(ranks) = shared("data/expected/peer_runs/kang_ttest.rnk.tsv.gz") else { return };
    let Some(table) = shared("data/expected/peer_runs/decoupler_ulm_collectri_kang.tsv") else { return };
    let ranks = read_text(&ranks);
    let rows: Vec<(String, f64)> = ranks
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .filter_map(|(gene, value)| Some((gene.to_uppercase(), value.parse().ok()?)))
        .collect();
    let genes: HashMap<&str, u32> = rows.iter().zip(0..).map(|(row, at)| (row.0.as_str(), at)).collect();
    let source = Source::read(&shared("data/networks/collectri_human.csv.gz").unwrap()).unwrap();
    let (network, _) = regulons::parse(&source, &[]).unwrap();
    let mut sources: BTreeMap<String, Vec<(u32, f64)>> = BTreeMap::new();
    for edge in network {
        if let Some(&gene) = genes.get(edge.target.as_str()) {
            sources.entry(edge.source).or_default().push((gene, edge.weight));
        }
    }
    let (names, sources): (Vec<String>, Vec<Vec<(u32, f64)>>) = sources.into_iter().unzip();
    let values: Vec<f64> = rows.iter().map(|row| row.1).collect();
    let found = linear_model(&values, &sources, 5).unwrap();
    let expected: HashMap<String, Row> =
        read_table::<Row>(&table).into_iter().map(|row| (row.source.to_uppercase(), row)).collect();
    assert_eq!(found.len(), expected.len());
    let mut score = Worst::new("decoupler, CollecTRI, score", 1e-9);
    // decoupler keeps these as float32, in which the smallest lose their digits and then vanish.
    let mut adjusted = Worst::new("decoupler, CollecTRI, adjusted p", 2e-7);
    let vanishing = f64::from(f32::MIN_POSITIVE);
    for activity in &found {
        let name = &names[activity.source];
        score.relative(activity.score, expected[name].score, name);
        if expected[name].padj_or_p >= vanishing {
            adjusted.relative(activity.adjusted_p_value, expected[name].padj_or_p, name);
        } else {
            assert!(activity.adjusted_p_value < vanishing, "{name}: {}", activity.adjusted_p_value);
        }
    }
    score.check();
    adjusted.check();
    let best = found.iter().max_by(|a, b| a.score.total_cmp(&b.score)).unwrap();
    assert_eq!(names[best.source], "IRF9");
}
