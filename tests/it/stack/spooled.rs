//! Cells that do not fit in memory: the same bytes come out, whatever the memory allowed.

use std::fs;

use haystack::anndata::{self, AnnData, DenseMatrix, Numbers, Streamed, Table};
use haystack::domain::Csr;

use super::command::{Workplace, write_cells};

/// With no memory at all every query cell, embedding and prediction goes through scratch files.
#[test]
fn predictions_do_not_depend_on_the_memory() {
    let place = Workplace::new();
    let (model, genes) = place.flags();
    let infer = |to: &str, memory: &str, more: &[&str]| {
        let files = ["--prompt", "Drug_A_1.h5ad", "--query", "query.h5ad", "--output", to];
        let flags = ["--model", &model, "--genes", &genes, "--memory", memory];
        place.infer(&[&files[..], &flags, more].concat());
        fs::read(place.path(to)).unwrap()
    };
    for more in [&["--diffusion-steps", "3"][..], &["--mode", "vanilla", "--diffusion-steps", "2"]] {
        let held = infer("held.h5ad", "4", more);
        // About a third of what the query takes.
        assert_eq!(infer("part.h5ad", "0.000005", more), held);
        assert_eq!(infer("none.h5ad", "0", more), held);
    }
    let shift = ["--method", "mean-shift", "--control", "ctrl.h5ad"];
    let held = infer("held.h5ad", "4", &shift);
    assert_eq!(infer("none.h5ad", "0", &shift), held);
}

/// A list with genes that are not upper case, which are not fed to the network.
#[test]
fn genes_that_are_not_fed_are_left_out_from_files_too() {
    let place = Workplace::new();
    let (model, genes) = place.flags();
    let list = haystack::stack::genes::GeneList::read(genes.as_ref()).unwrap();
    let mixed: Vec<String> = list
        .names()
        .iter()
        .enumerate()
        .map(|(at, name)| if at % 5 == 0 { name.to_lowercase() } else { name.clone() })
        .collect();
    fs::write(place.path("mixed.json"), serde_json::to_vec(&mixed).unwrap()).unwrap();
    let infer = |to: &str, genes: &str, memory: &str| {
        let files = ["--prompt", "ctrl.h5ad", "--query", "query.h5ad", "--output", to, "--model", &model];
        place.infer(&[&files[..], &["--genes", genes, "--memory", memory, "--diffusion-steps", "2"]].concat());
        fs::read(place.path(to)).unwrap()
    };
    let held = infer("held.h5ad", "mixed.json", "4");
    assert_eq!(infer("none.h5ad", "mixed.json", "0"), held);
    assert_ne!(infer("all.h5ad", &genes, "4"), held);
}

/// Matrices of more than one chunk, written at once and piece by piece.
#[test]
fn a_file_written_piece_by_piece_is_the_file_written_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let (n_rows, n_cols) = (3000, 700);
    let row = |row: u32| {
        (0..n_cols as u32).filter(move |c| (row * 7 + c * 13).is_multiple_of(5)).map(move |c| (c, (row % 9 + c) as f32))
    };
    let csr = Csr::from_rows(n_cols, (0..n_rows as u32).map(row)).unwrap();
    let names = |n: usize| Table { index: (0..n).map(|i| format!("n{i}")).collect(), ..Table::default() };
    let data = AnnData { obs: names(n_rows), var: names(n_cols), ..AnnData::default() };
    let bytes = |name: &str, write: &dyn Fn(&std::path::Path)| {
        let path = folder.path().join(name);
        write(&path);
        fs::read(path).unwrap()
    };
    let little = |values: &[f32]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();

    let at_once = bytes("a.h5ad", &|path| {
        anndata::write(path, &AnnData { x: Some(Numbers::Sparse(csr.clone())), ..data.clone() }).unwrap();
    });
    let indptr: Vec<u64> = csr.indptr().iter().map(|&at| at as u64).collect();
    let indices: Vec<u8> = csr.indices().iter().flat_map(|c| c.to_le_bytes()).collect();
    let values = little(csr.values());
    let piecewise = bytes("b.h5ad", &|path| {
        let (mut indices, mut values) = (&indices[..], &values[..]);
        let x = Streamed::Sparse { n_cols, indptr: &indptr, indices: &mut indices, values: &mut values };
        anndata::write_streamed(path, &data, x).unwrap();
    });
    assert!(at_once == piecewise, "sparse");
    // A source that ends early leaves no file.
    let (mut indices, mut short) = (&indices[..], &values[..100]);
    let x = Streamed::Sparse { n_cols, indptr: &indptr, indices: &mut indices, values: &mut short };
    assert!(anndata::write_streamed(&folder.path().join("c.h5ad"), &data, x).is_err());
    assert!(!folder.path().join("c.h5ad").exists());

    let dense: Vec<f32> = (0..n_rows * n_cols).map(|at| at as f32 * 0.5).collect();
    let at_once = bytes("d.h5ad", &|path| {
        let x = Numbers::Dense(DenseMatrix { n_rows, n_cols, values: dense.clone() });
        anndata::write(path, &AnnData { x: Some(x), ..data.clone() }).unwrap();
    });
    let piecewise = bytes("e.h5ad", &|path| {
        let values = little(&dense);
        let x = Streamed::Dense { n_rows, n_cols, values: &mut &values[..] };
        anndata::write_streamed(path, &data, x).unwrap();
    });
    assert!(at_once == piecewise, "dense");
}

/// The peak of a job's memory for a million query cells against 20 000; takes an hour, so it runs when asked for:
/// `cargo test --release --test it stack::spooled::a_million -- --ignored --nocapture`.
#[cfg(target_os = "linux")]
#[test]
#[ignore = "a measurement that takes long"]
fn a_million_query_cells_take_bounded_memory() {
    let place = Workplace::new();
    let (model, genes) = place.flags();
    let source = anndata::File::open(&place.path("query.h5ad")).unwrap();
    let cells = source.read_expression(&anndata::Matrix::RawX, None, None).unwrap();
    for n in [20_000, 1_000_000] {
        let rows: Vec<usize> = (0..n).map(|row| row % cells.counts.n_rows()).collect();
        write_cells(&place.path("many.h5ad"), &cells.genes, cells.counts.select_rows(&rows));
        let mut child = place
            .command(&["infer", "--prompt", "ctrl.h5ad", "--query", "many.h5ad", "--output", "out.h5ad"])
            .args(["--model", &model, "--genes", &genes, "--diffusion-steps", "2", "--memory", "0.05"])
            .spawn()
            .unwrap();
        let (mut peak, start) = (0, std::time::Instant::now());
        while child.try_wait().unwrap().is_none() {
            let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
            let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0");
            peak = peak.max(line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0));
            std::thread::sleep(std::time::Duration::from_millis(200));
        }
        assert!(child.wait().unwrap().success());
        println!("{n} query cells: peak {} MiB, {:.0} s", peak / 1024, start.elapsed().as_secs_f64());
        assert!(peak < 1 << 20, "a GiB is enough for the tables and the budget: {peak} kB");
    }
}
