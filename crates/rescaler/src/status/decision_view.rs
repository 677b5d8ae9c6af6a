//! A decision without the snapshot and the policy's memory, which are large.

use jiff::Timestamp;
use scaling::{Action, Decision};
use serde::{Deserialize, Serialize};

use control::{Effect, FollowUp, Record};

/// What became of a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DecisionOutcome {
    /// No plan.
    Nothing,
    /// A plan in a dry run, which publishes nothing.
    DryRun,
    /// A plan that cannot be carried out here.
    Recommended,
    /// The document is being published.
    Publishing,
    /// The document was published.
    Published,
    /// The document could not be published.
    NotPublished,
}

impl DecisionOutcome {
    /// All outcomes, for metrics that start at 0.
    pub const ALL: [Self; 6] = [
        Self::Nothing,
        Self::DryRun,
        Self::Recommended,
        Self::Publishing,
        Self::Published,
        Self::NotPublished,
    ];

    pub(crate) fn from_effect(effect: &Effect) -> Self {
        match effect {
            Effect::Nothing => Self::Nothing,
            Effect::DryRun => Self::DryRun,
            Effect::Recommended { .. } => Self::Recommended,
            Effect::Publishing { .. } => Self::Publishing,
            Effect::Published { .. } => Self::Published,
            Effect::NotPublished { .. } => Self::NotPublished,
        }
    }

    /// Returns the name in JSON and in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::DryRun => "dry-run",
            Self::Recommended => "recommended",
            Self::Publishing => "publishing",
            Self::Published => "published",
            Self::NotPublished => "not-published",
        }
    }
}

/// A decision for the page and the interface.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DecisionView {
    /// Number of the epoch in the journal, from 1.
    pub epoch: u64,
    /// Time of the record.
    pub at: Timestamp,
    /// Outcome of the decision.
    pub outcome: DecisionOutcome,
    /// The generation of the document, if one was published.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// Why the document was not published.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The plan and its reasons in one line.
    pub headline: String,
    /// The decision with all figures; of an older one on many operators without what was found of each.
    pub decision: Decision,
    /// Result of the published change, once it has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<control::ChangeOutcome>,
}

impl DecisionView {
    /// Returns the view of a record.
    pub fn from_record(record: &Record) -> Self {
        let (generation, message) = details(&record.effect);
        Self {
            epoch: record.epoch,
            at: record.at,
            outcome: DecisionOutcome::from_effect(&record.effect),
            generation,
            message,
            headline: record.decision.to_string(),
            decision: record.decision.clone(),
            result: record.outcome.clone(),
        }
    }

    /// Adds the outcome that was recorded later.
    pub(super) fn follow(&mut self, follow_up: &FollowUp) {
        if let Some(effect) = &follow_up.then {
            self.outcome = DecisionOutcome::from_effect(effect);
            let (generation, message) = details(effect);
            (self.generation, self.message) = (generation.or(self.generation), message);
        }
        self.result = follow_up.outcome.clone().or(self.result.take());
    }

    /// How many operators and rejected alternatives it tells of.
    pub(super) fn reports(&self) -> usize {
        self.decision.operators.len() + self.decision.rejected.len()
    }

    /// Leaves the plan and its reasons.
    pub(super) fn forget_operators(&mut self) {
        (self.decision.operators, self.decision.rejected) = (Vec::new(), Vec::new());
    }

    /// Whether there was a plan.
    pub fn is_plan(&self) -> bool {
        self.decision.action == Action::Rescale
    }
}

/// Returns the generation of the document, and why it was not published.
fn details(effect: &Effect) -> (Option<u64>, Option<String>) {
    match effect {
        Effect::Publishing { generation } | Effect::Published { generation } => (Some(*generation), None),
        Effect::NotPublished { message } | Effect::Recommended { message } => (None, Some(message.clone())),
        Effect::Nothing | Effect::DryRun => (None, None),
    }
}
