//! Whether a question can be read, and whether its prediction could have a synthetic control.

use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::query::StructuredQuery;
use crate::domain::run::ControlStrategy;
use crate::domain::{Perturbation, Term};
use crate::knowledge::question;

use super::Parts;
use super::body::Json;
use super::error::{ApiError, Problem};

/// A question and the control strategy to check it for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ControlCheck {
    /// As it would be asked.
    #[schema(min_length = 10, max_length = 2000, example = "How would B cells respond to interferon beta?")]
    query: String,
    /// The strategy in mind.
    #[schema(value_type = Option<String>, example = "synthetic_control")]
    control_strategy: Option<ControlStrategy>,
}

/// How a question is read, and whether a synthetic control is possible.
#[derive(Debug, Serialize, ToSchema)]
pub struct ControlAnswer {
    /// What its words were taken for.
    understood: Understood,
    synthetic_control_available: bool,
    /// Control cells that could be paired with a prompt.
    control_cells_found: u64,
    /// Their donors.
    control_donors: Vec<String>,
    /// What the data call them, such as `PBS`.
    control_conditions: Vec<String>,
    /// For people.
    recommendation: String,
    /// What the strategy in mind would cost; absent when nothing.
    warning: Option<String>,
}

/// What the words of a question were taken for.
#[derive(Debug, Serialize, ToSchema)]
pub struct Understood {
    cell_type: Named,
    perturbation: Option<Named>,
    tissue: Option<Named>,
    disease: Option<Named>,
    /// As the data name it.
    donor: Option<String>,
    /// What is good to know about how the words were read, such as which were not taken into account.
    notes: Vec<String>,
}

/// A term, or a perturbation.
#[derive(Debug, Serialize, ToSchema)]
pub struct Named {
    /// Such as `CL:0000236`; null for a perturbation that no database we know of lists.
    id: Option<String>,
    #[schema(example = "B cell")]
    name: String,
}

/// Is a synthetic control possible for a question?
#[utoipa::path(post, path = "/api/v1/runs/validate-control-strategy", tag = "runs", request_body = ControlCheck,
    responses((status = 200, body = ControlAnswer),
        (status = 422, body = Problem, description = "The question cannot be read; the detail says why")))]
pub async fn check(
    State(parts): State<Arc<Parts>>,
    Json(body): Json<ControlCheck>,
) -> Result<axum::Json<ControlAnswer>, ApiError> {
    let knowledge = parts.knowledge.get().await.map_err(ApiError::internal)?;
    let holdings = parts.atlas.holdings().await.map_err(ApiError::internal)?;
    // The first question after an import has the names of everything put in order.
    let read = tokio::task::spawn_blocking(move || question::answerable(&knowledge, &holdings, &body.query));
    let query = read.await.map_err(ApiError::internal)??;
    let found = parts.atlas.controls_for(&query).await.map_err(ApiError::internal)?;
    let available = found.n_cells >= u64::from(parts.config.retrieval.min_cells);
    let recommendation = match (available, found.donors.len()) {
        (true, 0 | 1) => format!("A synthetic control is possible: {} control cells match.", found.n_cells),
        (true, donors) => {
            format!("A synthetic control is possible: {} control cells of {donors} donors match.", found.n_cells)
        }
        (false, _) => "No control cells match, so the prediction would be compared with the query cells.".to_owned(),
    };
    let warning = match (body.control_strategy.unwrap_or_default(), available) {
        (ControlStrategy::SyntheticControl, false) => Some("This takes 1 point off the score.".to_owned()),
        (ControlStrategy::QueryAsControl, true) => {
            Some("Comparing with the query cells takes half a point off the score.".to_owned())
        }
        _ => None,
    };
    Ok(axum::Json(ControlAnswer {
        understood: Understood::from(&query),
        synthetic_control_available: available,
        control_cells_found: found.n_cells,
        control_donors: found.donors,
        control_conditions: found.conditions,
        recommendation,
        warning,
    }))
}

impl From<&StructuredQuery> for Understood {
    fn from(query: &StructuredQuery) -> Self {
        Self {
            cell_type: Named::from(&query.cell_type),
            perturbation: query.perturbation.as_ref().map(Named::from),
            tissue: query.tissue.as_ref().map(Named::from),
            disease: query.disease.as_ref().map(Named::from),
            donor: query.donor.clone(),
            notes: query.notes.clone(),
        }
    }
}

impl From<&Term> for Named {
    fn from(term: &Term) -> Self {
        Self { id: Some(term.id.to_string()), name: term.name.clone() }
    }
}

impl From<&Perturbation> for Named {
    fn from(perturbation: &Perturbation) -> Self {
        Self { id: perturbation.ids.first().map(ToString::to_string), name: perturbation.name.clone() }
    }
}
