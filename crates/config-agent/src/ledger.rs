//! The agent's persistent state: the journal's entries, and the state they add up to.
//!
//! Each step is journalled before its effect, so the last entry names the only request to Flink whose outcome is
//! unknown. Reports are derived from the entries and kept here until the drop has confirmed them. This file does no
//! IO; `journal_store` holds the file on disk.

mod history;

use std::collections::VecDeque;

use jiff::Timestamp;
use job_config::{ChangeState, EntityTag, JobDocument, Observed, Report};
use serde::{Deserialize, Serialize};

use crate::phase::Phase;
use crate::recovery::{RecoveredState, RejectedDocument};

pub use history::JobHistory;

/// How many rejected documents to remember, so that none is applied after it was reported as failed.
const REJECTED_MAX: usize = 8;

/// One line of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "kebab-case")]
pub enum Entry {
    /// Compaction of all earlier entries.
    Snapshot(Box<Ledger>),
    /// A document was accepted, which uses up its generation.
    Accepted {
        /// Time of acceptance.
        at: Timestamp,
        /// Exact text of the document.
        document: String,
        /// Entity tag under which the drop served it.
        entity_tag: EntityTag,
    },
    /// The change of the last accepted document entered a phase.
    Entered {
        /// Time of the transition.
        at: Timestamp,
        /// The phase.
        phase: Phase,
        /// What was observed of the job, with a final phase.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        observed: Option<Observed>,
    },
    /// A surplus savepoint was deleted, or cannot be.
    SavepointGone {
        /// Path of the savepoint.
        path: String,
        /// Why it could not be deleted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        problem: Option<String>,
    },
    /// A document was permanently rejected. Journalled before the report, so that it is never applied later.
    Refused {
        /// Time of the rejection.
        at: Timestamp,
        /// The document and the reason.
        document: RejectedDocument,
    },
    /// What the drop's reports say about an earlier run whose journal is lost.
    #[serde(rename = "recalled")]
    Recovered {
        /// Time of the recovery.
        at: Timestamp,
        /// Summary of the reports.
        known: Box<RecoveredState>,
    },
    /// The drop already has other reports under these numbers: this generation's reports are renumbered.
    Renumbered {
        /// Generation of the reports.
        generation: u64,
        /// The first sequence number that is changed.
        from: u32,
        /// Increment.
        by: u32,
    },
    /// An operator acknowledged the failures: new changes may start.
    FailuresForgiven,
    /// The drop has confirmed this report and all before it.
    Delivered {
        /// Generation of the report.
        generation: u64,
        /// Sequence number of the report.
        sequence: u32,
    },
}

/// The last accepted document and its phase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The document.
    #[serde(with = "document_text")]
    pub document: JobDocument,
    /// Entity tag under which the drop served it.
    pub entity_tag: EntityTag,
    /// Current phase.
    pub phase: Phase,
    /// When it entered that phase.
    pub since: Timestamp,
    /// When the document was accepted.
    #[serde(default)]
    pub accepted_at: Timestamp,
    /// How many task managers were registered before nodes were started for it; [`None`]: none were started.
    #[serde(default)]
    pub nodes_before: Option<u32>,
    /// Path of the state that the new or the restored job starts from.
    pub savepoint: Option<String>,
    /// How far an earlier run of this agent had come with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resumed: Option<ResumePoint>,
    /// Whether any request could have affected a running job.
    #[serde(default)]
    disturbed: bool,
    /// The sequence number of its last report.
    sequence: u32,
}

/// How to resume a change whose journal is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResumePoint {
    /// It was started before its expiry.
    Begun,
    /// It had failed and was being rolled back.
    TakenBack,
}

/// The state that all entries add up to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    change: Option<Change>,
    #[serde(rename = "lineage")]
    history: JobHistory,
    outbox: VecDeque<Report>,
    #[serde(default, skip_serializing_if = "VecDeque::is_empty")]
    #[serde(rename = "turned_away")]
    rejected: VecDeque<RejectedDocument>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(rename = "recalled")]
    recovered: Option<Box<RecoveredState>>,
}

/// Why an entry cannot follow the previous ones: the journal is damaged or of another program.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Contradiction {
    /// A phase without a document.
    #[error("the journal has a phase before the first document")]
    NoChange,
    /// The text of an accepted document no longer parses.
    #[error("the journal has an invalid accepted document: {0}")]
    Document(String),
}

impl Ledger {
    /// Returns the last accepted document and its phase.
    pub fn change(&self) -> Option<&Change> {
        self.change.as_ref()
    }

    /// Returns the history of the job and its state.
    pub fn history(&self) -> &JobHistory {
        &self.history
    }

    /// Whether the journal holds nothing but deliveries: the agent is new, or lost its journal.
    pub fn is_blank(&self) -> bool {
        self.change.is_none() && self.rejected.is_empty() && self.recovered.is_none()
    }

    /// Returns why the document with this entity tag was permanently rejected, if it was.
    pub fn rejection(&self, entity_tag: &EntityTag) -> Option<&RejectedDocument> {
        self.rejected.iter().find(|rejected| rejected.entity_tag == *entity_tag)
    }

    /// Returns what the drop's reports said about an earlier run, until the next change starts.
    pub fn recovered(&self) -> Option<&RecoveredState> {
        self.recovered.as_deref()
    }

    /// Returns the oldest report that the drop has not confirmed.
    pub fn next_report(&self) -> Option<&Report> {
        self.outbox.front()
    }

    /// Returns the number of reports that the drop has not confirmed.
    pub fn undelivered(&self) -> usize {
        self.outbox.len()
    }

    /// Drops the oldest reports beyond this number and returns how many were dropped.
    pub fn shorten_outbox(&mut self, most: usize) -> usize {
        let excess = self.outbox.len().saturating_sub(most);
        self.outbox.drain(..excess);
        excess
    }

    /// Applies an entry.
    ///
    /// # Errors
    /// The entry contradicts the previous ones.
    pub fn apply(&mut self, entry: &Entry) -> Result<(), Contradiction> {
        match entry {
            Entry::Snapshot(ledger) => *self = (**ledger).clone(),
            Entry::Accepted { at, document, entity_tag } => {
                let document =
                    JobDocument::parse(document).map_err(|e| Contradiction::Document(e.to_string()))?;
                let mut change = Change::new(document, entity_tag.clone(), *at);
                if let Some(recovered) = self.recovered.take() {
                    change.restore(&recovered);
                }
                self.change = Some(change);
                self.report(*at, None, None);
            }
            Entry::Entered { at, phase, observed } => self.enter(*at, phase, observed.clone())?,
            Entry::SavepointGone { path, problem } => self.history.forget_savepoint(path, problem.as_deref()),
            Entry::Refused { at, document } => self.reject(*at, document),
            Entry::Recovered { known, .. } => {
                self.history.recover(known)?;
                self.recovered = Some(known.clone());
            }
            Entry::Renumbered { generation, from, by } => self.renumber(*generation, *from, *by),
            Entry::FailuresForgiven => self.history.failures = 0,
            Entry::Delivered { generation, sequence } => {
                // Matched by position, not by order: a rejected document may have a higher generation than the next one.
                let is_it =
                    |report: &Report| (report.generation, report.sequence) == (*generation, *sequence);
                if let Some(index) = self.outbox.iter().position(is_it) {
                    self.outbox.drain(..=index);
                }
            }
        }
        Ok(())
    }

    fn enter(
        &mut self,
        at: Timestamp,
        phase: &Phase,
        observed: Option<Observed>,
    ) -> Result<(), Contradiction> {
        let change = self.change.as_mut().ok_or(Contradiction::NoChange)?;
        let before = change.enter(phase);
        let lasted = at.duration_since(std::mem::replace(&mut change.since, at));
        self.history.follow(&before, change);
        self.report(at, u64::try_from(lasted.as_millis()).ok(), observed);
        Ok(())
    }

    fn reject(&mut self, at: Timestamp, document: &RejectedDocument) {
        let sequence =
            self.recovered.as_ref().filter(|recovered| recovered.generation == document.generation);
        let sequence = sequence.map_or(0, |recovered| recovered.sequence) + 1;
        self.outbox.push_back(Report {
            message: Some(format!("refused ({}): {}", document.reason, document.sentence)),
            running_generation: self.history.document.as_ref().map(JobDocument::generation),
            ..Report::new(document.generation, sequence, at, ChangeState::Failed)
        });
        self.rejected.push_back(document.clone());
        let surplus = self.rejected.len().saturating_sub(REJECTED_MAX);
        self.rejected.drain(..surplus);
    }

    fn renumber(&mut self, generation: u64, from: u32, by: u32) {
        let is_meant = |report: &&mut Report| report.generation == generation && report.sequence >= from;
        for report in self.outbox.iter_mut().filter(is_meant) {
            report.sequence = report.sequence.saturating_add(by);
        }
        if let Some(change) = self.change.as_mut().filter(|change| change.document.generation() == generation)
        {
            change.sequence = change.sequence.saturating_add(by);
        }
    }

    fn report(&mut self, at: Timestamp, previous_state_ms: Option<u64>, observed: Option<Observed>) {
        let Some(change) = &mut self.change else { return };
        change.sequence += 1;
        let generation = change.document.generation();
        let mut message = change.phase.message().map(std::borrow::Cow::into_owned);
        if change.sequence == 1 && !self.history.not_disposed.is_empty() {
            message = Some(std::mem::take(&mut self.history.not_disposed).join("; "));
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
                Phase::RolledBack { .. } => self.history.document.as_ref().map(JobDocument::generation),
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
            resumed: None,
            disturbed: false,
            sequence: 0,
        }
    }

    /// Enters a phase and returns the one before it.
    fn enter(&mut self, phase: &Phase) -> Phase {
        self.disturbed |=
            matches!(phase, Phase::Stopping { .. } | Phase::Submitting { .. } | Phase::RescalingBack { .. });
        if let Phase::StartingNodes { before, .. } = phase {
            self.nodes_before = Some(*before);
        }
        if let Phase::Stopped { savepoint, .. }
        | Phase::Submitting { savepoint, .. }
        | Phase::Restoring { savepoint, .. } = phase
        {
            self.savepoint.clone_from(savepoint);
        }
        std::mem::replace(&mut self.phase, phase.clone())
    }

    /// Returns the time, but at least the document's time of acceptance, so that a clock set back cannot revive an
    /// expired document. Applies only with an expiry, which shows that the clock was about right at acceptance.
    pub fn no_earlier_than_accepted(&self, now: Timestamp) -> Timestamp {
        if self.document.expires_at().is_some() { now.max(self.accepted_at) } else { now }
    }

    /// Restores the state that an earlier run of this agent had reached with this change.
    fn restore(&mut self, recovered: &RecoveredState) {
        if recovered.generation == self.document.generation() {
            self.sequence = recovered.sequence;
            self.resumed = recovered.resumed;
        }
    }
}

/// Serialises a document in the journal as its text.
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
mod tests;
