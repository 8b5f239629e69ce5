//! Who is asking. On a machine of one's own that is its one configured user.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts as RequestParts;

use super::Parts;

/// The e-mail address that owns the runs a request creates and sees.
pub struct User(pub String);

impl FromRequestParts<Arc<Parts>> for User {
    type Rejection = Infallible;

    async fn from_request_parts(_: &mut RequestParts, parts: &Arc<Parts>) -> Result<Self, Infallible> {
        Ok(Self(parts.config.user.email.clone()))
    }
}
