//! Error responses of the protocol: a status, and a JSON body with the problem and the remedy.

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::registry::PublishError;
use crate::reports::ReportError;

/// `Retry-After` of a reader that found no long-poll slot, in seconds.
const RETRY_AFTER_SECONDS: &str = "1";

/// An error response.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    message: String,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(crate) fn precondition_required() -> Self {
        let message = "missing precondition: send If-Match with the entity tag of the current document, or If-None-Match: * for the first";
        Self::new(StatusCode::PRECONDITION_REQUIRED, message)
    }

    pub(crate) fn no_document() -> Self {
        Self::new(StatusCode::NOT_FOUND, "this job has no document yet")
    }

    pub(crate) fn unauthorized() -> Self {
        let message = "missing or unknown token; send Authorization: Bearer <token>";
        Self::new(StatusCode::UNAUTHORIZED, message)
    }

    pub(crate) fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, message)
    }

    pub(crate) fn too_many_readers() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "too many readers are waiting; retry, or leave out wait")
    }

    #[cfg(test)]
    pub(crate) fn status(&self) -> u16 {
        self.status.as_u16()
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(json!({ "error": self.message }))).into_response();
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            let value = header::HeaderValue::from_static(RETRY_AFTER_SECONDS);
            response.headers_mut().insert(header::RETRY_AFTER, value);
        }
        if self.status == StatusCode::UNAUTHORIZED {
            let value = header::HeaderValue::from_static("Bearer");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, value);
        }
        response
    }
}

impl From<PublishError> for ApiError {
    fn from(error: PublishError) -> Self {
        let status = match &error {
            PublishError::NotCurrent { .. } => StatusCode::PRECONDITION_FAILED,
            PublishError::NotTheSuccessor { .. } | PublishError::FirstTooHigh { .. } => StatusCode::CONFLICT,
            PublishError::TooManyJobs { .. } => StatusCode::INSUFFICIENT_STORAGE,
            PublishError::Store(_) | PublishError::Interrupted => StatusCode::INTERNAL_SERVER_ERROR,
        };
        log_if_ours(status, &error);
        Self::new(status, error.to_string())
    }
}

impl From<ReportError> for ApiError {
    fn from(error: ReportError) -> Self {
        let status = match &error {
            ReportError::UnknownJob => StatusCode::NOT_FOUND,
            ReportError::UnknownGeneration { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            ReportError::Contradiction | ReportError::AfterTheEnd { .. } => StatusCode::CONFLICT,
            ReportError::Store(_) | ReportError::Interrupted => StatusCode::INTERNAL_SERVER_ERROR,
        };
        log_if_ours(status, &error);
        Self::new(status, error.to_string())
    }
}

/// Logs a disk error. The response says only that the disk is in trouble; the cause appears only in this log.
fn log_if_ours(status: StatusCode, error: &(dyn std::error::Error + 'static)) {
    if status == StatusCode::INTERNAL_SERVER_ERROR {
        tracing::error!("{}", service::with_causes(error));
    }
}
