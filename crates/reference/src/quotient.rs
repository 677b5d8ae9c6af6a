//! Averages, medians and ratios that two programs compute identically to the last bit.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

/// The double nearest to a quotient of two integers; a number in JSON.
///
/// Sums are integers and divided once, so that the order of summation does not matter, and a double written with
/// enough digits survives a round trip. Dividend and divisor are exact as doubles up to 2^53, which is more cents
/// than any stream here contains; up to there the quotient is correctly rounded, by IEEE 754, in every language.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Quotient(f64);

impl Quotient {
    /// Returns `dividend / divisor`; the divisor must not be 0.
    pub(crate) fn new(dividend: i64, divisor: usize) -> Self {
        assert!(divisor > 0, "an average, a median and a ratio need something to divide by");
        Self(dividend as f64 / divisor as f64)
    }

    /// Returns the middle value, or the mean of the two in the middle of an even number. There must be at least one.
    pub(crate) fn median(values: impl IntoIterator<Item = i64>) -> Self {
        let mut sorted: Vec<i64> = values.into_iter().collect();
        sorted.sort_unstable();
        let upper = sorted.len() / 2;
        if sorted.len() % 2 == 1 {
            return Self::new(sorted[upper], 1);
        }
        Self::new(sorted[upper - 1] + sorted[upper], 2)
    }

    /// Returns the quotient as a number.
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
