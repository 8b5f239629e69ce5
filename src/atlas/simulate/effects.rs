//! What each gene does in each cell type, donor and treatment of the simulated atlas.
//!
//! All effects add up on the scale of the natural logarithm of a gene's share of the cell's counts:
//!
//! - a base level per gene, high for ribosomal genes, low for markers and genes that are induced;
//! - the programme of a cell type: its markers rise, and every gene varies a little between types;
//! - the donor: every gene varies a little between donors;
//! - the treatment: genes known to respond rise or fall by 0.8 to 1.8 (2.2- to 6-fold), a part of the
//!   genes of the expected gene sets and of the targets of its transcription factors by less, all
//!   times a gain of the cell type between 0.5 and 1.2.

use std::collections::{BTreeMap, BTreeSet};

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Normal};

use super::design::{Design, Treatment};
use super::model::stream;
use crate::domain::terms::{Direction, PerturbationKind};

/// Effects as logarithms, one value per gene.
#[derive(Clone, Debug)]
pub struct Effects {
    /// Symbols, sorted.
    pub genes: Vec<String>,
    /// Base level of each gene in each cell type: `[cell type][gene]`.
    pub cell_types: Vec<Vec<f64>>,
    /// `[donor][gene]`.
    pub donors: Vec<Vec<f64>>,
    /// Full effect of each treatment: `[treatment][(gene, effect)]`.
    pub treatments: Vec<Vec<(usize, f64)>>,
    /// Gain of each treatment in each cell type: `[treatment][cell type]`.
    pub gains: Vec<Vec<f64>>,
}

/// Name of the gene set whose genes are in every cell.
const RIBOSOME: &str = "Ribosome";

impl Effects {
    /// Draws the effects of a design.
    pub fn of(design: &Design, seed: u64) -> Self {
        let genes = genes_of(design);
        let index: BTreeMap<&str, usize> = genes.iter().enumerate().map(|(at, gene)| (gene.as_str(), at)).collect();
        let base = base_levels(design, &genes, &index, seed);
        let cell_types = (0..design.cell_types.len()).map(|at| {
            let cell_type = &design.cell_types[at];
            let mut levels = base.clone();
            add_noise(&mut levels, 0.25, &mut stream(seed, &["type", cell_type.term.id.as_str()]));
            for gene in cell_type.markers.iter().filter_map(|gene| index.get(gene.as_str())) {
                levels[*gene] = 1.5;
            }
            levels
        });
        let cell_types = cell_types.collect();
        let donors = (0..design.sizes.donors).map(|donor| {
            let mut levels = vec![0.0; genes.len()];
            add_noise(&mut levels, 0.12, &mut stream(seed, &["donor", &donor.to_string()]));
            levels
        });
        let donors = donors.collect();
        let treatments = design.treatments.iter().map(|treatment| response(design, treatment, &index, seed)).collect();
        let gains = design.treatments.iter().map(|treatment| {
            let gain = |cell_type: &str| {
                let mut rng = stream(seed, &["gain", &treatment.perturbation.name, cell_type]);
                rng.random_range(0.5..1.2)
            };
            design.cell_types.iter().map(|cell_type| gain(cell_type.term.id.as_str())).collect()
        });
        let gains = gains.collect();
        Self { genes, cell_types, donors, treatments, gains }
    }
}

/// Every gene the design's facts name, sorted.
fn genes_of(design: &Design) -> Vec<String> {
    let mut genes: BTreeSet<&str> = BTreeSet::new();
    genes.extend(design.cell_types.iter().flat_map(|cell_type| &cell_type.markers).map(String::as_str));
    genes.extend(design.gene_sets.iter().flat_map(|set| &set.genes).map(String::as_str));
    for treatment in &design.treatments {
        let known = &treatment.perturbation;
        let effects = known.targets.iter().chain(&known.effectors).chain(&known.responses);
        genes.extend(effects.map(|effect| effect.gene.as_str()));
    }
    genes.into_iter().map(str::to_owned).collect()
}

fn base_levels(design: &Design, genes: &[String], index: &BTreeMap<&str, usize>, seed: u64) -> Vec<f64> {
    let mut levels = vec![-0.7; genes.len()];
    add_noise(&mut levels, 0.9, &mut stream(seed, &["base"]));
    let set = |levels: &mut Vec<f64>, gene: &str, level: f64| {
        if let Some(&at) = index.get(gene) {
            levels[at] = level;
        }
    };
    for response in design.treatments.iter().flat_map(|treatment| &treatment.perturbation.responses) {
        // What rises starts low; what falls must have something to lose.
        set(&mut levels, &response.gene, if response.direction == Direction::Down { 0.5 } else { -0.5 });
    }
    for gene in design.cell_types.iter().flat_map(|cell_type| &cell_type.markers) {
        set(&mut levels, gene, -3.0);
    }
    for gene in design.gene_sets.iter().filter(|set| set.name == RIBOSOME).flat_map(|set| &set.genes) {
        set(&mut levels, gene, 2.5);
    }
    levels
}

/// Effect of a treatment on each gene that responds, before the gain of the cell type.
fn response(design: &Design, treatment: &Treatment, index: &BTreeMap<&str, usize>, seed: u64) -> Vec<(usize, f64)> {
    let known = &treatment.perturbation;
    let mut rng = stream(seed, &["response", &known.name]);
    let mut effects: BTreeMap<usize, f64> = BTreeMap::new();
    for set in design.gene_sets.iter().filter(|set| known.pathways.contains(&set.name)) {
        let sign = sign_of_set(treatment, &set.genes);
        for gene in set.genes.iter().filter_map(|gene| index.get(gene.as_str())) {
            if rng.random_bool(0.4) {
                effects.insert(*gene, sign * rng.random_range(0.3..0.8));
            }
        }
    }
    for factor in &known.effectors {
        for regulation in design.regulons.iter().filter(|regulation| regulation.source == factor.gene) {
            let Some(&gene) = index.get(regulation.target.as_str()) else { continue };
            if rng.random_bool(0.6) {
                effects.insert(gene, sign(factor.direction) * regulation.weight.signum() * rng.random_range(0.3..0.8));
            }
        }
    }
    // What is known of single genes is stronger than what follows from sets and factors.
    for effect in &known.responses {
        if let Some(&gene) = index.get(effect.gene.as_str()) {
            effects.insert(gene, sign(effect.direction) * rng.random_range(0.8..1.8));
        }
    }
    effects.into_iter().collect()
}

/// Which way the genes of a set go: as most of its genes that are known to respond do; where none is
/// known, down under a drug (which mostly inhibit) and up otherwise.
fn sign_of_set(treatment: &Treatment, genes: &[String]) -> f64 {
    let known = &treatment.perturbation;
    let votes: f64 =
        known.responses.iter().filter(|effect| genes.contains(&effect.gene)).map(|effect| sign(effect.direction)).sum();
    match votes {
        votes if votes != 0.0 => votes.signum(),
        _ if known.kind == PerturbationKind::Drug => -1.0,
        _ => 1.0,
    }
}

fn sign(direction: Direction) -> f64 {
    if direction == Direction::Down { -1.0 } else { 1.0 }
}

fn add_noise(levels: &mut [f64], spread: f64, rng: &mut ChaCha8Rng) {
    let normal = Normal::new(0.0, spread).expect("a spread above 0 is a number");
    levels.iter_mut().for_each(|level| *level += normal.sample(rng));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::atlas::simulate::Sizes;

    #[test]
    fn known_responses_go_the_known_way() {
        let design = Design::starter(Sizes::default()).unwrap();
        let effects = Effects::of(&design, 0);
        assert!((600..=1000).contains(&effects.genes.len()), "{} genes", effects.genes.len());
        for (treatment, effect) in design.treatments.iter().zip(&effects.treatments) {
            for response in &treatment.perturbation.responses {
                let gene = effects.genes.binary_search(&response.gene).unwrap();
                let size = effect.iter().find(|(at, _)| *at == gene).unwrap().1;
                assert_eq!(size > 0.0, response.direction != Direction::Down, "{}", response.gene);
                assert!(size.abs() >= 0.8);
            }
        }
    }
}
