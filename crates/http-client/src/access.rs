//! Access settings of one server: trusted authorities, and credentials.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use secrets::{SecretError, SecretSource, SourceError};
use serde::{Deserialize, Serialize, Serializer};
use thiserror::Error;

use crate::tls;

/// Access settings of one server, a table of a configuration file. All keys are optional.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Access {
    /// Trusted authorities (PEM) for https, instead of the system's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorities_file: Option<PathBuf>,
    /// Client certificate with its chain (PEM), for servers that request one. Needs `client_key_file`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_certificate_file: Option<PathBuf>,
    /// Private key (PEM) of the client certificate. The file must be readable only by its owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_key_file: Option<PathBuf>,
    /// User name for HTTP Basic (RFC 7617). Needs `password`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The password of `user`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<SecretSource>,
    /// A bearer token (RFC 6750).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<SecretSource>,
    /// Further headers of every request, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, HeaderSource>,
}

/// The value of a header.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "write a text, { file = \"…\" } or { env = \"…\" }")]
pub enum HeaderSource {
    /// A reference to a secret.
    Kept(SecretSource),
    /// The value itself. It is not shown either: some services expect keys in headers.
    Text(String),
}

impl Serialize for HeaderSource {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Kept(source) => source.serialize(serializer),
            Self::Text(_) => serializer.serialize_str("(not shown)"),
        }
    }
}

impl std::fmt::Debug for HeaderSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Kept(source) => source.fmt(f),
            Self::Text(_) => f.write_str("(not shown)"),
        }
    }
}

/// Why access settings are invalid. The message names the key and the remedy, and contains no secret.
#[derive(Debug, Error)]
pub enum AccessError {
    /// Two keys exclude each other, or one needs another.
    #[error("{0}")]
    Keys(&'static str),
    /// A file of secrets cannot be used.
    #[error(transparent)]
    File(#[from] SecretError),
    /// An environment variable is not set.
    #[error("{key}: the environment variable {variable} is not set, or is not text")]
    Variable {
        /// The configuration key.
        key: String,
        /// Name of the variable.
        variable: String,
    },
    /// The value is invalid in a header.
    #[error("{key}: {origin} does not hold printable characters on its first line{}", if key == "token" { ", without spaces" } else { "" })]
    Value {
        /// The configuration key.
        key: String,
        /// The file, the variable, or the configuration.
        origin: String,
    },
    /// The name is not a header's, or the client sets that header itself.
    #[error("headers.{name}: not a header name that can be set here")]
    Name {
        /// Name of the header.
        name: String,
    },
    /// A file has no usable certificate or key.
    #[error("{key} {}: cannot be used as PEM: {problem}", path.display())]
    Pem {
        /// The configuration key.
        key: &'static str,
        /// Path of the file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
}

/// Headers that the client sets itself.
const RESERVED: [&str; 6] =
    ["connection", "content-length", "content-type", "host", "transfer-encoding", "upgrade"];

impl Access {
    /// Creates access with a token file and private authorities, both optional.
    pub fn with_files(token_file: Option<&Path>, authorities_file: Option<&Path>) -> Self {
        Self {
            token: token_file.map(|path| SecretSource::File(path.to_owned())),
            authorities_file: authorities_file.map(Path::to_owned),
            ..Self::default()
        }
    }

    /// Validates the combination of keys, without reading files and variables.
    ///
    /// # Errors
    /// [`AccessError::Keys`] with what to change, and [`AccessError::Name`].
    pub fn check(&self) -> Result<(), AccessError> {
        if self.user.is_some() != self.password.is_some() {
            return Err(AccessError::Keys("user and password: set both, or neither"));
        }
        if self.user.as_ref().is_some_and(|user| user.contains(':')) {
            return Err(AccessError::Keys("user: must not contain a colon"));
        }
        if self.token.is_some() && self.user.is_some() {
            return Err(AccessError::Keys("token: set either token, or user and password"));
        }
        if self.client_certificate_file.is_some() != self.client_key_file.is_some() {
            return Err(AccessError::Keys(
                "client_certificate_file and client_key_file: set both, or neither",
            ));
        }
        self.headers.keys().try_for_each(|name| self.header_name(name).map(drop))
    }

    fn header_name(&self, name: &str) -> Result<HeaderName, AccessError> {
        let refused = || AccessError::Name { name: name.to_owned() };
        let header: HeaderName = name.parse().map_err(|_| refused())?;
        let logs_in_twice = header == AUTHORIZATION && (self.user.is_some() || self.token.is_some());
        if logs_in_twice || RESERVED.contains(&header.as_str()) { Err(refused()) } else { Ok(header) }
    }

    /// Validates the keys and reads all files and variables, so that errors are reported before the first connection.
    ///
    /// # Errors
    /// See [`AccessError`].
    pub fn load(&self) -> Result<(), AccessError> {
        self.load_headers()?;
        self.authorities_file.as_deref().map(tls::authorities).transpose()?;
        tls::client_certificate(self).map(drop)
    }

    /// Reads all secrets and returns the headers of every request, all marked as sensitive.
    ///
    /// # Errors
    /// See [`AccessError`].
    pub fn load_headers(&self) -> Result<HeaderMap, AccessError> {
        self.check()?;
        let mut headers = HeaderMap::new();
        for (name, source) in &self.headers {
            let key = format!("headers.{name}");
            let value = match source {
                HeaderSource::Kept(source) => kept_header(source, &key, str::to_owned)?,
                HeaderSource::Text(text) => sensitive(&key, "the configuration", text)?,
            };
            headers.insert(self.header_name(name)?, value);
        }
        if let Some(token) = &self.token {
            // A token has no spaces (RFC 6750); one with spaces was pasted over two lines and must fail.
            let bearer = |token: &str| format!("Bearer {}", token.replace(char::is_whitespace, "\n"));
            headers.insert(AUTHORIZATION, kept_header(token, "token", bearer)?);
        }
        if let (Some(user), Some(password)) = (&self.user, &self.password) {
            let basic = |password: &str| format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
            headers.insert(AUTHORIZATION, kept_header(password, "password", basic)?);
        }
        Ok(headers)
    }
}

/// Builds a header from a secret by `form`. `key` is the secret's configuration key.
fn kept_header(
    source: &SecretSource,
    key: &str,
    form: impl FnOnce(&str) -> String,
) -> Result<HeaderValue, AccessError> {
    let secret = source.first_line().map_err(|error| match error {
        SourceError::File(error) => AccessError::File(error),
        SourceError::Variable { variable } => AccessError::Variable { key: format!("{key}.env"), variable },
        SourceError::Empty { origin } => AccessError::Value { key: key.to_owned(), origin },
    })?;
    sensitive(key, &source.origin(), &form(secret.reveal()))
}

/// Creates a header that `Debug` does not show.
fn sensitive(key: &str, origin: &str, value: &str) -> Result<HeaderValue, AccessError> {
    let refused = |_| AccessError::Value { key: key.to_owned(), origin: origin.to_owned() };
    let mut value = HeaderValue::from_str(value).map_err(refused)?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(toml: &str) -> Access {
        toml::from_str(toml).unwrap()
    }

    /// Goal: secrets are read from files, and no format of the settings shows one.
    #[test]
    fn secrets_become_headers_and_are_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        secrets::write_new(&path, "open sesame \nnot this line\n").unwrap();
        let file = path.display();
        let basic = access(&format!(
            "user = 'Aladdin'\npassword.file = '{file}'\nheaders = {{ X-Team = 'team-sesame', X-Key.file = '{file}' }}"
        ));
        let headers = basic.load_headers().unwrap();
        // The example of RFC 7617, section 2.
        assert_eq!(headers[AUTHORIZATION], "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert_eq!(
            (&headers["x-team"], &headers["x-key"]),
            (&"team-sesame".parse().unwrap(), &"open sesame".parse().unwrap())
        );
        let shown = format!("{basic:?} {headers:?} {}", toml::to_string(&basic).unwrap());
        assert!(!shown.contains("sesame") && !shown.contains("QWxh"), "{shown}");
        assert!(shown.contains("Aladdin"), "{shown}");
        let spaced = access(&format!("token.file = '{file}'")).load_headers().unwrap_err();
        assert!(matches!(&spaced, AccessError::Value { key, .. } if key == "token"), "{spaced}");
    }

    /// Goal: a bearer token is read from the environment; an unset variable is named.
    #[test]
    fn a_token_comes_from_the_environment() {
        // Set by Cargo or by every shell, in printable characters.
        let headers = access("token.env = 'CARGO_PKG_NAME_OR_HOME'").load_headers().unwrap_err();
        assert!(headers.to_string().contains("CARGO_PKG_NAME_OR_HOME is not set"), "{headers}");
        let path = std::env::var("PATH").unwrap();
        let headers = access("token.env = 'PATH'").load_headers().unwrap();
        assert_eq!(headers[AUTHORIZATION], format!("Bearer {path}"));
    }

    /// Goal: keys that need or exclude each other are rejected with the remedy; so are reserved headers.
    #[test]
    fn contradictions_are_refused() {
        for (toml, words) in [
            ("user = 'ann'", "set both"),
            ("password.env = 'X'", "set both"),
            ("user = 'a:b'\npassword.env = 'X'", "colon"),
            ("user = 'ann'\npassword.env = 'X'\ntoken.env = 'Y'", "either token"),
            ("client_key_file = 'key.pem'", "client_certificate_file"),
            ("headers = { Host = 'other' }", "headers.Host"),
            ("headers = { 'a b' = 'other' }", "headers.a b"),
            ("token.env = 'Y'\nheaders = { Authorization = 'other' }", "headers.Authorization"),
        ] {
            let refused = access(toml).check().unwrap_err().to_string();
            assert!(refused.contains(words), "{toml}: {refused}");
        }
        for unreadable in ["token = 'abc'", "password.fil = 'x'", "headers = { a = 1 }", "tokens.env = 'x'"] {
            let refused = toml::from_str::<Access>(unreadable);
            assert!(refused.is_err(), "{unreadable}");
        }
    }
}
