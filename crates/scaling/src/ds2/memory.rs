//! What policy `ds2` remembers from epoch to epoch: when its plan was published, and which operators have been too wide since when.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Assessment, Direction, Options, Ripe};
use crate::Snapshot;

/// What the policy remembers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// When it acted last, in milliseconds since the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_action_ms: Option<i64>,
    /// Operators that have been too wide without interruption.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    too_wide: BTreeMap<String, TooWide>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct TooWide {
    since_ms: i64,
    /// The parallelism at which it is too wide.
    parallelism: u32,
    /// The widest that was wanted since.
    widest: u32,
}

impl Memory {
    /// Remembers that a plan was published.
    pub(super) fn published(&mut self, now_ms: i64) {
        *self = Self { last_action_ms: Some(now_ms), too_wide: BTreeMap::new() };
    }

    /// Notes which operators are too wide. The wait of every other operator begins anew.
    pub(super) fn observe(&mut self, assessments: &[Assessment], now_ms: i64) {
        let narrow = |assessment: &&Assessment| assessment.direction == Direction::Down;
        let entry = |assessment: &Assessment| {
            let before = self
                .too_wide
                .get(&assessment.name)
                .filter(|before| before.parallelism == assessment.parallelism);
            let entry = TooWide {
                since_ms: before.map_or(now_ms, |before| before.since_ms),
                parallelism: assessment.parallelism,
                widest: before.map_or(0, |before| before.widest).max(assessment.wanted),
            };
            (assessment.name.clone(), entry)
        };
        self.too_wide = assessments.iter().filter(narrow).map(entry).collect();
    }

    /// Those that have been too wide for long enough, with the widest parallelism that was wanted in that time.
    pub(super) fn ripe(&self, options: &Options, assessments: &[Assessment], now_ms: i64) -> Vec<Ripe> {
        let wait_ms = milliseconds(options.scale_down_interval_s);
        let is_ripe = |assessment: &Assessment| {
            let too_wide = self.too_wide.get(&assessment.name)?;
            (now_ms.saturating_sub(too_wide.since_ms) >= wait_ms)
                .then(|| Ripe { name: assessment.name.clone(), parallelism: too_wide.widest })
        };
        assessments.iter().filter_map(is_ripe).collect()
    }

    /// A sentence for each operator that is too wide and not yet ripe.
    pub(super) fn waits(&self, options: &Options, ripe: &[Ripe], now_ms: i64) -> Vec<String> {
        let wait_ms = milliseconds(options.scale_down_interval_s);
        self.too_wide
            .iter()
            .filter(|(name, _)| ripe.iter().all(|ripe| ripe.name != **name))
            .map(|(name, too_wide)| {
                let left_s = wait_ms.saturating_sub(now_ms.saturating_sub(too_wide.since_ms)) / 1000;
                format!(
                    "{name} could do with {} of {}, narrowed if so for {left_s} s more",
                    too_wide.widest, too_wide.parallelism
                )
            })
            .collect()
    }

    /// Why it is too early to change anything, if it is.
    pub(super) fn stabilizing(&self, options: &Options, snapshot: &Snapshot, now_ms: i64) -> Option<String> {
        let began = [self.last_action_ms, snapshot.job.running_since_ms].into_iter().flatten().max()?;
        let left_ms =
            began.saturating_add(milliseconds(options.stabilization_interval_s)).saturating_sub(now_ms);
        let left_s = left_ms.saturating_add(999) / 1000;
        (left_ms > 0).then(|| format!("the job settles after a change or a start: {left_s} s left"))
    }
}

fn milliseconds(seconds: u64) -> i64 {
    i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1000)
}
