//! Restores the state of the loop from its journal after a restart.

use std::sync::Arc;

use jiff::Timestamp;
use scaling::{Decision, Memory};
use serde::Deserialize;

use crate::control_loop::{Pending, ResumedState, Unconfirmed};
use crate::drift::RESTORE;
use crate::record::{Effect, FollowUp};

/// What a restart needs of a line of the journal.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum JournalLine {
    /// A record.
    Record(Box<ResumeRecord>),
    /// An addition to a record.
    FollowUp(FollowUp),
}

/// The part of a record that a restart needs.
#[derive(Debug, Deserialize)]
pub struct ResumeRecord {
    epoch: u64,
    at: Timestamp,
    #[serde(flatten)]
    effect: Effect,
    decision: Option<Decision>,
    #[serde(default)]
    state: Arc<Memory>,
    #[serde(default)]
    imagined: bool,
    #[serde(default)]
    restored: Vec<Timestamp>,
}

impl ResumeRecord {
    /// Returns the record's plan whose outcome is unknown, if any.
    fn pending(self) -> Option<Pending> {
        let (epoch, at) = (self.epoch, self.at);
        let is_restore = self.decision.as_ref().is_some_and(|decision| decision.policy == RESTORE);
        let unconfirmed = |decision| Unconfirmed { decision, at, entity_tag: None };
        match self.effect {
            Effect::Publishing { generation } => {
                let unconfirmed = self.decision.map(unconfirmed);
                Some(Pending { epoch, generation, unconfirmed, is_restore })
            }
            Effect::Published { generation } => {
                Some(Pending { epoch, generation, unconfirmed: None, is_restore })
            }
            Effect::Nothing | Effect::DryRun | Effect::Recommended { .. } | Effect::NotPublished { .. } => {
                None
            }
        }
    }
}

impl ResumedState {
    fn note_published(&mut self, effect: &Effect) {
        if let Effect::Published { generation } = effect {
            self.generation = self.generation.max(*generation);
        }
    }
}

/// Restores the loop's state from the lines of a journal, oldest first.
pub fn resume(lines: impl IntoIterator<Item = JournalLine>) -> ResumedState {
    let mut resumed = ResumedState::default();
    for line in lines {
        match line {
            JournalLine::Record(record) => {
                (resumed.epoch, resumed.memory) = (record.epoch, record.state.clone());
                resumed.imagined = record.imagined;
                resumed.note_published(&record.effect);
                resumed.restored.clone_from(&record.restored);
                resumed.pending = record.pending().or(resumed.pending);
            }
            JournalLine::FollowUp(follow_up) => {
                if let Some(effect) = &follow_up.then {
                    resumed.note_published(effect);
                }
                resumed.memory = follow_up.state.unwrap_or(resumed.memory);
                let is_over = follow_up.outcome.is_some()
                    || matches!(follow_up.then, Some(Effect::NotPublished { .. }));
                let is_about = |pending: &Pending| pending.epoch == follow_up.of_epoch;
                if matches!(follow_up.then, Some(Effect::NotPublished { .. }))
                    && resumed.pending.as_ref().is_some_and(|pending| pending.is_restore && is_about(pending))
                {
                    resumed.restored.pop();
                }
                resumed.pending = resumed.pending.filter(|pending| !(is_over && is_about(pending)));
                if let Some(pending) = resumed.pending.as_mut().filter(|pending| is_about(pending))
                    && matches!(follow_up.then, Some(Effect::Published { .. }))
                {
                    pending.unconfirmed = None;
                }
            }
        }
    }
    resumed
}
