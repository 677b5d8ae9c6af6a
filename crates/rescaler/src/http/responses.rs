//! The responses of the HTTP interface, as documented in docs/api.md.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use scaling::Snapshot;
use serde::Serialize;

use super::Guard;
use crate::status::{
    Attention, DecisionView, JobStatus, JobView, Mark, Outlook, Point, Since, Status, Totals, attention,
};

/// State of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum JobState {
    /// Plans are published.
    Running,
    /// Observed and recorded, without decisions.
    Paused,
    /// Decisions are recorded, and not published.
    DryRun,
    /// There is no data for a decision.
    NoData,
    /// Not watched.
    Failed,
}

fn state(job: &JobStatus, view: &JobView) -> JobState {
    let switches = job.switches.now();
    match () {
        () if view.failure.is_some() => JobState::Failed,
        () if switches.paused => JobState::Paused,
        () if view.problem.is_some() || view.snapshot.is_none() => JobState::NoData,
        () if switches.dry_run => JobState::DryRun,
        () => JobState::Running,
    }
}

/// Number of newest points with their latency in the overview.
const TRACE_POINTS: usize = 40;

fn age_ms(of: Option<Timestamp>, now: Timestamp) -> Option<i64> {
    of.map(|at| (now.as_millisecond() - at.as_millisecond()).max(0))
}

/// `GET /api/v1/jobs`
#[derive(Debug, Serialize)]
pub(super) struct Jobs {
    version: &'static str,
    now_ms: i64,
    jobs: Vec<JobSummary>,
}

#[derive(Debug, Serialize)]
struct JobSummary {
    job: String,
    state: JobState,
    problem: Option<String>,
    data_age_ms: Option<i64>,
    epoch: Option<u64>,
    totals: Option<Totals>,
    latency_max_ms: Option<f64>,
    delay_ms: Option<f64>,
    /// Latency of the newest epochs, or the estimated delay where it is not measured, in milliseconds, oldest first.
    trace_ms: Vec<Option<f64>>,
    attention: Vec<Attention>,
    last_change: Option<Mark>,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<Since>,
}

/// The estimated delay, in milliseconds.
fn delay_ms(view: &JobView) -> Option<f64> {
    view.outlook.as_ref().ok().and_then(|outlook| outlook.delay_ms)
}

fn trace_ms(newest: &[Arc<Point>]) -> Vec<Option<f64>> {
    let estimated = |point: &Point| point.outlook.and_then(|outlook| outlook.delay_ms);
    let measured = |point: &Point| point.totals.and_then(|totals| totals.latency_ms);
    let is_measured = newest.iter().any(|point| measured(point).is_some());
    newest.iter().map(|point| if is_measured { measured(point) } else { estimated(point) }).collect()
}

pub(super) fn jobs(status: &Status, since_ms: Option<i64>, now: Timestamp) -> Jobs {
    let line = |job: &Arc<JobStatus>| {
        let view = job.view(now, false);
        JobSummary {
            job: job.info.name.clone(),
            state: state(job, &view),
            latency_max_ms: job.info.latency_max_ms,
            delay_ms: delay_ms(&view),
            trace_ms: trace_ms(&job.points(TRACE_POINTS)),
            attention: attention(job, &view, now),
            last_change: job.last_change(),
            since: since_ms.map(|since_ms| job.since(since_ms)),
            data_age_ms: age_ms(view.sampled_at, now),
            epoch: view.newest.as_ref().map(|decision| decision.epoch),
            totals: view.snapshot.as_ref().map(|(_, snapshot)| Totals::from_snapshot(snapshot)),
            problem: view.failure.or(view.alarm).or(view.problem),
        }
    };
    Jobs {
        version: version::VERSION,
        now_ms: now.as_millisecond(),
        jobs: status.jobs().iter().map(line).collect(),
    }
}

/// `GET /api/v1/jobs/{job}`
#[derive(Debug, Serialize)]
pub(super) struct Job {
    job: String,
    now_ms: i64,
    state: JobState,
    problem: Option<String>,
    obstacle: Option<String>,
    flink_url: String,
    policy: String,
    latency_max_ms: Option<f64>,
    epoch_length_ms: u128,
    sample_interval_ms: u128,
    switches: SwitchesResponse,
    data_age_ms: Option<i64>,
    epoch: Option<u64>,
    epoch_age_ms: Option<i64>,
    totals: Option<Totals>,
    snapshot_at_ms: Option<i64>,
    snapshot: Option<Arc<Snapshot>>,
    outlook: Option<Outlook>,
    /// Why there is no outlook, if there is none.
    outlook_missing: Option<String>,
    attention: Vec<Attention>,
}

#[derive(Debug, Serialize)]
struct SwitchesResponse {
    paused: bool,
    dry_run: bool,
    /// Set by the command line, so no button ends it.
    dry_run_forced: bool,
    /// Whether changes are possible.
    can_change: bool,
    /// Whether a change needs the token.
    needs_token: bool,
}

pub(super) fn job(job: &JobStatus, guard: &Guard, now: Timestamp) -> Job {
    let view = job.view(now, true);
    let switches = job.switches.now();
    let (snapshot_at, snapshot) = view.snapshot.clone().unzip();
    let (outlook, outlook_missing) = match view.outlook.clone() {
        Ok(outlook) => (Some(outlook), None),
        Err(reason) => (None, Some(reason)),
    };
    Job {
        outlook,
        outlook_missing,
        attention: attention(job, &view, now),
        job: job.info.name.clone(),
        now_ms: now.as_millisecond(),
        state: state(job, &view),
        flink_url: job.info.flink_url.clone(),
        policy: job.info.policy.clone(),
        latency_max_ms: job.info.latency_max_ms,
        epoch_length_ms: job.info.epoch_length.as_millis(),
        sample_interval_ms: job.info.sample_interval.as_millis(),
        switches: SwitchesResponse {
            paused: switches.paused,
            dry_run: switches.dry_run,
            dry_run_forced: job.switches.is_dry_run_forced(),
            can_change: guard.has_switches(),
            needs_token: guard.needs_token(),
        },
        data_age_ms: age_ms(view.sampled_at, now),
        epoch: view.newest.as_ref().map(|decision| decision.epoch),
        epoch_age_ms: age_ms(view.epoch_ended_at, now),
        totals: snapshot.as_deref().map(Totals::from_snapshot),
        snapshot_at_ms: snapshot_at.map(Timestamp::as_millisecond),
        snapshot,
        problem: view.failure.or(view.alarm).or(view.problem),
        obstacle: view.obstacle,
    }
}

/// `GET /api/v1/jobs/{job}/history`: columns of equal length, one entry per epoch, oldest first.
#[derive(Debug, Default, Serialize)]
pub(super) struct History {
    epoch: Vec<u64>,
    at_ms: Vec<i64>,
    latency_ms: BTreeMap<String, Vec<Option<f64>>>,
    input_rate_per_s: Vec<Option<f64>>,
    backlog_records: Vec<Option<f64>>,
    state_size_bytes: Vec<Option<f64>>,
    stored_size_bytes: Vec<Option<f64>>,
    task_managers: Vec<Option<usize>>,
    parallelism: BTreeMap<String, Vec<Option<u32>>>,
    busy_ratio: BTreeMap<String, Vec<Option<f64>>>,
    slots_used: Vec<Option<u32>>,
    arrival_per_s: Vec<Option<f64>>,
    capacity_per_s: Vec<Option<f64>>,
    forecast_per_s: Vec<Option<f64>>,
    delay_ms: Vec<Option<f64>>,
    marks: Vec<Mark>,
}

impl History {
    pub(super) fn from_points(points: &[Arc<Point>]) -> Self {
        let total = |figure: fn(&Totals) -> Option<f64>| {
            points.iter().map(|point| point.totals.as_ref().and_then(figure)).collect()
        };
        let outlook = |figure: fn(&Outlook) -> Option<f64>| {
            points.iter().map(|point| point.outlook.as_ref().and_then(figure)).collect()
        };
        Self {
            epoch: points.iter().map(|point| point.epoch).collect(),
            at_ms: points.iter().map(|point| point.at_ms).collect(),
            latency_ms: columns(points, |point| &point.latency_ms),
            input_rate_per_s: total(|totals| totals.input_rate_per_s),
            backlog_records: total(|totals| totals.backlog_records),
            state_size_bytes: total(|totals| totals.state_size_bytes),
            stored_size_bytes: total(|totals| totals.stored_size_bytes),
            task_managers: points
                .iter()
                .map(|point| point.totals.map(|totals| totals.task_managers))
                .collect(),
            parallelism: columns(points, |point| point.parallelism.as_ref()),
            busy_ratio: columns(points, |point| &point.busy_ratio),
            slots_used: points.iter().map(|point| point.totals.map(|totals| totals.slots_used)).collect(),
            arrival_per_s: outlook(|outlook| Some(outlook.arrival_per_s)),
            capacity_per_s: outlook(|outlook| Some(outlook.capacity_per_s)),
            forecast_per_s: outlook(|outlook| Some(outlook.forecast_per_s)),
            delay_ms: outlook(|outlook| outlook.delay_ms),
            marks: points.iter().filter_map(|point| point.mark.clone()).collect(),
        }
    }
}

fn columns<T: Copy>(
    points: &[Arc<Point>],
    of: fn(&Point) -> &BTreeMap<String, T>,
) -> BTreeMap<String, Vec<Option<T>>> {
    let names: BTreeSet<&String> = points.iter().flat_map(|point| of(point).keys()).collect();
    let column = |name: &String| points.iter().map(|point| of(point).get(name).copied()).collect();
    names.into_iter().map(|name| (name.clone(), column(name))).collect()
}

/// `GET /api/v1/jobs/{job}/decisions`: newest first.
#[derive(Debug, Serialize)]
pub(super) struct Decisions {
    pub(super) decisions: Vec<Arc<DecisionView>>,
}

/// Returns every reason for being unhealthy, one line each.
pub(super) fn health(status: &Status, epochs: u32, now: Timestamp) -> Vec<String> {
    let problem = |job: &Arc<JobStatus>| {
        let view = job.view(now, false);
        if let Some(failure) = view.failure {
            return Some(format!("{}: not watched: {failure}", job.info.name));
        }
        if let Some(alarm) = view.alarm {
            return Some(format!("{}: operator action required: {alarm}", job.info.name));
        }
        let since = view.epoch_ended_at.unwrap_or(job.info.started_at);
        let silent_ms = age_ms(Some(since), now).unwrap_or_default();
        let most_ms = job.info.epoch_length.as_millis().saturating_mul(u128::from(epochs));
        let is_late = u128::try_from(silent_ms).unwrap_or_default() > most_ms;
        is_late.then(|| {
            let seconds = silent_ms / 1000;
            format!("{}: no epoch ended for {seconds} s, more than {epochs} epochs", job.info.name)
        })
    };
    status.jobs().iter().filter_map(problem).collect()
}
