//! What stands between the drop and strangers: tokens, TLS, and the publisher's public keys. As written, then checked.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use job_config::{KeyError, PublicKey};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde::Deserialize;
use thiserror::Error;
use tokio_rustls::TlsAcceptor;

use crate::tokens::{Role, Tokens};

/// `[access]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WrittenAccess {
    publisher_tokens: Option<PathBuf>,
    agent_tokens: Option<PathBuf>,
    reader_tokens: Option<PathBuf>,
    #[serde(default)]
    unprotected: bool,
    #[serde(default)]
    public_keys: Vec<String>,
}

/// `[tls]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WrittenTls {
    certificate_file: Option<PathBuf>,
    key_file: Option<PathBuf>,
}

/// Why TLS cannot be spoken.
#[derive(Debug, Error)]
enum TlsError {
    #[error(transparent)]
    Key(#[from] secrets::SecretError),
    #[error("{} does not hold {what} in PEM form: {source}", path.display())]
    Pem { path: PathBuf, what: &'static str, source: rustls::pki_types::pem::Error },
    #[error("certificate and key do not go together: {0}")]
    Pair(#[from] rustls::Error),
}

/// What stands between the drop and strangers. The default is nothing.
#[derive(Clone, Default)]
pub struct Protection {
    /// Who may do what; none: everybody may do everything.
    pub tokens: Tokens,
    /// How connections are encrypted, if they are.
    pub tls: Option<Arc<ServerConfig>>,
    /// Only documents that one of these keys has signed are taken; none: signatures are carried, not checked.
    pub public_keys: Vec<PublicKey>,
}

impl Protection {
    pub(crate) fn acceptor(&self) -> Option<TlsAcceptor> {
        self.tls.clone().map(TlsAcceptor::from)
    }

    /// Reads the files, and refuses to stand open to other machines by mistake.
    pub(crate) fn check(
        access: &WrittenAccess,
        tls: &WrittenTls,
        listen: SocketAddr,
        problems: &mut Vec<String>,
    ) -> Self {
        let mut tokens = Tokens::default();
        let files = [
            ("publisher_tokens", Role::Publisher, &access.publisher_tokens),
            ("agent_tokens", Role::Agent, &access.agent_tokens),
            ("reader_tokens", Role::Reader, &access.reader_tokens),
        ];
        for (key, role, path) in files {
            if let Some(path) = path
                && let Err(error) = tokens.add_file(role, path)
            {
                problems.push(format!("access.{key}: {}", chain(&error)));
            }
        }
        if tokens.is_empty() && !access.unprotected && !listen.ip().is_loopback() {
            problems.push(format!(
                "listen: other machines reach {listen}, and there are no tokens; set access.publisher_tokens and \
                 access.agent_tokens, or listen on 127.0.0.1, or set access.unprotected = true"
            ));
        }
        let tls = encryption(tls, problems);
        if tls.is_none() && !tokens.is_empty() && !listen.ip().is_loopback() {
            tracing::warn!(%listen, "tokens and documents travel unencrypted; set [tls], or have a proxy encrypt them");
        }
        let public_keys = access.public_keys.iter().filter_map(|text| {
            let refused = |e: KeyError| problems.push(format!("access.public_keys: {e}"));
            text.parse().map_err(refused).ok()
        });
        Self { tokens, tls, public_keys: public_keys.collect() }
    }
}

fn encryption(written: &WrittenTls, problems: &mut Vec<String>) -> Option<Arc<ServerConfig>> {
    let (certificate, key) = match (&written.certificate_file, &written.key_file) {
        (Some(certificate), Some(key)) => (certificate, key),
        (None, None) => return None,
        _ => {
            problems.push("tls: certificate_file and key_file go together; set both or none".to_owned());
            return None;
        }
    };
    match server_config(certificate, key) {
        Ok(config) => Some(Arc::new(config)),
        Err(error) => {
            problems.push(format!("tls: {}", chain(&error)));
            None
        }
    }
}

fn server_config(certificate: &Path, key: &Path) -> Result<ServerConfig, TlsError> {
    let pem = |path: &Path, what| {
        let path = path.to_owned();
        move |source| TlsError::Pem { path, what, source }
    };
    let read = CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let chain = read.map_err(pem(certificate, "certificates"))?;
    let secret = secrets::read(key)?;
    let private = PrivateKeyDer::from_pem_slice(secret.reveal().as_bytes());
    let private = private.map_err(pem(key, "a private key"))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, private)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
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
