//! Sockets and threads. Infrequent requests (addresses, versions, metadata, a producer id) run in separate blocking
//! threads ([`conversation`], [`errands`]); batches use non-blocking connections ([`connection`]).

mod broker_stream;
mod connection;
mod tasks;
mod wake;

pub(crate) use broker_stream::{BrokerStream, Cluster, RequestError};
pub(crate) use connection::{Connection, RequestPart};
pub(crate) use tasks::{BackgroundTasks, TaskResult};
