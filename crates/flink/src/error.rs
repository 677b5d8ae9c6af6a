//! What can go wrong with one call.

use secrets::{Address, AddressError};
use thiserror::Error;

/// Why a call gave no answer that can be used.
#[derive(Debug, Error)]
pub enum Error {
    /// The base address is not an HTTP URL.
    #[error("{url:?} is not the address of a Flink REST endpoint; {reason}")]
    Address {
        /// The address as given; its credentials are not shown.
        url: Address,
        /// What would be right.
        reason: AddressError,
    },
    /// The HTTP client could not be made: the message names the key of the access that cannot be used.
    #[error("cannot set up access to Flink")]
    Setup(#[source] http_client::SetupError),
    /// No answer: refused, reset, name unknown, or not within the timeout.
    #[error("no answer from {url}")]
    NoAnswer {
        /// The address that was asked.
        url: String,
        /// The transport's own reason.
        #[source]
        source: http_client::Failure,
    },
    /// An answer with an error status.
    #[error("{url} answered {status}: {message}")]
    Status {
        /// The address that was asked.
        url: String,
        /// The HTTP status code.
        status: u16,
        /// Flink's own message, shortened.
        message: String,
    },
    /// An answer that points elsewhere; it is not followed.
    #[error("{url} answered {status}, a redirect to {location}; {}", remedy(location))]
    Redirect {
        /// The address that was asked.
        url: String,
        /// The HTTP status code.
        status: u16,
        /// Where it points to.
        location: String,
    },
    /// A page for people instead of an answer for programs.
    #[error("{url} answered an HTML page; a login page or another program is at this address")]
    Html {
        /// The address that was asked.
        url: String,
    },
    /// The answer is larger than allowed.
    #[error("{url} answered more than {limit_bytes} bytes")]
    TooLarge {
        /// The address that was asked.
        url: String,
        /// The bound that was exceeded.
        limit_bytes: usize,
    },
    /// The answer is not what Flink answers to this call.
    #[error("{url} answered something that is not Flink's answer to this call")]
    Unreadable {
        /// The address that was asked.
        url: String,
        /// Where the JSON stops making sense.
        #[source]
        source: serde_json::Error,
    },
    /// The local file to upload cannot be read.
    #[error("cannot read {path}")]
    File {
        /// The path as given.
        path: String,
        /// The operating system's reason.
        #[source]
        source: std::io::Error,
    },
}

/// What to do about a redirect to this address.
fn remedy(location: &str) -> &'static str {
    const WORDS: [&str; 7] = ["login", "signin", "sign-in", "oauth", "openid", "saml", "sso"];
    let lower = location.to_ascii_lowercase();
    match WORDS.iter().any(|word| lower.contains(word)) {
        true => "that is a login page: something in front of Flink requires a login",
        false => "give that address if it is Flink's",
    }
}

impl Error {
    /// Whether Flink answered that the thing asked for does not exist.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Status { status: 404, .. })
    }

    /// Whether Flink has no statistics of a job's checkpoints yet: around a job's first checkpoint Flink 2.3 answers the request
    /// for them with an internal error for up to a second.
    pub fn is_without_statistics(&self) -> bool {
        matches!(self, Self::Status { status: 500, message, .. } if message.contains("NullArgumentException"))
    }

    /// Whether the same call may succeed later: no answer, or a server-side error.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::NoAnswer { .. } => true,
            Self::Status { status, .. } => *status >= 500 || *status == 429,
            _ => false,
        }
    }
}
