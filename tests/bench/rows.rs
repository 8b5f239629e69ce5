//! 512 random cells of an atlas: out of a plain and a gzip `.h5ad`, and out of a row file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Result;
use haystack::anndata::{File, Matrix};
use haystack::atlas::row_file::{RowFile, Source, Writer};
use haystack::domain::Csr;
use rand::SeedableRng;
use rand::seq::index;
use rand_chacha::ChaCha8Rng;
use serde_json::json;

use crate::generate::{self, Plan, Set};
use crate::peer::Answer;
use crate::side_by_side::{Comparison, SideBySide};

const N_ROWS: usize = 512;
/// Different draws, each side taking one after the other.
const N_DRAWS: usize = 40;
const MATRIX: Matrix = Matrix::X;

/// Out of 100 000 cells of about 2 000 genes each.
pub fn of_100k(bench: &mut SideBySide) -> Result<()> {
    let plan = Plan { set: Set::Parse, n_cells: 100_000, n_genes: 18_533, depth: 3640.0, gzip: false, seed: 0 };
    let plain = atlas(&plan)?;
    let gzip = atlas(&Plan { gzip: true, ..plan })?;
    let draws = draws(plan.n_cells)?;
    for (name, path, peers) in
        [("plain", &plain, &["anndata backed", "h5py slices"][..]), ("gzip", &gzip, &["anndata backed"][..])]
    {
        let file = File::open(path)?;
        for peer in peers {
            let what = format!("{N_ROWS} cells of 100 000, {name} h5ad");
            compare(bench, &what, peer, path, &draws, true, |rows| Ok(file.read_rows(&MATRIX, Some(rows))?))?;
        }
    }
    let rows = row_file(&plain)?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let open = runtime.block_on(RowFile::open(Source::Path(rows), [0; 32]))?;
    for (peer, same_order) in [("cellstream", false), ("anndata backed", true)] {
        let what = format!("{N_ROWS} cells of 100 000, row file");
        compare(bench, &what, peer, &plain, &draws, same_order, |rows| {
            let rows: Vec<u32> = rows.iter().map(|&row| row as u32).collect();
            Ok(runtime.block_on(open.read(&rows, None))?.counts)
        })?;
    }
    Ok(())
}

/// Out of ten million cells of about 40 genes each: more would not fit on most disks.
pub fn of_10m(bench: &mut SideBySide) -> Result<()> {
    let plan = Plan { set: Set::Parse, n_cells: 10_000_000, n_genes: 18_533, depth: 25.0, gzip: false, seed: 0 };
    let plain = atlas(&plan)?;
    let draws = draws(plan.n_cells)?;
    let file = File::open(&plain)?;
    let what = format!("{N_ROWS} cells of 10 million, plain h5ad");
    compare(bench, &what, "h5py slices", &plain, &draws, true, |rows| Ok(file.read_rows(&MATRIX, Some(rows))?))?;
    let rows = row_file(&plain)?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let open = runtime.block_on(RowFile::open(Source::Path(rows), [0; 32]))?;
    let what = format!("{N_ROWS} cells of 10 million, row file");
    compare(bench, &what, "h5py slices", &plain, &draws, true, |rows| {
        let rows: Vec<u32> = rows.iter().map(|&row| row as u32).collect();
        Ok(runtime.block_on(open.read(&rows, None))?.counts)
    })
}

fn compare(
    bench: &mut SideBySide,
    what: &str,
    peer: &str,
    path: &Path,
    (file, draws): &(PathBuf, Vec<Vec<usize>>),
    same_order: bool,
    read: impl Fn(&[usize]) -> Result<Csr>,
) -> Result<()> {
    let comparison = Comparison {
        what,
        peer,
        arguments: json!({"file": path, "draws": file}),
        tolerance: 0.0,
        at_most: N_DRAWS - 1,
    };
    let mut next = 0;
    let ours = || {
        let found = read(&draws[next % N_DRAWS]);
        next += 1;
        found.expect("the rows are there")
    };
    // A peer that keeps cells in an order of its own gives others than were asked for.
    let answer = |counts: Csr| -> Answer {
        let totals = counts.row_sums().into_iter().map(Some).collect();
        let n = vec![Some(counts.n_rows() as f64)];
        if same_order { BTreeMap::from([("counts".into(), totals)]) } else { BTreeMap::from([("cells".into(), n)]) }
    };
    bench.compare(comparison, ours, answer)
}

/// The rows of each draw, ascending, and the file that tells the peers.
fn draws(n_cells: usize) -> Result<(PathBuf, Vec<Vec<usize>>)> {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let draw = |_| {
        let mut rows = index::sample(&mut rng, n_cells, N_ROWS).into_vec();
        rows.sort_unstable();
        rows
    };
    let draws: Vec<Vec<usize>> = (0..N_DRAWS).map(draw).collect();
    let file = folder()?.join(format!("draws-{n_cells}.json"));
    std::fs::write(&file, json!(draws).to_string())?;
    Ok((file, draws))
}

/// A generated atlas, kept from run to run.
pub fn atlas(plan: &Plan) -> Result<PathBuf> {
    let packed = if plan.gzip { "gzip" } else { "plain" };
    let path = folder()?.join(format!("{:?}-{}-{}-{packed}.h5ad", plan.set, plan.n_cells, plan.depth));
    if !path.exists() {
        let begin = Instant::now();
        let part = path.with_extension("part");
        generate::write(&part, plan)?;
        std::fs::rename(&part, &path)?;
        println!("  wrote {} in {:.0} s", path.display(), begin.elapsed().as_secs_f64());
    }
    Ok(path)
}

/// The row file of an atlas, kept from run to run.
fn row_file(atlas: &Path) -> Result<PathBuf> {
    let path = atlas.with_extension("rows");
    let file = File::open(atlas)?;
    if !path.exists() {
        let begin = Instant::now();
        let genes = file.gene_names(&MATRIX, None)?;
        let mut writer = Writer::create(&path, &genes)?;
        let mut written = Ok(());
        file.for_each_block(&MATRIX, 4096, |first, block| {
            for row in 0..block.n_rows() {
                let (columns, counts) = block.row(row);
                if let Err(error) = writer.add(&format!("c{}", first + row), columns, counts) {
                    written = Err(error);
                    return std::ops::ControlFlow::Break(());
                }
            }
            std::ops::ControlFlow::Continue(())
        })?;
        written?;
        writer.finish([0; 32])?;
        println!("  wrote {} in {:.0} s", path.display(), begin.elapsed().as_secs_f64());
    }
    let bytes = |path: &Path| std::fs::metadata(path).map(|metadata| metadata.len() as f64 / 1e6);
    println!("  {:.0} MB as .h5ad, {:.0} MB as a row file", bytes(atlas)?, bytes(&path)?);
    Ok(path)
}

/// Where generated atlases are kept.
pub fn folder() -> Result<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench-atlas");
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}
