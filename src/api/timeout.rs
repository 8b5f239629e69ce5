//! Requests that take too long are given up with a problem document.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;

use super::error::problem;

/// Answers in the place of a handler that has not within `limit`.
pub async fn in_time(State(limit): State<Duration>, request: Request, next: Next) -> Response {
    let late = |_| {
        let detail = format!("There was no answer within {} seconds; try again in a while.", limit.as_secs());
        problem(StatusCode::SERVICE_UNAVAILABLE, detail)
    };
    tokio::time::timeout(limit, next.run(request)).await.unwrap_or_else(late)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::header;
    use axum::{Router, middleware, routing};
    use tower::ServiceExt;

    use super::*;

    #[tokio::test]
    async fn a_handler_that_never_ends_is_answered_for_with_a_problem() {
        let never = routing::get(async || std::future::pending::<()>().await);
        let limited = middleware::from_fn_with_state(Duration::from_millis(1), in_time);
        let router: Router = Router::new().route("/", never).layer(limited);
        let response = router.oneshot(Request::new(Body::empty())).await.unwrap();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
        let body = axum::body::to_bytes(response.into_body(), 1024).await.unwrap();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert!(body["detail"].as_str().unwrap().contains("try again"), "{body}");
    }
}
