//! The batches of one partition: which is sent next, and the effect of a response.
//!
//! A broker accepts a producer's batch only if its sequence number follows the last one; it acknowledges the last
//! five batches again if they are repeated. So:
//!
//! * At most five batches are in flight, and only one until the first is acknowledged: a broker accepts any number
//!   from an unknown producer.
//! * After a failed batch, nothing is sent until all others in flight are answered; then all are sent again, in
//!   order, with the same numbers.
//! * An acknowledgement includes all earlier batches: the broker has accepted them, even if the responses were lost.
//! * A rejected batch leaves a gap. The epoch is then incremented, and numbers restart at 0. Batches after the gap
//!   were not written, unless the broker has yet to read one from a closed connection: such a batch is reported as
//!   failed, since with another number it could be written twice.
//! * A restarted broker knows only the last batch of a producer. If it finds the oldest one out of order, the later
//!   ones are tried one by one, the last one first: an acknowledgement includes all earlier ones. If none is
//!   acknowledged, the broker has lost acknowledged records.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

use crate::batch::{Identity, OpenBatch, RecordGroup, SealedBatch, sequence_after};
use crate::core::Answer;

/// How long a broker is assumed to remember an idle producer; it does so for a day.
const REMEMBERED: Duration = Duration::from_secs(3_600);

/// Limits of a partition.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) batch_bytes: usize,
    pub(crate) in_flight: usize,
    pub(crate) delivery_timeout: Duration,
    pub(crate) retry_backoff: Duration,
    pub(crate) compress: bool,
}

/// Result of records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// They are in Kafka.
    Acknowledged(Vec<RecordGroup>),
    /// They were not delivered in time, or were rejected.
    Failed {
        /// Number of records.
        records: u64,
        /// Reason.
        reason: String,
    },
}

/// Identifies one sending of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticket(u64);

/// A closed batch without a final result.
#[derive(Debug)]
struct Pending {
    batch: SealedBatch,
    /// Assigned at the first sending.
    sequence: Option<i32>,
    in_flight: Option<Ticket>,
    /// It was sent, and may or may not be in Kafka.
    unsure: bool,
}

/// Action to take once nothing is in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    SendAgain,
    /// The oldest batch was out of order.
    Probe,
    RaiseEpoch,
}

/// The batches of a partition.
#[derive(Debug)]
pub(crate) struct Partition {
    limits: Limits,
    identity: Identity,
    next_sequence: i32,
    /// Time of the last acknowledgement in this epoch.
    known_since: Option<Duration>,
    open: OpenBatch,
    pending: VecDeque<Pending>,
    in_flight: usize,
    then: Option<Then>,
    /// While the oldest batch is out of order: index of the next batch to try.
    probe: Option<usize>,
    not_before: Duration,
    tickets: u64,
    unsent_bytes: usize,
    problem: Option<String>,
    fatal: Option<String>,
}

impl Partition {
    pub(crate) const fn new(limits: Limits, identity: Identity, by_timestamp: bool) -> Partition {
        Partition {
            limits,
            identity,
            next_sequence: 0,
            known_since: None,
            open: OpenBatch::new(by_timestamp),
            pending: VecDeque::new(),
            in_flight: 0,
            then: None,
            probe: None,
            not_before: Duration::ZERO,
            tickets: 0,
            unsent_bytes: 0,
            problem: None,
            fatal: None,
        }
    }

    /// Appends a record, as [`OpenBatch::append`] does; returns the length of its value.
    #[inline]
    pub(crate) fn append(
        &mut self,
        now: Duration,
        handed_us: u64,
        write: impl FnOnce(&mut Vec<u8>) -> i64,
    ) -> usize {
        let length = self.open.append(now, handed_us, write);
        if self.open.bytes() >= self.limits.batch_bytes {
            self.seal();
        }
        length
    }

    fn seal(&mut self) {
        let batch = self.open.seal(self.limits.compress);
        self.unsent_bytes += batch.length();
        self.pending.push_back(Pending { batch, sequence: None, in_flight: None, unsure: false });
    }

    /// Returns the size of records in the open batch, in bytes.
    pub(crate) fn open_bytes(&self) -> usize {
        self.open.bytes()
    }

    /// Returns the size of records that were never sent, in bytes.
    pub(crate) fn unsent_bytes(&self) -> usize {
        self.open.bytes() + self.unsent_bytes
    }

    /// Returns when the oldest record of the open batch was appended.
    pub(crate) fn open_since(&self) -> Option<Duration> {
        (!self.open.is_empty()).then_some(self.open.since())
    }

    /// Whether no batch is pending.
    #[cfg(test)]
    pub(crate) fn is_settled(&self) -> bool {
        self.open.is_empty() && self.pending.is_empty()
    }

    /// Returns why nothing can be written any more, if so.
    pub(crate) fn fatal(&self) -> Option<&str> {
        self.fatal.as_deref()
    }

    /// Whether a batch may be sent now.
    pub(crate) fn may_send(&self, now: Duration) -> bool {
        let known = self.known_since.is_some_and(|since| now.saturating_sub(since) < REMEMBERED);
        let most = if known && self.probe.is_none() { self.limits.in_flight } else { 1 };
        self.then.is_none() && self.fatal.is_none() && self.in_flight < most && now >= self.not_before
    }

    /// Whether a closed batch waits to be sent.
    pub(crate) fn has_waiting(&self) -> bool {
        self.pending.len() > self.in_flight
    }

    /// Returns the time until which sending is delayed, if it is.
    pub(crate) fn waits_until(&self) -> Option<Duration> {
        (self.then.is_none() && self.has_waiting()).then_some(self.not_before)
    }

    /// Returns the next batch to send, closing the open one if no other waits. `None` if there is none or sending is
    /// not allowed.
    pub(crate) fn send(&mut self, now: Duration) -> Option<(Ticket, Bytes)> {
        if !self.may_send(now) {
            return None;
        }
        if !self.has_waiting() {
            if self.open.is_empty() {
                return None;
            }
            self.seal();
        }
        let index = self.probe.unwrap_or(self.in_flight);
        let pending = self.pending.get_mut(index)?;
        if pending.sequence.is_none() {
            self.unsent_bytes -= pending.batch.length();
            pending.sequence = Some(self.next_sequence);
            pending.batch.stamp(self.identity, self.next_sequence);
            self.next_sequence = sequence_after(self.next_sequence, pending.batch.count);
        }
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        pending.in_flight = Some(ticket);
        self.in_flight += 1;
        Some((ticket, pending.batch.bytes()))
    }

    /// Processes a response. Ignores one that is no longer expected.
    pub(crate) fn process_response(
        &mut self,
        ticket: Ticket,
        answer: Answer,
        now: Duration,
        out: &mut Vec<Delivery>,
    ) {
        let Some(index) = self.pending.iter().position(|pending| pending.in_flight == Some(ticket)) else {
            return;
        };
        let pending = &mut self.pending[index];
        pending.in_flight = None;
        // The broker may have accepted it before it timed out, or from an earlier connection.
        pending.unsure |= matches!(answer, Answer::Again(_));
        self.in_flight -= 1;
        match answer {
            Answer::Written => self.written(index, now, out),
            Answer::Again(reason) => self.again(now, reason),
            Answer::OutOfOrder => self.out_of_order(index, now),
            // After a failed batch it is out of order, whatever the broker knows.
            Answer::UnknownProducer(reason) if index > 0 => self.again(now, reason),
            Answer::UnknownProducer(reason) => {
                self.problem = Some(reason);
                self.afterwards(Then::RaiseEpoch);
            }
            Answer::Refused(reason) => {
                self.give_up(index, &reason, out);
                self.afterwards(Then::RaiseEpoch);
            }
        }
        self.resume(out);
    }

    /// Marks everything in flight as uncertain: the connection ended, or the leader changed.
    pub(crate) fn lost(&mut self, now: Duration, reason: &str, out: &mut Vec<Delivery>) {
        if self.in_flight == 0 {
            return;
        }
        for pending in &mut self.pending {
            pending.unsure |= pending.in_flight.take().is_some();
        }
        self.in_flight = 0;
        self.again(now, reason.to_owned());
        self.resume(out);
    }

    /// Reports batches beyond the delivery timeout as failed. Sent and unanswered batches may be in Kafka; they fail
    /// together, because nothing can be sent after them with their numbers.
    pub(crate) fn expire(&mut self, now: Duration, out: &mut Vec<Delivery>) {
        let timeout = self.limits.delivery_timeout;
        let late = |since: Duration| now.saturating_sub(since) >= timeout;
        if !self.open.is_empty() && late(self.open.since()) {
            self.seal();
        }
        if !self.pending.front().is_some_and(|pending| late(pending.batch.since)) {
            return;
        }
        let problem = self.problem.clone().unwrap_or_else(|| "no broker could be reached".to_owned());
        let reason = format!("not acknowledged within {} ms: {problem}", timeout.as_millis());
        let was_sent = self.pending.front().is_some_and(|pending| pending.sequence.is_some());
        while let Some(front) = self.pending.front() {
            if front.sequence.is_none() && !late(front.batch.since) {
                break;
            }
            self.give_up(0, &reason, out);
        }
        if was_sent {
            (self.in_flight, self.then) = (0, Some(Then::RaiseEpoch));
            self.resume(out);
        }
    }

    fn written(&mut self, index: usize, now: Duration, out: &mut Vec<Delivery>) {
        self.known_since = Some(now);
        self.problem = None;
        for pending in self.pending.drain(..=index) {
            self.in_flight -= usize::from(pending.in_flight.is_some());
            out.push(Delivery::Acknowledged(pending.batch.groups));
        }
        self.probe = None;
        // Failures of batches that are acknowledged now are void. A later batch gets its own response.
        if self.then == Some(Then::Probe) {
            self.then = Some(Then::SendAgain);
        }
    }

    fn again(&mut self, now: Duration, reason: String) {
        self.problem = Some(reason);
        self.not_before = now + self.limits.retry_backoff;
        self.afterwards(Then::SendAgain);
    }

    fn out_of_order(&mut self, index: usize, now: Duration) {
        match self.probe {
            // No earlier one is missing, and no later one is in Kafka.
            Some(1) => self.fail("the broker lost acknowledged records"),
            Some(probe) => self.probe = Some(probe - 1),
            None if index == 0 => self.afterwards(Then::Probe),
            None => self.again(now, "an earlier batch failed".to_owned()),
        }
    }

    fn afterwards(&mut self, then: Then) {
        // The more severe action takes precedence.
        let rank = |then: Then| then as usize;
        if self.then.is_none_or(|planned| rank(planned) < rank(then)) {
            self.then = Some(then);
        }
    }

    /// Executes the pending action once nothing is in flight.
    fn resume(&mut self, out: &mut Vec<Delivery>) {
        if self.in_flight > 0 {
            return;
        }
        match self.then.take() {
            None | Some(Then::SendAgain) => {}
            Some(Then::Probe) => {
                let numbered = self.pending.iter().take_while(|pending| pending.sequence.is_some()).count();
                if numbered > 1 {
                    self.probe = Some(numbered - 1);
                } else {
                    self.fail("the broker lost acknowledged records");
                }
            }
            Some(Then::RaiseEpoch) => self.raise_epoch(out),
        }
    }

    fn raise_epoch(&mut self, out: &mut Vec<Delivery>) {
        // With another number it could be written twice.
        while let Some(index) = self.pending.iter().position(|pending| pending.unsure) {
            self.give_up(index, "unknown whether it is stored in Kafka", out);
        }
        let Some(epoch) = self.identity.epoch.checked_add(1) else {
            self.fail("the broker refused more batches than a producer has epochs");
            return;
        };
        self.identity.epoch = epoch;
        (self.next_sequence, self.known_since, self.probe) = (0, None, None);
        for pending in &mut self.pending {
            if pending.sequence.take().is_some() {
                self.unsent_bytes += pending.batch.length();
            }
        }
    }

    fn give_up(&mut self, index: usize, reason: &str, out: &mut Vec<Delivery>) {
        let Some(pending) = self.pending.remove(index) else { return };
        if pending.sequence.is_none() {
            self.unsent_bytes -= pending.batch.length();
        }
        out.push(Delivery::Failed { records: pending.batch.records(), reason: reason.to_owned() });
    }

    fn fail(&mut self, reason: &str) {
        self.fatal = Some(reason.to_owned());
    }
}
