//! `/metrics`, in the Prometheus text format. Names and labels are listed in docs/metrics.md and do not change lightly.
//!
//! A figure that is not known has no line: a missing series is unknown, 0 would be a claim.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{MatchedPath, Request, State};
use axum::http::{Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use scaling::{Operator, Snapshot};

use super::{Site, now};
use crate::status::{JobStatus, Moment, Outcome, Status, Totals};

/// What an answered request is counted under: method, route and status. Their number is bounded by the routes.
type Answered = (String, String, u16);

/// Counters of one server.
#[derive(Debug, Clone, Default)]
pub(super) struct Requests(Arc<Mutex<BTreeMap<Answered, u64>>>);

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

pub(super) async fn page(State(site): State<Site>) -> impl IntoResponse {
    let requests = site.requests.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let headers = [(header::CONTENT_TYPE, "text/plain; version=0.0.4"), (header::CACHE_CONTROL, "no-store")];
    (headers, text(&site.status, &requests, now()))
}

/// All series. Those of one name stand together, as the format asks for, so each name goes once through all jobs.
fn text(status: &Status, requests: &BTreeMap<Answered, u64>, now: Timestamp) -> String {
    let seen: Vec<Seen> = status.jobs().iter().map(|job| Seen::of(job, now)).collect();
    let mut page = Page::default();
    page.name("rescaler_build_info", "gauge", "Always 1; the version is a label.");
    page.line("rescaler_build_info", &[("version", version::VERSION)], 1);
    whole_jobs(&mut page, &seen, now);
    totals(&mut page, &seen);
    operators(&mut page, &seen);
    page.name("rescaler_http_requests_total", "counter", "Requests answered.");
    for ((method, route, status), count) in requests {
        let labels = [("method", method.as_str()), ("route", route), ("status", &status.to_string())];
        page.line("rescaler_http_requests_total", &labels, count);
    }
    page.0
}

struct Seen {
    job: Arc<JobStatus>,
    moment: Moment,
    totals: Option<Totals>,
}

impl Seen {
    fn of(job: &Arc<JobStatus>, now: Timestamp) -> Self {
        let moment = job.moment(now, false);
        let totals = moment.snapshot.as_ref().map(|(_, snapshot)| Totals::of(snapshot));
        Self { job: Arc::clone(job), moment, totals }
    }

    fn snapshot(&self) -> Option<&Snapshot> {
        self.moment.snapshot.as_ref().map(|(_, snapshot)| &**snapshot)
    }
}

/// One name with a value per job.
type PerJob = (&'static str, &'static str, &'static str, fn(&Seen, Timestamp) -> Option<f64>);

#[expect(clippy::cast_precision_loss, reason = "counters and milliseconds stay far below 2^52")]
const WHOLE_JOBS: [PerJob; 11] = [
    ("rescaler_up", "gauge", "Whether the job is being watched.", |seen, _| {
        Some(f64::from(u8::from(seen.moment.failure.is_none())))
    }),
    ("rescaler_paused", "gauge", "Whether the job is paused.", |seen, _| {
        Some(f64::from(u8::from(seen.job.switches.now().paused)))
    }),
    ("rescaler_dry_run", "gauge", "Whether plans are recorded only.", |seen, _| {
        Some(f64::from(u8::from(seen.job.switches.now().dry_run)))
    }),
    (
        "rescaler_needs_a_person",
        "gauge",
        "Whether a person must act before scaling goes on as usual.",
        |seen, _| Some(f64::from(u8::from(seen.moment.alarm.is_some()))),
    ),
    ("rescaler_drifted", "gauge", "Whether the job runs otherwise than its document says.", |seen, _| {
        Some(f64::from(u8::from(seen.moment.is_drifted)))
    }),
    ("rescaler_samples_total", "counter", "Samples of metrics taken.", |seen, _| {
        Some(seen.moment.samples as f64)
    }),
    ("rescaler_samples_failed_total", "counter", "Samples of metrics that could not be taken.", |seen, _| {
        Some(seen.moment.failed_samples as f64)
    }),
    ("rescaler_epochs_total", "counter", "Epochs ended.", |seen, _| Some(seen.moment.epochs as f64)),
    ("rescaler_epoch_age_seconds", "gauge", "Time since the last epoch ended.", |seen, now| {
        seconds_since(seen.moment.epoch_ended_at, now)
    }),
    ("rescaler_data_age_seconds", "gauge", "Time since the newest sample.", |seen, now| {
        seconds_since(seen.moment.sampled_at, now)
    }),
    ("rescaler_generation", "gauge", "Generation of the document published last.", |seen, _| {
        let decisions = seen.job.decisions(usize::MAX);
        decisions.iter().find_map(|told| told.generation).map(|generation| generation as f64)
    }),
];

#[expect(clippy::cast_precision_loss, reason = "milliseconds stay far below 2^52")]
fn seconds_since(at: Option<Timestamp>, now: Timestamp) -> Option<f64> {
    at.map(|at| (now.as_millisecond() - at.as_millisecond()).max(0) as f64 / 1000.0)
}

fn whole_jobs(page: &mut Page, seen: &[Seen], now: Timestamp) {
    for (name, kind, help, figure) in WHOLE_JOBS {
        page.name(name, kind, help);
        for one in seen {
            page.maybe(name, &[("job", &one.job.about.job)], figure(one, now));
        }
    }
    newest_decision(page, seen);
    page.name("rescaler_decisions_total", "counter", "Decisions by what became of them.");
    for one in seen {
        for outcome in Outcome::ALL.into_iter().filter(|outcome| *outcome != Outcome::Publishing) {
            let labels = [("job", one.job.about.job.as_str()), ("outcome", outcome.name())];
            let count = one.moment.outcomes.get(&outcome).copied().unwrap_or_default();
            page.line("rescaler_decisions_total", &labels, count);
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
fn newest_decision(page: &mut Page, seen: &[Seen]) {
    let newest: Vec<_> =
        seen.iter().filter_map(|one| Some((one, one.job.decisions(1).into_iter().next()?))).collect();
    for (name, help, figure) in FIGURES {
        page.name(name, "gauge", help);
        for (one, told) in &newest {
            page.maybe(name, &[("job", &one.job.about.job)], told.decision.figures.get(figure).copied());
        }
    }
    let name = "rescaler_diagnosis";
    page.name(name, "gauge", "1 for the cause why more subtasks would not help.");
    for (one, told) in &newest {
        if let Some(found) = &told.decision.diagnosis {
            let labels = [
                ("job", one.job.about.job.as_str()),
                ("cause", found.cause.name()),
                ("operator", &found.operator),
            ];
            page.line(name, &labels, 1);
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
    ("rescaler_stored_size_bytes", "What lies where its checkpoints are kept.", |totals| {
        totals.stored_size_bytes
    }),
    ("rescaler_subtasks", "Sum of the parallelism of all operators.", |totals| Some(totals.subtasks.into())),
    ("rescaler_task_managers", "Task managers of the cluster.", |totals| Some(totals.task_managers as f64)),
    ("rescaler_slots", "Slots of the cluster.", |totals| totals.slots.map(f64::from)),
];

fn totals(page: &mut Page, seen: &[Seen]) {
    for (name, help, figure) in TOTALS {
        page.name(name, "gauge", help);
        for one in seen {
            page.maybe(name, &[("job", &one.job.about.job)], one.totals.as_ref().and_then(figure));
        }
    }
    page.name("rescaler_query_latency_seconds", "gauge", "Mean latency of a query over the epoch.");
    for (one, snapshot) in seen.iter().filter_map(|one| Some((one, one.snapshot()?))) {
        for query in &snapshot.queries {
            let labels = [("job", one.job.about.job.as_str()), ("query", &query.name)];
            let latency_s = query.overall_latency_ms.map(|ms| ms / 1000.0);
            page.maybe("rescaler_query_latency_seconds", &labels, latency_s);
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

fn operators(page: &mut Page, seen: &[Seen]) {
    for (name, help, figure) in OPERATORS {
        page.name(name, "gauge", help);
        for (one, snapshot) in seen.iter().filter_map(|one| Some((one, one.snapshot()?))) {
            for operator in &snapshot.operators {
                let labels = [("job", one.job.about.job.as_str()), ("operator", &operator.name)];
                page.maybe(name, &labels, figure(operator));
            }
        }
    }
}

#[derive(Default)]
struct Page(String);

impl Page {
    fn name(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn maybe(&mut self, name: &str, labels: &[(&str, &str)], value: Option<f64>) {
        if let Some(value) = value {
            self.line(name, labels, value);
        }
    }

    fn line(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<String> =
            labels.iter().map(|(label, text)| format!("{label}=\"{}\"", escaped(text))).collect();
        let _ = writeln!(self.0, "{name}{{{}}} {value}", labels.join(","));
    }
}

/// A label's value: names of operators come from the job, and can hold anything.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: whatever a name holds, it stays one label on one line.
    #[test]
    fn labels_are_escaped() {
        let mut page = Page::default();
        page.line("x", &[("operator", "a\"} 7\n\\b")], 1);
        assert_eq!(page.0, "x{operator=\"a\\\"} 7\\n\\\\b\"} 1\n");
    }
}
