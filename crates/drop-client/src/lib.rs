//! A typed client of the config drop (docs/protocol.md), or of a plain web server or folder instead. It returns only
//! valid documents.
//!
//! Networks between client and drop are unreliable: captive portals return log-in pages with status 200, proxies
//! truncate bodies, a wrong URL reaches a foreign server. So a response counts as a document only if status, content
//! type, entity tag, signature (where a public key is pinned), content and job name are all valid; any other response
//! is an error that names the invalid part. Redirects are not followed. Every request has a timeout, every body a
//! size limit.
//!
//! Nothing is retried: that is the caller's decision. [`job_config::Admission`] decides which valid documents may be
//! applied.

mod access;
mod client;
mod error;
mod files;
mod transport;

pub use access::Access;
pub use client::{
    ClientSettings, Current, DropClient, Fetched, Precondition, Published, Reported, SourceAnswer,
};
pub use error::{Defect, Error};
pub use files::StaticClient;
pub use http_client::AccessError;
pub use transport::Failure;
