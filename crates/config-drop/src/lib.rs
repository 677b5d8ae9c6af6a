//! The config drop: an HTTP server that carries one document per job from whoever decides to whoever acts.
//!
//! It exists because a cluster often stands behind a firewall that lets nobody in: the rescaler puts documents here, the
//! agent fetches them from here, both connect outwards. The protocol is in docs/protocol.md. What makes it safe to rely on:
//!
//! * A document's generation is the successor of the one before, and of two writers one wins ([`Board`]).
//! * What was confirmed is on the disk, whole, at whatever instruction the process is killed (`store`).
//! * Where others can connect, each shows a token of its role, and connections are encrypted (`tokens`, [`Protection`]).
//! * Everything that a stranger could make grow has a bound from the configuration ([`Limits`]).
//!
//! It knows nothing of Flink, and reads of a document only what a change is about. The same [`router`] can be carried by
//! another process (an agent that is reachable directly, or a rescaler that is all on its own).

mod args;
mod board;
mod conditions;
mod config;
mod disk;
mod history;
mod http;
mod metrics;
mod protection;
mod refusal;
mod reports;
mod server;
mod store;
mod tokens;

pub use args::{Args, start};
pub use board::{Board, PublishError, Stored};
pub use conditions::Expected;
pub use config::{Config, ConfigError, Limits};
pub use history::Edition;
pub use http::{protected_router, router};
pub use protection::Protection;
pub use reports::ReportError;
pub use server::run;
pub use store::StoreError;
pub use tokens::{Role, TokenError, Tokens};
