//! Settings of a producer, and errors of its start.

use std::time::Duration;

/// Limits and addresses of a producer. The caller has validated the ranges.
#[derive(Debug, Clone)]
pub struct ProducerSettings {
    /// Bootstrap brokers, `host:port` separated by commas.
    pub bootstrap_servers: String,
    /// Client id in the brokers' logs.
    pub client_id: String,
    /// Whether batches are compressed with lz4.
    pub compress: bool,
    /// Longest time that a record waits for others.
    pub linger: Duration,
    /// Size of uncompressed records at which a batch is closed, in bytes. A broker's default limit of a batch is 1
    /// MiB.
    pub batch_bytes: usize,
    /// Size of uncompressed records for one broker at which they are sent without lingering, in bytes.
    pub request_bytes: usize,
    /// Unanswered requests per broker, 1 to 5: a broker remembers five batches of a producer.
    pub requests_in_flight: usize,
    /// Limit of unsent bytes, above which [`crate::Producer::has_room`] is false.
    pub unsent_bytes: usize,
    /// Time after which an unacknowledged record fails.
    pub delivery_timeout: Duration,
    /// Time after which an unresponsive broker is reconnected.
    pub request_timeout: Duration,
    /// First retry delay; repeated failures increase it up to tenfold.
    pub retry_backoff: Duration,
    /// Timeout of connecting to a broker at the start.
    pub connect_timeout: Duration,
    /// Whether [`crate::RecordGroup`]s distinguish timestamps.
    pub by_timestamp: bool,
}

/// Why a producer could not be started.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// No broker responded in time.
    #[error("no Kafka broker at {servers} within {waited_ms} ms: {cause}")]
    Unreachable {
        /// The addresses tried.
        servers: String,
        /// Time spent, in milliseconds.
        waited_ms: u128,
        /// The last error.
        cause: String,
    },
    /// Topics do not exist, or have no partition.
    #[error("topics {} missing", .0.join(", "))]
    MissingTopics(Vec<String>),
    /// The broker does not support what this producer needs; another client may work.
    #[error("{0}")]
    Unsuitable(String),
    /// The broker rejects this client.
    #[error("the broker refused a producer id: {0}")]
    Refused(String),
    /// The caller requested a stop.
    #[error("stopped while connecting")]
    Stopped,
}
