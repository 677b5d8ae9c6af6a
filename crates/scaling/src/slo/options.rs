//! The options of policy `slo`.

use serde::{Deserialize, Serialize};

/// The options of the policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// The event latency that must not be exceeded, in milliseconds. Without it the policy decides nothing. Where queries of a
    /// job have different bounds, it is the smallest of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_bound_ms: Option<f64>,
    /// κ: one second above the bound costs as much as this many seconds of all present slots.
    pub violation_price: f64,
    /// A narrowing must pay for twice this many seconds of the present slots: for itself and for the way back.
    pub change_price_s: f64,
    /// A widening costs this many seconds of the present slots.
    pub urgent_price_s: f64,
    /// The share of past forecasts that the capacity must have covered, 0 to 1.
    pub headroom_quantile: f64,
    /// The job is widened when the predicted delay exceeds this share of the bound, 0 to 1.
    pub act_at: f64,
    /// How long a slot is assumed to be kept when the cost of adding it is computed, in seconds.
    pub hold_s: f64,
    /// The share of the bound that one firing of a window may take, 0 to 1.
    pub burst_share: f64,
    /// Every further subtask must add at least this share of what a present one carries, 0 to 1.
    pub least_yield: f64,
    /// After a start of the job nothing is decided for this time, in seconds.
    pub settle_s: u64,
    /// The length of an epoch where the configuration sets none, in seconds.
    pub epoch_s: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            latency_bound_ms: None,
            violation_price: 10.0,
            change_price_s: 240.0,
            urgent_price_s: 60.0,
            headroom_quantile: 0.95,
            act_at: 0.2,
            hold_s: 600.0,
            burst_share: 0.3,
            least_yield: 0.15,
            settle_s: 10,
            epoch_s: 5,
        }
    }
}

impl Options {
    /// Returns the defaults with this bound, in milliseconds.
    pub fn with_bound(latency_bound_ms: f64) -> Self {
        Self { latency_bound_ms: Some(latency_bound_ms), ..Self::default() }
    }

    /// Returns every option that is out of its range, as `(option, what would be right)`.
    pub fn problems(&self) -> Vec<(&'static str, &'static str)> {
        let within = |value: f64, low: f64, high: f64| value.is_finite() && value >= low && value <= high;
        let price = |value: f64| within(value, 0.0, 1e6);
        [
            (
                self.latency_bound_ms.is_none_or(|ms| within(ms, 1.0, 86_400_000.0)),
                "latency_bound_ms",
                "give a number from 1 to 86400000",
            ),
            (price(self.violation_price), "violation_price", "give a number from 0 to 1000000"),
            (price(self.change_price_s), "change_price_s", "give a number from 0 to 1000000"),
            (price(self.urgent_price_s), "urgent_price_s", "give a number from 0 to 1000000"),
            (
                within(self.headroom_quantile, 0.5, 0.999),
                "headroom_quantile",
                "give a number from 0.5 to 0.999",
            ),
            (within(self.act_at, 0.01, 1.0), "act_at", "give a number from 0.01 to 1"),
            (within(self.hold_s, 1.0, 86_400.0), "hold_s", "give a number from 1 to 86400"),
            (within(self.burst_share, 0.01, 1.0), "burst_share", "give a number from 0.01 to 1"),
            (within(self.least_yield, 0.0, 1.0), "least_yield", "give a number from 0 to 1"),
            (self.settle_s <= 3600, "settle_s", "give a number up to 3600"),
            ((1..=3600).contains(&self.epoch_s), "epoch_s", "give a number from 1 to 3600"),
        ]
        .into_iter()
        .filter(|(right, ..)| !right)
        .map(|(_, option, remedy)| (option, remedy))
        .collect()
    }

    /// The bound, in seconds.
    pub(super) fn bound_s(&self) -> Option<f64> {
        self.latency_bound_ms.map(|ms| ms / 1000.0)
    }
}
