//! Sockets and threads. Infrequent requests (addresses, versions, metadata, a producer id) run in separate blocking
//! threads ([`conversation`], [`errands`]); batches use non-blocking connections ([`connection`]).

mod connection;
mod conversation;
mod errands;
mod wake;

pub(crate) use connection::{Connection, Part};
pub(crate) use conversation::{Cluster, Conversation, Failed};
pub(crate) use errands::{Done, Errands};
