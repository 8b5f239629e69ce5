//! Whether the server is alive, and whether its parts answer.

use std::sync::Arc;

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::Parts;
use super::error::{ApiError, Problem};

/// Whether the server is well.
#[derive(Serialize, ToSchema)]
pub struct Health {
    /// Always `healthy`; anything else is an error answer.
    #[schema(example = "healthy")]
    status: &'static str,
    /// Version of the program.
    version: &'static str,
}

const HEALTHY: Health = Health { status: "healthy", version: env!("CARGO_PKG_VERSION") };

/// Is the server alive?
#[utoipa::path(get, path = "/api/v1/health", tag = "health", responses((status = 200, body = Health)))]
pub async fn live() -> axum::Json<Health> {
    axum::Json(HEALTHY)
}

/// Do the database and the object store answer?
#[utoipa::path(get, path = "/api/v1/health/ready", tag = "health",
    responses((status = 200, body = Health), (status = 503, body = Problem, description = "A part does not answer")))]
pub async fn ready(State(parts): State<Arc<Parts>>) -> Result<axum::Json<Health>, ApiError> {
    let unavailable = |public: &str, private: String| ApiError::Unavailable { public: public.into(), private };
    let schema = parts.database.check_schema().await;
    schema.map_err(|error| unavailable("The database does not answer.", error.to_string()))?;
    let probe = parts.objects.probe().await;
    probe.map_err(|error| unavailable("The object store does not answer.", error.to_string()))?;
    Ok(axum::Json(HEALTHY))
}
