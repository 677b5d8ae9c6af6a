//! What the producer says about itself: a line every second, the numbers of the metrics page, the totals at the end.

use std::sync::Arc;

use http_server::MetricsPage;
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
    fn from_durations(durations: &Durations) -> Self {
        Quantiles {
            p50: durations.quantile_us(0.5),
            p99: durations.quantile_us(0.99),
            max: durations.max_us(),
        }
    }
}

/// The counts since the start, and distributions of the last interval or of the whole run.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct ReportValues {
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
    /// Waits for a full queue.
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
    pub(crate) fn interval(&mut self) -> ReportValues {
        let mut figures = self.counts();
        self.emitter.sink.deliveries().take_latencies(&mut self.latencies);
        self.all_delays.add(&self.delays);
        self.all_latencies.from_intended.add(&self.latencies.from_intended);
        self.all_latencies.from_send.add(&self.latencies.from_send);
        figures.describe(&self.delays, &self.latencies);
        figures
    }

    /// The counts so far and the distributions of the whole run.
    pub(crate) fn totals(&mut self) -> ReportValues {
        let mut figures = self.interval();
        figures.describe(&self.all_delays, &self.all_latencies);
        figures
    }

    fn counts(&mut self) -> ReportValues {
        let Emitter { sink, progress, origin, .. } = &*self.emitter;
        let deliveries = sink.deliveries();
        let settled = (deliveries.acked(), deliveries.failed());
        self.delays.clear();
        let mut emitted = progress.lock();
        std::mem::swap(&mut emitted.delays, &mut self.delays);
        let (next_event, records, bytes) = (emitted.next_number, emitted.records, emitted.bytes);
        let (queue_waits, most_behind) = (emitted.queue_waits, emitted.most_behind);
        drop(emitted);
        ReportValues {
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
            ..ReportValues::default()
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

impl ReportValues {
    fn describe(&mut self, delays: &Durations, latencies: &Latencies) {
        self.schedule_delay_us = Quantiles::from_durations(delays);
        self.ack_latency_from_intended_us = Quantiles::from_durations(&latencies.from_intended);
        self.ack_latency_from_send_us = Quantiles::from_durations(&latencies.from_send);
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

    /// The figures as the metrics page.
    pub(crate) fn metrics(&self) -> MetricsPage {
        let mut page = MetricsPage::default();
        let counters = [
            ("event_producer_due_total", "Records due.", self.due),
            ("event_producer_emitted_total", "Records handed to the Kafka client.", self.emitted),
            ("event_producer_acked_total", "Records acknowledged by Kafka.", self.acked),
            ("event_producer_failed_total", "Records refused or not acknowledged in time.", self.failed),
            ("event_producer_bytes_total", "Bytes of the records emitted.", self.bytes),
            ("event_producer_queue_waits_total", "Waits for a full queue.", self.queue_waits),
        ];
        for (name, help, value) in counters {
            page.counter(name, help).add(&[], value);
        }
        page.gauge("event_producer_in_flight", "Records emitted and not yet settled.")
            .add(&[], self.in_flight);
        page.gauge(
            "event_producer_elapsed_seconds",
            "Time from the first event's due time to these figures.",
        )
        .add(&[], self.elapsed_s);
        self.distributions(&mut page);
        page
    }

    fn distributions(&self, page: &mut MetricsPage) {
        let distributions = [
            (
                "event_producer_schedule_delay_seconds",
                "Emission minus due time, last interval.",
                self.schedule_delay_us,
            ),
            (
                "event_producer_ack_latency_from_intended_seconds",
                "Acknowledgement minus due time, last interval.",
                self.ack_latency_from_intended_us,
            ),
            (
                "event_producer_ack_latency_from_send_seconds",
                "Acknowledgement minus emission, last interval.",
                self.ack_latency_from_send_us,
            ),
        ];
        for (name, help, Quantiles { p50, p99, max }) in distributions {
            let mut samples = page.gauge(name, help);
            for (quantile, us) in [("0.5", p50), ("0.99", p99), ("1", max)] {
                samples.add(&[("quantile", quantile)], us as f64 / 1e6);
            }
        }
    }
}

impl std::fmt::Display for Quantiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}", self.p50, self.p99, self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: names, types, labels, help texts and units of the metrics stay.
    #[test]
    fn the_metrics_page_stays() {
        let quantiles = Quantiles { p50: 500, p99: 2_500, max: 1_000_000 };
        let figures = ReportValues {
            due: 7,
            emitted: 6,
            acked: 4,
            failed: 1,
            bytes: 600,
            in_flight: 1,
            queue_waits: 2,
            elapsed_s: 1.25,
            schedule_delay_us: quantiles,
            ..ReportValues::default()
        };
        let expected = "\
# HELP event_producer_due_total Records due.
# TYPE event_producer_due_total counter
event_producer_due_total 7
# HELP event_producer_emitted_total Records handed to the Kafka client.
# TYPE event_producer_emitted_total counter
event_producer_emitted_total 6
# HELP event_producer_acked_total Records acknowledged by Kafka.
# TYPE event_producer_acked_total counter
event_producer_acked_total 4
# HELP event_producer_failed_total Records refused or not acknowledged in time.
# TYPE event_producer_failed_total counter
event_producer_failed_total 1
# HELP event_producer_bytes_total Bytes of the records emitted.
# TYPE event_producer_bytes_total counter
event_producer_bytes_total 600
# HELP event_producer_queue_waits_total Waits for a full queue.
# TYPE event_producer_queue_waits_total counter
event_producer_queue_waits_total 2
# HELP event_producer_in_flight Records emitted and not yet settled.
# TYPE event_producer_in_flight gauge
event_producer_in_flight 1
# HELP event_producer_elapsed_seconds Time from the first event's due time to these figures.
# TYPE event_producer_elapsed_seconds gauge
event_producer_elapsed_seconds 1.25
# HELP event_producer_schedule_delay_seconds Emission minus due time, last interval.
# TYPE event_producer_schedule_delay_seconds gauge
event_producer_schedule_delay_seconds{quantile=\"0.5\"} 0.0005
event_producer_schedule_delay_seconds{quantile=\"0.99\"} 0.0025
event_producer_schedule_delay_seconds{quantile=\"1\"} 1
# HELP event_producer_ack_latency_from_intended_seconds Acknowledgement minus due time, last interval.
# TYPE event_producer_ack_latency_from_intended_seconds gauge
event_producer_ack_latency_from_intended_seconds{quantile=\"0.5\"} 0
event_producer_ack_latency_from_intended_seconds{quantile=\"0.99\"} 0
event_producer_ack_latency_from_intended_seconds{quantile=\"1\"} 0
# HELP event_producer_ack_latency_from_send_seconds Acknowledgement minus emission, last interval.
# TYPE event_producer_ack_latency_from_send_seconds gauge
event_producer_ack_latency_from_send_seconds{quantile=\"0.5\"} 0
event_producer_ack_latency_from_send_seconds{quantile=\"0.99\"} 0
event_producer_ack_latency_from_send_seconds{quantile=\"1\"} 0
";
        assert_eq!(figures.metrics().into_text(), expected);
    }
}
