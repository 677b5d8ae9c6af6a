//! TLS of the client: trusted authorities, and the client certificate.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use thiserror::Error;

use crate::{Access, AccessError};

/// Size limit of a file of certificates, in bytes: a whole system's authorities take about 250 KiB.
const CERTIFICATES_BYTES: u64 = 4 << 20;

/// Why the client could not be created.
#[derive(Debug, Error)]
pub enum SetupError {
    /// A key, a file or a variable of the access settings is invalid.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The system has no certificates, and none are configured.
    #[error("the system has no trusted certificates for https; set authorities_file")]
    NoAuthorities,
    /// TLS cannot be set up.
    #[error("cannot set up TLS")]
    Tls(#[from] rustls::Error),
}

/// Builds the TLS configuration. Reads the system's authorities only for an https server without configured ones.
pub(crate) fn config(access: &Access, is_encrypted: bool) -> Result<ClientConfig, SetupError> {
    let roots = match &access.authorities_file {
        Some(path) => authorities(path)?,
        None if is_encrypted => of_the_system()?,
        None => RootCertStore::empty(),
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots);
    match client_certificate(access)? {
        Some((chain, key)) => Ok(builder.with_client_auth_cert(chain, key)?),
        None => Ok(builder.with_no_client_auth()),
    }
}

/// A certificate with its chain, and its private key.
type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// Reads the client certificate, if configured.
pub(crate) fn client_certificate(access: &Access) -> Result<Option<Identity>, AccessError> {
    match (&access.client_certificate_file, &access.client_key_file) {
        (Some(certificate), Some(key)) => {
            Ok(Some((certificates("client_certificate_file", certificate)?, private_key(key)?)))
        }
        _ => Ok(None),
    }
}

/// Reads the certificates of trusted authorities.
///
/// # Errors
/// [`AccessError::Pem`] if the file cannot be read or has no usable certificate.
pub(crate) fn authorities(path: &Path) -> Result<RootCertStore, AccessError> {
    const KEY: &str = "authorities_file";
    let mut roots = RootCertStore::empty();
    for certificate in certificates(KEY, path)? {
        roots.add(certificate).map_err(|e| pem(KEY, path, e.to_string()))?;
    }
    Ok(roots)
}

fn certificates(key: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, AccessError> {
    let text = files::read(path, CERTIFICATES_BYTES).map_err(|e| pem(key, path, e.to_string()))?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let all = all.map_err(|e| pem(key, path, e.to_string()))?;
    if all.is_empty() { Err(pem(key, path, "the file has no certificate".to_owned())) } else { Ok(all) }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, AccessError> {
    const KEY: &str = "client_key_file";
    let text = secrets::read(path)?;
    // The parser's message is not shown: it may quote the key.
    PrivateKeyDer::from_pem_slice(text.reveal().as_bytes())
        .map_err(|_| pem(KEY, path, "the file has no private key".to_owned()))
}

fn pem(key: &'static str, path: &Path, problem: String) -> AccessError {
    AccessError::Pem { key, path: path.to_owned(), problem }
}

/// Reads the system's authorities, skipping unreadable certificates: a server that needs one of them is then rejected
/// with an error.
fn of_the_system() -> Result<RootCertStore, SetupError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() { Err(SetupError::NoAuthorities) } else { Ok(roots) }
}
