//! The HTTP client: connections to servers, and one request at a time.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::http;
use hyper::{Method, StatusCode};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use secrets::Secret;
use serde::Serialize;
use service::with_causes;
use thiserror::Error;
use url::Url;

use crate::tls;
use crate::{Access, SetupError};

/// Retention of idle connections. Shorter than usual servers' idle timeout, so that a request rarely meets a
/// connection that is being closed.
const IDLE_CONNECTION: Duration = Duration::from_secs(5);

/// Maximum number of idle connections to one server.
const IDLE_CONNECTIONS: usize = 16;

/// Timeouts and size limit of every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientSettings {
    /// Timeout of establishing a connection.
    pub connect_timeout: Duration,
    /// Timeout from the request to the end of the response.
    pub timeout: Duration,
    /// Size limit of a response body, in bytes.
    pub max_body_bytes: usize,
}

/// A request with its complete body.
pub type Request = http::Request<Full<Bytes>>;

/// Why there is no complete response.
#[derive(Debug, Error)]
pub enum Failure {
    /// The request timed out.
    #[error("no complete answer within {0:?}")]
    Timeout(Duration),
    /// Refused, reset, unknown name, or untrusted certificate.
    #[error("the request failed: {}{}", with_causes(.0), remedy(.0))]
    Request(legacy::Error),
    /// The body was truncated.
    #[error("the response ended early: {}", with_causes(.0))]
    Body(hyper::Error),
    /// The response exceeds the size limit.
    #[error("the answer exceeds the limit of {limit_bytes} bytes")]
    TooLarge {
        /// The limit, in bytes.
        limit_bytes: usize,
    },
    /// The parts of the request are invalid.
    #[error("cannot build the request")]
    Form(#[from] http::Error),
    /// The body of the request cannot be serialised as JSON.
    #[error("cannot serialise the body of the request")]
    Json(#[source] serde_json::Error),
}

impl Failure {
    /// Whether no connection was made, so that the server has certainly not received the request.
    pub fn is_connect(&self) -> bool {
        matches!(self, Self::Request(error) if error.is_connect())
    }
}

/// A response whose body was read within its limit.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// Returns a header's value, if present and text.
    pub fn text(&self, name: impl hyper::header::AsHeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Returns the media type without parameters, in lower case; empty if missing.
    pub fn media_type(&self) -> String {
        let value = self.text(CONTENT_TYPE).unwrap_or_default();
        value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    }
}

/// Connections to servers with the same access settings. Cheap to clone: clones share connections.
#[derive(Debug, Clone)]
pub struct Client {
    client: legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    headers: HeaderMap,
    settings: ClientSettings,
}

impl Client {
    /// Reads the secrets and certificates of `access`. `is_encrypted`: whether any server uses https; only then are
    /// the system's authorities read.
    ///
    /// # Errors
    /// See [`SetupError`].
    pub fn new(settings: ClientSettings, access: &Access, is_encrypted: bool) -> Result<Self, SetupError> {
        let headers = access.load_headers()?;
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(settings.connect_timeout.min(settings.timeout)));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls::config(access, is_encrypted)?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        let client = legacy::Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE_CONNECTION)
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .pool_timer(TokioTimer::new())
            .build(connector);
        Ok(Self { client, headers, settings })
    }

    /// Returns the timeouts and limits of [`Client::send`].
    pub fn settings(&self) -> ClientSettings {
        self.settings
    }

    /// Sends the request and reads the whole response, within the settings' limits.
    ///
    /// # Errors
    /// See [`Failure`]. A response with an error status is not an error.
    pub async fn send(&self, request: Request) -> Result<Answer, Failure> {
        self.send_within(request, self.settings.timeout, self.settings.max_body_bytes).await
    }

    /// Works like [`Client::send`], with explicit limits.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn send_within(
        &self,
        mut request: Request,
        timeout: Duration,
        limit_bytes: usize,
    ) -> Result<Answer, Failure> {
        for (name, value) in &self.headers {
            // Headers of the request take precedence, such as the password of a URL.
            request.headers_mut().entry(name).or_insert_with(|| value.clone());
        }
        let exchange = self.exchange(request, limit_bytes);
        tokio::time::timeout(timeout, exchange).await.unwrap_or(Err(Failure::Timeout(timeout)))
    }

    async fn exchange(&self, request: Request, limit_bytes: usize) -> Result<Answer, Failure> {
        let response = self.client.request(request).await.map_err(Failure::Request)?;
        let (head, mut incoming) = response.into_parts();
        let mut body = Vec::with_capacity(stated_bytes(&head.headers).min(limit_bytes));
        while let Some(frame) = incoming.frame().await {
            let Ok(chunk) = frame.map_err(Failure::Body)?.into_data() else { continue };
            if body.len() + chunk.len() > limit_bytes {
                return Err(Failure::TooLarge { limit_bytes });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status: head.status, headers: head.headers, body })
    }
}

/// Returns the announced length, which avoids reallocations of a large body; 0 without one.
fn stated_bytes(headers: &HeaderMap) -> usize {
    let length = headers.get(hyper::header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    length.and_then(|length| length.parse().ok()).unwrap_or(0)
}

/// Builds a GET request.
///
/// # Errors
/// [`Failure::Form`] if the URL is invalid in a request.
pub fn get(url: &Url) -> Result<Request, Failure> {
    Ok(http::Request::get(url.as_str()).body(Full::default())?)
}

/// Builds a request with a body of the given media type.
///
/// # Errors
/// [`Failure::Form`] if the URL or the media type is invalid in a request.
pub fn with_body(
    method: Method,
    url: &Url,
    media_type: &str,
    body: impl Into<Bytes>,
) -> Result<Request, Failure> {
    let request = http::Request::builder().method(method).uri(url.as_str()).header(CONTENT_TYPE, media_type);
    Ok(request.body(Full::new(body.into()))?)
}

/// Builds a request with a JSON body.
///
/// # Errors
/// [`Failure::Form`] as [`with_body`], and [`Failure::Json`].
pub fn with_json(method: Method, url: &Url, body: &(impl Serialize + ?Sized)) -> Result<Request, Failure> {
    let body = serde_json::to_vec(body).map_err(Failure::Json)?;
    with_body(method, url, "application/json", body)
}

/// Adds a URL's credentials, if any, as a header that `Debug` does not show. They override those of [`Access`].
pub fn authorize(request: &mut Request, credentials: Option<&Secret>) {
    // Base64 and tokens are always valid headers.
    let value = credentials.and_then(|credentials| HeaderValue::from_str(credentials.reveal()).ok());
    if let Some(mut value) = value {
        value.set_sensitive(true);
        request.headers_mut().insert(AUTHORIZATION, value);
    }
}

/// Returns the remedy for an untrusted certificate, and for http instead of https or the reverse.
fn remedy(error: &(dyn std::error::Error + 'static)) -> &'static str {
    let said = with_causes(error);
    let says = |words: &str| said.contains(words);
    // A bad signature: another authority of the same name.
    if says("UnknownIssuer") || says("BadSignature") {
        "; to trust the server's authority set authorities_file"
    } else if says("InvalidContentType") {
        "; the server does not speak TLS, write http:// if that is right"
    } else if says("invalid HTTP version") {
        "; the server may speak TLS, write https:// if that is right"
    } else {
        ""
    }
}
