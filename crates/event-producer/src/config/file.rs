//! The configuration file as it is written, with its defaults.

use std::path::Path;

use clap::ValueEnum;
use generator::nexmark::NexmarkConfig;
use generator::profile::ProfileConfig;
use generator::psm::PsmConfig;
use kafka_properties::Properties;
use serde::{Deserialize, Serialize};
use service::settings::{self, ConfigError, Problems};

use super::values::{Shard, StartTime};
use crate::real_time::RealTime;

/// The file. Every key has a default; unknown keys are refused.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConfigFile {
    /// Which site's events.
    pub benchmark: Benchmark,
    /// Seed of the stream.
    pub seed: u64,
    /// Event time of event 0.
    pub start_time: StartTime,
    /// First event number to write.
    pub from_event: u64,
    /// Number of events to write; absent: until the profile ends.
    pub events: Option<u64>,
    /// Kinds to write; absent: all of the benchmark.
    pub streams: Option<Vec<String>>,
    /// Which part of the partitions to write, where several producers share a run.
    pub shard: Shard,
    /// Do not wait for the schedule.
    pub as_fast_as_possible: bool,
    /// Whether the threads that emit run before all others; never with `as_fast_as_possible`.
    pub real_time: RealTime,
    /// The auction site.
    pub nexmark: NexmarkConfig,
    /// The price-comparison site.
    pub psm: PsmConfig,
    /// Which event is due when.
    pub profile: ProfileConfig,
    /// The Kafka client.
    pub kafka: KafkaSection,
    /// The line a second and the metrics page.
    pub report: ReportSection,
}

/// Which site's events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Benchmark {
    /// The auction site.
    #[default]
    Nexmark,
    /// The price-comparison site (product search).
    Psm,
}

/// `[kafka]` as written.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KafkaSection {
    /// Brokers to connect to first.
    pub bootstrap_servers: String,
    /// Which client carries the events.
    pub transport: Transport,
    /// Prefix of each topic's name.
    pub topic_prefix: String,
    /// Who must have a record before it counts as acknowledged: `all`, `1` or `0`.
    pub acks: String,
    /// `none`, `lz4`, `gzip`, `snappy` or `zstd`.
    pub compression: String,
    /// How long a batch may wait for more records, ms.
    pub linger_ms: u64,
    /// No duplicates and no change of order by retries.
    pub idempotence: bool,
    /// Most records emitted and not yet acknowledged; absent: 500,000 with a schedule, what a round trip takes without.
    pub max_in_flight: Option<u64>,
    /// Most bytes emitted and not yet sent, KiB.
    pub queue_kib: u64,
    /// A record that is not acknowledged by then has failed, ms.
    pub delivery_timeout_ms: u64,
    /// How long to try to reach a broker at the start, ms.
    pub connect_timeout_ms: u64,
    /// How long to wait for acknowledgements at the end, ms.
    pub flush_timeout_ms: u64,
    /// Bounds of the transport `batches`.
    pub batches: BatchesSection,
    /// Further settings of librdkafka, by their own names: also TLS and logins.
    pub properties: Properties,
}

/// Which client carries the events into Kafka.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// The general client: all brokers, all settings
    #[default]
    Librdkafka,
    /// Built in: encodes events straight into record batches; falls back to librdkafka where it cannot be used
    Batches,
}

/// `[kafka.batches]` as written.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BatchesSection {
    /// Records of a partition after which its batch is closed, KiB before compression.
    pub batch_kib: u64,
    /// Records for a broker that are sent without waiting for more, KiB before compression.
    pub request_kib: u64,
    /// Requests to a broker that are not answered yet.
    pub requests_in_flight: u64,
    /// Time without a response after which a broker is reconnected, ms.
    pub request_timeout_ms: u64,
    /// How long to wait at first before something is tried again, ms.
    pub retry_backoff_ms: u64,
}

impl Default for BatchesSection {
    fn default() -> Self {
        BatchesSection {
            batch_kib: 512,
            request_kib: 1_024,
            requests_in_flight: 5,
            request_timeout_ms: 30_000,
            retry_backoff_ms: 100,
        }
    }
}

/// `[report]` as written.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReportSection {
    /// Time between two lines, ms.
    pub interval_ms: u64,
    /// Address of the metrics page; absent: none.
    pub listen: Option<String>,
}

impl Default for ConfigFile {
    fn default() -> Self {
        ConfigFile {
            benchmark: Benchmark::Nexmark,
            seed: 1,
            start_time: StartTime::Now,
            from_event: 0,
            events: None,
            streams: None,
            shard: Shard::default(),
            as_fast_as_possible: false,
            real_time: RealTime::Auto,
            nexmark: NexmarkConfig::default(),
            psm: PsmConfig::default(),
            profile: ProfileConfig::Constant { rate: 1_000.0, duration_s: None },
            kafka: KafkaSection::default(),
            report: ReportSection::default(),
        }
    }
}

impl Default for KafkaSection {
    fn default() -> Self {
        KafkaSection {
            bootstrap_servers: "127.0.0.1:9092".to_owned(),
            transport: Transport::Librdkafka,
            topic_prefix: String::new(),
            acks: "all".to_owned(),
            compression: "lz4".to_owned(),
            linger_ms: 5,
            idempotence: true,
            max_in_flight: None,
            queue_kib: 256 * 1024,
            delivery_timeout_ms: 120_000,
            connect_timeout_ms: 15_000,
            flush_timeout_ms: 30_000,
            batches: BatchesSection::default(),
            properties: Properties::default(),
        }
    }
}

impl Default for ReportSection {
    fn default() -> Self {
        ReportSection { interval_ms: 1_000, listen: None }
    }
}

impl ConfigFile {
    /// Reads a file, or takes the defaults.
    ///
    /// # Errors
    /// As [`settings::load`].
    pub fn load(path: Option<&Path>) -> Result<(ConfigFile, Problems), ConfigError> {
        settings::load_or_default(path)
    }
}
