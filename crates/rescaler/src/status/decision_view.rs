//! A decision as it is told: everything of the record but the snapshot and the policy's memory, which are large.

use jiff::Timestamp;
use scaling::{Action, Decision};
use serde::{Deserialize, Serialize};

use control::{Effect, FollowUp, Record};

/// What became of a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DecisionOutcome {
    /// Nothing was to be done.
    Nothing,
    /// There was a plan, and nothing was published: a dry run.
    DryRun,
    /// There was a plan, and it cannot be carried out here.
    Recommended,
    /// The document is being published.
    Publishing,
    /// The document was published.
    Published,
    /// The document could not be published.
    NotPublished,
}

impl DecisionOutcome {
    /// All of them, for metrics that are present before they are counted.
    pub const ALL: [Self; 6] = [
        Self::Nothing,
        Self::DryRun,
        Self::Recommended,
        Self::Publishing,
        Self::Published,
        Self::NotPublished,
    ];

    pub(crate) fn of(effect: &Effect) -> Self {
        match effect {
            Effect::Nothing => Self::Nothing,
            Effect::DryRun => Self::DryRun,
            Effect::Recommended { .. } => Self::Recommended,
            Effect::Publishing { .. } => Self::Publishing,
            Effect::Published { .. } => Self::Published,
            Effect::NotPublished { .. } => Self::NotPublished,
        }
    }

    /// Its name in JSON and in metrics.
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

/// One decision, for people.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DecisionView {
    /// Counts the epochs of the journal, from 1.
    pub epoch: u64,
    /// When it was recorded.
    pub at: Timestamp,
    /// What became of it.
    pub outcome: DecisionOutcome,
    /// The generation of the document, if one was published.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// Why the document was not published.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The plan and its reasons in one line.
    pub headline: String,
    /// What was decided, with every figure.
    pub decision: Decision,
    /// How the published change went, once it is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<control::ChangeOutcome>,
}

impl DecisionView {
    /// What is told of a record.
    pub fn of(record: &Record) -> Self {
        let (generation, message) = details(&record.effect);
        Self {
            epoch: record.epoch,
            at: record.at,
            outcome: DecisionOutcome::of(&record.effect),
            generation,
            message,
            headline: record.decision.to_string(),
            decision: record.decision.clone(),
            result: record.outcome.clone(),
        }
    }

    /// Adds what came after the record was written.
    pub(super) fn follow(&mut self, follow_up: &FollowUp) {
        if let Some(effect) = &follow_up.then {
            self.outcome = DecisionOutcome::of(effect);
            let (generation, message) = details(effect);
            (self.generation, self.message) = (generation.or(self.generation), message);
        }
        self.result = follow_up.outcome.clone().or(self.result.take());
    }

    /// Whether there was a plan.
    pub fn is_plan(&self) -> bool {
        self.decision.action == Action::Rescale
    }
}

/// The generation of the document, and why it was not published.
fn details(effect: &Effect) -> (Option<u64>, Option<String>) {
    match effect {
        Effect::Publishing { generation } | Effect::Published { generation } => (Some(*generation), None),
        Effect::NotPublished { message } | Effect::Recommended { message } => (None, Some(message.clone())),
        Effect::Nothing | Effect::DryRun => (None, None),
    }
}
