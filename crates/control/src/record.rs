//! The record of one epoch: what was seen, decided and done, and what followed.

use jiff::Timestamp;
use scaling::{Decision, Memory, Snapshot};
use serde::{Deserialize, Serialize};

use crate::outcome::Outcome;

/// What was done about a decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "effect", rename_all = "kebab-case")]
pub enum Effect {
    /// Nothing was to be done.
    Nothing,
    /// Something was to be done, but this is a dry run.
    DryRun,
    /// Something was to be done, and cannot be here: the plan is a recommendation.
    Recommended {
        /// Why, with the remedy.
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
    /// The document could not be published; the plan is dropped, and the next epoch decides anew.
    NotPublished {
        /// Why.
        message: String,
    },
}

/// One decision and what was done about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Counts the epochs of this journal, from 1.
    pub epoch: u64,
    /// When the record was written.
    pub at: Timestamp,
    /// The job.
    pub job: String,
    /// What was done.
    #[serde(flatten)]
    pub effect: Effect,
    /// What was decided.
    pub decision: Decision,
    /// On what; [`None`] if nothing could be seen.
    pub snapshot: Option<Snapshot>,
    /// What the policies remember for the next epoch.
    #[serde(default)]
    pub state: Memory,
    /// Whether that has a plan in it that was not carried out: of a dry run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub imagined: bool,
    /// What became of it, once it is known. Not written with the record, but read with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
}

/// What came after a record was written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FollowUp {
    /// The epoch of the record.
    pub of_epoch: u64,
    /// When this was written.
    pub at: Timestamp,
    /// Whether the document was published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub then: Option<Effect>,
    /// What the policies remember from here on, if it is something else than the record says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<Memory>,
    /// What became of the document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
}

impl Effect {
    /// Returns the generation of the document that is published, or about to be.
    pub fn generation(&self) -> Option<u64> {
        match self {
            Self::Publishing { generation } | Self::Published { generation } => Some(*generation),
            Self::Nothing | Self::DryRun | Self::Recommended { .. } | Self::NotPublished { .. } => None,
        }
    }
}
