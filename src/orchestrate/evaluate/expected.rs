//! Which gene sets a perturbation is expected to move.
//!
//! A set is expected if at least [`MIN_MEASURED`] of its genes were measured and either
//! - its name is one of the perturbation's `pathways`: case, punctuation, the collection's prefix
//!   (`REACTOME_`, `HALLMARK_`, …), a trailing accession and British spelling do not matter; or
//! - it has at most [`MAX_SIZE`] genes, among them at least two of the perturbation's own genes
//!   (targets, effectors, and the perturbation itself where one of its names is a gene symbol) and
//!   at least half of its targets. A perturbation without known targets expects nothing this way.

use std::collections::BTreeSet;

use crate::domain::{GeneSet, Perturbation};

use super::collections::{Collections, Place};

/// Fewest measured genes for a set to be held against a prediction.
pub const MIN_MEASURED: usize = 5;

/// Most genes of a set that is expected because of what it holds: larger ones say little.
pub const MAX_SIZE: usize = 300;

/// The places of the expected sets, in the order of the collections.
pub fn expected_sets(perturbation: &Perturbation, collections: &Collections<'_>) -> Vec<Place> {
    let names: BTreeSet<String> = perturbation.pathways.iter().map(|name| plain_name(name)).collect();
    let targets = symbols(perturbation.targets.iter().map(|effect| effect.gene.as_str()));
    let mut own = symbols(perturbation.effectors.iter().map(|effect| effect.gene.as_str()));
    own.extend(targets.iter().cloned());
    // A name counts as a gene only if some set knows it as one.
    let spellings = std::iter::once(&perturbation.name).chain(&perturbation.synonyms);
    let spellings = symbols(spellings.map(String::as_str));
    own.extend(spellings.into_iter().filter(|name| collections.sets().any(|(_, set)| holds(set, name))));

    let expected = |place: Place, set: &GeneSet| {
        let by_name = names.contains(&plain_name(&set.name));
        let by_content = || {
            let held = |genes: &BTreeSet<String>| genes.iter().filter(|gene| holds(set, gene)).count();
            !targets.is_empty() && set.genes.len() <= MAX_SIZE && held(&own) >= 2 && 2 * held(&targets) >= targets.len()
        };
        collections.n_measured(place) >= MIN_MEASURED && (by_name || by_content())
    };
    collections.sets().filter(|&(place, set)| expected(place, set)).map(|(place, _)| place).collect()
}

fn symbols<'a>(genes: impl Iterator<Item = &'a str>) -> BTreeSet<String> {
    genes.map(|gene| gene.trim().to_uppercase()).filter(|gene| !gene.is_empty()).collect()
}

fn holds(set: &GeneSet, gene: &str) -> bool {
    set.genes.iter().any(|member| member == gene)
}

/// A set's name without what differs between sources: lower case, words parted by single spaces.
fn plain_name(name: &str) -> String {
    const PREFIXES: [&str; 11] =
        ["HALLMARK_", "REACTOME_", "KEGG_", "WP_", "BIOCARTA_", "PID_", "GOBP_", "GOCC_", "GOMF_", "GO_", "HP_"];
    let name = name.trim();
    let name = PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name);
    let name = name.split(" R-HSA-").next().unwrap_or(name);
    let name = name.split(" (GO:").next().unwrap_or(name);
    let words = name.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(|word| word.to_lowercase().replace("signalling", "signaling")).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::terms::{Direction, GeneEffect, PerturbationKind};
    use crate::orchestrate::evaluate::response::Response;

    #[test]
    fn names_of_different_sources_meet() {
        for name in [
            "REACTOME_INTERFERON_ALPHA_BETA_SIGNALING",
            "Interferon alpha/beta signaling",
            "interferon Alpha-Beta signalling",
            "Interferon alpha/beta signaling R-HSA-909733",
        ] {
            assert_eq!(plain_name(name), "interferon alpha beta signaling");
        }
        assert_eq!(plain_name("response to virus (GO:0009615)"), "response to virus");
    }

    fn set(name: &str, genes: &[&str]) -> GeneSet {
        GeneSet {
            collection: "test".into(),
            name: name.into(),
            description: String::new(),
            genes: genes.iter().map(|&g| g.to_owned()).collect(),
        }
    }

    #[test]
    fn sets_are_expected_by_name_or_by_what_they_hold() {
        let effect = |gene: &str| GeneEffect { gene: gene.into(), direction: Direction::Up };
        let perturbation = Perturbation {
            name: "interferon beta".into(),
            kind: PerturbationKind::Cytokine,
            ids: vec![],
            synonyms: vec!["IFNB1".into(), "IFN-beta".into()],
            targets: vec![effect("IFNAR1"), effect("IFNAR2")],
            effectors: vec![effect("STAT1")],
            responses: vec![],
            pathways: vec!["Antiviral state".into()],
        };
        let measured = ["A", "B", "C", "D", "E"];
        fn with<'a>(measured: &[&'a str], own: &[&'a str]) -> Vec<&'a str> {
            [measured, own].concat()
        }
        let filler: Vec<String> = (0..300).map(|i| format!("F{i}")).collect();
        let mut large = with(&measured, &["IFNAR1", "IFNAR2"]);
        large.extend(filler.iter().map(String::as_str));
        let sets = [
            set("HALLMARK_ANTIVIRAL_STATE", &measured),
            set("receptor and factor", &with(&measured, &["IFNAR1", "STAT1"])),
            set("receptor and ligand", &with(&measured, &["IFNAR2", "IFNB1"])),
            set("one gene of ours", &with(&measured, &["IFNAR1"])),
            set("no target", &with(&measured, &["STAT1", "IFNB1"])),
            set("too few measured", &["A", "IFNAR1", "IFNAR2"]),
            set("too large", &large),
        ];
        let response = Response::new(&measured.map(|gene| crate::domain::evaluation::GeneChange {
            gene: gene.into(),
            log2_fold_change: 0.0,
            score: 0.0,
            p_value: 1.0,
            adjusted_p_value: 1.0,
            mean_treatment: 0.0,
            mean_control: 0.0,
            share_treatment: 0.0,
            share_control: 0.0,
            differential: None,
        }));
        let collections = Collections::new(&sets, &response).unwrap();
        assert_eq!(expected_sets(&perturbation, &collections), [(0, 0), (0, 1), (0, 2)]);
        let unknown = Perturbation { targets: vec![], ..perturbation };
        assert_eq!(expected_sets(&unknown, &collections), [(0, 0)]);
    }
}
