//! How fast we are beside the tools people use now, on the same input, in the same run.
//!
//! `make bench` installs the peers and runs every case, `make bench-stats` those of the statistics.
//! `cargo bench --bench peers -- over` runs the cases whose name holds a word, and `--keep` keeps what
//! they took. A case without its peer is skipped with a loud line.

mod child;
mod differential_expression;
mod figure;
mod gene_sets;
#[path = "../generate/mod.rs"]
mod generate;
mod import_atlas;
mod over_representation;
mod peer;
mod results;
mod rows;
mod side_by_side;
mod synthetic;

use std::num::NonZero;
use std::thread::available_parallelism;

use anyhow::{Context, Result};
use clap::Parser;
use serde_json::json;

use side_by_side::SideBySide;

/// Time the parts that matter against their peers
#[derive(Parser)]
struct Args {
    /// Only the cases whose name holds one of these words
    words: Vec<String>,
    /// Threads of either side [default: one per core]
    #[arg(long)]
    threads: Option<NonZero<usize>>,
    /// How often each side is measured
    #[arg(long, default_value = "9")]
    repeats: NonZero<usize>,
    /// Keep the results, though only some cases were asked for
    #[arg(long)]
    keep: bool,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

type Case = fn(&mut SideBySide) -> Result<()>;

const CASES: [(&str, Case); 6] = [
    ("statistics: differential expression", differential_expression::run),
    ("statistics: over-representation", over_representation::run),
    ("statistics: ranked gene sets and activity", gene_sets::run),
    ("atlas: rows out of 100 000", rows::of_100k),
    ("atlas: rows out of 10 million", rows::of_10m),
    ("atlas: import of 10 million", import_atlas::run),
];

fn main() -> Result<()> {
    let args = Args::parse();
    let asked_for = |name: &str| args.words.is_empty() || args.words.iter().any(|word| name.contains(word.as_str()));
    let threads = args.threads.or(available_parallelism().ok()).map_or(1, NonZero::get);
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;

    let mut bench = SideBySide::new(threads, args.repeats.get())?;
    for (name, case) in CASES.into_iter().filter(|(name, _)| asked_for(name)) {
        println!("\n{name}");
        case(&mut bench).with_context(|| name.to_owned())?;
    }

    let marks = bench.marks();
    let figures = bench.finish();
    if (args.words.is_empty() || args.keep) && !figures.is_empty() {
        let measured = json!({"threads": threads, "figures": figures});
        println!("\nraw seconds in {}", results::keep(None, measured)?.display());
    }
    println!();
    for figure in &figures {
        println!("{}", figure.ratio());
    }
    for mark in &marks {
        println!("{mark}");
    }
    Ok(())
}
