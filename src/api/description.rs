//! What `/openapi.json` says of every route alike, so that no handler has to.

use axum::http::StatusCode;
use utoipa::OpenApi;
use utoipa::openapi::path::{Operation, Parameter, ParameterIn};
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::{Content, Ref, RefOr};

use super::objects;

/// Title and text; and the one route that is described apart, as OpenAPI has no word for a parameter
/// with slashes in it.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "HAYSTACK",
        description = "Ask in words how cells would respond; get a prediction with its evidence. \
                   Errors are problem documents (RFC 9457).",
    ),
    tags(
        (name = "runs", description = "Asking, following, and what it came to."),
        (name = "metadata", description = "What can be asked about, and what answers."),
        (name = "health", description = "Whether the server is well."),
    ),
    paths(objects::read)
)]
pub struct Description;

/// Adds the errors that any request can meet, and gives every error its media type.
pub fn complete(description: &mut utoipa::openapi::OpenApi) {
    for path in description.paths.paths.values_mut() {
        for operation in [&mut path.get, &mut path.post].into_iter().flatten() {
            complete_operation(operation);
        }
    }
}

fn complete_operation(operation: &mut Operation) {
    let mut errors = vec![
        (StatusCode::MISDIRECTED_REQUEST, "The request names a host that is not this server"),
        (StatusCode::INTERNAL_SERVER_ERROR, "Something went wrong on our side"),
        (StatusCode::SERVICE_UNAVAILABLE, "There was no answer in time"),
    ];
    let in_query = |parameter: &Parameter| matches!(parameter.parameter_in, ParameterIn::Query);
    if operation.parameters.iter().flatten().any(|parameter| matches!(parameter, RefOr::T(p) if in_query(p))) {
        errors.push((StatusCode::UNPROCESSABLE_ENTITY, "A parameter is not what the route takes"));
    }
    if operation.request_body.is_some() {
        errors.push((StatusCode::BAD_REQUEST, "The body broke off before its end"));
        errors.push((StatusCode::PAYLOAD_TOO_LARGE, "The body is larger than 64 KiB"));
        errors.push((StatusCode::UNSUPPORTED_MEDIA_TYPE, "The body is not said to be JSON"));
        errors.push((StatusCode::UNPROCESSABLE_ENTITY, "The body is not what the route takes"));
    }
    let responses = &mut operation.responses.responses;
    for (status, meaning) in errors {
        let response = || RefOr::T(ResponseBuilder::new().description(meaning).build());
        responses.entry(status.as_str().to_owned()).or_insert_with(response);
    }
    for (code, response) in responses {
        let (Ok(status), RefOr::T(response)) = (code.parse::<StatusCode>(), response) else { continue };
        if response.description.is_empty() {
            response.description = status.canonical_reason().unwrap_or_default().to_owned();
        }
        if status.is_success() {
            continue;
        }
        let problem = Content::new(Some(Ref::from_schema_name("Problem")));
        response.content = [("application/problem+json".to_owned(), RefOr::T(problem))].into();
    }
}
