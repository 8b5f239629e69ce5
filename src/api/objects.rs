//! Files of the local object store, behind signed addresses that expire.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::IntoParams;

use super::Parts;
use super::body::{Path, Query};
use super::error::{ApiError, Problem};

/// What makes an address valid.
#[derive(Deserialize, IntoParams)]
pub struct Signed {
    /// Seconds since 1970 until when.
    expires: u64,
    /// HMAC-SHA256 over key and expiry, in hexadecimal.
    signature: String,
}

/// Download a file
///
/// The address comes from the result of a run; with a cloud store it leads there instead.
#[utoipa::path(get, path = "/objects/{key}", tag = "runs", params(("key" = String, Path), Signed), responses(
    (status = 200, description = "The file", content(
        (Vec<u8> = "application/x-hdf5"), (String = "text/markdown"), (String = "text/html"),
        (Object = "application/json"))),
    (status = 403, body = Problem, description = "The address is not one of ours, or has expired"),
    (status = 404, body = Problem)))]
pub async fn read(
    State(parts): State<Arc<Parts>>,
    Path(key): Path<String>,
    Query(signed): Query<Signed>,
) -> Result<Response, ApiError> {
    let verified = parts.objects.verify(&key, signed.expires, &signed.signature);
    let refused = "This link has expired or was changed; get a new one from the run.";
    let object_key = verified.map_err(|_| ApiError::Forbidden(refused.into()))?;
    let object = parts.objects.read(&object_key).await?;
    let object = object.ok_or_else(|| ApiError::NotFound(format!("There is no file {key} any more.")))?;
    let name = object_key.file_name();
    // A report opens in the browser, but may neither run scripts nor send anything.
    let shown = if object.media_type.starts_with("text/html") { "inline" } else { "attachment" };
    let headers = [
        (header::CONTENT_TYPE, object.media_type.to_owned()),
        (header::CONTENT_LENGTH, object.bytes.to_string()),
        (header::CONTENT_DISPOSITION, format!("{shown}; filename=\"{name}\"")),
        (
            header::CONTENT_SECURITY_POLICY,
            "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:".into(),
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".into()),
    ];
    Ok((headers, Body::from_stream(object.stream)).into_response())
}
