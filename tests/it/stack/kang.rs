//! A small trained model on real cells: PBMC of two donors, interferon beta against control.

use std::ops::ControlFlow;
use std::path::PathBuf;

use haystack::anndata::{File, Matrix};
use haystack::domain::Csr;
use haystack::domain::inference::Sampling;
use haystack::stack::checkpoint::Checkpoint;
use haystack::stack::generate::{Counts, Known, Pass, Query, Settings, generate};
use haystack::stack::genes::{Case, GeneList};
use haystack::stack::mean_shift;
use haystack::stack::model::{Compute, Model};
use haystack::stack::schedule::{ContextRatio, Split};
use haystack::stack::spool::{Budget, Spool};

use super::reference::Tensors;
use crate::support::shared;

struct Kang {
    folder: PathBuf,
    model: Model,
    genes: GeneList,
}

impl Kang {
    fn load() -> Option<Self> {
        let folder = shared("stack/kang")?;
        let mut checkpoint = Checkpoint::open(&folder.join("kang_small_A.ckpt")).unwrap();
        let model = Model::load(&mut checkpoint, &Compute::default()).unwrap();
        let genes = GeneList::read(&folder.join("genes.pkl")).unwrap();
        assert_eq!(genes, GeneList::read(&folder.join("genes.json")).unwrap());
        Some(Self { folder, model, genes })
    }

    fn counts(&self, name: &str) -> Csr {
        let data = File::open(&self.folder.join(format!("inputs/{name}.h5ad"))).unwrap();
        let data = data.read_expression(&Matrix::X, None, None).unwrap();
        self.genes.align(&data, Case::Folded).unwrap().counts
    }
}

#[test]
fn first_step_of_the_trained_model() {
    let Some(kang) = Kang::load() else { return };
    let stored = Tensors::load(&kang.folder.join("parity_A_step1.safetensors"));
    let query = Spool::from(kang.counts("query_B_ctrl"));
    let split = Split::new(kang.model.config().n_cells, 0.25, ContextRatio::Single(0.2)).unwrap();
    let genes: Vec<u32> = (0..kang.model.config().n_genes as u32).collect();
    for prompt in ["stim_101", "ctrl_101"] {
        let base = kang.counts(&format!("base_{prompt}"));
        let query = Query { cells: &query, hidden: &[] };
        let on_window = |_, _| ControlFlow::Continue(());
        let mut known = Known::new(&kang.model, base.n_rows(), query.cells.n_rows());
        let budget = Budget::unlimited();
        let pass = Pass::run(&kang.model, &base, query, &mut known, split, 43, &budget, on_window).unwrap();
        stored.check(&format!("{prompt}.logits"), &pass.query_logits(&kang.model).unwrap().unwrap());
        let (mut means, mut thetas) = (vec![], vec![]);
        for window in 0..pass.windows().len() {
            means.extend(pass.means(&kang.model, window, |_| true).unwrap().values);
            thetas.extend(pass.dispersions(&kang.model, window, &genes).unwrap());
        }
        stored.check_rows(&format!("{prompt}.nb_mean"), &means);
        if prompt == "stim_101" {
            stored.check("stim_101.window_theta", &thetas);
        }
    }
}

/// Five steps of masked diffusion against what the reference drew from the same prompts.
///
/// The draws differ, so distributions are compared: profiles, library sizes, the response in log2 fold
/// changes, and its agreement with the measured response. The bounds on the last are the figures of
/// the reference, give or take .03: two runs of ours with different seeds differ by about .01.
#[test]
fn generation_of_the_held_out_cells() {
    let Some(kang) = Kang::load() else { return };
    let query = kang.counts("query_B_ctrl");
    let sampling = Sampling { seed: 42, ..Sampling::default() };
    let mut profiles = vec![];
    let mut reference = vec![];
    for prompt in ["stim_101", "ctrl_101", "stim_107", "ctrl_107"] {
        let base = kang.counts(&format!("base_{prompt}"));
        let settings = Settings { sampling: &sampling, counts: Counts::Sampled, budget: Budget::unlimited() };
        let generated =
            generate(&kang.model, &kang.genes, &base, query.clone().into(), &settings, |_| ControlFlow::Continue(()));
        let generated = generated.unwrap().counts.into_csr().unwrap();
        let drawn = kang.counts(&format!("pred_mdm5_{prompt}"));
        let library = |counts: &Csr| counts.row_sums().iter().sum::<f64>() / counts.n_rows() as f64;
        let nonzero = |counts: &Csr| counts.nnz() as f64 / counts.n_rows() as f64;
        let (ours, theirs) = (library(&generated), library(&drawn));
        println!(
            "{prompt}: library {ours:.1} v {theirs:.1}, genes {:.1} v {:.1}",
            nonzero(&generated),
            nonzero(&drawn)
        );
        assert!((ours / theirs - 1.0).abs() < 0.05, "{ours} {theirs}");
        assert!((nonzero(&generated) / nonzero(&drawn) - 1.0).abs() < 0.05);
        profiles.push(mean_profile(&generated));
        reference.push(mean_profile(&drawn));
        // Of two samples of one distribution the squared differences of the means, each divided by its
        // variance, average 1; with 1267 correlated genes within about a tenth.
        let z = mean_differences(&generated, &drawn);
        let size = (z.iter().map(|z| z * z).sum::<f64>() / z.len() as f64).sqrt();
        let far = z.iter().filter(|z| z.abs() > 3.0).count() as f64 / z.len() as f64;
        let agreement = pearson(profiles.last().unwrap(), reference.last().unwrap());
        println!(
            "{prompt}: profiles correlate {agreement:.4}; differences of means {size:.3} standard errors, {far:.4} beyond 3"
        );
        assert!((0.85..1.15).contains(&size) && far < 0.01, "{prompt}: {size} {far}");
        assert!(agreement > 0.98, "{prompt}: {agreement}");
    }
    // Both donors averaged, as in the reference's figures.
    let response = |p: &[Vec<f64>]| -> Vec<f64> {
        (0..p[0].len()).map(|g| (p[0][g] - p[1][g] + p[2][g] - p[3][g]) / 2.0 / std::f64::consts::LN_2).collect()
    };
    let (ours, theirs) = (response(&profiles), response(&reference));
    let (stimulated, control) = (mean_profile(&kang.counts("truth_B_stim")), mean_profile(&query));
    let truth: Vec<f64> = stimulated.iter().zip(&control).map(|(s, c)| (s - c) / std::f64::consts::LN_2).collect();
    let mut top: Vec<usize> = (0..truth.len()).collect();
    top.sort_by(|&a, &b| truth[b].abs().total_cmp(&truth[a].abs()));
    let of = |values: &[f64]| top[..50].iter().map(|&gene| values[gene]).collect::<Vec<f64>>();
    let direction = of(&ours).iter().zip(of(&truth)).filter(|(o, t)| **o * t > 0.0).count() as f64 / 50.0;
    let figures = [
        ("ours v reference, all genes", pearson(&ours, &theirs), 0.9, 1.0),
        ("ours v reference, top 50", pearson(&of(&ours), &of(&theirs)), 0.97, 1.0),
        ("ours v truth, all genes (reference .775)", pearson(&ours, &truth), 0.745, 0.805),
        ("ours v truth, top 50 (reference .852)", pearson(&of(&ours), &of(&truth)), 0.822, 0.882),
        ("reference v truth, all genes", pearson(&theirs, &truth), 0.774, 0.776),
        ("direction of the top 50 (reference .96)", direction, 0.93, 1.0),
    ];
    for (name, value, low, high) in figures {
        println!("{name}: {value:.3}");
        assert!((low..=high).contains(&value), "{name}: {value} is not within {low} and {high}");
    }
}

/// The baseline's figures from the reference's own evaluation of a mean shift on these cells.
#[test]
fn mean_shift_of_the_held_out_cells() {
    let Some(kang) = Kang::load() else { return };
    let read = |name: &str| {
        let file = File::open(&kang.folder.join(format!("inputs/{name}.h5ad"))).unwrap();
        let data = file.read_expression(&Matrix::X, None, None).unwrap();
        (data.genes, Spool::from(data.counts))
    };
    let profile = |cells: &Spool| mean_profile(cells.in_memory().unwrap());
    let query = read("query_B_ctrl");
    let control = profile(&query.1);
    for counts in [Counts::Mean, Counts::Sampled] {
        let shifted = |donor: &str| {
            let (prompt, control) = (read(&format!("base_stim_{donor}")), read(&format!("base_ctrl_{donor}")));
            let [query, prompt, control] =
                [&query, &prompt, &control].map(|(genes, counts)| mean_shift::Cells { genes, counts });
            let shifted = mean_shift::predict(query, prompt, control, counts, 0, &Budget::unlimited());
            profile(&shifted.unwrap().counts)
        };
        let (first, second) = (shifted("101"), shifted("107"));
        let response: Vec<f64> = (0..control.len()).map(|g| (first[g] + second[g]) / 2.0 - control[g]).collect();
        let truth: Vec<f64> = profile(&read("truth_B_stim").1).iter().zip(&control).map(|(s, c)| s - c).collect();
        let agreement = pearson(&response, &truth);
        println!("mean shift, {counts:?}, v truth, all genes (reference .814): {agreement:.3}");
        assert!((0.78..0.84).contains(&agreement), "{agreement}");
    }
}

/// Difference of the mean counts of each gene in standard errors; genes with few counts left out.
fn mean_differences(a: &Csr, b: &Csr) -> Vec<f64> {
    let moments = |counts: &Csr| {
        let (mut sums, mut squares) = (vec![0.0; counts.n_cols()], vec![0.0; counts.n_cols()]);
        for (&gene, &value) in counts.indices().iter().zip(counts.values()) {
            sums[gene as usize] += f64::from(value);
            squares[gene as usize] += f64::from(value).powi(2);
        }
        let n = counts.n_rows() as f64;
        let moment = |(sum, square): (f64, f64)| (sum / n, (square / n - (sum / n).powi(2)) / n, sum);
        sums.into_iter().zip(squares).map(moment).collect::<Vec<_>>()
    };
    let pairs = moments(a).into_iter().zip(moments(b)).filter(|(a, b)| a.2 + b.2 >= 40.0);
    pairs.map(|(a, b)| (a.0 - b.0) / (a.1 + b.1).sqrt()).collect()
}

/// Mean of ln(1 + CP10k) per gene.
fn mean_profile(counts: &Csr) -> Vec<f64> {
    let mut means = vec![0.0; counts.n_cols()];
    for (cell, library) in counts.row_sums().into_iter().enumerate().filter(|(_, library)| *library > 0.0) {
        let (genes, values) = counts.row(cell);
        for (&gene, &value) in genes.iter().zip(values) {
            means[gene as usize] += (f64::from(value) * 1e4 / library).ln_1p() / counts.n_rows() as f64;
        }
    }
    means
}

fn pearson(a: &[f64], b: &[f64]) -> f64 {
    let n = a.len() as f64;
    let (mean_a, mean_b) = (a.iter().sum::<f64>() / n, b.iter().sum::<f64>() / n);
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (x, y) in a.iter().zip(b) {
        ab += (x - mean_a) * (y - mean_b);
        aa += (x - mean_a).powi(2);
        bb += (y - mean_b).powi(2);
    }
    ab / (aa * bb).sqrt()
}
