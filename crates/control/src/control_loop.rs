//! The control loop's state machine: one decision per epoch, the records before and after its publication, and the
//! policies' memory.
//!
//! The caller must keep the order of effects, which makes a crash recoverable: append the record of
//! [`NextAction::Publish`], put the document, then append what [`ControlLoop::put_ended`] returns. After a kill in between,
//! the record says that a publication was pending, and the drop says whether it happened ([`ControlLoop::confirm`]).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use job_config::{EntityTag, JobDocument, Report};
use scaling::{Action, ChangeEnd, Constraints, Decision, LocalTime, Memory, Policy, Snapshot};

use crate::drift::{Edit, RESTORE, Restoration, RestoreLimits};
use crate::operator_names::OperatorNames;
use crate::outcome::{ChangeOutcome, outcome};
use crate::record::{Effect, FollowUp, Record};
use crate::status::RunningDocument;
use crate::successor::successor;

/// Constant options of the loop.
#[derive(Debug, Clone)]
pub struct LoopOptions {
    /// The job's name in records.
    pub job: String,
    /// Limits of every plan.
    pub constraints: Constraints,
    /// How long after publication an agent may start a document.
    pub document_ttl: Duration,
    /// Timeout of a change: after it an alarm is raised, and Flink's observed state replaces the reports.
    pub applied_within: Duration,
    /// Time zone of excluded periods.
    pub time_zone: TimeZone,
    /// How often a job that was rescaled by hand is put back; [`None`]: never, it is only reported.
    pub restore: Option<RestoreLimits>,
}

/// Run-time switches of the loop.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Switches {
    /// Makes no decisions.
    pub paused: bool,
    /// Decides and records, but publishes nothing.
    pub dry_run: bool,
}

/// Whether a decision is possible.
#[derive(Debug, Clone, PartialEq)]
pub enum Readiness {
    /// Not yet, for this reason; the snapshot is recorded anyway.
    NotYet {
        /// Reason.
        reason: String,
        /// The snapshot, if there is one.
        snapshot: Option<Snapshot>,
    },
    /// The running document and the job's snapshot.
    Ready {
        /// The document to replace.
        running: RunningDocument,
        /// The epoch's snapshot.
        snapshot: Snapshot,
    },
    /// The same of a job that was rescaled by hand and is to be put back.
    Edited {
        /// The document to restore.
        running: RunningDocument,
        /// The epoch's snapshot.
        snapshot: Snapshot,
        /// What was changed.
        edit: Edit,
    },
}

impl Readiness {
    pub(crate) fn of(
        running: Result<RunningDocument, String>,
        snapshot: Result<Snapshot, String>,
        edit: Option<Edit>,
    ) -> Self {
        match (running, snapshot, edit) {
            (Ok(running), Ok(snapshot), None) => Self::Ready { running, snapshot },
            (Ok(running), Ok(snapshot), Some(edit)) => Self::Edited { running, snapshot, edit },
            (Err(reason), snapshot, _) => Self::NotYet { reason, snapshot: snapshot.ok() },
            (Ok(_), Err(reason), _) => Self::NotYet { reason, snapshot: None },
        }
    }

    /// Returns the running document and the snapshot, if both are known.
    pub(crate) fn known(&self) -> Option<(&RunningDocument, &Snapshot)> {
        match self {
            Self::NotYet { .. } => None,
            Self::Ready { running, snapshot } | Self::Edited { running, snapshot, .. } => {
                Some((running, snapshot))
            }
        }
    }
}

/// The caller's next action.
#[derive(Debug, Clone, PartialEq)]
pub enum NextAction {
    /// Append the record; the epoch is over.
    Record(Record),
    /// Append the record, replace the document with this entity tag, then report the result.
    Publish {
        /// The record to append first.
        record: Record,
        /// The document to publish.
        document: JobDocument,
        /// Entity tag of the document to replace.
        replaces: EntityTag,
    },
}

/// Result of putting a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PutOutcome {
    /// The drop stored it.
    Stored,
    /// The drop did not store it, for this reason.
    Refused(String),
    /// The response is missing, so the drop may have stored it; the reason is for people.
    Unknown(String),
}

/// A published plan whose outcome is unknown.
#[derive(Debug, Clone, PartialEq)]
pub struct Pending {
    /// Epoch of the decision.
    pub epoch: u64,
    /// Generation of the document.
    pub generation: u64,
    /// The decision, as long as it is unknown whether the drop stored the document.
    pub unconfirmed: Option<Unconfirmed>,
    /// Whether it puts the job back after a change by hand; the policies do not remember that.
    pub is_restore: bool,
}

/// A plan whose publication is unconfirmed.
#[derive(Debug, Clone, PartialEq)]
pub struct Unconfirmed {
    /// The decision.
    pub decision: Decision,
    /// Time of the decision.
    pub at: Timestamp,
    /// Entity tag of the document, if this process made it.
    pub entity_tag: Option<EntityTag>,
}

/// State that an earlier run left in the journal.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ResumedState {
    /// The newest epoch; 0 if there is none.
    pub epoch: u64,
    /// The policies' memory.
    pub memory: Arc<Memory>,
    /// The newest plan whose outcome is unknown.
    pub pending: Option<Pending>,
    /// Whether the memory contains a plan that was not applied because of a dry run.
    pub imagined: bool,
    /// The highest generation that was published; 0 if there is none.
    pub generation: u64,
    /// When the job was put back after changes by hand.
    pub restored: Vec<Timestamp>,
}

/// The control loop of one job.
#[derive(Debug)]
pub struct ControlLoop {
    pub(crate) options: LoopOptions,
    pub(crate) names: OperatorNames,
    epoch: u64,
    /// Shared with the newest record, so that an epoch copies it only while that record exists.
    memory: Arc<Memory>,
    pending: Option<Pending>,
    imagined: bool,
    pub(crate) restoration: Restoration,
}

impl ControlLoop {
    /// Creates a loop that resumes from an earlier run's state.
    pub fn new(options: LoopOptions, names: OperatorNames, resumed: ResumedState) -> Self {
        let ResumedState { epoch, memory, pending, imagined, generation: _, restored } = resumed;
        let restoration = Restoration::resumed(restored);
        Self { options, names, epoch, memory, pending, imagined, restoration }
    }

    /// Returns the newest epoch, counted from 1.
    pub fn epoch_number(&self) -> u64 {
        self.epoch
    }

    /// Returns the published plan whose outcome is unknown.
    pub fn pending(&self) -> Option<&Pending> {
        self.pending.as_ref()
    }

    /// Returns the policies' memory.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Sets the operators' names in documents, from the next epoch on.
    pub fn rename(&mut self, names: OperatorNames) {
        self.names = names;
    }

    /// Resolves an unconfirmed publication from the newest document at the drop.
    pub fn confirm(
        &mut self,
        policy: &dyn Policy,
        generation: u64,
        entity_tag: &EntityTag,
        now: Timestamp,
    ) -> Option<FollowUp> {
        let pending = self.pending.as_ref()?;
        let unconfirmed = pending.unconfirmed.as_ref()?;
        let is_ours = match &unconfirmed.entity_tag {
            // A later generation may succeed ours or another publisher's: assuming ours is safe.
            Some(tag) => tag == entity_tag || generation > pending.generation,
            None => generation >= pending.generation,
        };
        let end = match is_ours {
            true => PutOutcome::Stored,
            false => PutOutcome::Refused("it did not reach the drop".to_owned()),
        };
        self.put_ended(policy, end, now)
    }

    /// Records the outcome of the newest published change, once these reports contain its final one.
    pub fn note_reports(
        &mut self,
        policy: &dyn Policy,
        reports: &[Report],
        now: Timestamp,
    ) -> Option<FollowUp> {
        let pending = self.pending.as_ref().filter(|pending| pending.unconfirmed.is_none())?;
        let outcome: ChangeOutcome = outcome(reports, pending.generation)?;
        let (of_epoch, is_restore) = (pending.epoch, pending.is_restore);
        self.pending = None;
        let change = if outcome.succeeded() { ChangeEnd::Succeeded } else { ChangeEnd::Failed };
        let state = if is_restore { None } else { self.change_ended(policy, change, now) };
        Some(FollowUp { of_epoch, at: now, then: None, state, outcome: Some(outcome) })
    }

    /// Records the outcome of the newest published change from Flink's observed state, without a final report.
    pub(crate) fn presumed_ended(
        &mut self,
        policy: &dyn Policy,
        change: ChangeEnd,
        now: Timestamp,
    ) -> Option<FollowUp> {
        let pending = self.pending.take_if(|pending| pending.unconfirmed.is_none())?;
        let state = if pending.is_restore { None } else { self.change_ended(policy, change, now) };
        Some(FollowUp { of_epoch: pending.epoch, at: now, then: None, state, outcome: None })
    }

    /// Remembers how the newest change ended; returns the memory if that has changed it.
    fn change_ended(
        &mut self,
        policy: &dyn Policy,
        change: ChangeEnd,
        now: Timestamp,
    ) -> Option<Arc<Memory>> {
        let (before, local_time) = (Arc::clone(&self.memory), self.local_time(now));
        Arc::make_mut(&mut self.memory).change_ended(policy, change, local_time);
        (self.memory != before).then(|| Arc::clone(&self.memory))
    }

    /// Returns the parallelism of the job's operators, under the documents' names.
    pub(crate) fn widths(&self, snapshot: &Snapshot) -> BTreeMap<String, u32> {
        let named = |name: &String| self.names.in_documents(name).clone();
        snapshot.operators.iter().map(|operator| (named(&operator.name), operator.parallelism)).collect()
    }

    /// Returns the slots that the job needs as it runs or, where that is more, as its document says: Flink takes those as soon as there
    /// are any.
    pub(crate) fn slots_held(&self, running: &RunningDocument, snapshot: &Snapshot) -> u32 {
        let entries = &running.document().parallelism().operators;
        let entry = |operator: &scaling::Operator| {
            let name = self.names.in_documents(&operator.name);
            Some((operator.name.clone(), operator.parallelism.max(*entries.get(name)?)))
        };
        scaling::limits::slots_needed(snapshot, &snapshot.operators.iter().filter_map(entry).collect())
    }

    /// Sets the slots that a quota leaves the job which it shares with other jobs, for the next epochs.
    pub fn set_quota(&mut self, quota: Option<scaling::quota::Bound>) {
        self.options.constraints.quota = quota;
    }

    pub(crate) fn applied_within(&self) -> Duration {
        self.options.applied_within
    }

    /// Decides the epoch that ends now.
    pub fn epoch(
        &mut self,
        policy: &dyn Policy,
        readiness: Readiness,
        switches: Switches,
        now: Timestamp,
    ) -> NextAction {
        self.epoch += 1;
        if switches.paused {
            let reason = "paused: no decisions until resumed";
            let snapshot = match readiness {
                Readiness::NotYet { snapshot, .. } => snapshot,
                Readiness::Ready { snapshot, .. } | Readiness::Edited { snapshot, .. } => Some(snapshot),
            };
            return self.record(Effect::Nothing, Decision::nothing(policy.name(), reason), snapshot, now);
        }
        if self.imagined && !switches.dry_run {
            // It would wait for the end of a change that never started.
            (self.memory, self.imagined) = (Arc::default(), false);
        }
        let (running, snapshot) = match readiness {
            Readiness::NotYet { reason, snapshot } => {
                if let Some(snapshot) = &snapshot {
                    let local_time = self.local_time(now);
                    scaling::watch(policy, Arc::make_mut(&mut self.memory), snapshot, local_time);
                }
                let decision = Decision::nothing(policy.name(), reason);
                return self.record(Effect::Nothing, decision, snapshot, now);
            }
            Readiness::Edited { running, snapshot, edit } if !switches.dry_run => {
                return self.put_back(policy.name(), &running, edit, snapshot, now);
            }
            Readiness::Ready { running, snapshot } | Readiness::Edited { running, snapshot, .. } => {
                (running, snapshot)
            }
        };
        let local_time = self.local_time(now);
        let memory = Arc::make_mut(&mut self.memory);
        let decision = scaling::decide(policy, &self.options.constraints, memory, &snapshot, local_time);
        match decision.action {
            Action::None => self.record(Effect::Nothing, decision, Some(snapshot), now),
            Action::Rescale if switches.dry_run => {
                // Counts the plan as published, so that a dry run waits like a real one.
                Arc::make_mut(&mut self.memory).published(policy, &decision, local_time);
                self.imagined = true;
                self.record(Effect::DryRun, decision, Some(snapshot), now)
            }
            Action::Rescale => self.publish(&running, decision, snapshot, now),
        }
    }

    /// Records the result of putting the document of the newest [`NextAction::Publish`]. Returns `None` while it is
    /// unknown.
    pub fn put_ended(&mut self, policy: &dyn Policy, end: PutOutcome, now: Timestamp) -> Option<FollowUp> {
        let pending = self.pending.as_mut()?;
        let (of_epoch, generation, is_restore) = (pending.epoch, pending.generation, pending.is_restore);
        let then = match end {
            PutOutcome::Unknown(_) => return None,
            PutOutcome::Stored => Effect::Published { generation },
            PutOutcome::Refused(message) => Effect::NotPublished { message },
        };
        let unconfirmed = pending.unconfirmed.take()?;
        let mut state = None;
        if !matches!(then, Effect::Published { .. }) {
            self.pending = None;
            if is_restore {
                self.restoration.not_published();
            }
        } else if !is_restore {
            let local_time = self.local_time(unconfirmed.at);
            Arc::make_mut(&mut self.memory).published(policy, &unconfirmed.decision, local_time);
            state = Some(Arc::clone(&self.memory));
        }
        Some(FollowUp { of_epoch, at: now, then: Some(then), state, outcome: None })
    }

    fn publish(
        &mut self,
        running: &RunningDocument,
        decision: Decision,
        snapshot: Snapshot,
        now: Timestamp,
    ) -> NextAction {
        let plan = self.names.in_document(&self.names.with_what_runs(&decision, running, &snapshot));
        self.publish_plan(running, &plan, decision, snapshot, now)
    }

    /// Publishes the successor of the running document that carries out `plan`, which has the document's names.
    pub(crate) fn publish_plan(
        &mut self,
        running: &RunningDocument,
        plan: &Decision,
        decision: Decision,
        snapshot: Snapshot,
        now: Timestamp,
    ) -> NextAction {
        let document = match successor(running.document(), plan, now, self.options.document_ttl) {
            Ok(document) => document,
            Err(error) => {
                let message = format!("the plan does not give a valid document: {}", chain(&error));
                if decision.policy == RESTORE {
                    self.restoration.not_published();
                }
                return self.record(Effect::NotPublished { message }, decision, Some(snapshot), now);
            }
        };
        let generation = document.generation();
        let entity_tag = Some(document.entity_tag());
        let unconfirmed = Some(Unconfirmed { decision: decision.clone(), at: now, entity_tag });
        let is_restore = decision.policy == RESTORE;
        self.pending = Some(Pending { epoch: self.epoch, generation, unconfirmed, is_restore });
        let record = self.record_of(Effect::Publishing { generation }, decision, Some(snapshot), now);
        NextAction::Publish { record, document, replaces: running.replaces().clone() }
    }

    pub(crate) fn record(
        &self,
        effect: Effect,
        decision: Decision,
        snapshot: Option<Snapshot>,
        now: Timestamp,
    ) -> NextAction {
        NextAction::Record(self.record_of(effect, decision, snapshot, now))
    }

    fn record_of(
        &self,
        effect: Effect,
        decision: Decision,
        snapshot: Option<Snapshot>,
        at: Timestamp,
    ) -> Record {
        let (job, state) = (self.options.job.clone(), Arc::clone(&self.memory));
        Record {
            epoch: self.epoch,
            at,
            job,
            effect,
            decision,
            snapshot,
            state,
            imagined: self.imagined,
            restored: self.restoration.restored.clone(),
            outcome: None,
        }
    }

    pub(crate) fn local_time(&self, at: Timestamp) -> LocalTime {
        let utc_offset_s = self.options.time_zone.to_offset(at).seconds();
        LocalTime { at_ms: at.as_millisecond(), utc_offset_s }
    }
}

/// Formats the error and its sources in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let sources = std::iter::successors(error.source(), |source| source.source());
    sources.fold(error.to_string(), |text, source| format!("{text}: {source}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::{DocumentStatus, status};
    use scaling::{Kind, Operator};

    /// Goal: an operator that runs wider than the document says keeps its parallelism unless the plan changes it. One
    /// that runs narrower for lack of slots keeps its requirement.
    #[test]
    fn nothing_is_narrowed_by_a_document_that_lags_behind() {
        let text = "format = 1\njob = \"j\"\ngeneration = 1\nissued_at = \"2026-01-01T00:00:00Z\"\nreason = \"first\"\nrestart_mode = \"in-place\"\n\
                    [parallelism]\ndefault = 1\nmax = 128\n[parallelism.operators]\nwider = 7\nplanned = 7\nnarrower = 7\n\
                    [sink]\ntopic = \"t\"\n";
        let document = JobDocument::parse(text).unwrap();
        let current = crate::Current { entity_tag: document.entity_tag(), document };
        let DocumentStatus::Runs(running) = status(current, None, Timestamp::UNIX_EPOCH) else {
            panic!("it has no expiry, and so it runs");
        };
        let operator = |name: &str, parallelism| Operator {
            name: name.to_owned(),
            kind: Kind::Continuous,
            parallelism,
            ..Operator::default()
        };
        let operators = vec![
            operator("wider", 11),
            operator("planned", 11),
            operator("narrower", 5),
            operator("other", 9),
        ];
        let snapshot = Snapshot { operators, ..Snapshot::default() };
        let mut decision = Decision::nothing("p", "because");
        decision.parallelism.insert("planned".to_owned(), 4);
        let plan = OperatorNames::default().with_what_runs(&decision, &running, &snapshot);
        let expected = [("planned".to_owned(), 4), ("wider".to_owned(), 11)];
        assert_eq!(plan.parallelism, BTreeMap::from(expected));
    }
}
