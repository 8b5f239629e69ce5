//! Generation in context: query cells are predicted step by step in the light of prompt cells.

use std::borrow::Cow;
use std::ops::ControlFlow;

use rayon::prelude::*;

use super::checkpoint::Kind;
use super::genes::GeneList;
use super::model::{Model, ModelError, States};
use super::random::CounterRng;
use super::sample::{is_zero, level, negative_binomial_at};
use super::schedule::{self, ScheduleError, Split, Step};
use super::tokens::Tokenised;
use super::windows::{self, Window};
use crate::domain::Csr;
use crate::domain::inference::{Mode, Sampling};

/// What a prediction puts in a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counts {
    /// Counts drawn from the predicted negative binomials.
    Sampled,
    /// Their means, which are not whole numbers; for comparisons.
    Mean,
}

/// How far a generation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The current step, counted from 1.
    pub step: u32,
    /// Steps in all.
    pub n_steps: u32,
    /// Windows of this step that are done.
    pub window: usize,
    /// Windows of this step.
    pub n_windows: usize,
}

/// Why nothing was generated.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// The settings.
    #[error("{0}")]
    Schedule(#[from] ScheduleError),
    /// The network.
    #[error("{0}")]
    Model(#[from] ModelError),
    /// The gene list is not the model's.
    #[error("the gene list has {listed} genes and the model {model}; they do not belong together")]
    GeneCount {
        /// Genes of the list.
        listed: usize,
        /// Genes of the model.
        model: usize,
    },
    /// No cells.
    #[error("there are no {0} cells")]
    NoCells(&'static str),
    /// Masked diffusion with a model that cannot tell masked cells.
    #[error(
        "this is a base model, and mdm needs an aligned one to tell finished cells; use mode vanilla, or the aligned model"
    )]
    NotAligned,
    /// The caller asked to stop.
    #[error("stopped before the prediction was finished")]
    Stopped,
}

/// Predicted cells.
#[derive(Clone, Debug, PartialEq)]
pub struct Generated {
    /// Query cells × model genes.
    pub counts: Csr,
    /// Of the last step's pass, made *before* its replacements; masked diffusion only.
    pub logits: Option<Vec<f32>>,
}

/// Runs all steps.
///
/// `base` and `query` are counts over the model's genes. `on_progress` is called after every window
/// and may break off.
pub fn generate(
    model: &Model,
    genes: &GeneList,
    base: &Csr,
    query: &Csr,
    sampling: &Sampling,
    counts: Counts,
    mut on_progress: impl FnMut(Progress) -> ControlFlow<()>,
) -> Result<Generated, GenerateError> {
    let mut generation = Generation::new(model, genes, base, query, sampling, counts)?;
    let mut logits = None;
    while let Some(step) = generation.advance(&mut on_progress)? {
        logits = step.logits;
    }
    Ok(Generated { counts: generation.profile, logits })
}

/// A generation between two steps.
pub struct Generation<'a> {
    model: &'a Model,
    base: Tokenised<'a>,
    mode: Mode,
    seed: u64,
    counts: Counts,
    steps: Vec<Step>,
    splits: Vec<Split>,
    done: usize,
    /// The query cells as they are now.
    profile: Csr,
    /// The same, as far as the network is fed them.
    query: Tokenised<'static>,
    /// Which of them are still to be predicted, or to be predicted again.
    masked: Vec<bool>,
    /// Which genes the network is fed; empty for all.
    hidden: Vec<usize>,
}

/// What one step did.
#[derive(Clone, Debug, PartialEq)]
pub struct StepDone {
    /// The step.
    pub step: Step,
    /// Logit of every query cell (`mdm`).
    pub logits: Option<Vec<f32>>,
    /// Which cells kept their profile.
    pub kept: Vec<bool>,
}

impl<'a> Generation<'a> {
    /// Checks that the parts fit together.
    pub fn new(
        model: &'a Model,
        genes: &GeneList,
        base: &'a Csr,
        query: &Csr,
        sampling: &Sampling,
        counts: Counts,
    ) -> Result<Self, GenerateError> {
        let n_genes = model.config().n_genes;
        for listed in [genes.len(), base.n_cols(), query.n_cols()] {
            if listed != n_genes {
                return Err(GenerateError::GeneCount { listed, model: n_genes });
            }
        }
        for (cells, what) in [(base, "prompt"), (query, "query")] {
            if cells.n_rows() == 0 {
                return Err(GenerateError::NoCells(what));
            }
        }
        if sampling.mode == Mode::Mdm && model.kind() == Kind::Base {
            return Err(GenerateError::NotAligned);
        }
        let steps = schedule::steps(sampling)?;
        let split = |step: &Step| Split::new(model.config().n_cells, sampling.prompt_ratio, step.context_ratio);
        let splits = steps.iter().map(split).collect::<Result<_, _>>()?;
        // The reference matches the network's input by exact upper-case name, so it never feeds a
        // gene whose listed name is not upper case, though it predicts it.
        let hidden: Vec<usize> =
            genes.is_upper().iter().enumerate().filter(|(_, upper)| !**upper).map(|(gene, _)| gene).collect();
        Ok(Self {
            base: Tokenised::new(model, without(base, &hidden))?,
            query: Tokenised::new(model, Cow::Owned(without(query, &hidden).into_owned()))?,
            mode: sampling.mode,
            seed: sampling.seed,
            profile: query.clone(),
            masked: vec![true; query.n_rows()],
            done: 0,
            model,
            counts,
            steps,
            splits,
            hidden,
        })
    }

    /// The query cells as they are now.
    pub fn profile(&self) -> &Csr {
        &self.profile
    }

    /// Which query cells are still masked.
    pub fn masked(&self) -> &[bool] {
        &self.masked
    }

    /// Runs the next step; `None` if there is none left.
    pub fn advance(
        &mut self,
        mut on_progress: impl FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Option<StepDone>, GenerateError> {
        let Some(&step) = self.steps.get(self.done) else { return Ok(None) };
        let n_steps = self.steps.len() as u32;
        let pass =
            Pass::run(self.model, &self.base, &self.query, self.splits[self.done], step.seed, |window, n_windows| {
                on_progress(Progress { step: step.number, n_steps, window, n_windows })
            })?;
        let logits = match self.mode {
            Mode::Mdm => pass.query_logits(self.model)?,
            Mode::Vanilla => None,
        };
        let kept = match &logits {
            Some(logits) => self.unmask(logits, step.mask_rate),
            None => vec![false; self.masked.len()],
        };
        let mut rows: Vec<Option<Row>> = vec![None; kept.len()];
        for window in 0..pass.windows().len() {
            let wanted = |cell: usize| !kept[cell];
            let Some(means) = pass.means(self.model, window, wanted)? else { continue };
            let drawn = match self.counts {
                Counts::Mean => means.rows(),
                Counts::Sampled => self.draw(&pass, window, &means, step.number)?,
            };
            for (cell, row) in means.cells.into_iter().zip(drawn) {
                rows[cell] = Some(row);
            }
        }
        self.replace(rows)?;
        self.done += 1;
        Ok(Some(StepDone { step, logits, kept }))
    }

    /// Which cells keep their profile, given how masked each looks; updates the mask.
    ///
    /// Of the masked cells those up to the threshold are replaced and taken as done. Then every
    /// cell that still looks masked becomes masked, those done earlier included.
    fn unmask(&mut self, logits: &[f32], mask_rate: f32) -> Vec<bool> {
        let candidates: Vec<f32> =
            logits.iter().zip(&self.masked).filter(|(_, masked)| **masked).map(|(logit, _)| *logit).collect();
        let threshold = schedule::threshold(&candidates, logits.len(), mask_rate);
        let keeps = |(&logit, &masked): (&f32, &bool)| !masked || threshold.is_none_or(|threshold| logit > threshold);
        let kept: Vec<bool> = logits.iter().zip(&self.masked).map(keeps).collect();
        for ((masked, &kept), &logit) in self.masked.iter_mut().zip(&kept).zip(logits) {
            *masked = (*masked && kept) || logit > 0.0;
        }
        kept
    }

    /// New profiles for the cells of a window.
    ///
    /// Most counts are 0 whatever the dispersion. Dispersions are computed for the other genes only.
    fn draw(&self, pass: &Pass, window: usize, means: &Means, step: u32) -> Result<Vec<Row>, GenerateError> {
        let genes = self.model.config().n_genes;
        let generator = |cell: usize, gene: u32| CounterRng::new(self.seed, step, cell as u32, gene);
        let undecided = |(&cell, means): (&usize, &[f32])| -> Vec<(u32, f32)> {
            let means = means.iter().enumerate().map(|(gene, &mean)| (gene as u32, mean));
            means.filter(|&(gene, mean)| !is_zero(mean, level(&mut generator(cell, gene)))).collect()
        };
        let undecided: Vec<Vec<(u32, f32)>> =
            means.cells.par_iter().zip(means.values.par_chunks_exact(genes)).map(undecided).collect();
        let mut needed = vec![false; genes];
        undecided.iter().flatten().for_each(|&(gene, _)| needed[gene as usize] = true);
        let needed: Vec<u32> = (0..genes as u32).filter(|&gene| needed[gene as usize]).collect();
        let mut theta = vec![0.0; genes];
        for (&gene, found) in needed.iter().zip(pass.dispersions(self.model, window, &needed)?) {
            theta[gene as usize] = found;
        }
        let draw = |(&cell, genes): (&usize, Vec<(u32, f32)>)| -> Row {
            let count = |(gene, mean)| {
                let mut generator = generator(cell, gene);
                let level = level(&mut generator);
                (gene, negative_binomial_at(mean, theta[gene as usize], level, &mut generator))
            };
            genes.into_iter().map(count).filter(|&(_, count)| count > 0.0).collect()
        };
        Ok(means.cells.par_iter().zip(undecided).map(draw).collect())
    }

    fn replace(&mut self, rows: Vec<Option<Row>>) -> Result<(), GenerateError> {
        let changed: Vec<usize> = (0..rows.len()).filter(|&cell| rows[cell].is_some()).collect();
        let old = &self.profile;
        let row = |(cell, new): (usize, Option<Row>)| {
            new.unwrap_or_else(|| {
                let (columns, values) = old.row(cell);
                columns.iter().copied().zip(values.iter().copied()).collect()
            })
        };
        let rows = rows.into_iter().enumerate().map(row);
        self.profile = Csr::from_rows(old.n_cols(), rows).expect("genes of a row ascend and are the model's");
        let fed = without(&self.profile, &self.hidden).into_owned();
        Ok(self.query.replace(self.model, fed, &changed)?)
    }
}

/// Gene and value, genes ascending.
type Row = Vec<(u32, f32)>;

/// One pass of the network over all windows, up to the embeddings.
///
/// Windows run one after the other, and the output heads afterwards, only for the cells that are
/// replaced: the memory needed is one window and the embeddings.
pub struct Pass {
    split: Split,
    windows: Vec<Window>,
    /// Per window.
    embeddings: Vec<States>,
    /// Counts per query cell.
    library: Vec<f32>,
}

/// What is expected of some cells of one window.
#[derive(Clone, Debug, PartialEq)]
pub struct Means {
    /// Rows of the query cells.
    pub cells: Vec<usize>,
    /// One row of genes per cell.
    pub values: Vec<f32>,
}

impl Means {
    /// The values that are not 0.
    fn rows(&self) -> Vec<Row> {
        let genes = self.values.len() / self.cells.len();
        let row = |means: &[f32]| {
            let genes = means.iter().enumerate().map(|(gene, &mean)| (gene as u32, mean));
            genes.filter(|&(_, mean)| mean > 0.0).collect()
        };
        self.values.chunks_exact(genes).map(row).collect()
    }
}

impl Pass {
    /// Runs the network. `on_window` hears how many windows of how many are done.
    pub fn run(
        model: &Model,
        base: &Tokenised<'_>,
        query: &Tokenised<'_>,
        split: Split,
        seed: u64,
        mut on_window: impl FnMut(usize, usize) -> ControlFlow<()>,
    ) -> Result<Self, GenerateError> {
        let windows = windows::in_context(base.counts().n_rows(), query.counts().n_rows(), &split, seed);
        let mut embeddings = Vec::with_capacity(windows.len());
        for window in &windows {
            let mut tokens = States::new(Vec::new(), model.config().width());
            base.append(model, &window.base, &mut tokens)?;
            query.append(model, &window.query, &mut tokens)?;
            embeddings.push(model.embed(tokens, split.n_context, split.n_prompt)?);
            if on_window(embeddings.len(), windows.len()).is_break() {
                return Err(GenerateError::Stopped);
            }
        }
        let library = query.counts().row_sums().into_iter().map(|sum| sum as f32).collect();
        Ok(Self { split, windows, embeddings, library })
    }

    /// The windows.
    pub fn windows(&self) -> &[Window] {
        &self.windows
    }

    /// The logit of every query cell; `None` for a base model.
    pub fn query_logits(&self, model: &Model) -> Result<Option<Vec<f32>>, GenerateError> {
        let mut all = Vec::with_capacity(self.library.len());
        for (window, embeddings) in self.windows.iter().zip(&self.embeddings) {
            let Some(logits) = model.query_logits(embeddings, self.split.n_context)? else { return Ok(None) };
            // The logits begin at n_context, which may be one base cell before the query cells.
            let first = self.split.n_base - self.split.n_context;
            all.extend_from_slice(&logits[first..first + window.n_real]);
        }
        Ok(Some(all))
    }

    /// What is expected of the query cells of a window that are wanted; `None` if none is.
    ///
    /// # Panics
    /// If there is no such window.
    pub fn means(
        &self,
        model: &Model,
        window: usize,
        wanted: impl Fn(usize) -> bool,
    ) -> Result<Option<Means>, GenerateError> {
        let (embeddings, split) = (&self.embeddings[window], &self.split);
        let query = &self.windows[window].query[..self.windows[window].n_real];
        let (rows, cells): (Vec<usize>, Vec<usize>) = query
            .iter()
            .enumerate()
            .filter(|(_, cell)| wanted(**cell))
            .map(|(row, &cell)| (split.n_base + row, cell))
            .unzip();
        if cells.is_empty() {
            return Ok(None);
        }
        let mut values = model.scales(&embeddings.select(rows))?;
        for (row, &cell) in values.chunks_exact_mut(model.config().n_genes).zip(&cells) {
            row.iter_mut().for_each(|scale| *scale *= self.library[cell]);
        }
        Ok(Some(Means { cells, values }))
    }

    /// Inverse dispersion of the given genes in a window.
    ///
    /// # Panics
    /// If there is no such window or gene.
    pub fn dispersions(&self, model: &Model, window: usize, genes: &[u32]) -> Result<Vec<f32>, GenerateError> {
        Ok(model.median_dispersions(&self.embeddings[window].range(0..self.split.n_context), genes)?)
    }
}

/// The counts without some genes.
fn without<'a>(counts: &'a Csr, hidden: &[usize]) -> Cow<'a, Csr> {
    if hidden.is_empty() {
        return Cow::Borrowed(counts);
    }
    let mut columns: Vec<Option<usize>> = (0..counts.n_cols()).map(Some).collect();
    hidden.iter().for_each(|&gene| columns[gene] = None);
    Cow::Owned(counts.select_columns(&columns))
}
