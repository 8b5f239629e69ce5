//! The network in tensors, for a GPU; it runs on the CPU too and is then the slow, plain twin that
//! the fast one is compared with.
//!
//! Parameters carry their names in the checkpoint; [`super::model`] explains the ones that mislead,
//! and the symbols.

use candle_core::{Device, Result, Tensor};
use candle_nn::{LayerNorm, Linear, Module};

use super::attention::Attention;
use super::checkpoint::{Checkpoint, Kind};
use super::model::{Block, LAYER_NORM_EPSILON, ModelError, See};
use crate::domain::Csr;

/// Cells whose attention between tokens is computed at once; bounds memory, not the result.
const CELLS_AT_ONCE: usize = 32;

/// The parameters as tensors on one device.
#[derive(Debug)]
pub struct Network {
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

impl Network {
    /// Reads every parameter onto a device.
    pub fn load(checkpoint: &mut Checkpoint, device: &Device) -> std::result::Result<Self, ModelError> {
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
        })
    }

    /// The layers, first to last.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// The position embedding of the gene tokens, `[H, T]`, the same in every layer.
    pub fn gene_pos_embedding(&self) -> &Tensor {
        &self.gene_pos_embedding
    }

    /// Tokens of the given rows of counts.
    pub fn tokens(&self, counts: &Csr, rows: &[usize]) -> Result<Vec<f32>> {
        let _span = tracing::trace_span!("block", part = "tokens").entered();
        let mut log = vec![0.0_f32; rows.len() * counts.n_cols()];
        for (cell, &row) in log.chunks_exact_mut(counts.n_cols()).zip(rows) {
            let (columns, values) = counts.row(row);
            for (&column, &value) in columns.iter().zip(values) {
                cell[column as usize] = value.ln_1p();
            }
        }
        let log = Tensor::from_vec(log, (rows.len(), counts.n_cols()), &self.device)?;
        values(&self.gene_reduction.forward(&log)?.gelu_erf()?)
    }

    /// Embeddings of one window from its tokens.
    pub fn embed(
        &self,
        tokens: &[f32],
        n_context: usize,
        n_prompt: usize,
        mut see: Option<&mut See<'_>>,
    ) -> Result<Vec<f32>> {
        let mut x = self.marked(tokens, n_context)?;
        for (l, layer) in self.layers.iter().enumerate() {
            for block in [Block::WithinCells, Block::BetweenCells, Block::TokenMlp] {
                let _span = tracing::trace_span!("block", layer = l, part = ?block).entered();
                x = match block {
                    Block::WithinCells => layer.within_cells(&x, &self.gene_pos_embedding)?,
                    Block::BetweenCells => layer.between_cells(&x, n_prompt)?,
                    Block::TokenMlp => layer.token_mlp(&x)?,
                };
                if let Some(see) = &mut see {
                    see(l, block, &values(&x)?);
                }
            }
        }
        values(&x)
    }

    /// Tokens as `[C, H, T]`, the query mark added from `n_context` on.
    pub fn marked(&self, tokens: &[f32], n_context: usize) -> Result<Tensor> {
        let (h, t) = self.gene_pos_embedding.dims2()?;
        let n = tokens.len() / (h * t);
        let tokens = Tensor::from_slice(tokens, (n, h, t), &self.device)?;
        match &self.aligned {
            Some(aligned) if n_context < n => {
                let queries = tokens.narrow(0, n_context, n - n_context)?;
                let marked = queries.broadcast_add(&aligned.query_pos_embedding)?;
                Tensor::cat(&[&tokens.narrow(0, 0, n_context)?, &marked], 0)
            }
            _ => Ok(tokens),
        }
    }

    /// Logits of the cells from `n_context` on.
    ///
    /// # Panics
    /// If the model is not aligned.
    pub fn query_logits(&self, embeddings: &[f32], n_context: usize) -> Result<Vec<f32>> {
        let _span = tracing::trace_span!("block", part = "logits").entered();
        let embeddings = self.cells(embeddings)?;
        let (n, width) = embeddings.dims2()?;
        let aligned = self.aligned.as_ref().expect("an aligned model");
        let context = embeddings.narrow(0, 0, n_context)?.mean_keepdim(0)?.broadcast_as((n - n_context, width))?;
        let cells = embeddings.narrow(0, n_context, n - n_context)?;
        values(&aligned.cls.forward(&Tensor::cat(&[&context.contiguous()?, &cells], 1)?)?)
    }

    /// Shares of the genes, one row of G per cell.
    pub fn scales(&self, embeddings: &[f32]) -> Result<Vec<f32>> {
        let _span = tracing::trace_span!("block", part = "head: scales").entered();
        let head = &self.output_mlp;
        let hidden = head.hidden.forward(&self.cells(embeddings)?)?.gelu_erf()?;
        values(&candle_nn::ops::softmax_last_dim(&head.scale.forward(&hidden)?)?)
    }

    /// What softplus turns into dispersions, one row per cell: of G, or of the given genes.
    pub fn raw_dispersions(&self, embeddings: &[f32], genes: Option<&[u32]>) -> Result<Vec<f32>> {
        let _span = tracing::trace_span!("block", part = "head: dispersions").entered();
        let head = &self.output_mlp;
        let hidden = head.hidden.forward(&self.cells(embeddings)?)?.gelu_erf()?;
        let Some(genes) = genes else { return values(&head.dispersion.forward(&hidden)?) };
        let genes = Tensor::from_slice(genes, genes.len(), &self.device)?;
        let chosen = |all: &Tensor| all.index_select(&genes, 0);
        let dispersion =
            Linear::new(chosen(head.dispersion.weight())?, head.dispersion.bias().map(chosen).transpose()?);
        values(&dispersion.forward(&hidden)?)
    }

    /// Embeddings as `[C, D]`.
    fn cells(&self, embeddings: &[f32]) -> Result<Tensor> {
        let width = self.gene_pos_embedding.elem_count();
        Tensor::from_slice(embeddings, (embeddings.len() / width, width), &self.device)
    }
}

impl Layer {
    /// LN(x + attention(x + position)): the residual is without the position.
    pub fn within_cells(&self, x: &Tensor, gene_pos_embedding: &Tensor) -> Result<Tensor> {
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
    pub fn between_cells(&self, x: &Tensor, n_prompt: usize) -> Result<Tensor> {
        let cells = x.flatten_from(1)?.unsqueeze(0)?;
        let attended = self.gene_attn.forward(&cells, n_prompt)?;
        self.gene_norm.forward(&(cells + attended)?)?.reshape(x.shape())
    }

    /// LN(x + MLP(x)), each token by itself.
    pub fn token_mlp(&self, x: &Tensor) -> Result<Tensor> {
        self.mlp_norm.forward(&(x + self.mlp.forward(x)?)?)
    }
}

impl Mlp {
    /// Second(GELU(first(x))), the exact GELU.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.second.forward(&self.first.forward(x)?.gelu_erf()?)
    }
}

/// The numbers of a tensor, on this side.
fn values(tensor: &Tensor) -> Result<Vec<f32>> {
    tensor.flatten_all()?.to_vec1()
}

/// Reads parameters by name. [`Checkpoint::open`] has checked names and shapes.
struct Reader<'a> {
    checkpoint: &'a mut Checkpoint,
    device: &'a Device,
}

impl Reader<'_> {
    fn tensor(&mut self, name: &str, shape: &[usize]) -> std::result::Result<Tensor, ModelError> {
        Ok(Tensor::from_vec(self.checkpoint.read(name)?, shape, self.device)?)
    }

    fn linear(&mut self, name: &str, out: usize, input: usize) -> std::result::Result<Linear, ModelError> {
        let weight = self.tensor(&format!("{name}.weight"), &[out, input])?;
        Ok(Linear::new(weight, Some(self.tensor(&format!("{name}.bias"), &[out])?)))
    }

    fn norm(&mut self, name: &str, size: usize) -> std::result::Result<LayerNorm, ModelError> {
        let weight = self.tensor(&format!("{name}.weight"), &[size])?;
        Ok(LayerNorm::new(weight, self.tensor(&format!("{name}.bias"), &[size])?, LAYER_NORM_EPSILON.into()))
    }

    fn attention(&mut self, name: &str, width: usize, heads: usize) -> std::result::Result<Attention, ModelError> {
        let qkv = self.tensor(&format!("{name}.qkv.weight"), &[3 * width, width])?;
        let proj = self.linear(&format!("{name}.proj"), width, width)?;
        Ok(Attention { qkv: Linear::new(qkv, None), proj, heads })
    }

    fn output_mlp(&mut self, width: usize, genes: usize) -> std::result::Result<OutputMlp, ModelError> {
        let hidden = self.linear("output_mlp.0", 2 * width, width)?;
        let weight = self.checkpoint.read("output_mlp.3.weight")?;
        let bias = self.checkpoint.read("output_mlp.3.bias")?;
        let every_other = |offset: usize| -> std::result::Result<Linear, ModelError> {
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
