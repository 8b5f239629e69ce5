//! Preranked enrichment of 5 000 gene sets among 20 000 genes, by multilevel p-values, and the activity of
//! 5 000 sources with these sets as targets.

use std::collections::{BTreeMap, HashMap};

use anyhow::Result;
use haystack::stats::activity::{Activity, MIN_TARGETS, linear_model};
use haystack::stats::gsea::{Enrichment, Options, prerank};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use serde_json::json;

use crate::over_representation::{Input, N_GENES, input};
use crate::peer::Answer;
use crate::side_by_side::{Comparison, SideBySide};

pub fn run(bench: &mut SideBySide) -> Result<()> {
    let Input { universe, sets, .. } = input();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut values: Vec<f64> = StandardNormal.sample_iter(&mut rng).take(N_GENES).collect();
    values.sort_by(|a, b| b.total_cmp(a));
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("ranking.json");
    std::fs::write(&file, json!({"genes": universe, "values": values, "sets": sets}).to_string())?;

    // Both start from names.
    let members = || -> Vec<Vec<u32>> {
        let position: HashMap<&str, u32> = universe.iter().zip(0..).map(|(gene, at)| (gene.as_str(), at)).collect();
        sets.iter().map(|set| set.iter().map(|gene| position[gene.as_str()]).collect()).collect()
    };
    let arguments = json!({"file": file, "threads": bench.threads()});
    let rank = || prerank(&values, &members(), &Options { seed: 1, ..Options::default() }).expect("a ranking");
    let what = format!("preranked enrichment, {} sets among {N_GENES} genes, multilevel p-values", sets.len());
    let (peer, tolerance) = ("gseapy multilevel", 1e-9);
    let comparison = Comparison { what: &what, peer, arguments: arguments.clone(), tolerance, at_most: 3 };
    bench.compare(comparison, rank, |found| scores(&found))?;

    let judge = || {
        let weighted = |set: Vec<u32>| set.into_iter().map(|gene| (gene, 1.0)).collect();
        let sources: Vec<Vec<(u32, f64)>> = members().into_iter().map(weighted).collect();
        linear_model(&values, &sources, MIN_TARGETS).expect("values that vary")
    };
    let what = format!("activity, {} sources, {N_GENES} genes, one sample", sets.len());
    let comparison = Comparison { what: &what, peer: "decoupler", arguments, tolerance: 1e-9, at_most: 5 };
    bench.compare(comparison, judge, |found| activities(&found))
}

fn scores(found: &[Enrichment]) -> Answer {
    BTreeMap::from([("enrichment score".into(), found.iter().map(|found| Some(found.es)).collect())])
}

fn activities(found: &[Activity]) -> Answer {
    BTreeMap::from([("score".into(), found.iter().map(|found| Some(found.score)).collect())])
}
