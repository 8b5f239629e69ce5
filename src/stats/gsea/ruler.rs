//! The adaptive multilevel scheme: how unlikely a score is among random sets of one size, far below
//! what can be counted (Korotkevich et al. 2021).
//!
//! A sample of random sets is halved again and again: the lower half, up to the median, is written
//! down and replaced by copies of the upper half, which then wander, gene by gene, through the sets
//! that score above that median. Each halving divides the probability by about two. What has been
//! written down is a ruler on which the probability of any score up to its end is read off.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::score::Weights;
use crate::stats::polygamma::digamma;

/// Part of a set's genes that are offered a change in one turn.
const SHARE_PER_TURN: f64 = 0.1;

/// Turns without any change of any set after which no more are waited for.
const MAX_IDLE_TURNS: usize = 100;

/// Scores this close count as the same.
const SAME: f64 = 1e-10;

/// Scores of random sets of one size, the probability of each known.
#[derive(Clone, Debug)]
pub struct Ruler {
    sample_size: usize,
    /// Ascending: the largest value of the walk, positive scores only.
    marks: Vec<f64>,
    /// For each mark, how many of the sets above it in the sample have a positive score: the others
    /// go further down than up.
    positive_above: Vec<usize>,
}

impl Ruler {
    /// A ruler for sets of `size` genes that reaches `furthest`, or the score whose probability is
    /// `eps`, whichever comes first. `seed` is a seed and the number of a stream.
    pub fn new(
        weights: &Weights,
        size: usize,
        sample_size: usize,
        furthest: f64,
        eps: f64,
        (seed, stream): (u64, u64),
    ) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        // Streams below 2³² belong to permutations.
        rng.set_stream((1 << 32) + stream);
        let mut ruler = Self { sample_size, marks: Vec::new(), positive_above: Vec::new() };
        let mut sets: Vec<Vec<u32>> = (0..sample_size).map(|_| random_set(weights.len(), size, &mut rng)).collect();
        sets = ruler.halve(weights, sets);
        let n_chunks = (size as f64).sqrt().max(1.0) as usize;
        let mut walkers = Walkers::new(weights, size, n_chunks);
        while ruler.end() <= furthest - SAME {
            let bound = ruler.end();
            sets = walkers.wander(sets, bound, &mut rng);
            sets = ruler.halve(weights, sets);
            // Many sets share the largest score there is.
            if ruler.end() <= bound {
                break;
            }
            if eps > 0.0 && ruler.n_levels() as f64 > -(0.5 * eps).log2() {
                break;
            }
        }
        ruler
    }

    /// Probability that a random set scores at least this, and whether that can be relied on: scores
    /// past the end, and those that mostly belong to sets which score below 0, cannot.
    pub fn p_value(&self, es: f64) -> (f64, bool) {
        let past_end = es > self.end() + SAME;
        let at = match es >= self.end() {
            true => self.marks.len() - 1,
            false => self.marks.partition_point(|&mark| mark < es),
        };
        let n = self.sample_size as f64;
        let within = at % self.half();
        let levels = (at / self.half()) as f64;
        let left = n - within as f64;
        let ln_top = levels * ln_mean(self.half() as f64, n) + ln_mean(left + 1.0, n);
        let ln_positive = ln_mean(self.positive_above[at] as f64 + 1.0, left);
        ((ln_top + ln_positive).exp().clamp(0.0, 1.0), !past_end && ln_positive.exp() >= 0.5)
    }

    /// Marks down the lower half up to the median; gives the upper half twice and the median once.
    fn halve(&mut self, weights: &Weights, sets: Vec<Vec<u32>>) -> Vec<Vec<u32>> {
        let scores: Vec<(f64, f64)> = sets
            .iter()
            .map(|genes| weights.top_and_score(genes, genes.iter().map(|&gene| weights.of(gene)).sum()))
            .collect();
        let mut order: Vec<usize> = (0..sets.len()).collect();
        order.sort_by(|&a, &b| scores[a].0.total_cmp(&scores[b].0));
        let mut positive = scores.iter().filter(|(_, score)| *score > 0.0).count();
        for &set in &order[..self.half()] {
            positive -= usize::from(scores[set].1 > 0.0);
            self.marks.push(scores[set].0);
            self.positive_above.push(positive);
        }
        let upper = order[self.half()..].iter().flat_map(|&set| [set, set]);
        upper.chain([order[self.half() - 1]]).map(|set| sets[set].clone()).collect()
    }

    fn half(&self) -> usize {
        self.sample_size.div_ceil(2)
    }

    fn n_levels(&self) -> usize {
        self.marks.len() / self.half()
    }

    fn end(&self) -> f64 {
        self.marks.last().copied().unwrap_or(f64::NEG_INFINITY)
    }
}

/// Mean logarithm of a beta distribution: what the `a`th of `n` uniform numbers is expected to be.
fn ln_mean(a: f64, n: f64) -> f64 {
    digamma(a) - digamma(n + 1.0)
}

/// A random set, ascending (Floyd's algorithm).
fn random_set(n_genes: usize, size: usize, rng: &mut ChaCha8Rng) -> Vec<u32> {
    let mut genes: Vec<u32> = Vec::with_capacity(size);
    for last in n_genes - size..n_genes {
        let (gene, _) = two_below(last + 1, 1, rng);
        match genes.binary_search(&gene) {
            Ok(_) => genes.push(last as u32),
            Err(place) => genes.insert(place, gene),
        }
    }
    genes
}

/// Two whole numbers, each below its limit, from one draw. Biased by less than a millionth for limits
/// of thousands, which is far below what a sample of sets can tell.
fn two_below(first: usize, second: usize, rng: &mut ChaCha8Rng) -> (u32, u32) {
    let bits = rng.next_u64();
    let below = |bits: u32, limit: usize| ((u64::from(bits) * limit as u64) >> 32) as u32;
    (below(bits as u32, first), below((bits >> 32) as u32, second))
}

/// Sets on their way through those that score above a bound.
///
/// Whether a set still scores above it after a change is mostly seen from the one gene at which it last
/// did. If not, the walk is gone through in chunks of genes, each skipped if its weight, all at its
/// beginning, would not lift the walk above the bound.
struct Walkers<'a> {
    weights: &'a Weights,
    size: usize,
    per_miss: f64,
    /// First gene after each chunk.
    ends: Vec<u32>,
    chunk_of: Vec<u16>,
}

/// One set.
struct Walker {
    /// Its genes, ascending.
    genes: Vec<u32>,
    /// Where each chunk begins among the genes; one more than there are chunks.
    starts: Vec<usize>,
    /// What the genes of each chunk weigh.
    sums: Vec<f64>,
    total: f64,
    witness: Option<Witness>,
}

/// A gene of a set at which its walk is above the bound.
#[derive(Clone, Copy)]
struct Witness {
    gene: u32,
    /// Genes before it that are not in the set.
    misses: f64,
    /// Weight of the set's genes up to it.
    held: f64,
}

impl<'a> Walkers<'a> {
    fn new(weights: &'a Weights, size: usize, n_chunks: usize) -> Self {
        let per_miss = 1.0 / (weights.len() - size) as f64;
        Self { weights, size, per_miss, ends: vec![weights.len() as u32; n_chunks], chunk_of: vec![0; weights.len()] }
    }

    /// Lets sets wander until each gene has been changed about once.
    fn wander(&mut self, sets: Vec<Vec<u32>>, bound: f64, rng: &mut ChaCha8Rng) -> Vec<Vec<u32>> {
        self.divide(&sets);
        let enough = sets.len() * self.size;
        let per_turn = ((self.size as f64 * SHARE_PER_TURN) as usize).max(1);
        let mut walkers: Vec<Walker> = sets.into_iter().map(|genes| self.walker(genes)).collect();
        let (mut moves, mut idle) = (0, 0);
        while moves < enough {
            let before = moves;
            for walker in &mut walkers {
                for _ in 0..per_turn {
                    moves += usize::from(self.offer(walker, bound, rng));
                }
            }
            // Every set sits where no change is possible.
            idle = if moves == before { idle + 1 } else { 0 };
            if idle > MAX_IDLE_TURNS {
                break;
            }
        }
        walkers.into_iter().map(|walker| walker.genes).collect()
    }

    /// Chunks with about as many genes of most sets: each ends at the median of where it would.
    fn divide(&mut self, sets: &[Vec<u32>]) {
        let n_chunks = self.ends.len();
        let mut place = 0;
        let mut last = 0;
        for chunk in 0..n_chunks - 1 {
            place += (self.size + chunk) / n_chunks;
            let mut genes: Vec<u32> = sets.iter().map(|genes| genes[place]).collect();
            let middle = genes.len() / 2;
            let end = (*genes.select_nth_unstable(middle).1).max(last);
            self.ends[chunk] = end;
            self.chunk_of[last as usize..end as usize].fill(chunk as u16);
            last = end;
        }
        self.chunk_of[last as usize..].fill(n_chunks as u16 - 1);
    }

    fn walker(&self, genes: Vec<u32>) -> Walker {
        let mut starts: Vec<usize> = vec![0];
        starts.extend(self.ends.iter().map(|&end| genes.partition_point(|&gene| gene < end)));
        let sum = |chunk: &[usize]| genes[chunk[0]..chunk[1]].iter().map(|&gene| self.weights.of(gene)).sum();
        let sums: Vec<f64> = starts.windows(2).map(sum).collect();
        Walker { total: sums.iter().sum(), genes, starts, sums, witness: None }
    }

    /// Offers a set the change of one of its genes for another; whether it was taken.
    fn offer(&self, walker: &mut Walker, bound: f64, rng: &mut ChaCha8Rng) -> bool {
        let (new, leaving) = two_below(self.weights.len(), self.size, rng);
        let leaving = leaving as usize;
        let old = walker.genes[leaving];
        let chunk = usize::from(self.chunk_of[new as usize]);
        let (start, end) = (walker.starts[chunk], walker.starts[chunk + 1]);
        let place = start + walker.genes[start..end].partition_point(|&gene| gene < new);
        if place < end && walker.genes[place] == new {
            return new == old;
        }
        let old_chunk = usize::from(self.chunk_of[old as usize]);
        self.exchange(walker, (leaving, old, old_chunk), (place, new, chunk));
        if walker.witness.is_some_and(|witness| self.is_above(walker, witness, bound)) {
            return true;
        }
        if let Some(witness) = self.search(walker, bound) {
            walker.witness = Some(witness);
            return true;
        }
        // Back: the old gene takes its old place, counted without the new one.
        let at = if place > leaving { place - 1 } else { place };
        let back = if at < leaving { leaving + 1 } else { leaving };
        self.exchange(walker, (at, new, chunk), (back, old, old_chunk));
        false
    }

    /// Takes out the gene at one place and puts another in before a second place.
    fn exchange(&self, walker: &mut Walker, out: (usize, u32, usize), into: (usize, u32, usize)) {
        let (leaving, old, old_chunk) = out;
        let (place, new, chunk) = into;
        match place > leaving {
            true => {
                walker.genes.copy_within(leaving + 1..place, leaving);
                walker.genes[place - 1] = new;
            }
            false => {
                walker.genes.copy_within(place..leaving, place + 1);
                walker.genes[place] = new;
            }
        }
        match chunk > old_chunk {
            true => walker.starts[old_chunk + 1..=chunk].iter_mut().for_each(|start| *start -= 1),
            false => walker.starts[chunk + 1..=old_chunk].iter_mut().for_each(|start| *start += 1),
        }
        let (gone, come) = (self.weights.of(old), self.weights.of(new));
        walker.sums[old_chunk] -= gone;
        walker.sums[chunk] += come;
        walker.total += come - gone;
        walker.witness = walker.witness.filter(|witness| witness.gene != old).map(|mut witness| {
            if old < witness.gene {
                witness.misses += 1.0;
                witness.held -= gone;
            }
            if new < witness.gene {
                witness.misses -= 1.0;
                witness.held += come;
            }
            witness
        });
    }

    fn is_above(&self, walker: &Walker, witness: Witness, bound: f64) -> bool {
        witness.held / walker.total - witness.misses * self.per_miss > bound
    }

    /// A gene at which the walk is above the bound.
    fn search(&self, walker: &Walker, bound: f64) -> Option<Witness> {
        let per_weight = 1.0 / walker.total;
        let mut held = 0.0;
        let mut begin = 0;
        for (chunk, &end) in self.ends.iter().enumerate() {
            let first = walker.starts[chunk];
            // Genes before the chunk less those of the set among them.
            let misses = f64::from(begin) - first as f64;
            if (held + walker.sums[chunk]) * per_weight - misses * self.per_miss > bound {
                let mut inside = held;
                for (at, &gene) in walker.genes[first..walker.starts[chunk + 1]].iter().enumerate() {
                    inside += self.weights.of(gene);
                    let misses = f64::from(gene) - (first + at) as f64;
                    let witness = Witness { gene, misses, held: inside };
                    if self.is_above(walker, witness, bound) {
                        return Some(witness);
                    }
                }
            }
            held += walker.sums[chunk];
            begin = end;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::gsea::multilevel_error;

    /// fgsea's C++ core on 3000 genes that weigh 1, 2, …, 3000 in the order of the ranking, with samples
    /// of 101 sets: `fgseaMultilevelCpp(ES, 1:3000, size, 101, 42, 0, FALSE)`. Both sides are estimates.
    #[test]
    fn probabilities_are_those_of_fgsea_within_their_errors() {
        let cases = [
            (25, 0.3, 2.338_016_468_654_444_4e-4),
            (25, 0.5, 3.199_916_481_609_404e-8),
            (25, 0.7, 9.242_423_045_671_569e-14),
            (25, -0.4, 0.130_628_742_545_255_26),
            (25, -0.6, 4.542_130_817_459_385e-5),
            (100, 0.3, 3.036_391_896_681_87e-15),
            (100, -0.4, 9.861_439_365_164_684e-4),
            (100, -0.6, 7.077_104_574_012_683e-16),
        ];
        let values: Vec<f64> = (1..=3000).map(f64::from).collect();
        let forward = Weights::new(&values, 1.0);
        let backward = forward.reversed();
        for (size, es, expected) in cases {
            let weights = if es > 0.0 { &forward } else { &backward };
            let ruler = Ruler::new(weights, size, 101, f64::abs(es), 0.0, (42, 0));
            let (found, reliable) = ruler.p_value(f64::abs(es));
            let error = multilevel_error(expected, 101) * std::f64::consts::SQRT_2;
            let distance = (found / expected).log2().abs() / error;
            assert!(
                reliable && distance < 4.0,
                "size {size}, score {es}: {found:e}, fgsea {expected:e}, {distance:.1}"
            );
        }
    }
}
