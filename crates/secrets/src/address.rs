//! URLs of HTTP servers, which may contain a user name and a password.
//!
//! [`Address`] is the unvalidated text of a configuration; formatting it omits the user name, the password and the
//! query. [`HttpUrl`] is the validated form, with the credentials stored apart from the URL, so that requests, errors
//! and log lines built from the URL cannot contain them.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize, Serializer};
use thiserror::Error;
use url::Url;

use crate::Secret;
use crate::redact::without_credentials;

/// Why a URL is invalid. The URL itself is never part of the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AddressError {
    /// Not an HTTP URL with a host.
    #[error("write it as http://host:port")]
    Form,
    /// A query or a fragment, which would not be sent.
    #[error("write it as http://host:port, without ? and #")]
    Query,
}

/// A URL as configured. Display, Debug and Serialize omit the user name, the password and the query.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Address(String);

impl Address {
    /// Returns the whole text, for the client that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether no URL is configured.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Parses the URL of one server.
    ///
    /// # Errors
    /// [`AddressError::Form`] and [`AddressError::Query`].
    pub fn http(&self) -> Result<HttpUrl, AddressError> {
        HttpUrl::parse(&self.0)
    }

    /// Parses the URLs of one cluster's servers, separated by commas; at least one.
    ///
    /// # Errors
    /// [`AddressError::Form`] and [`AddressError::Query`] of the first that is wrong.
    pub fn http_list(&self) -> Result<Vec<HttpUrl>, AddressError> {
        self.0.split(',').map(|url| HttpUrl::parse(url.trim())).collect()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = without_credentials(&self.0);
        match shown.find(['?', '#']) {
            Some(end) => write!(f, "{}…", &shown[..=end]),
            None => f.write_str(&shown),
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.to_string(), f)
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl From<String> for Address {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Address {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl FromStr for Address {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(text.into())
    }
}

/// The URL of an HTTP server, with its credentials stored apart.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpUrl {
    url: Url,
    authorization: Option<Secret>,
}

impl HttpUrl {
    /// Reads `http://host:port/path` or `https://…`, with `user:password@` if the server requires it.
    ///
    /// # Errors
    /// [`AddressError::Form`] and [`AddressError::Query`].
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let mut url: Url = text.parse().map_err(|_| AddressError::Form)?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(AddressError::Form);
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(AddressError::Query);
        }
        let authorization = basic(&url);
        url.set_username("").map_err(|()| AddressError::Form)?;
        url.set_password(None).map_err(|()| AddressError::Form)?;
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        Ok(Self { url, authorization })
    }

    /// Returns the URL without credentials. Its path ends with `/`, so that relative paths can be joined.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Returns the value of the `Authorization` header (RFC 7617), if the URL has a user name or a password.
    pub fn authorization(&self) -> Option<&Secret> {
        self.authorization.as_ref()
    }

    /// Whether the scheme is `https`.
    pub fn is_encrypted(&self) -> bool {
        self.url.scheme() == "https"
    }
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.url.as_str().trim_end_matches('/'))
    }
}

impl fmt::Debug for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.url.as_str(), f)
    }
}

fn basic(url: &Url) -> Option<Secret> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let mut pair: Vec<u8> = percent_decode_str(url.username()).collect();
    pair.push(b':');
    pair.extend(percent_decode_str(url.password().unwrap_or_default()));
    Some(Secret::from(format!("Basic {}", STANDARD.encode(pair))))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: no format of a URL contains its credentials or its query, even if it is invalid.
    #[test]
    fn credentials_are_never_shown() {
        for text in [
            "http://ann:hunter2@store:9090/x",
            "http://hunter2@store",
            "https://ann:hunter2@[::1]:8081",
            "http://ann:hun/ter2@hunter2@store",
            "http://a b:hunter2@store",
            "ann:hunter2@store:8081",
            "http://store/?token=hunter2",
            "http://store#hunter2",
        ] {
            let address = Address::from(text);
            let json = serde_json::to_string(&address).unwrap();
            for shown in [address.to_string(), format!("{address:?}"), json] {
                assert!(
                    !shown.contains("ter2")
                        && shown.contains(if text.contains("::1") { "::1" } else { "store" }),
                    "{shown}"
                );
            }
            if let Ok(url) = address.http() {
                let shown = format!("{url} {url:?} {} {:?}", url.url(), url.authorization());
                assert!(!shown.contains("ter2"), "{shown}");
            }
        }
        assert_eq!(Address::from("http://flink:8081/a@b").to_string(), "http://flink:8081/a@b");
    }

    /// Goal: the credentials are percent-decoded and become the header of RFC 7617.
    #[test]
    fn credentials_become_a_header() {
        let header = |text: &str| {
            Address::from(text).http().unwrap().authorization().map(|secret| secret.reveal().to_owned())
        };
        assert_eq!(header("http://store:9090"), None);
        // The example of RFC 7617, section 2.
        let expected = Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==".to_owned());
        assert_eq!(header("http://Aladdin:open%20sesame@store"), expected);
        assert_eq!(header("http://ann@store"), Some("Basic YW5uOg==".to_owned()));
    }

    /// Goal: anything but the URL of an HTTP server is rejected with the right form; several URLs form a list.
    #[test]
    fn other_addresses_are_refused() {
        for (text, expected) in [
            ("", AddressError::Form),
            ("store:9090", AddressError::Form),
            ("http://a b", AddressError::Form),
            ("http://", AddressError::Form),
            ("http://store:99999", AddressError::Form),
            ("ftp://store", AddressError::Form),
            ("http://store/?a=b", AddressError::Query),
        ] {
            assert_eq!(Address::from(text).http(), Err(expected), "{text}");
        }
        let url = Address::from("https://store/a/proxy").http().unwrap();
        assert_eq!(url.url().join("x").unwrap().as_str(), "https://store/a/proxy/x");
        assert_eq!(url.to_string(), "https://store/a/proxy");
        let several = Address::from("http://a:1, https://ann:hunter2@b/x");
        let urls: Vec<String> = several.http_list().unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(urls, ["http://a:1", "https://b/x"]);
        assert!(!several.to_string().contains("hunter2"), "{several}");
        assert_eq!(Address::from("http://a:1,").http_list(), Err(AddressError::Form));
    }
}
