//! Host names that a server answers to, as protection against DNS rebinding.
//!
//! *DNS rebinding*: a foreign web page makes its own host name resolve to this machine, and then sends requests as if
//! it were of the same origin. So the `Host` of a request must be an IP address, `localhost`, or a configured name.

use std::net::IpAddr;

use axum::http::{HeaderMap, Uri, header};

/// A server's host names, besides its addresses and `localhost`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hosts(Vec<String>);

impl Hosts {
    /// Creates a list of names; case does not matter.
    pub fn new(names: &[String]) -> Self {
        Self(names.iter().map(|name| name.to_ascii_lowercase()).collect())
    }

    /// Returns whether no names are configured.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns whether the request's host is allowed.
    pub fn allow(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        let host = host_of(uri, headers).map(without_port).unwrap_or_default().to_ascii_lowercase();
        let is_address = host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
        is_address || host == "localhost" || self.0.contains(&host)
    }
}

/// Returns the host of a request, with its port.
pub fn host_of<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    let named = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    uri.authority().map(|authority| authority.as_str()).or(named)
}

/// Returns whether this is a valid name: no address, port, path or blank.
pub fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains([':', '/', ' '])
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: a foreign name that resolves to this server is rejected, whatever its port; addresses and configured
    /// names are accepted.
    #[test]
    fn only_our_names_are_answered() {
        let hosts = Hosts::new(&["Rescaler.example".to_owned()]);
        let allowed = |host: &str| {
            let headers = [(header::HOST, host.parse().unwrap())].into_iter().collect();
            hosts.allow(&Uri::from_static("/"), &headers)
        };
        for host in
            ["127.0.0.1:8462", "localhost", "LOCALHOST:1", "[::1]:8462", "10.0.0.7", "rescaler.example:80"]
        {
            assert!(allowed(host), "{host}");
        }
        for host in
            ["", "evil.example", "evil.example:8462", "127.0.0.1.evil.example", "localhost.evil.example"]
        {
            assert!(!allowed(host), "{host}");
        }
        assert!(!hosts.allow(&Uri::from_static("/"), &HeaderMap::new()));
        assert!(!hosts.allow(&Uri::from_static("http://evil.example/"), &HeaderMap::new()));
    }
}
