//! Volatile per-phase state (attempts, back-off) of one run of the agent. Safe to lose.

use std::time::Duration;

use jiff::Timestamp;
use service::with_causes;

use crate::backoff::Backoff;
use crate::cluster::EffectError;
use crate::machine::{Attempt, Effect};

/// Volatile state of the current phase.
pub(crate) struct PhaseState {
    pub(crate) attempt: Attempt,
    last_seen: Option<Duration>,
    backoff: Backoff,
}

impl PhaseState {
    pub(crate) fn new(backoff: Backoff, now: Timestamp) -> Self {
        let attempt = Attempt { now, ..Attempt::default() };
        Self { attempt, last_seen: None, backoff }
    }

    /// Counts the time between two observations if Flink answered both: its downtime is not the job's fault.
    /// `elapsed` is monotonic.
    pub(crate) fn flink_answered(&mut self, now: Timestamp, elapsed: Duration) {
        if let Some(last) = self.last_seen.replace(elapsed) {
            self.attempt.waited += elapsed.saturating_sub(last);
        }
        self.attempt.now = now;
    }

    /// Returns the retry delay after a failed observation. `chance` is a random number in `0..=1`.
    pub(crate) fn flink_failed(&mut self, chance: f64) -> Duration {
        self.last_seen = None;
        self.backoff.wait(chance)
    }

    pub(crate) fn note(
        &mut self,
        effect: &Effect,
        result: Result<(), EffectError>,
        poll: Duration,
        chance: f64,
    ) -> Duration {
        if let Effect::StartNode { node } | Effect::StopNode { node } = effect {
            return self.note_node(effect, node, result.err().as_ref());
        }
        match result {
            Ok(()) => {
                self.backoff.reset();
                let is_check = *effect == Effect::Check;
                self.attempt.checked |= is_check;
                self.attempt.asked |= !is_check;
                if is_check { Duration::ZERO } else { poll }
            }
            Err(EffectError::Refused { reason }) => {
                tracing::warn!(%reason, "request refused");
                self.attempt.refused = Some(reason);
                Duration::ZERO
            }
            Err(error @ (EffectError::Unavailable(_) | EffectError::Node { .. })) => {
                let trouble = with_causes(&error);
                if self.attempt.trouble.as_ref() != Some(&trouble) {
                    tracing::warn!("{trouble}; retrying");
                }
                self.attempt.trouble = Some(trouble);
                self.backoff.wait(chance)
            }
        }
    }

    /// Records a node's command, which runs once; its result is observed at Flink.
    fn note_node(&mut self, effect: &Effect, node: &str, error: Option<&EffectError>) -> Duration {
        let problem = error
            .map(|error| std::error::Error::source(error).map_or_else(|| with_causes(error), with_causes));
        if let Some(problem) = &problem {
            tracing::warn!(node, "{problem}");
        }
        let asked = match effect {
            Effect::StopNode { .. } => &mut self.attempt.stopped,
            _ => &mut self.attempt.started,
        };
        asked.insert(node.to_owned(), problem);
        Duration::ZERO
    }
}
