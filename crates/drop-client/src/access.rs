//! A client's credentials for a drop, and its requirements: token, certificates, signatures.

use std::path::Path;

use http_client::{AccessError, SecretSource};
use job_config::PublicKey;

/// A client's credentials for a drop, and its requirements.
#[derive(Debug, Clone, Default)]
pub struct Access {
    http: http_client::Access,
    keys: Vec<PublicKey>,
}

impl Access {
    /// Creates access with these HTTP credentials.
    ///
    /// # Errors
    /// See [`AccessError`].
    pub fn new(http: http_client::Access) -> Result<Self, AccessError> {
        http.load()?;
        Ok(Self { http, keys: Vec::new() })
    }

    /// Sends the token on the first line of this file, which must be readable only by its owner.
    ///
    /// # Errors
    /// See [`AccessError`].
    pub fn with_token_file(mut self, path: &Path) -> Result<Self, AccessError> {
        self.http.token = Some(SecretSource::File(path.to_owned()));
        Ok(Self { keys: self.keys, ..Self::new(self.http)? })
    }

    /// Trusts only the authorities in this PEM file, instead of the system's.
    ///
    /// # Errors
    /// See [`AccessError`].
    pub fn with_authorities_file(mut self, path: &Path) -> Result<Self, AccessError> {
        self.http.authorities_file = Some(path.to_owned());
        Ok(Self { keys: self.keys, ..Self::new(self.http)? })
    }

    /// Accepts only documents that one of these keys has signed. Without keys, signatures are ignored.
    #[must_use]
    pub fn with_public_keys(mut self, keys: Vec<PublicKey>) -> Self {
        self.keys = keys;
        self
    }

    /// Returns the keys of which one must have signed a document; empty if signatures are ignored.
    pub fn public_keys(&self) -> &[PublicKey] {
        &self.keys
    }

    pub(crate) fn http(&self) -> &http_client::Access {
        &self.http
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: a token is read from the first line, is never shown, and a file without one is an error that names it.
    #[test]
    fn a_token_is_read_and_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        secrets::write_new(&path, "abc.DEF-123\n").unwrap();
        let access = Access::default().with_token_file(&path).unwrap();
        let headers = access.http().load_headers().unwrap();
        assert_eq!(headers["authorization"], "Bearer abc.DEF-123");
        assert!(!format!("{access:?} {headers:?}").contains("DEF"));
        for (name, wrong) in [("empty", "\n"), ("two", "a b"), ("binary", "a\u{1}b")] {
            let path = folder.path().join(name);
            secrets::write_new(&path, wrong).unwrap();
            let message = Access::default().with_token_file(&path).unwrap_err().to_string();
            assert!(message.contains(name) && message.contains("token"), "{message}");
        }
    }

    /// Goal: a file without certificates is an error that names it.
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
