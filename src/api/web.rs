//! The page, built into the binary: one document, one style sheet, scripts without a build step.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::body::Path;
use super::error::problem;

/// Everything from this server, nothing from elsewhere, no inline script or style.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
                      img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// `GET /` and `GET /runs/{run_id}`: the page reads the address itself.
pub async fn page() -> Response {
    serve(HTML, include_str!("../../assets/web/index.html"))
}

/// `GET /docs` and `GET /redoc`: the API for people, drawn from `/openapi.json`.
pub async fn docs() -> Response {
    serve(HTML, include_str!("../../assets/web/docs.html"))
}

/// `GET /assets/{file}`: what the page is made of.
pub async fn asset(Path(file): Path<String>) -> Response {
    match file.as_str() {
        "style.css" => serve(CSS, include_str!("../../assets/web/style.css")),
        "app.js" => serve(SCRIPT, include_str!("../../assets/web/app.js")),
        "api.js" => serve(SCRIPT, include_str!("../../assets/web/api.js")),
        "ask.js" => serve(SCRIPT, include_str!("../../assets/web/ask.js")),
        "docs.js" => serve(SCRIPT, include_str!("../../assets/web/docs.js")),
        "dom.js" => serve(SCRIPT, include_str!("../../assets/web/dom.js")),
        "recent.js" => serve(SCRIPT, include_str!("../../assets/web/recent.js")),
        "result.js" => serve(SCRIPT, include_str!("../../assets/web/result.js")),
        "run.js" => serve(SCRIPT, include_str!("../../assets/web/run.js")),
        _ => problem(StatusCode::NOT_FOUND, format!("The page has no part called '{file}'.")),
    }
}

fn serve(media_type: &'static str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, media_type),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, text).into_response()
}
