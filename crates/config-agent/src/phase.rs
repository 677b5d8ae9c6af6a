//! The phases of a change, as journalled.
//!
//! Each phase holds exactly what is needed to resume it after a crash.

use std::borrow::Cow;
use std::fmt;

use flink::{JobId, TriggerId};
use job_config::ChangeState;
use serde::{Deserialize, Serialize};

/// A node that did not come up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeFailure {
    /// Name of the node.
    pub node: String,
    /// Reason, as far as it is known.
    pub reason: String,
}

impl fmt::Display for NodeFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node {} did not start: {}", self.node, self.reason)
    }
}

/// Phase of a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "kebab-case")]
pub enum Phase {
    /// Accepted; no request sent yet.
    Received,
    /// The start commands of these nodes may have run.
    StartingNodes {
        /// The job that runs meanwhile, if any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        job: Option<JobId>,
        /// Names of the nodes.
        nodes: Vec<String>,
        /// Nodes that did not come up.
        #[serde(default)]
        failed: Vec<NodeFailure>,
        /// Number of task managers before.
        before: u32,
    },
    /// The nodes are up; no request sent to the job yet.
    NodesStarted {
        /// Which nodes did not come up and were replaced.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
    },
    /// The stop of this job may have been requested, under this id.
    Stopping {
        /// The job to stop.
        job: JobId,
        /// Id of the stop operation.
        trigger: TriggerId,
    },
    /// The new parallelism may have been requested of the running job.
    Rescaling {
        /// The job.
        job: JobId,
    },
    /// The previous parallelism may have been requested of the running job.
    RescalingBack {
        /// The job.
        job: JobId,
        /// Why the new one was not reached.
        message: String,
    },
    /// No job runs.
    Stopped {
        /// The job that ended.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        job: Option<JobId>,
        /// Path of its state.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        savepoint: Option<String>,
        /// Remarks, for the report.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
    },
    /// The submission may have been requested, under this id.
    Submitting {
        /// Id of the new job.
        job: JobId,
        /// Path of the state to start from.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        savepoint: Option<String>,
    },
    /// All tasks of the new job run; the grace time is being watched.
    Settling {
        /// The new job.
        job: JobId,
    },
    /// The new job failed and may have been cancelled.
    RollingBack {
        /// The new job.
        failed: JobId,
        /// Why it failed.
        message: String,
    },
    /// The previous document's job may have been submitted under this id.
    Restoring {
        /// Id of that job.
        job: JobId,
        /// Path of the state to start from.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        savepoint: Option<String>,
        /// Why the new job failed.
        message: String,
    },
    /// The change is over, but surplus nodes remain; their stop commands may have run.
    StoppingNodes {
        /// Number of task managers to keep.
        wanted: u32,
        /// Nodes to stop; [`None`]: not chosen yet.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        nodes: Option<Vec<String>>,
        /// Final phase of the change.
        end: Box<Phase>,
    },
    /// The previous job runs: restored, or never affected. Final.
    RolledBack {
        /// That job.
        job: JobId,
        /// Why the change was not applied.
        message: String,
    },
    /// All tasks of the new job run, or reached the end of input. Final.
    Running {
        /// The new job.
        job: JobId,
        /// Remarks, for the report.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
    },
    /// The change failed, and no job runs, or what runs is unknown. Final.
    Failed {
        /// The job concerned, if any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        job: Option<JobId>,
        /// Reason and current situation.
        message: String,
    },
}

/// For the log: state, job and remarks.
impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.state())?;
        if let Some(job) = self.job() {
            write!(f, ", job {}", job.short())?;
        }
        self.message().map_or(Ok(()), |message| write!(f, ": {message}"))
    }
}

impl Phase {
    /// Whether the change is over.
    pub fn is_final(&self) -> bool {
        self.state().is_final()
    }

    /// Returns the phase's name in the protocol.
    pub fn state(&self) -> ChangeState {
        match self {
            Self::Received => ChangeState::Received,
            Self::StartingNodes { .. } | Self::NodesStarted { .. } => ChangeState::StartingNodes,
            Self::StoppingNodes { .. } => ChangeState::StoppingNodes,
            Self::Stopping { .. } => ChangeState::Stopping,
            Self::Rescaling { .. } => ChangeState::Rescaling,
            Self::Stopped { .. } => ChangeState::Stopped,
            Self::Submitting { .. } | Self::Settling { .. } => ChangeState::Submitting,
            Self::RescalingBack { .. } | Self::RollingBack { .. } | Self::Restoring { .. } => {
                ChangeState::RollingBack
            }
            Self::RolledBack { .. } => ChangeState::RolledBack,
            Self::Running { .. } => ChangeState::Running,
            Self::Failed { .. } => ChangeState::Failed,
        }
    }

    /// Returns the job that the phase is about.
    pub fn job(&self) -> Option<&JobId> {
        match self {
            Self::Received | Self::NodesStarted { .. } => None,
            Self::StartingNodes { job, .. } | Self::Stopped { job, .. } | Self::Failed { job, .. } => {
                job.as_ref()
            }
            Self::StoppingNodes { end, .. } => end.job(),
            Self::Stopping { job, .. }
            | Self::Rescaling { job }
            | Self::RescalingBack { job, .. }
            | Self::Submitting { job, .. }
            | Self::Settling { job }
            | Self::RollingBack { failed: job, .. }
            | Self::Restoring { job, .. }
            | Self::RolledBack { job, .. }
            | Self::Running { job, .. } => Some(job),
        }
    }

    pub(crate) fn message(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::StartingNodes { nodes, failed, .. } => {
                let failed = failed.iter().map(|failure| format!("; {failure}"));
                Some(format!("{}{}", nodes.join(", "), failed.collect::<String>()).into())
            }
            Self::StoppingNodes { nodes, .. } => nodes.as_ref().map(|nodes| nodes.join(", ").into()),
            Self::NodesStarted { message }
            | Self::Stopped { message, .. }
            | Self::Running { message, .. } => message.as_deref().map(Cow::from),
            Self::Failed { message, .. }
            | Self::RescalingBack { message, .. }
            | Self::RollingBack { message, .. }
            | Self::Restoring { message, .. }
            | Self::RolledBack { message, .. } => Some(message.as_str().into()),
            Self::Settling { .. } => Some("all tasks run; observing whether they keep running".into()),
            Self::Received | Self::Rescaling { .. } | Self::Stopping { .. } | Self::Submitting { .. } => None,
        }
    }

    /// Returns the same final phase with another sentence in its message.
    pub(crate) fn and(self, more: &str) -> Self {
        match self {
            Self::Running { job, message } => {
                let message = message.map_or_else(|| more.to_owned(), |message| format!("{message}; {more}"));
                Self::Running { job, message: Some(message) }
            }
            Self::RolledBack { job, message } => {
                Self::RolledBack { job, message: format!("{message}; {more}") }
            }
            Self::Failed { job, message } => Self::Failed { job, message: format!("{message}; {more}") },
            other => other,
        }
    }
}
