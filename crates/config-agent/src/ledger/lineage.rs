//! Where the job's state is, what ran last, how often it went wrong: what outlives a change.

use std::collections::VecDeque;

use flink::JobId;
use jiff::Timestamp;
use job_config::JobDocument;
use serde::{Deserialize, Serialize};

use super::{Change, Contradiction};
use crate::phase::Phase;
use crate::recall::Recalled;

/// Jobs that were given up are remembered, so that one that comes to life late is recognised; so many of them.
const ABANDONED_MOST: usize = 8;

/// Savepoints are remembered until they are disposed of; so many of them, in case disposal never succeeds.
const SAVEPOINTS_MOST: usize = 1_000;

/// What outlives a change: where the job's state is, what ran last, how often it went wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lineage {
    /// The document of the job that ran last.
    #[serde(default, with = "super::document_text::optional")]
    pub document: Option<JobDocument>,
    /// Changes in a row that disturbed a job and failed.
    #[serde(default)]
    pub failures: u32,
    /// When the last of them did.
    #[serde(default)]
    pub failed_at: Option<Timestamp>,
    /// The job that was stopped or submitted last.
    pub job: Option<JobId>,
    /// A job ran, and nothing trustworthy says which one: nothing may be begun as if it were the first.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_lost: bool,
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

impl Lineage {
    pub(super) fn recall(&mut self, known: &Recalled) -> Result<(), Contradiction> {
        let document = known.document.as_deref().map(JobDocument::parse).transpose();
        self.document = document.map_err(|e| Contradiction::Document(e.to_string()))?;
        self.job.clone_from(&known.job);
        self.savepoint.clone_from(&known.savepoint);
        self.is_lost = known.is_lost;
        Ok(())
    }

    pub(super) fn follow(&mut self, change: &Change) {
        match &change.phase {
            Phase::Stopped { savepoint, .. } => self.savepoint.clone_from(savepoint),
            Phase::Stopping { job, .. } | Phase::Submitting { job, .. } | Phase::Restoring { job, .. } => {
                self.job = Some(job.clone());
            }
            Phase::Running { job, .. } => {
                self.document = Some(change.document.clone());
                self.job = Some(job.clone());
                self.is_lost = false;
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
    pub(super) fn remember(&mut self, from: &Phase, to: &Phase) {
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

    pub(super) fn forget_savepoint(&mut self, path: &str, problem: Option<&str>) {
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
