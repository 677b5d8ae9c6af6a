//! One turn of the control loop: the order of its inputs and effects.
//!
//! Inputs and effects are behind a trait, so that the crash-safe order is the same live and in virtual time. After a
//! kill at any point of a turn, the loop resumes from the appended records ([`crate::resume`]).

use std::collections::BTreeMap;

use jiff::Timestamp;
use job_config::{EntityTag, JobDocument, Report};
use scaling::{ChangeEnd, Policy, Snapshot};

use crate::control_loop::{ControlLoop, NextAction, PutOutcome, Readiness, Switches};
use crate::overdue::{ObservedDocument, OverdueChange};
use crate::record::{FollowUp, Record};
use crate::status::{Current, DocumentStatus, RunningDocument, status};

/// The control loop's interface to the outside. Reasons are sentences for people.
pub trait Environment {
    /// A fatal error of the loop.
    type Error;

    /// Returns the wall-clock time.
    fn now(&self) -> Timestamp;

    /// Returns the current switches.
    fn switches(&self) -> Switches;

    /// Returns the policy; `ready` is the snapshot to decide on, if there is a decision.
    fn policy(&self, ready: Option<&Snapshot>) -> impl Future<Output = Box<dyn Policy>> + Send;

    /// Returns the slots that a quota leaves the job which it shares with other jobs; the job needs `held` now. The answer to what is
    /// planned then is [`Environment::append`]. [`None`]: it shares none.
    fn slots(&mut self, held: u32) -> Option<scaling::quota::Bound> {
        let _ = held;
        None
    }

    /// Returns the newest document.
    ///
    /// # Errors
    /// Why there is none.
    fn current(&mut self) -> impl Future<Output = Result<Current, String>> + Send;

    /// Returns a snapshot of the job, whose newest document is this one.
    ///
    /// # Errors
    /// Why there is none.
    fn snapshot(&mut self, document: &JobDocument) -> impl Future<Output = Result<Snapshot, String>> + Send;

    /// Returns the reports about the job; `None` where the document store takes no reports.
    ///
    /// # Errors
    /// Why they cannot be read.
    fn reports(&mut self) -> impl Future<Output = Result<Option<Vec<Report>>, String>> + Send;

    /// Returns an earlier document from the history, if it is within the retention.
    ///
    /// # Errors
    /// Why the history cannot be read.
    fn revision(
        &mut self,
        generation: u64,
    ) -> impl Future<Output = Result<Option<JobDocument>, String>> + Send;

    /// Appends a record durably.
    ///
    /// # Errors
    /// The record could not be written.
    fn append(&mut self, record: &Record) -> Result<(), Self::Error>;

    /// Appends an addition to a record durably.
    ///
    /// # Errors
    /// The addition could not be written.
    fn follow_up(&mut self, follow_up: &FollowUp) -> Result<(), Self::Error>;

    /// Reports the current alarm, on every turn while it lasts; `None` when there is none.
    fn alarm(&mut self, sentence: Option<&str>);

    /// Reports that the job's parallelism differs from its document without a change in progress, after a manual
    /// rescale or a loss of slots; `None` when it matches.
    fn drift(&mut self, sentence: Option<&str>);

    /// Returns the parallelism that Flink is asked for, by operator; `None` if that is unknown. Asked where the job
    /// differs from its document and changes by hand are put back.
    fn required(&mut self) -> impl Future<Output = Option<BTreeMap<String, u32>>> + Send {
        async { None }
    }

    /// Replaces the document with this entity tag.
    fn put(&mut self, document: &JobDocument, replaces: EntityTag)
    -> impl Future<Output = PutOutcome> + Send;
}

impl ControlLoop {
    /// Observes document, metrics and reports, decides, and applies the decision.
    ///
    /// # Errors
    /// A record could not be written; the loop must stop.
    pub async fn turn<S: Environment>(&mut self, env: &mut S) -> Result<(), S::Error> {
        let readiness = self.observe(env).await?;
        let switches = env.switches();
        let ready = match &readiness {
            Readiness::Ready { snapshot, .. } if !switches.paused => Some(snapshot),
            _ => None,
        };
        let policy = env.policy(ready).await;
        // A paused job holds its slots too.
        if let Some((running, snapshot)) = readiness.known() {
            let held = self.slots_held(running, snapshot);
            self.set_quota(env.slots(held));
        }
        match self.epoch(&*policy, readiness, switches, env.now()) {
            NextAction::Record(record) => env.append(&record),
            NextAction::Publish { record, document, replaces } => {
                env.append(&record)?;
                let end = env.put(&document, replaces).await;
                let follow_up = self.put_ended(&*policy, end, env.now());
                write(env, follow_up.as_ref())
            }
        }
    }

    /// Reads the newest document, its reports and the metrics, and records the outcome of earlier plans.
    async fn observe<S: Environment>(&mut self, env: &mut S) -> Result<Readiness, S::Error> {
        let current = match env.current().await {
            Ok(current) => current,
            Err(reason) => return Ok(Readiness::NotYet { reason, snapshot: None }),
        };
        let policy = env.policy(None).await;
        let (generation, now) = (current.document.generation(), env.now());
        let confirmed = self.confirm(&*policy, generation, &current.entity_tag, now);
        write(env, confirmed.as_ref())?;
        let snapshot = env.snapshot(&current.document).await;
        let reports = match env.reports().await {
            Ok(reports) => reports,
            Err(reason) => return Ok(Readiness::NotYet { reason, snapshot: snapshot.ok() }),
        };
        let ended = self.note_reports(&*policy, reports.as_deref().unwrap_or_default(), now);
        write(env, ended.as_ref())?;
        let running = running(env, current.clone(), reports.as_deref(), now).await;
        let is_settled = running.is_ok();
        let running = match running {
            Ok(running) => Ok(running),
            Err(NoSuccessor { reason, is_by_hand }) => {
                let within = self.applied_within();
                match OverdueChange::new(&current, reports.as_deref(), within, now).filter(|_| !is_by_hand) {
                    Some(overdue) => self.resolve_overdue(env, overdue, snapshot.as_ref().ok()).await?,
                    None => {
                        let by_hand = is_by_hand.then_some(reason.as_str());
                        env.alarm(by_hand.or(self.restoration.gave_up.as_deref()));
                        Err(reason)
                    }
                }
            }
        };
        // An expired document without a report may have been applied all the same, and is then what Flink is asked for.
        let is_reported =
            reports.as_ref().is_none_or(|all| all.iter().any(|report| report.generation == generation));
        let edit = match (&running, &snapshot) {
            (Ok(running), Ok(snapshot)) => {
                self.note_drift(env, running, snapshot, is_settled && is_reported).await
            }
            _ => None,
        };
        if is_settled {
            env.alarm(self.restoration.gave_up.as_deref());
        }
        Ok(Readiness::of(running, snapshot, edit))
    }

    /// Uses Flink's observed state when the reports of a change are overdue.
    async fn resolve_overdue<S: Environment>(
        &mut self,
        env: &mut S,
        overdue: OverdueChange,
        snapshot: Option<&Snapshot>,
    ) -> Result<Result<RunningDocument, String>, S::Error> {
        let sentence = overdue.sentence.clone();
        let widths = snapshot.map(|snapshot| self.widths(snapshot)).unwrap_or_default();
        let before = match overdue.generation_before() {
            Some(generation) => env.revision(generation).await.unwrap_or_default(),
            None => None,
        };
        let (running, end, what) = match overdue.seen(&widths, before) {
            ObservedDocument::Unknown => {
                env.alarm(Some(&sentence));
                return Ok(Err(sentence));
            }
            ObservedDocument::Newest(running) => (running, ChangeEnd::Succeeded, "it"),
            ObservedDocument::Before(running) => (running, ChangeEnd::Failed, "the previous document"),
        };
        env.alarm(Some(&format!(
            "{sentence}; according to Flink, {what} runs; scaling continues from there"
        )));
        let policy = env.policy(None).await;
        let ended = self.presumed_ended(&*policy, end, env.now());
        write(env, ended.as_ref())?;
        Ok(Ok(running))
    }
}

/// Why no successor is possible now.
struct NoSuccessor {
    reason: String,
    /// Whether only a person can resolve it.
    is_by_hand: bool,
}

/// Returns the running document, or why no successor is possible now.
async fn running<S: Environment>(
    env: &mut S,
    current: Current,
    reports: Option<&[Report]>,
    now: Timestamp,
) -> Result<RunningDocument, NoSuccessor> {
    let by_hand = |reason| NoSuccessor { reason, is_by_hand: true };
    match status(current, reports, now) {
        DocumentStatus::Runs(running) => Ok(running),
        DocumentStatus::NotYet(reason) => Err(NoSuccessor { reason, is_by_hand: false }),
        DocumentStatus::ByHand(reason) => Err(by_hand(reason)),
        DocumentStatus::Earlier(earlier) => match env.revision(earlier.generation()).await {
            Ok(document) => earlier.found(document).map_err(by_hand),
            Err(error) => {
                let reason = format!("cannot read the running document from the drop's history: {error}");
                Err(NoSuccessor { reason, is_by_hand: false })
            }
        },
    }
}

fn write<S: Environment>(env: &mut S, follow_up: Option<&FollowUp>) -> Result<(), S::Error> {
    follow_up.map_or(Ok(()), |follow_up| env.follow_up(follow_up))
}
