//! Prediction: the cells are written, one inference job computes all arms, its outputs are read.

use std::collections::HashMap;
use std::path::Path;

use bytes::Bytes;

use crate::anndata::{self, AnnData, Column, File, Matrix, Numbers, Table};
use crate::atlas::Drawn;
use crate::domain::inference::{
    Arm, CONTROL_ARM as CONTROL, InferRequest, InferSummary, Location, Method, QUERY_CELLS, Sampling,
};
use crate::domain::run::{Predictor, Settings};
use crate::domain::{Expression, RunId};
use crate::executor::Job;
use crate::objects::ObjectKey;

use super::context::Context;
use super::failure::{self, Stop};
use super::iterate::Cells;

/// Predicted cells and what they are compared with. All four matrices have the same genes in the same
/// order, so that answer and baseline are judged alike.
#[derive(Debug)]
pub struct Predictions {
    /// Predicted perturbed cells.
    pub treatment: Expression,
    /// Predicted control cells, or the query cells.
    pub control: Expression,
    /// The mean shift of the same query cells.
    pub baseline: Pair,
    /// What inference said.
    pub summary: InferSummary,
}

/// Cells and what they are compared with.
#[derive(Debug)]
pub struct Pair {
    /// Predicted perturbed cells.
    pub treatment: Expression,
    /// What they are compared with.
    pub control: Expression,
}

const PERTURBED: &str = "perturbed";
const BASELINE: &str = "baseline";

/// Predicts the response of the query cells, with every arm in one job. Cells already predicted, as
/// before a restart, are read again instead.
pub async fn predict(
    ctx: &Context,
    run: &RunId,
    iteration: u32,
    settings: &Settings,
    cells: &Cells,
) -> Result<Predictions, Stop> {
    let step = Step { ctx, run, iteration };
    let scratch = tempfile::tempdir().map_err(|error| failure::output(&error))?;
    let summary_key = ObjectKey::InferSummary { run: run.clone(), iteration };
    if !ctx.objects.exists(&summary_key).await? {
        let request = step.request(settings, cells, scratch.path()).await?;
        let request = serde_json::to_vec_pretty(&request).map_err(|error| failure::output(&error))?;
        let request_key = ObjectKey::InferRequest { run: run.clone(), iteration };
        ctx.objects.put(&request_key, Bytes::from(request)).await?;
        step.infer(&request_key).await?;
    }
    let summary = ctx.objects.get(&summary_key).await?;
    let summary: InferSummary = serde_json::from_slice(&summary).map_err(|error| {
        failure::inference(format!("the summary of the inference job is not readable: {error}"), None)
    })?;
    step.read(summary, cells, scratch.path()).await
}

struct Step<'a> {
    ctx: &'a Context,
    run: &'a RunId,
    iteration: u32,
}

impl Step<'_> {
    fn input(&self, name: &str) -> ObjectKey {
        ObjectKey::RunInput { run: self.run.clone(), iteration: self.iteration, name: name.to_owned() }
    }

    fn output(&self, arm: &str) -> ObjectKey {
        ObjectKey::Prediction { run: self.run.clone(), iteration: self.iteration, arm: arm.to_owned() }
    }

    /// Writes the inputs; names them and the outputs.
    async fn request(&self, settings: &Settings, cells: &Cells, scratch: &Path) -> Result<InferRequest, Stop> {
        let prompt = self.write("prompt", &cells.prompt, scratch).await?;
        let query = self.write(QUERY_CELLS, &cells.query, scratch).await?;
        let control = match &cells.control {
            Some(control) => Some(self.write("control_prompt", control, scratch).await?),
            None => None,
        };
        let arm = |name: &str, method, prompt: &Location, control: Option<&Location>| Arm {
            name: name.to_owned(),
            method,
            prompt: prompt.clone(),
            split: None,
            control: control.cloned(),
            output: Location::Key(self.output(name).to_string()),
        };
        // Without paired controls, the query cells stand in for them: the shift then includes the
        // difference between the two groups of cells.
        let baseline_control = control.as_ref().unwrap_or(&query);
        let mut arms = vec![arm(BASELINE, Method::MeanShift, &prompt, Some(baseline_control))];
        let mut model = None;
        if let Predictor::Stack { model: name } = &settings.predictor {
            model = Some(Location::Key(ObjectKey::model_folder(name)));
            arms.push(arm(PERTURBED, Method::Stack, &prompt, None));
            arms.extend(control.as_ref().map(|control| arm(CONTROL, Method::Stack, control, None)));
        }
        Ok(InferRequest {
            model,
            genes: None,
            query,
            arms,
            sampling: Sampling { seed: settings.seed, ..Sampling::default() },
            summary: Some(Location::Key(
                ObjectKey::InferSummary { run: self.run.clone(), iteration: self.iteration }.to_string(),
            )),
        })
    }

    async fn write(&self, name: &str, cells: &Drawn, scratch: &Path) -> Result<Location, Stop> {
        let key = self.input(name);
        let path = scratch.join(format!("{name}.h5ad"));
        let data = annotated(cells);
        let (written, at) = (path.clone(), path.clone());
        blocking(move || anndata::write(&written, &data)).await?.map_err(|error| failure::output(&error))?;
        self.ctx.objects.put_file(&key, &at).await?;
        Ok(Location::Key(key.to_string()))
    }

    /// Submits the job and waits for it. A cancelled run takes its job with it.
    async fn infer(&self, request: &ObjectKey) -> Result<(), Stop> {
        let job = Job::Infer { run: self.run.clone(), iteration: self.iteration, request: request.to_string() };
        let cancelled = async {
            loop {
                tokio::time::sleep(CANCEL_POLL).await;
                if self.ctx.database.should_stop(self.run).await? {
                    return Ok::<_, crate::database::Error>(());
                }
            }
        };
        tokio::select! {
            ended = self.ctx.executor.run(&job) => ended.map_err(|error| failure::inference(error.to_string(), None)),
            stopped = cancelled => { stopped?; Err(Stop::Cancelled) }
        }
    }

    /// Reads the predictions and brings everything to the same genes.
    async fn read(&self, summary: InferSummary, cells: &Cells, scratch: &Path) -> Result<Predictions, Stop> {
        let mut read: HashMap<String, Expression> = HashMap::new();
        for arm in &summary.arms {
            let path = scratch.join(format!("{}.predicted.h5ad", arm.name));
            self.ctx.objects.get_file(&self.output(&arm.name), &path).await?;
            let expression = blocking(move || File::open(&path)?.read_expression(&Matrix::X, None, None)).await?;
            let unreadable = |error: anndata::Error| failure::inference(error.to_string(), None);
            read.insert(arm.name.clone(), expression.map_err(unreadable)?);
        }
        let query = &cells.query.expression;
        let missing = |name| failure::inference(format!("the inference job wrote no arm '{name}'"), None);
        let baseline = read.remove(BASELINE).ok_or_else(|| missing(BASELINE))?;
        let treatment = read.remove(PERTURBED);
        let control = read.remove(CONTROL);
        let all: Vec<&Expression> =
            [Some(query), Some(&baseline), treatment.as_ref(), control.as_ref()].into_iter().flatten().collect();
        let genes = common_genes(&all);
        if genes.is_empty() {
            let hint = "are the genes of the atlas named by symbol?";
            return Err(failure::inference("the model and the atlas have no gene in common".into(), Some(hint)));
        }
        let query = restrict(query, &genes);
        let baseline = restrict(&baseline, &genes);
        Ok(Predictions {
            control: control.map_or_else(|| query.clone(), |control| restrict(&control, &genes)),
            treatment: treatment.map_or_else(|| baseline.clone(), |treatment| restrict(&treatment, &genes)),
            baseline: Pair { treatment: baseline, control: query },
            summary,
        })
    }
}

/// How often a waiting run looks whether it was cancelled.
const CANCEL_POLL: std::time::Duration = std::time::Duration::from_secs(1);

/// Drawn cells as AnnData, with what is known of each cell.
fn annotated(cells: &Drawn) -> AnnData {
    let column =
        |of: &dyn Fn(&crate::atlas::DrawnCell) -> Option<String>| Column::Strings(cells.cells.iter().map(of).collect());
    let obs = Table {
        index_name: None,
        index: cells.expression.cells.clone(),
        columns: vec![
            ("dataset".into(), column(&|cell| Some(cell.key.dataset.clone()))),
            ("row".into(), Column::Integers(cells.cells.iter().map(|cell| Some(i64::from(cell.row))).collect())),
            ("cell_type".into(), column(&|cell| Some(cell.key.cell_type.name().to_owned()))),
            ("cell_type_ontology_term_id".into(), column(&|cell| cell.key.cell_type_id().map(ToString::to_string))),
            (
                "perturbation".into(),
                column(&|cell| {
                    Some(
                        cell.key
                            .condition
                            .perturbation()
                            .map_or_else(|| "control".to_owned(), |label| label.name().to_owned()),
                    )
                }),
            ),
            ("donor_id".into(), column(&|cell| cell.key.donor.clone())),
        ],
    };
    AnnData {
        obs,
        var: Table { index_name: None, index: cells.expression.genes.clone(), columns: vec![] },
        x: Some(Numbers::Sparse(cells.expression.counts.clone())),
        ..AnnData::default()
    }
}

/// Genes, by symbol in upper case, that all have; in the order and spelling of the first.
fn common_genes(all: &[&Expression]) -> Vec<String> {
    let sets: Vec<std::collections::HashSet<String>> =
        all.iter().map(|expression| expression.genes.iter().map(|gene| gene.to_uppercase()).collect()).collect();
    let mut seen = std::collections::HashSet::new();
    let common = |gene: &&String| {
        let symbol = gene.to_uppercase();
        sets.iter().all(|set| set.contains(&symbol)) && seen.insert(symbol)
    };
    all.first().map_or_else(Vec::new, |first| first.genes.iter().filter(common).cloned().collect())
}

fn restrict(expression: &Expression, genes: &[String]) -> Expression {
    let places: HashMap<String, usize> =
        expression.genes.iter().enumerate().map(|(at, gene)| (gene.to_uppercase(), at)).collect();
    let sources: Vec<Option<usize>> = genes.iter().map(|gene| places.get(&gene.to_uppercase()).copied()).collect();
    Expression {
        cells: expression.cells.clone(),
        genes: genes.to_vec(),
        counts: expression.counts.select_columns(&sources),
    }
}

/// Files are read and written on a thread of their own.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Stop> {
    tokio::task::spawn_blocking(work).await.map_err(|error| failure::output(&error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Csr;

    fn expression(genes: &[&str], row: &[f32]) -> Expression {
        let entries = row.iter().enumerate().filter(|(_, v)| **v != 0.0).map(|(i, v)| (i as u32, *v));
        Expression {
            cells: vec!["cell".into()],
            genes: genes.iter().map(|gene| (*gene).to_owned()).collect(),
            counts: Csr::from_rows(genes.len(), [entries]).unwrap(),
        }
    }

    #[test]
    fn everything_is_brought_to_the_genes_all_have() {
        let query = expression(&["Stat1", "B", "C"], &[1.0, 2.0, 3.0]);
        let model = expression(&["C", "X", "STAT1"], &[4.0, 5.0, 6.0]);
        let genes = common_genes(&[&query, &model]);
        assert_eq!(genes, ["Stat1", "C"]);
        assert_eq!(restrict(&model, &genes).counts.row(0), (&[0, 1][..], &[6.0, 4.0][..]));
        assert_eq!(restrict(&query, &genes).counts.row(0), (&[0, 1][..], &[1.0, 3.0][..]));
    }
}
