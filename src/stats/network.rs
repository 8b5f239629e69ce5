//! Connectivity: whether genes lie closer together in an interaction network than as many genes with as
//! many partners would by chance.
//!
//! Well-studied genes have more known partners, so a random set is drawn gene by gene among genes with
//! about the same number of partners. Looked at are the interactions among the genes and the largest
//! part of them that hangs together.

use rand::seq::index::sample;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

/// Genes a random partner is drawn among, at least: those nearest in number of partners.
const MIN_PEERS: usize = 20;

/// An undirected network of interactions between genes.
#[derive(Clone, Debug)]
pub struct Network {
    /// Partners of each gene, ascending.
    partners: Vec<Vec<u32>>,
    /// Genes with partners, those with fewest first.
    by_degree: Vec<u32>,
}

/// How genes hang together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connectivity {
    /// Interactions among them.
    pub interactions: usize,
    /// Genes in the largest part that hangs together.
    pub largest_part: usize,
}

/// Genes against random sets.
#[derive(Clone, Debug, PartialEq)]
pub struct ConnectivityTest {
    /// Genes with at least one partner in the network; the others are left out.
    pub n_genes: usize,
    /// What was found.
    pub observed: Connectivity,
    /// Mean number of interactions of the random sets.
    pub mean_interactions: f64,
    /// Share of random sets with fewer interactions, half of those with as many counted.
    pub percentile_interactions: f64,
    /// The same for the largest part.
    pub percentile_largest_part: f64,
    /// Chance of as many interactions or more, the set itself counted among the random ones.
    pub p_value: f64,
}

/// Why connectivity cannot be tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectivityError {
    /// Fewer than two genes in the network.
    #[error("{found} of {asked} genes have an interaction in the network; at least two are needed")]
    TooFewGenes {
        /// With partners.
        found: usize,
        /// Asked for.
        asked: usize,
    },
    /// No random sets.
    #[error("at least one random set is needed")]
    NoDraws,
}

impl Network {
    /// A network of `n_genes` genes. Interactions count once, whichever way and however often they are
    /// given; those of a gene with itself do not count.
    ///
    /// # Panics
    /// If an interaction has a gene that is not below `n_genes`.
    pub fn new(n_genes: usize, interactions: impl IntoIterator<Item = (u32, u32)>) -> Self {
        let mut partners: Vec<Vec<u32>> = vec![Vec::new(); n_genes];
        for (a, b) in interactions.into_iter().filter(|(a, b)| a != b) {
            partners[a as usize].push(b);
            partners[b as usize].push(a);
        }
        for partners in &mut partners {
            partners.sort_unstable();
            partners.dedup();
        }
        let mut by_degree: Vec<u32> = (0..n_genes as u32).filter(|&gene| !partners[gene as usize].is_empty()).collect();
        by_degree.sort_by_key(|&gene| partners[gene as usize].len());
        Self { partners, by_degree }
    }

    /// Number of partners of a gene; 0 for one the network does not have.
    pub fn degree(&self, gene: u32) -> usize {
        self.partners.get(gene as usize).map_or(0, Vec::len)
    }

    /// How genes, each given once, hang together.
    pub fn connectivity(&self, genes: &[u32]) -> Connectivity {
        let mut ascending = genes.to_vec();
        ascending.sort_unstable();
        // Union by halving paths, over positions in the list.
        let mut parent: Vec<usize> = (0..ascending.len()).collect();
        fn root(parent: &mut [usize], mut at: usize) -> usize {
            while parent[at] != at {
                parent[at] = parent[parent[at]];
                at = parent[at];
            }
            at
        }
        let mut interactions = 0;
        for (at, &gene) in ascending.iter().enumerate() {
            let Some(partners) = self.partners.get(gene as usize) else { continue };
            let mut look = |partner: u32, other: usize| {
                if partner < gene {
                    interactions += 1;
                    let (a, b) = (root(&mut parent, at), root(&mut parent, other));
                    parent[a] = b;
                }
            };
            // Through the shorter of the two lists.
            match partners.len() < ascending.len() {
                true => partners.iter().for_each(|partner| {
                    if let Ok(other) = ascending.binary_search(partner) {
                        look(*partner, other);
                    }
                }),
                false => ascending.iter().enumerate().for_each(|(other, partner)| {
                    if partners.binary_search(partner).is_ok() {
                        look(*partner, other);
                    }
                }),
            }
        }
        let mut sizes = vec![0; ascending.len()];
        (0..ascending.len()).for_each(|at| sizes[root(&mut parent, at)] += 1);
        Connectivity { interactions, largest_part: sizes.into_iter().max().unwrap_or(0) }
    }

    /// Holds genes against `draws` random sets. Genes given twice count once.
    pub fn test(&self, genes: &[u32], draws: usize, seed: u64) -> Result<ConnectivityTest, ConnectivityError> {
        let mut held: Vec<u32> = genes.iter().copied().filter(|&gene| self.degree(gene) > 0).collect();
        held.sort_unstable();
        held.dedup();
        if held.len() < 2 {
            return Err(ConnectivityError::TooFewGenes { found: held.len(), asked: genes.len() });
        }
        if draws == 0 {
            return Err(ConnectivityError::NoDraws);
        }
        let observed = self.connectivity(&held);
        let random: Vec<Connectivity> = (0..draws)
            .into_par_iter()
            .map(|draw| {
                let mut rng = ChaCha8Rng::seed_from_u64(seed);
                rng.set_stream(draw as u64);
                self.connectivity(&self.alike(&held, &mut rng))
            })
            .collect();
        let share = |of: fn(&Connectivity) -> usize| {
            let below = random.iter().filter(|draw| of(draw) < of(&observed)).count();
            let equal = random.iter().filter(|draw| of(draw) == of(&observed)).count();
            (below as f64 + equal as f64 / 2.0) / draws as f64
        };
        let at_least = random.iter().filter(|draw| draw.interactions >= observed.interactions).count();
        Ok(ConnectivityTest {
            n_genes: held.len(),
            observed,
            mean_interactions: random.iter().map(|draw| draw.interactions as f64).sum::<f64>() / draws as f64,
            percentile_interactions: share(|c| c.interactions),
            percentile_largest_part: share(|c| c.largest_part),
            p_value: (at_least as f64 + 1.0) / (draws as f64 + 1.0),
        })
    }

    /// As many different genes, each drawn among those nearest in number of partners to one of these.
    fn alike(&self, genes: &[u32], rng: &mut ChaCha8Rng) -> Vec<u32> {
        let n = self.by_degree.len();
        let mut taken = vec![false; n];
        let mut drawn = Vec::with_capacity(genes.len());
        // Those with most partners have fewest peers, so they go first; equal ones in random order, or
        // the same would always get what the others left.
        let mut order: Vec<u32> = genes.to_vec();
        for at in (1..order.len()).rev() {
            order.swap(at, rng.random_range(0..=at));
        }
        order.sort_by_key(|&gene| std::cmp::Reverse(self.degree(gene)));
        for gene in order {
            let degree = self.degree(gene);
            // All genes of this degree, then wider until there are enough that are not taken.
            let mut low = self.by_degree.partition_point(|&other| self.degree(other) < degree);
            let mut high = self.by_degree.partition_point(|&other| self.degree(other) <= degree);
            let free = |low: usize, high: usize| (low..high).filter(|&at| !taken[at]).count();
            let enough = MIN_PEERS.min(n - drawn.len());
            let mut n_free = free(low, high);
            while n_free < enough && (low > 0 || high < n) {
                let step = enough - n_free;
                (low, high) = (low.saturating_sub(step), n.min(high + step));
                n_free = free(low, high);
            }
            let chosen = sample(rng, n_free, 1).index(0);
            let at = (low..high).filter(|&at| !taken[at]).nth(chosen).expect("fewer were counted than there are");
            taken[at] = true;
            drawn.push(self.by_degree[at]);
        }
        drawn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two cliques of five, ten genes in a ring, and one without partners.
    fn network() -> Network {
        let clique = |first: u32| (0..5).flat_map(move |a| (0..a).map(move |b| (first + a, first + b)));
        let ring = (0..10).map(|at| (10 + at, 10 + (at + 1) % 10));
        Network::new(21, clique(0).chain(clique(5)).chain(ring).chain([(1, 0), (3, 3)]))
    }

    #[test]
    fn interactions_and_parts_are_counted() {
        let network = network();
        assert_eq!((network.degree(0), network.degree(10), network.degree(20), network.degree(99)), (4, 2, 0, 0));
        let found = network.connectivity(&[0, 1, 2, 5, 6, 10, 11, 12, 13, 20]);
        assert_eq!(found, Connectivity { interactions: 3 + 1 + 3, largest_part: 4 });
        assert_eq!(network.connectivity(&[]), Connectivity { interactions: 0, largest_part: 0 });
    }

    #[test]
    fn random_sets_have_as_many_partners_where_there_are_enough_to_choose_from() {
        // 40 genes with 3 partners (cubes of 8), 40 with 1 (pairs).
        let cubes =
            (0..5).flat_map(|c| (0..8_u32).flat_map(move |v| [1, 2, 4].map(|bit| (8 * c + v, 8 * c + (v ^ bit)))));
        let pairs = (0..20).map(|pair| (40 + 2 * pair, 41 + 2 * pair));
        let network = Network::new(80, cubes.chain(pairs));
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for _ in 0..20 {
            let mut drawn = network.alike(&[0, 1, 50, 60, 61], &mut rng);
            let mut degrees: Vec<usize> = drawn.iter().map(|&gene| network.degree(gene)).collect();
            degrees.sort_unstable();
            assert_eq!(degrees, [1, 1, 1, 3, 3]);
            drawn.sort_unstable();
            drawn.dedup();
            assert_eq!(drawn.len(), 5);
        }
    }

    #[test]
    fn a_clique_is_closer_than_chance_and_the_seed_decides() {
        let network = network();
        let found = network.test(&[0, 1, 2, 3, 4, 20], 200, 7).unwrap();
        assert_eq!((found.n_genes, found.observed.interactions), (5, 10));
        assert!(found.percentile_interactions > 0.9 && found.p_value < 0.05, "{found:?}");
        assert_eq!(found, network.test(&[4, 3, 2, 1, 0, 0], 200, 7).unwrap());
        assert_ne!(found.mean_interactions, network.test(&[0, 1, 2, 3, 4], 200, 8).unwrap().mean_interactions);
        assert_eq!(network.test(&[0, 20], 9, 1), Err(ConnectivityError::TooFewGenes { found: 1, asked: 2 }));
    }
}
