//! Error responses of the HTTP interfaces: a status, and a JSON body `{"error": …}` with the problem and the remedy.

use std::collections::BTreeMap;
use std::error::Error;

use axum::Json;
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use service::with_causes;

/// `Retry-After` of a service that is busy, in seconds.
const RETRY_AFTER_SECONDS: &str = "1";

/// An error response. It is never cached; status 401 asks for a bearer token, and 503 says when to retry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    status: StatusCode,
    message: String,
}

impl ApiError {
    /// Returns the response with this status. `message` names the problem and the remedy.
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    /// Returns the response of an error: the message without its causes. The causes of an internal error (status 500) are logged.
    pub fn from_error(status: StatusCode, error: &(dyn Error + 'static)) -> Self {
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!("{}", with_causes(error));
        }
        Self::new(status, error.to_string())
    }

    /// Returns the response with status 400.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// Returns the response with status 403.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, message)
    }

    /// Returns the response with status 404.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    /// Returns the response to a request for a host name that is not in the list at this key of the configuration.
    pub fn unknown_host(key: &str) -> Self {
        let message = format!("unknown host name; use the address, or add the name to {key}");
        Self::new(StatusCode::MISDIRECTED_REQUEST, message)
    }

    /// Returns the status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    fn header(&self) -> Option<(HeaderName, HeaderValue)> {
        match self.status {
            StatusCode::UNAUTHORIZED => Some((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
            StatusCode::SERVICE_UNAVAILABLE => {
                Some((header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS)))
            }
            _ => None,
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut headers = HeaderMap::new();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.extend(self.header());
        (self.status, headers, Json(BTreeMap::from([("error", self.message)]))).into_response()
    }
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;

    use super::*;

    /// Goal: the body is `{"error": …}` with the message escaped; no error is cached; 401 and 503 have the header that
    /// says what the client must do.
    #[tokio::test]
    async fn an_error_is_json_with_the_headers_of_its_status() {
        let response = ApiError::bad_request("write \"30s\"").into_response();
        assert_eq!(response.status(), 400);
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
        assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
        assert_eq!(to_bytes(response.into_body(), 100).await.unwrap(), r#"{"error":"write \"30s\""}"#);
        let headers = |status| ApiError::new(status, "x").into_response().headers().clone();
        assert_eq!(headers(StatusCode::UNAUTHORIZED)[header::WWW_AUTHENTICATE], "Bearer");
        assert_eq!(headers(StatusCode::SERVICE_UNAVAILABLE)[header::RETRY_AFTER], RETRY_AFTER_SECONDS);
        assert_eq!(headers(StatusCode::NOT_FOUND).get(header::RETRY_AFTER), None);
    }
}
