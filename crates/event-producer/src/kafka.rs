//! The Kafka client: its settings, reaching a broker, and what the topics look like.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use events::Kind;
use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::metadata::Metadata;
use rdkafka::producer::{BaseProducer, Producer};
use tracing::warn;

use crate::config::KafkaSection;
use crate::deliveries::{Callbacks, Deliveries};
use crate::native::NativeProducer;
use crate::stop::StopSignal;
use crate::window::SCHEDULED;

/// How long one attempt to learn about the cluster may take; the deadline of all attempts is configured.
const ATTEMPT: Duration = Duration::from_secs(2);

/// A topic to write to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) kind: Kind,
    pub(crate) partitions: u64,
    /// The client's own number of the topic.
    pub(crate) topic: usize,
}

impl KafkaSection {
    /// The topic that events of this kind are written to.
    pub(crate) fn topic_of(&self, kind: Kind) -> String {
        format!("{}{}", self.topic_prefix, kind.topic())
    }
}

/// A client that has not yet talked to a broker.
///
/// # Errors
/// The client refuses its configuration; no value is part of the message.
pub(crate) fn producer(
    settings: &KafkaSection,
    deliveries: Arc<Deliveries>,
) -> anyhow::Result<NativeProducer> {
    let producer = configuration(settings).create_with_context(Callbacks(deliveries));
    NativeProducer::new(producer.map_err(|error| refused(settings, &error))?)
}

/// The settings with their secrets read. Makes a client that knows no broker, and ends it: what the client refuses only when it is
/// made, it refuses now.
///
/// # Errors
/// Secrets and files that cannot be used, with their keys; and as [`producer`].
pub(crate) fn load(settings: &KafkaSection) -> anyhow::Result<KafkaSection> {
    let settings = KafkaSection { properties: settings.properties.loaded()?, ..settings.clone() };
    let mut config = configuration(&settings);
    config.remove("bootstrap.servers");
    let made: Result<BaseProducer<_>, KafkaError> =
        config.create_with_context(Callbacks(Arc::new(Deliveries::default())));
    made.map(drop).map_err(|error| refused(&settings, &error))?;
    Ok(settings)
}

/// Why the client refuses its settings, unless a secret is part of the reason.
fn refused(settings: &KafkaSection, error: &KafkaError) -> anyhow::Error {
    let reason = settings.properties.refusal(error);
    anyhow!("kafka: the Kafka client rejected its configuration: {reason}")
}

/// The settings that every client needs: where the brokers are, whom to trust, how to log in; and everything else that
/// `kafka.properties` has.
pub(crate) fn connection(settings: &KafkaSection) -> ClientConfig {
    connected(ClientConfig::new(), settings)
}

fn connected(mut config: ClientConfig, settings: &KafkaSection) -> ClientConfig {
    config.set("bootstrap.servers", &settings.bootstrap_servers).set("client.id", "event-producer");
    settings.properties.apply(&mut config);
    config
}

fn configuration(settings: &KafkaSection) -> ClientConfig {
    let mut config = ClientConfig::new();
    let own = [
        ("acks", settings.acks.clone()),
        ("compression.type", settings.compression.clone()),
        ("linger.ms", settings.linger_ms.to_string()),
        ("enable.idempotence", settings.idempotence.to_string()),
        // The bound that counts is max_in_flight; librdkafka's own must not be hit before it.
        (
            "queue.buffering.max.messages",
            settings.max_in_flight.unwrap_or(SCHEDULED).saturating_add(1_000).to_string(),
        ),
        ("queue.buffering.max.kbytes", settings.queue_kib.to_string()),
        ("message.timeout.ms", settings.delivery_timeout_ms.to_string()),
    ];
    for (key, value) in &own {
        config.set(*key, value);
    }
    connected(config, settings)
}

/// Waits for a broker and asks it for the partitions of the topics, in the order of `kinds`.
///
/// # Errors
/// If no broker answers within the configured time (with address and cause), or a topic is missing (with its name and
/// the command that creates it).
pub(crate) fn targets(
    producer: &mut NativeProducer,
    deliveries: &Deliveries,
    settings: &KafkaSection,
    kinds: &[Kind],
    stop: &StopSignal,
) -> anyhow::Result<Vec<Target>> {
    let metadata = metadata(producer, deliveries, settings, stop)?;
    let partitions = |kind: Kind| {
        let name = settings.topic_of(kind);
        let topic = metadata.topics().iter().find(|topic| topic.name() == name && topic.error().is_none())?;
        (!topic.partitions().is_empty()).then_some(topic.partitions().len() as u64)
    };
    let missing: Vec<String> = kinds
        .iter()
        .filter(|kind| partitions(**kind).is_none())
        .map(|kind| settings.topic_of(*kind))
        .collect();
    if missing.is_empty() {
        let mut target = |(kind, partitions): (Kind, u64)| {
            Ok(Target { kind, partitions, topic: producer.topic(&settings.topic_of(kind))?.0 })
        };
        let known = kinds.iter().filter_map(|kind| Some((*kind, partitions(*kind)?)));
        return known.map(&mut target).collect();
    }
    Err(self::missing(settings, &missing))
}

/// Which topics are missing, and how they are created.
pub(crate) fn missing(settings: &KafkaSection, missing: &[String]) -> anyhow::Error {
    let servers = &settings.bootstrap_servers;
    let them = if missing.len() == 1 { "topic" } else { "topics" };
    let prefix = match settings.topic_prefix.as_str() {
        "" => String::new(),
        prefix => format!(" --topic-prefix {prefix}"),
    };
    // TLS and logins stand in the configuration alone.
    let config = if settings.properties.0.is_empty() { "" } else { " --config FILE" };
    anyhow!(
        "{them} {} missing on {servers}; create with: event-producer topics create --bootstrap-servers {servers}{prefix}{config}",
        missing.join(", ")
    )
}

/// Waits for a broker and asks it for all topics.
///
/// # Errors
/// If none answers within the configured time, with address and cause; if the end is asked for meanwhile; or as soon as a broker
/// refuses the login, or there is no TLS connection to it, with what to change.
pub(crate) fn metadata(
    producer: &NativeProducer,
    deliveries: &Deliveries,
    settings: &KafkaSection,
    stop: &StopSignal,
) -> anyhow::Result<Metadata> {
    let servers = &settings.bootstrap_servers;
    let deadline = Instant::now() + Duration::from_millis(settings.connect_timeout_ms);
    loop {
        let attempt = deadline.saturating_duration_since(Instant::now()).min(ATTEMPT);
        // All topics: asking for one by name would create it where the broker is set up so.
        let error =
            match producer.producer().client().fetch_metadata(None, attempt.max(Duration::from_millis(1))) {
                Ok(metadata) => return Ok(metadata),
                Err(error) => error,
            };
        // Why there is no connection is told by one of the events.
        while producer.poll(Duration::ZERO, |_| {}) {}
        let problem = deliveries.connection_problem();
        if let Some(refused) = problem.as_ref().and_then(|problem| problem.fatal_error(servers)) {
            return Err(refused);
        }
        let cause = problem.map_or_else(|| error.to_string(), |problem| problem.reason);
        if Instant::now() >= deadline || stop.asked() {
            let waited = settings.connect_timeout_ms;
            return Err(anyhow!("no Kafka broker at {servers} within {waited} ms: {cause}"));
        }
        warn!(servers, cause, "no Kafka broker yet; retrying");
    }
}
