//! What the agent knows after a restart: the journal's entries, and what they add up to.
//!
//! Each step is written down before its effect, so the last entry says what may have been asked of Flink but cannot have
//! been asked twice. Reports are made from the entries and are kept here until the drop has confirmed them. This file does no IO;
//! see `book` for the file on the disk.

use std::collections::VecDeque;

use flink::JobId;
use jiff::Timestamp;
use job_config::{EntityTag, JobDocument, Observed, Report};
use serde::{Deserialize, Serialize};

use crate::phase::Phase;

/// Jobs that were given up are remembered, so that one that comes to life late is recognised; so many of them.
const ABANDONED_MOST: usize = 8;

/// Savepoints are remembered until they are disposed of; so many of them, in case disposal never succeeds.
const SAVEPOINTS_MOST: usize = 1_000;

/// One line of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "kebab-case")]
pub enum Entry {
    /// Everything that earlier entries added up to.
    Snapshot(Box<Ledger>),
    /// A document was accepted: from now on its generation is used up.
    Accepted {
        /// When.
        at: Timestamp,
        /// The document's exact text.
        document: String,
        /// The tag that the drop served it under.
        entity_tag: EntityTag,
    },
    /// The change of the last accepted document entered a phase.
    Entered {
        /// When.
        at: Timestamp,
        /// The phase.
        phase: Phase,
        /// With a final phase: what was seen of the job then.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        observed: Option<Observed>,
    },
    /// A savepoint that is not needed any more was disposed of, or cannot be.
    SavepointGone {
        /// Where it lay.
        path: String,
        /// Why it could not be disposed of.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        problem: Option<String>,
    },
    /// A person has looked at the failures: changes may be begun again.
    FailuresForgiven,
    /// The drop has this report, and all before it.
    Delivered {
        /// Of the report.
        generation: u64,
        /// Of the report.
        sequence: u32,
    },
}

/// The last accepted document and how far it has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The document.
    #[serde(with = "document_text")]
    pub document: JobDocument,
    /// The tag that the drop served it under.
    pub entity_tag: EntityTag,
    /// How far it has come.
    pub phase: Phase,
    /// When it entered that phase.
    pub since: Timestamp,
    /// When its document was accepted.
    #[serde(default)]
    pub accepted_at: Timestamp,
    /// How many task managers there were before nodes were started for it; [`None`]: none were started.
    #[serde(default)]
    pub nodes_before: Option<u32>,
    /// Where the state lies that the new job, or the restored one, begins from.
    pub savepoint: Option<String>,
    /// Whether anything was asked of Flink that a running job notices.
    #[serde(default)]
    disturbed: bool,
    /// The sequence number of its last report.
    sequence: u32,
}

/// What outlives a change: where the job's state is, what ran last, how often it went wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lineage {
    /// The document of the job that ran last.
    #[serde(default, with = "document_text::optional")]
    pub document: Option<JobDocument>,
    /// Changes in a row that disturbed a job and failed.
    #[serde(default)]
    pub failures: u32,
    /// When the last of them did.
    #[serde(default)]
    pub failed_at: Option<Timestamp>,
    /// The job that was stopped or submitted last.
    pub job: Option<JobId>,
    /// The savepoint of a job that was stopped, until a job that began from it runs.
    pub savepoint: Option<String>,
    /// The state that the job that runs now began from.
    #[serde(default)]
    pub began_from: Option<String>,
    /// Jobs that were submitted, or may have been, and were given up; newest last.
    #[serde(default)]
    pub abandoned: VecDeque<JobId>,
    /// The savepoints that were taken here and not disposed of yet, oldest first.
    #[serde(default)]
    pub savepoints: VecDeque<String>,
    /// Savepoints that could not be disposed of and were not told of yet, with the reason.
    #[serde(default)]
    pub not_disposed: Vec<String>,
}

/// What all entries add up to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    change: Option<Change>,
    lineage: Lineage,
    outbox: VecDeque<Report>,
}

/// Why an entry cannot follow the ones before it: the journal is damaged, or of another program.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Contradiction {
    /// A phase without a document.
    #[error("the journal has a phase before any document")]
    NoChange,
    /// The text of an accepted document is no document any more.
    #[error("the journal has an accepted document that is not one: {0}")]
    Document(String),
}

impl Ledger {
    /// The last accepted document and how far it has come.
    pub fn change(&self) -> Option<&Change> {
        self.change.as_ref()
    }

    /// Where the job's state is.
    pub fn lineage(&self) -> &Lineage {
        &self.lineage
    }

    /// The oldest report that the drop has not confirmed.
    pub fn next_report(&self) -> Option<&Report> {
        self.outbox.front()
    }

    /// How many reports the drop has not confirmed.
    pub fn undelivered(&self) -> usize {
        self.outbox.len()
    }

    /// Lets go of the oldest reports beyond this number, and says how many.
    pub fn shorten_outbox(&mut self, most: usize) -> usize {
        let excess = self.outbox.len().saturating_sub(most);
        self.outbox.drain(..excess);
        excess
    }

    /// Takes up an entry.
    ///
    /// # Errors
    /// The entry cannot follow the ones before it.
    pub fn apply(&mut self, entry: &Entry) -> Result<(), Contradiction> {
        match entry {
            Entry::Snapshot(ledger) => *self = (**ledger).clone(),
            Entry::Accepted { at, document, entity_tag } => {
                let document =
                    JobDocument::parse(document).map_err(|e| Contradiction::Document(e.to_string()))?;
                let entity_tag = entity_tag.clone();
                self.change = Some(Change::new(document, entity_tag, *at));
                self.report(*at, None, None);
            }
            Entry::Entered { at, phase, observed } => {
                let change = self.change.as_mut().ok_or(Contradiction::NoChange)?;
                let before = std::mem::replace(&mut change.phase, phase.clone());
                let lasted = at.duration_since(std::mem::replace(&mut change.since, *at));
                change.disturbed |= matches!(
                    phase,
                    Phase::Stopping { .. } | Phase::Submitting { .. } | Phase::RescalingBack { .. }
                );
                if let Phase::StartingNodes { before, .. } = phase {
                    change.nodes_before = Some(*before);
                }
                self.lineage.remember(&before, phase);
                if let Phase::Stopped { savepoint, .. }
                | Phase::Submitting { savepoint, .. }
                | Phase::Restoring { savepoint, .. } = phase
                {
                    change.savepoint.clone_from(savepoint);
                }
                self.lineage.follow(change);
                self.report(*at, u64::try_from(lasted.as_millis()).ok(), observed.clone());
            }
            Entry::SavepointGone { path, problem } => self.lineage.forget_savepoint(path, problem.as_deref()),
            Entry::FailuresForgiven => self.lineage.failures = 0,
            Entry::Delivered { generation, sequence } => {
                let delivered = (*generation, *sequence);
                self.outbox.retain(|report| (report.generation, report.sequence) > delivered);
            }
        }
        Ok(())
    }

    fn report(&mut self, at: Timestamp, previous_state_ms: Option<u64>, observed: Option<Observed>) {
        let Some(change) = &mut self.change else { return };
        change.sequence += 1;
        let generation = change.document.generation();
        let mut message = change.phase.message().map(std::borrow::Cow::into_owned);
        if change.sequence == 1 && !self.lineage.not_disposed.is_empty() {
            message = Some(std::mem::take(&mut self.lineage.not_disposed).join("; "));
        }
        self.outbox.push_back(Report {
            generation,
            sequence: change.sequence,
            at,
            state: change.phase.state(),
            flink_job_id: change.phase.job().map(ToString::to_string),
            savepoint: change.savepoint.clone(),
            message,
            previous_state_ms,
            running_generation: match &change.phase {
                Phase::Running { .. } => Some(generation),
                Phase::RolledBack { .. } => self.lineage.document.as_ref().map(JobDocument::generation),
                _ => None,
            },
            observed,
        });
    }
}

impl Change {
    fn new(document: JobDocument, entity_tag: EntityTag, at: Timestamp) -> Self {
        Self {
            document,
            entity_tag,
            phase: Phase::Received,
            since: at,
            accepted_at: at,
            nodes_before: None,
            savepoint: None,
            disturbed: false,
            sequence: 0,
        }
    }
}

impl Lineage {
    fn follow(&mut self, change: &Change) {
        match &change.phase {
            Phase::Stopped { savepoint, .. } => self.savepoint.clone_from(savepoint),
            Phase::Stopping { job, .. } | Phase::Submitting { job, .. } | Phase::Restoring { job, .. } => {
                self.job = Some(job.clone());
            }
            Phase::Running { job, .. } => {
                self.document = Some(change.document.clone());
                self.job = Some(job.clone());
                self.takes_up(job);
                self.starts_from(change);
                self.failures = 0;
            }
            Phase::RolledBack { job, .. } => {
                self.takes_up(job);
                self.starts_from(change);
                self.count_failure(change);
            }
            Phase::Failed { .. } => self.count_failure(change),
            Phase::Received
            | Phase::StartingNodes { .. }
            | Phase::NodesStarted { .. }
            | Phase::StoppingNodes { .. }
            | Phase::Rescaling { .. }
            | Phase::RescalingBack { .. }
            | Phase::Settling { .. }
            | Phase::RollingBack { .. } => {}
        }
    }

    /// A job runs: its state is its own from now on. A change that did not touch the job has no state to begin from.
    fn starts_from(&mut self, change: &Change) {
        self.savepoint = None;
        if change.savepoint.is_some() {
            self.began_from.clone_from(&change.savepoint);
        }
    }

    /// A job that was given up, came to life late and is the one that goes on now is not given up any more.
    fn takes_up(&mut self, job: &JobId) {
        self.abandoned.retain(|abandoned| abandoned != job);
    }

    /// What a step from one phase to another says beyond the phase itself.
    fn remember(&mut self, from: &Phase, to: &Phase) {
        if let (Phase::Stopping { .. }, Phase::Stopped { savepoint: Some(savepoint), .. }) = (from, to) {
            self.savepoints.push_back(savepoint.clone());
            let surplus = self.savepoints.len().saturating_sub(SAVEPOINTS_MOST);
            self.savepoints.drain(..surplus);
        }
        let given_up = match (from, to) {
            (_, Phase::RollingBack { failed, .. }) => Some(failed),
            (
                Phase::Submitting { job, .. } | Phase::Settling { job } | Phase::Restoring { job, .. },
                Phase::Failed { .. },
            ) => Some(job),
            _ => None,
        };
        if let Some(job) = given_up.filter(|job| !self.abandoned.contains(job)) {
            self.abandoned.push_back(job.clone());
            let surplus = self.abandoned.len().saturating_sub(ABANDONED_MOST);
            self.abandoned.drain(..surplus);
        }
    }

    fn forget_savepoint(&mut self, path: &str, problem: Option<&str>) {
        self.savepoints.retain(|kept| kept != path);
        if let Some(problem) = problem {
            self.not_disposed.push(format!("savepoint {path} could not be disposed of: {problem}"));
        }
    }

    fn count_failure(&mut self, change: &Change) {
        if change.disturbed {
            self.failures = self.failures.saturating_add(1);
            self.failed_at = Some(change.since);
        }
    }
}

/// A document in the journal is its text.
mod document_text {
    use job_config::JobDocument;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(document: &JobDocument, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(document.text())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<JobDocument, D::Error> {
        let text = String::deserialize(from)?;
        JobDocument::parse(&text).map_err(D::Error::custom)
    }

    pub(super) mod optional {
        use job_config::JobDocument;
        use serde::de::Error as _;
        use serde::{Deserialize as _, Deserializer, Serializer};

        pub(in super::super) fn serialize<S: Serializer>(
            document: &Option<JobDocument>,
            to: S,
        ) -> Result<S::Ok, S::Error> {
            match document {
                Some(document) => to.serialize_some(document.text()),
                None => to.serialize_none(),
            }
        }

        pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
            from: D,
        ) -> Result<Option<JobDocument>, D::Error> {
            let text = Option::<String>::deserialize(from)?;
            text.map(|text| JobDocument::parse(&text)).transpose().map_err(D::Error::custom)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../../../configs/jobs/nexmark.toml");

    /// Goal: a job that was given up because it came up too late, and that the next change leaves as the one that runs, is not
    /// ended as a rival of itself.
    #[test]
    fn a_job_that_goes_on_is_not_given_up() {
        let job = JobId::from_bytes([7; 16]);
        let entered = |phase| Entry::Entered { at: Timestamp::UNIX_EPOCH, phase, observed: None };
        let accepted = |generation: u64| Entry::Accepted {
            at: Timestamp::UNIX_EPOCH,
            document: EXAMPLE.replacen("generation = 1", &format!("generation = {generation}"), 1),
            entity_tag: EntityTag::parse(&format!("\"{generation}\"")).unwrap(),
        };
        let late = || "late".to_owned();
        let restoring = Phase::Restoring { job: job.clone(), savepoint: None, message: late() };
        let failed = Phase::Failed { job: Some(job.clone()), message: late() };
        let left = Phase::RolledBack { job: job.clone(), message: "it was not touched".to_owned() };
        let mut ledger = Ledger::default();
        for entry in [accepted(2), entered(restoring), entered(failed)] {
            ledger.apply(&entry).unwrap();
        }
        assert_eq!(ledger.lineage().abandoned, [job]);
        for entry in [accepted(3), entered(left)] {
            ledger.apply(&entry).unwrap();
        }
        assert!(ledger.lineage().abandoned.is_empty());
    }
}
