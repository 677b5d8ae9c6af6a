//! Where records go: librdkafka's queue, with back-pressure when it is full.
//!
//! A record is handed over with a number in place of a pointer (the time, µs), so that neither sending nor taking its
//! acknowledgement allocates.

use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::BaseRecord;

use crate::deliveries::Deliveries;
use crate::gate::Gate;
use crate::kafka::KafkaProducer;

/// Longest wait for room before looking again; acknowledgements end it earlier.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_millis(100);

/// A record ready to be handed over.
pub(crate) struct Outgoing<'a> {
    pub(crate) topic: &'a str,
    pub(crate) partition: i32,
    pub(crate) timestamp_ms: i64,
    pub(crate) payload: &'a [u8],
}

/// A client with what becomes of its records.
pub(crate) struct Sink {
    producer: KafkaProducer,
    deliveries: Arc<Deliveries>,
}

impl Sink {
    pub(crate) const fn new(producer: KafkaProducer, deliveries: Arc<Deliveries>) -> Self {
        Sink { producer, deliveries }
    }

    pub(crate) const fn producer(&self) -> &KafkaProducer {
        &self.producer
    }

    pub(crate) fn deliveries(&self) -> &Deliveries {
        &self.deliveries
    }

    pub(crate) fn gate(&self) -> &Gate {
        self.deliveries.gate()
    }

    /// Hands one record over; waits if the queue is full. `false` if the end was asked for meanwhile.
    ///
    /// # Errors
    /// When the client has failed for good, so that nothing can be delivered any more. A record that is refused counts as
    /// failed and is no error.
    pub(crate) fn send(&self, outgoing: Outgoing<'_>, now_us: u64) -> anyhow::Result<bool> {
        let mut record = BaseRecord::<(), [u8], usize>::with_opaque_to(outgoing.topic, now_us as usize)
            .partition(outgoing.partition)
            .timestamp(outgoing.timestamp_ms)
            .payload(outgoing.payload);
        loop {
            let (error, refused) = match self.producer.send(record) {
                Ok(()) => return Ok(true),
                Err(refusal) => refusal,
            };
            match error {
                KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull) => {
                    record = refused;
                    let settled = self.deliveries.settled();
                    self.gate().wait_for(LONGEST_WAIT, 0, || self.deliveries.settled() > settled);
                    if self.gate().stops() > 0 {
                        return Ok(false);
                    }
                }
                KafkaError::MessageProduction(RDKafkaErrorCode::Fatal) => {
                    return Err(anyhow!("the Kafka client has failed for good"));
                }
                error => {
                    self.deliveries.fail(&error);
                    return Ok(true);
                }
            }
        }
    }
}
