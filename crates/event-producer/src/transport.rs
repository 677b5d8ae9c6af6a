//! The two ways into Kafka: librdkafka, and record batches of our own (crate `batch-producer`).
//!
//! Batches cost a fraction of the CPU time and lack what a load generator seldom needs. Where they cannot do what is configured, or the
//! broker lacks what they need, librdkafka carries the run, and the reason is logged.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::anyhow;
use batch_producer::{ConnectError, Producer, ProducerSettings};
use events::Kind;
use tracing::warn;

use crate::config::{KafkaSection, Transport};
use crate::deliveries::Deliveries;
use crate::kafka::{self, Target};
use crate::native::NativeProducer;
use crate::stop::StopSignal;

/// Unsent bytes for a broker as a multiple of a request, where there is no schedule: one on its way, and one that is made meanwhile.
const UNSENT_REQUESTS: u64 = 2;

/// A client that is ready to write.
pub(crate) enum Client {
    /// librdkafka.
    Librdkafka(NativeProducer),
    /// Ours; locked by the thread that emits.
    Batches(Box<Mutex<Producer>>),
}

impl Client {
    /// Whether requests and bytes bound what is in flight, so that records need not.
    pub(crate) const fn is_batches(&self) -> bool {
        matches!(self, Client::Batches(_))
    }
}

/// Reaches a broker and asks it for the partitions of the topics, in the order of `kinds`.
///
/// # Errors
/// As [`kafka::targets`].
pub(crate) fn reach(
    settings: &KafkaSection,
    deliveries: &Arc<Deliveries>,
    kinds: &[Kind],
    scheduled: bool,
    stop: &StopSignal,
) -> anyhow::Result<(Client, Vec<Target>)> {
    if settings.transport == Transport::Batches {
        let reason = match settings.unsuitable_for_batches() {
            Some(reason) => reason,
            None => match batches(settings, kinds, scheduled, stop)? {
                Ok(reached) => return Ok(reached),
                Err(reason) => reason,
            },
        };
        warn!(reason, "cannot use transport \"batches\"; using librdkafka");
    }
    let mut producer = kafka::producer(settings, Arc::clone(deliveries))?;
    let targets = kafka::targets(&mut producer, deliveries, settings, kinds, stop)?;
    Ok((Client::Librdkafka(producer), targets))
}

/// A producer of batches, or why the broker needs another client.
fn batches(
    settings: &KafkaSection,
    kinds: &[Kind],
    scheduled: bool,
    stop: &StopSignal,
) -> anyhow::Result<Result<(Client, Vec<Target>), String>> {
    let topics: Vec<String> = kinds.iter().map(|kind| settings.topic_of(*kind)).collect();
    let producer = match Producer::connect(batch_settings(settings, scheduled), &topics, &|| stop.asked()) {
        Ok(producer) => producer,
        Err(ConnectError::Unsuitable(reason)) => return Ok(Err(reason)),
        Err(ConnectError::MissingTopics(missing)) => return Err(kafka::missing(settings, &missing)),
        Err(refused @ ConnectError::Refused(_)) => {
            return Err(anyhow!("fatal error of the Kafka client: {refused}"));
        }
        Err(error) => return Err(error.into()),
    };
    let target = |(topic, kind): (usize, &Kind)| Target {
        kind: *kind,
        partitions: producer.partitions(topic) as u64,
        topic,
    };
    let targets = kinds.iter().enumerate().map(target).collect();
    Ok(Ok((Client::Batches(Box::new(Mutex::new(producer))), targets)))
}

/// The settings of a producer of batches.
pub(crate) fn batch_settings(settings: &KafkaSection, scheduled: bool) -> ProducerSettings {
    let ms = Duration::from_millis;
    let bytes = |kib: u64| usize::try_from(kib.saturating_mul(1_024)).unwrap_or(usize::MAX);
    let own = &settings.batches;
    let unsent_kib = if scheduled {
        settings.queue_kib
    } else {
        settings.queue_kib.min(own.request_kib * UNSENT_REQUESTS)
    };
    ProducerSettings {
        bootstrap_servers: settings.bootstrap_servers.clone(),
        client_id: "event-producer".to_owned(),
        compress: settings.compression == "lz4",
        linger: ms(settings.linger_ms),
        batch_bytes: bytes(own.batch_kib),
        request_bytes: bytes(own.request_kib),
        requests_in_flight: own.requests_in_flight as usize,
        unsent_bytes: bytes(unsent_kib),
        delivery_timeout: ms(settings.delivery_timeout_ms),
        request_timeout: ms(own.request_timeout_ms),
        retry_backoff: ms(own.retry_backoff_ms),
        connect_timeout: ms(settings.connect_timeout_ms),
        by_timestamp: scheduled,
    }
}
