//! Every number of the network and the generation against the reference package.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use haystack::domain::Csr;
use haystack::domain::inference::{Mode, Sampling};
use haystack::stack::checkpoint::{Checkpoint, Kind};
use haystack::stack::generate::{Counts, Generation, Known, Pass, Progress, Query, Settings};
use haystack::stack::genes::GeneList;
use haystack::stack::model::{Block, Compute, Model, ModelError, Precision};
use haystack::stack::schedule::{ContextRatio, Split};
use haystack::stack::spool::{Budget, Spool};
use haystack::stack::windows;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

use super::reference::{TOLERANCE, Tensors, base_checkpoint, computes, dense, json, models, row_error, rows};
use crate::support::fixture;

#[test]
fn forward_pass_of_the_base_model() {
    for (folder, compute) in models_and_computes() {
        let (model, stored) = (base(&folder, &compute), Tensors::load(&folder.join("forward_base.safetensors")));
        assert_eq!(model.kind(), Kind::Base);
        let counts = stored.counts("counts");
        let n_cells = model.config().n_cells;
        let n_windows = counts.n_rows() / n_cells;
        let mut seen: Vec<(String, Vec<f32>)> = Vec::new();
        let mut see = |name: String, found: &[f32]| match seen.iter_mut().find(|(known, _)| *known == name) {
            Some((_, values)) => values.extend(found),
            None => seen.push((name, found.to_vec())),
        };
        let (mut embeddings, mut means, mut scales, mut dispersions) = (vec![], vec![], vec![], vec![]);
        let library = counts.row_sums();
        for window in 0..n_windows {
            let cells: Vec<usize> = (window * n_cells..(window + 1) * n_cells).collect();
            let tokens = model.tokens(&counts, &cells).unwrap();
            see("tokens".to_owned(), tokens.values());
            let mut see_block = |layer: usize, block: Block, states: &[f32]| match (layer, block) {
                (0, Block::WithinCells) => see("layer0.cell_norm".to_owned(), states),
                (0, Block::BetweenCells) => see("layer0.gene_norm".to_owned(), states),
                (layer, Block::TokenMlp) => see(format!("layer{layer}.out"), states),
                _ => {}
            };
            let embedded = model.embed_seen(tokens, n_cells, 0, Some(&mut see_block)).unwrap();
            embeddings.extend(embedded.values());
            let window_scales = model.scales(&embedded).unwrap();
            for (row, cell) in window_scales.chunks(counts.n_cols()).zip(&cells) {
                means.extend(row.iter().map(|scale| scale * library[*cell] as f32));
            }
            scales.extend(window_scales);
            dispersions.extend(model.dispersions(&embedded).unwrap());
        }
        for (name, values) in &seen {
            stored.check(name, values);
        }
        stored.check("embeddings", &embeddings);
        stored.check_rows("nb_mean", &means);
        stored.check_rows("px_scale", &scales);
        stored.check("nb_dispersion", &dispersions);
        let library: Vec<f32> = library.iter().map(|sum| *sum as f32).collect();
        assert_eq!(library, stored.values("lib_size"));
    }
}

#[test]
fn forward_pass_of_the_base_model_with_a_prompt() {
    for (folder, compute) in models_and_computes() {
        let (model, stored) = (base(&folder, &compute), Tensors::load(&folder.join("forward_base_masked.safetensors")));
        let counts = Tensors::load(&folder.join("forward_base.safetensors")).counts("counts");
        let n_cells = model.config().n_cells;
        let n_prompt = n_cells / 4;
        assert_eq!(stored.bools("attn_mask"), blocked(n_cells, n_prompt));
        let (mut embeddings, mut medians) = (vec![], vec![]);
        for window in whole_windows(&counts, n_cells) {
            let embedded = model.embed(model.tokens(&counts, &window).unwrap(), n_cells, n_prompt).unwrap();
            embeddings.extend(embedded.values());
            // The settings of this pass are .25 and .25.
            let context = embedded.range(0..n_cells / 2);
            medians.extend(model.median_dispersions(&context, &all_genes(&model)).unwrap());
        }
        stored.check("embeddings", &embeddings);
        stored.check("dispersion_median", &medians);
    }
}

#[test]
fn forward_pass_of_the_aligned_model_in_every_setting() {
    for (folder, compute) in models_and_computes() {
        let (model, stored) = (aligned(&folder, &compute), Tensors::load(&folder.join("forward_icl.safetensors")));
        assert_eq!(model.kind(), Kind::Aligned);
        let counts = stored.counts("counts");
        let n_cells = model.config().n_cells;
        let library = counts.row_sums();
        let settings = json(&folder.join("config.json"))["icl_settings"].clone();
        assert_eq!(settings.as_array().unwrap().len(), 5);
        for setting in settings.as_array().unwrap() {
            let name = |part: &str| format!("{}.{part}", setting["setting"].as_str().unwrap());
            let ratio = |key: &str| setting[key].as_f64().unwrap();
            let split = Split::new(n_cells, ratio("cell_ratio"), ContextRatio::Double(ratio("context_ratio"))).unwrap();
            assert_eq!(split.n_prompt as u64, setting["n_kept_cell"].as_u64().unwrap());
            assert_eq!(split.n_context as u64, setting["n_context_cell"].as_u64().unwrap());
            if stored.has(&name("attn_mask")) {
                assert_eq!(stored.bools(&name("attn_mask")), blocked(n_cells, split.n_prompt));
            } else {
                assert_eq!(split.n_prompt, 0);
            }
            let (mut embeddings, mut logits, mut means) = (vec![], vec![], vec![]);
            let (mut dispersions, mut medians) = (vec![], vec![]);
            for window in whole_windows(&counts, n_cells) {
                let tokens = model.tokens(&counts, &window).unwrap();
                let embedded = model.embed(tokens, split.n_context, split.n_prompt).unwrap();
                embeddings.extend(embedded.values());
                logits.extend(vec![0.0; split.n_context]);
                logits.extend(model.query_logits(&embedded, split.n_context).unwrap().unwrap());
                for (row, cell) in model.scales(&embedded).unwrap().chunks(counts.n_cols()).zip(&window) {
                    means.extend(row.iter().map(|scale| scale * library[*cell] as f32));
                }
                dispersions.extend(model.dispersions(&embedded).unwrap());
                let context = embedded.range(0..split.n_context);
                medians.extend(model.median_dispersions(&context, &all_genes(&model)).unwrap());
            }
            stored.check(&name("embeddings"), &embeddings);
            stored.check(&name("logits"), &logits);
            stored.check_rows(&name("nb_mean"), &means);
            stored.check(&name("nb_dispersion"), &dispersions);
            stored.check(&name("dispersion_median"), &medians);
        }
    }
}

/// Plain windows of test cells, the last one filled from its own rows with seed 42.
#[test]
fn prediction_over_windows_in_order() {
    for (folder, compute) in models_and_computes() {
        let (model, stored) =
            (aligned(&folder, &compute), Tensors::load(&folder.join("get_prediction_mean.safetensors")));
        let counts = Tensors::load(&folder.join("aligned_inputs.safetensors")).counts("test_counts");
        let split = Split::new(model.config().n_cells, 0.25, ContextRatio::Double(0.25)).unwrap();
        let library = counts.row_sums();
        let (mut means, mut dispersions, mut logits) = (vec![], vec![], vec![]);
        for window in windows::in_order(counts.n_rows(), model.config().n_cells, 42) {
            let tokens = model.tokens(&counts, &window).unwrap();
            let embedded = model.embed(tokens, split.n_context, split.n_prompt).unwrap();
            for (row, cell) in model.scales(&embedded).unwrap().chunks(counts.n_cols()).zip(&window) {
                means.extend(row.iter().map(|scale| scale * library[*cell] as f32));
            }
            dispersions.extend(model.dispersions(&embedded).unwrap());
            logits.extend(vec![0.0; split.n_context]);
            logits.extend(model.query_logits(&embedded, split.n_context).unwrap().unwrap());
        }
        stored.check_rows("nb_mean", &means[..counts.n_rows() * counts.n_cols()]);
        stored.check("nb_dispersion", &dispersions[..counts.n_rows() * counts.n_cols()]);
        stored.check("logits", &logits[..counts.n_rows()]);
    }
}

#[test]
fn prediction_in_context() {
    for (folder, compute) in models_and_computes() {
        let (model, inputs) = (aligned(&folder, &compute), Inputs::load(&folder));
        let stored = Tensors::load(&folder.join("incontext_mean.safetensors"));
        let calls = json(&folder.join("incontext_mean.json"));
        for call in ["a", "b"] {
            let about = &calls[call];
            let ratio = |key: &str| about[key].as_f64().unwrap();
            let context = ContextRatio::Double(ratio("context_ratio"));
            let split = Split::new(model.config().n_cells, ratio("prompt_ratio"), context).unwrap();
            let seed = about["random_seed"].as_u64().unwrap();
            let query = Spool::from(inputs.query.clone());
            let pass = run(&model, &inputs.base, &query, split, seed);
            check_windows(pass.windows(), &about["windows"]);
            let (means, thetas) = predict_all(&pass, &model, inputs.query.n_rows());
            stored.check_rows(&format!("{call}.predict_mean"), &means);
            stored.check(&format!("{call}.window_theta"), &thetas);
            // Embeddings of the query cells in the same windows, without prompt or query marks.
            let mut latent = vec![];
            for window in pass.windows() {
                let mut tokens = model.tokens(&inputs.base, &window.base).unwrap();
                tokens.extend(model.tokens(&inputs.query, &window.query).unwrap().values());
                let n_cells = tokens.n_cells();
                let embedded = model.embed(tokens, n_cells, 0).unwrap();
                latent.extend(embedded.range(split.n_base..split.n_base + window.n_real).values());
            }
            stored.check(&format!("{call}.latent"), &latent);
        }
    }
}

#[test]
fn generation_by_masked_diffusion() {
    check_generation(Mode::Mdm, "generation_mdm_mean");
}

#[test]
fn generation_by_resampling() {
    check_generation(Mode::Vanilla, "generation_vanilla_mean");
}

fn check_generation(mode: Mode, file: &str) {
    for (folder, compute) in models_and_computes() {
        let (model, inputs) = (aligned(&folder, &compute), Inputs::load(&folder));
        let stored = Tensors::load(&folder.join(format!("{file}.safetensors")));
        let about = json(&folder.join(format!("{file}.json")));
        let number = |key: &str| about[key].as_f64().unwrap();
        let sampling = Sampling {
            mode,
            diffusion_steps: number("num_steps") as u32,
            prompt_ratio: number("prompt_ratio"),
            context_ratio: number("context_ratio"),
            context_ratio_min: number("context_ratio_min"),
            seed: number("random_seed") as u64,
            ..Sampling::default()
        };
        let genes = GeneList::read(&folder.join("genes.pkl")).unwrap();
        let (base, n_query) = (&inputs.base, inputs.query.n_rows());
        let settings = Settings { sampling: &sampling, counts: Counts::Mean, budget: Budget::unlimited() };
        let mut generation = Generation::new(&model, &genes, base, inputs.query.clone().into(), &settings).unwrap();
        for step in about["steps"].as_array().unwrap() {
            let name = |part: &str| format!("step{}.{part}", step["step"]);
            let before = Spool::from(generation.profile().block(0..n_query).unwrap());
            if mode == Mode::Mdm {
                assert_eq!(generation.masked(), stored.bools(&name("is_masked_in")));
            }
            let done = generation.advance(|_: Progress| ControlFlow::Continue(())).unwrap().unwrap();
            assert_eq!(u64::from(done.step.number), step["step"].as_u64().unwrap());
            assert_eq!(done.step.seed, step["seed"].as_u64().unwrap());
            // What was predicted for every cell, also for those that were kept.
            let split = Split::new(model.config().n_cells, sampling.prompt_ratio, done.step.context_ratio).unwrap();
            let pass = run(&model, base, &before, split, done.step.seed);
            check_windows(pass.windows(), &step["windows"]);
            let (means, thetas) = predict_all(&pass, &model, n_query);
            stored.check_rows(&name("mu_test"), &means);
            stored.check(&name("theta_window"), &thetas);
            if mode == Mode::Mdm {
                stored.check(&name("logit"), done.logits.as_deref().unwrap());
                assert_eq!(done.kept, stored.bools(&name("keep")), "{folder:?} {}", name("keep"));
                assert_eq!(generation.masked(), stored.bools(&name("is_masked_out")));
            }
        }
        assert!(generation.advance(|_: Progress| ControlFlow::Continue(())).unwrap().is_none());
        stored.check_rows("final_test_counts", &dense(generation.profile().in_memory().unwrap()));
    }
}

/// Rounding to 8 bits goes in, an error of a percent or so comes out; of chosen genes the same dispersions as of all.
#[test]
fn lower_precision_is_near_the_reference() {
    let compute = Compute::Cpu(Precision::Bf16);
    for folder in models() {
        let mut checkpoint = Checkpoint::open(&folder.join("icl.safetensors")).unwrap();
        let model = match Model::load(&mut checkpoint, &compute) {
            Ok(model) => model,
            Err(ModelError::NoBf16) => return println!("!!! SKIPPED: this processor cannot multiply bf16 numbers"),
            Err(error) => panic!("{error}"),
        };
        let (stored, inputs) = (Tensors::load(&folder.join("incontext_mean.safetensors")), Inputs::load(&folder));
        let about = &json(&folder.join("incontext_mean.json"))["a"];
        let ratio = |key: &str| about[key].as_f64().unwrap();
        let split =
            Split::new(model.config().n_cells, ratio("prompt_ratio"), ContextRatio::Double(ratio("context_ratio")));
        let query = Spool::from(inputs.query.clone());
        let pass = run(&model, &inputs.base, &query, split.unwrap(), about["random_seed"].as_u64().unwrap());
        let (means, thetas) = predict_all(&pass, &model, inputs.query.n_rows());
        let error = row_error(&means, &stored.values("a.predict_mean"), model.config().n_genes);
        let theta_error = row_error(&thetas, &stored.values("a.window_theta"), model.config().n_genes);
        println!("{}: bf16 means {error:.1e}, dispersions {theta_error:.1e}", folder.display());
        assert!(error < 3e-2 && theta_error < 3e-2, "means {error}, dispersions {theta_error}");
        assert!(error > TOLERANCE, "it was computed in full precision");
        let some: Vec<u32> = all_genes(&model).into_iter().filter(|gene| gene % 3 == 1).collect();
        let chosen: Vec<f32> = some.iter().map(|&gene| thetas[gene as usize]).collect();
        assert_eq!(pass.dispersions(&model, 0, &some).unwrap(), chosen);
    }
}

/// One number of one parameter after the other is none: nothing plausible is made of it.
#[test]
fn damaged_weights_give_no_numbers() {
    let folder = fixture("stack/tiny");
    let bytes = fs::read(folder.join("icl.safetensors")).unwrap();
    let counts = Tensors::load(&folder.join("aligned_inputs.safetensors")).counts("test_counts");
    let damaged = tempfile::tempdir().unwrap();
    fs::copy(folder.join("config.json"), damaged.path().join("config.json")).unwrap();
    let path = damaged.path().join("icl.safetensors");
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    for (name, tensor) in tensors.tensors() {
        let mut values = tensor.data().to_vec();
        // Of the first map the column of a gene that is expressed; zeros are not multiplied.
        let at = if name == "gene_reduction.0.weight" { counts.row(0).0[0] as usize } else { 0 };
        values[4 * at..4 * at + 4].copy_from_slice(&f32::NAN.to_le_bytes());
        let views = tensors.tensors().into_iter().map(|(other, view)| {
            let data = if other == name { &values } else { view.data() };
            (other, TensorView::new(Dtype::F32, view.shape().to_vec(), data).unwrap())
        });
        fs::write(&path, safetensors::serialize(views.collect::<Vec<_>>(), None).unwrap()).unwrap();
        for compute in computes().into_iter().chain(half()) {
            let model = load(&path, &compute);
            let split = Split::new(model.config().n_cells, 0.25, ContextRatio::Double(0.25)).unwrap();
            let rows: Vec<usize> = (0..model.config().n_cells).collect();
            let found =
                model.embed(model.tokens(&counts, &rows).unwrap(), split.n_context, split.n_prompt).and_then(|e| {
                    model.query_logits(&e, split.n_context)?;
                    model.scales(&e)?;
                    model.median_dispersions(&e, &all_genes(&model))
                });
            assert!(matches!(found, Err(ModelError::NotFinite { .. })), "{name} {compute:?}: {found:?}");
        }
    }
}

/// Lower precision, where this processor has it.
fn half() -> Option<Compute> {
    let compute = Compute::Cpu(Precision::Bf16);
    let mut checkpoint = Checkpoint::open(&fixture("stack/tiny/icl.safetensors")).unwrap();
    Model::load(&mut checkpoint, &compute).is_ok().then_some(compute)
}

struct Inputs {
    base: Csr,
    query: Csr,
}

impl Inputs {
    fn load(folder: &Path) -> Self {
        let stored = Tensors::load(&folder.join("aligned_inputs.safetensors"));
        Self { base: stored.counts("base_DrugA1_counts"), query: stored.counts("test_counts") }
    }
}

/// Means of every query cell and dispersions of every window.
fn predict_all(pass: &Pass, model: &Model, n_query: usize) -> (Vec<f32>, Vec<f32>) {
    let (mut means, mut thetas, mut cells) = (vec![], vec![], vec![]);
    for window in 0..pass.windows().len() {
        let expected = pass.means(model, window, |_| true).unwrap();
        cells.extend(expected.cells);
        means.extend(expected.values);
        thetas.extend(pass.dispersions(model, window, &all_genes(model)).unwrap());
    }
    assert_eq!(cells, (0..n_query).collect::<Vec<_>>());
    (means, thetas)
}

fn check_windows(found: &[windows::Window], expected: &Value) {
    let expected = expected.as_array().unwrap();
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found.base, rows(&expected["base"]));
        assert_eq!(found.query, rows(&expected["test"]));
        assert_eq!(found.n_real as u64, expected["n_real_test"].as_u64().unwrap());
    }
}

/// The attention mask of the reference: true where a prompt cell may not see another.
fn blocked(n_cells: usize, n_prompt: usize) -> Vec<bool> {
    (0..n_cells).flat_map(|row| (0..n_cells).map(move |column| row < n_prompt && column >= n_prompt)).collect()
}

fn all_genes(model: &Model) -> Vec<u32> {
    (0..model.config().n_genes as u32).collect()
}

fn whole_windows(counts: &Csr, n_cells: usize) -> Vec<Vec<usize>> {
    let rows: Vec<usize> = (0..counts.n_rows()).collect();
    rows.chunks_exact(n_cells).map(<[usize]>::to_vec).collect()
}

/// Every reference model, and every way to compute it.
fn models_and_computes() -> Vec<(PathBuf, Compute)> {
    models()
        .into_iter()
        .flat_map(|folder| computes().into_iter().map(move |compute| (folder.clone(), compute)))
        .collect()
}

pub fn aligned(folder: &Path, compute: &Compute) -> Model {
    load(&folder.join("icl.safetensors"), compute)
}

pub fn base(folder: &Path, compute: &Compute) -> Model {
    load(&base_checkpoint(folder), compute)
}

pub fn load(path: &Path, compute: &Compute) -> Model {
    Model::load(&mut Checkpoint::open(path).unwrap(), compute).unwrap()
}

fn run(model: &Model, base: &Csr, query: &Spool, split: Split, seed: u64) -> Pass {
    let mut known = Known::new(model, base.n_rows(), query.n_rows());
    let query = Query { cells: query, hidden: &[] };
    let go_on = |_, _| ControlFlow::Continue(());
    Pass::run(model, base, query, &mut known, split, seed, &Budget::unlimited(), go_on).unwrap()
}
