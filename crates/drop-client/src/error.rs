//! What can go wrong with one call.

use job_config::{DocumentError, EntityTag};
use thiserror::Error;

/// Why a call gave no answer that can be used.
#[derive(Debug, Error)]
pub enum Error {
    /// The address is not an HTTP URL.
    #[error("{url:?} is not the address of a config drop; write it as http://host:port")]
    Address {
        /// The address as given.
        url: String,
    },
    /// The HTTP client could not be made.
    #[error("could not set up the HTTP client")]
    Setup(#[source] reqwest::Error),
    /// No answer: refused, reset, name unknown, cut short, or not within the timeout.
    #[error("no whole answer from {url}")]
    NoAnswer {
        /// The address that was asked.
        url: String,
        /// The transport's own reason.
        #[source]
        source: reqwest::Error,
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
    /// A document, but of another job.
    #[error("it is the document of job {found:?}")]
    OtherJob {
        /// The job that the document names.
        found: String,
    },
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
}
