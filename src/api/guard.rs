//! Requests that name a host this server does not have are turned away.
//!
//! A page elsewhere can make a browser send requests to a loopback address under a name of its own
//! (DNS rebinding). The name it used is in the `Host` header, and it is not one of ours.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
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
