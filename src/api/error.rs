//! Errors as RFC 9457 problem documents: a public half for the client, a private half for the log.

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::run::Failure;

/// What can go wrong in a request. Closed, so that every kind has a status.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The thing does not exist, or is not the asker's.
    #[error("{0}")]
    NotFound(String),
    /// The request cannot be carried out in the present state.
    #[error("{0}")]
    BadRequest(String),
    /// The body is not what the route takes.
    #[error("{0}")]
    Unprocessable(String),
    /// The body is larger than we read.
    #[error("{0}")]
    TooLarge(String),
    /// The body is of a type we do not read.
    #[error("{0}")]
    UnsupportedMediaType(String),
    /// A signed address that is wrong or has expired.
    #[error("{0}")]
    Forbidden(String),
    /// A part we depend on does not answer.
    #[error("{public}")]
    Unavailable {
        /// For the client.
        public: String,
        /// For the log.
        private: String,
    },
    /// Anything unexpected. The cause goes to the log alone.
    #[error("Something went wrong on our side; the cause is in the server's log.")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The body of every error (RFC 9457), `application/problem+json`.
#[derive(Serialize, ToSchema)]
pub struct Problem {
    /// `about:blank`: the status says what kind it is.
    #[serde(rename = "type")]
    #[schema(example = "about:blank")]
    kind: &'static str,
    /// The status in words.
    #[schema(example = "Not Found")]
    title: &'static str,
    /// The status code.
    #[schema(example = 404)]
    status: u16,
    /// What happened and what to do, for people.
    #[schema(example = "There is no run run_0123456789ab.")]
    detail: String,
}

impl ApiError {
    /// Something unexpected.
    pub fn internal(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Internal(cause.into())
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::Unprocessable(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        match &self {
            Self::Internal(cause) => tracing::error!(error = ?cause, "request failed"),
            Self::Unavailable { private, .. } => tracing::warn!(error = private, "part unavailable"),
            _ => {}
        }
        problem(self.status(), self.to_string())
    }
}

/// A question that cannot be read.
impl From<Failure> for ApiError {
    fn from(failure: Failure) -> Self {
        Self::Unprocessable(failure.in_sentences())
    }
}

impl From<crate::database::Error> for ApiError {
    fn from(error: crate::database::Error) -> Self {
        Self::internal(error)
    }
}

impl From<crate::objects::Error> for ApiError {
    fn from(error: crate::objects::Error) -> Self {
        Self::internal(error)
    }
}

/// A problem document.
pub fn problem(status: StatusCode, detail: String) -> Response {
    let title = status.canonical_reason().unwrap_or("Error");
    let body = Problem { kind: "about:blank", title, status: status.as_u16(), detail };
    let headers = [(header::CONTENT_TYPE, "application/problem+json")];
    (status, headers, Json(body)).into_response()
}
