//! What befalls a request on its way to the scripted Flink, and its answer on the way back.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt as _;

/// What shall happen to the next request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It gets lost: nothing happens, no answer.
    LostRequest,
    /// It has its effect, the answer gets lost.
    LostAnswer,
    /// Error 500, nothing happens.
    Error500,
    /// It has its effect, half of the answer arrives.
    Truncated,
    /// It has its effect, the answer is a web page with status 200.
    Html,
    /// It has its effect, the answer is larger than anybody reads.
    Oversized,
    /// It has its effect, the answer comes so slowly that nobody waits for its end.
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

    /// What arrives of an answer.
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
