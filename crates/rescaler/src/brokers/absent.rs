//! `[kafka]` of a rescaler without the Kafka client: refused if it has brokers.

use serde::{Deserialize, Serialize};
use telemetry::Sample;
use toml::Table;

use crate::source::SourceKind;

/// `[kafka]`, which cannot be used.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Brokers {
    /// Addresses of brokers.
    pub bootstrap_servers: String,
    /// Timeout of one query to the brokers, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// Settings of librdkafka. Not shown: they may hold secrets.
    #[serde(skip_serializing)]
    pub properties: Table,
}

impl Brokers {
    /// Returns every value out of range, as `key: valid values`.
    pub(crate) fn problems(&self, _metrics: SourceKind) -> Vec<String> {
        let remedy = "kafka.bootstrap_servers: Kafka's client is not built into this rescaler; build it with the feature kafka, or remove the key";
        if self.bootstrap_servers.is_empty() { Vec::new() } else { vec![remedy.to_owned()] }
    }
}

/// Does not complete samples.
pub(crate) struct BrokerReader;

impl BrokerReader {
    /// # Errors
    /// None.
    #[expect(clippy::unnecessary_wraps, reason = "with Kafka's client it can fail")]
    pub(crate) fn new(_config: &Brokers) -> anyhow::Result<Self> {
        Ok(Self)
    }

    /// Leaves the sample as it is.
    #[expect(clippy::unused_async, reason = "with Kafka's client it waits for the brokers")]
    pub(crate) async fn complete(&mut self, _sample: &mut Sample) {}
}
