//! State of the watched jobs as the page, the HTTP interface and the metrics show it.
//!
//! Everything here is bounded and volatile; the journal is durable. The control cycle writes, readers copy what they need under
//! a short lock. Readers can change only the two [`Switches`] of a job.

mod attention;
mod decision_view;
mod history;
mod outlook;
mod ring;
mod since;
mod switches;

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use jiff::Timestamp;
use scaling::Snapshot;
use service::with_causes;
use tracing::warn;

pub use attention::{Attention, Problem, Severity, attention};
pub use decision_view::{DecisionOutcome, DecisionView};
pub use history::{Mark, Point, Totals};
pub use outlook::Outlook;
pub use since::Since;
pub use switches::{Switch, SwitchError, SwitchPositions, Switches};

use control::{Effect, FollowUp, Record};
use outlook::OutlookEstimator;
use ring::{BUSY_SHARES, REPORTED_OPERATORS, forget_details, push};

use crate::notify::{Event, EventDetector, Lasting, Notifier};
use crate::quota::SharedSlots;

/// Number of records of earlier runs for which the outlook is recomputed; older points of the time line have no outlook.
const ESTIMATED_RECORDS: usize = 120;
/// Number of newest decisions in a [`JobView`].
const RECENT_DECISIONS: usize = 5;
/// How long after a client's request a current snapshot is made with every sample.
const CLIENT_PRESENT_FOR: Duration = Duration::from_secs(30);

/// The status of all jobs of this rescaler, in the order in which watching began (the order of the configuration, if it names the jobs).
#[derive(Debug, Default)]
pub struct Status {
    jobs: RwLock<Vec<Arc<JobStatus>>>,
    shared: Shared,
}

/// Services that all jobs of this rescaler share.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shared {
    /// Receiver of events.
    pub(crate) notifier: Notifier,
    /// The shared slots, with a quota.
    pub(crate) slots: Option<Arc<SharedSlots>>,
}

impl Status {
    /// Returns the status of these jobs.
    pub fn new(jobs: Vec<Arc<JobStatus>>) -> Self {
        Self { jobs: RwLock::new(jobs), shared: Shared::default() }
    }

    /// Returns the status of these jobs with their shared services.
    pub(crate) fn with_shared(jobs: Vec<Arc<JobStatus>>, shared: Shared) -> Self {
        Self { jobs: RwLock::new(jobs), shared }
    }

    /// Returns the shared services.
    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Returns all jobs.
    pub fn jobs(&self) -> Vec<Arc<JobStatus>> {
        self.jobs.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the job with this name.
    pub fn job(&self, name: &str) -> Option<Arc<JobStatus>> {
        let jobs = self.jobs.read().unwrap_or_else(PoisonError::into_inner);
        jobs.iter().find(|job| job.info.name == name).cloned()
    }

    /// Adds a job.
    pub(crate) fn add(&self, job: Arc<JobStatus>) {
        self.jobs.write().unwrap_or_else(PoisonError::into_inner).push(job);
    }

    /// Removes the job with this name.
    pub(crate) fn remove(&self, name: &str) {
        self.jobs.write().unwrap_or_else(PoisonError::into_inner).retain(|job| job.info.name != name);
    }
}

/// Properties of a job that do not change while the rescaler runs.
#[derive(Debug, Clone)]
pub struct JobInfo {
    /// The job's name.
    pub name: String,
    /// URL of Flink, without credentials.
    pub flink_url: String,
    /// Name of the policy.
    pub policy: String,
    /// Latency bound of the policy, if it has one, in milliseconds.
    pub latency_max_ms: Option<f64>,
    /// Time between two decisions.
    pub epoch_length: Duration,
    /// Time between two samples.
    pub sample_interval: Duration,
    /// Time at which watching began.
    pub started_at: Timestamp,
}

/// Retention per job.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    /// Number of points of the time line.
    pub points: usize,
    /// Number of decisions.
    pub decisions: usize,
}

/// The status of one job, written by its control cycle.
#[derive(Debug)]
pub struct JobStatus {
    /// Properties that do not change.
    pub info: JobInfo,
    /// Pause and dry run.
    pub switches: Switches,
    retention: Retention,
    notifier: Notifier,
    /// Where it is kept what was reported and lasts.
    notified: Option<PathBuf>,
    data: Mutex<JobData>,
    estimator: Mutex<OutlookEstimator>,
}

#[derive(Debug, Clone, Default)]
struct JobData {
    recorded_slots: Option<u32>,
    events: EventDetector,
    /// What lasts, as it was written last.
    lasting: Lasting,
    requested_at: Option<Timestamp>,
    sampled_at: Option<Timestamp>,
    samples: u64,
    failed_samples: u64,
    /// Why the newest sample could not be taken, if it could not.
    sample_problem: Option<String>,
    /// Why the newest samples make no snapshot, if they make none.
    problem: Option<String>,
    snapshot: Option<(Timestamp, Arc<Snapshot>)>,
    points: VecDeque<Arc<Point>>,
    decisions: VecDeque<Arc<DecisionView>>,
    epochs: u64,
    epoch_ended_at: Option<Timestamp>,
    outcomes: BTreeMap<DecisionOutcome, u64>,
    failure: Option<String>,
    alarm: Option<String>,
    is_drifted: bool,
    obstacle: Option<String>,
    outlook: Option<Result<Outlook, String>>,
}

/// Status of a job at one point in time.
#[derive(Debug, Clone)]
pub struct JobView {
    /// Time of the newest sample.
    pub sampled_at: Option<Timestamp>,
    /// Number of samples since the start.
    pub samples: u64,
    /// Number of failed samples.
    pub failed_samples: u64,
    /// Why there is no current snapshot, if there is none.
    pub problem: Option<String>,
    /// The newest snapshot and its time.
    pub snapshot: Option<(Timestamp, Arc<Snapshot>)>,
    /// Number of epochs since the start.
    pub epochs: u64,
    /// End of the last epoch.
    pub epoch_ended_at: Option<Timestamp>,
    /// Number of decisions since the start, by outcome.
    pub outcomes: BTreeMap<DecisionOutcome, u64>,
    /// Why the job is not being watched, if it is not.
    pub failure: Option<String>,
    /// Why a person must act, if so.
    pub alarm: Option<String>,
    /// Whether the job does not run as its document says.
    pub is_drifted: bool,
    /// Why plans cannot be carried out, if they cannot.
    pub obstacle: Option<String>,
    /// The newest decision.
    pub newest: Option<Arc<DecisionView>>,
    /// The newest decisions, newest first.
    pub recent: Vec<Arc<DecisionView>>,
    /// The newest decision with a plan.
    pub last_plan: Option<Arc<DecisionView>>,
    /// Load and capacity, or why they are unknown.
    pub outlook: Result<Outlook, String>,
}

/// Returns the number of slots that a job needs as it ran, or with the plan that was published.
fn slots_of(record: &Record) -> Option<u32> {
    let held = scaling::limits::slots_needed(record.snapshot.as_ref()?, &BTreeMap::new());
    let is_published = matches!(record.effect, Effect::Publishing { .. } | Effect::Published { .. });
    let planned = record.decision.cluster.slots_needed.filter(|_| is_published);
    Some(held.max(planned.unwrap_or_default()))
}

impl JobStatus {
    /// Returns the status of a job before its first sample.
    pub fn new(info: JobInfo, switches: Switches, retention: Retention) -> Self {
        Self {
            info,
            switches,
            retention,
            notifier: Notifier::default(),
            notified: None,
            data: Mutex::default(),
            estimator: Mutex::default(),
        }
    }

    /// The same, whose events are sent. What was sent and lasts is read from this file and kept in it.
    pub(crate) fn notifying(self, notifier: Notifier, file: PathBuf) -> Self {
        if !notifier.has_receivers() {
            return self;
        }
        let mut seen = self.lock();
        seen.lasting = Lasting::load(&file);
        seen.events = EventDetector::resumed(seen.lasting.clone(), Timestamp::now());
        drop(seen);
        Self { notifier, notified: Some(file), ..self }
    }

    /// Restores time line and decisions from records of earlier runs, oldest first.
    pub fn remember<'a>(&self, records: impl IntoIterator<Item = &'a Record>) {
        let records: Vec<&Record> = records.into_iter().collect();
        self.lock().recorded_slots = records.iter().rev().find_map(|record| slots_of(record));
        let estimated_from = records.len().saturating_sub(ESTIMATED_RECORDS);
        for (index, record) in records.into_iter().enumerate() {
            let has_figures = !record.decision.figures.is_empty();
            let outlook = (index >= estimated_from || has_figures).then(|| self.estimate(record));
            self.retain(&mut self.lock(), record, outlook);
        }
    }

    /// Returns the slots of the job in the newest record of earlier runs, or of the plan published with it.
    pub(crate) fn recorded_slots(&self) -> Option<u32> {
        self.lock().recorded_slots
    }

    /// Records the result of a sample.
    pub fn sampled(&self, result: Result<(), String>, now: Timestamp) {
        let mut data = self.lock();
        match result {
            Ok(()) => {
                data.samples += 1;
                data.sampled_at = Some(now);
                data.sample_problem = None;
            }
            Err(problem) => {
                data.failed_samples += 1;
                data.sample_problem = Some(problem);
            }
        }
    }

    /// Whether a client has asked recently, so that current snapshots are needed.
    pub fn is_watched_by_client(&self, now: Timestamp) -> bool {
        self.lock().requested_at.is_some_and(|at| now.duration_since(at).unsigned_abs() < CLIENT_PRESENT_FOR)
    }

    /// Records the current snapshot, or why there is none.
    pub fn current(&self, snapshot: Result<Snapshot, String>, now: Timestamp) {
        let mut data = self.lock();
        match snapshot {
            Ok(snapshot) => {
                data.snapshot = Some((now, Arc::new(snapshot)));
                data.problem = None;
            }
            Err(problem) => data.problem = Some(problem),
        }
    }

    /// Records the end of an epoch. A second record of an epoch replaces the first.
    pub fn decided(&self, record: &Record) {
        let outlook = self.estimate(record);
        let mut data = self.lock();
        if let Some(snapshot) = &record.snapshot {
            // The one before may be large.
            data.snapshot = None;
            data.snapshot = Some((record.at, Arc::new(snapshot.clone())));
            data.problem = None;
        } else if let Some(reason) = record.decision.reasons.first() {
            data.problem = Some(reason.clone());
        }
        let outcome = DecisionOutcome::from_effect(&record.effect);
        if outcome != DecisionOutcome::Publishing {
            data.epochs += 1;
            data.epoch_ended_at = Some(record.at);
            *data.outcomes.entry(outcome).or_default() += 1;
        }
        self.retain(&mut data, record, Some(outlook));
        let events = data.events.decided(&DecisionView::from_record(record));
        drop(data);
        self.notify(events);
    }

    /// Records the outcome of an earlier decision.
    pub fn followed_up(&self, follow_up: &FollowUp) {
        let mut data = self.lock();
        if let Some(effect) = &follow_up.then {
            data.epochs += 1;
            data.epoch_ended_at = Some(follow_up.at);
            *data.outcomes.entry(DecisionOutcome::from_effect(effect)).or_default() += 1;
        }
        let of_epoch = follow_up.of_epoch;
        let mut events = Vec::new();
        if let Some(decision) = data.decisions.iter_mut().rev().find(|decision| decision.epoch == of_epoch) {
            Arc::make_mut(decision).follow(follow_up);
            let decision = Arc::clone(decision);
            events.extend(follow_up.then.as_ref().and_then(|_| data.events.planned(&decision)));
        }
        if let Some(outcome) = &follow_up.outcome {
            events.extend(data.events.ended(outcome, follow_up.at));
        }
        let point = data.points.iter_mut().rev().find(|point| point.epoch == of_epoch);
        if let (Some(point), Some(effect)) = (point, &follow_up.then) {
            Arc::make_mut(point).became(DecisionOutcome::from_effect(effect));
        }
        drop(data);
        self.notify(events);
    }

    /// Records that the job is being watched, or again after a failure.
    pub fn watched(&self) {
        let mut seen = self.lock();
        seen.failure = None;
        let event = seen.events.watching(None, Timestamp::now());
        drop(seen);
        self.notify(event);
    }

    /// Records why the job is not being watched.
    pub fn failed(&self, reason: String) {
        let mut seen = self.lock();
        let event = seen.events.watching(Some(&reason), Timestamp::now());
        seen.failure = Some(reason);
        drop(seen);
        self.notify(event);
    }

    /// Records why a person must act, or that no action is needed. Returns whether the need for action began or ended.
    pub fn alarm(&self, sentence: Option<String>) -> bool {
        let mut data = self.lock();
        let is_news = data.alarm.is_some() != sentence.is_some();
        let event = data.events.needs_a_person(sentence.as_deref(), Timestamp::now());
        data.alarm = sentence;
        drop(data);
        self.notify(event);
        is_news
    }

    /// Records whether the job differs from its document. Returns whether this changed.
    pub fn drift(&self, is_drifted: bool) -> bool {
        std::mem::replace(&mut self.lock().is_drifted, is_drifted) != is_drifted
    }

    /// Records why plans cannot be carried out; [`None`]: they can.
    pub fn set_obstacle(&self, obstacle: Option<String>) {
        self.lock().obstacle = obstacle;
    }

    /// Returns the current status. `by_client`: see [`JobStatus::is_watched_by_client`].
    pub fn view(&self, now: Timestamp, by_client: bool) -> JobView {
        let mut data = self.lock();
        if by_client {
            data.requested_at = Some(now);
        }
        // A sample that fails between others is no lack of data.
        let is_short = data.snapshot.is_some() && attention::is_fresh(&self.info, data.sampled_at, now);
        let sample_problem = data.sample_problem.clone().filter(|_| !is_short);
        JobView {
            sampled_at: data.sampled_at,
            samples: data.samples,
            failed_samples: data.failed_samples,
            problem: sample_problem.or_else(|| data.problem.clone()),
            snapshot: data.snapshot.clone(),
            epochs: data.epochs,
            epoch_ended_at: data.epoch_ended_at,
            outcomes: data.outcomes.clone(),
            failure: data.failure.clone(),
            alarm: data.alarm.clone(),
            is_drifted: data.is_drifted,
            obstacle: data.obstacle.clone(),
            newest: data.decisions.back().cloned(),
            recent: data.decisions.iter().rev().take(RECENT_DECISIONS).cloned().collect(),
            last_plan: data.decisions.iter().rev().find(|decision| decision.is_plan()).cloned(),
            outlook: data.outlook.clone().unwrap_or_else(|| Err("no epoch has ended yet".to_owned())),
        }
    }

    /// Returns the newest points of the time line, oldest first.
    pub fn points(&self, limit: usize) -> Vec<Arc<Point>> {
        let data = self.lock();
        let skipped = data.points.len().saturating_sub(limit);
        data.points.iter().skip(skipped).cloned().collect()
    }

    /// Returns the newest decisions, newest first.
    pub fn decisions(&self, limit: usize) -> Vec<Arc<DecisionView>> {
        self.lock().decisions.iter().rev().take(limit).cloned().collect()
    }

    /// Returns the newest plan in the time line.
    pub fn last_change(&self) -> Option<Mark> {
        self.lock().points.iter().rev().find_map(|point| point.mark.clone())
    }

    /// Returns what happened after this time, as far as the time line goes back.
    pub fn since(&self, since_ms: i64) -> Since {
        let data = self.lock();
        Since::new(data.points.iter().map(|point| &**point), since_ms, self.info.latency_max_ms)
    }

    fn estimate(&self, record: &Record) -> Result<Outlook, String> {
        self.estimator.lock().unwrap_or_else(PoisonError::into_inner).estimate(record)
    }

    fn retain(&self, data: &mut JobData, record: &Record, outlook: Option<Result<Outlook, String>>) {
        let decision = Arc::new(DecisionView::from_record(record));
        let known = outlook.as_ref().and_then(|outlook| outlook.as_ref().ok().copied());
        data.outlook = outlook;
        let mut point = Point::from_record(record, known);
        point.share(data.points.back().map(|before| &**before));
        push(&mut data.points, Arc::new(point), self.retention.points, |point| point.epoch);
        push(&mut data.decisions, decision, self.retention.decisions, |decision| decision.epoch);
        let points = data.points.iter_mut().rev();
        forget_details(points, BUSY_SHARES, |point| point.busy_ratio.len(), |point| point.busy_ratio.clear());
        let decisions = data.decisions.iter_mut().rev();
        forget_details(decisions, REPORTED_OPERATORS, DecisionView::reports, DecisionView::forget_operators);
    }

    fn notify(&self, events: impl IntoIterator<Item = Event>) {
        let is_dry_run = self.switches.now().dry_run;
        let mut is_sent = false;
        for event in events {
            self.notifier.send(&self.info.name, &self.info.flink_url, &event, is_dry_run);
            is_sent = !is_dry_run;
        }
        if is_sent {
            self.keep_lasting();
        }
    }

    /// Writes what was reported and lasts, if it has changed.
    fn keep_lasting(&self) {
        let Some(path) = &self.notified else { return };
        let mut data = self.lock();
        let lasting = data.events.lasting();
        let is_kept = std::mem::replace(&mut data.lasting, lasting.clone()) == lasting;
        drop(data);
        if is_kept {
            return;
        }
        if let Err(error) = lasting.save(path) {
            let job = &self.info.name;
            let reason = with_causes(&error);
            warn!(job, "what was notified will be notified again after a restart: {reason}");
        }
    }

    fn lock(&self) -> MutexGuard<'_, JobData> {
        // Readers change nothing, so a panic leaves the data consistent.
        self.data.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
