//! Atlases of any size with the columns and proportions of published sets: seeded, and written a stretch of
//! cells at a time, so that ten million cells take no more memory than a hundred.
//!
//! Counts are drawn gene by gene, common genes more often; the files are laid out as anndata lays them out.

mod file;
mod sets;

use std::path::Path;

use anyhow::Result;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, LogNormal};

pub use sets::Set;

/// What is to be written.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Whose columns and proportions.
    pub set: Set,
    /// Number of cells.
    pub n_cells: usize,
    /// Number of genes.
    pub n_genes: usize,
    /// Median counts per cell.
    pub depth: f64,
    /// Whether it is compressed, as `write_h5ad(compression="gzip")` does.
    pub gzip: bool,
    /// The same seed gives the same file.
    pub seed: u64,
}

/// Something cells differ in: its levels, and how common each is.
pub struct Factor {
    cumulative: Vec<f64>,
}

/// A column of `obs`.
pub enum Column {
    /// A text for each level of a factor, by its position in the design: the different texts, and which
    /// of them each level has.
    Labels { name: &'static str, factor: usize, labels: Vec<String>, codes: Vec<i16> },
    /// Genes with at least one count.
    Genes(&'static str),
    /// Sum of counts.
    Counts(&'static str),
}

/// The factors and columns of a set.
pub struct Design {
    factors: Vec<Factor>,
    columns: Vec<Column>,
}

impl Factor {
    /// Levels as common as their weights say.
    pub fn weighted(weights: impl IntoIterator<Item = f64>) -> Self {
        let cumulative = weights.into_iter().scan(0.0, |sum, weight| {
            *sum += weight;
            Some(*sum)
        });
        Self { cumulative: cumulative.collect() }
    }

    /// So many levels, all as common; the first, the control, as common as `share` of all cells.
    pub fn with_control(n: usize, share: f64) -> Self {
        let rest = (1.0 - share) / (n - 1) as f64;
        Self::weighted((0..n).map(|level| if level == 0 { share } else { rest }))
    }

    fn draw(&self, rng: &mut impl Rng) -> u32 {
        let last = self.cumulative.len() - 1;
        let at = rng.random::<f64>() * self.cumulative[last];
        self.cumulative.partition_point(|&sum| sum <= at).min(last) as u32
    }
}

/// Writes the file.
pub fn write(path: &Path, plan: &Plan) -> Result<()> {
    file::write(path, plan, &plan.set.design())
}

/// Draws the counts of cells: how common genes are is log-normal, and so is the depth.
struct Counts {
    /// Position in the cumulative weights to begin looking from, for each of equal steps.
    guide: Vec<u32>,
    cumulative: Vec<f64>,
    depth: LogNormal<f64>,
    found: Vec<u16>,
}

impl Counts {
    fn new(plan: &Plan) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(plan.seed ^ 0x6765_6e65);
        let weight = LogNormal::new(0.0, 2.0).expect("a standard deviation is not negative");
        let weights: Vec<f64> = weight.sample_iter(&mut rng).take(plan.n_genes).collect();
        let Factor { cumulative } = Factor::weighted(weights);
        let total = cumulative[cumulative.len() - 1];
        let steps = plan.n_genes * 4;
        let from = |step: usize| cumulative.partition_point(|&sum| sum <= total * step as f64 / steps as f64) as u32;
        let guide = (0..steps).map(from).collect();
        let depth = LogNormal::new(plan.depth.ln(), 0.5).expect("a standard deviation is not negative");
        Self { guide, cumulative, depth, found: vec![0; plan.n_genes] }
    }

    /// The counts of one cell: columns ascending, at least one.
    fn draw(&mut self, rng: &mut ChaCha8Rng, columns: &mut Vec<i32>, values: &mut Vec<f32>) {
        let last = self.cumulative.len() - 1;
        let n = self.depth.sample(rng).clamp(1.0, 60_000.0) as usize;
        let first = columns.len();
        for _ in 0..n {
            let at: f64 = rng.random();
            let mut gene = self.guide[(at * self.guide.len() as f64) as usize] as usize;
            let at = at * self.cumulative[last];
            while gene < last && self.cumulative[gene] <= at {
                gene += 1;
            }
            if self.found[gene] == 0 {
                columns.push(gene as i32);
            }
            self.found[gene] += 1;
        }
        columns[first..].sort_unstable();
        for &gene in &columns[first..] {
            values.push(f32::from(std::mem::take(&mut self.found[gene as usize])));
        }
    }
}
