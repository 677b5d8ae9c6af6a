//! The metrics of the rescaler, in the Prometheus text format. Names and labels are documented in docs/metrics.md.
//!
//! An unknown value has no line, because 0 would be a measured value.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{MatchedPath, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;
use http_server::{MetricsPage, Type};
use jiff::Timestamp;
use scaling::{Operator, Snapshot};

use super::{HandlerState, now};
use crate::quota::SlotUsage;
use crate::status::{DecisionOutcome, JobStatus, JobView, Status, Totals};

/// Labels of a request: method, route and status. The number of routes limits the number of series.
type RequestLabels = (String, String, u16);

/// Counters of one server.
#[derive(Debug, Clone, Default)]
pub(super) struct Requests(Arc<Mutex<BTreeMap<RequestLabels, u64>>>);

pub(super) async fn count(
    State(requests): State<Requests>,
    method: Method,
    route: Option<MatchedPath>,
    request: Request,
    next: Next,
) -> Response {
    let response = next.run(request).await;
    // Only known methods and routes become labels, so that clients cannot create series.
    let method = match method {
        Method::GET | Method::HEAD | Method::POST => method.to_string(),
        _ => "other".to_owned(),
    };
    let route = route.map_or_else(|| "other".to_owned(), |route| route.as_str().to_owned());
    let mut counts = requests.0.lock().unwrap_or_else(PoisonError::into_inner);
    *counts.entry((method, route, response.status().as_u16())).or_default() += 1;
    drop(counts);
    response
}

pub(super) async fn page(State(shared): State<HandlerState>) -> MetricsPage {
    let requests = shared.requests.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
    metrics(&shared.status, &requests, now())
}

/// Returns all series. The format requires the series of one name to be adjacent, so each name is one pass over all jobs.
fn metrics(status: &Status, requests: &BTreeMap<RequestLabels, u64>, now: Timestamp) -> MetricsPage {
    let jobs: Vec<JobMetrics> = status.jobs().iter().map(|job| JobMetrics::new(job, now)).collect();
    let mut page = MetricsPage::default();
    page.gauge("rescaler_build_info", "Always 1; the version is a label.")
        .add(&[("version", version::VERSION)], true);
    whole_jobs(&mut page, &jobs, now);
    totals(&mut page, &jobs);
    operators(&mut page, &jobs);
    shared(&mut page, status);
    let mut answered = page.counter("rescaler_http_requests_total", "Requests answered.");
    for ((method, route, status), count) in requests {
        let labels = [("method", method.as_str()), ("route", route), ("status", &status.to_string())];
        answered.add(&labels, *count);
    }
    page
}

/// The values of one job.
struct JobMetrics {
    status: Arc<JobStatus>,
    view: JobView,
    totals: Option<Totals>,
}

impl JobMetrics {
    fn new(status: &Arc<JobStatus>, now: Timestamp) -> Self {
        let view = status.view(now, false);
        let totals = view.snapshot.as_ref().map(|(_, snapshot)| Totals::from_snapshot(snapshot));
        Self { status: Arc::clone(status), view, totals }
    }

    fn snapshot(&self) -> Option<&Snapshot> {
        self.view.snapshot.as_ref().map(|(_, snapshot)| &**snapshot)
    }
}

/// A metric with one value per job.
type JobMetric = (&'static str, Type, &'static str, fn(&JobMetrics, Timestamp) -> Option<f64>);

#[expect(clippy::cast_precision_loss, reason = "counters and milliseconds stay far below 2^52")]
const JOB_METRICS: [JobMetric; 11] = [
    ("rescaler_up", Type::Gauge, "Whether the job is being watched.", |job, _| {
        Some(f64::from(u8::from(job.view.failure.is_none())))
    }),
    ("rescaler_paused", Type::Gauge, "Whether the job is paused.", |job, _| {
        Some(f64::from(u8::from(job.status.switches.now().paused)))
    }),
    ("rescaler_dry_run", Type::Gauge, "Whether plans are recorded only.", |job, _| {
        Some(f64::from(u8::from(job.status.switches.now().dry_run)))
    }),
    (
        "rescaler_needs_a_person",
        Type::Gauge,
        "Whether a person must act before scaling continues as usual.",
        |job, _| Some(f64::from(u8::from(job.view.alarm.is_some()))),
    ),
    ("rescaler_drifted", Type::Gauge, "Whether the job differs from its document.", |job, _| {
        Some(f64::from(u8::from(job.view.is_drifted)))
    }),
    ("rescaler_samples_total", Type::Counter, "Samples of metrics taken.", |job, _| {
        Some(job.view.samples as f64)
    }),
    (
        "rescaler_samples_failed_total",
        Type::Counter,
        "Samples of metrics that could not be taken.",
        |job, _| Some(job.view.failed_samples as f64),
    ),
    ("rescaler_epochs_total", Type::Counter, "Epochs ended.", |job, _| Some(job.view.epochs as f64)),
    ("rescaler_epoch_age_seconds", Type::Gauge, "Time since the last epoch ended.", |job, now| {
        seconds_since(job.view.epoch_ended_at, now)
    }),
    ("rescaler_data_age_seconds", Type::Gauge, "Time since the newest sample.", |job, now| {
        seconds_since(job.view.sampled_at, now)
    }),
    ("rescaler_generation", Type::Gauge, "Generation of the document published last.", |job, _| {
        let decisions = job.status.decisions(usize::MAX);
        decisions.iter().find_map(|decision| decision.generation).map(|generation| generation as f64)
    }),
];

#[expect(clippy::cast_precision_loss, reason = "milliseconds stay far below 2^52")]
fn seconds_since(at: Option<Timestamp>, now: Timestamp) -> Option<f64> {
    at.map(|at| (now.as_millisecond() - at.as_millisecond()).max(0) as f64 / 1000.0)
}

fn whole_jobs(page: &mut MetricsPage, jobs: &[JobMetrics], now: Timestamp) {
    for (name, kind, help, value) in JOB_METRICS {
        let mut samples = page.metric(kind, name, help);
        for job in jobs {
            samples.add_known(&[("job", &job.status.info.name)], value(job, now));
        }
    }
    newest_decision(page, jobs);
    let mut decisions = page.counter("rescaler_decisions_total", "Decisions by outcome.");
    for job in jobs {
        for outcome in
            DecisionOutcome::ALL.into_iter().filter(|outcome| *outcome != DecisionOutcome::Publishing)
        {
            let labels = [("job", job.status.info.name.as_str()), ("outcome", outcome.name())];
            let count = job.view.outcomes.get(&outcome).copied().unwrap_or_default();
            decisions.add(&labels, count);
        }
    }
}

/// Metrics from the newest decision: name, help text, and key in the decision's figures.
const DECISION_METRICS: [(&str, &str, &str); 3] = [
    ("rescaler_capacity_records_per_second", "Measured capacity of the job.", "capacity_per_s"),
    (
        "rescaler_forecast_records_per_second",
        "Load expected before a change could take effect.",
        "forecast_per_s",
    ),
    ("rescaler_delay_estimate_seconds", "Estimated wait of records, from backlog and rates.", "delay_s"),
];

/// Figures and diagnosis of the newest decision.
fn newest_decision(page: &mut MetricsPage, jobs: &[JobMetrics]) {
    let newest: Vec<_> =
        jobs.iter().filter_map(|job| Some((job, job.status.decisions(1).into_iter().next()?))).collect();
    for (name, help, key) in DECISION_METRICS {
        let mut samples = page.gauge(name, help);
        for (job, decision) in &newest {
            let value = decision.decision.figures.get(key).copied();
            samples.add_known(&[("job", &job.status.info.name)], value);
        }
    }
    let mut diagnoses = page.gauge("rescaler_diagnosis", "1 for the cause that makes more subtasks useless.");
    for (job, decision) in &newest {
        if let Some(found) = &decision.decision.diagnosis {
            let labels = [
                ("job", job.status.info.name.as_str()),
                ("cause", found.cause.name()),
                ("operator", &found.operator),
            ];
            diagnoses.add(&labels, true);
        }
    }
}

/// A metric with one value per job, from the totals of its snapshot.
type TotalMetric = (&'static str, &'static str, fn(&Totals) -> Option<f64>);

#[expect(clippy::cast_precision_loss, reason = "a cluster has far fewer than 2^52 task managers")]
const TOTAL_METRICS: [TotalMetric; 7] = [
    (
        "rescaler_input_records_per_second",
        "Records produced at the sources: read, plus growth of the backlog.",
        |totals| totals.input_rate_per_s,
    ),
    ("rescaler_backlog_records", "Records waiting at the sources.", |totals| totals.backlog_records),
    ("rescaler_state_size_bytes", "Size of the job's state.", |totals| totals.state_size_bytes),
    ("rescaler_stored_size_bytes", "Size of the checkpoint storage, from a state probe.", |totals| {
        totals.stored_size_bytes
    }),
    ("rescaler_subtasks", "Sum of the parallelism of all operators.", |totals| Some(totals.subtasks.into())),
    ("rescaler_task_managers", "Task managers of the cluster.", |totals| Some(totals.task_managers as f64)),
    ("rescaler_slots", "Slots of the cluster.", |totals| totals.slots.map(f64::from)),
];

fn totals(page: &mut MetricsPage, jobs: &[JobMetrics]) {
    for (name, help, value) in TOTAL_METRICS {
        let mut samples = page.gauge(name, help);
        for job in jobs {
            samples.add_known(&[("job", &job.status.info.name)], job.totals.as_ref().and_then(value));
        }
    }
    let help = "Mean latency of a query over the epoch.";
    let mut latencies = page.gauge("rescaler_query_latency_seconds", help);
    for (job, snapshot) in jobs.iter().filter_map(|job| Some((job, job.snapshot()?))) {
        for query in &snapshot.queries {
            let labels = [("job", job.status.info.name.as_str()), ("query", &query.name)];
            let latency_s = query.overall_latency_ms.map(|ms| ms / 1000.0);
            latencies.add_known(&labels, latency_s);
        }
    }
}

/// A metric with one value per operator.
type OperatorMetric = (&'static str, &'static str, fn(&Operator) -> Option<f64>);

const OPERATOR_METRICS: [OperatorMetric; 9] = [
    ("rescaler_operator_parallelism", "Subtasks.", |operator| Some(operator.parallelism.into())),
    ("rescaler_operator_latency_seconds", "Mean processing plus waiting time.", |operator| {
        operator.latency_ms.map(|ms| ms / 1000.0)
    }),
    ("rescaler_operator_throughput_records_per_second", "Records processed.", |operator| {
        operator.throughput_per_s
    }),
    (
        "rescaler_operator_input_records_per_second",
        "Records that would arrive without back-pressure.",
        |operator| operator.input_rate_per_s,
    ),
    ("rescaler_operator_output_records_per_second", "Records emitted.", |operator| {
        operator.output_rate_per_s
    }),
    ("rescaler_operator_backlog_records", "Sources: waiting records.", |operator| operator.backlog_records),
    ("rescaler_operator_busy_ratio", "Share of time busy, 0 to 1.", |operator| operator.busy_ratio),
    ("rescaler_operator_backpressured_ratio", "Share of time back-pressured, 0 to 1.", |operator| {
        operator.backpressured_ratio
    }),
    ("rescaler_operator_state_size_bytes", "Its part of the newest checkpoint.", |operator| {
        operator.state_size_bytes
    }),
];

fn operators(page: &mut MetricsPage, jobs: &[JobMetrics]) {
    for (name, help, value) in OPERATOR_METRICS {
        let mut samples = page.gauge(name, help);
        for (job, snapshot) in jobs.iter().filter_map(|job| Some((job, job.snapshot()?))) {
            for operator in &snapshot.operators {
                let labels = [("job", job.status.info.name.as_str()), ("operator", &operator.name)];
                samples.add_known(&labels, value(operator));
            }
        }
    }
}

/// A metric with one value per job that shares a quota.
type QuotaMetric = (&'static str, &'static str, fn(&SlotUsage) -> u32);

const QUOTA_METRICS: [QuotaMetric; 3] = [
    ("rescaler_quota_held_slots", "Slots of the job, or of its change in progress.", |job| job.held),
    ("rescaler_quota_share_slots", "Slots that the job gets on demand.", |job| job.share),
    ("rescaler_quota_wanted_slots", "Slots that its policy would use without a quota.", |job| job.wanted),
];

/// Metrics of all jobs together: quota and notifications.
fn shared(page: &mut MetricsPage, status: &Status) {
    let shared = status.shared();
    let (quota, jobs) = shared.slots.as_ref().map(|slots| slots.usage()).unzip();
    let mut slots = page.gauge("rescaler_quota_slots", "Slots that all jobs may have together.");
    slots.add_known(&[], quota.map(f64::from));
    for (name, help, value) in QUOTA_METRICS {
        let mut samples = page.gauge(name, help);
        for job in jobs.iter().flatten() {
            samples.add(&[("job", &job.job)], f64::from(value(job)));
        }
    }
    let mut notifications =
        page.counter("rescaler_notifications_total", "Events for each receiver, by result.");
    for (receiver, counts) in shared.notifier.counts() {
        for (result, count) in counts.results() {
            notifications.add(&[("receiver", receiver), ("result", result)], count);
        }
    }
}
