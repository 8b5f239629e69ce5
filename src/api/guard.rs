//! Requests that pages elsewhere make a browser send are turned away.
//!
//! Such a page can reach a loopback address under a name of its own (DNS rebinding): the name it used is in
//! the `Host` header, and it is not one of ours. Under our own name it can send a `POST` without reading the
//! answer; then the browser says in `Sec-Fetch-Site` that another site asks.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;

use super::Parts;
use super::error::problem;

/// Lets a request pass if its host is a loopback name, the address listened on, or the public one.
pub async fn known_host(State(parts): State<Arc<Parts>>, request: Request, next: Next) -> Response {
    let named = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let named = named.or_else(|| request.uri().host()).map(without_port).unwrap_or_default();
    let server = &parts.config.server;
    let ours = named == "localhost"
        || named.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback() || ip == server.address.ip())
        || server.public_url.host_str().is_some_and(|host| host == named);
    if ours || (!server.address.ip().is_loopback() && named.parse::<IpAddr>().is_ok()) {
        return next.run(request).await;
    }
    let detail = format!("This server is not called '{named}'; set server.public_url if it should be.");
    problem(StatusCode::MISDIRECTED_REQUEST, detail)
}

/// Lets a request that may change something pass unless it comes from a page of another site, the configured
/// origins aside. Programs that are no browsers do not say where they come from.
pub async fn own_pages(State(parts): State<Arc<Parts>>, request: Request, next: Next) -> Response {
    let only_reads = [Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method());
    if only_reads || is_of_ours(request.headers(), &parts.config.server.allowed_origins) {
        return next.run(request).await;
    }
    let detail = "Pages of other sites may not do this; set server.allowed_origins if yours should.";
    problem(StatusCode::FORBIDDEN, detail.to_owned())
}

fn is_of_ours(headers: &HeaderMap, allowed: &[String]) -> bool {
    let named = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let is_own = named("sec-fetch-site").is_none_or(|site| matches!(site, "same-origin" | "none"));
    is_own || named(header::ORIGIN.as_str()).is_some_and(|origin| allowed.iter().any(|ours| ours == origin))
}

/// `localhost:8080` is `localhost`, `[::1]:8080` is `::1`.
fn without_port(host: &str) -> &str {
    match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::without_port;

    #[test]
    fn the_port_is_not_part_of_the_name() {
        for (host, name) in [("localhost:8080", "localhost"), ("[::1]:80", "::1"), ("127.0.0.1", "127.0.0.1")] {
            assert_eq!(without_port(host), name);
        }
    }
}
