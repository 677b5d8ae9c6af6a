//! Start of the producer: reaches a broker, reads the topics' partitions, and gets a producer id.

use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use kafka_protocol::protocol::StrBytes;

use crate::batch::Identity;
use crate::core::{Limits, Partition};
use crate::net::{BackgroundTasks, BrokerStream, Cluster, RequestError};
use crate::settings::{ConnectError, ProducerSettings};

use super::leaders::{Leaders, addresses};
use super::{Producer, Slot, Topic};

/// Timeout of one attempt; the total timeout is configured.
const ATTEMPT: Duration = Duration::from_secs(2);

impl Producer {
    /// Connects to a broker and requests topics and a producer id; blocks meanwhile. Checks `stopped` between
    /// attempts.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub fn connect(
        settings: ProducerSettings,
        topics: &[String],
        stopped: &dyn Fn() -> bool,
    ) -> Result<Producer, ConnectError> {
        let began = Instant::now();
        let servers: Vec<String> = addresses(&settings.bootstrap_servers).collect();
        let mut cause = "no address".to_owned();
        loop {
            for address in &servers {
                let left = settings.connect_timeout.saturating_sub(began.elapsed());
                let limit = left.clamp(Duration::from_millis(1), ATTEMPT);
                match meet(address, &settings.client_id, topics, limit) {
                    Ok((cluster, identity)) => return Producer::begin(settings, topics, &cluster, identity),
                    Err(RequestError::Unsuitable(reason)) => return Err(ConnectError::Unsuitable(reason)),
                    Err(RequestError::Refused(error)) if !error.is_retriable() => {
                        return Err(ConnectError::Refused(error.to_string()));
                    }
                    Err(failed) => cause = failed.to_string(),
                }
                if stopped() {
                    return Err(ConnectError::Stopped);
                }
            }
            if began.elapsed() >= settings.connect_timeout {
                let (servers, waited_ms) = (settings.bootstrap_servers, settings.connect_timeout.as_millis());
                return Err(ConnectError::Unreachable { servers, waited_ms, cause });
            }
            tracing::warn!(servers = settings.bootstrap_servers, cause, "no Kafka broker yet; retrying");
            #[expect(
                clippy::disallowed_methods,
                reason = "the thread has nothing else to do, and the time is bounded"
            )]
            sleep(settings.retry_backoff.min(settings.connect_timeout.saturating_sub(began.elapsed())));
        }
    }

    fn begin(
        settings: ProducerSettings,
        names: &[String],
        cluster: &Cluster,
        identity: Identity,
    ) -> Result<Producer, ConnectError> {
        let missing: Vec<String> =
            names.iter().filter(|name| !cluster.topics.contains_key(*name)).cloned().collect();
        if !missing.is_empty() {
            return Err(ConnectError::MissingTopics(missing));
        }
        let limits = Limits {
            batch_bytes: settings.batch_bytes,
            in_flight: settings.requests_in_flight,
            delivery_timeout: settings.delivery_timeout,
            retry_backoff: settings.retry_backoff,
            compress: settings.compress,
        };
        let (mut topics, mut slots) = (Vec::new(), Vec::new());
        for name in names {
            let partitions = cluster.topics[name].len();
            topics.push(Topic {
                name: StrBytes::from_string(name.clone()),
                first_slot: slots.len(),
                partitions,
            });
            slots.extend((0..partitions).map(|index| Slot {
                topic: topics.len() - 1,
                index: index as i32,
                leader: None,
                leader_epoch: -1,
                partition: Partition::new(limits, identity, settings.by_timestamp),
            }));
        }
        let tasks = BackgroundTasks::new(&settings.client_id, ATTEMPT)
            .map_err(|error| ConnectError::Unsuitable(format!("cannot create a socket: {error}")))?;
        let mut producer = Producer {
            leaders: Leaders::new(&settings),
            settings: Arc::new(settings),
            began: Instant::now(),
            topics,
            slots,
            brokers: Vec::new(),
            tasks,
            deliveries: Vec::new(),
            flushing: false,
            looked: Duration::ZERO,
            fatal: None,
        };
        if !producer.take(cluster, Duration::ZERO) {
            producer.leaders.doubt("a partition has no leader", Duration::ZERO);
        }
        Ok(producer)
    }
}

fn meet(
    address: &str,
    client_id: &str,
    topics: &[String],
    limit: Duration,
) -> Result<(Cluster, Identity), RequestError> {
    let mut broker_stream = BrokerStream::begin(address, client_id, limit)?;
    let cluster = broker_stream.cluster(topics)?;
    Ok((cluster, broker_stream.producer_id()?))
}
