//! Errors of a request to Flink.

use secrets::{Address, AddressError};
use thiserror::Error;

/// Why a request gave no usable response.
#[derive(Debug, Error)]
pub enum Error {
    /// The base URL is invalid.
    #[error("{url:?} is not the address of a Flink REST endpoint; {reason}")]
    Address {
        /// The URL as given; its credentials are not shown.
        url: Address,
        /// What is wrong with it.
        reason: AddressError,
    },
    /// The HTTP client could not be created: the message names the invalid key.
    #[error("cannot set up access to Flink")]
    Setup(#[source] http_client::SetupError),
    /// No response: refused, reset, unknown name, or timed out.
    #[error("no answer from {url}")]
    NoAnswer {
        /// The requested URL.
        url: String,
        /// The transport's error.
        #[source]
        source: http_client::Failure,
    },
    /// A response with an error status.
    #[error("{url} answered {status}: {message}")]
    Status {
        /// The requested URL.
        url: String,
        /// The HTTP status code.
        status: u16,
        /// Flink's message, truncated.
        message: String,
    },
    /// A redirect; it is not followed.
    #[error("{url} answered {status}, a redirect to {location}; {}", remedy(location))]
    Redirect {
        /// The requested URL.
        url: String,
        /// The HTTP status code.
        status: u16,
        /// Target of the redirect.
        location: String,
    },
    /// An HTML page instead of JSON.
    #[error("{url} answered an HTML page; the address is that of a login page or another program")]
    Html {
        /// The requested URL.
        url: String,
    },
    /// The response exceeds the size limit.
    #[error("{url} answered more than {limit_bytes} bytes")]
    TooLarge {
        /// The requested URL.
        url: String,
        /// The limit.
        limit_bytes: usize,
    },
    /// The response does not have the expected format.
    #[error("{url} gave an unexpected answer; check that it is Flink's REST address")]
    Unreadable {
        /// The requested URL.
        url: String,
        /// The parser's error.
        #[source]
        source: serde_json::Error,
    },
    /// The local file to upload cannot be read.
    #[error("cannot read {path}")]
    File {
        /// Path as given.
        path: String,
        /// The operating system's error.
        #[source]
        source: std::io::Error,
    },
}

/// Returns the remedy for a redirect to this URL.
fn remedy(location: &str) -> &'static str {
    const WORDS: [&str; 7] = ["login", "signin", "sign-in", "oauth", "openid", "saml", "sso"];
    let lower = location.to_ascii_lowercase();
    match WORDS.iter().any(|word| lower.contains(word)) {
        true => "that is a login page: a proxy in front of Flink requires a login",
        false => "use that address if it is Flink's",
    }
}

impl Error {
    /// Whether Flink responded that the requested object does not exist.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Status { status: 404, .. })
    }

    /// Whether Flink has no checkpoint statistics of a job yet: around the first checkpoint, Flink 2.3 responds to
    /// the request for them with an internal error for up to a second.
    pub fn is_without_statistics(&self) -> bool {
        matches!(self, Self::Status { status: 500, message, .. } if message.contains("NullArgumentException"))
    }

    /// Whether a retry may succeed: no response, or a server error.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::NoAnswer { .. } => true,
            Self::Status { status, .. } => *status >= 500 || *status == 429,
            _ => false,
        }
    }
}
