//! Queries the brokers that the job reads from for the end offsets of its partitions, with every sample.
//!
//! Without brokers, or while they do not respond, arrivals are derived from Flink's metrics.

use std::time::Duration;

use anyhow::anyhow;
use end_offsets::{EndOffsets, EndOffsetsError, Partitions};
use kafka_properties::{InvalidProperties, Properties};
use rdkafka::ClientConfig;
use serde::{Deserialize, Serialize};
use service::with_causes;
use telemetry::Sample;
use tracing::{info, warn};

use crate::source::SourceKind;

/// `[kafka]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Brokers {
    /// Addresses of brokers, host:port with commas; empty: arrivals are derived from Flink's metrics.
    pub bootstrap_servers: String,
    /// Timeout of one query to the brokers, in milliseconds.
    pub timeout_ms: u64,
    /// Settings of librdkafka by their own names: TLS and logins.
    pub properties: Properties,
}

impl Default for Brokers {
    fn default() -> Self {
        Self { bootstrap_servers: String::new(), timeout_ms: 1_000, properties: Properties::default() }
    }
}

impl Brokers {
    /// Returns every value out of range, as `key: valid values`.
    pub(crate) fn problems(&self, metrics: SourceKind) -> Vec<String> {
        let checks = [
            ((1..=60_000).contains(&self.timeout_ms), "kafka.timeout_ms: give a number from 1 to 60000"),
            (
                self.bootstrap_servers.is_empty() || metrics == SourceKind::FlinkRest,
                "kafka.bootstrap_servers: only with source.kind = \"flink-rest\", which names the partitions; leave it out",
            ),
        ];
        let wrong = checks.iter().filter(|(right, _)| !right).map(|(_, problem)| (*problem).to_owned());
        let mut problems: Vec<String> = wrong.collect();
        problems.extend(self.properties.problems());
        if let Err(InvalidProperties(unusable)) = self.properties.loaded() {
            problems.extend(unusable);
        }
        problems
    }
}

/// Completes samples with end offsets from the brokers.
pub(crate) struct BrokerReader {
    bootstrap_servers: String,
    ends: Option<EndOffsets>,
    problem: Option<String>,
}

impl BrokerReader {
    /// # Errors
    /// A secret cannot be read, or the Kafka client refuses its settings.
    pub(crate) fn new(config: &Brokers) -> anyhow::Result<Self> {
        let bootstrap_servers = config.bootstrap_servers.clone();
        let ends = if bootstrap_servers.is_empty() { None } else { Some(end_offsets(config)?) };
        Ok(Self { bootstrap_servers, ends, problem: None })
    }

    /// Adds the end offsets of the sources to a sample. Offsets that the brokers do not report stay unknown.
    pub(crate) async fn complete(&mut self, sample: &mut Sample) {
        let Some(ends) = &mut self.ends else { return };
        let sources: Vec<usize> =
            (0..sample.vertices.len()).filter(|index| !sample.vertices[*index].topics.is_empty()).collect();
        let wanted: Vec<&Partitions> = sources.iter().map(|index| &sample.vertices[*index].topics).collect();
        let found = if wanted.is_empty() { Ok(Vec::new()) } else { ends.sums(&wanted).await };
        match found {
            Ok(sums) => {
                let at_ms = jiff::Timestamp::now().as_millisecond();
                for (index, records) in sources.into_iter().zip(sums) {
                    sample.vertices[index].end_offsets = Some(telemetry::EndOffsets { at_ms, records });
                }
                if self.problem.take().is_some() {
                    info!(brokers = %self.bootstrap_servers, "arrivals are counted from the brokers' end offsets again");
                }
            }
            Err(error) => self.warn(&error),
        }
    }

    fn warn(&mut self, error: &EndOffsetsError) {
        let problem = with_causes(error);
        if self.problem.as_ref() != Some(&problem) {
            warn!(brokers = %self.bootstrap_servers, "{problem}; counting arrivals from Flink's metrics");
        }
        self.problem = Some(problem);
    }
}

/// Returns a client of the configured brokers.
fn end_offsets(config: &Brokers) -> anyhow::Result<EndOffsets> {
    let mut settings = ClientConfig::new();
    settings.set("bootstrap.servers", &config.bootstrap_servers).set("client.id", "rescaler");
    let properties = config.properties.loaded()?;
    properties.apply(&mut settings);
    EndOffsets::new(&settings, Duration::from_millis(config.timeout_ms))
        .map_err(|error| anyhow!("the Kafka client rejects its settings: {}", properties.refusal(&error)))
}
