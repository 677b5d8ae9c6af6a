//! The way of a record into Kafka by itself, without generator and schedule, so that a benchmark can measure it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::ensure;

use crate::config::KafkaSection;
use crate::deliveries::{Deliveries, Origin};
use crate::emit::BATCH;
use crate::kafka;
use crate::native::{Outgoing, Topic};
use crate::sink::Sink;
use crate::stop::Stop;
use crate::window::Window;

/// The producer's own path from bytes to acknowledgement.
pub struct ProducePath {
    sink: Sink,
    topic: Topic,
    origin: Origin,
    sent: u64,
}

impl ProducePath {
    /// A path to a topic.
    ///
    /// # Errors
    /// If the client refuses the settings or the topic.
    pub fn new(settings: &KafkaSection, topic: &str) -> anyhow::Result<Self> {
        let deliveries = Arc::new(Deliveries::default());
        let mut producer = kafka::producer(settings, Arc::clone(&deliveries))?;
        let topic = producer.topic(topic)?;
        let origin = Origin { instant: Instant::now(), timestamp_ms: 1, scheduled: true };
        deliveries.begin(origin);
        let sink =
            Sink::new(producer, deliveries, Window::new(settings.max_in_flight, false), Stop::default());
        Ok(ProducePath { sink, topic, origin, sent: 0 })
    }

    /// Hands `count` records over, in turn to `partitions` partitions, and waits for their acknowledgements.
    ///
    /// # Errors
    /// If not all are acknowledged within the limit.
    pub fn produce(
        &mut self,
        partitions: i32,
        payload: &[u8],
        count: u64,
        limit: Duration,
    ) -> anyhow::Result<()> {
        let end = self.sent + count;
        while self.sent < end {
            self.sink.wait_for_room(self.sent);
            let opaque = (self.origin.elapsed_ns() / 1_000) as usize;
            let batch_end = end.min(self.sent + self.sink.room(self.sent).min(BATCH));
            while self.sent < batch_end {
                let partition = (self.sent % partitions as u64) as i32;
                self.sink.send(Outgoing {
                    topic: self.topic,
                    partition,
                    timestamp_ms: 1,
                    payload,
                    opaque,
                })?;
                self.sent += 1;
            }
            self.sink.take_reports(Duration::ZERO);
        }
        self.sink.settle(self.sent, limit);
        ensure!(self.sink.deliveries().acked() == self.sent, "not all records were acknowledged");
        Ok(())
    }
}
