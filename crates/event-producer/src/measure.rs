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

/// A finished record, and where it goes.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// Number of the topic among those of the path.
    pub topic: usize,
    /// Partition of the topic.
    pub partition: i32,
    /// Milliseconds since the epoch.
    pub timestamp_ms: i64,
    /// Its bytes.
    pub value: &'a [u8],
}

/// The producer's own path from bytes to acknowledgement.
pub struct ProducePath {
    sink: Sink,
    /// The client's own numbers of the topics.
    topics: Vec<usize>,
    origin: Origin,
    sent: u64,
}

impl ProducePath {
    /// A path to some topics, by the configured transport.
    ///
    /// # Errors
    /// If the client refuses the settings or a topic, or a broker for batches is not to be had.
    pub fn new(settings: &KafkaSection, topics: &[String]) -> anyhow::Result<Self> {
        let deliveries = Arc::new(Deliveries::default());
        let (client, topics) = match settings.transport {
            Transport::Librdkafka => {
                let mut producer = kafka::producer(settings, Arc::clone(&deliveries))?;
                let numbers: anyhow::Result<_> =
                    topics.iter().map(|name| Ok(producer.topic(name)?.0)).collect();
                (Client::Librdkafka(producer), numbers?)
            }
            Transport::Batches => {
                let producer = Producer::connect(batch_settings(settings, false), topics, &|| false)?;
                (Client::Batches(Box::new(producer.into())), (0..topics.len()).collect())
            }
        };
        let origin = Origin { instant: Instant::now(), timestamp_ms: 1, scheduled: true };
        deliveries.begin(origin);
        let window = Window::new(settings.max_in_flight, client.is_batches());
        Ok(ProducePath {
            sink: Sink::new(client, deliveries, window, StopSignal::default()),
            topics,
            origin,
            sent: 0,
        })
    }

    /// Hands the records over and waits for their acknowledgements.
    ///
    /// # Errors
    /// If not all are acknowledged within the limit.
    pub fn produce<'a>(
        &mut self,
        records: impl IntoIterator<Item = Record<'a>>,
        limit: Duration,
    ) -> anyhow::Result<()> {
        let mut records = records.into_iter().peekable();
        while records.peek().is_some() {
            self.sink.wait_for_room(self.sent);
            let room = self.sink.free_records(self.sent).min(BATCH);
            self.hand_over(records.by_ref().take(room as usize))?;
            self.sink.take_reports(Duration::ZERO);
            self.sink.check_fatal_error()?;
        }
        self.sink.settle(self.sent, limit);
        ensure!(self.sink.deliveries().acked() == self.sent, "not all records were acknowledged");
        Ok(())
    }

    fn hand_over<'a>(&mut self, records: impl Iterator<Item = Record<'a>>) -> anyhow::Result<()> {
        let now_us = self.origin.elapsed_ns() / 1_000;
        match self.sink.client() {
            Client::Librdkafka(producer) => {
                for Record { topic, partition, timestamp_ms, value: payload } in records {
                    let (topic, opaque) = (Topic(self.topics[topic]), now_us as usize);
                    let record = Outgoing { topic, partition, timestamp_ms, payload, opaque };
                    self.sink.send(producer, record)?;
                    self.sent += 1;
                }
            }
            Client::Batches(producer) => {
                let mut producer = locked(producer);
                let now = producer.now();
                for record in records {
                    let slot = producer.slot(self.topics[record.topic], record.partition as usize);
                    producer.append(slot, now, now_us, |out| {
                        out.extend_from_slice(record.value);
                        record.timestamp_ms
                    });
                    self.sent += 1;
                }
            }
        }
        Ok(())
    }
}
