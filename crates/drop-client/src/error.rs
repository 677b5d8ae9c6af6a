//! Errors of a request to the drop.

use job_config::{AdmissionError, DocumentError, EntityTag};
use secrets::Address;
use thiserror::Error;

use crate::Failure;

/// Why a request gave no usable response.
#[derive(Debug, Error)]
pub enum Error {
    /// The URL is invalid.
    #[error(
        "{url:?} is not the URL of a config drop; write http://host:port, without a password (see drop.token_file)"
    )]
    Address {
        /// The URL as given; its credentials are not shown.
        url: Address,
    },
    /// A token, a certificate or a key is unusable.
    #[error("cannot set up access to the drop")]
    Setup(#[source] http_client::SetupError),
    /// A report cannot be written as JSON.
    #[error("cannot serialise the report")]
    Encode(#[source] serde_json::Error),
    /// No response: refused, reset, unknown name, truncated, or timed out.
    #[error("no complete answer from {url}")]
    NoAnswer {
        /// The requested URL.
        url: String,
        /// The transport's error.
        #[source]
        source: Failure,
    },
    /// The body exceeds the limit. At most the limit was read.
    #[error("{url} answered more than {limit_bytes} bytes")]
    TooLarge {
        /// The requested URL.
        url: String,
        /// The limit.
        limit_bytes: usize,
    },
    /// A status that the protocol does not define for this request.
    #[error("{url} answered {status}: {message}")]
    Status {
        /// The requested URL.
        url: String,
        /// The HTTP status code.
        status: u16,
        /// The drop's message, or the beginning of another body.
        message: String,
    },
    /// Status 200, but not a document of this job.
    #[error("{url} answered 200 without a valid document of this job")]
    NotADocument {
        /// The requested URL.
        url: String,
        /// What is wrong with the response.
        #[source]
        defect: Defect,
    },
    /// Status 200, but not a list of reports.
    #[error("{url} answered 200 without a list of reports")]
    NotReports {
        /// The requested URL.
        url: String,
        /// The parser's error.
        #[source]
        source: serde_json::Error,
    },
    /// A new document was stored, but the response has no entity tag for it.
    #[error("{url} stored the document, but returned no entity tag")]
    NoEntityTag {
        /// The requested URL.
        url: String,
    },
}

/// Why a response with status 200 is not a document of the requested job.
#[derive(Debug, Error)]
pub enum Defect {
    /// The content type is wrong or missing.
    #[error("the content type is {found:?}, not {}", job_config::MEDIA_TYPE)]
    ContentType {
        /// Value of the header.
        found: String,
    },
    /// The entity tag is missing or malformed.
    #[error("the entity tag is missing")]
    EntityTag,
    /// The entity tag is a config drop's and does not match the body: the body was changed or truncated.
    #[error("the body does not match its entity tag {found}")]
    Digest {
        /// The entity tag.
        found: EntityTag,
    },
    /// The body is not UTF-8.
    #[error("the body is not UTF-8")]
    Encoding(#[source] std::string::FromUtf8Error),
    /// The body is not a valid job document.
    #[error("the body is not a valid job document")]
    Content(#[source] DocumentError),
    /// Not signed as required, or of another job.
    #[error("the document is refused ({})", .0.name())]
    Refused(#[source] AdmissionError),
}

impl Error {
    /// Whether a retry may succeed without any intervention: no response, or a server error.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::NoAnswer { .. } => true,
            Self::Status { status, .. } => *status >= 500 || matches!(status, 408 | 429),
            _ => false,
        }
    }

    /// Whether a write certainly had no effect: it was never sent, or was rejected for its content.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Address { .. } | Self::Setup(_) | Self::Encode(_) => true,
            Self::Status { status, .. } => (400..500).contains(status) && *status != 408,
            _ => false,
        }
    }

    /// Returns the error's name for logs, metrics and reports; includes those of [`AdmissionError`].
    pub fn name(&self) -> &'static str {
        match self {
            Self::Address { .. } | Self::Setup(_) | Self::Encode(_) => "setup",
            Self::NoAnswer { .. } => "no-answer",
            Self::TooLarge { .. } => "too-large",
            Self::Status { .. } => "status",
            Self::NotReports { .. } => "not-reports",
            Self::NoEntityTag { .. } => "entity-tag",
            Self::NotADocument { defect, .. } => match defect {
                Defect::ContentType { .. } => "content-type",
                Defect::EntityTag => "entity-tag",
                Defect::Digest { .. } => "digest",
                Defect::Encoding(_) | Defect::Content(_) => "not-a-document",
                Defect::Refused(refusal) => refusal.name(),
            },
        }
    }

    /// Returns the rejection behind this error, if it is one.
    pub fn refusal(&self) -> Option<&AdmissionError> {
        match self {
            Self::NotADocument { defect: Defect::Refused(refusal), .. } => Some(refusal),
            _ => None,
        }
    }
}
