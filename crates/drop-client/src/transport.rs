//! One request and its size-limited response, encrypted for https.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use http_client::StatusCode;
use hyper::Uri;
use hyper::header::{HeaderMap, HeaderName};
use job_config::SIGNATURE_HEADER;
use secrets::HttpUrl;
use thiserror::Error;

use crate::{Access, ClientSettings, Error};

/// Number of characters kept of an error body: enough for a sentence, too few to fill a log with a web page.
const MESSAGE_CHARS: usize = 300;

/// Why there was no complete response.
#[derive(Debug, Error)]
pub enum Failure {
    /// The server did not respond completely and in time.
    #[error(transparent)]
    Http(#[from] http_client::Failure),
    /// A file could not be read.
    #[error(transparent)]
    File(#[from] std::io::Error),
}

/// A response whose body was read within its limit.
pub(crate) struct Answer {
    pub(crate) url: String,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// Returns the error for a status that is undefined for the request.
    pub(crate) fn unexpected(&self) -> Error {
        Error::Status { url: self.url.clone(), status: self.status.as_u16(), message: message(&self.body) }
    }

    /// Returns a header's value, if present and text.
    pub(crate) fn text(&self, name: HeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Returns the media type without parameters, in lower case; empty if missing.
    pub(crate) fn media_type(&self) -> String {
        let value = self.text(hyper::header::CONTENT_TYPE).unwrap_or_default();
        value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    }

    pub(crate) fn signature(&self) -> Option<&str> {
        self.text(HeaderName::from_static(SIGNATURE_HEADER))
    }
}

/// A request whose URL is not validated yet.
pub(crate) type RequestBuilder = hyper::http::request::Builder;

/// Connections to one server.
#[derive(Debug, Clone)]
pub(crate) struct Transport {
    client: http_client::Client,
}

impl Transport {
    /// Creates a transport to a server with this URL.
    ///
    /// # Errors
    /// The URL is not an HTTP URL with a host, or access is invalid.
    pub(crate) fn new(url: &str, settings: &ClientSettings, access: &Access) -> Result<Self, Error> {
        let address = || Error::Address { url: url.into() };
        // Hyper's URLs are stricter than the general form.
        let _: Uri = url.parse().map_err(|_| address())?;
        let checked = HttpUrl::parse(url).map_err(|_| address())?;
        // Drops support tokens, not passwords.
        if checked.authorization().is_some() {
            return Err(address());
        }
        let bounds = http_client::ClientSettings {
            connect_timeout: settings.connect_timeout,
            timeout: settings.timeout,
            max_body_bytes: settings.max_document_bytes,
        };
        let client = http_client::Client::new(bounds, access.http(), checked.is_encrypted());
        Ok(Self { client: client.map_err(Error::Setup)? })
    }

    /// Sends the request and reads at most `limit_bytes` of the response, within a total of `timeout`.
    pub(crate) async fn send(
        &self,
        draft: RequestBuilder,
        body: impl Into<Bytes>,
        timeout: Duration,
        limit_bytes: usize,
    ) -> Result<Answer, Error> {
        let url = draft.uri_ref().map(ToString::to_string).unwrap_or_default();
        let request: http_client::Request =
            draft.body(Full::new(body.into())).map_err(|_| Error::Address { url: url.as_str().into() })?;
        match self.client.send_within(request, timeout, limit_bytes).await {
            Ok(answer) => {
                Ok(Answer { url, status: answer.status, headers: answer.headers, body: answer.body })
            }
            Err(http_client::Failure::TooLarge { limit_bytes }) => Err(Error::TooLarge { url, limit_bytes }),
            Err(failure) => Err(Error::NoAnswer { url, source: failure.into() }),
        }
    }
}

/// Returns the text of the drop's `{"error": …}`, or the beginning of another body.
fn message(body: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Body {
        error: String,
    }
    let text = match serde_json::from_slice::<Body>(body) {
        Ok(body) => body.error,
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    };
    let one_line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    one_line.chars().take(MESSAGE_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: an error message is one short line, whatever the response.
    #[test]
    fn messages_are_short() {
        assert_eq!(message(br#"{"error": "the generation is 3"}"#), "the generation is 3");
        assert_eq!(message(b"<html>\n  <body>\xff"), "<html> <body>\u{fffd}");
        assert_eq!(message(&[b'x'; 5_000]).len(), MESSAGE_CHARS);
    }

    /// Goal: only HTTP URLs are accepted.
    #[test]
    fn other_addresses_are_refused() {
        let settings = ClientSettings::default();
        for right in ["http://127.0.0.1:8460", "https://drop.example/behind/a/proxy/"] {
            Transport::new(right, &settings, &Access::default()).unwrap();
        }
        for wrong in [
            "",
            "127.0.0.1:8460",
            "ftp://host",
            "http://",
            "http://me:secret@host",
            "http://h/?a=b",
            "file:///x",
            "http://a b",
            "http://me:secret@a b",
        ] {
            let refused = Transport::new(wrong, &settings, &Access::default());
            assert!(matches!(refused, Err(Error::Address { .. })), "{wrong:?}");
            let message = refused.unwrap_err().to_string();
            assert!(!message.contains("secret"), "{message}");
        }
    }
}
