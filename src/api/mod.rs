//! DOORS: HTTP in, HTTP out. Answers from the stores; never loads a model.
//!
//! To add a route: a handler with `#[utoipa::path]` in the file of its family, with its request and
//! response types beside it, and one `routes!` line in [`router`]. It is in `/openapi.json` then.

mod body;
mod controls;
mod error;
mod guard;
mod health;
mod metadata;
mod objects;
mod results;
mod runs;
mod user;
mod watch;
mod web;

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use axum::{Json, Router, middleware, routing};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::timeout::TimeoutLayer;
use tower_http::trace::TraceLayer;
use utoipa::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::atlas::Atlas;
use crate::config::Config;
use crate::database::Database;
use crate::executor::Executor;
use crate::knowledge::Latest;
use crate::objects::Objects;

pub use watch::{settle_abandoned_runs, watch_abandoned_runs};

/// What the handlers work with.
pub struct Parts {
    /// Limits, defaults and the address of the server.
    pub config: Config,
    /// Runs and what the atlases hold.
    pub database: Database,
    /// Outputs.
    pub objects: Objects,
    /// Starts the runs.
    pub executor: Executor,
    /// Reads the questions of control checks.
    pub knowledge: Latest,
    /// Finds cells.
    pub atlas: Atlas,
}

/// Questions are short; nothing larger is read.
const MAX_BODY_BYTES: usize = 64 * 1024;
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

#[derive(OpenApi)]
#[openapi(
    info(
        title = "HAYSTACK",
        description = "Ask in words how cells would respond; get a prediction with its evidence. \
                   Errors are problem documents (RFC 9457).",
    ),
    paths(objects::read)
)]
struct Description;

/// Every route.
pub fn router(parts: Parts) -> Router {
    let parts = Arc::new(parts);
    let (api, description) = OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(runs::create, runs::list))
        .routes(routes!(controls::check))
        .routes(routes!(runs::read))
        .routes(routes!(results::read))
        .routes(routes!(runs::cancel))
        .routes(routes!(metadata::datasets))
        .routes(routes!(metadata::cell_types))
        .routes(routes!(metadata::perturbations))
        .routes(routes!(metadata::predictors))
        .routes(routes!(metadata::defaults))
        .routes(routes!(health::live))
        .routes(routes!(health::ready))
        .split_for_parts();
    // Described apart: OpenAPI has no word for a parameter with slashes in it.
    api.route("/objects/{*key}", routing::get(objects::read))
        .route("/api/v1/runs", routing::get(runs::list).post(runs::create))
        .route("/api/v1/health/", routing::get(health::live))
        .route("/api/health", routing::get(health::live))
        .route("/openapi.json", routing::get(async move || Json(description)))
        .route("/", routing::get(web::page))
        .route("/runs/{run_id}", routing::get(web::page))
        .route("/assets/{file}", routing::get(web::asset))
        .fallback(async || error::problem(StatusCode::NOT_FOUND, "There is nothing at this address.".into()))
        .method_not_allowed_fallback(async || {
            error::problem(StatusCode::METHOD_NOT_ALLOWED, "This address does not take that method.".into())
        })
        .layer(middleware::from_fn_with_state(parts.clone(), guard::known_host))
        .layer(RequestBodyLimitLayer::new(MAX_BODY_BYTES))
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, REQUEST_TIMEOUT))
        .layer(CatchPanicLayer::custom(|_: Box<dyn std::any::Any + Send>| {
            error::problem(StatusCode::INTERNAL_SERVER_ERROR, "Something went wrong on our side.".into())
        }))
        .layer(TraceLayer::new_for_http())
        .with_state(parts)
}
