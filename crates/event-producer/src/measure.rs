//! The way of a record into Kafka by itself, without generator and schedule, so that a benchmark can measure it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::ensure;

use crate::config::KafkaSection;
use crate::deliveries::{Deliveries, Origin};
use crate::gate::Gate;
use crate::kafka;
use crate::sink::{LONGEST_WAIT, Outgoing, Sink};

/// The producer's own path from bytes to acknowledgement.
pub struct ProducePath {
    sink: Sink,
    origin: Origin,
    sent: u64,
}

impl ProducePath {
    /// A path with the default settings to these brokers.
    ///
    /// # Errors
    /// If the client refuses the address.
    pub fn new(bootstrap_servers: &str) -> anyhow::Result<Self> {
        let settings =
            KafkaSection { bootstrap_servers: bootstrap_servers.to_owned(), ..KafkaSection::default() };
        let deliveries = Arc::new(Deliveries::new(Arc::new(Gate::default())));
        let producer = kafka::producer(&settings, Arc::clone(&deliveries))?;
        let origin = Origin { instant: Instant::now(), timestamp_ms: 1, scheduled: true };
        deliveries.begin(origin);
        Ok(ProducePath { sink: Sink::new(producer, deliveries), origin, sent: 0 })
    }

    /// Hands `count` records over, in turn to `partitions` partitions, and waits for their acknowledgements.
    ///
    /// # Errors
    /// If not all are acknowledged within the limit.
    pub fn produce(
        &mut self,
        topic: &str,
        partitions: i32,
        payload: &[u8],
        count: u64,
        limit: Duration,
    ) -> anyhow::Result<()> {
        for number in 0..count {
            let partition = (number % partitions as u64) as i32;
            let outgoing = Outgoing { topic, partition, timestamp_ms: 1, payload };
            self.sink.send(outgoing, self.origin.elapsed_ns() / 1_000)?;
        }
        self.sent += count;
        let deadline = Instant::now() + limit;
        let settled = || self.sink.deliveries().settled() >= self.sent;
        while Instant::now() < deadline && !self.sink.gate().wait_for(LONGEST_WAIT, 0, settled) {}
        ensure!(self.sink.deliveries().acked() == self.sent, "not all records were acknowledged");
        Ok(())
    }
}
