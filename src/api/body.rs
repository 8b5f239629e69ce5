//! Request bodies, queries and paths. What is wrong with one is said in our words, as a problem document.

use axum::body::Bytes;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use url::form_urlencoded;
use utoipa::{IntoParams, ToSchema};

use super::MAX_BODY_BYTES;
use super::error::ApiError;
use super::fields::Fields;

/// A JSON object.
pub struct Json<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + ToSchema> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        // A form of another site can send anything but this type.
        if !says_json(request.headers()) {
            let detail = "The body must be JSON; send it with 'Content-Type: application/json'.";
            return Err(ApiError::UnsupportedMediaType(detail.into()));
        }
        let bytes = Bytes::from_request(request, state).await.map_err(|rejection| match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => {
                let most = MAX_BODY_BYTES / 1024;
                ApiError::TooLarge(format!("The body is too large; at most {most} KiB are read."))
            }
            _ => ApiError::BadRequest("The body broke off before its end; send it again.".into()),
        })?;
        let fields = Fields::of_body::<T>();
        let given = object(&bytes, &fields)?;
        fields.check(&given).map_err(ApiError::Unprocessable)?;
        let given = Value::Object(given);
        let read = serde_path_to_error::deserialize(&given);
        let refused = |error: serde_path_to_error::Error<_>| fields.refusal(error.path(), &given);
        read.map(Self).map_err(|error| ApiError::Unprocessable(refused(error)))
    }
}

fn says_json(headers: &HeaderMap) -> bool {
    let named = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = named.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

fn object(bytes: &[u8], fields: &Fields) -> Result<Map<String, Value>, ApiError> {
    let refuse = |what: String| {
        Err(ApiError::Unprocessable(format!("The body {what}; it must be a JSON object {}.", fields.in_short())))
    };
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(other) => refuse(format!("is {}", kind_of(&other))),
        Err(_) if bytes.iter().all(u8::is_ascii_whitespace) => refuse("is empty".to_owned()),
        Err(error) => refuse(format!("cannot be read as JSON at line {}, column {}", error.line(), error.column())),
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(true) => "true",
        Value::Bool(false) => "false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// The query part of an address.
pub struct Query<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + IntoParams> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let pairs = || form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes());
        let mut given = Map::new();
        for (name, text) in pairs() {
            let value = text.parse().map_or_else(|_| Value::from(&*text), Value::Number);
            if given.insert(name.to_string(), value).is_some() {
                return Err(ApiError::Unprocessable(format!("The parameter {name} is given twice.")));
            }
        }
        let fields = Fields::of_query::<T>();
        fields.check(&given).map_err(ApiError::Unprocessable)?;
        let read = serde_path_to_error::deserialize(serde_urlencoded::Deserializer::new(pairs()));
        let given = Value::Object(given);
        let refused = |error: serde_path_to_error::Error<_>| fields.refusal(error.path(), &given);
        read.map(Self).map_err(|error| ApiError::Unprocessable(refused(error)))
    }
}

/// The variable parts of a path.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Path), rejection(ApiError))]
pub struct Path<T>(pub T);

impl From<PathRejection> for ApiError {
    fn from(_: PathRejection) -> Self {
        Self::NotFound("There is nothing at this address: it is not valid UTF-8.".into())
    }
}
