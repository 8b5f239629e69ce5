//! The network: tokens, layers, heads. Parameters carry their names in the checkpoint.
//!
//! Three names mislead and are kept because checkpoints use them: `cell_attn` attends between the
//! gene tokens *inside one cell*, `gene_attn` between the *cells of a window*, and their norms
//! follow them. All mathematics is `f32`.
//!
//! Symbols: G genes, H tokens per cell, T token width, D = H·T, C cells in a window.

use candle_core::{Device, Tensor};
use candle_nn::{LayerNorm, Linear, Module};
use rayon::prelude::*;

use super::attention::Attention;
use super::checkpoint::{Checkpoint, CheckpointError, Kind};
use super::config::ModelConfig;
use crate::domain::Csr;

/// Added to the variance in every layer norm.
const LAYER_NORM_EPSILON: f64 = 1e-5;

/// Cells whose attention between tokens is computed at once; bounds memory, not the result.
const CELLS_AT_ONCE: usize = 32;

/// Why the network could not be built or run.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// Reading the parameters.
    #[error("{0}")]
    Checkpoint(#[from] CheckpointError),
    /// The tensor library, out of memory for example.
    #[error("the model could not be computed: {0}")]
    Tensor(#[from] candle_core::Error),
    /// A result that is not a number, from damaged weights.
    #[error("the model computed {what} that are not finite numbers; its weights may be damaged")]
    NotFinite {
        /// What they would have been.
        what: &'static str,
    },
}

/// A STACK network in memory.
#[derive(Debug)]
pub struct Model {
    config: ModelConfig,
    kind: Kind,
    device: Device,
    gene_reduction: Linear,
    gene_pos_embedding: Tensor,
    layers: Vec<Layer>,
    output_mlp: OutputMlp,
    aligned: Option<Aligned>,
}

/// One layer: three sub-blocks, each with its residual and a norm after it.
#[derive(Debug)]
pub struct Layer {
    /// Attention between the gene tokens of a cell.
    pub cell_attn: Attention,
    /// Its norm, over T.
    pub cell_norm: LayerNorm,
    /// Attention between the cells of a window.
    pub gene_attn: Attention,
    /// Its norm, over D.
    pub gene_norm: LayerNorm,
    /// The token MLP.
    pub mlp: Mlp,
    /// Its norm, over T.
    pub mlp_norm: LayerNorm,
}

/// Two linear maps with a GELU between.
#[derive(Debug)]
pub struct Mlp {
    first: Linear,
    second: Linear,
}

/// The output head. A checkpoint interleaves the rows of its last map: 2g is the scale of gene g,
/// 2g + 1 its dispersion. Here they are two maps, because they are needed for different cells.
#[derive(Debug)]
struct OutputMlp {
    hidden: Linear,
    scale: Linear,
    dispersion: Linear,
}

/// What only an aligned model has.
#[derive(Debug)]
struct Aligned {
    query_pos_embedding: Tensor,
    cls: Mlp,
}

impl Model {
    /// Reads every parameter onto a device.
    pub fn load(checkpoint: &mut Checkpoint, device: &Device) -> Result<Self, ModelError> {
        let (config, kind) = (checkpoint.config().clone(), checkpoint.kind());
        let (h, t, d) = (config.n_hidden, config.token_dim, config.width());
        let mut reader = Reader { checkpoint, device };
        let mut layers = Vec::with_capacity(config.n_layers);
        for l in 0..config.n_layers {
            let name = |part: &str| format!("layers.{l}.{part}");
            layers.push(Layer {
                cell_attn: reader.attention(&name("cell_attn"), t, config.token_heads())?,
                cell_norm: reader.norm(&name("cell_norm"), t)?,
                gene_attn: reader.attention(&name("gene_attn"), d, config.n_heads)?,
                gene_norm: reader.norm(&name("gene_norm"), d)?,
                mlp: Mlp {
                    first: reader.linear(&name("mlp.0"), config.mlp_ratio * t, t)?,
                    second: reader.linear(&name("mlp.3"), t, config.mlp_ratio * t)?,
                },
                mlp_norm: reader.norm(&name("mlp_norm"), t)?,
            });
        }
        let aligned = match kind {
            Kind::Base => None,
            Kind::Aligned => Some(Aligned {
                query_pos_embedding: reader.tensor("query_pos_embedding", &[h, t])?,
                cls: Mlp { first: reader.linear("cls.0", h, 2 * d)?, second: reader.linear("cls.2", 1, h)? },
            }),
        };
        Ok(Self {
            gene_reduction: reader.linear("gene_reduction.0", d, config.n_genes)?,
            gene_pos_embedding: reader.tensor("gene_pos_embedding", &[h, t])?,
            output_mlp: reader.output_mlp(d, config.n_genes)?,
            device: device.clone(),
            layers,
            aligned,
            config,
            kind,
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

    /// The layers, first to last.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// The position embedding of the gene tokens, `[H, T]`, the same in every layer.
    pub fn gene_pos_embedding(&self) -> &Tensor {
        &self.gene_pos_embedding
    }

    /// Tokens of the given rows of counts: `[n, H, T]`, GELU(W log(1 + x) + b). Counts are taken
    /// as they are, without normalisation.
    ///
    /// # Panics
    /// If the counts are not over the model's genes, or a row is out of range.
    pub fn tokens(&self, counts: &Csr, rows: &[usize]) -> Result<Tensor, ModelError> {
        assert_eq!(counts.n_cols(), self.config.n_genes, "counts over the model's genes");
        let mut log = vec![0.0_f32; rows.len() * counts.n_cols()];
        for (cell, &row) in log.chunks_exact_mut(counts.n_cols()).zip(rows) {
            let (columns, values) = counts.row(row);
            for (&column, &value) in columns.iter().zip(values) {
                cell[column as usize] = value.ln_1p();
            }
        }
        let log = Tensor::from_vec(log, (rows.len(), counts.n_cols()), &self.device)?;
        let tokens = self.gene_reduction.forward(&log)?.gelu_erf()?;
        Ok(tokens.reshape((rows.len(), self.config.n_hidden, self.config.token_dim))?)
    }

    /// Marks the cells from `n_context` on as query cells. A base model has no such mark.
    pub fn mark_queries(&self, tokens: Tensor, n_context: usize) -> Result<Tensor, ModelError> {
        let n = tokens.dim(0)?;
        match &self.aligned {
            Some(aligned) if n_context < n => {
                let queries = tokens.narrow(0, n_context, n - n_context)?;
                let marked = queries.broadcast_add(&aligned.query_pos_embedding)?;
                Ok(Tensor::cat(&[&tokens.narrow(0, 0, n_context)?, &marked], 0)?)
            }
            _ => Ok(tokens),
        }
    }

    /// Embeddings `[C, D]` of the cells of one window from their tokens `[C, H, T]`. The first
    /// `n_prompt` cells see only each other, the others see all; 0 blocks nothing.
    pub fn embed(&self, tokens: Tensor, n_prompt: usize) -> Result<Tensor, ModelError> {
        let mut x = tokens;
        for layer in &self.layers {
            x = layer.forward(&x, &self.gene_pos_embedding, n_prompt)?;
        }
        Ok(x.flatten_from(1)?)
    }

    /// How much each cell from `n_context` on looks like a still-masked query (positive) rather than
    /// a context cell (negative). `None` for a base model or where no cell is left.
    pub fn query_logits(&self, embeddings: &Tensor, n_context: usize) -> Result<Option<Vec<f32>>, ModelError> {
        let (n, width) = embeddings.dims2()?;
        let Some(aligned) = self.aligned.as_ref().filter(|_| n_context < n) else { return Ok(None) };
        let context = embeddings.narrow(0, 0, n_context)?.mean_keepdim(0)?.broadcast_as((n - n_context, width))?;
        let cells = embeddings.narrow(0, n_context, n - n_context)?;
        let logits = aligned.cls.forward(&Tensor::cat(&[&context.contiguous()?, &cells], 1)?)?;
        let logits = logits.flatten_all()?.to_vec1::<f32>()?;
        finite(&logits, "logits")?;
        Ok(Some(logits))
    }

    /// Each gene's share of a cell's counts, one row of G per row of embeddings, row by row.
    pub fn scales(&self, embeddings: &Tensor) -> Result<Vec<f32>, ModelError> {
        let head = &self.output_mlp;
        let logits = head.scale.forward(&head.hidden.forward(embeddings)?.gelu_erf()?)?;
        let scales = candle_nn::ops::softmax_last_dim(&logits)?.flatten_all()?.to_vec1::<f32>()?;
        finite(&scales, "expression values")?;
        Ok(scales)
    }

    /// Each gene's dispersion in a cell, one row of G per row of embeddings, row by row.
    pub fn dispersions(&self, embeddings: &Tensor) -> Result<Vec<f32>, ModelError> {
        Ok(self.raw_dispersions(embeddings)?.into_iter().map(softplus).collect())
    }

    /// Each gene's dispersion in a window: the lower median over the given context cells.
    ///
    /// Softplus never falls, so it is applied to the median alone.
    pub fn median_dispersions(&self, context: &Tensor) -> Result<Vec<f32>, ModelError> {
        let genes = self.config.n_genes;
        let raw = self.raw_dispersions(context)?;
        let cells = raw.len() / genes;
        let median = |gene: usize| {
            let mut column: Vec<f32> = (0..cells).map(|cell| raw[cell * genes + gene]).collect();
            let (_, median, _) = column.select_nth_unstable_by((cells - 1) / 2, f32::total_cmp);
            softplus(*median)
        };
        Ok((0..genes).into_par_iter().map(median).collect())
    }

    fn raw_dispersions(&self, embeddings: &Tensor) -> Result<Vec<f32>, ModelError> {
        let head = &self.output_mlp;
        let raw = head.dispersion.forward(&head.hidden.forward(embeddings)?.gelu_erf()?)?;
        let raw = raw.flatten_all()?.to_vec1::<f32>()?;
        finite(&raw, "dispersions")?;
        Ok(raw)
    }
}

impl Layer {
    /// `[C, H, T]` to `[C, H, T]`.
    pub fn forward(&self, x: &Tensor, gene_pos_embedding: &Tensor, n_prompt: usize) -> candle_core::Result<Tensor> {
        let x = self.within_cells(x, gene_pos_embedding)?;
        let x = self.between_cells(&x, n_prompt)?;
        self.mlp_norm.forward(&(&x + self.mlp.forward(&x)?)?)
    }

    /// LN(x + attention(x + position)): the residual is without the position.
    pub fn within_cells(&self, x: &Tensor, gene_pos_embedding: &Tensor) -> candle_core::Result<Tensor> {
        let n = x.dim(0)?;
        let mut parts = Vec::with_capacity(n.div_ceil(CELLS_AT_ONCE));
        for start in (0..n).step_by(CELLS_AT_ONCE) {
            let x = x.narrow(0, start, CELLS_AT_ONCE.min(n - start))?;
            let attended = self.cell_attn.forward(&x.broadcast_add(gene_pos_embedding)?, 0)?;
            parts.push(self.cell_norm.forward(&(x + attended)?)?);
        }
        Tensor::cat(&parts, 0)
    }

    /// LN(z + attention(z)) over whole cells `z`.
    pub fn between_cells(&self, x: &Tensor, n_prompt: usize) -> candle_core::Result<Tensor> {
        let cells = x.flatten_from(1)?.unsqueeze(0)?;
        let attended = self.gene_attn.forward(&cells, n_prompt)?;
        self.gene_norm.forward(&(cells + attended)?)?.reshape(x.shape())
    }
}

impl Mlp {
    /// Second(GELU(first(x))), the exact GELU.
    pub fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        self.second.forward(&self.first.forward(x)?.gelu_erf()?)
    }
}

/// log(1 + eˣ) as torch computes it: x itself above 20.
fn softplus(x: f32) -> f32 {
    if x > 20.0 { x } else { x.exp().ln_1p() }
}

fn finite(values: &[f32], what: &'static str) -> Result<(), ModelError> {
    if values.iter().all(|value| value.is_finite()) { Ok(()) } else { Err(ModelError::NotFinite { what }) }
}

/// Reads parameters by name. [`Checkpoint::open`] has checked names and shapes.
struct Reader<'a> {
    checkpoint: &'a mut Checkpoint,
    device: &'a Device,
}

impl Reader<'_> {
    fn tensor(&mut self, name: &str, shape: &[usize]) -> Result<Tensor, ModelError> {
        Ok(Tensor::from_vec(self.checkpoint.read(name)?, shape, self.device)?)
    }

    fn linear(&mut self, name: &str, out: usize, input: usize) -> Result<Linear, ModelError> {
        let weight = self.tensor(&format!("{name}.weight"), &[out, input])?;
        Ok(Linear::new(weight, Some(self.tensor(&format!("{name}.bias"), &[out])?)))
    }

    fn norm(&mut self, name: &str, size: usize) -> Result<LayerNorm, ModelError> {
        let weight = self.tensor(&format!("{name}.weight"), &[size])?;
        Ok(LayerNorm::new(weight, self.tensor(&format!("{name}.bias"), &[size])?, LAYER_NORM_EPSILON))
    }

    fn attention(&mut self, name: &str, width: usize, heads: usize) -> Result<Attention, ModelError> {
        let qkv = self.tensor(&format!("{name}.qkv.weight"), &[3 * width, width])?;
        let proj = self.linear(&format!("{name}.proj"), width, width)?;
        Ok(Attention { qkv: Linear::new(qkv, None), proj, heads })
    }

    fn output_mlp(&mut self, width: usize, genes: usize) -> Result<OutputMlp, ModelError> {
        let hidden = self.linear("output_mlp.0", 2 * width, width)?;
        let weight = self.checkpoint.read("output_mlp.3.weight")?;
        let bias = self.checkpoint.read("output_mlp.3.bias")?;
        let every_other = |offset: usize| -> Result<Linear, ModelError> {
            let rows = weight.chunks_exact(2 * width).skip(offset).step_by(2);
            let weight: Vec<f32> = rows.flatten().copied().collect();
            let bias: Vec<f32> = bias.iter().skip(offset).step_by(2).copied().collect();
            Ok(Linear::new(
                Tensor::from_vec(weight, (genes, 2 * width), self.device)?,
                Some(Tensor::from_vec(bias, genes, self.device)?),
            ))
        };
        Ok(OutputMlp { scale: every_other(0)?, dispersion: every_other(1)?, hidden })
    }
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
