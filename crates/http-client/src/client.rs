//! Connections to servers, and the exchange of one request for one answer.

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
use thiserror::Error;
use url::Url;

use crate::tls;
use crate::{Access, SetupError};

/// Time for which an unused connection is kept. Shorter than the idle time of usual servers, so that a request rarely meets a
/// connection that the server is just closing.
const IDLE_CONNECTION: Duration = Duration::from_secs(5);

/// The most unused connections that are kept to one server.
const IDLE_CONNECTIONS: usize = 16;

/// The bounds of every exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// For a connection.
    pub connect_timeout: Duration,
    /// From the request to the end of the answer.
    pub timeout: Duration,
    /// The largest answer that is read, in bytes.
    pub max_body_bytes: usize,
}

/// A request with its whole body.
pub type Request = http::Request<Full<Bytes>>;

/// Why there is no whole answer.
#[derive(Debug, Error)]
pub enum Failure {
    /// The deadline has passed.
    #[error("no whole answer within {0:?}")]
    Timeout(Duration),
    /// Refused, reset, name unknown, certificate not trusted.
    #[error("the request failed: {}{}", causes(.0), remedy(.0))]
    Request(legacy::Error),
    /// The body was cut short.
    #[error("the answer broke off: {}", causes(.0))]
    Body(hyper::Error),
    /// The answer is larger than the bound.
    #[error("the answer has more than {limit_bytes} bytes, the most that is read")]
    TooLarge {
        /// The bound, in bytes.
        limit_bytes: usize,
    },
    /// The parts of the request do not make one.
    #[error("the request cannot be written")]
    Form(#[from] http::Error),
    /// The body of the request cannot be written as JSON.
    #[error("the body of the request cannot be written as JSON")]
    Json(#[source] serde_json::Error),
}

impl Failure {
    /// Whether no connection was made, so that the server has certainly not seen the request.
    pub fn is_connect(&self) -> bool {
        matches!(self, Self::Request(error) if error.is_connect())
    }
}

/// An answer whose body was read within its bound.
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
    /// A header, if the answer has it and it is text.
    pub fn text(&self, name: impl hyper::header::AsHeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The media type without its parameters, in lower case; empty if there is none.
    pub fn media_type(&self) -> String {
        let value = self.text(CONTENT_TYPE).unwrap_or_default();
        value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    }
}

/// Connections to servers with the same access. Cheap to clone: the connections are shared.
#[derive(Debug, Clone)]
pub struct Client {
    client: legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    headers: HeaderMap,
    settings: Settings,
}

impl Client {
    /// Reads the secrets and certificates of `access`. `is_encrypted`: whether a server is spoken to over https; the system's
    /// authorities are read only then.
    ///
    /// # Errors
    /// See [`SetupError`].
    pub fn new(settings: Settings, access: &Access, is_encrypted: bool) -> Result<Self, SetupError> {
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

    /// The bounds of [`Client::send`].
    pub fn settings(&self) -> Settings {
        self.settings
    }

    /// Sends the request and reads the whole answer, within the bounds of the settings.
    ///
    /// # Errors
    /// See [`Failure`]. An answer with an error status is an answer.
    pub async fn send(&self, request: Request) -> Result<Answer, Failure> {
        self.send_within(request, self.settings.timeout, self.settings.max_body_bytes).await
    }

    /// [`Client::send`] with bounds of its own.
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
            // What the request says itself counts, such as the password of an address.
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

/// The length that the answer states, so that a large body is not copied again and again while it grows; 0 without.
fn stated_bytes(headers: &HeaderMap) -> usize {
    let length = headers.get(hyper::header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    length.and_then(|length| length.parse().ok()).unwrap_or(0)
}

/// A GET request.
///
/// # Errors
/// [`Failure::Form`] if the address cannot stand in a request.
pub fn get(url: &Url) -> Result<Request, Failure> {
    Ok(http::Request::get(url.as_str()).body(Full::default())?)
}

/// A request with a body of the given media type.
///
/// # Errors
/// [`Failure::Form`] if the address or the media type cannot stand in a request.
pub fn with_body(
    method: Method,
    url: &Url,
    media_type: &str,
    body: impl Into<Bytes>,
) -> Result<Request, Failure> {
    let request = http::Request::builder().method(method).uri(url.as_str()).header(CONTENT_TYPE, media_type);
    Ok(request.body(Full::new(body.into()))?)
}

/// A request with a body of JSON.
///
/// # Errors
/// [`Failure::Form`] as [`with_body`], and [`Failure::Json`].
pub fn with_json(method: Method, url: &Url, body: &(impl Serialize + ?Sized)) -> Result<Request, Failure> {
    let body = serde_json::to_vec(body).map_err(Failure::Json)?;
    with_body(method, url, "application/json", body)
}

/// Adds the credentials of an address, if it has some, as a header that `Debug` does not show. They count more than those of [`Access`].
pub fn authorize(request: &mut Request, credentials: Option<&Secret>) {
    // Base64 and tokens are always valid headers.
    let value = credentials.and_then(|credentials| HeaderValue::from_str(credentials.reveal()).ok());
    if let Some(mut value) = value {
        value.set_sensitive(true);
        request.headers_mut().insert(AUTHORIZATION, value);
    }
}

/// The error with all that lies behind it: the library's own words are "client error (Connect)" and no more.
fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut words: Vec<String> = Vec::new();
    for error in std::iter::successors(Some(error), |error| error.source()) {
        let said = error.to_string();
        if words.last().is_none_or(|before| !before.ends_with(&said)) {
            words.push(said);
        }
    }
    words.join(": ")
}

/// What to do about a certificate that is not trusted, and about the wrong one of http and https.
fn remedy(error: &(dyn std::error::Error + 'static)) -> &'static str {
    let all: Vec<String> =
        std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect();
    let says = |words: &str| all.iter().any(|said| said.contains(words));
    // A bad signature: another authority of the same name.
    if says("UnknownIssuer") || says("BadSignature") {
        "; if the server is yours, name its authority with authorities_file"
    } else if says("InvalidContentType") {
        "; the server does not speak TLS, write http:// if that is right"
    } else if says("invalid HTTP version") {
        "; the server may speak TLS, write https:// if that is right"
    } else {
        ""
    }
}
