//! What is wrong with a job, most urgent first: each a sentence for people and a kind for programs.

use jiff::Timestamp;
use scaling::Decision;
use serde::Serialize;

use super::{DecisionOutcome, DecisionView, JobInfo, JobStatus, JobView, Totals};

/// Decisions in which a lack of slots still counts: while a change is applied, the lack is not reported.
const SLOTS_DECISIONS: usize = 5;
/// Data older than this many sampling intervals is missing.
const FRESH_SAMPLES: u32 = 3;
/// Data younger than this is never missing, in milliseconds.
const FRESH_MS: u128 = 5_000;

/// How urgent it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// A person must act, or the job stays as it is.
    Act,
    /// The job does not do what it should.
    Warn,
    /// Good to know.
    Info,
}

/// What kind of problem it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Problem {
    /// The job is not being watched.
    NotWatched,
    /// A published change needs a person.
    Alarm,
    /// The cluster has too few slots for the plan.
    AddTaskManagers,
    /// No sample has arrived for a while.
    NoData,
    /// Latency, or the estimated delay, is above the bound.
    OverBound,
    /// More subtasks would not help.
    CannotHelp,
    /// The newest change failed or was rolled back.
    ChangeFailed,
    /// The newest plan could not be published.
    NotPublished,
    /// The job does not run as its document says.
    Drift,
    /// Plans cannot be applied here.
    Recommendations,
    /// There is data, and no decision on it yet.
    Waiting,
}

/// One problem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Attention {
    /// How urgent it is.
    pub severity: Severity,
    /// What kind it is.
    pub kind: Problem,
    /// What it is and what to do, in a sentence.
    pub text: String,
}

/// Returns all problems of a job, the most urgent first.
pub fn attention(job: &JobStatus, moment: &JobView, now: Timestamp) -> Vec<Attention> {
    let mut found = Vec::new();
    let mut add = |severity, kind, text: Option<String>| {
        found.extend(text.map(|text| Attention { severity, kind, text }));
    };
    add(Severity::Act, Problem::NotWatched, moment.failure.clone());
    add(Severity::Act, Problem::Alarm, moment.alarm.clone());
    add(Severity::Act, Problem::AddTaskManagers, short_of_slots(moment));
    let is_fresh = is_fresh(&job.info, moment.sampled_at, now);
    let problem = moment.problem.clone().filter(|_| moment.failure.is_none());
    add(Severity::Act, Problem::NoData, problem.clone().filter(|_| !is_fresh));
    add(Severity::Warn, Problem::OverBound, over_bound(job, moment));
    add(Severity::Warn, Problem::AddTaskManagers, loaded(moment));
    let diagnosis = moment.newest.as_ref().and_then(|decision| decision.decision.diagnosis.as_ref());
    add(Severity::Warn, Problem::CannotHelp, diagnosis.map(|found| found.because.clone()));
    let plan = moment.last_plan.as_deref();
    add(Severity::Warn, Problem::ChangeFailed, plan.and_then(failed));
    add(Severity::Warn, Problem::NotPublished, plan.and_then(not_published));
    let drift = "it does not run as its document says: it was rescaled by hand, or slots are gone";
    add(Severity::Warn, Problem::Drift, moment.is_drifted.then(|| drift.to_owned()));
    add(Severity::Info, Problem::Recommendations, moment.obstacle.clone());
    add(Severity::Info, Problem::Waiting, problem.filter(|_| is_fresh));
    found.sort_by_key(|attention| attention.severity);
    found
}

/// Whether the newest sample is recent, or the first one is not due yet.
pub(super) fn is_fresh(info: &JobInfo, sampled_at: Option<Timestamp>, now: Timestamp) -> bool {
    let longest_ms = (info.sample_interval * FRESH_SAMPLES).as_millis().max(FRESH_MS);
    let newest = sampled_at.unwrap_or(info.started_at);
    now.duration_since(newest).as_millis() <= i128::try_from(longest_ms).unwrap_or(i128::MAX)
}

fn short_of_slots(moment: &JobView) -> Option<String> {
    let judged = |decision: &&std::sync::Arc<DecisionView>| decision.decision.cluster.slots_present.is_some();
    let present = |decision: &Decision| decision.cluster.slots_present;
    let newest = moment.recent.iter().find(judged)?;
    let short = moment
        .recent
        .iter()
        .take(SLOTS_DECISIONS)
        .filter(|decision| present(&decision.decision) >= present(&newest.decision));
    let rejected = short.filter_map(|decision| decision.decision.short_of_slots()).next()?;
    Some(format!("{} needs {} subtasks: {}", rejected.operator, rejected.parallelism, rejected.because))
}

/// The load of the cluster, where the policy judges by it and the cluster does not grow by itself.
fn loaded(moment: &JobView) -> Option<String> {
    let decision = &moment.newest.as_ref()?.decision;
    let cluster = &decision.cluster;
    let is_asked_for = cluster.scale_out == Some(true) && cluster.task_managers.is_none();
    let load = cluster.cluster_load.filter(|_| is_asked_for && decision.policy == scaling::latency::NAME)?;
    Some(format!("the load of the cluster is {:.0} %: add task managers", load * 100.0))
}

fn over_bound(job: &JobStatus, moment: &JobView) -> Option<String> {
    let bound_ms = job.info.latency_max_ms?;
    let (_, snapshot) = moment.snapshot.as_ref()?;
    let estimated_ms = moment.outlook.as_ref().ok().and_then(|outlook| outlook.delay_ms);
    let seconds = |ms: f64| format!("{:.1} s", ms / 1000.0);
    match (Totals::from_snapshot(snapshot).latency_ms, estimated_ms) {
        (Some(ms), _) if ms >= bound_ms => {
            Some(format!("latency is {}, the bound is {}", seconds(ms), seconds(bound_ms)))
        }
        (None, Some(ms)) if ms >= bound_ms => {
            Some(format!("records wait {} (estimated), the bound is {}", seconds(ms), seconds(bound_ms)))
        }
        _ => None,
    }
}

fn failed(plan: &DecisionView) -> Option<String> {
    let result = plan.result.as_ref().filter(|result| !result.succeeded())?;
    Some(format!("the change of epoch {}: {result}", plan.epoch))
}

fn not_published(plan: &DecisionView) -> Option<String> {
    let message = plan.message.as_ref().filter(|_| plan.outcome == DecisionOutcome::NotPublished)?;
    Some(format!("the plan of epoch {} was not published: {message}", plan.epoch))
}
