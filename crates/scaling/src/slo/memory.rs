//! State of policy `slo` across epochs, small enough for every line of the journal.
//!
//! It contains only inputs of formulas: 32 minutes of arrivals in bins of 10 s, error histograms without empty classes, the readings of
//! the last half minute, a few parallelisms per operator, and of the past needs only those that are larger than all later ones. Figures
//! are rounded to five significant digits, so that a round trip through the journal changes nothing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::arrivals::Arrivals;
use super::changes::Changes;
use super::forecast::Errors;
use super::measure::{self, OperatorMemory};
use super::needs::NeededParallelism;
use crate::Snapshot;

/// λ after a change is the rate over so many seconds.
const SINCE_CHANGE_S: i64 = 5;

/// Clocks differ by no more than this; one that is set back by more begins a new memory, in milliseconds.
const BACK_MS: i64 = 60_000;

/// What the policy remembers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// When a snapshot was observed last, in milliseconds since the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) observed_at_ms: Option<i64>,
    /// The times between the newest three observations, in milliseconds.
    pub(super) epochs_ms: Vec<i64>,
    pub(super) arrivals: Arrivals,
    pub(super) errors: Errors,
    /// When the readings of the operators began and ended, in milliseconds since the Unix epoch.
    pub(super) spans: Vec<(i64, i64)>,
    /// Whether the service times have stopped falling since the job started.
    pub(super) is_warm: bool,
    pub(super) operators: BTreeMap<String, OperatorMemory>,
    pub(super) needs: NeededParallelism,
    pub(super) changes: Changes,
}

impl Memory {
    /// Returns whether nothing has been observed yet.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The length of an epoch, in milliseconds: the shorter of the newest two, as one of them may contain a pause.
    pub(super) fn epoch_ms(&self, preferred_s: u64) -> i64 {
        let preferred_ms = i64::try_from(preferred_s).unwrap_or(5).saturating_mul(1000);
        self.epochs_ms.iter().copied().min().unwrap_or(preferred_ms).clamp(1, 3_600_000)
    }

    /// The time as it is for this memory: it stands still while a clock is behind what was observed.
    pub(super) fn now_ms(&self, clock_ms: i64) -> i64 {
        self.observed_at_ms.map_or(clock_ms, |observed_ms| observed_ms.max(clock_ms))
    }

    /// Remembers when this snapshot was observed, and returns the time. A clock that was set back by more than a minute makes
    /// everything worthless that has a time: the memory begins anew.
    pub(super) fn observed(&mut self, clock_ms: i64) -> i64 {
        if self.observed_at_ms.is_some_and(|observed_ms| observed_ms.saturating_sub(clock_ms) > BACK_MS) {
            *self = Self::default();
        }
        let now_ms = self.now_ms(clock_ms);
        if let Some(before_ms) = self.observed_at_ms.filter(|before_ms| *before_ms < now_ms) {
            self.epochs_ms.push(now_ms - before_ms);
            let surplus = self.epochs_ms.len().saturating_sub(2);
            self.epochs_ms.drain(..surplus);
        }
        self.observed_at_ms = Some(now_ms);
        now_ms
    }

    /// Remembers what a snapshot shows of starts, arrivals, operators and the backlog.
    pub(super) fn observe_metrics(&mut self, snapshot: &Snapshot, now_ms: i64, epoch_ms: i64) {
        if self.changes.observe_start(snapshot, now_ms) {
            self.arrivals.restarted();
            self.spans.clear();
            self.operators.values_mut().for_each(OperatorMemory::restarted);
            self.is_warm = false;
            self.needs.clear();
        }
        for bin in self.arrivals.observe(snapshot, now_ms, epoch_ms) {
            self.errors.judge(&self.arrivals, bin);
        }
        measure::observe(self, snapshot, now_ms, epoch_ms);
        self.changes.observe_backlog(snapshot, self.arrivals.rate(SINCE_CHANGE_S), now_ms);
    }
}

/// When the job last entered RUNNING, unless that is in the future by more than clocks differ.
pub(super) fn running_since_ms(snapshot: &Snapshot, now_ms: i64) -> Option<i64> {
    snapshot.job.running_since_ms.filter(|since_ms| *since_ms <= now_ms.saturating_add(BACK_MS))
}

/// Returns the value rounded to five significant digits; 0 for what is no finite number or too small to matter.
pub(super) fn short(value: f64) -> f64 {
    let size = value.abs();
    if !value.is_finite() || size < 1e-15 {
        return 0.0;
    }
    let digits = 4 - usual_exponent(size).unwrap_or_else(|| exponent(size));
    let exact = usize::try_from(digits.abs()).ok().and_then(|index| POWERS.get(index)).copied();
    let power = exact.unwrap_or_else(|| 10_f64.powi(digits.abs()));
    if digits >= 0 { (value * power).round() / power } else { (value / power).round() * power }
}

/// The powers of ten that are exact as `f64`.
const POWERS: [f64; 23] = [
    1.0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
    1e19, 1e20, 1e21, 1e22,
];

/// The decimal exponent of a positive number.
#[expect(clippy::cast_possible_truncation, reason = "a decimal exponent of an f64")]
fn exponent(size: f64) -> i32 {
    size.log10().floor() as i32
}

/// The decimal exponent of a positive number without a logarithm; [`None`] for very large numbers, and near a power of ten, where rounding of
/// the logarithm decides.
fn usual_exponent(size: f64) -> Option<i32> {
    const NEAR: f64 = 1e-12;
    // Of 2^b ≤ size < 2^(b+1); 1233 ÷ 4096 is the logarithm of 2, closely enough for these exponents.
    let binary = i32::try_from(size.to_bits() >> 52).ok()? - 1023;
    let guess = (binary * 1233) >> 12;
    let power = |exponent: i32| {
        let index = usize::try_from(exponent.abs()).ok()?;
        let power = *POWERS.get(index)?;
        Some(if exponent < 0 { 1.0 / power } else { power })
    };
    let next = power(guess + 1)?;
    let (below, above, exponent) =
        if size >= next { (next, power(guess + 2)?, guess + 1) } else { (power(guess)?, next, guess) };
    let is_clear = size > below * (1.0 + NEAR) && size < above * (1.0 - NEAR);
    is_clear.then_some(exponent)
}

/// Returns the value if it is a finite number that is not negative and not absurdly large.
pub(super) fn sane(value: Option<f64>) -> Option<f64> {
    value.filter(|value| (0.0..=1e15).contains(value))
}

/// Milliseconds as seconds.
#[expect(clippy::cast_precision_loss, reason = "times of far less than 2^52 ms")]
pub(super) fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: rounding keeps five digits at any magnitude, is idempotent, and survives JSON.
    #[test]
    fn five_digits_are_kept() {
        for (value, rounded) in [
            (1.0, 1.0),
            (123_456.0, 123_460.0),
            (0.000_012_345_67, 0.000_012_346),
            (-9.999_999, -10.0),
            (0.0, 0.0),
        ] {
            assert_eq!(short(value).to_bits(), f64::to_bits(rounded), "{value}");
            assert_eq!(short(short(value)).to_bits(), short(value).to_bits());
            let text = serde_json::to_string(&short(value)).unwrap();
            assert_eq!(
                serde_json::from_str::<f64>(&text).unwrap().to_bits(),
                short(value).to_bits(),
                "{text}"
            );
        }
        assert_eq!(short(f64::NAN).to_bits(), 0);
    }

    /// Goal: the exponent that is found without a logarithm is that of the logarithm, for numbers of all sizes and close to powers of ten.
    #[test]
    fn exponents_are_those_of_the_logarithm() {
        let mut random = 0x9E37_79B9_7F4A_7C15_u64;
        let mut known = 0;
        for number in 0..200_000_u32 {
            random = random.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
            let mantissa = 1.0 + f64::from(u32::try_from(random >> 33).unwrap()) / f64::from(1_u32 << 31);
            let mut size = mantissa * 2_f64.powi(i32::try_from(number % 120).unwrap() - 55);
            if number % 3 == 0 {
                let power = 10_f64.powi(i32::try_from(number % 34).unwrap() - 15);
                size = power * (1.0 + (mantissa - 1.5) * 10_f64.powi(-(i32::try_from(number % 18).unwrap())));
            }
            if let Some(found) = usual_exponent(size) {
                assert_eq!(found, exponent(size), "{size:e}");
                known += 1;
            }
        }
        assert!(known > 150_000, "{known}");
    }
}
