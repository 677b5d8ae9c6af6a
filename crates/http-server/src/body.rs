//! Bodies of requests, read within a size limit and a timeout.

use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
use futures_util::StreamExt as _;

use crate::api_error::ApiError;

/// Reads a whole body.
///
/// # Errors
/// 413: it is larger than this limit; 408: it took longer than this; 400: the connection ended within it.
pub async fn read_body(body: Body, limit_bytes: usize, timeout: Duration) -> Result<Vec<u8>, ApiError> {
    tokio::time::timeout(timeout, read(body, limit_bytes)).await.unwrap_or_else(|_| {
        Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, format!("the body took longer than {timeout:?}")))
    })
}

async fn read(body: Body, limit_bytes: usize) -> Result<Vec<u8>, ApiError> {
    let mut whole = Vec::new();
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| ApiError::bad_request("the body is truncated"))?;
        if whole.len() + chunk.len() > limit_bytes {
            let message = format!("the body is larger than {limit_bytes} bytes");
            return Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, message));
        }
        whole.extend_from_slice(&chunk);
    }
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use std::io;

    use futures_util::stream;

    use super::*;

    /// Goal: a body up to the limit is read; a larger one, one that ends early and one that does not end have different statuses.
    #[tokio::test]
    async fn bodies_are_bounded_in_size_and_time() {
        let read = |body: Body, limit_bytes, timeout_ms| async move {
            read_body(body, limit_bytes, Duration::from_millis(timeout_ms))
                .await
                .map_err(|error| error.status())
        };
        assert_eq!(read(Body::from("four"), 4, 60_000).await, Ok(b"four".to_vec()));
        assert_eq!(read(Body::from("four"), 3, 60_000).await, Err(StatusCode::PAYLOAD_TOO_LARGE));
        let parts = [Ok("fo"), Err(io::Error::from(io::ErrorKind::UnexpectedEof))];
        let truncated = Body::from_stream(stream::iter(parts));
        assert_eq!(read(truncated, 4, 60_000).await, Err(StatusCode::BAD_REQUEST));
        let silent = Body::from_stream(stream::pending::<io::Result<&str>>());
        assert_eq!(read(silent, 4, 1).await, Err(StatusCode::REQUEST_TIMEOUT));
    }
}
