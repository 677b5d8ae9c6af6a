//! The section `[epoch]` of a configuration: how long epochs are, and how often the job is sampled in them.

use serde::{Deserialize, Serialize};

use crate::selection::Policies;

/// The most samples that are kept in an epoch.
const SAMPLES_MAX: u64 = 10_000;

/// `[epoch]`
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Epoch {
    /// Length of an epoch, which ends with one decision, in milliseconds; absent: the policy's preference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub length_ms: Option<u64>,
    /// Length of the first epoch after a start, for a quick first decision, in milliseconds; never longer than the others.
    pub first_ms: u64,
    /// Sampling interval, in milliseconds.
    pub sample_interval_ms: u64,
    /// Age of a task from which its readings are used, in milliseconds.
    pub warm_up_ms: u64,
}

impl Default for Epoch {
    fn default() -> Self {
        Self { length_ms: None, first_ms: 10_000, sample_interval_ms: 2_000, warm_up_ms: 10_000 }
    }
}

impl Epoch {
    /// Returns the length of an epoch under the configured policy, in milliseconds.
    pub fn effective_length_ms(&self, policies: &Policies) -> u64 {
        self.length_ms.unwrap_or_else(|| policies.epoch_ms())
    }

    /// Returns every value out of range, as `key: valid values`.
    pub fn problems(&self, policies: &Policies) -> Vec<String> {
        let length_ms = self.effective_length_ms(policies);
        let checks = [
            (self.sample_interval_ms >= 100, "epoch.sample_interval_ms: give a number from 100 on"),
            (
                length_ms >= self.sample_interval_ms.saturating_mul(2),
                "epoch.length_ms: must be at least twice epoch.sample_interval_ms, so that rates can be computed",
            ),
            (
                length_ms / self.sample_interval_ms.max(1) <= SAMPLES_MAX,
                "epoch.sample_interval_ms: at most 10000 samples are kept in an epoch; raise it",
            ),
        ];
        checks.iter().filter(|(right, _)| !right).map(|(_, problem)| (*problem).to_owned()).collect()
    }
}
