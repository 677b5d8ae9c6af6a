//! The metrics of the rescaler, in the Prometheus text format. Names and labels are listed in docs/metrics.md and do not change lightly.
//!
//! A figure that is not known has no line: a missing series is unknown, 0 would be a claim.

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
use crate::quota::Figures;
use crate::status::{DecisionOutcome, JobStatus, JobView, Status, Totals};

/// What an answered request is counted under: method, route and status. Their number is bounded by the routes.
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
    // Only known methods and routes become labels: a stranger must not be able to make up new series.
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

/// All series. Those of one name stand together, as the format asks for, so each name goes once through all jobs.
fn metrics(status: &Status, requests: &BTreeMap<RequestLabels, u64>, now: Timestamp) -> MetricsPage {
    let seen: Vec<JobMetrics> = status.jobs().iter().map(|job| JobMetrics::of(job, now)).collect();
    let mut page = MetricsPage::default();
    page.gauge("rescaler_build_info", "Always 1; the version is a label.")
        .add(&[("version", version::VERSION)], true);
    whole_jobs(&mut page, &seen, now);
    totals(&mut page, &seen);
    operators(&mut page, &seen);
    shared(&mut page, status);
    let mut answered = page.counter("rescaler_http_requests_total", "Requests answered.");
    for ((method, route, status), count) in requests {
        let labels = [("method", method.as_str()), ("route", route), ("status", &status.to_string())];
        answered.add(&labels, *count);
    }
    page
}

struct JobMetrics {
    job: Arc<JobStatus>,
    view: JobView,
    totals: Option<Totals>,
}

impl JobMetrics {
    fn of(job: &Arc<JobStatus>, now: Timestamp) -> Self {
        let view = job.view(now, false);
        let totals = view.snapshot.as_ref().map(|(_, snapshot)| Totals::of(snapshot));
        Self { job: Arc::clone(job), view, totals }
    }

    fn snapshot(&self) -> Option<&Snapshot> {
        self.view.snapshot.as_ref().map(|(_, snapshot)| &**snapshot)
    }
}

/// One name with a value per job.
type PerJob = (&'static str, Type, &'static str, fn(&JobMetrics, Timestamp) -> Option<f64>);

#[expect(clippy::cast_precision_loss, reason = "counters and milliseconds stay far below 2^52")]
const WHOLE_JOBS: [PerJob; 11] = [
    ("rescaler_up", Type::Gauge, "Whether the job is being watched.", |seen, _| {
        Some(f64::from(u8::from(seen.view.failure.is_none())))
    }),
    ("rescaler_paused", Type::Gauge, "Whether the job is paused.", |seen, _| {
        Some(f64::from(u8::from(seen.job.switches.now().paused)))
    }),
    ("rescaler_dry_run", Type::Gauge, "Whether plans are recorded only.", |seen, _| {
        Some(f64::from(u8::from(seen.job.switches.now().dry_run)))
    }),
    (
        "rescaler_needs_a_person",
        Type::Gauge,
        "Whether a person must act before scaling continues as usual.",
        |seen, _| Some(f64::from(u8::from(seen.view.alarm.is_some()))),
    ),
    ("rescaler_drifted", Type::Gauge, "Whether the job differs from its document.", |seen, _| {
        Some(f64::from(u8::from(seen.view.is_drifted)))
    }),
    ("rescaler_samples_total", Type::Counter, "Samples of metrics taken.", |seen, _| {
        Some(seen.view.samples as f64)
    }),
    (
        "rescaler_samples_failed_total",
        Type::Counter,
        "Samples of metrics that could not be taken.",
        |seen, _| Some(seen.view.failed_samples as f64),
    ),
    ("rescaler_epochs_total", Type::Counter, "Epochs ended.", |seen, _| Some(seen.view.epochs as f64)),
    ("rescaler_epoch_age_seconds", Type::Gauge, "Time since the last epoch ended.", |seen, now| {
        seconds_since(seen.view.epoch_ended_at, now)
    }),
    ("rescaler_data_age_seconds", Type::Gauge, "Time since the newest sample.", |seen, now| {
        seconds_since(seen.view.sampled_at, now)
    }),
    ("rescaler_generation", Type::Gauge, "Generation of the document published last.", |seen, _| {
        let decisions = seen.job.decisions(usize::MAX);
        decisions.iter().find_map(|told| told.generation).map(|generation| generation as f64)
    }),
];

#[expect(clippy::cast_precision_loss, reason = "milliseconds stay far below 2^52")]
fn seconds_since(at: Option<Timestamp>, now: Timestamp) -> Option<f64> {
    at.map(|at| (now.as_millisecond() - at.as_millisecond()).max(0) as f64 / 1000.0)
}

fn whole_jobs(page: &mut MetricsPage, seen: &[JobMetrics], now: Timestamp) {
    for (name, kind, help, figure) in WHOLE_JOBS {
        let mut samples = page.metric(kind, name, help);
        for one in seen {
            samples.add_known(&[("job", &one.job.about.job)], figure(one, now));
        }
    }
    newest_decision(page, seen);
    let mut decisions = page.counter("rescaler_decisions_total", "Decisions by what became of them.");
    for one in seen {
        for outcome in
            DecisionOutcome::ALL.into_iter().filter(|outcome| *outcome != DecisionOutcome::Publishing)
        {
            let labels = [("job", one.job.about.job.as_str()), ("outcome", outcome.name())];
            let count = one.view.outcomes.get(&outcome).copied().unwrap_or_default();
            decisions.add(&labels, count);
        }
    }
}

/// A figure of the newest decision: its name here, what it is, its name there.
const FIGURES: [(&str, &str, &str); 3] = [
    ("rescaler_capacity_records_per_second", "What the job is found to carry.", "capacity_per_s"),
    (
        "rescaler_forecast_records_per_second",
        "What is to be expected before a change could help.",
        "forecast_per_s",
    ),
    (
        "rescaler_delay_estimate_seconds",
        "How long records will have to wait, estimated from backlog and rates.",
        "delay_s",
    ),
];

/// What policies that compare prices found in the newest epoch.
fn newest_decision(page: &mut MetricsPage, seen: &[JobMetrics]) {
    let newest: Vec<_> =
        seen.iter().filter_map(|one| Some((one, one.job.decisions(1).into_iter().next()?))).collect();
    for (name, help, figure) in FIGURES {
        let mut samples = page.gauge(name, help);
        for (one, told) in &newest {
            let value = told.decision.figures.get(figure).copied();
            samples.add_known(&[("job", &one.job.about.job)], value);
        }
    }
    let mut diagnoses = page.gauge("rescaler_diagnosis", "1 for the cause why more subtasks would not help.");
    for (one, told) in &newest {
        if let Some(found) = &told.decision.diagnosis {
            let labels = [
                ("job", one.job.about.job.as_str()),
                ("cause", found.cause.name()),
                ("operator", &found.operator),
            ];
            diagnoses.add(&labels, true);
        }
    }
}

/// One name with a value per job, from its totals.
type Total = (&'static str, &'static str, fn(&Totals) -> Option<f64>);

#[expect(clippy::cast_precision_loss, reason = "a cluster has far fewer than 2^52 task managers")]
const TOTALS: [Total; 7] = [
    ("rescaler_input_records_per_second", "Records that come into being at the sources.", |totals| {
        totals.input_rate_per_s
    }),
    ("rescaler_backlog_records", "Records that wait at the sources.", |totals| totals.backlog_records),
    ("rescaler_state_size_bytes", "Size of the job's state.", |totals| totals.state_size_bytes),
    ("rescaler_stored_size_bytes", "Size of the checkpoint storage, from a state probe.", |totals| {
        totals.stored_size_bytes
    }),
    ("rescaler_subtasks", "Sum of the parallelism of all operators.", |totals| Some(totals.subtasks.into())),
    ("rescaler_task_managers", "Task managers of the cluster.", |totals| Some(totals.task_managers as f64)),
    ("rescaler_slots", "Slots of the cluster.", |totals| totals.slots.map(f64::from)),
];

fn totals(page: &mut MetricsPage, seen: &[JobMetrics]) {
    for (name, help, figure) in TOTALS {
        let mut samples = page.gauge(name, help);
        for one in seen {
            samples.add_known(&[("job", &one.job.about.job)], one.totals.as_ref().and_then(figure));
        }
    }
    let help = "Mean latency of a query over the epoch.";
    let mut latencies = page.gauge("rescaler_query_latency_seconds", help);
    for (one, snapshot) in seen.iter().filter_map(|one| Some((one, one.snapshot()?))) {
        for query in &snapshot.queries {
            let labels = [("job", one.job.about.job.as_str()), ("query", &query.name)];
            let latency_s = query.overall_latency_ms.map(|ms| ms / 1000.0);
            latencies.add_known(&labels, latency_s);
        }
    }
}

/// One name with a value per operator.
type PerOperator = (&'static str, &'static str, fn(&Operator) -> Option<f64>);

const OPERATORS: [PerOperator; 9] = [
    ("rescaler_operator_parallelism", "Subtasks.", |operator| Some(operator.parallelism.into())),
    ("rescaler_operator_latency_seconds", "Mean processing plus waiting time.", |operator| {
        operator.latency_ms.map(|ms| ms / 1000.0)
    }),
    ("rescaler_operator_throughput_records_per_second", "Records processed.", |operator| {
        operator.throughput_per_s
    }),
    (
        "rescaler_operator_input_records_per_second",
        "Records that would arrive if nothing held them back.",
        |operator| operator.input_rate_per_s,
    ),
    ("rescaler_operator_output_records_per_second", "Records emitted.", |operator| {
        operator.output_rate_per_s
    }),
    ("rescaler_operator_backlog_records", "Sources: records that wait.", |operator| operator.backlog_records),
    ("rescaler_operator_busy_ratio", "Share of time busy, 0 to 1.", |operator| operator.busy_ratio),
    ("rescaler_operator_backpressured_ratio", "Share of time held back, 0 to 1.", |operator| {
        operator.backpressured_ratio
    }),
    ("rescaler_operator_state_size_bytes", "Its part of the newest checkpoint.", |operator| {
        operator.state_size_bytes
    }),
];

fn operators(page: &mut MetricsPage, seen: &[JobMetrics]) {
    for (name, help, figure) in OPERATORS {
        let mut samples = page.gauge(name, help);
        for (one, snapshot) in seen.iter().filter_map(|one| Some((one, one.snapshot()?))) {
            for operator in &snapshot.operators {
                let labels = [("job", one.job.about.job.as_str()), ("operator", &operator.name)];
                samples.add_known(&labels, figure(operator));
            }
        }
    }
}

/// One name with a value per job that shares slots.
type PerMember = (&'static str, &'static str, fn(&Figures) -> u32);

const MEMBERS: [PerMember; 3] = [
    ("rescaler_quota_held_slots", "Slots of the job, or of its change in progress.", |job| job.held),
    ("rescaler_quota_share_slots", "Slots that the job gets whenever it wants them.", |job| job.share),
    ("rescaler_quota_wanted_slots", "Slots that its policy would use without a quota.", |job| job.wanted),
];

/// What all jobs have in common: the slots that they share, and the notifications.
fn shared(page: &mut MetricsPage, status: &Status) {
    let shared = status.shared();
    let (quota, jobs) = shared.slots.as_ref().map(|slots| slots.figures()).unzip();
    let mut slots = page.gauge("rescaler_quota_slots", "Slots that all jobs may have together.");
    slots.add_known(&[], quota.map(f64::from));
    for (name, help, figure) in MEMBERS {
        let mut samples = page.gauge(name, help);
        for job in jobs.iter().flatten() {
            samples.add(&[("job", &job.job)], f64::from(figure(job)));
        }
    }
    let mut notifications =
        page.counter("rescaler_notifications_total", "Events for each receiver, by what became of them.");
    for (receiver, counts) in shared.notifier.counts() {
        for (result, count) in counts.results() {
            notifications.add(&[("receiver", receiver), ("result", result)], count);
        }
    }
}
