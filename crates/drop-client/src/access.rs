//! What a client shows a drop, and what it demands of one: token, certificates, signatures.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hyper::header::HeaderValue;
use job_config::PublicKey;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use thiserror::Error;

/// The largest file of certificates that is read, in bytes: the authorities of a whole system take some 250 KiB.
const CERTIFICATES_BYTES: u64 = 4 << 20;

/// Why a token or a certificate cannot be used. The message names file and remedy.
#[derive(Debug, Error)]
pub enum AccessError {
    /// The token's file is refused.
    #[error(transparent)]
    Token(#[from] secrets::SecretError),
    /// The file does not hold one token.
    #[error("{} does not hold one token of printable characters on its first line", path.display())]
    NoToken {
        /// The file.
        path: PathBuf,
    },
    /// The file has no usable certificate.
    #[error("{} has no certificate in PEM form that could be used: {problem}", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
}

/// What a client shows a drop, and what it demands of one.
#[derive(Clone, Default)]
pub struct Access {
    token: Option<HeaderValue>,
    authorities: Option<Arc<RootCertStore>>,
    keys: Vec<PublicKey>,
}

impl Access {
    /// Shows the token on the first line of this file, which only its owner may be able to read.
    ///
    /// # Errors
    /// See [`AccessError`].
    pub fn with_token_file(mut self, path: &Path) -> Result<Self, AccessError> {
        let secret = secrets::read(path)?;
        let line = secret.reveal().lines().next().unwrap_or_default().trim();
        let value = HeaderValue::from_str(&format!("Bearer {line}"));
        let mut value = match value {
            Ok(value) if !line.is_empty() && !line.contains(char::is_whitespace) => value,
            _ => return Err(AccessError::NoToken { path: path.to_owned() }),
        };
        value.set_sensitive(true);
        self.token = Some(value);
        Ok(self)
    }

    /// Trusts a server only if one of the certificates in this PEM file vouches for it, instead of the system's.
    ///
    /// # Errors
    /// See [`AccessError`].
    pub fn with_authorities_file(mut self, path: &Path) -> Result<Self, AccessError> {
        let refuse = |problem: String| AccessError::Certificate { path: path.to_owned(), problem };
        let mut store = RootCertStore::empty();
        let text = files::read(path, CERTIFICATES_BYTES).map_err(|e| refuse(e.to_string()))?;
        for certificate in CertificateDer::pem_slice_iter(&text) {
            let certificate = certificate.map_err(|e| refuse(e.to_string()))?;
            store.add(certificate).map_err(|e| refuse(e.to_string()))?;
        }
        if store.is_empty() {
            return Err(refuse("the file has none".to_owned()));
        }
        self.authorities = Some(Arc::new(store));
        Ok(self)
    }

    /// Takes only documents that one of these keys has signed. No keys: signatures are not looked at.
    #[must_use]
    pub fn with_public_keys(mut self, keys: Vec<PublicKey>) -> Self {
        self.keys = keys;
        self
    }

    /// The keys of which one must have signed a document; none if signatures are not looked at.
    pub fn public_keys(&self) -> &[PublicKey] {
        &self.keys
    }

    pub(crate) fn token(&self) -> Option<&HeaderValue> {
        self.token.as_ref()
    }

    /// How to speak TLS. The system's authorities are read only where they are needed.
    pub(crate) fn tls(&self, is_encrypted: bool) -> Result<ClientConfig, rustls::Error> {
        let authorities = match &self.authorities {
            Some(own) => Arc::clone(own),
            None if is_encrypted => Arc::new(of_the_system()),
            None => Arc::new(RootCertStore::empty()),
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        Ok(builder.with_root_certificates(authorities).with_no_client_auth())
    }
}

/// Certificates that cannot be read are left out: a server that needs one of them is then refused by name.
fn of_the_system() -> RootCertStore {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    store
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access")
            .field("token", &self.token.is_some())
            .field("own_authorities", &self.authorities.as_ref().map(|store| store.len()))
            .field("public_keys", &self.keys)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: a token is read from its first line, is never shown, and a file without one is refused by name.
    #[test]
    fn a_token_is_read_and_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        secrets::write_new(&path, "abc.DEF-123\n").unwrap();
        let access = Access::default().with_token_file(&path).unwrap();
        assert_eq!(access.token().unwrap(), "Bearer abc.DEF-123");
        assert!(!format!("{access:?} {:?}", access.token()).contains("DEF"));
        for (name, wrong) in [("empty", "\n"), ("two", "a b"), ("binary", "a\u{1}b")] {
            let path = folder.path().join(name);
            secrets::write_new(&path, wrong).unwrap();
            let message = Access::default().with_token_file(&path).unwrap_err().to_string();
            assert!(message.contains(name) && message.contains("token"), "{message}");
        }
    }

    /// Goal: a file without certificates is refused by name.
    #[test]
    fn a_file_without_certificates_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("authorities.pem");
        std::fs::write(&path, "no certificate").unwrap();
        for path in [path, folder.path().join("none.pem")] {
            let message = Access::default().with_authorities_file(&path).unwrap_err().to_string();
            assert!(message.contains(".pem"), "{message}");
        }
    }
}
