//! An idempotent Kafka producer whose records are written once, straight into the batch that is sent.
//!
//! A general client keeps an object for each record: it is allocated, queued, copied into a batch, and looked at again when the batch is
//! acknowledged. Most of a small record's CPU time is spent there. Here a record is a few bytes behind the one before, and what is kept
//! for it is a count.
//!
//! * [`batch`]: the record batch, format v2, and its compression.
//! * [`core`]: what happens to the batches of one partition: sequence numbers, retries in order, epochs. No clock, no sockets.
//! * [`net`]: connections, and the conversations that may take long, in threads of their own.
//! * [`Producer`]: puts them together. One thread appends, sends and takes acknowledgements; it never waits for a broker unless asked to.
//!
//! # What is guaranteed
//!
//! Records of a partition stand in Kafka in the order in which they were appended, none twice. A record that is reported as
//! acknowledged is in Kafka on all replicas in sync (`acks` of all). A record that is reported as failed may be in Kafka (where it was sent
//! and not answered in time), and those behind it are delivered. If a broker has lost records that it had acknowledged, the
//! producer says so and ends ([`Producer::fatal`]).
//!
//! # What is left out
//!
//! TLS, SASL, transactions, keys, headers, partitioners, compression other than lz4, brokers before 0.11. Who needs these uses
//! librdkafka; [`ConnectError::Unsuitable`] says when a broker needs it.

mod batch;
mod core;
mod net;
mod producer;
mod settings;

pub use batch::Group;
pub use core::Delivery;
pub use producer::Producer;
pub use settings::{ConnectError, Settings};
