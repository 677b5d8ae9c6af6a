//! Where records go: a client's queue, with a bound on what is in flight and back-pressure where it is full.
//!
//! The thread that hands records over also takes their reports, whenever it would wait anyway and between batches. A wait
//! for room is a wait for the next report, so that it ends as soon as there is some.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use anyhow::anyhow;
use batch_producer::Producer;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::Producer as _;

use crate::client_priority::ClientPriority;
use crate::deliveries::{Batch, Deliveries};
use crate::native::{NativeProducer, Outgoing};
use crate::stop::StopSignal;
use crate::transport::Client;
use crate::window::Window;

/// Longest wait before looking whether the end was asked for.
const LONGEST_WAIT: Duration = Duration::from_millis(100);

/// A client with what becomes of its records. Used by one thread at a time.
pub(crate) struct Sink {
    client: Client,
    deliveries: Arc<Deliveries>,
    window: Mutex<Window>,
    /// Of a client whose threads have real-time priority.
    priority: Option<Mutex<ClientPriority>>,
    stop: StopSignal,
    /// Why the producer of batches has failed for good.
    fatal: OnceLock<String>,
}

impl Sink {
    pub(crate) const fn new(
        client: Client,
        deliveries: Arc<Deliveries>,
        window: Window,
        stop: StopSignal,
    ) -> Self {
        Sink { client, deliveries, window: Mutex::new(window), priority: None, stop, fatal: OnceLock::new() }
    }

    /// The client's threads have real-time priority, which they keep as long as the brokers keep up.
    pub(crate) fn with_real_time(self) -> Self {
        Sink { priority: Some(Mutex::new(ClientPriority::new())), ..self }
    }

    pub(crate) const fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn deliveries(&self) -> &Deliveries {
        &self.deliveries
    }

    pub(crate) const fn stop(&self) -> &StopSignal {
        &self.stop
    }

    /// Why the client can never deliver anything again, if that is so.
    pub(crate) fn fatal_error(&self) -> Option<String> {
        match &self.client {
            Client::Librdkafka(producer) => producer
                .producer()
                .client()
                .fatal_error()
                .map(|(code, reason)| format!("{reason} ({code:?})")),
            Client::Batches(_) => self.fatal.get().cloned(),
        }
    }

    /// # Errors
    /// When the client has failed for good.
    pub(crate) fn check_fatal_error(&self) -> anyhow::Result<()> {
        match self.fatal.get() {
            Some(reason) => Err(anyhow!("fatal error of the Kafka client: {reason}")),
            None => Ok(()),
        }
    }

    /// Hands one record to librdkafka; waits if the queue is full. `false` if the end was asked for meanwhile.
    ///
    /// # Errors
    /// When the client has failed for good, so that nothing can be delivered any more. A record that is refused counts as
    /// failed and is no error.
    #[inline]
    pub(crate) fn send(&self, producer: &NativeProducer, record: Outgoing<'_>) -> anyhow::Result<bool> {
        loop {
            match producer.produce(record) {
                Ok(()) => return Ok(true),
                Err(RDKafkaErrorCode::QueueFull) if self.stop.asked() => return Ok(false),
                Err(RDKafkaErrorCode::QueueFull) => self.take_reports(LONGEST_WAIT),
                Err(RDKafkaErrorCode::Fatal) => {
                    let reason = self.fatal_error().unwrap_or_default();
                    return Err(anyhow!("fatal error of the Kafka client: {reason}"));
                }
                Err(reason) => {
                    self.deliveries.fail(1, || format!("{reason} ({reason:?})"));
                    return Ok(true);
                }
            }
        }
    }

    /// How many more records may be in flight, if so many were sent.
    pub(crate) fn free_records(&self, sent: u64) -> u64 {
        if let Client::Batches(producer) = &self.client
            && !locked(producer).has_room()
        {
            return 0;
        }
        locked(&self.window).records().saturating_sub(sent - self.deliveries.settled())
    }

    /// Waits until one more record may be in flight, if so many were sent, or the end is asked for.
    pub(crate) fn wait_for_room(&self, sent: u64) {
        while self.free_records(sent) == 0 && !self.stop.asked() && self.fatal.get().is_none() {
            self.take_reports(LONGEST_WAIT);
        }
    }

    /// Takes reports until `deadline`, with librdkafka to half a millisecond, or until the end is asked for.
    pub(crate) fn wait_until(&self, deadline: Instant) {
        while !self.stop.asked() && self.fatal.get().is_none() {
            let remaining = deadline.saturating_duration_since(Instant::now());
            let wait = match &self.client {
                // librdkafka waits for whole milliseconds.
                Client::Librdkafka(_) => Duration::from_millis((remaining.as_micros() as u64 + 500) / 1_000),
                Client::Batches(_) => remaining,
            };
            if wait.is_zero() {
                return;
            }
            self.take_reports(wait.min(LONGEST_WAIT));
        }
    }

    /// Takes all reports there are; waits up to `limit` for the first.
    pub(crate) fn take_reports(&self, limit: Duration) {
        match &self.client {
            Client::Librdkafka(producer) => self.take_from_librdkafka(producer, limit),
            Client::Batches(producer) => self.take_from_batches(&mut locked(producer), limit),
        }
    }

    fn take_from_librdkafka(&self, producer: &NativeProducer, limit: Duration) {
        let mut limit = limit;
        loop {
            let mut arrived = None;
            let any = producer.poll(limit, |report| {
                arrived.get_or_insert_with(|| self.deliveries.arrived()).count(report);
            });
            if let Some(arrived) = arrived {
                self.note(arrived.batch());
            }
            if !any {
                break;
            }
            limit = Duration::ZERO;
        }
        if let Some(priority) = &self.priority {
            let in_flight = || u64::try_from(producer.producer().in_flight_count()).unwrap_or(0);
            locked(priority).adapt(in_flight, self.deliveries.settled());
        }
    }

    fn take_from_batches(&self, producer: &mut Producer, limit: Duration) {
        let mut arrived = None;
        for delivery in producer.turn(limit) {
            arrived.get_or_insert_with(|| self.deliveries.arrived()).take(delivery);
        }
        if let Some(arrived) = arrived {
            self.note(arrived.batch());
        }
        if let Some(reason) = producer.fatal() {
            self.fatal.get_or_init(|| reason.to_owned());
        }
    }

    fn note(&self, Batch { now_us, acked, newest_us }: Batch) {
        locked(&self.window).acknowledged(now_us, acked, newest_us);
    }

    /// Waits until so many records are acknowledged or have failed; for `limit` at most, and not if asked to stop again.
    pub(crate) fn settle(&self, sent: u64, limit: Duration) {
        let (deadline, stops) = (Instant::now() + limit, self.stop.times());
        while self.deliveries.settled() < sent && self.stop.times() == stops && Instant::now() < deadline {
            match &self.client {
                // Flushing sends what would still linger; its result is what the counts show.
                Client::Librdkafka(producer) => drop(producer.producer().flush(Duration::ZERO)),
                Client::Batches(producer) => locked(producer).flush(),
            }
            if self.fatal.get().is_some() {
                return;
            }
            self.take_reports(LONGEST_WAIT);
        }
    }
}

pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
