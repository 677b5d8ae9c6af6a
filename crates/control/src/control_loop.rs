//! The loop itself: one decision an epoch, what is written down before and after it is published, and what is remembered.
//!
//! The order of effects is the caller's duty and is what survives a crash: append the record of [`Step::Publish`], put the document,
//! then append what [`ControlLoop::put_ended`] returns. A loop that was killed in between finds in the record that a document was
//! about to be published, and learns from the drop whether it was ([`ControlLoop::confirm`]).

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use job_config::{EntityTag, JobDocument, Report};
use scaling::{Action, ChangeEnd, Constraints, Decision, Memory, Moment, Policy, Snapshot};

use crate::outcome::{Outcome, outcome};
use crate::record::{Effect, FollowUp, Record};
use crate::status::RunningDocument;
use crate::successor::successor;

/// What does not change while the loop runs.
#[derive(Debug, Clone)]
pub struct LoopOptions {
    /// The job's name in records.
    pub job: String,
    /// What bounds every plan.
    pub constraints: Constraints,
    /// How long a published document may be begun.
    pub document_ttl: Duration,
    /// A change that has not ended after so long is told to a person, and what Flink shows takes the place of its reports.
    pub applied_within: Duration,
    /// In which excluded periods are written.
    pub time_zone: TimeZone,
}

/// How operators are named in the document where they have no uid of their own: by operator name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OperatorNames(BTreeMap<String, String>);

impl OperatorNames {
    /// These names in documents, by operator name.
    pub fn new(names: BTreeMap<String, String>) -> Self {
        Self(names)
    }

    /// Returns whether both name the same operators, wherever these are in their documents.
    pub fn has_same_operators(&self, other: &Self) -> bool {
        self.0.keys().eq(other.0.keys())
    }

    /// Returns the same decision with the width of every operator that it leaves alone and that runs wider than its entry in the document
    /// says: after a change that was carried out in part, or a rescale by hand, the entry would narrow it without a plan.
    fn with_what_runs(
        &self,
        decision: &Decision,
        running: &RunningDocument,
        snapshot: &Snapshot,
    ) -> Decision {
        let mut decision = decision.clone();
        let entries = &running.document().parallelism().operators;
        for operator in &snapshot.operators {
            let entry = entries.get(self.0.get(&operator.name).unwrap_or(&operator.name));
            if entry.is_some_and(|entry| *entry < operator.parallelism) {
                decision.parallelism.entry(operator.name.clone()).or_insert(operator.parallelism);
            }
        }
        decision
    }

    /// Returns the same decision in the document's names. Where operators are named by their vertices, none follows a default.
    pub fn in_document(&self, decision: &Decision) -> Decision {
        let mut decision = decision.clone();
        if !self.0.is_empty() {
            decision.default_parallelism = None;
            let named = decision.parallelism.iter();
            decision.parallelism =
                named.map(|(name, p)| (self.0.get(name).unwrap_or(name).clone(), *p)).collect();
        }
        decision
    }
}

/// What an operator of the rescaler may switch while it runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Switches {
    /// Decide nothing.
    pub paused: bool,
    /// Decide and record, but publish nothing.
    pub dry_run: bool,
}

/// Whether there is something to decide on.
#[derive(Debug, Clone, PartialEq)]
pub enum Deciding {
    /// Not yet, for this reason; what was seen is recorded all the same.
    NotYet {
        /// Why.
        reason: String,
        /// What was seen, if anything.
        snapshot: Option<Snapshot>,
    },
    /// The document that runs and what was seen of the job.
    Ready {
        /// The document to succeed.
        running: RunningDocument,
        /// The epoch's snapshot.
        snapshot: Snapshot,
    },
}

/// What the caller does next.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Append the record; the epoch is over.
    Record(Record),
    /// Append the record, then put the document in the place of the one with this tag, then report how that ended.
    Publish {
        /// To be appended first.
        record: Record,
        /// To be published.
        document: JobDocument,
        /// The tag of the document that it replaces.
        replaces: EntityTag,
    },
}

/// How putting a document ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PutEnd {
    /// The drop has it.
    Stored,
    /// The drop does not have it, for this reason.
    Refused(String),
    /// The answer is missing, so the drop may have it or not; the reason is for people.
    Unknown(String),
}

/// A published plan whose outcome is not known.
#[derive(Debug, Clone, PartialEq)]
pub struct Pending {
    /// The epoch of the decision.
    pub epoch: u64,
    /// The generation of the document.
    pub generation: u64,
    /// Whether the drop has the document; while that is not known, what was decided.
    pub unconfirmed: Option<Unconfirmed>,
}

/// A plan that was about to be published.
#[derive(Debug, Clone, PartialEq)]
pub struct Unconfirmed {
    /// What was decided.
    pub decision: Decision,
    /// When, in milliseconds since the Unix epoch.
    pub at: Timestamp,
    /// The tag of the document, where this process made it.
    pub entity_tag: Option<EntityTag>,
}

/// What an earlier run left to the next.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Resumed {
    /// The newest epoch; 0 if there was none.
    pub epoch: u64,
    /// What the policies remember.
    pub memory: Memory,
    /// The newest plan whose outcome is not known.
    pub pending: Option<Pending>,
    /// Whether the memory has a plan in it that was not carried out: of a dry run.
    pub imagined: bool,
}

/// The control loop of one job.
#[derive(Debug)]
pub struct ControlLoop {
    options: LoopOptions,
    names: OperatorNames,
    epoch: u64,
    memory: Memory,
    pending: Option<Pending>,
    imagined: bool,
}

impl ControlLoop {
    /// A loop that goes on from what an earlier run left.
    pub fn new(options: LoopOptions, names: OperatorNames, resumed: Resumed) -> Self {
        let Resumed { epoch, memory, pending, imagined } = resumed;
        Self { options, names, epoch, memory, pending, imagined }
    }

    /// Returns the newest epoch, counted from 1.
    pub fn epoch_number(&self) -> u64 {
        self.epoch
    }

    /// Returns the published plan whose outcome is not known.
    pub fn pending(&self) -> Option<&Pending> {
        self.pending.as_ref()
    }

    /// Returns what the policies remember.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Renames the operators in documents from the next epoch on.
    pub fn rename(&mut self, names: OperatorNames) {
        self.names = names;
    }

    /// Learns from the newest document at the drop whether a document that was about to be published was.
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
            // A later generation succeeds ours, or another publisher's: the first is the safe assumption.
            Some(tag) => tag == entity_tag || generation > pending.generation,
            None => generation >= pending.generation,
        };
        let end =
            if is_ours { PutEnd::Stored } else { PutEnd::Refused("it did not reach the drop".to_owned()) };
        self.put_ended(policy, end, now)
    }

    /// Remembers how the newest published change ended, once its final report is among these.
    pub fn note_reports(
        &mut self,
        policy: &dyn Policy,
        reports: &[Report],
        now: Timestamp,
    ) -> Option<FollowUp> {
        let pending = self.pending.as_ref().filter(|pending| pending.unconfirmed.is_none())?;
        let outcome: Outcome = outcome(reports, pending.generation)?;
        let of_epoch = pending.epoch;
        self.pending = None;
        let change = if outcome.succeeded() { ChangeEnd::Succeeded } else { ChangeEnd::Failed };
        let before = self.memory.clone();
        self.memory.change_ended(policy, change, self.moment(now));
        let state = (self.memory != before).then(|| self.memory.clone());
        Some(FollowUp { of_epoch, at: now, then: None, state, outcome: Some(outcome) })
    }

    /// Remembers that the newest published change has ended by what Flink shows, though no report says so.
    pub(crate) fn presumed_ended(
        &mut self,
        policy: &dyn Policy,
        change: ChangeEnd,
        now: Timestamp,
    ) -> Option<FollowUp> {
        let pending = self.pending.take_if(|pending| pending.unconfirmed.is_none())?;
        let before = self.memory.clone();
        self.memory.change_ended(policy, change, self.moment(now));
        let state = (self.memory != before).then(|| self.memory.clone());
        Some(FollowUp { of_epoch: pending.epoch, at: now, then: None, state, outcome: None })
    }

    /// Returns the widths of the job's operators, in the documents' names.
    pub(crate) fn widths(&self, snapshot: &Snapshot) -> BTreeMap<String, u32> {
        let named = |name: &String| self.names.0.get(name).unwrap_or(name).clone();
        snapshot.operators.iter().map(|operator| (named(&operator.name), operator.parallelism)).collect()
    }

    /// Returns which operators do not run as the document says, if any.
    pub(crate) fn drift(&self, running: &RunningDocument, snapshot: &Snapshot) -> Option<String> {
        let entries = &running.document().parallelism().operators;
        let seen = self.widths(snapshot);
        let differ = entries.iter().filter_map(|(uid, p)| Some((uid, p, *seen.get(uid)?)));
        let differ: Vec<String> = differ
            .filter(|(_, p, seen)| *p != seen)
            .map(|(uid, p, seen)| format!("{uid} is {seen} wide, not {p}"))
            .collect();
        (!differ.is_empty())
            .then(|| format!("the job does not run as its document says: {}", differ.join(", ")))
    }

    pub(crate) fn applied_within(&self) -> Duration {
        self.options.applied_within
    }

    /// Decides one epoch that ends now.
    pub fn epoch(
        &mut self,
        policy: &dyn Policy,
        deciding: Deciding,
        switches: Switches,
        now: Timestamp,
    ) -> Step {
        self.epoch += 1;
        if switches.paused {
            let reason = "paused: nothing is decided until it is resumed";
            let snapshot = match deciding {
                Deciding::NotYet { snapshot, .. } => snapshot,
                Deciding::Ready { snapshot, .. } => Some(snapshot),
            };
            return self.record(Effect::Nothing, Decision::nothing(policy.name(), reason), snapshot, now);
        }
        if self.imagined && !switches.dry_run {
            // It would wait for the end of a change that never began.
            (self.memory, self.imagined) = (Memory::default(), false);
        }
        let (running, snapshot) = match deciding {
            Deciding::NotYet { reason, snapshot } => {
                let decision = Decision::nothing(policy.name(), reason);
                return self.record(Effect::Nothing, decision, snapshot, now);
            }
            Deciding::Ready { running, snapshot } => (running, snapshot),
        };
        let moment = self.moment(now);
        let decision =
            scaling::decide(policy, &self.options.constraints, &mut self.memory, &snapshot, moment);
        match decision.action {
            Action::None => self.record(Effect::Nothing, decision, Some(snapshot), now),
            Action::Rescale if switches.dry_run => {
                // The plan counts as published, so that a dry run shows the same waits.
                self.memory.published(policy, &decision, moment);
                self.imagined = true;
                self.record(Effect::DryRun, decision, Some(snapshot), now)
            }
            Action::Rescale => self.publish(&running, decision, snapshot, now),
        }
    }

    /// Remembers how putting the document of the newest [`Step::Publish`] ended. Returns nothing while that is unknown.
    pub fn put_ended(&mut self, policy: &dyn Policy, end: PutEnd, now: Timestamp) -> Option<FollowUp> {
        let pending = self.pending.as_mut()?;
        let (of_epoch, generation) = (pending.epoch, pending.generation);
        let then = match end {
            PutEnd::Unknown(_) => return None,
            PutEnd::Stored => Effect::Published { generation },
            PutEnd::Refused(message) => Effect::NotPublished { message },
        };
        let unconfirmed = pending.unconfirmed.take()?;
        let mut state = None;
        if matches!(then, Effect::Published { .. }) {
            self.memory.published(policy, &unconfirmed.decision, self.moment(unconfirmed.at));
            state = Some(self.memory.clone());
        } else {
            self.pending = None;
        }
        Some(FollowUp { of_epoch, at: now, then: Some(then), state, outcome: None })
    }

    fn publish(
        &mut self,
        running: &RunningDocument,
        decision: Decision,
        snapshot: Snapshot,
        now: Timestamp,
    ) -> Step {
        let plan = self.names.in_document(&self.names.with_what_runs(&decision, running, &snapshot));
        let document = match successor(running.document(), &plan, now, self.options.document_ttl) {
            Ok(document) => document,
            Err(error) => {
                let message = format!("the plan makes no valid document: {}", chain(&error));
                return self.record(Effect::NotPublished { message }, decision, Some(snapshot), now);
            }
        };
        let generation = document.generation();
        let entity_tag = Some(document.entity_tag());
        let unconfirmed = Some(Unconfirmed { decision: decision.clone(), at: now, entity_tag });
        self.pending = Some(Pending { epoch: self.epoch, generation, unconfirmed });
        let record = self.record_of(Effect::Publishing { generation }, decision, Some(snapshot), now);
        Step::Publish { record, document, replaces: running.replaces().clone() }
    }

    fn record(&self, effect: Effect, decision: Decision, snapshot: Option<Snapshot>, now: Timestamp) -> Step {
        Step::Record(self.record_of(effect, decision, snapshot, now))
    }

    fn record_of(
        &self,
        effect: Effect,
        decision: Decision,
        snapshot: Option<Snapshot>,
        at: Timestamp,
    ) -> Record {
        let (job, state) = (self.options.job.clone(), self.memory.clone());
        Record {
            epoch: self.epoch,
            at,
            job,
            effect,
            decision,
            snapshot,
            state,
            imagined: self.imagined,
            outcome: None,
        }
    }

    fn moment(&self, at: Timestamp) -> Moment {
        let utc_offset_s = self.options.time_zone.to_offset(at).seconds();
        Moment { at_ms: at.as_millisecond(), utc_offset_s }
    }
}

/// The error and its sources in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let sources = std::iter::successors(error.source(), |source| source.source());
    sources.fold(error.to_string(), |text, source| format!("{text}: {source}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::{DocumentStatus, status};
    use scaling::{Kind, Operator};

    /// Goal: a job that somebody has rescaled by hand is told with the widths that differ, by the names of the document.
    #[test]
    fn a_job_that_was_changed_by_hand_is_told() {
        let text = "format = 1\njob = \"j\"\ngeneration = 1\nissued_at = \"2026-01-01T00:00:00Z\"\nrestart_mode = \"in-place\"\n\
                    [parallelism]\ndefault = 1\nmax = 128\n[parallelism.operators]\nid-of-map = 7\ninner = 3\n";
        let document = JobDocument::parse(text).unwrap();
        let current = crate::Current { entity_tag: document.entity_tag(), document };
        let DocumentStatus::Runs(running) = status(current, None, Timestamp::UNIX_EPOCH) else {
            panic!("it has no expiry, and so it runs");
        };
        let names = OperatorNames::new(BTreeMap::from([("map".to_owned(), "id-of-map".to_owned())]));
        let options = LoopOptions {
            job: "j".to_owned(),
            constraints: Constraints::default(),
            document_ttl: Duration::from_secs(60),
            applied_within: Duration::from_secs(60),
            time_zone: TimeZone::UTC,
        };
        let control = ControlLoop::new(options, names, Resumed::default());
        let drift = |width| {
            let map = Operator { name: "map".to_owned(), parallelism: width, ..Operator::default() };
            control.drift(&running, &Snapshot { operators: vec![map], ..Snapshot::default() })
        };
        assert_eq!(drift(7), None);
        assert!(drift(9).unwrap().ends_with("id-of-map is 9 wide, not 7"));
    }

    /// Goal: an operator that runs wider than the document says keeps its width unless the plan has another one for it, and one that runs
    /// narrower, because slots are missing, keeps what was asked for.
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
