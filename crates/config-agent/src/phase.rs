//! How far a change has come: the steps of the journal.
//!
//! Each phase holds what a step needs to be taken up again after a crash, and nothing else.

use std::borrow::Cow;
use std::fmt;

use flink::{JobId, TriggerId};
use job_config::State;
use serde::{Deserialize, Serialize};

/// A node that did not come up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeFailure {
    /// The node.
    pub node: String,
    /// Why, as far as it is known.
    pub reason: String,
}

impl fmt::Display for NodeFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node {} did not come up: {}", self.node, self.reason)
    }
}

/// How far a change has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "kebab-case")]
pub enum Phase {
    /// Accepted, nothing asked of Flink yet.
    Received,
    /// These nodes may have been asked to start.
    StartingNodes {
        /// The job that runs meanwhile, where there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        job: Option<JobId>,
        /// The nodes.
        nodes: Vec<String>,
        /// Nodes that were tried and did not come up.
        #[serde(default)]
        failed: Vec<NodeFailure>,
        /// How many task managers there were before.
        before: u32,
    },
    /// The nodes are there, and nothing was asked of the job yet.
    NodesStarted {
        /// Which nodes did not come up and had to be replaced.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
    },
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
    /// The running job may have been asked to take the parallelism that it had before.
    RescalingBack {
        /// The job.
        job: JobId,
        /// Why it did not get the new one.
        message: String,
    },
    /// Nothing runs any more.
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
    /// The change is over but for nodes that are not needed any more; they may have been asked to stop.
    StoppingNodes {
        /// How many task managers shall be left.
        wanted: u32,
        /// The nodes that go; [`None`]: not chosen yet.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        nodes: Option<Vec<String>>,
        /// How the change ends.
        end: Box<Phase>,
    },
    /// What ran before runs: restored, or never touched. Final.
    RolledBack {
        /// That job.
        job: JobId,
        /// Why the change was not carried out.
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
    /// The change was given up, and nothing runs, or what runs is not known. Final.
    Failed {
        /// The job that it was about, where there was one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        job: Option<JobId>,
        /// Why, and what is the case now.
        message: String,
    },
}

/// For the log: the state, the job, what is unusual.
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

    /// The phase as the protocol names it.
    pub fn state(&self) -> State {
        match self {
            Self::Received => State::Received,
            Self::StartingNodes { .. } | Self::NodesStarted { .. } => State::StartingNodes,
            Self::StoppingNodes { .. } => State::StoppingNodes,
            Self::Stopping { .. } => State::Stopping,
            Self::Rescaling { .. } => State::Rescaling,
            Self::Stopped { .. } => State::Stopped,
            Self::Submitting { .. } | Self::Settling { .. } => State::Submitting,
            Self::RescalingBack { .. } | Self::RollingBack { .. } | Self::Restoring { .. } => {
                State::RollingBack
            }
            Self::RolledBack { .. } => State::RolledBack,
            Self::Running { .. } => State::Running,
            Self::Failed { .. } => State::Failed,
        }
    }

    /// The job that the phase speaks of.
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
            Self::Settling { .. } => Some("all tasks run; watching whether they go on".into()),
            Self::Received | Self::Rescaling { .. } | Self::Stopping { .. } | Self::Submitting { .. } => None,
        }
    }

    /// The same end with one sentence more.
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
