//! The journal record of one epoch: snapshot, decision, effect and outcome.

use std::sync::Arc;

use jiff::Timestamp;
use scaling::{Decision, Memory, Snapshot};
use serde::{Deserialize, Serialize};

use crate::outcome::ChangeOutcome;

/// What was done about a decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "effect", rename_all = "kebab-case")]
pub enum Effect {
    /// No change was decided.
    Nothing,
    /// A change was decided, but this is a dry run.
    DryRun,
    /// A change was decided that cannot be applied here: the plan is a recommendation.
    Recommended {
        /// Reason, with the remedy.
        message: String,
    },
    /// The document is about to be published.
    Publishing {
        /// Its generation.
        generation: u64,
    },
    /// The document was published.
    Published {
        /// Its generation.
        generation: u64,
    },
    /// The document could not be published; the plan is dropped, and the next epoch decides again.
    NotPublished {
        /// Reason.
        message: String,
    },
}

/// One decision and its effect.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Number of the epoch in this journal, from 1.
    pub epoch: u64,
    /// Time of writing.
    pub at: Timestamp,
    /// The job.
    pub job: String,
    /// What was done.
    #[serde(flatten)]
    pub effect: Effect,
    /// What was decided.
    pub decision: Decision,
    /// Input of the decision; [`None`] without an observation.
    pub snapshot: Option<Snapshot>,
    /// The policies' memory for the next epoch, shared with the loop until that changes it.
    #[serde(default)]
    pub state: Arc<Memory>,
    /// Whether the memory contains a plan that was not applied because of a dry run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub imagined: bool,
    /// When the job was put back after changes by hand, as far as that still counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub restored: Vec<Timestamp>,
    /// Outcome, once known. Not written with the record, but joined to it when read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<ChangeOutcome>,
}

/// An addition to an earlier record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FollowUp {
    /// Epoch of the record.
    pub of_epoch: u64,
    /// Time of writing.
    pub at: Timestamp,
    /// Whether the document was published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub then: Option<Effect>,
    /// The policies' memory from here on, if it differs from the record's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<Arc<Memory>>,
    /// Outcome of the document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<ChangeOutcome>,
}

impl Effect {
    /// Returns the generation of the document that was published, or is about to be.
    pub fn generation(&self) -> Option<u64> {
        match self {
            Self::Publishing { generation } | Self::Published { generation } => Some(*generation),
            Self::Nothing | Self::DryRun | Self::Recommended { .. } | Self::NotPublished { .. } => None,
        }
    }
}
