//! What became of the records: counts and latencies, filled by the emitting thread between two batches.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use anyhow::anyhow;
use batch_producer::{Delivery, RecordGroup};
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::ProducerContext;
use tracing::{debug, warn};

use crate::durations::{Durations, Run};
use crate::native::Report;

/// Time until the acknowledgement.
#[derive(Debug, Clone)]
pub(crate) struct Latencies {
    /// From the time the event was due, to the millisecond of its timestamp.
    pub(crate) from_intended: Durations,
    /// From the time it was handed to the client.
    pub(crate) from_send: Durations,
}

impl Default for Latencies {
    fn default() -> Self {
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

/// Trouble with the connection to a broker.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    code: Option<RDKafkaErrorCode>,
    /// librdkafka's words.
    pub(crate) reason: String,
}

impl Problem {
    /// What to change, where trying again would not help: the broker has refused the login, or one side the other's certificate.
    pub(crate) fn fatal_error(&self, servers: &str) -> Option<anyhow::Error> {
        let Problem { code, reason } = self;
        if *code == Some(RDKafkaErrorCode::Authentication) {
            return Some(anyhow!(
                "Kafka at {servers} refused the login: {reason}; set \"sasl.mechanisms\", \"sasl.username\" and \"sasl.password\" in kafka.properties to what the brokers accept"
            ));
        }
        // A broker says only after the handshake that it wants another certificate, and librdkafka takes that for a broken connection.
        let is_tls = *code == Some(RDKafkaErrorCode::SSL) || reason.contains("SSL alert number");
        is_tls.then(|| {
            anyhow!(
                "no TLS connection to Kafka at {servers}: {reason}; set \"ssl.ca.location\" in kafka.properties to the authorities (PEM) that signed the brokers' certificates, use a host name or address that the certificates contain, and set \"ssl.certificate.location\" and \"ssl.key.location\" if the brokers require client certificates"
            )
        })
    }
}

/// Shared by the emitting thread and the report.
#[derive(Debug, Default)]
pub(crate) struct Deliveries {
    origin: OnceLock<Origin>,
    acked: AtomicU64,
    failed: AtomicU64,
    latencies: Mutex<Latencies>,
    first_failure: OnceLock<String>,
    connection_problem: Mutex<Option<Problem>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Deliveries {
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

    /// Why the first record failed, if one did.
    pub(crate) fn first_failure(&self) -> Option<&str> {
        self.first_failure.get().map(String::as_str)
    }

    /// The newest trouble with the connection.
    pub(crate) fn connection_problem(&self) -> Option<Problem> {
        locked(&self.connection_problem).clone()
    }

    /// The latencies since the last call.
    pub(crate) fn take_latencies(&self, into: &mut Latencies) {
        // Before the lock: the thread that emits must not wait for it.
        into.from_intended.clear();
        into.from_send.clear();
        std::mem::swap(&mut *locked(&self.latencies), into);
    }

    /// Counts records that will never be acknowledged.
    pub(crate) fn fail(&self, records: u64, reason: impl FnOnce() -> String) {
        self.failed.fetch_add(records, Ordering::SeqCst);
        self.first_failure.get_or_init(|| {
            let reason = reason();
            warn!(reason, "a record could not be delivered; further failures are only counted");
            reason
        });
    }

    /// Begins to count reports that arrived together.
    pub(crate) fn arrived(&self) -> DeliveryBatch<'_> {
        let origin = self.origin.get().copied();
        DeliveryBatch {
            deliveries: self,
            start_ms: origin.map_or(0, |origin| origin.timestamp_ms),
            now_us: origin.map_or(0, |origin| origin.elapsed_ns() / 1_000),
            latencies: locked(&self.latencies),
            from_intended: Run::default(),
            from_send: Run::default(),
            acked: 0,
            newest_us: 0,
        }
    }
}

/// Acknowledgements that arrived together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Batch {
    /// When, µs after time 0.
    pub(crate) now_us: u64,
    /// Records acknowledged.
    pub(crate) acked: u64,
    /// When the newest of them was handed over, µs after time 0.
    pub(crate) newest_us: u64,
}

/// Reports that arrived together: one look at the clock, one lock and one count for all of them.
pub(crate) struct DeliveryBatch<'d> {
    deliveries: &'d Deliveries,
    start_ms: i64,
    now_us: u64,
    latencies: MutexGuard<'d, Latencies>,
    from_intended: Run,
    from_send: Run,
    acked: u64,
    newest_us: u64,
}

impl DeliveryBatch<'_> {
    /// Counts one. Its opaque is when it was handed over, µs after time 0.
    #[inline]
    pub(crate) fn count(&mut self, report: Report) {
        if let Err(reason) = report.outcome {
            self.deliveries.fail(1, || format!("{reason} ({reason:?})"));
            return;
        }
        self.acked += 1;
        self.newest_us = self.newest_us.max(report.opaque as u64);
        let due_us = report.timestamp_ms.saturating_sub(self.start_ms).max(0) as u64 * 1_000;
        let Latencies { from_intended, from_send } = &mut *self.latencies;
        self.from_intended.record_us(self.now_us.saturating_sub(due_us), from_intended);
        self.from_send.record_us(self.now_us.saturating_sub(report.opaque as u64), from_send);
    }
}

impl DeliveryBatch<'_> {
    /// Counts records that were sent in batches. Like an opaque of librdkafka's, the time of a group is when it was handed over.
    pub(crate) fn take(&mut self, delivery: Delivery) {
        let groups = match delivery {
            Delivery::Acknowledged(groups) => groups,
            Delivery::Failed { records, reason } => return self.deliveries.fail(records, || reason),
        };
        let Latencies { from_intended, from_send } = &mut *self.latencies;
        for RecordGroup { timestamp_ms, handed_us, records } in groups {
            self.acked += records;
            self.newest_us = self.newest_us.max(handed_us);
            let due_us = timestamp_ms.saturating_sub(self.start_ms).max(0) as u64 * 1_000;
            from_intended.record_us(self.now_us.saturating_sub(due_us), records);
            from_send.record_us(self.now_us.saturating_sub(handed_us), records);
        }
    }

    /// What was counted.
    pub(crate) const fn batch(&self) -> Batch {
        Batch { now_us: self.now_us, acked: self.acked, newest_us: self.newest_us }
    }
}

impl Drop for DeliveryBatch<'_> {
    fn drop(&mut self) {
        let Latencies { from_intended, from_send } = &mut *self.latencies;
        self.from_intended.end(from_intended);
        self.from_send.end(from_send);
        self.deliveries.acked.fetch_add(self.acked, Ordering::SeqCst);
    }
}

/// The context that librdkafka's callbacks are given.
#[derive(Debug, Clone)]
pub(crate) struct Callbacks(pub(crate) Arc<Deliveries>);

impl ClientContext for Callbacks {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        debug!(?level, facility, message, "librdkafka");
        // That a broker has closed the connection is no error to librdkafka, and may be all that there is to tell.
        if facility == "FAIL" && message.contains("Disconnected: ") {
            let mut problem = locked(&self.0.connection_problem);
            if problem.as_ref().is_none_or(|problem| problem.code == Some(RDKafkaErrorCode::AllBrokersDown)) {
                let reason = message.split_once("]: ").map_or(message, |(_thread, reason)| reason);
                let question = "does that listener use the \"security.protocol\" of kafka.properties?";
                *problem = Some(Problem { code: None, reason: format!("{reason}; {question}") });
            }
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        debug!(%error, reason, "librdkafka");
        let mut problem = locked(&self.0.connection_problem);
        let code = error.rdkafka_error_code();
        // "All brokers are down" follows the error that says why.
        if problem.is_none() || code != Some(RDKafkaErrorCode::AllBrokersDown) {
            *problem = Some(Problem { code, reason: reason.to_owned() });
        }
    }
}

impl ProducerContext for Callbacks {
    /// A number in place of a pointer, so that nothing is allocated; see [`DeliveryBatch::count`].
    type DeliveryOpaque = usize;

    /// Only called for what is thrown away when a run is broken off; otherwise [`Deliveries::arrived`] sees the reports.
    fn delivery(&self, result: &DeliveryResult<'_>, _: usize) {
        if let Err((error, _)) = result {
            debug!(%error, "gave up a record");
        }
    }
}
