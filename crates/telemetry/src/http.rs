//! One request to a store of metrics, one bounded answer.

use std::time::Duration;

use futures_util::StreamExt;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{RequestBuilder, Url};
use secrets::Secret;

use crate::error::StoreError;

/// How many characters of an answer with an error status are kept.
const MESSAGE_CHARS: usize = 300;

/// The bounds of every call to a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// From the request to the end of the answer.
    pub timeout: Duration,
    /// The largest answer that is read, in bytes.
    pub max_body_bytes: usize,
    /// The largest number of series in an answer.
    pub max_series: usize,
}

/// A client of one store.
#[derive(Debug, Clone)]
pub(crate) struct Http {
    http: reqwest::Client,
    bounds: Bounds,
}

impl Http {
    /// `authorization`: the value of that header, if the store wants credentials.
    pub(crate) fn new(bounds: Bounds, authorization: Option<&Secret>) -> Result<Self, StoreError> {
        let mut headers = HeaderMap::new();
        if let Some(credentials) = authorization
            && let Ok(mut value) = HeaderValue::from_str(credentials.reveal())
        {
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let http = reqwest::Client::builder()
            .default_headers(headers)
            .timeout(bounds.timeout)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(StoreError::Setup)?;
        Ok(Self { http, bounds })
    }

    pub(crate) fn get(&self, url: Url) -> RequestBuilder {
        self.http.get(url)
    }

    /// The whole body of the answer, whatever its status.
    pub(crate) async fn answer(&self, request: RequestBuilder) -> Result<(u16, Vec<u8>), StoreError> {
        let no_answer = |source: reqwest::Error| StoreError::NoAnswer(source.without_url());
        let response = request.send().await.map_err(no_answer)?;
        let status = response.status().as_u16();
        // As stated, so that a large body is not copied again and again while it grows.
        let stated = response.content_length().and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(0);
        let mut body = Vec::with_capacity(stated.min(self.bounds.max_body_bytes));
        let mut chunks = response.bytes_stream();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(no_answer)?;
            if body.len() + chunk.len() > self.bounds.max_body_bytes {
                return Err(StoreError::TooLarge { limit_bytes: self.bounds.max_body_bytes });
            }
            body.extend_from_slice(&chunk);
        }
        Ok((status, body))
    }
}

/// The body, if the status says that it is an answer.
pub(crate) fn successful((status, body): (u16, Vec<u8>)) -> Result<Vec<u8>, StoreError> {
    if (200..300).contains(&status) {
        return Ok(body);
    }
    let message = String::from_utf8_lossy(&body).trim().chars().take(MESSAGE_CHARS).collect();
    Err(StoreError::Status { status, message })
}
