//! The enrichment score of a set: how far the running share of its genes runs ahead of the others'.

/// What each gene of a ranking weighs.
#[derive(Clone, Debug)]
pub(super) struct Weights {
    /// Whole numbers, so that sums of them are exact in whatever order they are formed.
    values: Vec<f64>,
    total: f64,
}

/// The score of a set and where it is reached.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// Enrichment score, -1 to 1; 0 where the walk goes as far down as up.
    pub es: f64,
    /// Which of the set's genes, counted from 0 along the ranking, it is reached at: the last of the
    /// leading edge for a positive score, the first for a negative one.
    peak: usize,
}

/// The score of a set in a ranking whose values fall. `genes` are ascending positions, each once.
///
/// # Panics
/// If a gene is not in the ranking, or the set has all of its genes or none.
pub fn score(values: &[f64], genes: &[u32], weight: f64) -> Score {
    Weights::new(values, weight).score(genes)
}

impl Score {
    /// The genes that make the score, strongest first.
    pub fn leading_edge(&self, genes: &[u32]) -> Vec<u32> {
        match self.es {
            es if es > 0.0 => genes[..=self.peak].to_vec(),
            es if es < 0.0 => genes[self.peak..].iter().rev().copied().collect(),
            _ => Vec::new(),
        }
    }
}

impl Weights {
    /// The absolute values to this power, as multiples of a fraction (2⁻⁵² or so) of their sum.
    pub fn new(values: &[f64], weight: f64) -> Self {
        let raw: Vec<f64> = values.iter().map(|value| value.abs().powf(weight)).collect();
        let sum: f64 = raw.iter().sum();
        let scale = if sum > 0.0 { 2.0_f64.powi(51 - sum.log2().ceil() as i32) } else { 0.0 };
        let values: Vec<f64> = raw.into_iter().map(|value| (value * scale).round()).collect();
        Self { total: values.iter().sum(), values }
    }

    /// The same seen from the other end.
    pub fn reversed(&self) -> Self {
        Self { values: self.values.iter().rev().copied().collect(), total: self.total }
    }

    /// Number of genes.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Sum of all.
    pub fn total(&self) -> f64 {
        self.total
    }

    /// The weight of a gene.
    #[inline]
    pub fn of(&self, gene: u32) -> f64 {
        self.values[gene as usize]
    }

    /// The score of a set; `genes` ascending.
    pub fn score(&self, genes: &[u32]) -> Score {
        let all: f64 = genes.iter().map(|&gene| self.of(gene)).sum();
        let per_miss = 1.0 / (self.len() - genes.len()) as f64;
        let k = genes.len() as f64;
        let (mut highest, mut lowest) = ((f64::NEG_INFINITY, 0), (f64::INFINITY, 0));
        let mut held = 0.0;
        for (at, &gene) in genes.iter().enumerate() {
            let misses = (gene as usize - at) as f64 * per_miss;
            // Genes that weigh nothing count alike.
            let share = |held: f64, n: usize| if all > 0.0 { held / all } else { n as f64 / k };
            let bottom = share(held, at) - misses;
            held += self.of(gene);
            let top = share(held, at + 1) - misses;
            if top > highest.0 {
                highest = (top, at);
            }
            if bottom < lowest.0 {
                lowest = (bottom, at);
            }
        }
        match (highest, lowest) {
            ((top, _), (bottom, _)) if top == -bottom => Score { es: 0.0, peak: 0 },
            ((top, peak), (bottom, _)) if top > -bottom => Score { es: top, peak },
            (_, (es, peak)) => Score { es, peak },
        }
    }

    /// The largest value of the walk, and the score, of a set whose weights sum to `all`.
    pub fn top_and_score(&self, genes: &[u32], all: f64) -> (f64, f64) {
        if all == 0.0 {
            let score = self.score(genes).es;
            return (score.max(0.0), score);
        }
        let per_miss = 1.0 / (self.len() - genes.len()) as f64;
        let (mut highest, mut lowest, mut held) = (0.0_f64, 0.0_f64, 0.0);
        for (at, &gene) in genes.iter().enumerate() {
            let misses = (gene as usize - at) as f64 * per_miss;
            lowest = lowest.min(held / all - misses);
            held += self.of(gene);
            highest = highest.max(held / all - misses);
        }
        let score = match highest {
            top if top == -lowest => 0.0,
            top if top > -lowest => top,
            _ => lowest,
        };
        (highest, score)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_by_hand() {
        let values = [4.0, 3.0, 1.0, 0.5, -2.0, -6.0];
        // Genes 0 and 2: up to 4/5, down by 1/4, up to 1 - 1/4.
        let found = score(&values, &[0, 2], 1.0);
        assert!((found.es - 0.8).abs() < 1e-12);
        assert_eq!(found.leading_edge(&[0, 2]), [0]);
        // Genes 4 and 5: all others first.
        let found = score(&values, &[4, 5], 1.0);
        assert!((found.es + 1.0).abs() < 1e-12);
        assert_eq!(found.leading_edge(&[4, 5]), [5, 4]);
        // Without weights each gene counts 1/2.
        assert!((score(&values, &[0, 2], 0.0).es - 0.75).abs() < 1e-12);
    }

    #[test]
    fn a_walk_as_far_up_as_down_has_no_score() {
        let found = score(&[1.0, 1.0, 1.0, 1.0], &[0, 3], 1.0);
        assert_eq!(found.es, 0.0);
        assert!(found.leading_edge(&[0, 3]).is_empty());
    }

    #[test]
    fn both_ways_to_score_agree() {
        let weights = Weights::new(&[9.0, 4.0, 4.0, 2.0, 0.0, -0.5, -1.0, -7.0], 1.0);
        for genes in [[0, 1, 2], [0, 4, 7], [3, 6, 7], [2, 4, 5]] {
            let all = genes.iter().map(|&gene| weights.of(gene)).sum();
            let (top, es) = weights.top_and_score(&genes, all);
            assert_eq!(es, weights.score(&genes).es);
            assert!(top >= es);
        }
    }
}
