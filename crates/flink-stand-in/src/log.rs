//! The requests that arrived, in order.

/// The longest body that is kept, in bytes.
const BODY_MAX_BYTES: usize = 64 << 10;

/// One request and the status of its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedRequest {
    /// `GET`, `PUT` …
    pub method: String,
    /// The path as it was sent, without the query.
    pub path: String,
    /// The body, shortened.
    pub body: String,
    /// The status of the answer.
    pub status: u16,
    /// When it arrived, in milliseconds since the Unix epoch.
    pub at_ms: i64,
}

/// The body as text, shortened.
pub(crate) fn body(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(BODY_MAX_BYTES)]).into_owned()
}
