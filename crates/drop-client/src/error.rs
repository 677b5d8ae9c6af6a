//! What can go wrong with one call.

use job_config::{DocumentError, EntityTag, Refusal};
use secrets::Address;
use thiserror::Error;

use crate::Failure;

/// Why a call gave no answer that can be used.
#[derive(Debug, Error)]
pub enum Error {
    /// The address is not an HTTP URL.
    #[error(
        "{url:?} is not the address of a config drop; write it as http://host:port, without a password (drop.token_file)"
    )]
    Address {
        /// The address as given; its credentials are not shown.
        url: Address,
    },
    /// A token, a certificate or a key cannot be used.
    #[error("cannot set up access to the drop")]
    Setup(#[source] http_client::SetupError),
    /// A report cannot be written as JSON.
    #[error("the report cannot be written as JSON")]
    Encode(#[source] serde_json::Error),
    /// No answer: refused, reset, name unknown, cut short, or not within the timeout.
    #[error("no whole answer from {url}")]
    NoAnswer {
        /// The address that was asked.
        url: String,
        /// The transport's own reason.
        #[source]
        source: Failure,
    },
    /// The body is larger than allowed. At most the bound was read.
    #[error("{url} answered more than {limit_bytes} bytes")]
    TooLarge {
        /// The address that was asked.
        url: String,
        /// The bound that was exceeded.
        limit_bytes: usize,
    },
    /// A status that the protocol does not have for this call.
    #[error("{url} answered {status}: {message}")]
    Status {
        /// The address that was asked.
        url: String,
        /// The HTTP status code.
        status: u16,
        /// The drop's own message, or the beginning of whatever was answered.
        message: String,
    },
    /// Status 200, but not a document of this job.
    #[error("{url} answered 200, but not with a document of this job")]
    NotADocument {
        /// The address that was asked.
        url: String,
        /// What is wrong with the answer.
        #[source]
        defect: Defect,
    },
    /// Status 200, but not a list of reports.
    #[error("{url} answered 200, but not with a list of reports")]
    NotReports {
        /// The address that was asked.
        url: String,
        /// Where the JSON stops making sense.
        #[source]
        source: serde_json::Error,
    },
    /// A new document was stored, but the answer has no entity tag for it.
    #[error("{url} stored the document, but answered no entity tag")]
    NoEntityTag {
        /// The address that was asked.
        url: String,
    },
}

/// What an answer with status 200 lacks to be a document of the job that was asked for.
#[derive(Debug, Error)]
pub enum Defect {
    /// The content type is another one, or missing.
    #[error("the content type is {found:?}, not {}", job_config::MEDIA_TYPE)]
    ContentType {
        /// What stood in the header.
        found: String,
    },
    /// The entity tag is missing or malformed.
    #[error("there is no entity tag")]
    EntityTag,
    /// The tag is one of a config drop, and says that the body should be another one: it was changed or cut short.
    #[error("the body is not the one that its entity tag {found} belongs to")]
    Digest {
        /// The tag.
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
    Refused(#[source] Refusal),
}

impl Error {
    /// Whether the same call may succeed later without anybody changing anything: no answer, or a server in trouble.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::NoAnswer { .. } => true,
            Self::Status { status, .. } => *status >= 500 || matches!(status, 408 | 429),
            _ => false,
        }
    }

    /// Whether a call that changes something has certainly changed nothing: it was never sent, or refused for its content.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Address { .. } | Self::Setup(_) | Self::Encode(_) => true,
            Self::Status { status, .. } => (400..500).contains(status) && *status != 408,
            _ => false,
        }
    }

    /// A name for what is wrong, for logs, metrics and reports. Those of [`Refusal`] are among them.
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

    /// The refusal behind this error, if it is one.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::NotADocument { defect: Defect::Refused(refusal), .. } => Some(refusal),
            _ => None,
        }
    }
}
