//! Groups of cells against scanpy, scipy, statsmodels and Seurat.

use std::collections::{BTreeMap, HashMap};

use haystack::domain::Csr;
use haystack::stats::adjust::Correction;
use haystack::stats::differential::{DesignError, DifferentialError, GroupTests, Groups, Reference, Test, compare};
use haystack::stats::normalize::log1p_cp10k;
use haystack::stats::t_test::Variance;
use haystack::stats::wilcoxon::{Approximation, Continuity, Ties};
use serde::Deserialize;

use super::{Ranked, Worst, csr, labelled, read_table, read_text};
use crate::support::{fixture, shared};

const SCANPY: Test = Test::Wilcoxon(Approximation { ties: Ties::Correct, continuity: Continuity::Ignore });
const SCANPY_DEFAULT: Test = Test::Wilcoxon(Approximation { ties: Ties::Ignore, continuity: Continuity::Ignore });
const SCIPY: Test = Test::Wilcoxon(Approximation { ties: Ties::Correct, continuity: Continuity::Correct });

#[derive(Deserialize)]
struct Cells {
    labels: Vec<String>,
    counts: Vec<Vec<f32>>,
    scanpy: HashMap<String, BTreeMap<String, Expected>>,
    /// p-values by method and group; none where neither side varies.
    scipy: HashMap<String, BTreeMap<String, Vec<Option<f64>>>>,
    #[serde(rename = "continuity, b against a")]
    continuity: Continuous,
}

#[derive(Deserialize)]
struct Expected {
    scores: Vec<f64>,
    pvals: Vec<f64>,
    pvals_adj: Vec<f64>,
    logfoldchanges: Vec<f64>,
}

#[derive(Deserialize)]
struct Continuous {
    pvals: Vec<f64>,
    fdr_bh: Vec<f64>,
    bonferroni: Vec<f64>,
}

fn cells() -> (Cells, Csr) {
    let cells: Cells = serde_json::from_str(&read_text(&fixture("stats/groups.json"))).unwrap();
    let normal = log1p_cp10k(&csr(&cells.counts)).unwrap();
    (cells, normal)
}

/// The groups by their names; `a` is 0 and so on.
fn numbers(labels: &[String]) -> (Vec<String>, Vec<Option<u32>>) {
    let mut names = labels.to_vec();
    names.sort();
    names.dedup();
    let number = |label: &String| Some(names.binary_search(label).unwrap() as u32);
    let numbers = labels.iter().map(number).collect();
    (names, numbers)
}

fn tests_of(
    values: &Csr,
    labels: &[String],
    tested: &[&str],
    reference: &str,
    test: Test,
    correction: Correction,
) -> Vec<GroupTests> {
    let (names, numbers) = numbers(labels);
    let find = |name: &str| names.iter().position(|held| held == name).unwrap() as u32;
    let reference = if reference == "rest" { Reference::Rest } else { Reference::Group(find(reference)) };
    let tested: Vec<u32> = tested.iter().map(|name| find(name)).collect();
    compare(values, &Groups::new(&numbers, &tested, reference).unwrap(), test, correction).unwrap()
}

#[test]
fn every_method_agrees_with_scanpy_against_a_group_and_against_the_rest() {
    let (cells, normal) = cells();
    for reference in ["a", "rest"] {
        for (name, test) in [
            ("wilcoxon", SCANPY),
            ("t-test", Test::TTest(Variance::Own)),
            ("t-test_overestim_var", Test::TTest(Variance::Overestimated)),
        ] {
            let name = format!("{name} against {reference}");
            let expected = &cells.scanpy[&name];
            let groups: Vec<&str> = expected.keys().map(String::as_str).collect();
            let found = tests_of(&normal, &cells.labels, &groups, reference, test, Correction::default());
            // scanpy squares values in float32 for the t-test; scipy, below, does not.
            let limit = if matches!(test, Test::TTest(_)) { 2e-5 } else { 1e-9 };
            let mut p = Worst::new(format!("groups, {name}, p"), limit);
            let mut adjusted = Worst::new(format!("groups, {name}, adjusted p"), limit);
            // scanpy stores these two as float32.
            let mut score = Worst::new(format!("groups, {name}, score"), if limit > 1e-9 { 2e-6 } else { 6e-8 });
            let mut fold = Worst::new(format!("groups, {name}, log fold change"), 6e-8);
            let mut told_apart = false;
            for (found, (group, expected)) in found.iter().zip(expected) {
                for (gene, test) in found.genes.iter().enumerate() {
                    let place = format!("{group}, gene {gene}");
                    p.relative(test.p_value, expected.pvals[gene], &place);
                    adjusted.relative(test.adjusted_p_value, expected.pvals_adj[gene], &place);
                    score.relative(test.score, expected.scores[gene], &place);
                    fold.relative(test.log2_fold_change, expected.logfoldchanges[gene], &place);
                }
                let significant = |p: f64| p <= 0.05;
                let ours: Vec<bool> = found.genes.iter().map(|test| significant(test.adjusted_p_value)).collect();
                let theirs: Vec<bool> = expected.pvals_adj.iter().map(|p| significant(*p)).collect();
                assert_eq!(ours, theirs, "{name}, {group}: other genes are significant");
                told_apart |= ours.contains(&true) && ours.contains(&false);
            }
            assert!(told_apart, "{name}: tells nothing apart in any group");
            [p, adjusted, score, fold].into_iter().for_each(Worst::check);
            let Some(expected) = cells.scipy.get(&name) else { continue };
            let mut p = Worst::new(format!("groups, {name}, p of scipy"), 1e-9);
            for (found, (group, expected)) in found.iter().zip(expected) {
                for (gene, (test, expected)) in found.genes.iter().zip(expected).enumerate() {
                    p.relative(test.p_value, expected.unwrap_or(1.0), &format!("{group}, gene {gene}"));
                }
            }
            p.check();
        }
    }
}

#[test]
fn the_continuity_correction_and_both_corrections_agree_with_scipy_and_statsmodels() {
    let (cells, normal) = cells();
    for (correction, expected) in [
        (Correction::BenjaminiHochberg, &cells.continuity.fdr_bh),
        (Correction::Bonferroni, &cells.continuity.bonferroni),
    ] {
        let found = tests_of(&normal, &cells.labels, &["b"], "a", SCIPY, correction);
        let mut p = Worst::new(format!("scipy with continuity correction, p ({correction:?})"), 1e-9);
        let mut adjusted = Worst::new(format!("statsmodels, {correction:?}"), 1e-9);
        for (gene, test) in found[0].genes.iter().enumerate() {
            p.relative(test.p_value, cells.continuity.pvals[gene], &format!("gene {gene}"));
            adjusted.relative(test.adjusted_p_value, expected[gene], &format!("gene {gene}"));
        }
        p.check();
        adjusted.check();
    }
    // The two conventions do differ, so that agreeing with one says something.
    let without = tests_of(&normal, &cells.labels, &["b"], "a", SCANPY, Correction::default());
    let differs = |gene: &usize| (without[0].genes[*gene].p_value / cells.continuity.pvals[*gene] - 1.0).abs() > 1e-3;
    assert!((0..normal.n_cols()).filter(differs).count() > 10);
}

#[test]
fn groups_do_not_depend_on_threads_or_on_what_else_is_tested() {
    let (cells, normal) = cells();
    for reference in ["a", "rest"] {
        let on = |threads: usize, groups: &[&str]| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| tests_of(&normal, &cells.labels, groups, reference, SCANPY, Correction::default()))
        };
        let all = on(1, &["b", "c", "d"]);
        assert_eq!(all, on(3, &["b", "c", "d"]));
        // Against the rest, means are merged from other groups, so the last digit may differ.
        let alone = on(2, &["c"]);
        for (one, other) in alone[0].genes.iter().zip(&all[1].genes) {
            assert_eq!(
                (one.score, one.p_value, one.mean, one.share),
                (other.score, other.p_value, other.mean, other.share)
            );
            assert!((one.mean_reference - other.mean_reference).abs() <= 1e-14 * other.mean_reference);
        }
    }
}

#[test]
fn what_cannot_be_compared_is_named() {
    let values = Csr::from_rows(2, [vec![(0, 1.0)], vec![(1, f32::NAN)], vec![(0, 2.0)]]).unwrap();
    let labels = [Some(0), Some(1), None];
    let run = |tested: &[u32], reference, test| {
        compare(&values, &Groups::new(&labels, tested, reference)?, test, Correction::default())
    };
    let design = |error| Err(DifferentialError::Design(error));
    assert_eq!(run(&[0], Reference::Group(0), SCANPY), design(DesignError::Itself(0)));
    let too_few = |needed| DesignError::TooFew { group: 0, found: 1, reference: usize::from(needed == 2), needed };
    assert_eq!(run(&[0], Reference::Group(7), SCANPY), design(too_few(1)));
    assert_eq!(run(&[0], Reference::Group(1), Test::TTest(Variance::Own)), design(too_few(2)));
    let error = run(&[0], Reference::Rest, SCANPY).unwrap_err();
    assert!(matches!(error, DifferentialError::NotFinite { gene: 1, .. }), "{error}");
    let short = Groups::new(&labels[..2], &[0], Reference::Group(1)).unwrap();
    let error = compare(&values, &short, SCANPY, Correction::default()).unwrap_err();
    assert_eq!(error, DesignError::Labels { labels: 2, cells: 3 }.into());
}

/// Against a table that prints p-values with 8 digits (and has t-tests of values squared in float32), and the
/// significant genes it names.
fn compare_tables(values: &Csr, genes: &[String], labels: &[String], reference: &str, table: &[Ranked], what: &str) {
    let position: HashMap<&str, usize> = genes.iter().enumerate().map(|(at, gene)| (gene.as_str(), at)).collect();
    let mut groups: Vec<&str> = table.iter().map(|row| row.group.as_str()).collect();
    groups.sort_unstable();
    groups.dedup();
    for (method, test) in [
        ("wilcoxon", SCANPY_DEFAULT),
        ("wilcoxon_tie", SCANPY),
        ("t-test", Test::TTest(Variance::Own)),
        ("t-test_overestim_var", Test::TTest(Variance::Overestimated)),
    ] {
        let found = tests_of(values, labels, &groups, reference, test, Correction::default());
        let place: HashMap<&str, usize> = groups.iter().enumerate().map(|(at, group)| (*group, at)).collect();
        let limit = if matches!(test, Test::TTest(_)) { 2e-5 } else { 6e-8 };
        let mut p = Worst::new(format!("{what}, {method}, p"), limit);
        for row in table.iter().filter(|row| row.method == method) {
            let test = &found[place[row.group.as_str()]].genes[position[row.names.as_str()]];
            p.relative(test.p_value, row.pvals, &format!("{} {}", row.group, row.names));
            let significant = (test.adjusted_p_value <= 0.05, row.pvals_adj <= 0.05);
            assert_eq!(significant.0, significant.1, "{what}, {method}: {} {}", row.group, row.names);
        }
        p.check();
    }
}

#[test]
fn all_methods_agree_with_scanpy_on_real_cells() {
    let Some(path) = shared("data/singlecell/kang2018_ifnb_2000x9015.h5ad") else { return };
    let Some(table) = shared("data/expected/peer_runs/scanpy_kang_stim_vs_ctrl.tsv.gz") else { return };
    let (genes, normal, labels) = labelled(&path, "condition");
    compare_tables(&normal, &genes, &labels, "ctrl", &read_table::<Ranked>(&table), "scanpy, interferon beta");
    let path = shared("data/singlecell/papalexi2021_thp1_crispr_20729x299.h5ad").unwrap();
    let table = shared("data/expected/peer_runs/scanpy_papalexi_each_vs_nt.tsv.gz").unwrap();
    let (genes, normal, labels) = labelled(&path, "perturbation");
    compare_tables(&normal, &genes, &labels, "non-targeting", &read_table::<Ranked>(&table), "scanpy, CRISPR targets");
}

#[test]
fn with_continuity_correction_p_values_are_those_of_seurat() {
    #[derive(Deserialize)]
    struct Row {
        object: String,
        row: usize,
        column: String,
        expected: f64,
        call: String,
    }
    let Some(path) = shared("data/singlecell/seurat_pbmc_small_80x230.h5ad") else { return };
    let Some(table) = shared("data/expected/seurat/findmarkers_expected.tsv") else { return };
    let (genes, normal, labels) = labelled(&path, "ident");
    let text = read_text(&table);
    let mut reader = csv::ReaderBuilder::new().delimiter(b'\t').flexible(true).from_reader(text.as_bytes());
    let header = reader.headers().unwrap().clone();
    let rows: Vec<Row> = reader.records().flatten().filter_map(|row| row.deserialize(Some(&header)).ok()).collect();
    let expected = |object: &str, column: &str| {
        let plain =
            |row: &&Row| row.object == object && row.row == 1 && row.column == column && !row.call.contains("test.use");
        rows.iter().find(plain).unwrap().expected
    };
    let mut worst = Worst::new("Seurat's own test, p and Bonferroni's, beyond the print", 1e-9);
    for (object, reference) in [("markers.0", "rest"), ("markers.01", "1")] {
        let found = tests_of(&normal, &labels, &["0"], reference, SCIPY, Correction::Bonferroni);
        let best = found[0].genes.iter().min_by(|a, b| a.p_value.total_cmp(&b.p_value)).unwrap();
        worst.printed(best.p_value, expected(object, "p_val"), 7, object);
        worst.printed(best.adjusted_p_value, expected(object, "p_val_adj"), 7, object);
        assert!((best.share - expected(object, "pct.1")).abs() < 6e-4, "{object}: {}", best.share);
        assert!((best.share_reference - expected(object, "pct.2")).abs() < 6e-4, "{object}: {}", best.share_reference);
    }
    let found = tests_of(&normal, &labels, &["0"], "rest", SCIPY, Correction::Bonferroni);
    let tymp = genes.iter().position(|gene| gene == "TYMP").unwrap();
    worst.printed(found[0].genes[tymp].p_value, expected("tymp.results", "p_val"), 7, "TYMP");
    worst.check();
}
