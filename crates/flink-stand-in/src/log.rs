//! Log of the requests, in order.

/// Size limit of a logged body, in bytes.
const BODY_MAX_BYTES: usize = 64 << 10;

/// A request and the status of its response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedRequest {
    /// `GET`, `PUT` …
    pub method: String,
    /// The path as sent, without the query.
    pub path: String,
    /// The body, truncated.
    pub body: String,
    /// Status of the response.
    pub status: u16,
    /// Time of arrival, in milliseconds since the Unix epoch.
    pub at_ms: i64,
}

/// Converts a body to text, truncated.
pub(crate) fn body(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(BODY_MAX_BYTES)]).into_owned()
}
