//! Errors of the protocol that several handlers respond with.

use axum::http::StatusCode;
use http_server::ApiError;

use crate::registry::PublishError;
use crate::reports::ReportError;

pub(crate) fn precondition_required() -> ApiError {
    let message = "missing precondition: send If-Match with the entity tag of the current document, or If-None-Match: * for the first";
    ApiError::new(StatusCode::PRECONDITION_REQUIRED, message)
}

pub(crate) fn no_document() -> ApiError {
    ApiError::not_found("this job has no document yet")
}

pub(crate) fn unauthorized() -> ApiError {
    let message = "missing or unknown token; send Authorization: Bearer <token>";
    ApiError::new(StatusCode::UNAUTHORIZED, message)
}

/// The response to a reader that found no long-poll slot.
pub(crate) fn too_many_readers() -> ApiError {
    let message = "too many readers are waiting; retry, or leave out wait";
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, message)
}

impl From<PublishError> for ApiError {
    fn from(error: PublishError) -> Self {
        let status = match &error {
            PublishError::NotCurrent { .. } => StatusCode::PRECONDITION_FAILED,
            PublishError::NotTheSuccessor { .. } | PublishError::FirstTooHigh { .. } => StatusCode::CONFLICT,
            PublishError::TooManyJobs { .. } => StatusCode::INSUFFICIENT_STORAGE,
            PublishError::Store(_) | PublishError::Interrupted => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::from_error(status, &error)
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
        Self::from_error(status, &error)
    }
}
