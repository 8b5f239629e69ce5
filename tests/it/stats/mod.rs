//! The statistics against numbers of the tools people check against: scanpy, scipy, statsmodels, GSEApy,
//! fgsea, limma, DESeq2, decoupler. Each test prints the worst difference it saw
//! (`cargo test --test it stats -- --nocapture`).

mod activity;
mod commands;
mod differential;
mod donors;
mod gsea;

use std::collections::HashMap;
use std::io::Read;
use std::path::Path;

use haystack::anndata::{File, Matrix};
use haystack::domain::Csr;
use haystack::stats::adjust::{Correction, adjust};
use haystack::stats::columns::Columns;
use haystack::stats::correlation::{pearson, spearman};
use haystack::stats::enrichment::SetIndex;
use haystack::stats::fold_change::log2_fold_change;
use haystack::stats::hypergeometric::upper_tail;
use haystack::stats::normalize::log1p_cp10k;
use haystack::stats::wilcoxon::{Approximation, Continuity, RankSum, Ties, rank_sum, rank_sum_genes};
use serde::Deserialize;

use crate::support::{fixture, shared};

/// The largest difference of many pairs, and where it was.
struct Worst {
    what: String,
    limit: f64,
    difference: f64,
    place: String,
    pairs: usize,
}

impl Worst {
    fn new(what: impl Into<String>, limit: f64) -> Self {
        Self { what: what.into(), limit, difference: 0.0, place: String::new(), pairs: 0 }
    }

    /// Relative to the expected value; equal values (0 and 0 too) do not differ. scipy gives 0 for
    /// tails below 1e-307, which an `f64` cannot hold with all digits; times the number of tests that is
    /// an adjusted p-value below 1e-300.
    fn relative(&mut self, found: f64, expected: f64, place: &str) {
        let vanished = expected == 0.0 && found.abs() < 1e-300;
        let difference = if found == expected || vanished { 0.0 } else { ((found - expected) / expected).abs() };
        self.record(difference, &format!("{place}: found {found:e}, expected {expected:e}"));
    }

    /// Beyond the rounding of a number printed with so many significant digits.
    fn printed(&mut self, found: f64, expected: f64, digits: i32, place: &str) {
        let vanished = expected == 0.0 && found.abs() < 1e-300;
        let rounding = 0.5 * 10_f64.powi(1 - digits) * 10_f64.powf(expected.abs().log10().floor());
        let excess = ((found - expected).abs() - rounding).max(0.0);
        let difference = if found == expected || vanished { 0.0 } else { excess / expected.abs() };
        self.record(difference, &format!("{place}: found {found}, expected {expected}"));
    }

    fn record(&mut self, difference: f64, place: &str) {
        self.pairs += 1;
        assert!(!difference.is_nan(), "{}: {place}", self.what);
        if difference > self.difference {
            (self.difference, self.place) = (difference, place.to_owned());
        }
    }

    fn check(self) {
        assert!(self.pairs > 0, "{}: nothing was compared", self.what);
        println!("{}: worst {:.1e} of {} pairs ({})", self.what, self.difference, self.pairs, self.place);
        assert!(self.difference <= self.limit, "{}: {:e} at {}", self.what, self.difference, self.place);
    }
}

/// Without continuity correction.
fn scanpy(ties: Ties) -> Approximation {
    Approximation { ties, continuity: Continuity::Ignore }
}

fn read_text(path: &Path) -> String {
    let bytes = std::fs::read(path).unwrap();
    let mut text = String::new();
    match path.extension().is_some_and(|e| e == "gz") {
        true => flate2::read::MultiGzDecoder::new(&bytes[..]).read_to_string(&mut text).unwrap(),
        false => (&bytes[..]).read_to_string(&mut text).unwrap(),
    };
    text
}

fn read_table<T: for<'de> Deserialize<'de>>(path: &Path) -> Vec<T> {
    let text = read_text(path);
    let mut reader = csv::ReaderBuilder::new().delimiter(b'\t').from_reader(text.as_bytes());
    reader.deserialize().collect::<Result<_, _>>().unwrap()
}

#[derive(Deserialize)]
struct Reference {
    genes: Vec<String>,
    n_treated: usize,
    counts: Vec<Vec<f32>>,
    log1p_bits: Vec<u32>,
    tests: HashMap<String, ReferenceTest>,
    scipy: ReferenceScipy,
    spearman: f64,
    pearson: f64,
    ora: ReferenceOra,
}

#[derive(Deserialize)]
struct ReferenceTest {
    scores: Vec<f64>,
    pvals: Vec<f64>,
    pvals_adj: Vec<f64>,
    logfoldchanges: Vec<f64>,
    pct_treated: Vec<f64>,
    pct_control: Vec<f64>,
}

#[derive(Deserialize)]
struct ReferenceScipy {
    u: Vec<f64>,
    p: Vec<Option<f64>>,
}

#[derive(Deserialize)]
struct ReferenceOra {
    sets: serde_json::Map<String, serde_json::Value>,
    query: Vec<String>,
    results: HashMap<String, ReferenceSet>,
}

#[derive(Deserialize)]
struct ReferenceSet {
    overlap: String,
    p: f64,
    adjusted: f64,
    odds: f64,
    combined: f64,
    genes: Vec<String>,
}

fn reference() -> Reference {
    serde_json::from_str(&read_text(&fixture("stats/reference.json"))).unwrap()
}

fn csr(dense: &[Vec<f32>]) -> Csr {
    let row = |row: &Vec<f32>| {
        let entries = row.iter().enumerate().filter(|&(_, &v)| v != 0.0);
        entries.map(|(gene, &v)| (gene as u32, v)).collect::<Vec<_>>()
    };
    Csr::from_rows(dense[0].len(), dense.iter().map(row)).unwrap()
}

#[test]
fn a_small_matrix_agrees_with_scanpy_and_scipy() {
    let reference = reference();
    let normal = log1p_cp10k(&csr(&reference.counts)).unwrap();
    let bits: Vec<u32> = normal.values().iter().map(|v| v.to_bits()).collect();
    assert_eq!(bits, reference.log1p_bits, "log-normalised values differ from scanpy's in some bit");

    let cells: Vec<usize> = (0..normal.n_rows()).collect();
    let (treated, control) = cells.split_at(reference.n_treated);
    let [treated, control] = [treated, control].map(|rows| Columns::new(&normal.select_rows(rows)));
    for (name, ties, correction) in [
        ("correct", Ties::Correct, Correction::BenjaminiHochberg),
        ("ignore", Ties::Ignore, Correction::BenjaminiHochberg),
        ("bonferroni", Ties::Correct, Correction::Bonferroni),
    ] {
        let expected = &reference.tests[name];
        let found = rank_sum_genes(&treated, &control, scanpy(ties)).unwrap();
        let adjusted = adjust(&found.iter().map(|t| t.p_value).collect::<Vec<_>>(), correction).unwrap();
        let mut p = Worst::new(format!("small matrix, {name}, p"), 1e-12);
        let mut p_adjusted = Worst::new(format!("small matrix, {name}, adjusted p"), 1e-12);
        // scanpy stores these two as float32.
        let mut score = Worst::new(format!("small matrix, {name}, score"), 6e-8);
        let mut fold = Worst::new(format!("small matrix, {name}, log fold change"), 6e-8);
        for (gene, label) in reference.genes.iter().enumerate() {
            p.relative(found[gene].p_value, expected.pvals[gene], label);
            p_adjusted.relative(adjusted[gene], expected.pvals_adj[gene], label);
            score.relative(found[gene].score, expected.scores[gene], label);
            let lfc = log2_fold_change(treated.mean(gene), control.mean(gene));
            fold.relative(lfc, expected.logfoldchanges[gene], label);
            assert!((treated.share_nonzero(gene) - expected.pct_treated[gene]).abs() < 1e-12, "{label}");
            assert!((control.share_nonzero(gene) - expected.pct_control[gene]).abs() < 1e-12, "{label}");
        }
        [p, p_adjusted, score, fold].into_iter().for_each(Worst::check);
    }

    let found = rank_sum_genes(&treated, &control, scanpy(Ties::Correct)).unwrap();
    let mut p = Worst::new("small matrix, scipy mannwhitneyu p", 1e-12);
    for (gene, label) in reference.genes.iter().enumerate() {
        let n = reference.n_treated as f64;
        assert_eq!(found[gene].rank_sum - n * (n + 1.0) / 2.0, reference.scipy.u[gene], "{label}");
        // scipy has no p-value for a gene that never varies.
        p.relative(found[gene].p_value, reference.scipy.p[gene].unwrap_or(1.0), label);
    }
    p.check();
}

#[test]
fn correlations_agree_with_scipy() {
    let reference = reference();
    let normal = log1p_cp10k(&csr(&reference.counts)).unwrap();
    let dense = |cell: usize| {
        let mut row = vec![0.0; normal.n_cols()];
        let (genes, values) = normal.row(cell);
        genes.iter().zip(values).for_each(|(&gene, &v)| row[gene as usize] = f64::from(v));
        row
    };
    assert!((pearson(&dense(0), &dense(1)).unwrap() - reference.pearson).abs() < 1e-12);
    assert!((spearman(&dense(0), &dense(1)).unwrap() - reference.spearman).abs() < 1e-12);
}

#[test]
fn small_gene_sets_agree_with_gseapy() {
    let Reference { genes, ora, .. } = reference();
    let sets = ora.sets.values().map(|set| set.as_array().unwrap().iter().map(|g| g.as_str().unwrap()));
    let index = SetIndex::new(&genes, sets).unwrap();
    let chosen: Vec<u32> = ora.query.iter().map(|gene| genes.iter().position(|g| g == gene).unwrap() as u32).collect();
    let found = index.over_representation(&chosen).unwrap();
    assert_eq!(found.len(), ora.results.len());
    let names: Vec<&String> = ora.sets.keys().collect();
    let mut worst = Worst::new("small gene sets, p, adjusted p, odds ratio, combined score", 1e-10);
    for set in &found {
        let name = names[set.set];
        let expected = &ora.results[name];
        assert_eq!(format!("{}/{}", set.genes.len(), set.set_size), expected.overlap, "{name}");
        let mut found_genes: Vec<&str> = set.genes.iter().map(|&g| genes[g as usize].as_str()).collect();
        found_genes.sort_unstable();
        assert_eq!(found_genes, expected.genes, "{name}");
        worst.relative(set.p_value, expected.p, name);
        worst.relative(set.adjusted_p_value, expected.adjusted, name);
        worst.relative(set.odds_ratio, expected.odds, name);
        worst.relative(set.combined_score, expected.combined, name);
    }
    worst.check();
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let reference = reference();
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let normal = log1p_cp10k(&csr(&reference.counts)).unwrap();
            let side = |rows: std::ops::Range<usize>| Columns::new(&normal.select_rows(&rows.collect::<Vec<_>>()));
            rank_sum_genes(&side(0..37), &side(37..82), scanpy(Ties::Correct)).unwrap()
        })
    };
    assert_eq!(run(1), run(4));
}

#[test]
fn hypergeometric_tails_agree_with_scipy() {
    #[derive(Deserialize)]
    #[allow(non_snake_case, reason = "the letters of the textbook, as the file spells them")]
    struct Case {
        N: u64,
        K: u64,
        n: u64,
        k: u64,
        p_greater: f64,
        logsf: f64,
    }
    let Some(path) = shared("data/expected/peer_runs/scipy_hypergeom_fisher.json") else { return };
    let cases: Vec<Case> = serde_json::from_str(&read_text(&path)).unwrap();
    let mut p = Worst::new("hypergeometric tail", 1e-9);
    let mut ln_p = Worst::new("logarithm of the hypergeometric tail", 1e-9);
    for case in &cases {
        let place = format!("k {} N {} K {} n {}", case.k, case.N, case.K, case.n);
        let tail = upper_tail(case.k, case.N, case.K, case.n);
        p.relative(tail.p, case.p_greater, &place);
        // Where scipy subtracts two almost equal numbers to get the logarithm, the tail is the check.
        if case.logsf < -1e-3 {
            ln_p.relative(tail.ln_p, case.logsf, &place);
        }
    }
    p.check();
    ln_p.check();
}

#[test]
fn small_rank_sums_agree_with_scipy() {
    let Some(path) = shared("data/expected/peer_runs/scipy_mannwhitneyu_small.json") else { return };
    let cases: Vec<serde_json::Value> = serde_json::from_str(&read_text(&path)).unwrap();
    let mut p = Worst::new("small rank sums, p with and without continuity correction", 1e-9);
    for (index, case) in cases.iter().enumerate() {
        let side = |name: &str| {
            let values = case[name].as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32);
            (values.clone().filter(|&v| v != 0.0).collect::<Vec<_>>(), values.count())
        };
        let ((x, n), (y, m)) = (side("x"), side("y"));
        for (continuity, name) in [(Continuity::Ignore, "False"), (Continuity::Correct, "True")] {
            let found = rank_sum(&x, &y, [n, m], Approximation { ties: Ties::Correct, continuity }).unwrap();
            let expected = &case[format!("two-sided|asymptotic|cc={name}")];
            let u = found.rank_sum - (n * (n + 1)) as f64 / 2.0;
            assert_eq!(u, expected[0].as_f64().unwrap(), "case {index}");
            p.relative(found.p_value, expected[1].as_f64().unwrap(), &format!("case {index}, {name}"));
        }
    }
    p.check();
}

#[test]
fn the_toy_scores_of_scanpy_come_out() {
    let Some(counts) = shared("data/expected/scanpy/toy_counts_100x20.tsv") else { return };
    let Some(scores) = shared("data/expected/scanpy/toy_expected_scores.tsv") else { return };
    let rows: Vec<Vec<f32>> = read_table(&counts);
    let (values, groups): (Vec<Vec<f32>>, Vec<f32>) = rows.iter().map(|row| (row[..20].to_vec(), row[20])).unzip();
    let matrix = csr(&values);

    #[derive(Deserialize)]
    struct Score {
        method: String,
        group: f32,
        gene: usize,
        score: f64,
    }
    let expected: Vec<Score> = read_table(&scores);
    let mut worst = Worst::new("scanpy's own toy test, Wilcoxon scores", 1e-6);
    for score in expected.iter().filter(|score| score.method == "wilcoxon") {
        let (inside, outside): (Vec<usize>, Vec<usize>) =
            (0..rows.len()).partition(|&cell| groups[cell] == score.group);
        let [inside, outside] = [inside, outside].map(|cells| Columns::new(&matrix.select_rows(&cells)));
        let found: Vec<RankSum> = rank_sum_genes(&inside, &outside, scanpy(Ties::Ignore)).unwrap();
        worst.relative(found[score.gene].score, score.score, &format!("group {}, gene {}", score.group, score.gene));
    }
    worst.check();
}

#[test]
fn over_representation_of_interferon_genes_agrees_with_gseapy() {
    #[derive(Deserialize)]
    struct Row {
        #[serde(rename = "Term")]
        term: String,
        #[serde(rename = "Overlap")]
        overlap: String,
        #[serde(rename = "P-value")]
        p: f64,
        #[serde(rename = "Adjusted P-value")]
        adjusted: f64,
        #[serde(rename = "Odds Ratio")]
        odds: f64,
        #[serde(rename = "Combined Score")]
        combined: f64,
        #[serde(rename = "Genes")]
        genes: String,
    }
    let Some(ranked) = shared("data/expected/peer_runs/kang_ttest.rnk.tsv.gz") else { return };
    let Some(up) = shared("data/expected/peer_runs/kang_up_genes.txt") else { return };
    let ranked = read_text(&ranked);
    let universe: Vec<&str> = ranked
        .lines()
        .map(|line| line.split('\t').next().unwrap())
        .filter(|g| !["gene", "0", "names"].contains(g))
        .collect();
    assert_eq!(universe.len(), 9015);
    let up = read_text(&up);
    let position: HashMap<&str, u32> = universe.iter().enumerate().map(|(i, &g)| (g, i as u32)).collect();
    let chosen: Vec<u32> = up.lines().map(|gene| position[gene]).collect();

    for (name, gmt) in [("hallmark", "h.all"), ("reactome", "c2.cp.reactome")] {
        let gmt = read_text(&shared(&format!("data/genesets/{gmt}.v7.0.symbols.gmt.gz")).unwrap());
        let sets: Vec<Vec<&str>> = gmt.lines().map(|line| line.split('\t').collect()).collect();
        let index = SetIndex::new(&universe, sets.iter().map(|set| set[2..].iter().copied())).unwrap();
        let found = index.over_representation(&chosen).unwrap();
        let path = shared(&format!("data/expected/peer_runs/gseapy_ora_kang_{name}.tsv.gz")).unwrap();
        let expected: HashMap<String, Row> =
            read_table::<Row>(&path).into_iter().map(|r| (r.term.clone(), r)).collect();
        assert_eq!(found.len(), expected.len());

        let mut p = Worst::new(format!("GSEApy {name}, p"), 1e-9);
        let mut rest = Worst::new(format!("GSEApy {name}, adjusted p, odds ratio, combined score"), 1e-9);
        for set in &found {
            let term = sets[set.set][0];
            let row = &expected[term];
            assert_eq!(format!("{}/{}", set.genes.len(), set.set_size), row.overlap, "{term}");
            let mut genes: Vec<&str> = set.genes.iter().map(|&gene| universe[gene as usize]).collect();
            let mut expected_genes: Vec<&str> = row.genes.split(';').collect();
            genes.sort_unstable();
            expected_genes.sort_unstable();
            assert_eq!(genes, expected_genes, "{term}");
            p.relative(set.p_value, row.p, term);
            rest.relative(set.adjusted_p_value, row.adjusted, term);
            rest.relative(set.odds_ratio, row.odds, term);
            rest.relative(set.combined_score, row.combined, term);
        }
        p.check();
        rest.check();
    }
}

/// Log-normalised cells of a file with a label for each, from a column of `obs`.
fn labelled(path: &Path, column: &str) -> (Vec<String>, Csr, Vec<String>) {
    let file = File::open(path).unwrap();
    let expression = file.read_expression(&Matrix::X, None, None).unwrap();
    let labels = file.obs().column(column).unwrap().to_strings().into_iter().map(Option::unwrap).collect();
    (expression.genes, log1p_cp10k(&expression.counts).unwrap(), labels)
}

fn side(normal: &Csr, labels: &[String], choose: impl Fn(&str) -> bool) -> Columns {
    let rows: Vec<usize> = (0..labels.len()).filter(|&cell| choose(&labels[cell])).collect();
    Columns::new(&normal.select_rows(&rows))
}

#[derive(Deserialize)]
struct Ranked {
    #[serde(default)]
    method: String,
    group: String,
    names: String,
    scores: f64,
    logfoldchanges: f64,
    pvals: f64,
    pvals_adj: f64,
    pct_nz_group: f64,
}

/// Compares one group with the rows of a table of scanpy's. Numbers that the table prints with few
/// digits are compared within the rounding of the print.
fn compare_with_ranked(
    rows: &[&Ranked],
    genes: &[String],
    [treated, control]: [&Columns; 2],
    worst: &mut [Worst; 4],
    ties: Ties,
    score_digits: i32,
) {
    let found = rank_sum_genes(treated, control, scanpy(ties)).unwrap();
    let adjusted = adjust(&found.iter().map(|t| t.p_value).collect::<Vec<_>>(), Correction::default()).unwrap();
    let position: HashMap<&str, usize> = genes.iter().enumerate().map(|(i, g)| (g.as_str(), i)).collect();
    let [p, p_adjusted, score, fold] = worst;
    for row in rows {
        let gene = position[row.names.as_str()];
        let place = format!("{} {}", row.group, row.names);
        p.relative(found[gene].p_value, row.pvals, &place);
        p_adjusted.relative(adjusted[gene], row.pvals_adj, &place);
        score.printed(found[gene].score, row.scores, score_digits, &place);
        let lfc = log2_fold_change(treated.mean(gene), control.mean(gene));
        fold.printed(lfc, row.logfoldchanges, score_digits, &place);
        assert!((treated.share_nonzero(gene) - row.pct_nz_group).abs() < 1e-6, "{place}");
    }
}

/// p-values printed with 8 digits agree to half a unit of the last; scores and fold changes are
/// float32 in scanpy.
fn limits(name: &str) -> [Worst; 4] {
    [
        Worst::new(format!("{name}, p"), 6e-8),
        Worst::new(format!("{name}, adjusted p"), 6e-8),
        Worst::new(format!("{name}, score, beyond the print"), 1e-6),
        Worst::new(format!("{name}, log fold change, beyond the print"), 1e-6),
    ]
}

#[test]
fn interferon_response_agrees_with_scanpy() {
    let Some(path) = shared("data/singlecell/kang2018_ifnb_2000x9015.h5ad") else { return };
    let Some(table) = shared("data/expected/peer_runs/scanpy_kang_stim_vs_ctrl.tsv.gz") else { return };
    let (genes, normal, labels) = labelled(&path, "condition");
    let [treated, control] = ["stim", "ctrl"].map(|label| side(&normal, &labels, |l| l == label));
    let expected: Vec<Ranked> = read_table(&table);
    for (method, ties) in [("wilcoxon_tie", Ties::Correct), ("wilcoxon", Ties::Ignore)] {
        let rows: Vec<&Ranked> = expected.iter().filter(|row| row.method == method).collect();
        assert_eq!(rows.len(), 9015);
        let mut worst = limits(&format!("scanpy, interferon beta, {method}"));
        compare_with_ranked(&rows, &genes, [&treated, &control], &mut worst, ties, 6);
        worst.into_iter().for_each(Worst::check);
    }
}

#[test]
fn twenty_five_crispr_targets_agree_with_scanpy() {
    let Some(path) = shared("data/singlecell/papalexi2021_thp1_crispr_20729x299.h5ad") else { return };
    let Some(table) = shared("data/expected/peer_runs/scanpy_papalexi_each_vs_nt.tsv.gz") else { return };
    let (genes, normal, labels) = labelled(&path, "perturbation");
    let control = side(&normal, &labels, |label| label == "non-targeting");
    let expected: Vec<Ranked> = read_table(&table);
    let groups: std::collections::BTreeSet<&str> = expected.iter().map(|row| row.group.as_str()).collect();
    assert_eq!(groups.len(), 25);
    for (method, ties) in [("wilcoxon_tie", Ties::Correct), ("wilcoxon", Ties::Ignore)] {
        let mut worst = limits(&format!("scanpy, CRISPR targets, {method}"));
        for group in &groups {
            let treated = side(&normal, &labels, |label| label == *group);
            let rows: Vec<&Ranked> =
                expected.iter().filter(|row| row.method == method && row.group == *group).collect();
            compare_with_ranked(&rows, &genes, [&treated, &control], &mut worst, ties, 6);
        }
        worst.into_iter().for_each(Worst::check);
    }
}

#[test]
fn markers_of_sorted_cells_agree_with_scanpy() {
    let Some(path) = shared("data/singlecell/zheng2017_facs_pbmc_2140x8863.h5ad") else { return };
    let Some(table) = shared("data/expected/peer_runs/scanpy_zheng_facs_top100.tsv.gz") else { return };
    let (genes, normal, labels) = labelled(&path, "facs_label");
    let expected: Vec<Ranked> = read_table(&table);
    let groups: std::collections::BTreeSet<&str> = expected.iter().map(|row| row.group.as_str()).collect();
    assert_eq!(groups.len(), 9);
    let mut worst = limits("scanpy, sorted cells, one against the rest");
    for group in groups {
        let treated = side(&normal, &labels, |label| label == group);
        let control = side(&normal, &labels, |label| label != group);
        let rows: Vec<&Ranked> = expected.iter().filter(|row| row.group == group).collect();
        compare_with_ranked(&rows, &genes, [&treated, &control], &mut worst, Ties::Correct, 7);
    }
    worst.into_iter().for_each(Worst::check);
}

#[test]
fn interferon_response_agrees_with_scipy() {
    #[derive(Deserialize)]
    struct Row {
        gene: String,
        #[serde(rename = "U_stim")]
        u: f64,
        p_no_continuity: f64,
    }
    let Some(path) = shared("data/singlecell/kang2018_ifnb_2000x9015.h5ad") else { return };
    let Some(table) = shared("data/expected/peer_runs/scipy_kang_mannwhitneyu.tsv.gz") else { return };
    let (genes, normal, labels) = labelled(&path, "condition");
    let [treated, control] = ["stim", "ctrl"].map(|label| side(&normal, &labels, |l| l == label));
    let found = rank_sum_genes(&treated, &control, scanpy(Ties::Correct)).unwrap();
    let expected: HashMap<String, Row> = read_table::<Row>(&table).into_iter().map(|r| (r.gene.clone(), r)).collect();
    let n = treated.n_rows() as f64;
    let mut u = Worst::new("scipy, interferon beta, U", 0.0);
    // The table was made from float32 values, which scipy carries on in float32: U is exact, a p-value
    // keeps four to seven digits and vanishes below 1e-45. In float64 (the small matrix above) the two
    // agree to 1e-12.
    let mut p = Worst::new("scipy in float32, interferon beta, p", 5e-5);
    for (gene, test) in genes.iter().zip(&found) {
        u.relative(test.rank_sum - n * (n + 1.0) / 2.0, expected[gene].u, gene);
        if expected[gene].p_no_continuity > f64::from(f32::MIN_POSITIVE) {
            p.relative(test.p_value, expected[gene].p_no_continuity, gene);
        }
    }
    u.check();
    p.check();
}
