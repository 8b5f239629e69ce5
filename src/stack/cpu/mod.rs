//! The network on the processor's cores.
//!
//! To read it, begin here; then `cell` (what happens inside a cell), `window` (between cells), `tokens`
//! (the first layer). All three stand on `product`, which multiplies matrices (its operands are in
//! `operand`; a `kernel` does the arithmetic in `tiles`, `dots` or `lanes`), and on `vector`.
//!
//! Nothing depends on the number of threads. Weights stay in their mapped file; in lower precision they are
//! packed once instead.

#[cfg(target_arch = "x86_64")]
mod bf16;
mod cell;
#[cfg(target_arch = "x86_64")]
mod dots;
mod kernel;
mod lanes;
mod operand;
mod product;
#[cfg(target_arch = "x86_64")]
mod tiles;
mod tokens;
mod transpose;
mod vector;
mod window;

mod profile;

use std::sync::{Arc, Mutex};
use std::time::Instant;

use rayon::prelude::*;

use self::cell::{Norm, Step, TokenMlp, Within};
pub use self::kernel::Kernel;
use self::operand::{Kept, Right, Rows};
use self::product::{Layout, Left, Out, product};
pub use self::profile::{Profile, Share};
use super::checkpoint::{Checkpoint, CheckpointError, Kind, Values};
use super::model::{Block, See, softplus};
use crate::domain::Csr;

/// The parameters, and room to work.
#[derive(Debug)]
pub struct Network {
    kernel: Kernel,
    /// T.
    token_width: usize,
    heads: usize,
    gene_reduction: Values,
    gene_reduction_bias: Vec<f32>,
    /// `[H, T]`.
    gene_pos_embedding: Vec<f32>,
    layers: Vec<Layer>,
    hidden: Linear,
    scale: Linear,
    dispersion: Linear,
    aligned: Option<Aligned>,
    workspace: Mutex<Workspace>,
    profile: Profile,
}

/// One layer: three blocks, each with its residual and a norm after it.
#[derive(Debug)]
struct Layer {
    within: Within,
    qkv: Weight,
    proj: Linear,
    norm: Norm,
    mlp: TokenMlp,
}

/// A linear map.
#[derive(Debug)]
struct Linear {
    weight: Weight,
    bias: Vec<f32>,
}

/// The weights of a linear map.
#[derive(Debug)]
enum Weight {
    /// Where they lie in the file.
    Stored(Stored),
    /// Packed for the kernel and kept.
    Kept(Kept),
}

/// Weights as they lie in the file: `n` rows, one for each output, from `offset` on.
#[derive(Debug)]
struct Stored {
    values: Arc<Values>,
    offset: usize,
    stride: usize,
    n: usize,
    inputs: usize,
}

/// What only an aligned model has.
#[derive(Debug)]
struct Aligned {
    /// `[H, T]`.
    query_pos_embedding: Vec<f32>,
    first: Linear,
    second: Vec<f32>,
    second_bias: f32,
}

/// Room that is used again and again.
#[derive(Debug, Default)]
struct Workspace {
    right: Right,
    wide: Vec<f32>,
    attended: Vec<f32>,
    projected: Vec<f32>,
}

impl Network {
    /// Finds every parameter.
    pub fn load(checkpoint: &mut Checkpoint, kernel: Kernel) -> Result<Self, CheckpointError> {
        let (config, kind) = (checkpoint.config().clone(), checkpoint.kind());
        let (t, d, genes) = (config.token_dim, config.width(), config.n_genes);
        let mut reader = Reader { checkpoint, kernel };
        // First, because nothing else is as large: in lower precision it is there twice while it is packed.
        let [scale, dispersion] = reader.heads(genes, 2 * d)?;
        let mut layers = Vec::with_capacity(config.n_layers);
        for l in 0..config.n_layers {
            let name = |part: &str| format!("layers.{l}.{part}");
            layers.push(Layer {
                within: Within {
                    qkv: reader.copy(&name("cell_attn.qkv.weight"))?,
                    proj: reader.copy(&name("cell_attn.proj.weight"))?,
                    proj_bias: reader.copy(&name("cell_attn.proj.bias"))?,
                    heads: config.token_heads(),
                    norm: reader.norm(&name("cell_norm"))?,
                },
                qkv: reader.weight(&name("gene_attn.qkv.weight"), 3 * d, d)?,
                proj: reader.linear(&name("gene_attn.proj"), d, d)?,
                norm: reader.norm(&name("gene_norm"))?,
                mlp: TokenMlp {
                    first: reader.copy(&name("mlp.0.weight"))?,
                    first_bias: reader.copy(&name("mlp.0.bias"))?,
                    second: reader.copy(&name("mlp.3.weight"))?,
                    second_bias: reader.copy(&name("mlp.3.bias"))?,
                    norm: reader.norm(&name("mlp_norm"))?,
                },
            });
        }
        let aligned = match kind {
            Kind::Base => None,
            Kind::Aligned => Some(Aligned {
                query_pos_embedding: reader.copy("query_pos_embedding")?,
                first: reader.linear("cls.0", config.n_hidden, 2 * d)?,
                second: reader.copy("cls.2.weight")?,
                second_bias: reader.copy("cls.2.bias")?[0],
            }),
        };
        Ok(Self {
            token_width: t,
            heads: config.n_heads,
            gene_reduction: reader.values("gene_reduction.0.weight")?,
            gene_reduction_bias: reader.copy("gene_reduction.0.bias")?,
            gene_pos_embedding: reader.copy("gene_pos_embedding")?,
            hidden: reader.linear("output_mlp.0", 2 * d, d)?,
            kernel,
            layers,
            scale,
            dispersion,
            aligned,
            workspace: Mutex::default(),
            profile: Profile::default(),
        })
    }

    /// Where the time has gone.
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// Operations per second of a product of the size that matters most, the median of a few.
    pub fn product_rate(&self) -> f64 {
        let (n, outputs, inputs) = (512, 4800, 1600);
        let (left, right) = (vec![0.5; outputs * inputs], vec![0.25; n * inputs]);
        let (mut packed, mut out) = (Right::default(), vec![0.0; n * outputs]);
        let mut seconds: Vec<f64> = (0..5)
            .map(|_| {
                let start = Instant::now();
                packed.pack(self.kernel, Rows::new(&right, n, inputs, inputs));
                let to = Out { values: &mut out, stride: outputs, layout: Layout::ByRight };
                product(self.kernel, Left::Rows(Rows::new(&left, outputs, inputs, inputs)), &packed, to, |_, _| ());
                start.elapsed().as_secs_f64()
            })
            .collect();
        seconds.sort_by(f64::total_cmp);
        2.0 * (n * outputs * inputs) as f64 / seconds[seconds.len() / 2]
    }

    /// Tokens of the given rows of counts, `[n, D]`.
    pub fn tokens(&self, counts: &Csr, rows: &[usize]) -> Vec<f32> {
        let entries: usize = rows.iter().map(|&row| counts.row(row).0.len()).sum();
        self.profile.time("tokens", 2 * entries * self.width(), || {
            tokens::tokens(&self.gene_reduction, &self.gene_reduction_bias, counts, rows)
        })
    }

    /// Embeddings of one window from its tokens, in place.
    pub fn embed(&self, x: &mut [f32], n_context: usize, n_prompt: usize, mut see: Option<&mut See<'_>>) {
        let width = self.width();
        if let Some(aligned) = &self.aligned {
            for cell in x.chunks_exact_mut(width).skip(n_context) {
                vector::add(cell, &aligned.query_pos_embedding);
            }
        }
        let mut workspace = self.workspace.lock().expect("no panic while it is held");
        let mut mlp_before = None;
        for (l, layer) in self.layers.iter().enumerate() {
            let _layer = tracing::trace_span!("layer", l).entered();
            self.inside(x, mlp_before.take(), Some(&layer.within));
            if let Some(see) = &mut see {
                see(l, Block::WithinCells, x);
            }
            self.between(x, layer, n_prompt, &mut workspace);
            if let Some(see) = &mut see {
                see(l, Block::BetweenCells, x);
                // One by one, to be seen; otherwise in one pass with the attention that follows.
                self.inside(x, Some(&layer.mlp), None);
                see(l, Block::TokenMlp, x);
            } else {
                mlp_before = Some(&layer.mlp);
            }
        }
        if mlp_before.is_some() {
            self.inside(x, mlp_before, None);
        }
    }

    /// The blocks of every cell by itself.
    fn inside(&self, x: &mut [f32], mlp: Option<&TokenMlp>, within: Option<&Within>) {
        let (t, width) = (self.token_width, self.width());
        let (cells, tokens) = (x.len() / width, width / t);
        let in_mlp = mlp.map_or(0, |mlp| 4 * tokens * t * mlp.first_bias.len());
        let in_within = within.map_or(0, |_| 8 * tokens * t * t + 4 * tokens * tokens * t);
        self.profile.time("inside cells", cells * (in_mlp + in_within), || {
            x.par_chunks_exact_mut(width).for_each_init(Default::default, |workspace, cell| {
                let within = within.map(|within| (within, self.gene_pos_embedding.as_slice()));
                Step { cell, mlp, within, width: t, workspace }.run();
            });
        });
    }

    /// The block that joins the cells of the window.
    fn between(&self, x: &mut [f32], layer: &Layer, n_prompt: usize, workspace: &mut Workspace) {
        let width = self.width();
        let n = x.len() / width;
        let Workspace { right, wide, attended, projected } = workspace;
        wide.resize(n * 3 * width, 0.0);
        self.linear("between cells: qkv", layer.qkv.left(), (x, n, width), right, wide, |_, _| ());
        attended.resize(n * width, 0.0);
        let seen = if n_prompt < n { n_prompt * n_prompt + (n - n_prompt) * n } else { n * n };
        self.profile.time("between cells: attention", 4 * seen * width, || {
            window::attend(self.kernel, wide, width, self.heads, n_prompt, attended);
        });
        projected.resize(n * width, 0.0);
        let bias = &layer.proj.bias;
        self.linear(
            "between cells: projection",
            layer.proj.weight.left(),
            (attended, n, width),
            right,
            projected,
            |at, to| {
                vector::add(to, &bias[at..]);
            },
        );
        self.profile.time("between cells: norm", 0, || {
            x.par_chunks_exact_mut(width).zip(projected.par_chunks_exact(width)).for_each(|(x, y)| {
                vector::add_and_normalise(x, y, &layer.norm.weight, &layer.norm.bias);
            });
        });
    }

    /// `y = x Wᵀ`, each run of outputs finished.
    fn linear(
        &self,
        part: &'static str,
        weight: Left<'_>,
        (x, n, inputs): (&[f32], usize, usize),
        right: &mut Right,
        y: &mut [f32],
        finish: impl Fn(usize, &mut [f32]) + Sync,
    ) {
        let outputs = y.len() / n;
        self.profile.time(part, 2 * n * inputs * outputs, || {
            right.pack(self.kernel, Rows::new(x, n, inputs, inputs));
            let out = Out { values: y, stride: outputs, layout: Layout::ByRight };
            product(self.kernel, weight, right, out, finish);
        });
    }

    /// Logits of the cells from `n_context` on.
    ///
    /// # Panics
    /// If the model is not aligned.
    pub fn query_logits(&self, embeddings: &[f32], n_context: usize) -> Vec<f32> {
        let aligned = self.aligned.as_ref().expect("an aligned model");
        let width = self.width();
        let (context, queries) = embeddings.split_at(n_context * width);
        let mut mean = vec![0.0_f64; width];
        for cell in context.chunks_exact(width) {
            mean.iter_mut().zip(cell).for_each(|(mean, x)| *mean += f64::from(*x));
        }
        let n = queries.len() / width;
        let mut pairs = Vec::with_capacity(n * 2 * width);
        for cell in queries.chunks_exact(width) {
            pairs.extend(mean.iter().map(|mean| (mean / n_context as f64) as f32));
            pairs.extend_from_slice(cell);
        }
        let hidden_width = aligned.first.bias.len();
        let mut hidden = vec![0.0; n * hidden_width];
        let mut workspace = self.workspace.lock().expect("no panic while it is held");
        let bias = &aligned.first.bias;
        self.linear(
            "logits",
            aligned.first.weight.left(),
            (&pairs, n, 2 * width),
            &mut workspace.right,
            &mut hidden,
            |at, to| {
                vector::gelu_of_sum(to, &bias[at..]);
            },
        );
        let logit = |hidden: &[f32]| {
            let sum: f32 = hidden.iter().zip(&aligned.second).map(|(x, w)| x * w).sum();
            sum + aligned.second_bias
        };
        hidden.chunks_exact(hidden_width).map(logit).collect()
    }

    /// Shares of the genes, one row of G per cell.
    pub fn scales(&self, embeddings: &[f32]) -> Vec<f32> {
        let Linear { bias, .. } = &self.scale;
        let mut scales = self.head("head: scales", &self.scale, embeddings);
        self.profile.time("head: softmax", 0, || {
            scales.par_chunks_exact_mut(bias.len()).for_each(|row| vector::softmax(row, 1.0));
        });
        scales
    }

    /// What softplus turns into dispersions, one row of G per cell.
    pub fn raw_dispersions(&self, embeddings: &[f32]) -> Vec<f32> {
        self.head("head: dispersions", &self.dispersion, embeddings)
    }

    /// One half of the output map, one row of G per cell.
    fn head(&self, part: &'static str, Linear { weight, bias }: &Linear, embeddings: &[f32]) -> Vec<f32> {
        let mut workspace = self.workspace.lock().expect("no panic while it is held");
        let n = self.hidden(embeddings, &mut workspace);
        let Workspace { right, wide, .. } = &mut *workspace;
        let mut out = vec![0.0; n * bias.len()];
        let hidden = (wide.as_slice(), n, 2 * self.width());
        self.linear(part, weight.left(), hidden, right, &mut out, |at, to| vector::add(to, &bias[at..]));
        out
    }

    /// The lower median over the cells of the dispersion of each of the given genes.
    pub fn median_dispersions(&self, embeddings: &[f32], genes: &[u32]) -> Vec<f32> {
        let mut workspace = self.workspace.lock().expect("no panic while it is held");
        let n = self.hidden(embeddings, &mut workspace);
        let Workspace { right, wide, attended, .. } = &mut *workspace;
        let inputs = 2 * self.width();
        attended.resize(genes.len() * n, 0.0);
        self.profile.time("head: dispersions", 2 * n * inputs * genes.len(), || {
            right.pack(self.kernel, Rows::new(wide, n, inputs, inputs));
            let out = Out { values: attended, stride: n, layout: Layout::ByLeft };
            product(self.kernel, self.dispersion.weight.chosen(genes), right, out, |_, _| ());
        });
        self.profile.time("head: medians", 0, || {
            let median = |(gene, cells): (&u32, &mut [f32])| {
                let (_, median, _) = cells.select_nth_unstable_by((n - 1) / 2, f32::total_cmp);
                // Softplus never falls, nor does a sum, so both can wait for the median.
                softplus(*median + self.dispersion.bias[*gene as usize])
            };
            genes.par_iter().zip(attended.par_chunks_exact_mut(n)).map(median).collect()
        })
    }

    /// The hidden layer of the output head into `wide`, `[n, 2 D]`; gives n.
    fn hidden(&self, embeddings: &[f32], workspace: &mut Workspace) -> usize {
        let width = self.width();
        let n = embeddings.len() / width;
        let Workspace { right, wide, .. } = workspace;
        wide.resize(n * 2 * width, 0.0);
        let bias = &self.hidden.bias;
        self.linear("head: hidden", self.hidden.weight.left(), (embeddings, n, width), right, wide, |at, to| {
            vector::gelu_of_sum(to, &bias[at..]);
        });
        n
    }

    fn width(&self) -> usize {
        self.gene_pos_embedding.len()
    }
}

impl Weight {
    fn left(&self) -> Left<'_> {
        match self {
            Self::Stored(stored) => Left::Rows(stored.rows()),
            Self::Kept(kept) => Left::Kept(kept.rows()),
        }
    }

    /// Only some outputs.
    fn chosen<'a>(&'a self, outputs: &'a [u32]) -> Left<'a> {
        match self {
            Self::Stored(stored) => Left::Rows(stored.rows().choose(outputs)),
            Self::Kept(kept) => Left::Kept(kept.rows().choose(outputs)),
        }
    }
}

impl Stored {
    fn rows(&self) -> Rows<'_> {
        Rows::new(&self.values[self.offset..], self.n, self.inputs, self.stride)
    }
}

/// Finds parameters by name. [`Checkpoint::open`] has checked names and shapes.
struct Reader<'a> {
    checkpoint: &'a mut Checkpoint,
    kernel: Kernel,
}

impl Reader<'_> {
    fn values(&mut self, name: &str) -> Result<Values, CheckpointError> {
        self.checkpoint.values(name)
    }

    fn copy(&mut self, name: &str) -> Result<Vec<f32>, CheckpointError> {
        Ok(self.values(name)?.to_vec())
    }

    fn norm(&mut self, name: &str) -> Result<Norm, CheckpointError> {
        Ok(Norm { weight: self.copy(&format!("{name}.weight"))?, bias: self.copy(&format!("{name}.bias"))? })
    }

    fn weight(&mut self, name: &str, n: usize, inputs: usize) -> Result<Weight, CheckpointError> {
        let values = Arc::new(self.values(name)?);
        Ok(self.hold(Stored { values, offset: 0, stride: inputs, n, inputs }))
    }

    fn linear(&mut self, name: &str, n: usize, inputs: usize) -> Result<Linear, CheckpointError> {
        let weight = self.weight(&format!("{name}.weight"), n, inputs)?;
        Ok(Linear { weight, bias: self.copy(&format!("{name}.bias"))? })
    }

    /// The output map. A checkpoint interleaves its rows: 2g is the scale of gene g, 2g + 1 its
    /// dispersion. They are two maps, because they are needed for different cells.
    fn heads(&mut self, genes: usize, inputs: usize) -> Result<[Linear; 2], CheckpointError> {
        let values = Arc::new(self.values("output_mlp.3.weight")?);
        let bias = self.values("output_mlp.3.bias")?;
        Ok([0, 1].map(|offset| Linear {
            weight: self.hold(Stored {
                values: values.clone(),
                offset: offset * inputs,
                stride: 2 * inputs,
                n: genes,
                inputs,
            }),
            bias: bias.iter().skip(offset).step_by(2).copied().collect(),
        }))
    }

    /// Weights in lower precision are packed once: that is what they are smaller for.
    fn hold(&self, weight: Stored) -> Weight {
        if self.kernel.is_full() {
            return Weight::Stored(weight);
        }
        let kept = Kept::new(self.kernel, weight.rows());
        weight.values.release();
        Weight::Kept(kept)
    }
}
