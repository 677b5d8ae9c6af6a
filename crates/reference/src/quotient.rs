//! Averages, medians and ratios so that two programs can agree on them to the last bit.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

/// The double nearest to a quotient of two integers. In JSON it is a number.
///
/// Sums are made of integers and divided once, so that no order of summation matters, and a double that is written with
/// enough digits and read again is the same. Dividend and divisor are doubles exactly up to 2^53, which is more cents than
/// any stream here contains; up to there the quotient is correctly rounded, by IEEE 754, in every language.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Quotient(f64);

impl Quotient {
    /// `dividend / divisor`; the divisor is not 0.
    pub(crate) fn of(dividend: i64, divisor: usize) -> Self {
        assert!(divisor > 0, "an average, a median and a ratio need something to divide by");
        Self(dividend as f64 / divisor as f64)
    }

    /// The middle one of the values; of an even number the mean of the two in the middle. There is at least one.
    pub(crate) fn median(values: impl IntoIterator<Item = i64>) -> Self {
        let mut sorted: Vec<i64> = values.into_iter().collect();
        sorted.sort_unstable();
        let upper = sorted.len() / 2;
        if sorted.len() % 2 == 1 {
            return Self::of(sorted[upper], 1);
        }
        Self::of(sorted[upper - 1] + sorted[upper], 2)
    }

    /// As a number.
    pub fn to_f64(self) -> f64 {
        self.0
    }
}

impl Ord for Quotient {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl PartialOrd for Quotient {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Quotient {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Quotient {}
