//! State of the watched jobs as the page, the HTTP interface and the metrics show it.
//!
//! Everything here is bounded and in memory; the journal is what lasts. A cycle writes, readers copy what they need under
//! a short lock, and the two [`Switches`] of a job are the only thing that a reader may change.

mod attention;
mod decision_view;
mod history;
mod outlook;
mod since;
mod switches;

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use jiff::Timestamp;
use scaling::Snapshot;
use tracing::warn;

pub use attention::{Attention, Problem, Severity, attention};
pub use decision_view::{DecisionOutcome, DecisionView};
pub use history::{Mark, Point, Totals};
pub use outlook::Outlook;
pub use since::Since;
pub use switches::{Switch, SwitchError, SwitchPositions, Switches};

use control::{Effect, FollowUp, Record};
use outlook::Estimator;

use crate::notify::{Event, Lasting, News, Notifier};
use crate::quota::SharedSlots;

/// Records of earlier runs from which the outlook of a job is computed anew; older points of the time line lack it.
const ESTIMATED_RECORDS: usize = 120;
/// Newest decisions in a [`JobView`].
const RECENT_DECISIONS: usize = 5;
/// A current snapshot is made with every sample for so long after somebody has looked.
const LOOKED_AT_FOR: Duration = Duration::from_secs(30);

/// All jobs of this rescaler, in the order in which watching them began: that of the configuration, where it names them.
#[derive(Debug, Default)]
pub struct Status {
    jobs: RwLock<Vec<Arc<JobStatus>>>,
    shared: Shared,
}

/// What all jobs of this rescaler have in common.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shared {
    /// Where events are sent.
    pub(crate) notifier: Notifier,
    /// The slots that they share, if they do.
    pub(crate) slots: Option<Arc<SharedSlots>>,
}

impl Status {
    /// The status of these jobs.
    pub fn new(jobs: Vec<Arc<JobStatus>>) -> Self {
        Self { jobs: RwLock::new(jobs), shared: Shared::default() }
    }

    /// The status of these jobs, which have this in common.
    pub(crate) fn of(jobs: Vec<Arc<JobStatus>>, shared: Shared) -> Self {
        Self { jobs: RwLock::new(jobs), shared }
    }

    /// What the jobs have in common.
    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// All jobs.
    pub fn jobs(&self) -> Vec<Arc<JobStatus>> {
        self.jobs.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The job of that name.
    pub fn job(&self, name: &str) -> Option<Arc<JobStatus>> {
        let jobs = self.jobs.read().unwrap_or_else(PoisonError::into_inner);
        jobs.iter().find(|job| job.about.job == name).cloned()
    }

    /// A further job is watched.
    pub(crate) fn add(&self, job: Arc<JobStatus>) {
        self.jobs.write().unwrap_or_else(PoisonError::into_inner).push(job);
    }

    /// The job of that name is watched no longer.
    pub(crate) fn remove(&self, name: &str) {
        self.jobs.write().unwrap_or_else(PoisonError::into_inner).retain(|job| job.about.job != name);
    }
}

/// What does not change about a job while the rescaler runs.
#[derive(Debug, Clone)]
pub struct About {
    /// Its name.
    pub job: String,
    /// Flink's address, without any password.
    pub flink_url: String,
    /// The policy.
    pub policy: String,
    /// The latency that the policy keeps, if it keeps one, in milliseconds.
    pub latency_max_ms: Option<f64>,
    /// The time between two decisions.
    pub epoch_length: Duration,
    /// The time between two samples.
    pub sample_interval: Duration,
    /// When watching began.
    pub started_at: Timestamp,
}

/// How much is kept per job.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    /// Points of the time line.
    pub points: usize,
    /// Decisions.
    pub decisions: usize,
}

/// One job, as its cycle tells of it.
#[derive(Debug)]
pub struct JobStatus {
    /// What does not change.
    pub about: About,
    /// Pause and dry run.
    pub switches: Switches,
    kept: Retention,
    notifier: Notifier,
    /// Where it is kept what was reported and lasts.
    notified: Option<PathBuf>,
    seen: Mutex<JobData>,
    estimator: Mutex<Estimator>,
}

#[derive(Debug, Clone, Default)]
struct JobData {
    recorded_slots: Option<u32>,
    news: News,
    /// What lasts, as it was written last.
    lasting: Lasting,
    looked_at: Option<Timestamp>,
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

/// What is known of a job at one moment.
#[derive(Debug, Clone)]
pub struct JobView {
    /// When the newest sample was taken.
    pub sampled_at: Option<Timestamp>,
    /// Samples taken since the start.
    pub samples: u64,
    /// Attempts to take one that failed.
    pub failed_samples: u64,
    /// Why there are no figures, if there are none.
    pub problem: Option<String>,
    /// The newest snapshot, with the time it was made.
    pub snapshot: Option<(Timestamp, Arc<Snapshot>)>,
    /// Epochs ended since the start.
    pub epochs: u64,
    /// When the last one ended.
    pub epoch_ended_at: Option<Timestamp>,
    /// What became of the decisions since the start.
    pub outcomes: BTreeMap<DecisionOutcome, u64>,
    /// Why the job is not being watched, if it is not.
    pub failure: Option<String>,
    /// What a person must look at, if anything.
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
    /// Wanted and present capacity, or why they are not known.
    pub outlook: Result<Outlook, String>,
}

/// The slots that a job needs as it ran, or with the plan that was published.
fn slots_of(record: &Record) -> Option<u32> {
    let held = scaling::limits::slots_needed(record.snapshot.as_ref()?, &BTreeMap::new());
    let is_published = matches!(record.effect, Effect::Publishing { .. } | Effect::Published { .. });
    let planned = record.decision.cluster.slots_needed.filter(|_| is_published);
    Some(held.max(planned.unwrap_or_default()))
}

impl JobStatus {
    /// A job of which nothing is known yet.
    pub fn new(about: About, switches: Switches, kept: Retention) -> Self {
        let estimator = Mutex::new(Estimator::new(about.latency_max_ms));
        let (notifier, seen) = (Notifier::default(), Mutex::default());
        Self { about, switches, kept, notifier, notified: None, seen, estimator }
    }

    /// The same, whose events are sent. What was sent and lasts is read from this file and kept in it.
    pub(crate) fn notifying(self, notifier: Notifier, file: PathBuf) -> Self {
        if !notifier.has_receivers() {
            return self;
        }
        let mut seen = self.lock();
        seen.lasting = Lasting::load(&file);
        seen.news = News::resumed(seen.lasting.clone(), Timestamp::now());
        drop(seen);
        Self { notifier, notified: Some(file), ..self }
    }

    /// Fills time line and decisions from records of earlier runs, oldest first.
    pub fn remember<'a>(&self, records: impl IntoIterator<Item = &'a Record>) {
        let records: Vec<&Record> = records.into_iter().collect();
        self.lock().recorded_slots = records.iter().rev().find_map(|record| slots_of(record));
        let estimated_from = records.len().saturating_sub(ESTIMATED_RECORDS);
        for (index, record) in records.into_iter().enumerate() {
            let has_figures = !record.decision.figures.is_empty();
            let outlook = (index >= estimated_from || has_figures).then(|| self.estimate(record));
            self.keep(&mut self.lock(), record, outlook);
        }
    }

    /// The slots of the job in the newest record of earlier runs, or of the plan that it published.
    pub(crate) fn recorded_slots(&self) -> Option<u32> {
        self.lock().recorded_slots
    }

    /// A sample was taken, or could not be.
    pub fn sampled(&self, result: Result<(), String>, now: Timestamp) {
        let mut seen = self.lock();
        match result {
            Ok(()) => {
                seen.samples += 1;
                seen.sampled_at = Some(now);
                seen.sample_problem = None;
            }
            Err(problem) => {
                seen.failed_samples += 1;
                seen.sample_problem = Some(problem);
            }
        }
    }

    /// Whether a client has asked lately, so that current snapshots are needed.
    pub fn is_looked_at(&self, now: Timestamp) -> bool {
        self.lock().looked_at.is_some_and(|at| now.duration_since(at).unsigned_abs() < LOOKED_AT_FOR)
    }

    /// What can be seen right now, or why nothing can.
    pub fn current(&self, snapshot: Result<Snapshot, String>, now: Timestamp) {
        let mut seen = self.lock();
        match snapshot {
            Ok(snapshot) => {
                seen.snapshot = Some((now, Arc::new(snapshot)));
                seen.problem = None;
            }
            Err(problem) => seen.problem = Some(problem),
        }
    }

    /// An epoch ended with this record. A record of the same epoch as the one before takes its place.
    pub fn decided(&self, record: &Record) {
        let outlook = self.estimate(record);
        let mut seen = self.lock();
        if let Some(snapshot) = &record.snapshot {
            seen.snapshot = Some((record.at, Arc::new(snapshot.clone())));
            seen.problem = None;
        } else if let Some(reason) = record.decision.reasons.first() {
            seen.problem = Some(reason.clone());
        }
        let outcome = DecisionOutcome::of(&record.effect);
        if outcome != DecisionOutcome::Publishing {
            seen.epochs += 1;
            seen.epoch_ended_at = Some(record.at);
            *seen.outcomes.entry(outcome).or_default() += 1;
        }
        self.keep(&mut seen, record, Some(outlook));
        let events = seen.news.decided(&DecisionView::of(record));
        drop(seen);
        self.notify(events);
    }

    /// It has turned out what became of an earlier decision.
    pub fn followed_up(&self, follow_up: &FollowUp) {
        let mut seen = self.lock();
        if let Some(effect) = &follow_up.then {
            seen.epochs += 1;
            seen.epoch_ended_at = Some(follow_up.at);
            *seen.outcomes.entry(DecisionOutcome::of(effect)).or_default() += 1;
        }
        let of_epoch = follow_up.of_epoch;
        let mut events = Vec::new();
        if let Some(told) = seen.decisions.iter_mut().rev().find(|told| told.epoch == of_epoch) {
            Arc::make_mut(told).follow(follow_up);
            let told = Arc::clone(told);
            events.extend(follow_up.then.as_ref().and_then(|_| seen.news.planned(&told)));
        }
        if let Some(outcome) = &follow_up.outcome {
            events.extend(seen.news.ended(outcome, follow_up.at));
        }
        let point = seen.points.iter_mut().rev().find(|point| point.epoch == of_epoch);
        if let (Some(point), Some(effect)) = (point, &follow_up.then) {
            Arc::make_mut(point).became(DecisionOutcome::of(effect));
        }
        drop(seen);
        self.notify(events);
    }

    /// The job is being watched, again after a failure.
    pub fn watched(&self) {
        let mut seen = self.lock();
        seen.failure = None;
        let event = seen.news.watching(None, Timestamp::now());
        drop(seen);
        self.notify(event);
    }

    /// The job is not being watched any more, or not yet.
    pub fn failed(&self, reason: String) {
        let mut seen = self.lock();
        let event = seen.news.watching(Some(&reason), Timestamp::now());
        seen.failure = Some(reason);
        drop(seen);
        self.notify(event);
    }

    /// What a person must look at now, or nothing. Returns whether there was nothing before and is now, or the other way round.
    pub fn alarm(&self, sentence: Option<String>) -> bool {
        let mut seen = self.lock();
        let is_news = seen.alarm.is_some() != sentence.is_some();
        let event = seen.news.needs_a_person(sentence.as_deref(), Timestamp::now());
        seen.alarm = sentence;
        drop(seen);
        self.notify(event);
        is_news
    }

    /// Whether the job runs otherwise than its document says. Returns whether that is news.
    pub fn drift(&self, is_drifted: bool) -> bool {
        std::mem::replace(&mut self.lock().is_drifted, is_drifted) != is_drifted
    }

    /// Plans cannot be carried out, for this reason; [`None`]: they can.
    pub fn set_obstacle(&self, obstacle: Option<String>) {
        self.lock().obstacle = obstacle;
    }

    /// What is known now. Counts as a look if `is_look`, see [`JobStatus::is_looked_at`].
    pub fn view(&self, now: Timestamp, is_look: bool) -> JobView {
        let mut seen = self.lock();
        if is_look {
            seen.looked_at = Some(now);
        }
        // A sample that fails between others is no lack of data.
        let is_short = seen.snapshot.is_some() && attention::is_fresh(&self.about, seen.sampled_at, now);
        let sample_problem = seen.sample_problem.clone().filter(|_| !is_short);
        JobView {
            sampled_at: seen.sampled_at,
            samples: seen.samples,
            failed_samples: seen.failed_samples,
            problem: sample_problem.or_else(|| seen.problem.clone()),
            snapshot: seen.snapshot.clone(),
            epochs: seen.epochs,
            epoch_ended_at: seen.epoch_ended_at,
            outcomes: seen.outcomes.clone(),
            failure: seen.failure.clone(),
            alarm: seen.alarm.clone(),
            is_drifted: seen.is_drifted,
            obstacle: seen.obstacle.clone(),
            newest: seen.decisions.back().cloned(),
            recent: seen.decisions.iter().rev().take(RECENT_DECISIONS).cloned().collect(),
            last_plan: seen.decisions.iter().rev().find(|told| told.is_plan()).cloned(),
            outlook: seen.outlook.clone().unwrap_or_else(|| Err("no epoch has ended yet".to_owned())),
        }
    }

    /// The newest points of the time line, oldest first.
    pub fn points(&self, limit: usize) -> Vec<Arc<Point>> {
        let seen = self.lock();
        let skipped = seen.points.len().saturating_sub(limit);
        seen.points.iter().skip(skipped).cloned().collect()
    }

    /// The newest decisions, newest first.
    pub fn decisions(&self, limit: usize) -> Vec<Arc<DecisionView>> {
        self.lock().decisions.iter().rev().take(limit).cloned().collect()
    }

    /// Returns the newest plan that the time line has.
    pub fn last_change(&self) -> Option<Mark> {
        self.lock().points.iter().rev().find_map(|point| point.mark.clone())
    }

    /// Returns what happened after a moment, as far as the time line goes back.
    pub fn since(&self, since_ms: i64) -> Since {
        let seen = self.lock();
        Since::of(seen.points.iter().map(|point| &**point), since_ms, self.about.latency_max_ms)
    }

    fn estimate(&self, record: &Record) -> Result<Outlook, String> {
        self.estimator.lock().unwrap_or_else(PoisonError::into_inner).estimate(record)
    }

    fn keep(&self, seen: &mut JobData, record: &Record, outlook: Option<Result<Outlook, String>>) {
        let told = Arc::new(DecisionView::of(record));
        let known = outlook.as_ref().and_then(|outlook| outlook.as_ref().ok().copied());
        seen.outlook = outlook;
        push(&mut seen.points, Arc::new(Point::of(record, known)), self.kept.points, |point| point.epoch);
        push(&mut seen.decisions, told, self.kept.decisions, |told| told.epoch);
    }

    fn notify(&self, events: impl IntoIterator<Item = Event>) {
        let is_dry_run = self.switches.now().dry_run;
        let mut is_sent = false;
        for event in events {
            self.notifier.tell(&self.about.job, &self.about.flink_url, &event, is_dry_run);
            is_sent = !is_dry_run;
        }
        if is_sent {
            self.keep_lasting();
        }
    }

    /// Writes what was reported and lasts, if it has changed.
    fn keep_lasting(&self) {
        let Some(path) = &self.notified else { return };
        let mut seen = self.lock();
        let lasting = seen.news.lasting();
        let is_kept = std::mem::replace(&mut seen.lasting, lasting.clone()) == lasting;
        drop(seen);
        if is_kept {
            return;
        }
        if let Err(error) = lasting.save(path) {
            let job = &self.about.job;
            let reason = anyhow::Error::from(error);
            warn!(job, "what was notified will be notified again after a restart: {reason:#}");
        }
    }

    fn lock(&self) -> MutexGuard<'_, JobData> {
        // A reader that panicked has changed nothing half-way.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Adds to a bounded ring; an entry of the same epoch as the last one takes its place.
fn push<T>(ring: &mut VecDeque<T>, entry: T, most: usize, epoch: impl Fn(&T) -> u64) {
    if ring.back().is_some_and(|last| epoch(last) == epoch(&entry)) {
        ring.pop_back();
    }
    while ring.len() >= most.max(1) {
        ring.pop_front();
    }
    ring.push_back(entry);
}
