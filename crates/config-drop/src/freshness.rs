//! Freshness statements: taken from the publisher, and shown with the answers about the document that they are about.
//!
//! A statement is renewed every minute or so and is worthless soon, so it is only in memory: after a restart there is
//! none until the publisher renews it. The drop judges no times, because the reader's clock counts. The newest statement
//! of the publisher replaces the one before.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use job_config::{FRESHNESS_BYTES_MAX, FRESHNESS_HEADER, SignedFreshness};
use thiserror::Error;

use crate::http::{Service, job_name, require_type};
use http_server::{ApiError, Path, read_body};

/// Content type of a statement.
const MEDIA_TYPE: &str = "text/plain";

/// Why a statement was not taken.
#[derive(Debug, Error)]
pub(crate) enum FreshnessRefusal {
    /// The job has no document.
    #[error("this job has no document to make a statement about")]
    UnknownJob,
    /// It is about another document than the current one.
    #[error("the statement is not about the current document, of generation {current}")]
    NotCurrent {
        /// Generation of the current document.
        current: u64,
    },
}

impl From<FreshnessRefusal> for ApiError {
    fn from(refusal: FreshnessRefusal) -> Self {
        let status = match &refusal {
            FreshnessRefusal::UnknownJob => StatusCode::NOT_FOUND,
            FreshnessRefusal::NotCurrent { .. } => StatusCode::CONFLICT,
        };
        Self::new(status, refusal.to_string())
    }
}

/// `PUT /freshness`: replaces the statement about the job's current document.
pub(crate) async fn put(
    State(service): State<Service>,
    Path(job): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, ApiError> {
    let job = job_name(&job)?;
    require_type(&headers, MEDIA_TYPE)?;
    let body = read_body(body, FRESHNESS_BYTES_MAX, service.registry.limits().request_timeout).await?;
    let text = std::str::from_utf8(&body).unwrap_or_default();
    let signed: SignedFreshness = text.parse().map_err(|e| ApiError::bad_request(format!("{e}")))?;
    if !service.public_keys.is_empty() {
        let refused = |e| ApiError::forbidden(format!("the statement is refused: {e}"));
        signed.verified(&service.public_keys).map_err(refused)?;
    }
    service.registry.state_freshness(&job, signed)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Returns the header that shows a statement.
pub(crate) fn header(signed: &SignedFreshness) -> Option<(HeaderName, HeaderValue)> {
    let value = HeaderValue::from_str(&signed.to_string()).ok()?;
    Some((HeaderName::from_static(FRESHNESS_HEADER), value))
}
