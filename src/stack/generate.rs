//! Generation in context: query cells are predicted step by step in the light of prompt cells.

use std::borrow::Cow;
use std::io;
use std::ops::ControlFlow;

use rayon::prelude::*;

use super::checkpoint::Kind;
use super::genes::GeneList;
use super::model::{Model, ModelError, States};
use super::random::CounterRng;
use super::sample::{is_zero, level, negative_binomial_at};
use super::schedule::{self, ScheduleError, Split, Step};
use super::spool::{self, Budget, Spool, Spooler};
use super::tokens::Tokens;
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
    /// Cells that do not fit in memory go through scratch files.
    #[error("cells could not be kept in a scratch file: {0}")]
    Scratch(#[from] io::Error),
    /// The caller asked to stop.
    #[error("stopped before the prediction was finished")]
    Stopped,
}

/// What decides a generation besides its cells.
#[derive(Clone, Debug)]
pub struct Settings<'a> {
    /// What decides the numbers.
    pub sampling: &'a Sampling,
    /// What a prediction puts in a cell.
    pub counts: Counts,
    /// Memory for the query cells and for the embeddings of a step, each; without effect on the numbers.
    pub budget: Budget,
}

/// Predicted cells.
#[derive(Debug)]
pub struct Generated {
    /// Query cells × model genes.
    pub counts: Spool,
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
    query: Spool,
    settings: &Settings,
    mut on_progress: impl FnMut(Progress) -> ControlFlow<()>,
) -> Result<Generated, GenerateError> {
    let mut generation = Generation::new(model, genes, base, query, settings)?;
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
    profile: Spool,
    budget: Budget,
    tokens: Known,
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
        query: Spool,
        settings: &Settings,
    ) -> Result<Self, GenerateError> {
        let sampling = settings.sampling;
        let n_genes = model.config().n_genes;
        for listed in [genes.len(), base.n_cols(), query.n_cols()] {
            if listed != n_genes {
                return Err(GenerateError::GeneCount { listed, model: n_genes });
            }
        }
        for (n_cells, what) in [(base.n_rows(), "prompt"), (query.n_rows(), "query")] {
            if n_cells == 0 {
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
            masked: vec![true; query.n_rows()],
            tokens: Known::new(model, base.n_rows(), query.n_rows()),
            profile: query,
            budget: settings.budget.clone(),
            done: 0,
            model,
            counts: settings.counts,
            steps,
            splits,
            hidden,
        })
    }

    /// The query cells as they are now.
    pub fn profile(&self) -> &Spool {
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
        let query = Query { cells: &self.profile, hidden: &self.hidden };
        let split = self.splits[self.done];
        let on_window = |window, n_windows| on_progress(Progress { step: step.number, n_steps, window, n_windows });
        let (tokens, budget) = (&mut self.tokens, &self.budget);
        let pass = Pass::run(self.model, &self.base, query, tokens, split, step.seed, budget, on_window)?;
        let logits = match self.mode {
            Mode::Mdm => pass.query_logits(self.model)?,
            Mode::Vanilla => None,
        };
        let kept = match &logits {
            Some(logits) => self.unmask(logits, step.mask_rate),
            None => vec![false; self.masked.len()],
        };
        self.profile = self.replaced(&pass, &kept, step.number)?;
        (0..kept.len()).filter(|&cell| !kept[cell]).for_each(|cell| self.tokens.query.forget(cell));
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
        let undecided = |(&cell, means): (&usize, &[f32])| -> Row {
            let means = means.iter().enumerate().map(|(gene, &mean)| (gene as u32, mean));
            means.filter(|&(gene, mean)| !is_zero(mean, level(&mut generator(cell, gene)))).collect()
        };
        let undecided: Vec<Row> =
            means.cells.par_iter().zip(means.values.par_chunks_exact(genes)).map(undecided).collect();
        let mut needed = vec![false; genes];
        undecided.iter().flatten().for_each(|&(gene, _)| needed[gene as usize] = true);
        let needed: Vec<u32> = (0..genes as u32).filter(|&gene| needed[gene as usize]).collect();
        let mut theta = vec![0.0; genes];
        for (&gene, found) in needed.iter().zip(pass.dispersions(self.model, window, &needed)?) {
            theta[gene as usize] = found;
        }
        let draw = |(&cell, means): (&usize, Row)| -> Row {
            let count = |(gene, mean)| {
                let mut generator = generator(cell, gene);
                let level = level(&mut generator);
                (gene, negative_binomial_at(mean, theta[gene as usize], level, &mut generator))
            };
            means.into_iter().map(count).filter(|&(_, count)| count > 0.0).collect()
        };
        Ok(means.cells.par_iter().zip(undecided).map(draw).collect())
    }

    /// The query cells after a step: those that were not kept are drawn, window by window.
    fn replaced(&self, pass: &Pass, kept: &[bool], step: u32) -> Result<Spool, GenerateError> {
        let mut next = Spooler::new(self.profile.n_cols(), &self.budget);
        for (number, window) in pass.windows().iter().enumerate() {
            let means = pass.means(self.model, number, |cell| !kept[cell])?;
            let drawn = match self.counts {
                Counts::Mean => means.rows(),
                Counts::Sampled => self.draw(pass, number, &means, step)?,
            };
            let mut drawn = means.cells.iter().zip(drawn).peekable();
            let cells = &window.query[..window.n_real];
            let (old, rows) = self.profile.rows(cells)?;
            for (&cell, &row) in cells.iter().zip(rows.iter()) {
                match drawn.next_if(|(of, _)| **of == cell) {
                    Some((_, new)) => next.push(new)?,
                    None => next.push(spool::pairs(&old, row))?,
                }
            }
        }
        Ok(next.finish()?)
    }
}

/// Tokens that are known of the cells of a generation.
#[derive(Clone, Debug)]
pub struct Known {
    base: Tokens,
    query: Tokens,
}

impl Known {
    /// None yet.
    pub fn new(model: &Model, n_base: usize, n_query: usize) -> Self {
        Self { base: Tokens::new(model, n_base), query: Tokens::new(model, n_query) }
    }
}

/// Gene and value, genes ascending.
type Row = Vec<(u32, f32)>;

/// One pass of the network over all windows, up to the embeddings.
///
/// Windows run one after the other, and the output heads afterwards, only for the cells that are
/// replaced: the memory needed is one window and the embeddings, as far as the budget allows.
pub struct Pass {
    split: Split,
    windows: Vec<Window>,
    embeddings: spool::Windows,
    /// Counts per query cell.
    library: Vec<f32>,
}

/// The query cells as a pass takes them.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    /// Their counts.
    pub cells: &'a Spool,
    /// Genes that are not fed to the network.
    pub hidden: &'a [usize],
}

impl Query<'_> {
    /// Counts that hold those of the given cells, and in which rows.
    fn window<'a>(&'a self, cells: &'a [usize]) -> io::Result<(Cow<'a, Csr>, Cow<'a, [usize]>)> {
        let (counts, rows) = self.cells.rows(cells)?;
        if self.hidden.is_empty() {
            return Ok((counts, rows));
        }
        let window = without(&counts.select_rows(&rows), self.hidden).into_owned();
        Ok((Cow::Owned(window), (0..cells.len()).collect()))
    }
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
        let genes = self.values.len() / self.cells.len().max(1);
        let row = |means: &[f32]| {
            let genes = means.iter().enumerate().map(|(gene, &mean)| (gene as u32, mean));
            genes.filter(|&(_, mean)| mean > 0.0).collect()
        };
        self.values.chunks_exact(genes.max(1)).map(row).collect()
    }
}

impl Pass {
    /// Runs the network. `on_window` hears how many windows of how many are done.
    #[expect(clippy::too_many_arguments, reason = "model, cells, split, seed, room, and who listens")]
    pub fn run(
        model: &Model,
        base: &Csr,
        query: Query,
        known: &mut Known,
        split: Split,
        seed: u64,
        budget: &Budget,
        mut on_window: impl FnMut(usize, usize) -> ControlFlow<()>,
    ) -> Result<Self, GenerateError> {
        let windows = windows::in_context(base.n_rows(), query.cells.n_rows(), &split, seed);
        let mut embeddings = spool::Windows::new(budget);
        let mut library = Vec::with_capacity(query.cells.n_rows());
        for window in &windows {
            let (counts, rows) = query.window(&window.query)?;
            let sum = |&row: &usize| counts.row(row).1.iter().map(|&count| f64::from(count)).sum::<f64>() as f32;
            library.extend(rows[..window.n_real].iter().map(sum));
            let mut tokens = States::new(Vec::new(), model.config().width());
            known.base.append(model, &window.base, base, &window.base, &mut tokens)?;
            known.query.append(model, &window.query, &counts, &rows, &mut tokens)?;
            embeddings.push(model.embed(tokens, split.n_context, split.n_prompt)?)?;
            if on_window(embeddings.len(), windows.len()).is_break() {
                return Err(GenerateError::Stopped);
            }
        }
        Ok(Self { split, windows, embeddings, library })
    }

    /// The windows.
    pub fn windows(&self) -> &[Window] {
        &self.windows
    }

    /// The logit of every query cell; `None` for a base model.
    pub fn query_logits(&self, model: &Model) -> Result<Option<Vec<f32>>, GenerateError> {
        let mut all = Vec::with_capacity(self.library.len());
        for (number, window) in self.windows.iter().enumerate() {
            let embeddings = self.embeddings.get(number)?;
            let Some(logits) = model.query_logits(&embeddings, self.split.n_context)? else { return Ok(None) };
            // The logits begin at n_context, which may be one base cell before the query cells.
            let first = self.split.n_base - self.split.n_context;
            all.extend_from_slice(&logits[first..first + window.n_real]);
        }
        Ok(Some(all))
    }

    /// What is expected of the query cells of a window that are wanted.
    ///
    /// # Panics
    /// If there is no such window.
    pub fn means(&self, model: &Model, window: usize, wanted: impl Fn(usize) -> bool) -> Result<Means, GenerateError> {
        let query = &self.windows[window].query[..self.windows[window].n_real];
        let wanted = query.iter().enumerate().filter(|(_, cell)| wanted(**cell));
        let (rows, cells): (Vec<usize>, Vec<usize>) =
            wanted.map(|(row, &cell)| (self.split.n_base + row, cell)).unzip();
        if cells.is_empty() {
            return Ok(Means { cells, values: Vec::new() });
        }
        let mut values = model.scales(&self.embeddings.get(window)?.select(rows))?;
        for (row, &cell) in values.chunks_exact_mut(model.config().n_genes).zip(&cells) {
            row.iter_mut().for_each(|scale| *scale *= self.library[cell]);
        }
        Ok(Means { cells, values })
    }

    /// Inverse dispersion of the given genes in a window.
    ///
    /// # Panics
    /// If there is no such window or gene.
    pub fn dispersions(&self, model: &Model, window: usize, genes: &[u32]) -> Result<Vec<f32>, GenerateError> {
        if genes.is_empty() {
            return Ok(Vec::new());
        }
        let embeddings = self.embeddings.get(window)?;
        Ok(model.median_dispersions(&embeddings.range(0..self.split.n_context), genes)?)
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
