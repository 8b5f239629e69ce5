//! Over-representation: which gene sets hold more of some chosen genes than chance would put there.
//!
//! The universe is the list of genes that were measured; sets are cut down to it first. A set that
//! holds none of the chosen genes is not tested and not counted in the correction for many tests.
//! p-values, odds ratios and combined scores are those of GSEApy's `enrich` with a list of genes
//! as background.

use std::collections::HashMap;

use super::adjust::{Correction, adjust};
use super::hypergeometric::upper_tail;

/// Gene sets cut down to a universe, ready to be asked about many lists of genes.
#[derive(Clone, Debug)]
pub struct SetIndex {
    n_genes: usize,
    members: Vec<Vec<u32>>,
    sets_of_gene: Vec<Vec<u32>>,
}

/// Why sets cannot be tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnrichmentError {
    /// Without measured genes nothing can be over-represented among them.
    #[error("no genes were measured, so there is no background to hold gene sets against")]
    EmptyUniverse,
    /// A gene that the universe does not have.
    #[error("gene {gene} (counted from 0) is not among the {n_genes} measured genes")]
    UnknownGene {
        /// The gene.
        gene: u32,
        /// Size of the universe.
        n_genes: usize,
    },
}

/// How one set fared.
#[derive(Clone, Debug, PartialEq)]
pub struct OverRepresentation {
    /// Which set, in the order they were given.
    pub set: usize,
    /// Genes of the set that were measured.
    pub set_size: usize,
    /// The chosen genes in the set, in the order they were chosen.
    pub genes: Vec<u32>,
    /// Hypergeometric P(as many or more).
    pub p_value: f64,
    /// Natural logarithm of the p-value, finite where that is too small for an `f64`.
    pub ln_p_value: f64,
    /// By Benjamini and Hochberg, over the sets with at least one of the chosen genes.
    pub adjusted_p_value: f64,
    /// Of the 2 × 2 table, 0.5 added to each cell.
    pub odds_ratio: f64,
    /// `-ln(p) × odds ratio`, as Enrichr ranks.
    pub combined_score: f64,
}

impl SetIndex {
    /// Builds the index. `universe` lists the measured genes, each once; other members of the sets
    /// are left out, repeated ones count once.
    pub fn new<'a, S, M>(universe: &'a [S], sets: impl IntoIterator<Item = M>) -> Result<Self, EnrichmentError>
    where
        S: AsRef<str>,
        M: IntoIterator<Item = &'a str>,
    {
        let position: HashMap<&str, u32> = universe.iter().enumerate().map(|(i, g)| (g.as_ref(), i as u32)).collect();
        let sets = sets.into_iter().map(|set| set.into_iter().filter_map(|gene| position.get(gene).copied()).collect());
        Self::from_members(universe.len(), sets)
    }

    /// Builds the index from sets that already are positions in a universe of `n_genes` genes.
    pub fn from_members(n_genes: usize, sets: impl IntoIterator<Item = Vec<u32>>) -> Result<Self, EnrichmentError> {
        if n_genes == 0 {
            return Err(EnrichmentError::EmptyUniverse);
        }
        let mut members = Vec::new();
        let mut sets_of_gene = vec![Vec::new(); n_genes];
        for (set, mut genes) in sets.into_iter().enumerate() {
            genes.sort_unstable();
            genes.dedup();
            for &gene in &genes {
                let sets = sets_of_gene.get_mut(gene as usize).ok_or(EnrichmentError::UnknownGene { gene, n_genes })?;
                sets.push(set as u32);
            }
            members.push(genes);
        }
        Ok(Self { n_genes, members, sets_of_gene })
    }

    /// Number of genes in the universe.
    pub fn n_genes(&self) -> usize {
        self.n_genes
    }

    /// The measured genes of a set, ascending.
    ///
    /// # Panics
    /// If there is no such set.
    pub fn members(&self, set: usize) -> &[u32] {
        &self.members[set]
    }

    /// Tests every set that holds at least one of the chosen genes, in the order of the sets.
    /// Repeated genes count once.
    pub fn over_representation(&self, chosen: &[u32]) -> Result<Vec<OverRepresentation>, EnrichmentError> {
        let mut seen = vec![false; self.n_genes];
        let mut hits: Vec<Vec<u32>> = vec![Vec::new(); self.members.len()];
        let mut n_chosen = 0;
        for &gene in chosen {
            let unknown = EnrichmentError::UnknownGene { gene, n_genes: self.n_genes };
            let seen = seen.get_mut(gene as usize).ok_or(unknown)?;
            if !std::mem::replace(seen, true) {
                n_chosen += 1;
                for &set in &self.sets_of_gene[gene as usize] {
                    hits[set as usize].push(gene);
                }
            }
        }
        let mut found: Vec<OverRepresentation> = hits
            .into_iter()
            .enumerate()
            .filter(|(_, genes)| !genes.is_empty())
            .map(|(set, genes)| self.test(set, genes, n_chosen))
            .collect();
        let p_values: Vec<f64> = found.iter().map(|set| set.p_value).collect();
        let adjusted = adjust(&p_values, Correction::BenjaminiHochberg).expect("a hypergeometric tail is in 0..=1");
        found.iter_mut().zip(adjusted).for_each(|(set, p)| set.adjusted_p_value = p);
        Ok(found)
    }

    fn test(&self, set: usize, genes: Vec<u32>, n_chosen: usize) -> OverRepresentation {
        let set_size = self.members[set].len();
        let tail = upper_tail(genes.len() as u64, self.n_genes as u64, set_size as u64, n_chosen as u64);
        let [all, size, chosen, overlap] = [self.n_genes, set_size, n_chosen, genes.len()].map(|n| n as f64);
        let odds_ratio = ((overlap + 0.5) * (all - size - chosen + overlap + 0.5))
            / ((size - overlap + 0.5) * (chosen - overlap + 0.5));
        OverRepresentation {
            set,
            set_size,
            genes,
            p_value: tail.p,
            ln_p_value: tail.ln_p,
            adjusted_p_value: tail.p,
            odds_ratio,
            combined_score: -tail.ln_p * odds_ratio,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index() -> SetIndex {
        let universe = ["A", "B", "C", "D", "E", "F", "G", "H", "I", "J"];
        SetIndex::new(&universe, [vec!["A", "B", "C", "D", "A", "not measured"], vec!["J"], vec!["I", "J", "A"]])
            .unwrap()
    }

    #[test]
    fn sets_are_cut_to_the_universe_and_untouched_ones_left_out() {
        let found = index().over_representation(&[1, 0, 4, 0]).unwrap();
        assert_eq!(found.iter().map(|f| f.set).collect::<Vec<_>>(), [0, 2]);
        assert_eq!((found[0].set_size, &found[0].genes[..]), (4, &[1, 0][..]));
        // 3 chosen of 10, 4 in the set: P(X ≥ 2) = 1/3; 3 in the set: P(X ≥ 1) = 1 - C(7,3)/C(10,3).
        assert!((found[0].p_value - 1.0 / 3.0).abs() < 1e-15);
        assert!((found[1].p_value - (1.0 - 35.0 / 120.0)).abs() < 1e-15);
        assert!((found[0].adjusted_p_value - 2.0 / 3.0).abs() < 1e-15);
        assert!((found[0].odds_ratio - 2.5 * 5.5 / (2.5 * 1.5)).abs() < 1e-15);
    }

    #[test]
    fn nothing_chosen_finds_nothing_and_nothing_measured_is_an_error() {
        assert_eq!(index().over_representation(&[]).unwrap(), []);
        assert_eq!(index().over_representation(&[10]), Err(EnrichmentError::UnknownGene { gene: 10, n_genes: 10 }));
        let empty: [&str; 0] = [];
        assert_eq!(SetIndex::new(&empty, [vec!["A"]]).unwrap_err(), EnrichmentError::EmptyUniverse);
        assert!(SetIndex::from_members(2, [vec![5]]).is_err());
    }
}
