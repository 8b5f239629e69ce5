//! The model: from counts of a window of cells to their embeddings, and from those to what is
//! predicted.
//!
//! Three names mislead and are kept because checkpoints use them: `cell_attn` attends between the
//! gene tokens *inside one cell*, `gene_attn` between the *cells of a window*, and their norms
//! follow them.
//!
//! Symbols: G genes, H tokens per cell, T token width, D = H·T, C cells in a window.
//!
//! Where the arithmetic happens is decided once, when a model is loaded; this file alone knows.

use std::ops::Range;

use candle_core::Device;
use rayon::prelude::*;

use super::checkpoint::{Checkpoint, CheckpointError, Kind};
use super::config::ModelConfig;
use super::{cpu, tensors};
use crate::domain::Csr;

/// Why the network could not be built or run.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// Reading the parameters.
    #[error("{0}")]
    Checkpoint(#[from] CheckpointError),
    /// The tensor library, out of memory for example.
    #[error("the model could not be computed: {0}")]
    Tensor(#[from] candle_core::Error),
    /// Lower precision on a processor that has no arithmetic for it.
    #[error("this processor cannot multiply bf16 numbers; use f32")]
    NoBf16,
    /// A result that is not a number, from damaged weights.
    #[error("the model computed {what} that are not finite numbers; its weights may be damaged")]
    NotFinite {
        /// What they would have been.
        what: &'static str,
    },
}

/// A STACK network, ready to run.
#[derive(Debug)]
pub struct Model {
    config: ModelConfig,
    kind: Kind,
    network: Network,
}

/// The parameters, where they are computed with.
#[derive(Debug)]
enum Network {
    Cpu(Box<cpu::Network>),
    Tensors(tensors::Network),
}

/// How exactly the large products are computed. All else is `f32` in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// As the reference.
    #[default]
    F32,
    /// Operands rounded to 8 bits, sums in `f32`: errors of a percent or so, in much less time.
    Bf16,
}

/// Added to the variance in every layer norm.
pub(super) const LAYER_NORM_EPSILON: f32 = 1e-5;

/// Where a model computes.
#[derive(Clone, Debug)]
pub enum Compute {
    /// On the cores of the processor.
    Cpu(Precision),
    /// There too, in vectors of `f32` alone, as on processors without matrix tiles.
    Vectors,
    /// In tensors on a device: a GPU, or the CPU to compare with.
    Tensors(Device),
}

impl Default for Compute {
    fn default() -> Self {
        Self::Cpu(Precision::F32)
    }
}

/// A part of a layer, with its residual and norm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    /// Attention between the gene tokens of a cell.
    WithinCells,
    /// Attention between the cells of the window.
    BetweenCells,
    /// The token MLP; what comes out is the layer's output.
    TokenMlp,
}

/// Is shown layer, block and the states after it, `[C, D]`.
pub type See<'a> = dyn FnMut(usize, Block, &[f32]) + 'a;

/// What the network makes of cells, D numbers each, cell by cell: tokens before the layers,
/// embeddings after them.
#[derive(Clone, Debug, PartialEq)]
pub struct States {
    values: Vec<f32>,
    width: usize,
}

impl States {
    /// From D = `width` numbers per cell.
    ///
    /// # Panics
    /// If the last cell is short.
    pub fn new(values: Vec<f32>, width: usize) -> Self {
        assert_eq!(values.len() % width, 0, "whole cells");
        Self { values, width }
    }

    /// Number of cells.
    pub fn n_cells(&self) -> usize {
        self.values.len() / self.width
    }

    /// D.
    pub fn width(&self) -> usize {
        self.width
    }

    /// All numbers, cell by cell.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The numbers, to be changed in place.
    pub fn values_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }

    /// The numbers of one cell.
    pub fn cell(&self, cell: usize) -> &[f32] {
        &self.values[cell * self.width..][..self.width]
    }

    /// Consecutive cells.
    pub fn range(&self, cells: Range<usize>) -> Self {
        let values = self.values[cells.start * self.width..cells.end * self.width].to_vec();
        Self { values, width: self.width }
    }

    /// The given cells, in the given order.
    pub fn select(&self, cells: impl IntoIterator<Item = usize>) -> Self {
        let values = cells.into_iter().flat_map(|cell| self.cell(cell)).copied().collect();
        Self { values, width: self.width }
    }

    /// Appends cells.
    pub fn extend(&mut self, cells: &[f32]) {
        assert_eq!(cells.len() % self.width, 0, "whole cells");
        self.values.extend_from_slice(cells);
    }
}

impl Model {
    /// Reads every parameter.
    pub fn load(checkpoint: &mut Checkpoint, compute: &Compute) -> Result<Self, ModelError> {
        Ok(Self {
            config: checkpoint.config().clone(),
            kind: checkpoint.kind(),
            network: match compute {
                Compute::Cpu(precision) => {
                    let kernel = cpu::Kernel::of(*precision).ok_or(ModelError::NoBf16)?;
                    Network::Cpu(Box::new(cpu::Network::load(checkpoint, kernel)?))
                }
                Compute::Vectors => Network::Cpu(Box::new(cpu::Network::load(checkpoint, cpu::Kernel::Lanes)?)),
                Compute::Tensors(device) => Network::Tensors(tensors::Network::load(checkpoint, device)?),
            },
        })
    }

    /// The model's shape.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Base or aligned.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Where the time has gone, part by part, where the processor's cores compute.
    pub fn profile(&self) -> Option<Vec<(&'static str, cpu::Share)>> {
        match &self.network {
            Network::Cpu(network) => Some(network.profile().shares()),
            Network::Tensors(_) => None,
        }
    }

    /// Floating-point operations per second of a large product, measured now, where the processor's
    /// cores compute.
    pub fn product_rate(&self) -> Option<f64> {
        match &self.network {
            Network::Cpu(network) => Some(network.product_rate()),
            Network::Tensors(_) => None,
        }
    }

    /// Tokens of the given rows of counts: GELU(W log(1 + x) + b). Counts are taken as they are,
    /// without normalisation.
    ///
    /// # Panics
    /// If the counts are not over the model's genes, or a row is out of range.
    pub fn tokens(&self, counts: &Csr, rows: &[usize]) -> Result<States, ModelError> {
        assert_eq!(counts.n_cols(), self.config.n_genes, "counts over the model's genes");
        let values = match &self.network {
            Network::Cpu(network) => network.tokens(counts, rows),
            Network::Tensors(network) => network.tokens(counts, rows)?,
        };
        Ok(States::new(values, self.config.width()))
    }

    /// Embeddings of the cells of one window from their tokens.
    ///
    /// Cells from `n_context` on are marked as query cells, which a base model has no mark for.
    /// The first `n_prompt` cells see only each other, the others see all; 0 blocks nothing.
    pub fn embed(&self, tokens: States, n_context: usize, n_prompt: usize) -> Result<States, ModelError> {
        self.embed_seen(tokens, n_context, n_prompt, None)
    }

    /// The same, showing the cells after every block of every layer, counted from 0.
    pub fn embed_seen(
        &self,
        tokens: States,
        n_context: usize,
        n_prompt: usize,
        see: Option<&mut See<'_>>,
    ) -> Result<States, ModelError> {
        let embeddings = match &self.network {
            Network::Cpu(network) => {
                let mut states = tokens;
                network.embed(&mut states.values, n_context, n_prompt, see);
                states
            }
            Network::Tensors(network) => {
                let values = network.embed(tokens.values(), n_context, n_prompt, see)?;
                States::new(values, self.config.width())
            }
        };
        finite(embeddings.values(), "embeddings")?;
        Ok(embeddings)
    }

    /// How much each cell from `n_context` on looks like a still-masked query (positive) rather than
    /// a context cell (negative). `None` for a base model or where no cell is left.
    pub fn query_logits(&self, embeddings: &States, n_context: usize) -> Result<Option<Vec<f32>>, ModelError> {
        if self.kind == Kind::Base || n_context >= embeddings.n_cells() {
            return Ok(None);
        }
        let logits = match &self.network {
            Network::Cpu(network) => network.query_logits(embeddings.values(), n_context),
            Network::Tensors(network) => network.query_logits(embeddings.values(), n_context)?,
        };
        finite(&logits, "logits")?;
        Ok(Some(logits))
    }

    /// Each gene's share of a cell's counts, one row of G per cell, row by row.
    pub fn scales(&self, embeddings: &States) -> Result<Vec<f32>, ModelError> {
        let scales = match &self.network {
            Network::Cpu(network) => network.scales(embeddings.values()),
            Network::Tensors(network) => network.scales(embeddings.values())?,
        };
        finite(&scales, "expression values")?;
        Ok(scales)
    }

    /// Each gene's dispersion in a cell, one row of G per cell, row by row.
    pub fn dispersions(&self, embeddings: &States) -> Result<Vec<f32>, ModelError> {
        Ok(self.raw_dispersions(embeddings)?.into_iter().map(softplus).collect())
    }

    /// Dispersion of each of the given genes in a window: the lower median over its context cells.
    pub fn median_dispersions(&self, context: &States, genes: &[u32]) -> Result<Vec<f32>, ModelError> {
        let medians = match &self.network {
            Network::Cpu(network) => network.median_dispersions(context.values(), genes),
            Network::Tensors(network) => {
                let raw = network.raw_dispersions(context.values(), Some(genes))?;
                let n_cells = context.n_cells();
                let median = |at: usize| {
                    let mut cells: Vec<f32> = raw.iter().skip(at).step_by(genes.len()).copied().collect();
                    let (_, median, _) = cells.select_nth_unstable_by((n_cells - 1) / 2, f32::total_cmp);
                    // Softplus never falls, so it can wait for the median.
                    softplus(*median)
                };
                (0..genes.len()).into_par_iter().map(median).collect()
            }
        };
        finite(&medians, "dispersions")?;
        Ok(medians)
    }

    fn raw_dispersions(&self, embeddings: &States) -> Result<Vec<f32>, ModelError> {
        let raw = match &self.network {
            Network::Cpu(network) => network.raw_dispersions(embeddings.values()),
            Network::Tensors(network) => network.raw_dispersions(embeddings.values(), None)?,
        };
        finite(&raw, "dispersions")?;
        Ok(raw)
    }
}

/// log(1 + eˣ) as torch computes it: x itself above 20.
pub(super) fn softplus(x: f32) -> f32 {
    if x > 20.0 { x } else { x.exp().ln_1p() }
}

fn finite(values: &[f32], what: &'static str) -> Result<(), ModelError> {
    if values.iter().all(|value| value.is_finite()) { Ok(()) } else { Err(ModelError::NotFinite { what }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    // torch.nn.functional.softplus of the same values.
    #[test]
    fn softplus_is_that_of_torch() {
        for (x, y) in [(-110.0, 0.0), (-20.0, 2.061_153_6e-9), (1.0, 1.313_261_7), (20.0, 20.0), (25.0, 25.0)] {
            assert!((softplus(x) - y).abs() <= 1e-6 * y, "softplus({x}) = {}, not {y}", softplus(x));
        }
    }
}
