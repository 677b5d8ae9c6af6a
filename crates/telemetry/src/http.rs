//! Bounded requests to a metric store.

use std::time::Duration;

use http_client::{Access, Failure, get};
use secrets::{HttpUrl, Secret};
use url::Url;

use crate::error::StoreError;

/// Length limit of the body of an error response, in characters.
const MESSAGE_CHARS: usize = 300;

/// Limits of every request to a store.
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
    http: http_client::Client,
    authorization: Option<Secret>,
}

impl Http {
    /// A client of the store at this address, whose credentials count more than those of `access`.
    pub(crate) fn new(base: &HttpUrl, bounds: Bounds, access: &Access) -> Result<Self, StoreError> {
        let settings = http_client::ClientSettings {
            connect_timeout: bounds.timeout,
            timeout: bounds.timeout,
            max_body_bytes: bounds.max_body_bytes,
        };
        let http =
            http_client::Client::new(settings, access, base.is_encrypted()).map_err(StoreError::Setup)?;
        Ok(Self { http, authorization: base.authorization().cloned() })
    }

    /// Returns the status and the whole body of the answer, whatever its status.
    pub(crate) async fn get<'a>(
        &self,
        mut url: Url,
        query: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<(u16, Vec<u8>), StoreError> {
        url.query_pairs_mut().extend_pairs(query);
        let mut request = get(&url).map_err(StoreError::NoAnswer)?;
        http_client::authorize(&mut request, self.authorization.as_ref());
        match self.http.send(request).await {
            Ok(answer) => Ok((answer.status.as_u16(), answer.body)),
            Err(Failure::TooLarge { limit_bytes }) => Err(StoreError::TooLarge { limit_bytes }),
            Err(failure) => Err(StoreError::NoAnswer(failure)),
        }
    }
}

/// Returns the body of a successful response.
pub(crate) fn successful((status, body): (u16, Vec<u8>)) -> Result<Vec<u8>, StoreError> {
    if (200..300).contains(&status) {
        return Ok(body);
    }
    let message = String::from_utf8_lossy(&body).trim().chars().take(MESSAGE_CHARS).collect();
    Err(StoreError::Status { status, message })
}
