//! Distributions of durations with bounded memory, and cheap to fill where many durations in a row are the same.

use hdrhistogram::Histogram;

/// The longest duration told apart, µs: one hour. Longer ones count as this.
const LONGEST_US: u64 = 3_600_000_000;

/// Durations in µs, with three significant digits.
#[derive(Debug, Clone)]
pub(crate) struct Durations(Histogram<u64>);

impl Durations {
    #[expect(
        clippy::expect_used,
        reason = "the bounds and the number of digits are constants that are allowed"
    )]
    pub(crate) fn new() -> Self {
        Durations(Histogram::new_with_bounds(1, LONGEST_US, 3).expect("valid bounds"))
    }

    pub(crate) fn record_us(&mut self, us: u64, times: u64) {
        self.0.saturating_record_n(us, times);
    }

    pub(crate) fn add(&mut self, other: &Durations) {
        // Both have the same bounds, so that every value of the one fits the other.
        let added = self.0.add(&other.0);
        debug_assert!(added.is_ok());
    }

    pub(crate) fn clear(&mut self) {
        self.0.reset();
    }

    /// The value that this share of the durations does not exceed, µs; 0 if there are none.
    pub(crate) fn quantile_us(&self, share: f64) -> u64 {
        self.0.value_at_quantile(share)
    }

    /// The longest, µs.
    pub(crate) fn max_us(&self) -> u64 {
        self.0.max()
    }
}

/// Equal durations in a row, recorded together: records that were emitted together are acknowledged together.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Run {
    us: u64,
    times: u64,
}

impl Run {
    #[inline]
    pub(crate) fn record_us(&mut self, us: u64, into: &mut Durations) {
        if us != self.us {
            self.end(into);
            self.us = us;
        }
        self.times += 1;
    }

    /// Records what is left.
    pub(crate) fn end(&mut self, into: &mut Durations) {
        if self.times > 0 {
            into.record_us(self.us, self.times);
            self.times = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_records_what_single_records_would() {
        let (mut single, mut together, mut run) = (Durations::new(), Durations::new(), Run::default());
        for us in [0, 0, 7, 7, 7, 3, 0, LONGEST_US + 5, 7] {
            single.record_us(us, 1);
            run.record_us(us, &mut together);
        }
        run.end(&mut together);
        run.end(&mut together);
        assert_eq!(single.0, together.0);
        assert_eq!((together.quantile_us(0.5), together.max_us()), (7, single.max_us()));
    }
}
