//! What the agent knows after a restart: the journal's entries, and what they add up to.
//!
//! Each step is written down before its effect, so the last entry says what may have been asked of Flink but cannot have
//! been asked twice. Reports are made from the entries and are kept here until the drop has confirmed them. This file does no IO;
//! see `book` for the file on the disk.

use std::collections::VecDeque;

use flink::{JobId, TriggerId};
use jiff::Timestamp;
use job_config::{EntityTag, JobDocument, Report, State};
use serde::{Deserialize, Serialize};

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

/// How far a change has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "kebab-case")]
pub enum Phase {
    /// Accepted, nothing asked of Flink yet.
    Received,
    /// The stop of this job may have been asked for, under this id.
    Stopping {
        /// The job to stop.
        job: JobId,
        /// The id of the stop.
        trigger: TriggerId,
    },
    /// The running job may have been asked to take another parallelism.
    Rescaling {
        /// The job.
        job: JobId,
    },
    /// Nothing runs, or nothing ran to begin with.
    Stopped {
        /// The job that has ended.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        job: Option<JobId>,
        /// Where its state lies.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        savepoint: Option<String>,
        /// What is unusual about it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
    },
    /// The submission may have been asked for, under this id.
    Submitting {
        /// The id of the new job.
        job: JobId,
        /// The state to begin from.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        savepoint: Option<String>,
    },
    /// All tasks of the new job run; whether they go on doing so is watched for a while.
    Settling {
        /// The new job.
        job: JobId,
    },
    /// The new job failed and may have been asked to end.
    RollingBack {
        /// The new job.
        failed: JobId,
        /// Why it failed.
        message: String,
    },
    /// The job of the document before this one may have been submitted under this id.
    Restoring {
        /// The id of that job.
        job: JobId,
        /// The state to begin from.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        savepoint: Option<String>,
        /// Why the new job failed.
        message: String,
    },
    /// All tasks of the job of the document before this one run. Final.
    RolledBack {
        /// That job.
        job: JobId,
        /// Why the new job failed.
        message: String,
    },
    /// All tasks of the new job run, or ran to their end. Final.
    Running {
        /// The new job.
        job: JobId,
        /// What is unusual about it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
    },
    /// The change was given up. Final.
    Failed {
        /// The job that it was about, where there was one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        job: Option<JobId>,
        /// Why, and what is the case now.
        message: String,
    },
}

impl Phase {
    /// Whether the change is over.
    pub fn is_final(&self) -> bool {
        self.state().is_final()
    }

    /// The phase as the protocol names it.
    pub fn state(&self) -> State {
        match self {
            Self::Received => State::Received,
            Self::Stopping { .. } => State::Stopping,
            Self::Rescaling { .. } => State::Rescaling,
            Self::Stopped { .. } => State::Stopped,
            Self::Submitting { .. } | Self::Settling { .. } => State::Submitting,
            Self::RollingBack { .. } | Self::Restoring { .. } => State::RollingBack,
            Self::RolledBack { .. } => State::RolledBack,
            Self::Running { .. } => State::Running,
            Self::Failed { .. } => State::Failed,
        }
    }

    fn job(&self) -> Option<&JobId> {
        match self {
            Self::Received => None,
            Self::Stopped { job, .. } | Self::Failed { job, .. } => job.as_ref(),
            Self::Stopping { job, .. }
            | Self::Rescaling { job }
            | Self::Submitting { job, .. }
            | Self::Settling { job }
            | Self::RollingBack { failed: job, .. }
            | Self::Restoring { job, .. }
            | Self::RolledBack { job, .. }
            | Self::Running { job, .. } => Some(job),
        }
    }

    fn message(&self) -> Option<&str> {
        match self {
            Self::Stopped { message, .. } | Self::Running { message, .. } => message.as_deref(),
            Self::Failed { message, .. }
            | Self::RollingBack { message, .. }
            | Self::Restoring { message, .. }
            | Self::RolledBack { message, .. } => Some(message),
            Self::Settling { .. } => Some("all tasks run; watching whether they go on"),
            Self::Received | Self::Rescaling { .. } | Self::Stopping { .. } | Self::Submitting { .. } => None,
        }
    }
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
                let phase = Phase::Received;
                self.change = Some(Change {
                    document,
                    entity_tag,
                    phase,
                    since: *at,
                    savepoint: None,
                    disturbed: false,
                    sequence: 0,
                });
                self.report(*at);
            }
            Entry::Entered { at, phase } => {
                let change = self.change.as_mut().ok_or(Contradiction::NoChange)?;
                change.phase = phase.clone();
                change.since = *at;
                change.disturbed |= matches!(phase, Phase::Stopping { .. } | Phase::Submitting { .. });
                self.lineage.follow(change);
                self.report(*at);
            }
            Entry::FailuresForgiven => self.lineage.failures = 0,
            Entry::Delivered { generation, sequence } => {
                let delivered = (*generation, *sequence);
                self.outbox.retain(|report| (report.generation, report.sequence) > delivered);
            }
        }
        Ok(())
    }

    fn report(&mut self, at: Timestamp) {
        let Some(change) = &mut self.change else { return };
        change.sequence += 1;
        if let Phase::Stopped { savepoint, .. } | Phase::Restoring { savepoint, .. } = &change.phase {
            change.savepoint.clone_from(savepoint);
        }
        self.outbox.push_back(Report {
            generation: change.document.generation(),
            sequence: change.sequence,
            at,
            state: change.phase.state(),
            flink_job_id: change.phase.job().map(ToString::to_string),
            savepoint: change.savepoint.clone(),
            message: change.phase.message().map(str::to_owned),
            previous_state_ms: None,
            running_generation: None,
            observed: None,
        });
    }
}

impl Lineage {
    fn follow(&mut self, change: &Change) {
        match &change.phase {
            Phase::Stopped { savepoint, .. } => self.savepoint.clone_from(savepoint),
            Phase::Stopping { job, .. } | Phase::Submitting { job, .. } | Phase::Restoring { job, .. } => {
                self.job = Some(job.clone());
            }
            Phase::Running { .. } => {
                self.document = Some(change.document.clone());
                self.savepoint = None;
                self.failures = 0;
            }
            Phase::RolledBack { .. } => {
                self.savepoint = None;
                self.count_failure(change);
            }
            Phase::Failed { .. } => self.count_failure(change),
            Phase::Received
            | Phase::Rescaling { .. }
            | Phase::Settling { .. }
            | Phase::RollingBack { .. } => {}
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
