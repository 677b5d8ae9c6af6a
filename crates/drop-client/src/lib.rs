//! A typed client of the config drop (docs/protocol.md), and of a plain web server or folder in its place: whatever it hands
//! out as a document is one.
//!
//! A drop is reached over networks that its users do not control: captive portals answer log-in pages with status 200,
//! proxies cut bodies short, a wrong address belongs to somebody else's server. So an answer counts as a document only if
//! status, content type, entity tag, signature (where a public key is pinned), content and job name are all right, and
//! everything else is an error that says which of them was not. Redirects are not followed. Every call has a deadline,
//! every body a bound.
//!
//! Nothing is retried: when to ask again is the caller's decision. Which of the right documents may be applied is decided by
//! [`job_config::Admission`].

mod access;
mod client;
mod error;
mod files;
mod transport;

pub use access::Access;
pub use client::{Current, DropClient, Fetched, Precondition, Published, Reported, Settings};
pub use error::{Defect, Error};
pub use files::StaticClient;
pub use http_client::AccessError;
pub use transport::Failure;
