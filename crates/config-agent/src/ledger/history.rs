//! History across changes: the job's state, the job that ran last, and the failure count.

use std::collections::VecDeque;

use flink::JobId;
use jiff::Timestamp;
use job_config::JobDocument;
use serde::{Deserialize, Serialize};

use super::{Change, Contradiction};
use crate::phase::Phase;
use crate::recovery::RecoveredState;
use crate::retention::Savepoints;

/// How many abandoned job ids to remember, so that a late-starting one is recognised.
const ABANDONED_MOST: usize = 8;

/// History across changes: the job's state, the job that ran last, and the failure count.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobHistory {
    /// Document of the job that ran last.
    #[serde(default, with = "super::document_text::optional")]
    pub document: Option<JobDocument>,
    /// Consecutive failed changes that had affected a job.
    #[serde(default)]
    pub failures: u32,
    /// Time of the last of them.
    #[serde(default)]
    pub failed_at: Option<Timestamp>,
    /// The job that was last stopped or submitted.
    pub job: Option<JobId>,
    /// A job ran, but no trustworthy record says which: a new job must not start as if it were the first.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_lost: bool,
    /// The newest state while no job runs: the savepoint of the stopped job, or what a job was submitted from since.
    pub savepoint: Option<String>,
    /// The state that the running job started from.
    #[serde(default)]
    pub began_from: Option<String>,
    /// Jobs that were or may have been submitted and were abandoned; newest last.
    #[serde(default)]
    pub abandoned: VecDeque<JobId>,
    /// Savepoints taken by this agent and not deleted yet, oldest first.
    #[serde(default)]
    pub savepoints: Savepoints,
    /// Savepoints that could not be deleted and are not reported yet, with the reason.
    #[serde(default)]
    pub not_disposed: Vec<String>,
}

impl JobHistory {
    pub(super) fn recover(&mut self, known: &RecoveredState) -> Result<(), Contradiction> {
        let document = known.document.as_deref().map(JobDocument::parse).transpose();
        self.document = document.map_err(|e| Contradiction::Document(e.to_string()))?;
        self.job.clone_from(&known.job);
        self.savepoint.clone_from(&known.savepoint);
        self.is_lost = known.is_lost;
        Ok(())
    }

    /// Records what it means that this change went from a phase to its present one.
    pub(super) fn follow(&mut self, from: &Phase, change: &Change) {
        self.remember(from, change);
        match &change.phase {
            Phase::Stopped { savepoint, .. } => self.savepoint.clone_from(savepoint),
            Phase::Stopping { job, .. } => self.job = Some(job.clone()),
            Phase::Submitting { job, savepoint } | Phase::Restoring { job, savepoint, .. } => {
                self.job = Some(job.clone());
                // A restored job starts from the failed job's newest checkpoint, which is newer than the savepoint.
                if savepoint.is_some() {
                    self.savepoint.clone_from(savepoint);
                }
            }
            Phase::Running { job, .. } => {
                self.document = Some(change.document.clone());
                self.job = Some(job.clone());
                self.is_lost = false;
                self.adopt_abandoned(job);
                self.owns_state(change);
                self.failures = 0;
            }
            Phase::RolledBack { job, .. } => {
                self.adopt_abandoned(job);
                self.owns_state(change);
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

    /// Records that a job runs, which owns its state from now on. A change that never touched the job has no start
    /// state.
    fn owns_state(&mut self, change: &Change) {
        self.savepoint = None;
        if change.savepoint.is_some() {
            self.began_from.clone_from(&change.savepoint);
        }
    }

    /// Removes a late-started job from the abandoned ones when it becomes the running job.
    fn adopt_abandoned(&mut self, job: &JobId) {
        self.abandoned.retain(|abandoned| abandoned != job);
    }

    /// Records what a transition between two phases implies beyond the phase itself.
    fn remember(&mut self, from: &Phase, change: &Change) {
        self.savepoints.follow(from, change);
        let given_up = match (from, &change.phase) {
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
        self.savepoints.forget(path);
        if let Some(problem) = problem {
            self.not_disposed.push(format!("could not delete savepoint {path}: {problem}"));
        }
    }

    fn count_failure(&mut self, change: &Change) {
        if change.disturbed {
            self.failures = self.failures.saturating_add(1);
            self.failed_at = Some(change.since);
        }
    }
}
