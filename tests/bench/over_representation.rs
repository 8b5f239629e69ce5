//! Over-representation of 500 genes in 5 000 gene sets, among 20 000 measured genes.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use anyhow::Result;
use haystack::stats::enrichment::{OverRepresentation, SetIndex};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::json;

use crate::peer::Answer;
use crate::side_by_side::{Comparison, SideBySide};
use crate::synthetic::{Popularity, size};

pub const N_GENES: usize = 20_000;
const N_SETS: usize = 5_000;
const N_CHOSEN: usize = 500;

pub fn run(bench: &mut SideBySide) -> Result<()> {
    let input = input();
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("sets.json");
    let Input { universe, sets, chosen } = &input;
    std::fs::write(&file, json!({"universe": universe, "sets": sets, "chosen": chosen}).to_string())?;
    println!("  {} genes in {N_SETS} sets", sets.iter().map(Vec::len).sum::<usize>());

    // GSEApy is given names, so ours starts from names too.
    let from_names = || {
        let (index, position) = index(&input);
        test(&index, &position, chosen)
    };
    let what = format!("over-representation, {N_CHOSEN} genes in {N_SETS} sets, from names");
    let comparison = Comparison {
        what: &what,
        peer: "gseapy",
        arguments: json!({"file": file}),
        tolerance: 1e-9,
        at_most: usize::MAX,
    };
    bench.compare(comparison, from_names, |found| answer(&found, None))?;

    // The sets are there on both sides. scipy only gives p-values, and 1 where no gene is shared.
    let (prepared, position) = index(&input);
    let what = format!("over-representation, {N_CHOSEN} genes in {N_SETS} sets, sets prepared");
    let comparison = Comparison {
        what: &what,
        peer: "scipy",
        arguments: json!({"file": file}),
        tolerance: 1e-9,
        at_most: usize::MAX,
    };
    bench.compare(comparison, || test(&prepared, &position, chosen), |found| answer(&found, Some(1.0)))
}

pub struct Input {
    pub universe: Vec<String>,
    pub sets: Vec<Vec<String>>,
    chosen: Vec<String>,
}

/// Common genes are in many sets and are often chosen; 60 of the chosen are of the first three sets.
pub fn input() -> Input {
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let universe: Vec<String> = (0..N_GENES).map(|gene| format!("G{gene:05}")).collect();
    let popularity = Popularity::log_normal(N_GENES, 1.0, &mut rng);
    let sets: Vec<_> = (0..N_SETS)
        .map(|_| {
            let n = size(3.6, 0.9, [15.0, 500.0], &mut rng);
            popularity.draw_distinct(n, &mut rng)
        })
        .collect();
    let mut chosen: BTreeSet<u32> = sets[..3].iter().flatten().copied().take(60).collect();
    while chosen.len() < N_CHOSEN {
        chosen.insert(popularity.draw(&mut rng));
    }
    let named = |genes: BTreeSet<u32>| genes.iter().map(|&gene| universe[gene as usize].clone()).collect();
    let (sets, chosen) = (sets.into_iter().map(named).collect(), named(chosen));
    Input { sets, chosen, universe }
}

fn index(input: &Input) -> (SetIndex, HashMap<&str, u32>) {
    let position: HashMap<&str, u32> = input.universe.iter().zip(0..).map(|(gene, at)| (gene.as_str(), at)).collect();
    let members = input.sets.iter().map(|set| set.iter().map(|gene| position[gene.as_str()]).collect());
    (SetIndex::from_members(N_GENES, members).expect("there are genes"), position)
}

fn test(index: &SetIndex, position: &HashMap<&str, u32>, chosen: &[String]) -> Vec<OverRepresentation> {
    let chosen: Vec<u32> = chosen.iter().map(|gene| position[gene.as_str()]).collect();
    index.over_representation(&chosen).expect("the chosen genes are of the universe")
}

/// By set; `absent` where it holds none of the chosen genes.
fn answer(found: &[OverRepresentation], absent: Option<f64>) -> Answer {
    let mut p_values = vec![absent; N_SETS];
    let mut adjusted = vec![absent; N_SETS];
    for result in found {
        p_values[result.set] = Some(result.p_value);
        adjusted[result.set] = Some(result.adjusted_p_value);
    }
    BTreeMap::from([("p-value".into(), p_values), ("adjusted p-value".into(), adjusted)])
}
