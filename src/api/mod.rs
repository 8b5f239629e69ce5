//! DOORS: HTTP in, HTTP out. Answers from the stores; never loads a model.
//!
//! To add a route: a handler with `#[utoipa::path]` in the file of its family, with its request and
//! response types beside it, and one `routes!` line in [`router`]. It is in `/openapi.json` then.

mod body;
mod controls;
mod description;
mod error;
mod fields;
mod guard;
mod health;
mod metadata;
mod objects;
mod results;
mod runs;
mod timeout;
mod user;
mod watch;
mod web;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::{Json, Router, middleware, routing};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::CorsLayer;
use tower_http::trace::TraceLayer;
use utoipa::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::atlas::Atlas;
use crate::config::Config;
use crate::database::Database;
use crate::executor::Executor;
use crate::knowledge::Latest;
use crate::objects::Objects;

pub use watch::{Unfinished, settle_abandoned_runs, watch_abandoned_runs};

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

/// Every route.
pub fn router(parts: Parts) -> Router {
    let parts = Arc::new(parts);
    let allowed = allowed_origins(&parts.config);
    let (api, mut description) = OpenApiRouter::with_openapi(description::Description::openapi())
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
    description::complete(&mut description);
    let router = api
        .route("/objects/{*key}", routing::get(objects::read))
        .route("/api/v1/runs", routing::get(runs::list).post(runs::create))
        .route("/api/v1/health/", routing::get(health::live))
        .route("/api/v1/health/ready/", routing::get(health::ready))
        .route("/api/health", routing::get(health::live))
        .route("/api/health/ready", routing::get(health::ready))
        .route("/openapi.json", routing::get(async move || Json(description)))
        .route("/", routing::get(web::page))
        .route("/runs/{run_id}", routing::get(web::page))
        .route("/docs", routing::get(web::docs))
        .route("/redoc", routing::get(web::docs))
        .route("/assets/{file}", routing::get(web::asset))
        .fallback(async || error::problem(StatusCode::NOT_FOUND, "There is nothing at this address.".into()))
        .method_not_allowed_fallback(async || {
            error::problem(StatusCode::METHOD_NOT_ALLOWED, "This address does not take that method.".into())
        })
        .layer(middleware::from_fn_with_state(parts.clone(), guard::own_pages))
        .layer(middleware::from_fn_with_state(parts.clone(), guard::known_host))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(middleware::from_fn_with_state(REQUEST_TIMEOUT, timeout::in_time))
        .layer(CatchPanicLayer::custom(|_: Box<dyn std::any::Any + Send>| {
            error::problem(StatusCode::INTERNAL_SERVER_ERROR, "Something went wrong on our side.".into())
        }));
    let router = match allowed {
        Some(allowed) => router.layer(allowed),
        None => router,
    };
    router.layer(TraceLayer::new_for_http()).with_state(parts)
}

/// What lets pages of the configured origins call the API; outermost, so that they can read errors too.
fn allowed_origins(config: &Config) -> Option<CorsLayer> {
    let origins: Vec<HeaderValue> =
        config.server.allowed_origins.iter().filter_map(|origin| origin.parse().ok()).collect();
    let cors = CorsLayer::new()
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([header::CONTENT_TYPE])
        .expose_headers([header::LOCATION])
        .allow_credentials(true);
    (!origins.is_empty()).then(|| cors.allow_origin(origins))
}
