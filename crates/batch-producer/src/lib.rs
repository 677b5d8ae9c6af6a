//! An idempotent Kafka producer that writes records directly into the batch to be sent.
//!
//! A general client keeps an object per record: it is allocated, queued, copied into a batch, and processed again at
//! the acknowledgement, which takes most of a small record's CPU time. Here a record is a few bytes after the
//! previous one, and only a count is kept for it.
//!
//! * [`batch`]: the record batch, format v2, and its compression.
//! * [`core`]: the state machine of one partition's batches: sequence numbers, retries in order, epochs. No clock, no
//!   sockets.
//! * [`net`]: connections, and blocking requests in separate threads.
//! * [`Producer`]: combines them. One thread appends, sends and processes acknowledgements; it never waits for a
//!   broker unless requested.
//!
//! # Guarantees
//!
//! Records of a partition are in Kafka in the order in which they were appended, without duplicates. A record
//! reported as acknowledged is in Kafka on all in-sync replicas (`acks=all`). A record reported as failed may be in
//! Kafka (if it was sent and not answered in time), and later ones are delivered. If a broker has lost acknowledged
//! records, the producer reports it and ends ([`Producer::fatal`]).
//!
//! # Limits
//!
//! Not supported: TLS, SASL, transactions, keys, headers, partitioners, compression other than lz4, brokers before
//! 0.11. Use librdkafka for these; [`ConnectError::Unsuitable`] reports a broker that requires it.

mod batch;
mod core;
mod net;
mod producer;
mod settings;

pub use batch::RecordGroup;
pub use core::Delivery;
pub use producer::Producer;
pub use settings::{ConnectError, ProducerSettings};
