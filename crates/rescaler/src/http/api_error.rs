//! Errors of the HTTP interface that several handlers respond with.

use axum::http::StatusCode;
use http_server::ApiError;

use crate::status::SwitchError;

pub(super) fn no_such_job() -> ApiError {
    ApiError::not_found("no such job; GET /api/v1/jobs lists them")
}

pub(super) async fn no_such_path() -> ApiError {
    ApiError::not_found("no such path; see docs/api.md")
}

pub(super) async fn no_such_method() -> ApiError {
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method not allowed; see docs/api.md")
}

impl From<SwitchError> for ApiError {
    fn from(error: SwitchError) -> Self {
        let status = match &error {
            SwitchError::Forced => StatusCode::CONFLICT,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::from_error(status, &error)
    }
}
