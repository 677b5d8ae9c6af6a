//! Composition and timing of produce requests.
//!
//! A request contains a batch of every partition with records, to keep requests few. It is sent when a batch is full,
//! when the oldest record has waited for the linger time, or when there are enough bytes for a request.

use std::time::Duration;

use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{ProduceRequest, TopicName};

use crate::net::RequestPart;

use super::brokers::ConnectionState;
use super::{Producer, Slot};

/// `acks=all`.
const ACKS_OF_ALL: i16 = -1;
/// Fraction of the linger by which records may be sent early, so that those of two ticks of the caller are sent
/// together.
const EARLY_PART: u32 = 10;

impl Producer {
    /// Requests leaders if due and sends due batches.
    pub(super) fn send_due(&mut self, now: Duration) {
        self.ask_for_leaders(now);
        if self.fatal.is_some() {
            return;
        }
        for index in 0..self.brokers.len() {
            while self.may_ask(index, now) && self.is_due(index, now) {
                if !self.send(index, now) {
                    break;
                }
            }
        }
    }

    pub(super) fn may_ask(&self, index: usize, now: Duration) -> bool {
        let ConnectionState::Up(connection) = &self.brokers[index].link else { return false };
        connection.in_flight() < self.settings.requests_in_flight && now >= connection.quiet_until
    }

    fn is_due(&self, index: usize, now: Duration) -> bool {
        let linger = if self.flushing {
            Duration::ZERO
        } else {
            self.settings.linger - self.settings.linger / EARLY_PART
        };
        let mut open_bytes = 0;
        let slots = self.brokers[index].slots.iter().map(|slot| &self.slots[*slot].partition);
        for partition in slots.filter(|partition| partition.may_send(now)) {
            open_bytes += partition.open_bytes();
            let lingered = || partition.open_since().is_some_and(|since| now.saturating_sub(since) >= linger);
            if partition.has_waiting() || lingered() {
                return true;
            }
        }
        open_bytes >= self.settings.request_bytes
    }

    /// Sends a request; returns whether there was anything to send.
    fn send(&mut self, index: usize, now: Duration) -> bool {
        let broker = &mut self.brokers[index];
        // If one request does not hold all, the next begins after it.
        let count = broker.slots.len();
        let (mut taken, mut topics, mut parts, mut bytes) =
            (0, Vec::<TopicProduceData>::new(), Vec::new(), 0);
        while taken < count && bytes < self.settings.request_bytes {
            let number = broker.slots[(broker.next_slot + taken) % count];
            taken += 1;
            let Slot { topic, index, partition, .. } = &mut self.slots[number];
            let Some((ticket, records)) = partition.send(now) else { continue };
            bytes += records.len();
            parts.push(RequestPart { slot: number, ticket });
            let data = PartitionProduceData::default().with_index(*index).with_records(Some(records));
            let name = &self.topics[*topic].name;
            match topics.iter_mut().find(|topic| topic.name.0 == *name) {
                Some(topic) => topic.partition_data.push(data),
                None => topics.push(
                    TopicProduceData::default()
                        .with_name(TopicName(name.clone()))
                        .with_partition_data(vec![data]),
                ),
            }
        }
        broker.next_slot = (broker.next_slot + taken) % count.max(1);
        if parts.is_empty() {
            return false;
        }
        let timeout_ms = i32::try_from(self.settings.request_timeout.as_millis()).unwrap_or(i32::MAX);
        let request = ProduceRequest::default()
            .with_acks(ACKS_OF_ALL)
            .with_timeout_ms(timeout_ms)
            .with_topic_data(topics);
        let ConnectionState::Up(connection) = &mut broker.link else { return false };
        if let Err(error) = connection.ask(&request, parts, now) {
            self.disconnected(index, &error, now);
        }
        true
    }
}
