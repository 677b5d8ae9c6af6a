//! Protects the page and its buttons against three attacks.
//!
//! *DNS rebinding*: a foreign page lets its own host name resolve to this machine. So the `Host` of every request must be an
//! address, `localhost`, or a configured name. *Cross-site request forgery*: a foreign page sends a request with the visitor's
//! browser. So a change needs a header that only this page and programs can send without a preflight request (which is never
//! granted), and an `Origin` equal to this host. *Unauthorized clients*: every client that reaches the address may read. A change
//! needs a token if one is configured, or if the address is reachable from other machines.

use std::net::SocketAddr;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::Response;
use http_server::{ApiError, Hosts, host_of};
use sha2::{Digest as _, Sha256};

use super::HandlerState;

/// Header that a change needs, with any value.
const OWN_HEADER: &str = "x-rescaler";

/// Requirements of requests. The token is stored as a digest, so that the comparison takes constant time.
#[derive(Debug, Clone)]
pub struct Guard {
    hosts: Hosts,
    is_loopback: bool,
    token: Option<[u8; 32]>,
}

impl Guard {
    /// Returns the guard of a server on this address; `token` authorizes changes.
    pub fn new(address: SocketAddr, hosts: &[String], token: Option<&str>) -> Self {
        Self {
            hosts: Hosts::new(hosts),
            is_loopback: address.ip().is_loopback(),
            token: token.map(|token| Sha256::digest(token.trim()).into()),
        }
    }

    /// Whether a change needs a token: on this machine only if one is configured.
    pub(crate) fn needs_token(&self) -> bool {
        self.token.is_some() || !self.is_loopback
    }

    /// Whether changes are possible at all.
    pub(crate) fn has_switches(&self) -> bool {
        self.token.is_some() || self.is_loopback
    }

    fn check_host(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), ApiError> {
        if self.hosts.allow(uri, headers) {
            return Ok(());
        }
        Err(ApiError::unknown_host("http.hosts"))
    }

    fn check_change(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), ApiError> {
        let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
        let forbidden = |message: &str| Err(ApiError::forbidden(message));
        if text(OWN_HEADER).is_none() {
            return forbidden("missing header x-rescaler: 1, which protects against cross-site requests");
        }
        let is_own = |origin: &str| origin.split_once("://").map(|(_, host)| host) == host_of(uri, headers);
        if !text("origin").is_none_or(is_own) {
            return forbidden("cross-site request refused");
        }
        if !text("sec-fetch-site").is_none_or(|shared| matches!(shared, "same-origin" | "none")) {
            return forbidden("cross-site request refused");
        }
        if !self.has_switches() {
            return forbidden("read-only without a token; set http.token_file, or listen on 127.0.0.1");
        }
        let sent = text("authorization").and_then(|value| value.strip_prefix("Bearer ")).map(str::trim);
        let sent: Option<[u8; 32]> = sent.map(|token| Sha256::digest(token).into());
        if self.needs_token() && sent != self.token {
            return Err(ApiError::new(
                StatusCode::UNAUTHORIZED,
                "send the token as Authorization: Bearer TOKEN",
            ));
        }
        Ok(())
    }
}

/// Refuses requests with another host name.
pub(super) async fn hosts(
    State(shared): State<HandlerState>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    shared.guard.check_host(request.uri(), request.headers())?;
    Ok(next.run(request).await)
}

/// Refuses a change that is not from this page or a program, or lacks the token.
pub(super) async fn switches(
    State(shared): State<HandlerState>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    shared.guard.check_change(request.uri(), request.headers())?;
    Ok(next.run(request).await)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOPBACK: &str = "127.0.0.1:8462";
    const EVERYWHERE: &str = "0.0.0.0:8462";

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    fn guard(address: &str, token: Option<&str>) -> Guard {
        Guard::new(address.parse().unwrap(), &["Rescaler.example".to_owned()], token)
    }

    /// Goal: on this machine our page and programs may change, pages of others may not.
    #[test]
    fn pages_of_others_change_nothing() {
        let check = |pairs: &[(&'static str, &str)]| {
            let status = guard(LOOPBACK, None).check_change(&Uri::from_static("/"), &headers(pairs));
            status.err().map(|refusal| refusal.status().as_u16())
        };
        let (host, own) = (("host", "127.0.0.1:8462"), ("x-rescaler", "1"));
        assert_eq!(check(&[host, own]), None);
        assert_eq!(
            check(&[host, own, ("origin", "http://127.0.0.1:8462"), ("sec-fetch-site", "same-origin")]),
            None
        );
        assert_eq!(check(&[host]), Some(403));
        for origin in ["http://evil.example", "http://127.0.0.1:9999", "null", "http://localhost:8462"] {
            assert_eq!(check(&[host, own, ("origin", origin)]), Some(403), "{origin}");
        }
        assert_eq!(check(&[host, own, ("sec-fetch-site", "cross-site")]), Some(403));
    }

    /// Goal: over a network a change needs the right token, and without a configured one there are no changes at all.
    #[test]
    fn strangers_need_the_token() {
        let check = |guard: &Guard, token: Option<&str>| {
            let mut sent = headers(&[("host", "10.0.0.7:8462"), ("x-rescaler", "1")]);
            if let Some(token) = token {
                sent.insert("authorization", token.parse().unwrap());
            }
            guard.check_change(&Uri::from_static("/"), &sent).err().map(|refusal| refusal.status().as_u16())
        };
        let with = guard(EVERYWHERE, Some("secret\n"));
        assert_eq!(check(&with, Some("Bearer secret")), None);
        for wrong in [None, Some("Bearer other"), Some("secret"), Some("Bearer ")] {
            assert_eq!(check(&with, wrong), Some(401), "{wrong:?}");
        }
        assert_eq!(check(&guard(EVERYWHERE, None), Some("Bearer ")), Some(403));
        assert_eq!(check(&guard(LOOPBACK, Some("secret")), None), Some(401));
    }
}
