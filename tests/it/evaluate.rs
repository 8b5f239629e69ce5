//! The evaluation on real cells: B cells under interferon beta, with real gene sets and regulons.

use std::io::Read;
use std::path::Path;

use haystack::anndata::{File, Matrix};
use haystack::domain::evaluation::Evaluation;
use haystack::domain::score::{ComponentName, Outcome};
use haystack::domain::terms::{Direction, GeneEffect, PerturbationKind};
use haystack::domain::{Expression, GeneSet, Perturbation, Regulation};
use haystack::orchestrate::evaluate::{Evaluator, Predicted, Regulon, compare_with_measured, evaluate};

use crate::support::shared;

const INPUTS: &str = "stack/kang/inputs";

pub fn cells(name: &str) -> Option<Expression> {
    let path = shared(&format!("{INPUTS}/{name}.h5ad"))?;
    Some(File::open(&path).unwrap().read_expression(&Matrix::X, None, None).unwrap())
}

fn unpacked(path: &Path) -> String {
    let mut text = String::new();
    flate2::read::MultiGzDecoder::new(std::fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    text
}

pub fn gene_sets() -> Vec<GeneSet> {
    let mut sets = Vec::new();
    for (collection, file) in [("Hallmark", "h.all.v7.0.symbols"), ("Reactome", "c2.cp.reactome.v7.0.symbols")] {
        let text = unpacked(&shared(&format!("data/genesets/{file}.gmt.gz")).unwrap());
        sets.extend(text.lines().map(|line| {
            let mut fields = line.split('\t').map(str::to_owned);
            let (name, description) = (fields.next().unwrap(), fields.next().unwrap());
            GeneSet { collection: collection.into(), name, description, genes: fields.collect() }
        }));
    }
    sets
}

pub fn regulons() -> Vec<Regulon> {
    let text = unpacked(&shared("data/networks/collectri_human.csv.gz").unwrap());
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let regulation = |row: Result<csv::StringRecord, _>| {
        let row = row.unwrap();
        Regulation { source: row[0].into(), target: row[1].into(), weight: row[2].parse().unwrap() }
    };
    Regulon::group(&reader.records().map(regulation).collect::<Vec<_>>())
}

fn effects(genes: &[&str]) -> Vec<GeneEffect> {
    genes.iter().map(|&gene| GeneEffect { gene: gene.into(), direction: Direction::Up }).collect()
}

pub fn interferon_beta() -> Perturbation {
    Perturbation {
        name: "interferon beta".into(),
        kind: PerturbationKind::Cytokine,
        ids: vec!["uniprot:P01574".parse().unwrap()],
        synonyms: vec!["IFNB1".into()],
        targets: effects(&["IFNAR1", "IFNAR2"]),
        effectors: effects(&["STAT1", "STAT2", "IRF9"]),
        responses: effects(&["ISG15", "IFI6", "IFIT1", "IFIT3", "MX1", "OAS1", "IRF7"]),
        pathways: vec!["Interferon alpha/beta signaling".into(), "Interferon alpha response".into()],
    }
}

/// A perturbation whose biology these cells do not show.
fn tgf_beta() -> Perturbation {
    Perturbation {
        name: "TGF-beta 1".into(),
        kind: PerturbationKind::Cytokine,
        ids: vec!["uniprot:P01137".parse().unwrap()],
        synonyms: vec!["TGFB1".into()],
        targets: effects(&["TGFBR1", "TGFBR2"]),
        effectors: effects(&["SMAD2", "SMAD3", "SMAD4"]),
        responses: effects(&["SMAD7", "SKIL", "TGFBI", "PMEPA1", "SERPINE1", "ID3"]),
        pathways: vec!["TGF beta signaling".into(), "Epithelial mesenchymal transition".into()],
    }
}

fn value(evaluation: &Evaluation, name: ComponentName) -> (f64, f64) {
    let component = evaluation.grounding.components.iter().find(|c| c.name == name).unwrap();
    match &component.outcome {
        Outcome::Scored { statistic, null, .. } => (*statistic, null.percentile),
        Outcome::Insufficient { why } => panic!("{name:?}: {why}"),
    }
}

#[test]
fn a_true_response_is_recognised_and_a_wrong_one_is_not() {
    let Some(treated) = cells("truth_B_stim") else { return };
    let control = cells("query_B_ctrl").unwrap();
    let (gene_sets, regulons) = (gene_sets(), regulons());

    let right = interferon_beta();
    let found = evaluate(&treated, &control, &Evaluator::new(&right, &gene_sets, &regulons, 7), 0).unwrap();
    let top: Vec<&str> = found.up().take(10).map(|change| change.gene.as_str()).collect();
    assert!(["ISG15", "IFI6", "IFIT3"].iter().all(|gene| top.contains(gene)), "{top:?}");
    let sets: Vec<&str> = found.enriched().into_iter().take(5).map(|(_, set)| set.name.as_str()).collect();
    assert!(sets.contains(&"REACTOME_INTERFERON_ALPHA_BETA_SIGNALING"), "{sets:?}");
    assert!(sets.contains(&"HALLMARK_INTERFERON_ALPHA_RESPONSE"), "{sets:?}");
    let active: Vec<&str> = found.activated_factors().take(6).map(|f| f.factor.as_str()).collect();
    assert!(["STAT1", "STAT2", "IRF9"].iter().any(|factor| active.contains(factor)), "{active:?}");
    println!("interferon beta: {} genes, score {}", found.n_differential(), found.grounding.composite.unwrap());
    println!("  sets {sets:?}\n  factors {active:?}");
    for name in [ComponentName::PathwayCoherence, ComponentName::TargetActivation] {
        let (statistic, percentile) = value(&found, name);
        println!("  {}: {statistic:.3}, above {:.1} % of draws", name.title(), 100.0 * percentile);
        assert!(percentile > 0.99, "{name:?}");
    }
    assert!(found.grounding.score().unwrap() >= 7, "{:?}", found.grounding.composite);

    let wrong = tgf_beta();
    let found = evaluate(&treated, &control, &Evaluator::new(&wrong, &gene_sets, &regulons, 7), 0).unwrap();
    println!("TGF-beta: score {}", found.grounding.composite.unwrap());
    assert!(found.grounding.score().unwrap() <= 4, "{:?}", found.grounding.composite);

    // Literature and network are left out, not guessed.
    let left_out = found.grounding.components.iter().filter(|c| c.value().is_none()).count();
    assert_eq!(left_out, 2);
}

#[test]
fn the_same_seed_gives_the_same_evaluation_on_any_number_of_threads() {
    let Some(treated) = cells("truth_B_stim") else { return };
    let control = cells("query_B_ctrl").unwrap();
    let (gene_sets, regulons, perturbation) = (gene_sets(), regulons(), interferon_beta());
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let evaluator = Evaluator { draws: 20, ..Evaluator::new(&perturbation, &gene_sets, &regulons, 7) };
        pool.install(|| evaluate(&treated, &control, &evaluator, 0).unwrap())
    };
    assert_eq!(run(1), run(3));
}

#[test]
fn agreement_with_measured_cells_is_that_of_the_reference_evaluation() {
    let Some(truth) = cells("truth_B_stim") else { return };
    let control = cells("query_B_ctrl").unwrap();
    let reference: serde_json::Value =
        serde_json::from_slice(&std::fs::read(shared("stack/kang/eval_A.json").unwrap()).unwrap()).unwrap();
    let [stim, ctrl] = ["stim", "ctrl"].map(|arm| cells(&format!("pred_mdm5_{arm}_101")).unwrap());
    let synthetic = Predicted { treatment: &stim, control: &ctrl };
    let query = Predicted { treatment: &stim, control: &control };
    let found = compare_with_measured(&truth, &control, synthetic, query).unwrap();
    assert_eq!((found.n_treatment, found.n_control, found.n_top), (154, 144, 50));
    for (agreement, key) in [(found.answer, "mdm5_prompt101"), (found.baseline, "mdm5_prompt101_vs_observed_ctrl")] {
        let expected = &reference["trained"][key];
        let number = |name: &str| expected[name].as_f64().unwrap();
        for (name, value) in [
            ("pearson_all", agreement.pearson.unwrap()),
            ("spearman_all", agreement.spearman.unwrap()),
            ("pearson_top50", agreement.pearson_top.unwrap()),
            ("spearman_top50", agreement.spearman_top.unwrap()),
            ("direction_top50", agreement.direction_top),
            ("rmse_top50", agreement.rmse_top),
        ] {
            println!("{key} {name}: {value:.6}, reference {:.6}", number(name));
            assert!((value - number(name)).abs() < 1e-5, "{key} {name}: {value}, reference {}", number(name));
        }
        assert_eq!(agreement.overlap_top as f64, number("overlap_top50"), "{key}");
    }
}

#[test]
fn what_cannot_be_evaluated_is_named() {
    use haystack::domain::Csr;
    let perturbation = interferon_beta();
    let evaluator = Evaluator::new(&perturbation, &[], &[], 7);
    let cells = |n: usize, genes: &[&str], value: f32| Expression {
        cells: (0..n).map(|i| format!("cell{i}")).collect(),
        genes: genes.iter().map(|&g| g.to_owned()).collect(),
        counts: Csr::from_rows(genes.len(), (0..n).map(|_| vec![(0, value)])).unwrap(),
    };
    let message =
        |treated: &Expression, control: &Expression| evaluate(treated, control, &evaluator, 0).unwrap_err().to_string();
    let fine = cells(10, &["A", "B"], 1.0);
    assert!(message(&cells(9, &["A", "B"], 1.0), &fine).contains("9 predicted cells"));
    assert!(message(&fine, &cells(10, &["A", "C"], 1.0)).contains("'B' and 'C'"));
    assert!(message(&fine, &cells(10, &["A"], 1.0)).contains("2 and 1 genes"));
    let broken = message(&fine, &cells(10, &["A", "B"], f32::NAN));
    assert!(broken.contains("control cell 'cell0'") && broken.contains("gene 'A'"), "{broken}");

    // Nothing changes, nothing is known: no score rather than a middling one.
    let quiet = evaluate(&fine, &cells(12, &["A", "B"], 3.0), &evaluator, 0).unwrap();
    assert_eq!((quiet.n_differential(), quiet.grounding.composite), (0, None));
    assert!(quiet.changes.iter().all(|change| change.p_value == 1.0));
}
