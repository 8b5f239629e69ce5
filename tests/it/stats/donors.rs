//! The comparison of donors against DESeq2, limma and pydeseq2.

use std::collections::{BTreeMap, HashMap};

use haystack::anndata::{File, Matrix};
use haystack::stats::adjust::Correction;
use haystack::stats::correlation::spearman;
use haystack::stats::moderated::{Fit, Trend, moderated_t};
use haystack::stats::pseudobulk::{Pairing, PseudobulkError, Side, compare_donors, size_factors};
use serde::Deserialize;

use super::{Worst, csr, read_table, read_text};
use crate::support::{fixture, shared};

#[derive(Deserialize)]
struct Case {
    donors: Vec<String>,
    sides: Vec<String>,
    counts: Vec<Vec<f32>>,
    expected: Expected,
}

#[derive(Deserialize)]
struct Expected {
    kept: Vec<usize>,
    lfc: Vec<f64>,
    t: Vec<f64>,
    p: Vec<f64>,
}

fn cases() -> BTreeMap<String, Case> {
    serde_json::from_str(&read_text(&fixture("stats/pseudobulk.json"))).unwrap()
}

impl Case {
    fn sides(&self) -> Vec<Option<Side>> {
        self.sides.iter().map(|side| Some(if side == "group" { Side::Group } else { Side::Reference })).collect()
    }

    fn donors(&self) -> Vec<Option<u32>> {
        let mut names: Vec<&String> = self.donors.iter().collect();
        names.sort();
        names.dedup();
        self.donors.iter().map(|donor| Some(names.binary_search(&donor).unwrap() as u32)).collect()
    }
}

#[test]
fn donors_are_compared_as_limma_trend_does() {
    let mut n_found = 0;
    for (name, case) in cases() {
        let found = compare_donors(&csr(&case.counts), &case.sides(), &case.donors(), Correction::default()).unwrap();
        match (name.as_str(), found.pairing) {
            ("paired", Pairing::Paired { donors: 4 }) | ("unpaired", Pairing::Unpaired { group: 3, reference: 4 }) => {}
            (_, pairing) => panic!("{name}: {pairing:?}"),
        }
        let tested: Vec<usize> = (0..found.genes.len()).filter(|&gene| !found.genes[gene].p_value.is_nan()).collect();
        assert_eq!(tested, case.expected.kept, "{name}: other genes have enough counts");
        assert!(tested.len() < found.genes.len(), "{name}: nothing was left out, so leaving out is not tested");
        let mut lfc = Worst::new(format!("limma-trend, {name}, log fold change"), 1e-9);
        let mut t = Worst::new(format!("limma-trend, {name}, t"), 1e-6);
        let mut p = Worst::new(format!("limma-trend, {name}, p"), 1e-6);
        for (at, &gene) in tested.iter().enumerate() {
            let place = format!("gene {gene}");
            lfc.relative(found.genes[gene].log2_fold_change, case.expected.lfc[at], &place);
            t.relative(found.genes[gene].score, case.expected.t[at], &place);
            p.relative(found.genes[gene].p_value, case.expected.p[at], &place);
        }
        [lfc, t, p].into_iter().for_each(Worst::check);
        n_found += (0..10).filter(|&gene| found.genes[gene].adjusted_p_value <= 0.05).count();
    }
    assert!(n_found > 0, "none of the genes that respond is found by any design");
}

#[test]
fn too_few_donors_cells_or_counts_are_named() {
    let case = &cases()["paired"];
    let (counts, sides, donors) = (csr(&case.counts), case.sides(), case.donors());
    let run = |keep: &dyn Fn(usize) -> bool| {
        let donors: Vec<Option<u32>> = (0..donors.len()).map(|cell| donors[cell].filter(|_| keep(cell))).collect();
        compare_donors(&counts, &sides, &donors, Correction::default())
    };
    let one = |cell: usize| donors[cell] == Some(0);
    assert_eq!(run(&one), Err(PseudobulkError::TooFewDonors { group: 1, reference: 1 }));
    let no_group = |cell: usize| sides[cell] == Some(Side::Reference);
    assert_eq!(run(&no_group), Err(PseudobulkError::TooFewDonors { group: 0, reference: 4 }));
    // Nine cells of one donor on one side are too few for a sample.
    let nine: Vec<usize> =
        (0..donors.len()).filter(|&cell| donors[cell] == Some(1) && sides[cell] == Some(Side::Group)).take(9).collect();
    let few = |cell: usize| donors[cell] != Some(1) || sides[cell] != Some(Side::Group) || nine.contains(&cell);
    let found = run(&few).unwrap();
    assert_eq!((found.pairing, found.small_samples), (Pairing::Paired { donors: 3 }, 1));

    let mut negative = case.counts.clone();
    negative[5][3] = -1.0;
    let error = compare_donors(&csr(&negative), &sides, &donors, Correction::default()).unwrap_err();
    assert!(error.to_string().contains("cell 5, gene 3"), "{error}");
    let nothing = vec![vec![0.0; 3]; case.counts.len()];
    let error = compare_donors(&csr(&nothing), &sides, &donors, Correction::default());
    assert_eq!(error, Err(PseudobulkError::NoGenes));
}

/// Pairs are made where they keep most donors, and nobody is left out unsaid.
#[test]
fn a_few_donors_on_both_sides_do_not_cost_all_others() {
    let compare = |group: std::ops::Range<u32>, reference: std::ops::Range<u32>| {
        let donors = |donors: std::ops::Range<u32>| donors.flat_map(|donor| [Some(donor); 10]);
        let all: Vec<Option<u32>> = donors(group.clone()).chain(donors(reference)).collect();
        let n_group = 10 * group.len();
        let side = |cell: usize| Some(if cell < n_group { Side::Group } else { Side::Reference });
        let sides: Vec<Option<Side>> = (0..all.len()).map(side).collect();
        // Counts that differ between genes, sides and donors.
        let count =
            |cell: usize, gene: usize| (cell / 10 % 3 + gene % 5 + 4 * usize::from(cell < n_group && gene < 3)) as f32;
        let counts: Vec<Vec<f32>> =
            (0..all.len()).map(|cell| (0..20).map(|gene| count(cell, gene)).collect()).collect();
        let found = compare_donors(&csr(&counts), &sides, &all, Correction::default()).unwrap();
        (found.pairing, found.single_samples)
    };
    // Of 10 donors on either side 2 are the same: all 20 samples are used.
    assert_eq!(compare(0..10, 8..18), (Pairing::Unpaired { group: 10, reference: 10 }, 0));
    // Half is not most.
    assert_eq!(compare(0..4, 2..6), (Pairing::Unpaired { group: 4, reference: 4 }, 0));
    // Of 4 and 5 donors 3 are the same: 1 and 2 samples have no partner.
    assert_eq!(compare(0..4, 1..6), (Pairing::Paired { donors: 3 }, 3));
}

#[test]
fn size_factors_are_those_of_deseq2() {
    let Some(path) = shared("data/expected/pydeseq2/synthetic/test_counts.csv") else { return };
    let Some(expected) = shared("data/expected/pydeseq2/single_factor/r_test_size_factors.csv") else { return };
    let rows = |path: &std::path::Path| {
        let text = read_text(path);
        let mut reader = csv::ReaderBuilder::new().from_reader(text.as_bytes());
        let number = |field: &str| field.parse::<f64>().unwrap();
        reader.records().map(|row| row.unwrap().iter().skip(1).map(number).collect::<Vec<f64>>()).collect::<Vec<_>>()
    };
    let genes = rows(&path);
    let samples: Vec<Vec<f64>> = (0..genes[0].len()).map(|at| genes.iter().map(|gene| gene[at]).collect()).collect();
    let found = size_factors(&samples).unwrap();
    let mut worst = Worst::new("size factors of DESeq2 in R", 1e-12);
    for (at, (found, expected)) in found.iter().zip(rows(&expected)).enumerate() {
        worst.relative(*found, expected[0], &format!("sample {at}"));
    }
    worst.check();
    assert_eq!(size_factors(&[vec![1.0, 0.0], vec![0.0, 1.0]]), None);
}

#[test]
fn moderated_tests_are_those_of_limma_in_r() {
    #[derive(Deserialize)]
    struct Row {
        #[serde(rename = "ID")]
        id: String,
        #[serde(rename = "logFC")]
        log_fc: f64,
        t: f64,
        #[serde(rename = "P.Value")]
        p: f64,
    }
    let Some(counts) = shared("data/expected/decoupler_bk/counts.tsv.gz") else { return };
    let Some(table) = shared("data/expected/decoupler_bk/limma_ttop.tsv.gz") else { return };
    let text = read_text(&counts);
    let rows: Vec<Vec<&str>> = text.lines().skip(1).map(|line| line.split('\t').collect()).collect();
    // Three wild-type samples, then three without FOXA2; some genes lack a value or two.
    let fits: Vec<Fit> = rows
        .iter()
        .map(|row| {
            let side = |fields: &[&str]| fields.iter().filter_map(|field| field.parse().ok()).collect::<Vec<f64>>();
            let (wild, knocked_out) = (side(&row[1..4]), side(&row[4..7]));
            let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
            let squares = |values: &[f64]| values.iter().map(|v| (v - mean(values)).powi(2)).sum::<f64>();
            let df = (wild.len() + knocked_out.len()) as f64 - 2.0;
            Fit {
                effect: mean(&wild) - mean(&knocked_out),
                unscaled: (1.0 / wild.len() as f64 + 1.0 / knocked_out.len() as f64).sqrt(),
                variance: (squares(&wild) + squares(&knocked_out)) / df,
                df,
                mean: 0.0,
            }
        })
        .collect();
    let found = moderated_t(&fits, Trend::Constant);
    let place: HashMap<&str, usize> = rows.iter().enumerate().map(|(at, row)| (row[0], at)).collect();
    let mut t = Worst::new("limma in R, moderated t", 1e-9);
    let mut p = Worst::new("limma in R, p", 1e-9);
    for row in read_table::<Row>(&table) {
        let at = place[row.id.as_str()];
        let sign = if fits[at].effect * row.log_fc < 0.0 { -1.0 } else { 1.0 };
        t.relative(sign * found[at].0, row.t, &row.id);
        p.relative(found[at].1, row.p, &row.id);
    }
    t.check();
    p.check();
}

/// Two methods with models of their own: fold changes agree in order, and no gene that is strong in one
/// goes the other way in the other.
#[test]
fn fold_changes_of_donors_go_with_those_of_deseq2() {
    #[derive(Deserialize)]
    struct Row {
        cell_type: String,
        gene: String,
        #[serde(rename = "log2FoldChange")]
        fold: f64,
        padj: Option<f64>,
    }
    let Some(path) = shared("data/singlecell/kang2018_muscat_1556x1267.h5ad") else { return };
    let Some(table) = shared("data/expected/peer_runs/pydeseq2_kang_muscat_pseudobulk.tsv.gz") else { return };
    let file = File::open(&path).unwrap();
    let cells = file.read_expression(&Matrix::X, None, None).unwrap();
    let column = |name: &str| file.obs().column(name).unwrap().to_strings();
    let [types, conditions, donors] = ["cluster_id", "group_id", "donor"].map(column);
    let mut names: Vec<&String> = donors.iter().flatten().collect();
    names.sort();
    names.dedup();
    let donors: Vec<Option<u32>> =
        donors.iter().map(|donor| donor.as_ref().map(|donor| names.binary_search(&donor).unwrap() as u32)).collect();
    let table: Vec<Row> = read_table(&table);
    for cell_type in ["CD14+ Monocytes", "CD4 T cells", "B cells"] {
        let side = |cell: usize| {
            let of_type = types[cell].as_deref() == Some(cell_type);
            of_type.then_some(if conditions[cell].as_deref() == Some("stim") { Side::Group } else { Side::Reference })
        };
        let sides: Vec<Option<Side>> = (0..types.len()).map(side).collect();
        let found = compare_donors(&cells.counts, &sides, &donors, Correction::default()).unwrap();
        assert_eq!(found.pairing, Pairing::Paired { donors: 2 });
        let place: HashMap<&str, usize> =
            cells.genes.iter().enumerate().map(|(at, gene)| (gene.as_str(), at)).collect();
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for row in table.iter().filter(|row| row.cell_type == cell_type) {
            let gene = &found.genes[place[row.gene.as_str()]];
            if gene.p_value.is_nan() {
                continue;
            }
            ours.push(gene.log2_fold_change);
            theirs.push(row.fold);
            let strong = gene.adjusted_p_value < 0.05 && row.padj.is_some_and(|p| p < 0.05);
            assert!(!strong || gene.log2_fold_change * row.fold > 0.0, "{cell_type}: {}", row.gene);
        }
        let rho = spearman(&ours, &theirs).unwrap();
        println!("{cell_type}: {} genes, Spearman's correlation of fold changes with DESeq2's {rho:.3}", ours.len());
        assert!(ours.len() > 100 && rho > 0.95, "{cell_type}: {rho}");
        assert!(found.genes[place["ISG15"]].adjusted_p_value < 0.05, "{cell_type}: ISG15");
    }
}
