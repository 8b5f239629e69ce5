//! What surprises in the reference, and what we do about it: one row each, with where it is proven.
//!
//! | # | the reference | here | proven by |
//! |---|---|---|---|
//! | 1 | 8 heads within cells whenever the token width is a multiple of 8 | same | `config::tests::heads_between_tokens_follow_the_reference`; `blocks::attention_within_cells` on `odd` (6 heads) and `small` |
//! | 2 | output rows interleave scale and dispersion | same, taken apart when loaded | `blocks::the_output_head` |
//! | 3 | gene lists are pickled numpy strings | read, and JSON and text too | `files::every_form_of_gene_list_holds_the_same_genes` |
//! | 4 | a short last window is filled with seeded draws | same, same seeds | `cells::embeddings_of_files_with_raw_counts_and_symbol_columns`, `embed::the_first_windows_alone_are_the_first_cells` |
//! | 5 | base and context cells are rounded apart | same | `numeric::ratios_round_to_the_same_cells`, [`one_base_cell_may_count_as_a_query`] |
//! | 6 | ratios are `f32` in mdm and `f64` in vanilla | same | `numeric::ratios_round_to_the_same_cells`, `numeric::schedules_are_those_of_numpy` |
//! | 7 | the median of an even number is the lower middle | same | [`the_median_dispersion_is_the_lower_middle`]; `parity` (`dispersion_median`) |
//! | 8 | the classifier's context is the mean over all context cells, not the prompt | same | [`the_classifier_looks_at_all_context_cells`]; `parity` (`logits`) |
//! | 9 | some arguments decide nothing | taken and ignored; `--device` is honoured | `splits::every_donor_gets_the_file_of_the_reference`, [`a_device_that_is_not_there_is_said`] |
//! | 10 | without a prompt nothing is masked | same | [`without_a_prompt_everyone_sees_everyone`]; `parity` (setting without `attn_mask`) |
//! | 11 | few query cells: fails | they are repeated in turn | [`two_query_cells_are_enough`]; `windows::tests` |
//! | 12 | a share outside 0 to 1, or nothing masked: fails | clamped; nothing is replaced | `schedule::tests::the_share_to_replace_is_kept_within_bounds`, [`where_nothing_is_masked_nothing_is_replaced`] |
//! | 13 | the share can exceed 1 by rounding in `f64` | cast to `f32` first | `numeric::thresholds_are_numpys_float32_quantiles` |
//! | 14 | other organisms: left out of embeddings, generation fails | left out, with their rows of the table; an error that says so | `embed::only_human_cells_are_embedded_and_keep_their_names`, `command::input_that_cannot_be_used_is_refused_by_name` |
//! | 15 | `raw` on an AnnData in memory fails late | not applicable: files only, and of those `raw/X` is taken | `command::generation_from_file_to_file_is_that_of_the_reference` |
//! | 16 | columns-compressed matrices, named indexes and repeated names fail | read; of repeated names the last counts | [`repeated_gene_names_and_named_indexes_are_read`]; `cells::embeddings_of_every_file_form` |
//! | 17 | `predict()` masks genes at random | not applicable: there is no such function | |
//! | 18 | a mask is changed in place | not applicable: internal, and ours is returned | |
//! | 19 | kept cells lose genes the model does not know | not applicable: outputs are over the model's genes, as those of the command are | |
//! | 20 | library sizes follow the draws | same | `parity::generation_by_masked_diffusion` (means of later steps) |
//! | 21 | a base model in mdm fails with a type error; vanilla works | an error that says so; vanilla works | [`a_base_model_resamples_and_cannot_diffuse`] |
//! | 22 | names of cells repeat in one file; file names may collide | same; the later file gets a number, and a warning | `splits::all_donors_in_one_file_are_those_of_the_single_files`, `splits::odd_values_are_told_and_nothing_is_lost` |
//! | 23 | `gen_logit` is of the last pass, before its replacements | same | `command::generation_from_file_to_file_is_that_of_the_reference` |
//! | 24 | an inverse dispersion of 0 fails | the limit, count 0 | `sample::tests::the_limits_give_no_count` |
//! | 25 | draws depend on torch's generator | our own, by counter; the distribution is compared | `numeric::draws_follow_the_negative_binomial` |
//! | 26 | cells without a value are the split `nan` | same | `splits::odd_values_are_told_and_nothing_is_lost` |
//! | 27 | 32 windows at once, gigabytes of tensors | windows stream, one at a time, beyond a budget through files | `spooled::predictions_do_not_depend_on_the_memory` |

use std::ops::ControlFlow;

use haystack::anndata::{self, AnnData, Column, File, Matrix, Numbers, Table};
use haystack::domain::Csr;
use haystack::domain::inference::{Mode, Sampling};
use haystack::stack::generate::{Counts, GenerateError, Generation, Known, Pass, Query, Settings, generate};
use haystack::stack::genes::GeneList;
use haystack::stack::model::{Model, States};
use haystack::stack::schedule::{ContextRatio, Split};
use haystack::stack::spool::{Budget, Spool};

use super::command::{Workplace, counts, write_cells};
use super::parity::{aligned, base};
use super::reference::{Tensors, computes};
use crate::support::fixture;

/// Aligned tiny models in every way to compute, with counts over their genes.
fn each(check: impl Fn(&Model, &Csr)) {
    let folder = fixture("stack/tiny");
    let counts = Tensors::load(&folder.join("aligned_inputs.safetensors")).counts("test_counts");
    computes().iter().for_each(|compute| check(&aligned(&folder, compute), &counts));
}

fn embedded(model: &Model, counts: &Csr, n_context: usize, n_prompt: usize) -> States {
    let rows: Vec<usize> = (0..model.config().n_cells).collect();
    model.embed(model.tokens(counts, &rows).unwrap(), n_context, n_prompt).unwrap()
}

/// 16 · .45 = 7.2: 8 base cells, of which 7 are context. The eighth is marked as a query: it has another
/// embedding than it would have unmarked.
#[test]
fn one_base_cell_may_count_as_a_query() {
    each(|model, counts| {
        let split = Split::new(16, 0.25, ContextRatio::Single(0.2)).unwrap();
        assert_eq!((split.n_base, split.n_context), (8, 7));
        let spool = Spool::from(counts.clone());
        let query = Query { cells: &spool, hidden: &[] };
        let budget = Budget::unlimited();
        let mut known = Known::new(model, counts.n_rows(), counts.n_rows());
        let on_window = |_, _| ControlFlow::Continue(());
        let pass = Pass::run(model, counts, query, &mut known, split, 1, &budget, on_window).unwrap();
        let rows: Vec<usize> = pass.windows()[0].base.iter().chain(&pass.windows()[0].query).copied().collect();
        let of = |n_context| model.embed(model.tokens(counts, &rows).unwrap(), n_context, split.n_prompt).unwrap();
        // What is predicted is of the window in which the eighth cell is marked.
        let genes: Vec<u32> = (0..model.config().n_genes as u32).collect();
        let theta = model.median_dispersions(&of(7).range(0..7), &genes).unwrap();
        assert_eq!(pass.dispersions(model, 0, &genes).unwrap(), theta);
        assert_ne!(of(7).cell(7), of(8).cell(7));
    });
}

#[test]
fn the_median_dispersion_is_the_lower_middle() {
    each(|model, counts| {
        let n_genes = model.config().n_genes;
        let context = embedded(model, counts, 16, 0).range(0..6);
        let all = model.dispersions(&context).unwrap();
        let genes: Vec<u32> = (0..n_genes as u32).collect();
        let found = model.median_dispersions(&context, &genes).unwrap();
        for gene in 0..n_genes {
            let mut column: Vec<f32> = (0..6).map(|cell| all[cell * n_genes + gene]).collect();
            column.sort_by(f32::total_cmp);
            assert_eq!(found[gene], column[2], "third of six, gene {gene}");
        }
    });
}

/// Changing a context cell beyond the prompt, after the network, changes every logit.
#[test]
fn the_classifier_looks_at_all_context_cells() {
    each(|model, counts| {
        let mut states = embedded(model, counts, 8, 4);
        let before = model.query_logits(&states, 8).unwrap().unwrap();
        let width = states.width();
        states.values_mut()[7 * width..8 * width].iter_mut().for_each(|value| *value += 1.0);
        let after = model.query_logits(&states, 8).unwrap().unwrap();
        assert!(before.iter().zip(&after).all(|(before, after)| before != after), "{before:?} {after:?}");
    });
}

/// A prompt of one cell hides all others from it; with none, the first cell sees everyone, as in a window
/// that is all prompt.
#[test]
fn without_a_prompt_everyone_sees_everyone() {
    each(|model, counts| {
        let first = |n_prompt| embedded(model, counts, 16, n_prompt).cell(0).to_vec();
        assert_eq!(first(0), first(16));
        assert_ne!(first(0), first(1));
    });
}

#[test]
fn two_query_cells_are_enough() {
    let place = Workplace::new();
    let (model, genes) = place.flags();
    let query = File::open(&place.path("query.h5ad")).unwrap();
    let data = query.read_expression(&Matrix::RawX, Some(&[0, 1]), None).unwrap();
    write_cells(&place.path("two.h5ad"), &data.genes, data.counts);
    let files = ["--prompt", "ctrl.h5ad", "--query", "two.h5ad", "--output", "out.h5ad"];
    let summary = place.infer(&[&files[..], &["--model", &model, "--genes", &genes]].concat());
    assert_eq!(summary.n_query_cells, 2);
    assert_eq!(counts(&File::open(&place.path("out.h5ad")).unwrap()).n_rows(), 2);
}

#[test]
fn a_device_that_is_not_there_is_said() {
    if cfg!(feature = "cuda") {
        return;
    }
    let place = Workplace::new();
    let (model, genes) = place.flags();
    let files = ["--prompt", "ctrl.h5ad", "--query", "query.h5ad", "--output", "out.h5ad"];
    let flags = ["--model", &model, "--genes", &genes, "--device", "cuda"];
    let (code, said) = place.fails(&[&files[..], &flags].concat());
    assert_eq!(code, 2);
    assert!(said.contains("no GPU can be used") && said.contains("--device auto or cpu"), "{said}");
    assert!(!said.contains("panicked"), "{said}");
    // Left to choose, it takes the processor and says so.
    let output = place.run(&[&["infer"], &files[..], &flags[..4], &["--device", "auto"]].concat());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("computing on the CPU, because no GPU can be used"), "{said}");
}

/// A single query cell is replaced in the first step; where it then looks done nothing is masked in the second.
#[test]
fn where_nothing_is_masked_nothing_is_replaced() {
    each(|model, counts| {
        let genes = GeneList::read(&fixture("stack/tiny/genes.pkl")).unwrap();
        let sampling = Sampling { diffusion_steps: 2, ..Sampling::default() };
        let settings = Settings { sampling: &sampling, counts: Counts::Mean, budget: Budget::unlimited() };
        let mut done = 0;
        for cell in 0..counts.n_rows() {
            let query = Spool::from(counts.select_rows(&[cell]));
            let mut generation = Generation::new(model, &genes, counts, query, &settings).unwrap();
            let first = generation.advance(|_| ControlFlow::Continue(())).unwrap().unwrap();
            assert_eq!(first.kept, [false]);
            if generation.masked() == [true] {
                continue;
            }
            done += 1;
            let before = generation.profile().clone();
            let second = generation.advance(|_| ControlFlow::Continue(())).unwrap().unwrap();
            assert_eq!(second.kept, [true]);
            assert_eq!(generation.profile().in_memory(), before.in_memory());
            assert_eq!(generation.masked(), [second.logits.unwrap()[0] > 0.0]);
        }
        assert!(done > 0, "some cells look done");
    });
}

/// A gene that comes twice, the right counts in the later column; an index with a name of its own.
#[test]
fn repeated_gene_names_and_named_indexes_are_read() {
    let place = Workplace::new();
    let (model, genes) = place.flags();
    let query = File::open(&place.path("query.h5ad")).unwrap();
    let data = query.read_expression(&Matrix::RawX, None, None).unwrap();
    let known = GeneList::read(genes.as_ref()).unwrap();
    let twice = data.genes.iter().position(|gene| known.names().contains(&gene.to_uppercase())).unwrap();
    // The wrong counts stand before all others, under the same name in another case.
    let rows = (0..data.counts.n_rows()).map(|row| {
        let (columns, values) = data.counts.row(row);
        let right = columns.iter().zip(values).map(|(column, value)| (column + 1, *value));
        [(0, 99.0)].into_iter().chain(right).collect::<Vec<_>>()
    });
    let repeated = Csr::from_rows(data.genes.len() + 1, rows).unwrap();
    let name = data.genes[twice].to_lowercase();
    let var = Table {
        index_name: Some("gene_symbols".to_owned()),
        index: [&[name][..], &data.genes].concat(),
        ..Table::default()
    };
    let obs = Table { index: data.cells.clone(), ..Table::default() };
    let file = AnnData { obs, var, x: Some(Numbers::Sparse(repeated)), ..AnnData::default() };
    anndata::write(&place.path("repeated.h5ad"), &file).unwrap();
    let infer = |query: &str, to: &str| {
        let files = ["--prompt", "ctrl.h5ad", "--query", query, "--output", to, "--counts", "mean"];
        place.infer(&[&files[..], &["--model", &model, "--genes", &genes, "--diffusion-steps", "1"]].concat());
        counts(&File::open(&place.path(to)).unwrap())
    };
    assert_eq!(infer("repeated.h5ad", "a.h5ad"), infer("query.h5ad", "b.h5ad"));
}

#[test]
fn a_base_model_resamples_and_cannot_diffuse() {
    let folder = fixture("stack/tiny");
    let inputs = Tensors::load(&folder.join("aligned_inputs.safetensors"));
    let (cells, query) = (inputs.counts("base_DrugA1_counts"), inputs.counts("test_counts"));
    let genes = GeneList::read(&folder.join("genes.pkl")).unwrap();
    for compute in computes() {
        let run = |mode| {
            let sampling = Sampling { mode, diffusion_steps: 2, ..Sampling::default() };
            let settings = Settings { sampling: &sampling, counts: Counts::Sampled, budget: Budget::unlimited() };
            let model = base(&folder, &compute);
            generate(&model, &genes, &cells, query.clone().into(), &settings, |_| ControlFlow::Continue(()))
        };
        assert!(matches!(run(Mode::Mdm), Err(GenerateError::NotAligned)));
        let resampled = run(Mode::Vanilla).unwrap();
        assert!(resampled.logits.is_none());
        assert_eq!(resampled.counts.n_rows(), query.n_rows());
    }
}

/// What the table says is proven is there.
#[test]
fn every_proof_exists() {
    let read =
        |path: &str| std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    let this = read("tests/it/stack/surprises.rs");
    let rows: Vec<&str> =
        this.lines().filter(|line| line.starts_with("//! | ") && line.as_bytes()[6].is_ascii_digit()).collect();
    assert_eq!(rows.len(), 27);
    for (at, row) in rows.iter().enumerate() {
        assert!(row.starts_with(&format!("//! | {} |", at + 1)), "{row}");
        let proofs: Vec<&str> = row.split('`').filter(|word| word.contains("::") && !word.contains(' ')).collect();
        for proof in &proofs {
            let (place, name) = proof.rsplit_once("::").unwrap();
            let file = match place.strip_suffix("::tests") {
                Some(module) => format!("src/stack/{module}.rs"),
                None => format!("tests/it/stack/{place}.rs"),
            };
            assert!(name == "tests" || read(&file).contains(&format!("fn {name}(")), "{proof}");
        }
        let here = row.split("[`").skip(1).filter_map(|rest| rest.split_once("`]")).map(|(name, _)| name);
        let n_here = here.inspect(|name| assert!(this.contains(&format!("fn {name}(")), "{name}")).count();
        assert!(!proofs.is_empty() || n_here > 0 || row.contains("not applicable"), "{row}");
    }
}

/// The prompt is read apart from the query, so it is checked apart.
#[test]
fn a_prompt_of_mice_is_refused() {
    let place = Workplace::new();
    let (model, genes) = place.flags();
    let prompt = File::open(&place.path("ctrl.h5ad")).unwrap();
    let data = prompt.read_expression(&Matrix::X, None, None).unwrap();
    let organism = Column::Strings(vec![Some("Mus musculus".to_owned()); data.cells.len()]);
    let obs = Table { index: data.cells, columns: vec![("organism".to_owned(), organism)], ..Table::default() };
    let var = Table { index: data.genes, ..Table::default() };
    let mice = AnnData { obs, var, x: Some(Numbers::Sparse(data.counts)), ..AnnData::default() };
    anndata::write(&place.path("mice.h5ad"), &mice).unwrap();
    let files = ["--prompt", "mice.h5ad", "--query", "query.h5ad", "--output", "out.h5ad"];
    let (code, said) = place.fails(&[&files[..], &["--model", &model, "--genes", &genes]].concat());
    assert_eq!(code, 1);
    assert!(said.contains("are not Homo sapiens"), "{said}");
}
