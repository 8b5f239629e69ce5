//! Generation in context: query cells are predicted step by step in the light of prompt cells.

use std::borrow::Cow;
use std::ops::ControlFlow;

use rayon::prelude::*;

use super::checkpoint::Kind;
use super::genes::GeneList;
use super::model::{Model, ModelError, States};
use super::random::CounterRng;
use super::sample::negative_binomial;
use super::schedule::{self, ScheduleError, Split, Step};
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
    base: Cow<'a, Csr>,
    mode: Mode,
    seed: u64,
    counts: Counts,
    steps: Vec<Step>,
    splits: Vec<Split>,
    done: usize,
    /// The query cells as they are now.
    profile: Csr,
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
            base: without(base, &hidden),
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
        let query = without(&self.profile, &self.hidden);
        let pass =
            Pass::run(self.model, &self.base, &query, self.splits[self.done], step.seed, |window, n_windows| {
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
            let Some(prediction) = pass.predict(self.model, window, wanted)? else { continue };
            for (cell, row) in self.draw(&prediction, step.number) {
                rows[cell] = Some(row);
            }
        }
        self.replace(rows);
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

    /// The new profiles of predicted cells.
    fn draw(&self, prediction: &Prediction, step: u32) -> Vec<(usize, Row)> {
        let genes = self.model.config().n_genes;
        let draw = |(&cell, means): (&usize, &[f32])| {
            let count = |(gene, (&mean, &theta)): (usize, (&f32, &f32))| {
                let value = match self.counts {
                    Counts::Mean => mean,
                    Counts::Sampled => {
                        let mut generator = CounterRng::new(self.seed, step, cell as u32, gene as u32);
                        negative_binomial(mean, theta, &mut generator)
                    }
                };
                (value > 0.0).then_some((gene as u32, value))
            };
            (cell, means.iter().zip(&prediction.theta).enumerate().filter_map(count).collect())
        };
        prediction.cells.par_iter().zip(prediction.means.par_chunks_exact(genes)).map(draw).collect()
    }

    fn replace(&mut self, rows: Vec<Option<Row>>) {
        let old = &self.profile;
        let row = |(cell, new): (usize, Option<Row>)| {
            new.unwrap_or_else(|| {
                let (columns, values) = old.row(cell);
                columns.iter().copied().zip(values.iter().copied()).collect()
            })
        };
        let rows = rows.into_iter().enumerate().map(row);
        self.profile = Csr::from_rows(old.n_cols(), rows).expect("genes of a row ascend and are the model's");
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

/// Predicted cells of one window.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// Rows of the query cells.
    pub cells: Vec<usize>,
    /// Means, one row of genes per cell.
    pub means: Vec<f32>,
    /// Inverse dispersion of each gene.
    pub theta: Vec<f32>,
}

impl Pass {
    /// Runs the network. `on_window` hears how many windows of how many are done.
    pub fn run(
        model: &Model,
        base: &Csr,
        query: &Csr,
        split: Split,
        seed: u64,
        mut on_window: impl FnMut(usize, usize) -> ControlFlow<()>,
    ) -> Result<Self, GenerateError> {
        let windows = windows::in_context(base.n_rows(), query.n_rows(), &split, seed);
        let mut embeddings = Vec::with_capacity(windows.len());
        for window in &windows {
            let mut tokens = model.tokens(base, &window.base)?;
            tokens.extend(model.tokens(query, &window.query)?.values());
            embeddings.push(model.embed(tokens, split.n_context, split.n_prompt)?);
            if on_window(embeddings.len(), windows.len()).is_break() {
                return Err(GenerateError::Stopped);
            }
        }
        let library = query.row_sums().into_iter().map(|sum| sum as f32).collect();
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

    /// Predicts the query cells of a window that are wanted; `None` if none is.
    ///
    /// # Panics
    /// If there is no such window.
    pub fn predict(
        &self,
        model: &Model,
        window: usize,
        wanted: impl Fn(usize) -> bool,
    ) -> Result<Option<Prediction>, GenerateError> {
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
        let mut means = model.scales(&embeddings.select(rows))?;
        for (row, &cell) in means.chunks_exact_mut(model.config().n_genes).zip(&cells) {
            row.iter_mut().for_each(|scale| *scale *= self.library[cell]);
        }
        let theta = model.median_dispersions(&embeddings.range(0..split.n_context))?;
        Ok(Some(Prediction { cells, means, theta }))
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
