//! What became of the records: counts and latencies, filled by the thread that takes librdkafka's delivery reports.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use hdrhistogram::Histogram;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::ProducerContext;
use tracing::{debug, warn};

use crate::gate::Gate;

/// The longest duration told apart, µs: one hour. Longer ones count as this.
const LONGEST_US: u64 = 3_600_000_000;

/// Durations in µs, with three significant digits.
#[derive(Debug, Clone)]
pub(crate) struct Durations(Histogram<u64>);

impl Durations {
    #[expect(
        clippy::expect_used,
        reason = "the bounds and the number of digits are constants that are allowed"
    )]
    pub(crate) fn new() -> Self {
        Durations(Histogram::new_with_bounds(1, LONGEST_US, 3).expect("valid bounds"))
    }

    pub(crate) fn record_us(&mut self, us: u64) {
        self.0.saturating_record(us);
    }

    pub(crate) fn add(&mut self, other: &Durations) {
        // Both have the same bounds, so that every value of the one fits the other.
        let added = self.0.add(&other.0);
        debug_assert!(added.is_ok());
    }

    pub(crate) fn clear(&mut self) {
        self.0.reset();
    }

    /// The value that this share of the durations does not exceed, µs; 0 if there are none.
    pub(crate) fn quantile_us(&self, share: f64) -> u64 {
        self.0.value_at_quantile(share)
    }

    /// The longest, µs.
    pub(crate) fn max_us(&self) -> u64 {
        self.0.max()
    }
}

/// Time until the acknowledgement.
#[derive(Debug, Clone)]
pub(crate) struct Latencies {
    /// From the time the event was due, to the millisecond of its timestamp.
    pub(crate) from_intended: Durations,
    /// From the time it was handed to the client.
    pub(crate) from_send: Durations,
}

impl Latencies {
    pub(crate) fn new() -> Self {
        Latencies { from_intended: Durations::new(), from_send: Durations::new() }
    }
}

/// Where the schedule's time 0 lies.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin {
    /// The moment at which event 0 is due.
    pub(crate) instant: Instant,
    /// The timestamp of event 0, ms since the epoch.
    pub(crate) timestamp_ms: i64,
    /// Whether events are held back until they are due. If not, being early or late has no meaning.
    pub(crate) scheduled: bool,
}

impl Origin {
    /// Time since event 0 was due, ns; 0 before.
    pub(crate) fn elapsed_ns(&self) -> u64 {
        u64::try_from(self.instant.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// Shared by the emitting thread, the polling thread and the report.
#[derive(Debug)]
pub(crate) struct Deliveries {
    gate: Arc<Gate>,
    origin: OnceLock<Origin>,
    acked: AtomicU64,
    failed: AtomicU64,
    latencies: Mutex<Latencies>,
    first_failure: OnceLock<String>,
    connection_problem: Mutex<Option<String>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Deliveries {
    pub(crate) fn new(gate: Arc<Gate>) -> Self {
        Deliveries {
            gate,
            origin: OnceLock::new(),
            acked: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            latencies: Mutex::new(Latencies::new()),
            first_failure: OnceLock::new(),
            connection_problem: Mutex::new(None),
        }
    }

    /// Tells where time 0 is, once, before the first record is emitted.
    pub(crate) fn begin(&self, origin: Origin) {
        let _ = self.origin.set(origin);
    }

    /// Records acknowledged by the broker.
    pub(crate) fn acked(&self) -> u64 {
        self.acked.load(Ordering::SeqCst)
    }

    /// Records that were refused or not acknowledged in time.
    pub(crate) fn failed(&self) -> u64 {
        self.failed.load(Ordering::SeqCst)
    }

    /// Acknowledged or failed.
    pub(crate) fn settled(&self) -> u64 {
        self.acked() + self.failed()
    }

    /// Where the emitting thread waits.
    pub(crate) fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Why the first record failed, if one did.
    pub(crate) fn first_failure(&self) -> Option<&str> {
        self.first_failure.get().map(String::as_str)
    }

    /// The newest trouble with the connection.
    pub(crate) fn connection_problem(&self) -> Option<String> {
        locked(&self.connection_problem).clone()
    }

    /// The latencies since the last call.
    pub(crate) fn take_latencies(&self, into: &mut Latencies) {
        let mut latencies = locked(&self.latencies);
        std::mem::swap(&mut *latencies, into);
        latencies.from_intended.clear();
        latencies.from_send.clear();
    }

    /// Counts a record that will never be acknowledged.
    pub(crate) fn fail(&self, reason: &KafkaError) {
        self.failed.fetch_add(1, Ordering::SeqCst);
        if self.first_failure.get().is_none() {
            warn!(%reason, "a record could not be delivered; further ones are only counted");
            let _ = self.first_failure.set(reason.to_string());
        }
    }

    fn acknowledge(&self, timestamp_ms: Option<i64>, sent_us: u64) {
        self.acked.fetch_add(1, Ordering::SeqCst);
        let Some(origin) = self.origin.get() else { return };
        let now_us = origin.elapsed_ns() / 1_000;
        let due_us =
            timestamp_ms.map_or(0, |ms| ms.saturating_sub(origin.timestamp_ms).max(0) as u64 * 1_000);
        let mut latencies = locked(&self.latencies);
        latencies.from_intended.record_us(now_us.saturating_sub(due_us));
        latencies.from_send.record_us(now_us.saturating_sub(sent_us));
    }
}

/// The context that librdkafka's callbacks are given.
#[derive(Debug, Clone)]
pub(crate) struct Callbacks(pub(crate) Arc<Deliveries>);

impl ClientContext for Callbacks {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        debug!(?level, facility, message, "librdkafka");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        debug!(%error, reason, "librdkafka");
        let mut problem = locked(&self.0.connection_problem);
        // "All brokers are down" follows the error that says why.
        if problem.is_none() || error.rdkafka_error_code() != Some(RDKafkaErrorCode::AllBrokersDown) {
            *problem = Some(reason.to_owned());
        }
    }
}

impl ProducerContext for Callbacks {
    /// When the record was handed over, µs after time 0; a number in place of a pointer, so that nothing is allocated.
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, sent_us: usize) {
        match result {
            Ok(message) => self.0.acknowledge(message.timestamp().to_millis(), sent_us as u64),
            Err((reason, _)) => self.0.fail(reason),
        }
        self.0.gate.progressed();
    }
}
