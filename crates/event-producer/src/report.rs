//! What the producer says about itself: a line every second, the numbers of the metrics page, the totals at the end.

use std::sync::Arc;

use serde::Serialize;
use tracing::info;

use crate::deliveries::Latencies;
use crate::durations::Durations;
use crate::emit::Emitter;

/// Three points of a distribution, µs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub(crate) struct Quantiles {
    p50: u64,
    p99: u64,
    max: u64,
}

impl Quantiles {
    fn of(durations: &Durations) -> Self {
        Quantiles {
            p50: durations.quantile_us(0.5),
            p99: durations.quantile_us(0.99),
            max: durations.max_us(),
        }
    }
}

/// The counts since the start, and distributions of the last interval or of the whole run.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Figures {
    /// Records due so far.
    pub(crate) due: u64,
    /// Records handed to the Kafka client.
    pub(crate) emitted: u64,
    /// Records acknowledged.
    pub(crate) acked: u64,
    /// Records refused, or not acknowledged in time.
    pub(crate) failed: u64,
    /// Bytes of the records emitted.
    pub(crate) bytes: u64,
    /// Records emitted and neither acknowledged nor failed.
    pub(crate) in_flight: u64,
    /// Times that a full queue was waited for.
    pub(crate) queue_waits: u64,
    /// Most events that were due and not emitted at any moment.
    pub(crate) largest_deviation_events: u64,
    /// The next event number; an interrupted run continues with it.
    pub(crate) next_event: u64,
    /// Event time of event 0, ms since the epoch.
    pub(crate) start_time_ms: i64,
    /// Time since then, s.
    pub(crate) elapsed_s: f64,
    /// Emission minus due time, µs.
    pub(crate) schedule_delay_us: Quantiles,
    /// Acknowledgement minus due time, µs.
    pub(crate) ack_latency_from_intended_us: Quantiles,
    /// Acknowledgement minus emission, µs.
    pub(crate) ack_latency_from_send_us: Quantiles,
    /// Why the first record failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) first_failure: Option<String>,
}

/// Numbers looked at to count what is overdue; beyond, the count is extrapolated.
const COUNTED_OVERDUE: u64 = 10_000;

/// Puts the figures together. Distributions are taken since the last call and added to those of the whole run.
pub(crate) struct Reporter {
    emitter: Arc<Emitter>,
    delays: Durations,
    latencies: Latencies,
    all_delays: Durations,
    all_latencies: Latencies,
}

impl Reporter {
    pub(crate) fn new(emitter: Arc<Emitter>) -> Self {
        Reporter {
            emitter,
            delays: Durations::new(),
            latencies: Latencies::default(),
            all_delays: Durations::new(),
            all_latencies: Latencies::default(),
        }
    }

    /// The counts so far and the distributions since the last call.
    pub(crate) fn interval(&mut self) -> Figures {
        let mut figures = self.counts();
        self.emitter.sink.deliveries().take_latencies(&mut self.latencies);
        self.all_delays.add(&self.delays);
        self.all_latencies.from_intended.add(&self.latencies.from_intended);
        self.all_latencies.from_send.add(&self.latencies.from_send);
        figures.describe(&self.delays, &self.latencies);
        figures
    }

    /// The counts so far and the distributions of the whole run.
    pub(crate) fn totals(&mut self) -> Figures {
        let mut figures = self.interval();
        figures.describe(&self.all_delays, &self.all_latencies);
        figures
    }

    fn counts(&mut self) -> Figures {
        let Emitter { sink, progress, origin, .. } = &*self.emitter;
        let deliveries = sink.deliveries();
        let settled = (deliveries.acked(), deliveries.failed());
        self.delays.clear();
        let mut emitted = progress.lock();
        std::mem::swap(&mut emitted.delays, &mut self.delays);
        let (next_event, records, bytes) = (emitted.next_number, emitted.records, emitted.bytes);
        let (queue_waits, most_behind) = (emitted.queue_waits, emitted.most_behind);
        drop(emitted);
        Figures {
            due: records + self.overdue(next_event),
            emitted: records,
            acked: settled.0,
            failed: settled.1,
            bytes,
            in_flight: records.saturating_sub(settled.0 + settled.1),
            queue_waits,
            largest_deviation_events: most_behind,
            next_event,
            start_time_ms: origin.timestamp_ms,
            elapsed_s: origin.elapsed_ns() as f64 / 1e9,
            first_failure: deliveries.first_failure().map(str::to_owned),
            ..Figures::default()
        }
    }

    /// Records that are due and not emitted.
    fn overdue(&self, next_number: u64) -> u64 {
        let emitter = &*self.emitter;
        if !emitter.origin.scheduled {
            return 0;
        }
        let numbers = emitter.workload.due_count(emitter.origin.elapsed_ns()).saturating_sub(next_number);
        let counted = numbers.min(COUNTED_OVERDUE);
        let ours =
            (next_number..next_number + counted).filter(|number| emitter.writes(*number)).count() as u64;
        if counted == 0 { 0 } else { (u128::from(ours) * u128::from(numbers) / u128::from(counted)) as u64 }
    }
}

impl Figures {
    fn describe(&mut self, delays: &Durations, latencies: &Latencies) {
        self.schedule_delay_us = Quantiles::of(delays);
        self.ack_latency_from_intended_us = Quantiles::of(&latencies.from_intended);
        self.ack_latency_from_send_us = Quantiles::of(&latencies.from_send);
    }

    /// Whether every record was acknowledged.
    pub(crate) const fn complete(&self) -> bool {
        self.acked == self.emitted && self.failed == 0
    }

    /// The line a second.
    pub(crate) fn log(&self) {
        info!(
            due = self.due,
            emitted = self.emitted,
            acked = self.acked,
            failed = self.failed,
            bytes = self.bytes,
            in_flight = self.in_flight,
            delay_us = %self.schedule_delay_us,
            ack_from_intended_us = %self.ack_latency_from_intended_us,
            ack_from_send_us = %self.ack_latency_from_send_us,
            "events"
        );
    }

    /// The totals as one line for people.
    pub(crate) fn summary(&self) -> String {
        format!(
            "{} events emitted in {:.1} s, {} acknowledged, {} failed, {} in flight, {} bytes; µs p50/p99/max: schedule \
             delay {}, acknowledgement from due time {}, from emission {}; next event {}, start time {}",
            self.emitted,
            self.elapsed_s,
            self.acked,
            self.failed,
            self.in_flight,
            self.bytes,
            self.schedule_delay_us,
            self.ack_latency_from_intended_us,
            self.ack_latency_from_send_us,
            self.next_event,
            self.start_time_ms,
        )
    }

    /// The figures in the Prometheus text format.
    pub(crate) fn prometheus(&self) -> String {
        let mut page = String::new();
        let counters = [
            ("due", "Records due", self.due),
            ("emitted", "Records handed to the Kafka client", self.emitted),
            ("acked", "Records acknowledged by Kafka", self.acked),
            ("failed", "Records refused or not acknowledged in time", self.failed),
            ("bytes", "Bytes of the records emitted", self.bytes),
            ("queue_waits", "Times that a full queue was waited for", self.queue_waits),
        ];
        for (name, help, value) in counters {
            page += &format!(
                "# HELP event_producer_{name}_total {help}.\n# TYPE event_producer_{name}_total counter\n\
                 event_producer_{name}_total {value}\n"
            );
        }
        page += &format!(
            "# HELP event_producer_in_flight Records emitted and not yet settled.\n\
             # TYPE event_producer_in_flight gauge\nevent_producer_in_flight {}\n",
            self.in_flight
        );
        page += &format!(
            "# HELP event_producer_elapsed_seconds Time since the first event was due, when these figures were taken.\n\
             # TYPE event_producer_elapsed_seconds gauge\nevent_producer_elapsed_seconds {}\n",
            self.elapsed_s
        );
        let distributions = [
            ("schedule_delay", "Emission minus due time", self.schedule_delay_us),
            (
                "ack_latency_from_intended",
                "Acknowledgement minus due time",
                self.ack_latency_from_intended_us,
            ),
            ("ack_latency_from_send", "Acknowledgement minus emission", self.ack_latency_from_send_us),
        ];
        for (name, help, Quantiles { p50, p99, max }) in distributions {
            page += &format!("# HELP event_producer_{name}_seconds {help}, last interval.\n");
            page += &format!("# TYPE event_producer_{name}_seconds gauge\n");
            for (quantile, us) in [("0.5", p50), ("0.99", p99), ("1", max)] {
                let seconds = us as f64 / 1e6;
                page += &format!("event_producer_{name}_seconds{{quantile=\"{quantile}\"}} {seconds}\n");
            }
        }
        page
    }
}

impl std::fmt::Display for Quantiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}", self.p50, self.p99, self.max)
    }
}
