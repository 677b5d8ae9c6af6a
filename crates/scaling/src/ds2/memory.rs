//! State of policy `ds2` across epochs: when its plan was published, since when operators have been too wide or too narrow, the known
//! rates of subtasks, and the effect of each operator's last widening.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::assess::{Assessment, Direction};
use super::{DueAction, Options};
use crate::{Decision, Operator, Snapshot};

/// A single epoch pushes the known rate of a subtask down by at most this factor: a host that is busy for a moment is no slower job.
const RATE_KEPT: f64 = 0.8;
/// A widening that brought less than this share of what was expected was useless.
const LEAST_EFFECT: f64 = 0.2;
/// Epochs that must agree on a rise by less than half, while what arrives can still be carried.
const AGREEING_EPOCHS: u32 = 2;

/// What the policy remembers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// When it acted last, in milliseconds since the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_action_ms: Option<i64>,
    /// Operators that have been too wide without interruption.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    too_wide: BTreeMap<String, TooWide>,
    /// Operators that have been too narrow without interruption, with the number of epochs.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    too_narrow: BTreeMap<String, u32>,
    /// How fast one subtask of each operator is known to be.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    known: BTreeMap<String, KnownRate>,
    /// The last widening of each operator.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    widened: BTreeMap<String, PastScaleOut>,
    /// What one subtask of a source read, in records per second, when its fetchers were the limit last.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    fetched: BTreeMap<String, f64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct TooWide {
    since_ms: i64,
    /// The parallelism at which it is too wide.
    parallelism: u32,
    /// The widest that was wanted since.
    widest: u32,
}

/// The rate of one subtask that is always busy, at this parallelism.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct KnownRate {
    parallelism: u32,
    per_s: f64,
}

/// A widening and what was expected of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct PastScaleOut {
    pub(super) from: u32,
    pub(super) to: u32,
    /// What the operator could carry before, in records per second.
    pub(super) carry_before_per_s: f64,
    /// What it was expected to carry after, in records per second.
    pub(super) carry_expected_per_s: f64,
}

impl PastScaleOut {
    /// Whether the operator at this parallelism carries hardly more than before it was widened.
    pub(super) fn was_useless(&self, parallelism: u32, capacity_per_s: f64) -> bool {
        let gained = capacity_per_s - self.carry_before_per_s;
        parallelism == self.to
            && gained < LEAST_EFFECT * (self.carry_expected_per_s - self.carry_before_per_s)
    }
}

impl Memory {
    /// Remembers that a plan was published.
    pub(super) fn published(&mut self, decision: &Decision, now_ms: i64) {
        self.last_action_ms = Some(now_ms);
        self.too_wide.clear();
        self.too_narrow.clear();
        for operator in &decision.operators {
            let Some(new) = decision.parallelism.get(&operator.name) else { continue };
            self.widened.remove(&operator.name);
            let figure = |name: &str| operator.figures.get(name).copied();
            if let (true, Some(before), Some(expected)) =
                (*new > operator.parallelism, figure("carry_per_s"), figure("carry_expected_per_s"))
            {
                // What was expected is of the wanted parallelism. Limits may have granted less of it.
                let granted = before * f64::from(*new) / f64::from(operator.parallelism.max(1));
                let widened = PastScaleOut {
                    from: operator.parallelism,
                    to: *new,
                    carry_before_per_s: before,
                    carry_expected_per_s: expected.min(granted),
                };
                self.widened.insert(operator.name.clone(), widened);
            }
        }
    }

    /// Remembers the rates of this epoch. They are not used in the first moments after a start.
    pub(super) fn learn(&mut self, assessments: &[Assessment]) {
        for assessment in assessments {
            let Some(figures) = assessment.known.as_ref().filter(|figures| !figures.is_least) else {
                continue;
            };
            let known = KnownRate { parallelism: assessment.parallelism, per_s: figures.true_rate_per_s };
            self.known.insert(assessment.name.clone(), known);
            if figures.is_fetcher_bound {
                self.fetched.insert(assessment.name.clone(), figures.true_rate_per_s);
            }
        }
        let runs = |name: &String| assessments.iter().any(|assessment| assessment.name == *name);
        self.known.retain(|name, _| runs(name));
        self.widened.retain(|name, _| runs(name));
        self.fetched.retain(|name, _| runs(name));
    }

    /// Notes which operators are too wide and too narrow. The wait of every other operator begins anew.
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
        let rising = assessments.iter().filter(|assessment| assessment.direction == Direction::Up);
        let epochs = |name: &String| self.too_narrow.get(name).copied().unwrap_or(0).saturating_add(1);
        self.too_narrow = rising.map(|a| (a.name.clone(), epochs(&a.name))).collect();
    }

    /// The rate of one subtask, of which a single epoch takes no more than a part away.
    pub(super) fn damped(&self, operator: &Operator, measured_per_s: f64) -> f64 {
        let known = self.known.get(&operator.name).filter(|known| known.parallelism == operator.parallelism);
        known.map_or(measured_per_s, |known| measured_per_s.max(RATE_KEPT * known.per_s))
    }

    /// What one subtask of a source reads at most, in records per second, if its fetchers have been the limit.
    pub(super) fn fetched(&self, name: &str) -> Option<f64> {
        self.fetched.get(name).copied()
    }

    /// The last widening of an operator.
    pub(super) fn widened(&self, name: &str) -> Option<&PastScaleOut> {
        self.widened.get(name)
    }

    /// Whether a rise by less than half must be seen once more before it is answered.
    pub(super) fn must_be_confirmed(&self, assessment: &Assessment) -> bool {
        let is_small = f64::from(assessment.wanted) < 1.5 * f64::from(assessment.parallelism);
        let epochs = self.too_narrow.get(&assessment.name).copied().unwrap_or(0);
        is_small && !assessment.is_overloaded && epochs < AGREEING_EPOCHS
    }

    /// Those that have been too wide for long enough, with the widest parallelism that was wanted in that time.
    pub(super) fn due_scale_ins(
        &self,
        options: &Options,
        assessments: &[Assessment],
        now_ms: i64,
    ) -> Vec<DueAction> {
        let wait_ms = milliseconds(options.scale_down_interval_s);
        let is_ripe = |assessment: &Assessment| {
            let too_wide = self.too_wide.get(&assessment.name)?;
            (now_ms.saturating_sub(too_wide.since_ms) >= wait_ms)
                .then(|| DueAction { name: assessment.name.clone(), parallelism: too_wide.widest })
        };
        assessments.iter().filter_map(is_ripe).collect()
    }

    /// A sentence for each operator that is too wide and not yet ripe.
    pub(super) fn waits(&self, options: &Options, ripe: &[DueAction], now_ms: i64) -> Vec<String> {
        let wait_ms = milliseconds(options.scale_down_interval_s);
        self.too_wide
            .iter()
            .filter(|(name, _)| ripe.iter().all(|ripe| ripe.name != **name))
            .map(|(name, too_wide)| {
                let left_s = wait_ms.saturating_sub(now_ms.saturating_sub(too_wide.since_ms)) / 1000;
                format!(
                    "{name} needs only {} of {}, narrowed if that lasts {left_s} s more",
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
