//! One request, one bounded answer, encrypted where the address says so.
//!
//! Redirects are not followed and no proxy is asked: whoever answers is who was addressed.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::header::{self, HeaderMap, HeaderName};
use hyper::{Request, StatusCode, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use job_config::SIGNATURE_HEADER;
use secrets::HttpUrl;
use thiserror::Error;

use crate::{Access, Error, Settings};

/// How many characters of an error body are kept: enough for a sentence, too few to fill a log with a web page.
const MESSAGE_CHARS: usize = 300;

/// How long an unused connection is kept. Shorter than any server's own patience, so that a request hardly ever meets a
/// connection that the server is just closing.
const IDLE_CONNECTION: Duration = Duration::from_secs(5);

/// Why there was no whole answer.
#[derive(Debug, Error)]
pub enum Failure {
    /// It took too long.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// Refused, reset, name unknown, certificate not trusted.
    #[error("the request failed: {}", causes(.0))]
    Request(hyper_util::client::legacy::Error),
    /// The body was cut short.
    #[error("the answer broke off: {0}")]
    Body(hyper::Error),
    /// A file could not be read.
    #[error(transparent)]
    File(#[from] std::io::Error),
}

/// An answer whose body was read within its bound.
pub(crate) struct Answer {
    pub(crate) url: String,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The error for a status that the call has no meaning for.
    pub(crate) fn unexpected(&self) -> Error {
        Error::Status { url: self.url.clone(), status: self.status.as_u16(), message: message(&self.body) }
    }

    /// A header, if it is there and is text.
    pub(crate) fn text(&self, name: HeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The media type without its parameters, in lower case; empty if there is none.
    pub(crate) fn media_type(&self) -> String {
        let value = self.text(header::CONTENT_TYPE).unwrap_or_default();
        value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    }

    pub(crate) fn signature(&self) -> Option<&str> {
        self.text(HeaderName::from_static(SIGNATURE_HEADER))
    }
}

/// A request before its address is known to be one.
pub(crate) type Draft = hyper::http::request::Builder;

/// Connections to one server.
#[derive(Debug, Clone)]
pub(crate) struct Transport {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    access: Access,
}

impl Transport {
    /// For a server with this address.
    ///
    /// # Errors
    /// The address is not an HTTP URL with a host, or no encryption can be set up.
    pub(crate) fn new(url: &str, settings: &Settings, access: Access) -> Result<Self, Error> {
        let address = || Error::Address { url: url.into() };
        // Hyper is stricter than the general form of a URL.
        let _: Uri = url.parse().map_err(|_| address())?;
        let checked = HttpUrl::parse(url).map_err(|_| address())?;
        // Drops know tokens, not passwords.
        if checked.authorization().is_some() {
            return Err(address());
        }
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(settings.connect_timeout));
        let tls = access.tls(checked.is_encrypted()).map_err(Error::Setup)?;
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE_CONNECTION)
            .pool_timer(TokioTimer::new())
            .build(connector);
        Ok(Self { client, access })
    }

    /// Sends the request and reads the answer, at most `limit_bytes` of it, within `timeout` all in all.
    pub(crate) async fn send(
        &self,
        draft: Draft,
        body: impl Into<Bytes>,
        timeout: Duration,
        limit_bytes: usize,
    ) -> Result<Answer, Error> {
        let url = draft.uri_ref().map(ToString::to_string).unwrap_or_default();
        let mut request: Request<Full<Bytes>> =
            draft.body(Full::new(body.into())).map_err(|_| Error::Address { url: url.as_str().into() })?;
        if let Some(token) = self.access.token() {
            request.headers_mut().insert(header::AUTHORIZATION, token.clone());
        }
        let exchange = self.exchange(request, url.clone(), limit_bytes);
        let late = || Err(Error::NoAnswer { url, source: Failure::Timeout(timeout) });
        tokio::time::timeout(timeout, exchange).await.unwrap_or_else(|_| late())
    }

    async fn exchange(
        &self,
        request: Request<Full<Bytes>>,
        url: String,
        limit_bytes: usize,
    ) -> Result<Answer, Error> {
        let no_answer = |source| Error::NoAnswer { url: url.clone(), source };
        let response = self.client.request(request).await.map_err(|e| no_answer(Failure::Request(e)))?;
        let (head, mut incoming) = response.into_parts();
        let mut body = Vec::new();
        while let Some(frame) = incoming.frame().await {
            let frame = frame.map_err(|e| no_answer(Failure::Body(e)))?;
            let Ok(chunk) = frame.into_data() else { continue };
            if body.len() + chunk.len() > limit_bytes {
                return Err(Error::TooLarge { url, limit_bytes });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { url, status: head.status, headers: head.headers, body })
    }
}

/// An error of the HTTP library says "client error (Connect)" and no more: what is behind it is what helps.
fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let all = std::iter::successors(Some(error), |error| error.source());
    all.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// The text of the drop's `{"error": …}`, or the beginning of whatever else was answered.
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

    /// Goal: an error message is one short line, whatever was answered.
    #[test]
    fn messages_are_short() {
        assert_eq!(message(br#"{"error": "the generation is 3"}"#), "the generation is 3");
        assert_eq!(message(b"<html>\n  <body>\xff"), "<html> <body>\u{fffd}");
        assert_eq!(message(&[b'x'; 5_000]).len(), MESSAGE_CHARS);
    }

    /// Goal: only the address of a web server is one.
    #[test]
    fn other_addresses_are_refused() {
        let settings = Settings::default();
        for right in ["http://127.0.0.1:8460", "https://drop.example/behind/a/proxy/"] {
            Transport::new(right, &settings, Access::default()).unwrap();
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
            let refused = Transport::new(wrong, &settings, Access::default());
            assert!(matches!(refused, Err(Error::Address { .. })), "{wrong:?}");
            let message = refused.unwrap_err().to_string();
            assert!(!message.contains("secret"), "{message}");
        }
    }
}
