//! What the agent knows after a restart: the journal's entries, and what they add up to.
//!
//! Each step is written down before its effect, so the last entry says what may have been asked of Flink but cannot have
//! been asked twice. Reports are made from the entries and are kept here until the drop has confirmed them. This file does no IO;
//! see `book` for the file on the disk.

mod lineage;

use std::collections::VecDeque;

use jiff::Timestamp;
use job_config::{EntityTag, JobDocument, Observed, Report, State};
use serde::{Deserialize, Serialize};

use crate::phase::Phase;
use crate::recall::{Recalled, Turned};

pub use lineage::Lineage;

/// Refused documents are remembered, so that none is applied after it was reported as failed; so many of them.
const TURNED_AWAY_MOST: usize = 8;

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
    /// A document was refused for good, before that is reported: it is not applied later either.
    Refused {
        /// When.
        at: Timestamp,
        /// The document and the reason.
        document: Turned,
    },
    /// What the drop knows of an earlier life of this agent, whose journal is gone.
    Recalled {
        /// When.
        at: Timestamp,
        /// What it knows.
        known: Box<Recalled>,
    },
    /// The drop has other reports under these numbers: those of this generation get higher ones.
    Renumbered {
        /// Of the reports.
        generation: u64,
        /// The first sequence number that is changed.
        from: u32,
        /// By so much.
        by: u32,
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
    /// What an earlier life of this agent had begun of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resumed: Option<Resumed>,
    /// Whether anything was asked of Flink that a running job notices.
    #[serde(default)]
    disturbed: bool,
    /// The sequence number of its last report.
    sequence: u32,
}

/// How a change is taken up again whose journal is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resumed {
    /// It was begun in time.
    Begun,
    /// It had failed, and was being taken back.
    TakenBack,
}

/// What all entries add up to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    change: Option<Change>,
    lineage: Lineage,
    outbox: VecDeque<Report>,
    #[serde(default, skip_serializing_if = "VecDeque::is_empty")]
    turned_away: VecDeque<Turned>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    recalled: Option<Box<Recalled>>,
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

    /// Whether nothing was ever written down but deliveries: the agent is new, or its journal is gone.
    pub fn is_blank(&self) -> bool {
        self.change.is_none() && self.turned_away.is_empty() && self.recalled.is_none()
    }

    /// Why the document with this tag was refused for good, if it was.
    pub fn turned_away(&self, entity_tag: &EntityTag) -> Option<&Turned> {
        self.turned_away.iter().find(|turned| turned.entity_tag == *entity_tag)
    }

    /// What the drop knew of an earlier life of this agent, until the next change begins.
    pub fn recalled(&self) -> Option<&Recalled> {
        self.recalled.as_deref()
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
                let mut change = Change::new(document, entity_tag.clone(), *at);
                if let Some(recalled) = self.recalled.take() {
                    change.goes_on_from(&recalled);
                }
                self.change = Some(change);
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
            Entry::Refused { at, document } => self.turn_away(*at, document),
            Entry::Recalled { known, .. } => {
                self.lineage.recall(known)?;
                self.recalled = Some(known.clone());
            }
            Entry::Renumbered { generation, from, by } => self.renumber(*generation, *from, *by),
            Entry::FailuresForgiven => self.lineage.failures = 0,
            Entry::Delivered { generation, sequence } => {
                // In the order in which they were made: a refused document may have had a higher generation than the next one.
                let is_it =
                    |report: &Report| (report.generation, report.sequence) == (*generation, *sequence);
                if let Some(index) = self.outbox.iter().position(is_it) {
                    self.outbox.drain(..=index);
                }
            }
        }
        Ok(())
    }

    fn turn_away(&mut self, at: Timestamp, document: &Turned) {
        let sequence = self.recalled.as_ref().filter(|recalled| recalled.generation == document.generation);
        self.outbox.push_back(Report {
            generation: document.generation,
            sequence: sequence.map_or(0, |recalled| recalled.sequence) + 1,
            at,
            state: State::Failed,
            flink_job_id: None,
            savepoint: None,
            message: Some(format!("refused ({}): {}", document.reason, document.sentence)),
            previous_state_ms: None,
            running_generation: self.lineage.document.as_ref().map(JobDocument::generation),
            observed: None,
        });
        self.turned_away.push_back(document.clone());
        let surplus = self.turned_away.len().saturating_sub(TURNED_AWAY_MOST);
        self.turned_away.drain(..surplus);
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
            resumed: None,
            disturbed: false,
            sequence: 0,
        }
    }

    /// Returns the time, but none before the document was accepted: a clock that was set back makes nothing good again that had expired
    /// by then. Only a document with an expiry shows that the clock was about right when it was accepted.
    pub fn no_earlier_than_accepted(&self, now: Timestamp) -> Timestamp {
        if self.document.expires_at().is_some() { now.max(self.accepted_at) } else { now }
    }

    /// Another life of this agent may have begun with it.
    fn goes_on_from(&mut self, recalled: &Recalled) {
        if recalled.generation == self.document.generation() {
            self.sequence = recalled.sequence;
            self.resumed = recalled.resumed;
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
    use flink::JobId;

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
