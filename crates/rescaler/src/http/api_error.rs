//! Errors as they are answered: a status, and a JSON body that says what was wrong and what to do.

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::status::SwitchError;

/// An answer other than what was asked for.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    message: String,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    pub(crate) fn no_such_job() -> Self {
        Self::new(StatusCode::NOT_FOUND, "no such job; GET /api/v1/jobs lists them")
    }

    #[cfg(test)]
    pub(crate) fn status(&self) -> u16 {
        self.status.as_u16()
    }
}

impl From<SwitchError> for ApiError {
    fn from(error: SwitchError) -> Self {
        let status = match &error {
            SwitchError::Forced => StatusCode::CONFLICT,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let message = error.to_string();
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            // The caller learns that it did not work; why, our own log says.
            tracing::error!("{:#}", anyhow::Error::from(error));
        }
        Self::new(status, message)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let no_store = [(header::CACHE_CONTROL, "no-store")];
        (self.status, no_store, Json(json!({ "error": self.message }))).into_response()
    }
}

pub(super) async fn no_such_path() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "no such path; see docs/api.md")
}

pub(super) async fn no_such_method() -> ApiError {
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method not allowed; see docs/api.md")
}
