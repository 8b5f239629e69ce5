//! Runs an inference request: inputs to this machine, the model once, every arm, the summary last.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::input::{self, Cells, Reading};
use super::model::{self, Loaded};
use super::output::{self, Origin};
use super::profile;
use super::progress::Bar;
use super::{DeviceArg, Options, split};
use crate::anndata::Table;
use crate::cli::blocking::{Stop, blocking};
use crate::cli::{Error, Result};
use crate::domain::inference::{Arm, ArmSummary, InferRequest, InferSummary, Location, Method};
use crate::objects::Objects;
use crate::stack::generate::{GenerateError, Settings, generate};
use crate::stack::mean_shift;
use crate::stack::schedule::ScheduleError;
use crate::stack::spool::{Budget, Spool, Spooler};

/// Held at once, each as far as its share of the memory allows: the query cells as read, over the model's genes,
/// as predicted by a step and by the next, and their embeddings.
const HELD: usize = 5;

/// Runs a request to its end. Every output appears only when it is complete, and the summary after
/// all of them. Dropped before the end, it stops at the next window.
pub async fn run(
    request: &InferRequest,
    options: Options,
    warnings: Vec<String>,
    objects: &Objects,
) -> Result<InferSummary> {
    let start = Instant::now();
    let scratch = tempfile::tempdir().map_err(|error| Error::failed(format!("no temporary folder: {error}")))?;
    let bar = Bar::new(request.arms.len());
    let stop = Stop::default();
    let inputs = fetch(request, objects, scratch.path(), &bar).await?;
    let mut job = {
        let (request, bar) = (request.clone(), bar.clone());
        let budget = Budget { bytes: options.memory / HELD, scratch: scratch.path().to_owned() };
        blocking(move || Job::prepare(request, options, inputs, bar, budget, warnings)).await?
    };
    let mut arms = Vec::new();
    for (number, arm) in request.arms.iter().enumerate() {
        let file = scratch.path().join(format!("arm{number}.h5ad"));
        let (flag, written) = (stop.flag(), file.clone());
        let summary;
        (job, summary) = blocking(move || {
            let summary = job.predict(number, &written, &flag)?;
            Ok((job, summary))
        })
        .await?;
        if job.all.is_none() {
            bar.say(format!("{}: storing", arm.name));
            objects.store(&file, &arm.output).await?;
            std::fs::remove_file(&file).map_err(|error| Error::failed(format!("{}: {error}", file.display())))?;
        }
        tracing::info!(arm = arm.name, output = %arm.output, seconds = summary.seconds, "predicted {}", arm.name);
        arms.push(summary);
    }
    if let Some(all) = job.all.take() {
        let file = scratch.path().join("all.h5ad");
        let written = file.clone();
        (job, ()) = blocking(move || {
            job.write_all(all, &written)?;
            Ok((job, ()))
        })
        .await?;
        objects.store(&file, &request.arms[0].output).await?;
    }
    if let Some(loaded) = job.model.as_ref().filter(|_| job.options.profile) {
        profile::show(&loaded.model);
    }
    let summary = job.summary(arms, start.elapsed().as_secs_f64())?;
    if let Some(location) = &request.summary {
        let file = scratch.path().join("summary.json");
        let json = serde_json::to_vec_pretty(&summary).map_err(Error::bug)?;
        std::fs::write(&file, json).map_err(|error| Error::failed(format!("{}: {error}", file.display())))?;
        objects.store(&file, location).await?;
    }
    bar.finish();
    summary.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    Ok(summary)
}

/// Where each input is on this machine.
type Inputs = BTreeMap<String, PathBuf>;

/// Brings every input here, each once.
async fn fetch(request: &InferRequest, objects: &Objects, scratch: &Path, bar: &Bar) -> Result<Inputs> {
    let cells = request.arms.iter().flat_map(|arm| [Some(&arm.prompt), arm.control.as_ref()]);
    let others = [request.model.as_ref(), request.genes.as_ref(), Some(&request.query)];
    let mut inputs = Inputs::new();
    if let Some(location) = &request.model {
        model::check(location, objects).await?;
    }
    for location in others.into_iter().chain(cells).flatten() {
        if let Entry::Vacant(place) = inputs.entry(location.to_string()) {
            bar.say(format!("fetching {location}"));
            place.insert(objects.fetch(location, scratch).await?);
        }
    }
    Ok(inputs)
}

/// A job whose model and query are at hand.
struct Job {
    request: InferRequest,
    options: Options,
    inputs: Inputs,
    bar: Bar,
    device: &'static str,
    model: Option<Loaded>,
    query: Cells,
    /// The query over the model's genes.
    aligned: Option<Spool>,
    budget: Budget,
    obs: Table,
    /// What goes to one file, where all arms do.
    all: Option<All>,
    warnings: Vec<String>,
}

/// The predictions of all arms so far.
struct All {
    counts: Spooler,
    arms: Vec<(String, Option<Vec<f32>>)>,
}

impl Job {
    fn prepare(
        request: InferRequest,
        options: Options,
        inputs: Inputs,
        bar: Bar,
        budget: Budget,
        mut warnings: Vec<String>,
    ) -> Result<Self> {
        let uses_model = request.arms.iter().any(|arm| arm.method == Method::Stack);
        let (device, device_name) =
            model::device(if uses_model { options.device } else { DeviceArg::Cpu }, options.precision)?;
        let mut query = read(&inputs, &request.query, "query", &options, &budget)?;
        let (mut model, mut aligned) = (None, None);
        if let Some(location) = request.model.as_ref().filter(|_| uses_model) {
            bar.say("loading the model");
            query.check_human()?;
            let genes = request.genes.as_ref().map(|genes| path(&inputs, genes)).transpose()?;
            let loaded = model::load(path(&inputs, location)?, genes, &device)?;
            aligned = Some(query.align(&loaded.genes, &budget)?.0);
            warnings.extend(loaded.warnings());
            model = Some(loaded);
        }
        let obs = output::query_table(query.obs(), &mut warnings)?;
        let device = device_name;
        let mut job =
            Self { request, options, inputs, bar, device, model, query, aligned, budget, obs, all: None, warnings };
        if job.options.concatenate {
            let n_genes = job.genes(job.request.arms[0].method).len();
            job.all = Some(All { counts: Spooler::new(n_genes, &job.budget), arms: Vec::new() });
        }
        Ok(job)
    }

    /// Predicts one arm and writes it to a file of this machine.
    fn predict(&mut self, number: usize, file: &Path, stop: &AtomicBool) -> Result<ArmSummary> {
        let start = Instant::now();
        let arm = self.request.arms[number].clone();
        let what = if self.request.arms.len() == 1 { "prompt".to_owned() } else { format!("prompt of {}", arm.name) };
        let mut prompt = self.prompt(&arm, &what)?;
        let predicted = match arm.method {
            Method::Stack => self.stack(number, &arm, &mut prompt, stop)?,
            Method::MeanShift => self.mean_shift(&arm, &prompt)?,
        };
        self.warnings.append(&mut prompt.warnings);
        if let Some(all) = &mut self.all {
            all.counts.append(&predicted.counts).map_err(input::scratch)?;
            all.arms.push((arm.name.clone(), predicted.logits));
        } else {
            let obs = output::with_logits(self.obs.clone(), predicted.logits.as_deref());
            let data = output::anndata(obs, self.genes(arm.method), &self.origin(&arm))?;
            output::write(file, data, predicted.counts)?;
        }
        Ok(ArmSummary {
            name: arm.name.clone(),
            method: arm.method,
            output: arm.output.clone(),
            n_prompt_cells: prompt.len(),
            n_genes_matched: predicted.n_matched,
            seconds: start.elapsed().as_secs_f64(),
        })
    }

    /// Writes the predictions of all arms to one file.
    fn write_all(&self, all: All, file: &Path) -> Result {
        self.bar.say("writing all predictions");
        let arm = Arm { name: "all splits".to_owned(), ..self.request.arms[0].clone() };
        let obs = split::concatenated(&self.obs, &all.arms);
        let data = output::anndata(obs, self.genes(arm.method), &self.origin(&arm))?;
        output::write(file, data, all.counts.finish().map_err(input::scratch)?)
    }

    fn origin<'a>(&'a self, arm: &'a Arm) -> Origin<'a> {
        Origin {
            arm,
            sampling: &self.request.sampling,
            counts: self.options.counts,
            model: self.model.as_ref().filter(|_| arm.method == Method::Stack),
        }
    }

    fn stack(&mut self, number: usize, arm: &Arm, prompt: &mut Cells, stop: &AtomicBool) -> Result<Predicted> {
        let (Some(loaded), Some(query)) = (&self.model, &self.aligned) else {
            return Err(Error::bug("an arm uses STACK and no model was loaded"));
        };
        prompt.check_human()?;
        // Windows take prompt cells in any order, so they are held; a prompt is the cells of a donor.
        let (base, n_matched) = prompt.align(&loaded.genes, &Budget::unlimited())?;
        let base = base.into_csr().map_err(input::scratch)?;
        let n_cells = loaded.model.config().n_cells;
        if base.n_rows() < n_cells / 4 {
            self.warnings.push(format!(
                "arm {}: the prompt has {} cells for windows of {n_cells}, so its cells repeat",
                arm.name,
                base.n_rows()
            ));
        }
        let (sampling, bar) = (&self.request.sampling, &self.bar);
        let settings = Settings { sampling, counts: self.options.counts, budget: self.budget.clone() };
        let generated = generate(&loaded.model, &loaded.genes, &base, query.clone(), &settings, |at| {
            bar.advance(number, &arm.name, at);
            if stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        let generated = generated.map_err(|error| match error {
            GenerateError::Schedule(ScheduleError::Ratios { .. } | ScheduleError::Steps(_)) => Error::usage(error),
            GenerateError::NotAligned => Error::usage(error),
            GenerateError::Scratch(error) => input::scratch(error),
            error => Error::failed(error),
        })?;
        Ok(Predicted { counts: generated.counts, logits: generated.logits, n_matched })
    }

    fn mean_shift(&mut self, arm: &Arm, prompt: &Cells) -> Result<Predicted> {
        let Some(location) = &arm.control else {
            return Err(Error::bug("an arm uses mean-shift and has no control"));
        };
        self.bar.say(format!("{}: mean shift", arm.name));
        let mut control = self.read(location, &format!("control of {}", arm.name))?;
        self.warnings.append(&mut control.warnings);
        let [query, prompt, control] = [&self.query, prompt, &control].map(Cells::for_mean_shift);
        let (counts, seed) = (self.options.counts, self.request.sampling.seed);
        let shifted = mean_shift::predict(query, prompt, control, counts, seed, &self.budget);
        let shifted = shifted.map_err(Error::failed)?;
        Ok(Predicted { counts: shifted.counts, logits: None, n_matched: shifted.n_matched })
    }

    /// The prompt cells of an arm.
    fn prompt(&self, arm: &Arm, what: &str) -> Result<Cells> {
        let Some(split) = &arm.split else { return self.read(&arm.prompt, what) };
        let (file, shown) = (path(&self.inputs, &arm.prompt)?, arm.prompt.to_string());
        let values = split::values(file, &shown, &split.column)?;
        let rows: Vec<usize> = (0..values.len()).filter(|&row| values[row] == split.value).collect();
        if rows.is_empty() {
            return Err(Error::failed(format!("{shown}: no cell has {} {}", split.column, split.value)));
        }
        let gene_column = self.options.gene_column.as_deref();
        Cells::read(file, what, &shown, Reading { gene_column, rows: Some(&rows), budget: &self.budget })
    }

    fn read(&self, location: &Location, what: &str) -> Result<Cells> {
        read(&self.inputs, location, what, &self.options, &self.budget)
    }

    /// Names of the columns of a prediction: the model's genes, or the query's.
    fn genes(&self, method: Method) -> &[String] {
        match (&self.model, method) {
            (Some(loaded), Method::Stack) => loaded.genes.names(),
            _ => &self.query.genes,
        }
    }

    fn summary(mut self, arms: Vec<ArmSummary>, seconds: f64) -> Result<InferSummary> {
        let n_genes = self.genes(self.request.arms[0].method).len();
        let model_sha256 = self.model.as_ref().map(Loaded::sha256).transpose()?;
        self.warnings.append(&mut self.query.warnings);
        let mut warnings: Vec<String> = Vec::new();
        for warning in self.warnings {
            if !warnings.contains(&warning) {
                warnings.push(warning);
            }
        }
        Ok(InferSummary {
            arms,
            n_query_cells: self.query.len(),
            n_genes,
            model: self.model.as_ref().map(|loaded| loaded.name.clone()),
            model_sha256,
            model_licence: self.model.and_then(|loaded| loaded.licence),
            device: self.device.to_owned(),
            sampling: self.request.sampling,
            seconds,
            warnings,
        })
    }
}

/// What an arm came to.
struct Predicted {
    counts: Spool,
    logits: Option<Vec<f32>>,
    n_matched: usize,
}

fn read(inputs: &Inputs, location: &Location, what: &str, options: &Options, budget: &Budget) -> Result<Cells> {
    let reading = Reading { gene_column: options.gene_column.as_deref(), rows: None, budget };
    Cells::read(path(inputs, location)?, what, &location.to_string(), reading)
}

fn path<'a>(inputs: &'a Inputs, location: &Location) -> Result<&'a Path> {
    let found = inputs.get(&location.to_string());
    found.map(PathBuf::as_path).ok_or_else(|| Error::bug(format!("{location} was not fetched")))
}
