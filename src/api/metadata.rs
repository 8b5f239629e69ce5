//! What is held: data sets, cell types, perturbations, predictors.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::database::cells::Filter;
use crate::domain::CellSet;
use crate::domain::run::{ControlStrategy, Measured, Predictor, Settings};
use crate::domain::terms::{PerturbationKind, Term};
use crate::objects::ObjectKey;

use super::Parts;
use super::body::Query;
use super::error::ApiError;

/// Every data set.
#[derive(Serialize, ToSchema)]
pub struct Datasets {
    datasets: Vec<Dataset>,
}

/// A data set.
#[derive(Serialize, ToSchema)]
pub struct Dataset {
    name: String,
    n_cells: u64,
    n_genes: u64,
    /// Whether its cells were simulated, not measured.
    simulated: bool,
    /// ISO 8601, UTC.
    imported_at: String,
}

/// Only of one data set.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct OfDataset {
    /// Name of the data set; of all when left out.
    dataset: Option<String>,
}

/// Only of one data set, only of one kind.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct OfKind {
    /// Name of the data set; of all when left out.
    dataset: Option<String>,
    /// Only of this kind: `drug`, `cytokine`, `genetic` or `unknown`.
    #[serde(rename = "type")]
    #[param(value_type = Option<String>)]
    kind: Option<PerturbationKind>,
}

/// Every cell type, most cells first.
#[derive(Serialize, ToSchema)]
pub struct CellTypes {
    cell_types: Vec<Held>,
}

/// Every perturbation, most cells first.
#[derive(Serialize, ToSchema)]
pub struct Perturbations {
    perturbations: Vec<HeldPerturbation>,
}

/// A perturbation cells are under.
#[derive(Serialize, ToSchema)]
pub struct HeldPerturbation {
    /// Such as `uniprot:P01574`; null where the label could not be resolved.
    id: Option<String>,
    /// The perturbation's name, or the label of the data where it could not be resolved.
    name: String,
    /// `drug`, `cytokine`, `genetic` or `unknown`.
    #[serde(rename = "type")]
    #[schema(value_type = String, example = "cytokine")]
    kind: PerturbationKind,
    /// Over all data sets asked for.
    total_cells: u64,
    datasets: Vec<String>,
}

/// A cell type cells are of.
#[derive(Serialize, ToSchema)]
pub struct Held {
    /// Such as `CL:0000236`; null where the label could not be resolved.
    id: Option<String>,
    /// The term's name, or the label of the data where it could not be resolved.
    name: String,
    /// Over all data sets asked for.
    total_cells: u64,
    datasets: Vec<String>,
}

/// What can answer.
#[derive(Serialize, ToSchema)]
pub struct Predictors {
    predictors: Vec<HeldPredictor>,
}

/// A predictor.
#[derive(Serialize, ToSchema)]
pub struct HeldPredictor {
    /// `stack` or `mean-shift`.
    method: &'static str,
    /// Name of the imported model, for `stack`.
    model: Option<String>,
    /// Licence of its weights, as given at import.
    licence: Option<String>,
    /// Whether it answers when a question does not say.
    default: bool,
}

/// What counts where a question does not say.
#[derive(Serialize, ToSchema)]
pub struct Defaults {
    #[schema(value_type = String, example = "synthetic_control")]
    control_strategy: ControlStrategy,
    #[schema(example = 5)]
    max_iterations: u32,
    #[schema(example = 7)]
    score_threshold: u32,
    /// `hold-out` or `use`.
    #[schema(value_type = String, example = "hold-out")]
    measured: Measured,
}

/// What we show of a model's own description.
#[derive(Deserialize)]
struct About {
    licence: Option<String>,
}

/// List the data sets
#[utoipa::path(get, path = "/api/v1/metadata/datasets", tag = "metadata", responses((status = 200, body = Datasets)))]
pub async fn datasets(State(parts): State<Arc<Parts>>) -> Result<axum::Json<Datasets>, ApiError> {
    let datasets = parts.database.datasets().await?.into_iter().map(|dataset| Dataset {
        name: dataset.name,
        n_cells: dataset.n_cells,
        n_genes: dataset.n_genes,
        simulated: dataset.simulated,
        imported_at: dataset.imported_at,
    });
    Ok(axum::Json(Datasets { datasets: datasets.collect() }))
}

/// List the cell types held
#[utoipa::path(get, path = "/api/v1/metadata/cell-types", tag = "metadata", params(OfDataset),
    responses((status = 200, body = CellTypes)))]
pub async fn cell_types(
    State(parts): State<Arc<Parts>>,
    Query(asked): Query<OfDataset>,
) -> Result<axum::Json<CellTypes>, ApiError> {
    let sets = parts.database.cell_sets(&filters(asked.dataset, None)).await?;
    let cell_types = count(&sets, |set| Some(&set.key.cell_type));
    Ok(axum::Json(CellTypes { cell_types }))
}

/// List the perturbations held
#[utoipa::path(get, path = "/api/v1/metadata/perturbations", tag = "metadata", params(OfKind),
    responses((status = 200, body = Perturbations)))]
pub async fn perturbations(
    State(parts): State<Arc<Parts>>,
    Query(asked): Query<OfKind>,
) -> Result<axum::Json<Perturbations>, ApiError> {
    let knowledge = parts.knowledge.get().await.map_err(ApiError::internal)?;
    let sets = parts.database.cell_sets(&filters(asked.dataset, Some(Filter::Perturbed))).await?;
    let held = count(&sets, |set| set.key.condition.perturbation()).into_iter();
    let perturbations = held.map(|Held { id, name, total_cells, datasets }| {
        let term = id.as_ref().and_then(|id| Some(Term { id: id.parse().ok()?, name: name.clone() }));
        let known = term.and_then(|term| knowledge.perturbation(&term));
        let kind = known.map_or(PerturbationKind::Unknown, |perturbation| perturbation.kind);
        HeldPerturbation { id, name, kind, total_cells, datasets }
    });
    let perturbations = perturbations.filter(|held| asked.kind.is_none_or(|kind| held.kind == kind));
    Ok(axum::Json(Perturbations { perturbations: perturbations.collect() }))
}

/// List the predictors
#[utoipa::path(get, path = "/api/v1/metadata/predictors", tag = "metadata", responses((status = 200, body = Predictors)))]
pub async fn predictors(State(parts): State<Arc<Parts>>) -> Result<axum::Json<Predictors>, ApiError> {
    let mut predictors = vec![HeldPredictor {
        method: "mean-shift",
        model: None,
        licence: None,
        default: parts.config.predictor == Predictor::MeanShift {},
    }];
    for (name, about) in models(&parts).await? {
        predictors.push(HeldPredictor {
            method: "stack",
            default: parts.config.predictor == Predictor::Stack { model: name.clone() },
            licence: about.licence,
            model: Some(name),
        });
    }
    Ok(axum::Json(Predictors { predictors }))
}

/// Names of the imported models.
pub(super) async fn model_names(parts: &Parts) -> Result<Vec<String>, ApiError> {
    Ok(models(parts).await?.into_iter().map(|(name, _)| name).collect())
}

async fn models(parts: &Parts) -> Result<Vec<(String, About)>, ApiError> {
    let mut models = Vec::new();
    for name in parts.objects.models().await? {
        let about = ObjectKey::Model { name: name.clone(), file: "model.json".to_owned() };
        // Written last: without it, an import is under way or was interrupted.
        let Ok(about) = parts.objects.get(&about).await else { continue };
        models.push((name, serde_json::from_slice(&about).map_err(ApiError::internal)?));
    }
    Ok(models)
}

/// What counts where a question does not say
#[utoipa::path(get, path = "/api/v1/metadata/defaults", tag = "metadata", responses((status = 200, body = Defaults)))]
pub async fn defaults(State(parts): State<Arc<Parts>>) -> axum::Json<Defaults> {
    let Settings { control_strategy, max_iterations, score_threshold, measured, .. } = parts.config.run_settings();
    axum::Json(Defaults { control_strategy, max_iterations, score_threshold, measured })
}

fn filters(dataset: Option<String>, more: Option<Filter>) -> Vec<Filter> {
    dataset.map(|name| Filter::Datasets(vec![name])).into_iter().chain(more).collect()
}

fn count<'a>(sets: &'a [CellSet], label: impl Fn(&'a CellSet) -> Option<&'a crate::domain::Label>) -> Vec<Held> {
    let mut held: BTreeMap<(Option<String>, String), Held> = BTreeMap::new();
    for set in sets {
        let Some(label) = label(set) else { continue };
        let (id, name) = (label.id().map(ToString::to_string), label.name().to_owned());
        let entry =
            held.entry((id.clone(), name.clone())).or_insert(Held { id, name, total_cells: 0, datasets: vec![] });
        entry.total_cells += set.n_cells;
        if !entry.datasets.contains(&set.key.dataset) {
            entry.datasets.push(set.key.dataset.clone());
        }
    }
    let mut held: Vec<_> = held.into_values().collect();
    held.sort_by(|a, b| b.total_cells.cmp(&a.total_cells).then_with(|| a.name.cmp(&b.name)));
    held
}
