//! The way of a record into Kafka by itself, without generator and schedule, so that a benchmark can measure it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::ensure;
use batch_producer::Producer;

use crate::config::{KafkaSection, Transport};
use crate::deliveries::{Deliveries, Origin};
use crate::emit::BATCH;
use crate::kafka;
use crate::native::{Outgoing, Topic};
use crate::sink::{Sink, locked};
use crate::stop::StopSignal;
use crate::transport::{Client, batch_settings};
use crate::window::Window;

/// The producer's own path from bytes to acknowledgement.
pub struct ProducePath {
    sink: Sink,
    topic: usize,
    origin: Origin,
    sent: u64,
}

impl ProducePath {
    /// A path to a topic, by the configured transport.
    ///
    /// # Errors
    /// If the client refuses the settings or the topic, or a broker for batches is not to be had.
    pub fn new(settings: &KafkaSection, topic: &str) -> anyhow::Result<Self> {
        let deliveries = Arc::new(Deliveries::default());
        let (client, topic) = match settings.transport {
            Transport::Librdkafka => {
                let mut producer = kafka::producer(settings, Arc::clone(&deliveries))?;
                let topic = producer.topic(topic)?.0;
                (Client::Librdkafka(producer), topic)
            }
            Transport::Batches => {
                let settings = batch_settings(settings, false);
                let producer = Producer::connect(settings, &[topic.to_owned()], &|| false)?;
                (Client::Batches(Box::new(producer.into())), 0)
            }
        };
        let origin = Origin { instant: Instant::now(), timestamp_ms: 1, scheduled: true };
        deliveries.begin(origin);
        let window = Window::new(settings.max_in_flight, client.is_batches());
        Ok(ProducePath {
            sink: Sink::new(client, deliveries, window, StopSignal::default()),
            topic,
            origin,
            sent: 0,
        })
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
            let batch_end = end.min(self.sent + self.sink.free_records(self.sent).min(BATCH));
            self.hand_over(partitions, payload, batch_end)?;
            self.sink.take_reports(Duration::ZERO);
            self.sink.check_fatal_error()?;
        }
        self.sink.settle(self.sent, limit);
        ensure!(self.sink.deliveries().acked() == self.sent, "not all records were acknowledged");
        Ok(())
    }

    fn hand_over(&mut self, partitions: i32, payload: &[u8], end: u64) -> anyhow::Result<()> {
        let now_us = self.origin.elapsed_ns() / 1_000;
        let partition = |number: u64| (number % partitions as u64) as i32;
        match self.sink.client() {
            Client::Librdkafka(producer) => {
                let (topic, opaque) = (Topic(self.topic), now_us as usize);
                while self.sent < end {
                    let partition = partition(self.sent);
                    let record = Outgoing { topic, partition, timestamp_ms: 1, payload, opaque };
                    self.sink.send(producer, record)?;
                    self.sent += 1;
                }
            }
            Client::Batches(producer) => {
                let mut producer = locked(producer);
                let now = producer.now();
                for number in self.sent..end {
                    let slot = producer.slot(self.topic, partition(number) as usize);
                    producer.append(slot, now, now_us, |out| {
                        out.extend_from_slice(payload);
                        1
                    });
                }
                self.sent = end;
            }
        }
        Ok(())
    }
}
