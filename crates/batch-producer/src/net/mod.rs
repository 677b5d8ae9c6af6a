//! Sockets and threads. What is asked once in a while (addresses, versions, metadata, a producer id) is asked by threads of their own
//! that wait for the answer ([`conversation`], [`errands`]); batches go over connections that never block ([`connection`]).

mod connection;
mod conversation;
mod errands;
mod wake;

pub(crate) use connection::{Connection, Part};
pub(crate) use conversation::{Cluster, Conversation, Failed};
pub(crate) use errands::{Done, Errands};
