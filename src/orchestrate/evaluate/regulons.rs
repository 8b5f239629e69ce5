//! Transcription factors, judged by whether their targets change together.
//!
//! A gene may rise or fall, so the universe has two entries per measured gene. A factor that is
//! active makes the targets it activates rise and those it represses fall; shut off, the reverse.
//! Either pattern is a set in that universe and is tested for over-representation among the
//! entries that were seen.

use crate::domain::Regulation;
use crate::domain::evaluation::RegulonActivity;
use crate::domain::terms::Direction;
use crate::stats::enrichment::{EnrichmentError, OverRepresentation, SetIndex};

use super::response::{Response, Shape};

/// A transcription factor and its targets.
#[derive(Clone, Debug, PartialEq)]
pub struct Regulon {
    /// Upper-case symbol.
    pub factor: String,
    /// Upper-case symbols with the strength: above 0 activated, below 0 repressed.
    pub targets: Vec<(String, f64)>,
}

impl Regulon {
    /// Groups single regulations by factor, factors in the order they first appear.
    pub fn group(regulations: &[Regulation]) -> Vec<Self> {
        let mut regulons: Vec<Self> = Vec::new();
        let mut position = std::collections::HashMap::new();
        for regulation in regulations {
            let at = *position.entry(regulation.source.as_str()).or_insert_with(|| {
                regulons.push(Self { factor: regulation.source.clone(), targets: Vec::new() });
                regulons.len() - 1
            });
            regulons[at].targets.push((regulation.target.clone(), regulation.weight));
        }
        regulons
    }
}

/// Fewest measured targets for a factor to be judged, as decoupler's `tmin`.
pub const MIN_TARGETS: usize = 5;

/// Factors with enough measured targets, ready to be asked about a response.
#[derive(Clone, Debug)]
pub struct RegulonIndex<'a> {
    factors: Vec<(&'a str, usize)>,
    /// Set 2i is factor i active, set 2i + 1 is factor i shut off.
    index: SetIndex,
}

/// What a response says of one factor in one direction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FactorOutcome {
    /// Targets that changed that way.
    pub overlap: usize,
    /// As many would by chance.
    pub expected: f64,
    /// By Benjamini and Hochberg over all factors and both directions.
    pub adjusted_p_value: f64,
}

impl<'a> RegulonIndex<'a> {
    /// Cuts the regulons to the measured genes.
    pub fn new(regulons: &'a [Regulon], response: &Response) -> Result<Self, EnrichmentError> {
        let (mut factors, mut sets) = (Vec::new(), Vec::new());
        for regulon in regulons {
            let measured = regulon.targets.iter().filter_map(|(gene, weight)| Some((response.gene(gene)?, *weight)));
            let signed: Vec<(u32, bool)> = measured.filter(|(_, w)| *w != 0.0).map(|(g, w)| (g, w > 0.0)).collect();
            if signed.len() >= MIN_TARGETS {
                factors.push((regulon.factor.as_str(), signed.len()));
                sets.push(signed.iter().map(|&(gene, rises)| entry(gene, rises)).collect());
                sets.push(signed.iter().map(|&(gene, rises)| entry(gene, !rises)).collect());
            }
        }
        Ok(Self { factors, index: SetIndex::from_members(2 * response.symbols().len(), sets)? })
    }

    /// The number of a factor, if it can be judged.
    pub fn factor(&self, symbol: &str) -> Option<usize> {
        self.factors.iter().position(|(factor, _)| *factor == symbol)
    }

    /// The symbol of a factor.
    pub fn name(&self, factor: usize) -> &'a str {
        self.factors[factor].0
    }

    /// Whether no factor can be judged.
    pub fn is_empty(&self) -> bool {
        self.factors.is_empty()
    }

    /// What a response says of chosen factors as active and as shut off.
    pub fn outcomes(&self, shape: &Shape, factors: &[usize]) -> Vec<[FactorOutcome; 2]> {
        let tests = self.test(shape);
        let n_changed = (shape.up.len() + shape.down.len()) as f64;
        let outcome = |set: usize| {
            let expected = n_changed * self.index.members(set).len() as f64 / self.index.n_genes() as f64;
            match tests.binary_search_by_key(&set, |test| test.set) {
                Ok(at) => FactorOutcome {
                    overlap: tests[at].genes.len(),
                    expected,
                    adjusted_p_value: tests[at].adjusted_p_value,
                },
                Err(_) => FactorOutcome { overlap: 0, expected, adjusted_p_value: 1.0 },
            }
        };
        factors.iter().map(|&factor| [outcome(2 * factor), outcome(2 * factor + 1)]).collect()
    }

    /// Every factor with a changed target, in its likelier direction, smallest p-value first.
    pub fn activities(&self, response: &Response) -> Vec<RegulonActivity> {
        let tests = self.test(response.shape());
        let mut activities: Vec<RegulonActivity> = tests
            .chunk_by(|a, b| a.set / 2 == b.set / 2)
            .map(|directions| {
                let likelier = |a: &&OverRepresentation, b: &&OverRepresentation| {
                    a.ln_p_value.total_cmp(&b.ln_p_value).then(a.set.cmp(&b.set))
                };
                let test = directions.iter().min_by(likelier).expect("a chunk is never empty");
                let (factor, n_targets) = self.factors[test.set / 2];
                RegulonActivity {
                    factor: factor.to_owned(),
                    direction: if test.set % 2 == 0 { Direction::Up } else { Direction::Down },
                    overlap: test.genes.len(),
                    n_targets,
                    p_value: test.p_value,
                    adjusted_p_value: test.adjusted_p_value,
                    genes: test.genes.iter().map(|&entry| response.symbol(entry / 2).to_owned()).collect(),
                }
            })
            .collect();
        activities.sort_by(|a, b| a.p_value.total_cmp(&b.p_value).then_with(|| a.factor.cmp(&b.factor)));
        activities
    }

    fn test(&self, shape: &Shape) -> Vec<OverRepresentation> {
        let rising = shape.up.iter().map(|&gene| entry(gene, true));
        let falling = shape.down.iter().map(|&gene| entry(gene, false));
        let seen: Vec<u32> = rising.chain(falling).collect();
        self.index.over_representation(&seen).expect("genes of a response are in its universe")
    }
}

/// A gene with a direction, as a number.
fn entry(gene: u32, rises: bool) -> u32 {
    2 * gene + u32::from(!rises)
}
