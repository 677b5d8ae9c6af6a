//! TLS from two PEM files: the certificate chain, the server's own first, and its key, which must be readable only by
//! its owner.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use thiserror::Error;

/// Why the TLS configuration is invalid.
#[derive(Debug, Error)]
pub enum TlsError {
    /// The key's file cannot be used.
    #[error(transparent)]
    Key(#[from] secrets::SecretError),
    /// A file has the wrong content.
    #[error("{} does not hold {what} in PEM form: {source}", path.display())]
    Pem {
        /// Path of the file.
        path: PathBuf,
        /// Expected content.
        what: &'static str,
        /// The parser's error.
        source: rustls::pki_types::pem::Error,
    },
    /// Certificate and key do not match.
    #[error("certificate and key do not match: {0}")]
    Pair(#[from] rustls::Error),
}

/// Builds a configuration of TLS 1.2 and 1.3 with this certificate and key, without client certificates.
///
/// # Errors
/// See [`TlsError`].
pub fn tls(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>, TlsError> {
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
    Ok(Arc::new(config))
}
