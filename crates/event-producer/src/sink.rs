//! Where records go: librdkafka's queue, with a bound on what is in flight and back-pressure where it is full.
//!
//! The thread that hands records over also takes their reports, whenever it would wait anyway and between batches. A wait
//! for room is a wait for the next report, so that it ends as soon as there is some.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::anyhow;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::Producer;

use crate::deliveries::{Batch, Deliveries};
use crate::native::{NativeProducer, Outgoing};
use crate::stop::Stop;
use crate::window::Window;

/// Longest wait before looking whether the end was asked for.
const LONGEST_WAIT: Duration = Duration::from_millis(100);

/// A client with what becomes of its records. Used by one thread at a time.
pub(crate) struct Sink {
    producer: NativeProducer,
    deliveries: Arc<Deliveries>,
    window: Mutex<Window>,
    stop: Stop,
}

impl Sink {
    pub(crate) const fn new(
        producer: NativeProducer,
        deliveries: Arc<Deliveries>,
        window: Window,
        stop: Stop,
    ) -> Self {
        Sink { producer, deliveries, window: Mutex::new(window), stop }
    }

    pub(crate) fn deliveries(&self) -> &Deliveries {
        &self.deliveries
    }

    pub(crate) const fn stop(&self) -> &Stop {
        &self.stop
    }

    /// Why the client can never deliver anything again, if that is so.
    pub(crate) fn fatal_error(&self) -> Option<String> {
        self.producer.producer().client().fatal_error().map(|(code, reason)| format!("{reason} ({code:?})"))
    }

    /// Hands one record over; waits if the queue is full. `false` if the end was asked for meanwhile.
    ///
    /// # Errors
    /// When the client has failed for good, so that nothing can be delivered any more. A record that is refused counts as
    /// failed and is no error.
    #[inline]
    pub(crate) fn send(&self, record: Outgoing<'_>) -> anyhow::Result<bool> {
        loop {
            match self.producer.produce(record) {
                Ok(()) => return Ok(true),
                Err(RDKafkaErrorCode::QueueFull) if self.stop.asked() => return Ok(false),
                Err(RDKafkaErrorCode::QueueFull) => self.take_reports(LONGEST_WAIT),
                Err(RDKafkaErrorCode::Fatal) => {
                    let reason = self.fatal_error().unwrap_or_default();
                    return Err(anyhow!("the Kafka client has failed for good: {reason}"));
                }
                Err(reason) => {
                    self.deliveries.fail(reason);
                    return Ok(true);
                }
            }
        }
    }

    /// How many more records may be in flight, if so many were sent.
    pub(crate) fn room(&self, sent: u64) -> u64 {
        self.window().records().saturating_sub(sent - self.deliveries.settled())
    }

    fn window(&self) -> MutexGuard<'_, Window> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until one more record may be in flight, if so many were sent, or the end is asked for.
    pub(crate) fn wait_for_room(&self, sent: u64) {
        while self.room(sent) == 0 && !self.stop.asked() {
            self.take_reports(LONGEST_WAIT);
        }
    }

    /// Takes reports until `deadline`, to half a millisecond, or until the end is asked for.
    pub(crate) fn wait_until(&self, deadline: Instant) {
        while !self.stop.asked() {
            let remaining = deadline.saturating_duration_since(Instant::now());
            // librdkafka waits for whole milliseconds.
            let rounded = Duration::from_millis((remaining.as_micros() as u64 + 500) / 1_000);
            if rounded.is_zero() {
                return;
            }
            self.take_reports(rounded.min(LONGEST_WAIT));
        }
    }

    /// Takes all reports there are; waits up to `limit` for the first.
    pub(crate) fn take_reports(&self, limit: Duration) {
        let mut limit = limit;
        loop {
            let mut arrived = None;
            let any = self.producer.poll(limit, |report| {
                arrived.get_or_insert_with(|| self.deliveries.arrived()).count(report);
            });
            if let Some(arrived) = arrived {
                let Batch { now_us, acked, newest_us } = arrived.batch();
                self.window().acknowledged(now_us, acked, newest_us);
            }
            if !any {
                return;
            }
            limit = Duration::ZERO;
        }
    }

    /// Waits until so many records are acknowledged or have failed; for `limit` at most, and not if asked to stop again.
    pub(crate) fn settle(&self, sent: u64, limit: Duration) {
        let (deadline, stops) = (Instant::now() + limit, self.stop.times());
        while self.deliveries.settled() < sent && self.stop.times() == stops && Instant::now() < deadline {
            // Flushing sends what would still linger; its result is what the counts show.
            let _ = self.producer.producer().flush(Duration::ZERO);
            self.take_reports(LONGEST_WAIT);
        }
    }
}
