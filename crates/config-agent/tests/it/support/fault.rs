//! Faults of a request to the scripted Flink, and of its answer.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt as _;

/// Fault of the next request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The request is lost: no effect, no answer.
    LostRequest,
    /// The request has its effect, the answer is lost.
    LostAnswer,
    /// Error 500, without effect.
    Error500,
    /// The request has its effect, half of the answer arrives.
    Truncated,
    /// The request has its effect, the answer is a web page with status 200.
    Html,
    /// The request has its effect, the answer exceeds the size limit.
    Oversized,
    /// The request has its effect, the answer is so slow that it times out.
    SlowDrip,
}

impl Fault {
    pub(crate) const ALL: [Self; 7] = [
        Self::LostRequest,
        Self::LostAnswer,
        Self::Error500,
        Self::Truncated,
        Self::Html,
        Self::Oversized,
        Self::SlowDrip,
    ];

    /// Whether the request has its effect.
    pub(crate) fn has_effect(self) -> bool {
        !matches!(self, Self::LostRequest | Self::Error500)
    }

    /// Returns what arrives of the answer.
    pub(crate) async fn spoil(self, answer: Option<Response>) -> Response {
        let chunks = |chunks: Vec<Result<Bytes, std::io::Error>>, pause: Duration| {
            let chunks = futures_util::stream::iter(chunks).then(move |chunk| async move {
                tokio::time::sleep(pause).await;
                chunk
            });
            Response::builder()
                .header("content-type", "application/json")
                .body(Body::from_stream(chunks))
                .unwrap()
        };
        let whole = match answer {
            Some(answer) => axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap(),
            None => Bytes::new(),
        };
        match self {
            Self::LostRequest | Self::LostAnswer => std::future::pending().await,
            Self::Error500 => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
            Self::Html => ([("content-type", "text/html")], "<html>Please log in</html>").into_response(),
            Self::Truncated => {
                let half = whole.slice(..whole.len() / 2);
                chunks(vec![Ok(half), Err(std::io::ErrorKind::ConnectionReset.into())], Duration::ZERO)
            }
            Self::Oversized => {
                let block = Bytes::from(vec![b' '; 64 << 10]);
                chunks((0..40).map(|_| Ok(block.clone())).collect(), Duration::ZERO)
            }
            Self::SlowDrip => {
                let bytes = whole.iter().map(|byte| Ok(Bytes::from(vec![*byte])));
                chunks(bytes.collect(), Duration::from_millis(100))
            }
        }
    }
}
