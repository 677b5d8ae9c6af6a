//! Access protection: tokens, TLS, and the publisher's public keys. As written, then validated.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::http::{HeaderMap, Uri};
use http_server::Hosts;
use job_config::PublicKey;
use rustls::ServerConfig;
use serde::Deserialize;
use service::Problems;
use tokio_rustls::TlsAcceptor;

use crate::tokens::{Role, Tokens};

/// `[access]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawAccess {
    publisher_tokens: Option<PathBuf>,
    agent_tokens: Option<PathBuf>,
    reader_tokens: Option<PathBuf>,
    #[serde(default)]
    unprotected: bool,
    #[serde(default)]
    hosts: Vec<String>,
    #[serde(default)]
    public_keys: Vec<String>,
}

/// `[tls]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawTls {
    certificate_file: Option<PathBuf>,
    key_file: Option<PathBuf>,
}

/// Access protection. The default is none.
#[derive(Clone, Default)]
pub struct Protection {
    /// Tokens with their permissions; empty: no authentication.
    pub tokens: Tokens,
    /// Host names that requests may use; with tokens and without names: any.
    pub hosts: Hosts,
    /// TLS configuration, if connections are encrypted.
    pub tls: Option<Arc<ServerConfig>>,
    /// Keys of which one must have signed every document; empty: signatures are stored but not verified.
    pub public_keys: Vec<PublicKey>,
}

impl Protection {
    /// Whether the request's host is this drop's. Checked as protection against DNS rebinding; a request that needs a
    /// token cannot be forged by a web page.
    pub(crate) fn is_asked(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        (self.hosts.is_empty() && !self.tokens.is_empty()) || self.hosts.allow(uri, headers)
    }

    pub(crate) fn acceptor(&self) -> Option<TlsAcceptor> {
        self.tls.clone().map(TlsAcceptor::from)
    }

    /// Reads the files, and rejects an unprotected drop that other machines could reach.
    pub(crate) fn check(
        access: &RawAccess,
        tls: &RawTls,
        listen: SocketAddr,
        problems: &mut Problems,
    ) -> Self {
        let mut tokens = Tokens::default();
        let files = [
            ("publisher_tokens", Role::Publisher, &access.publisher_tokens),
            ("agent_tokens", Role::Agent, &access.agent_tokens),
            ("reader_tokens", Role::Reader, &access.reader_tokens),
        ];
        for (key, role, path) in files {
            if let Some(path) = path {
                problems.accept(&format!("access.{key}"), tokens.add_file(role, path));
            }
        }
        if tokens.is_empty() && !access.unprotected && !listen.ip().is_loopback() {
            let remedy = "other machines reach it without tokens; set access.publisher_tokens and \
                          access.agent_tokens, or listen on 127.0.0.1, or set access.unprotected = true";
            problems.refuse("listen", listen, remedy);
        }
        let tls = encryption(tls, problems);
        if tls.is_none() && !tokens.is_empty() && !listen.ip().is_loopback() {
            tracing::warn!(%listen, "tokens and documents are sent unencrypted; set [tls], or use an encrypting proxy");
        }
        let public_keys = access
            .public_keys
            .iter()
            .filter_map(|text| problems.accept("access.public_keys", text.parse::<PublicKey>()));
        let public_keys = public_keys.collect();
        if !access.hosts.iter().all(|host| http_server::is_name(host)) {
            problems.add("access.hosts", "write names only, without http:// and port");
        }
        Self { tokens, hosts: Hosts::new(&access.hosts), tls, public_keys }
    }
}

fn encryption(written: &RawTls, problems: &mut Problems) -> Option<Arc<ServerConfig>> {
    let (certificate, key) = match (&written.certificate_file, &written.key_file) {
        (Some(certificate), Some(key)) => (certificate, key),
        (None, None) => return None,
        _ => {
            problems.add("tls", "set both certificate_file and key_file, or neither");
            return None;
        }
    };
    problems.accept("tls", http_server::tls(certificate, key))
}

impl std::fmt::Debug for Protection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Protection")
            .field("tokens", &self.tokens)
            .field("tls", &self.tls.is_some())
            .field("public_keys", &self.public_keys)
            .finish()
    }
}
