//! librdkafka at its cheapest: records are handed over by `rd_kafka_produce_batch`, only failures are reported, and a record has
//! the time at which it was handed over, because the call takes no other.
#![expect(unsafe_code, reason = "the safe wrapper does not have the call")]

use std::ffi::{CString, c_void};
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{anyhow, ensure};
use event_producer::Record;
use rdkafka::ClientConfig;
use rdkafka::bindings as sys;
use rdkafka::client::ClientContext;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, Producer, ProducerContext};
use rdkafka::types::{RDKafkaMessage, RDKafkaTopic};

use crate::records::PARTITIONS;

/// Records that are handed over together, by a call for those of each partition.
const RECORDS: usize = 4_000;
/// Of the event producer's settings, and a queue that is short enough for its records to be in the cache when they are sent.
const SETTINGS: [(&str, &str); 6] = [
    ("acks", "all"),
    ("compression.type", "lz4"),
    ("linger.ms", "5"),
    ("enable.idempotence", "true"),
    ("queue.buffering.max.messages", "50000"),
    ("delivery.report.only.error", "true"),
];

/// Counts the records that were not delivered.
#[derive(Default)]
struct Failures(AtomicU64);

impl ClientContext for Failures {}

impl ProducerContext for Failures {
    type DeliveryOpaque = ();

    fn delivery(&self, _: &DeliveryResult<'_>, (): ()) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A topic's handle, and what the next calls will hand over for each of its partitions.
struct Topic {
    handle: NonNull<RDKafkaTopic>,
    waiting: [Vec<RDKafkaMessage>; PARTITIONS],
}

/// A producer and its topics.
pub(crate) struct BatchCall {
    topics: Vec<Topic>,
    producer: BaseProducer<Failures>,
}

impl BatchCall {
    pub(crate) fn new(brokers: &str, names: &[String]) -> anyhow::Result<Self> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", brokers);
        for (key, value) in SETTINGS {
            config.set(key, value);
        }
        let producer: BaseProducer<Failures> = config.create_with_context(Failures::default())?;
        let mut topics = Vec::new();
        for name in names {
            let name_z = CString::new(name.as_str())?;
            // SAFETY: client and name are valid; no configuration means that of the client. Given back in `drop`.
            let handle = unsafe {
                sys::rd_kafka_topic_new(producer.client().native_ptr(), name_z.as_ptr(), null_mut())
            };
            let handle = NonNull::new(handle).ok_or_else(|| anyhow!("librdkafka rejected topic {name}"))?;
            topics.push(Topic { handle, waiting: Default::default() });
        }
        Ok(BatchCall { topics, producer })
    }

    /// Hands the records over and waits for their acknowledgements.
    ///
    /// # Errors
    /// If not all are acknowledged within the limit.
    pub(crate) fn produce<'a>(
        &mut self,
        records: impl Iterator<Item = Record<'a>>,
        limit: Duration,
    ) -> anyhow::Result<()> {
        let mut waiting = 0;
        for record in records {
            self.topics[record.topic].waiting[record.partition as usize].push(message(record));
            waiting += 1;
            if waiting == RECORDS {
                self.hand_over()?;
                waiting = 0;
            }
        }
        self.hand_over()?;
        let limit_ms = i32::try_from(limit.as_millis())?;
        // SAFETY: the client is valid. Unlike the wrapper's `flush`, which looks at intervals, this returns as soon as the queue is empty.
        let flushed = unsafe { sys::rd_kafka_flush(self.producer.client().native_ptr(), limit_ms) };
        self.producer.poll(Duration::ZERO);
        let failed = self.producer.context().0.load(Ordering::SeqCst);
        let is_empty = flushed == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR;
        ensure!(is_empty && failed == 0, "not all records were acknowledged; {failed} failed");
        Ok(())
    }

    fn hand_over(&mut self) -> anyhow::Result<()> {
        // A call for one partition (without F_PARTITION) keeps the topic locked while it waits, and never ends if the topic is not known yet.
        let flags = sys::RD_KAFKA_MSG_F_COPY | sys::RD_KAFKA_MSG_F_PARTITION | sys::RD_KAFKA_MSG_F_BLOCK;
        for Topic { handle, waiting } in &mut self.topics {
            for messages in waiting {
                let (count, first) = (i32::try_from(messages.len())?, messages.as_mut_ptr());
                // SAFETY: topic and messages are valid; the payloads are copied before the call returns (F_COPY). It waits while
                // the queue is full (F_BLOCK): delivered records leave it without a report.
                let taken = unsafe { sys::rd_kafka_produce_batch(handle.as_ptr(), 0, flags, first, count) };
                ensure!(taken == count, "librdkafka took {taken} of {count} records");
                messages.clear();
            }
        }
        // Reports of failures.
        self.producer.poll(Duration::ZERO);
        Ok(())
    }
}

impl Drop for BatchCall {
    fn drop(&mut self) {
        for topic in &self.topics {
            // SAFETY: from rd_kafka_topic_new, and used by nobody any more.
            unsafe { sys::rd_kafka_topic_destroy(topic.handle.as_ptr()) };
        }
    }
}

/// A record as the call takes it; its payload must live until then.
const fn message(record: Record<'_>) -> RDKafkaMessage {
    RDKafkaMessage {
        err: sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR,
        rkt: null_mut(),
        partition: record.partition,
        payload: record.value.as_ptr().cast_mut().cast::<c_void>(),
        len: record.value.len(),
        key: null_mut(),
        key_len: 0,
        offset: 0,
        _private: null_mut(),
    }
}
