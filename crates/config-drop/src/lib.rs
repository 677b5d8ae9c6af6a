//! The config drop: an HTTP server that passes one document per job from the rescaler, which decides, to the agent,
//! which acts.
//!
//! It exists because a cluster is often behind a firewall without inbound access: the rescaler puts documents here
//! and the agent fetches them, both by outbound connections. docs/protocol.md specifies the protocol. Its guarantees:
//!
//! * A document's generation is the successor of the one before, and of two writers one wins ([`DocumentRegistry`]).
//! * A confirmed write is on disk, complete, even if the process is killed at any instruction (`store`).
//! * Clients on other machines authenticate with a token of their role, over TLS (`tokens`, [`Protection`]).
//! * Every resource that a client could exhaust has a configured limit ([`Limits`]).
//!
//! It knows nothing of Flink. The same [`router`] can be embedded in another process (an agent that is reachable
//! directly, or a stand-alone rescaler).

mod api_error;
mod args;
mod conditions;
mod config;
mod disk;
mod freshness;
mod history;
mod http;
mod metrics;
mod protection;
mod registry;
mod reports;
mod server;
mod store;
mod tokens;

pub use args::{Args, start};
pub use conditions::ExpectedDocument;
pub use config::{Config, Limits};
pub use history::Revision;
pub use http::{protected_router, router};
pub use protection::Protection;
pub use registry::{DocumentRegistry, PublishError, StoredDocument};
pub use reports::ReportError;
pub use server::run;
pub use store::StoreError;
pub use tokens::{Role, TokenError, Tokens};
