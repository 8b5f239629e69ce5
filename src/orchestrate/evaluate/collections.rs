//! Gene sets by collection, each collection tested and corrected for itself.

use crate::domain::GeneSet;
use crate::domain::evaluation::{EnrichedSet, by_p_value};
use crate::stats::enrichment::{EnrichmentError, SetIndex};

use super::response::{Response, Shape};

/// The gene sets of all collections, cut to the measured genes.
#[derive(Clone, Debug)]
pub struct Collections<'a> {
    collections: Vec<Collection<'a>>,
}

#[derive(Clone, Debug)]
struct Collection<'a> {
    sets: Vec<&'a GeneSet>,
    index: SetIndex,
}

/// A set by its place: which collection, and which set in it.
pub type Place = (usize, usize);

/// The best a set came to among rising and falling genes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SetOutcome {
    /// Which set.
    pub place: Place,
    /// Natural logarithm of its p-value.
    pub ln_p_value: f64,
    /// Adjusted within the collection.
    pub adjusted_p_value: f64,
    /// Changed genes in the set.
    pub overlap: usize,
    /// Measured genes in the set.
    pub set_size: usize,
    /// Whether the genes are those that rise.
    pub rising: bool,
}

impl<'a> Collections<'a> {
    /// Groups the sets by collection, in the order the collections first appear.
    pub fn new(gene_sets: &'a [GeneSet], response: &Response) -> Result<Self, EnrichmentError> {
        let mut grouped: Vec<Vec<&GeneSet>> = Vec::new();
        for set in gene_sets {
            match grouped.iter_mut().find(|group| group[0].collection == set.collection) {
                Some(group) => group.push(set),
                None => grouped.push(vec![set]),
            }
        }
        let index = |sets: Vec<&'a GeneSet>| {
            let members = sets.iter().map(|set| set.genes.iter().map(String::as_str));
            Ok(Collection { index: SetIndex::new(response.symbols(), members)?, sets })
        };
        Ok(Self { collections: grouped.into_iter().map(index).collect::<Result<_, EnrichmentError>>()? })
    }

    /// Whether there is no set at all.
    pub fn is_empty(&self) -> bool {
        self.collections.is_empty()
    }

    /// Every set with its place.
    pub fn sets(&self) -> impl Iterator<Item = (Place, &'a GeneSet)> {
        let places = |(c, collection): (usize, &Collection<'a>)| {
            let sets = collection.sets.clone();
            sets.into_iter().enumerate().map(move |(s, set)| ((c, s), set))
        };
        self.collections.iter().enumerate().flat_map(places)
    }

    /// The set at a place.
    pub fn set(&self, (collection, set): Place) -> &'a GeneSet {
        self.collections[collection].sets[set]
    }

    /// How many genes of a set were measured.
    pub fn n_measured(&self, (collection, set): Place) -> usize {
        self.collections[collection].index.members(set).len()
    }

    /// Sets that hold any of the genes, smallest p-value first.
    pub fn enriched(&self, genes: &[u32], response: &Response) -> Vec<EnrichedSet> {
        let mut found = Vec::new();
        for collection in &self.collections {
            found.extend(test(&collection.index, genes).into_iter().map(|result| {
                let set = collection.sets[result.set];
                EnrichedSet {
                    collection: set.collection.clone(),
                    name: set.name.clone(),
                    overlap: result.genes.len(),
                    set_size: result.set_size,
                    p_value: result.p_value,
                    adjusted_p_value: result.adjusted_p_value,
                    odds_ratio: result.odds_ratio,
                    combined_score: result.combined_score,
                    genes: result.genes.iter().map(|&gene| response.symbol(gene).to_owned()).collect(),
                }
            }));
        }
        found.sort_by(by_p_value);
        found
    }

    /// The better of the two directions for every set that holds a changed gene, by place.
    pub fn outcomes(&self, shape: &Shape) -> Vec<SetOutcome> {
        let mut outcomes = Vec::new();
        for (c, collection) in self.collections.iter().enumerate() {
            let mut best: Vec<Option<SetOutcome>> = vec![None; collection.sets.len()];
            for (rising, genes) in [(true, &shape.up), (false, &shape.down)] {
                for result in test(&collection.index, genes) {
                    let outcome = SetOutcome {
                        place: (c, result.set),
                        ln_p_value: result.ln_p_value,
                        adjusted_p_value: result.adjusted_p_value,
                        overlap: result.genes.len(),
                        set_size: result.set_size,
                        rising,
                    };
                    let slot = &mut best[result.set];
                    if slot.is_none_or(|held| outcome.adjusted_p_value < held.adjusted_p_value) {
                        *slot = Some(outcome);
                    }
                }
            }
            outcomes.extend(best.into_iter().flatten());
        }
        outcomes
    }
}

fn test(index: &SetIndex, genes: &[u32]) -> Vec<crate::stats::enrichment::OverRepresentation> {
    index.over_representation(genes).expect("genes of a response are in its universe")
}
