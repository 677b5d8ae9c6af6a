//! What a producer is told, and why it cannot begin.

use std::time::Duration;

/// Bounds and addresses of a producer. The caller has checked the ranges.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Brokers to connect to first, `host:port` with commas between.
    pub bootstrap_servers: String,
    /// What brokers log about this client.
    pub client_id: String,
    /// Whether batches are compressed with lz4.
    pub compress: bool,
    /// How long a record may wait for others.
    pub linger: Duration,
    /// Bytes of records, uncompressed, after which a batch is closed. A broker's bound for one batch is 1 MiB unless configured otherwise.
    pub batch_bytes: usize,
    /// Bytes of records, uncompressed, for one broker that are sent without waiting for more.
    pub request_bytes: usize,
    /// Requests to a broker that are not answered yet, 1 to 5: a broker remembers five batches of a producer.
    pub requests_in_flight: usize,
    /// Bytes that are not sent yet; [`crate::Producer::has_room`] is false beyond.
    pub unsent_bytes: usize,
    /// A record that is not acknowledged by then has failed.
    pub delivery_timeout: Duration,
    /// A broker that does not answer for so long is connected to anew.
    pub request_timeout: Duration,
    /// How long to wait before something is tried again, at first; up to ten times as long when it goes on failing.
    pub retry_backoff: Duration,
    /// How long to try to reach a broker at the start.
    pub connect_timeout: Duration,
    /// Whether [`crate::Group`]s tell timestamps apart.
    pub by_timestamp: bool,
}

/// Why a producer cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// No broker answered in time.
    #[error("no Kafka broker at {servers} within {waited_ms} ms: {cause}")]
    Unreachable {
        /// The addresses tried.
        servers: String,
        /// For how long.
        waited_ms: u128,
        /// What went wrong last.
        cause: String,
    },
    /// Topics do not exist, or have no partition.
    #[error("topics {} missing", .0.join(", "))]
    MissingTopics(Vec<String>),
    /// The broker lacks what this producer needs; another client may work.
    #[error("{0}")]
    Unsuitable(String),
    /// The broker refuses this client.
    #[error("the broker refuses a producer id: {0}")]
    Refused(String),
    /// The end was asked for.
    #[error("stopped while connecting")]
    Stopped,
}
