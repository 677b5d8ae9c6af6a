//! What the snapshot of a large job tells of its subtasks: with 100,000 of them every further figure, and every digit, counts in memory
//! and in the journal.

use super::{Distribution, Snapshot, Subtask};

/// Number of subtasks above which a job is large.
const LARGE_JOB_SUBTASKS: usize = 10_000;

/// A rounded figure has at least this many of its smallest unit: 4 significant digits.
const SIGNIFICANT: f64 = 1_000.0;

/// No figure is rounded to less than a thousandth of its unit.
const PARTS: f64 = 1_000.0;

impl Snapshot {
    /// Whether a job with this number of subtasks is large, so that its subtasks are to be reduced ([`Subtask::reduce`]).
    pub fn is_large(subtasks: usize) -> bool {
        subtasks > LARGE_JOB_SUBTASKS
    }
}

impl Subtask {
    /// Leaves only the figures that the policies decide on, those that explain them, and not more digits than a measurement has: records
    /// and durations with 4 significant digits, shares of time to 0.001, times with 3 significant digits. What is left out is known of the
    /// operator as a whole; the idle share is what the other two leave.
    ///
    /// A policy must get the figures as they are recorded, or a replay decides otherwise: reduce before deciding.
    pub fn reduce(&mut self) {
        let firing_ms = self.firing_ms.take().map(|firing| {
            let max = firing.max.map(rounded);
            let mean = firing.mean.map(rounded).filter(|_| max.is_none());
            Box::new(Distribution { mean, max, ..Distribution::default() })
        });
        *self = Self {
            records_in: self.records_in.map(rounded),
            records_out: self.records_out.map(rounded),
            interval_ms: self.interval_ms.map(rounded_ms),
            busy_ratio: self.busy_ratio.map(rounded_ratio),
            backpressured_ratio: self.backpressured_ratio.map(rounded_ratio),
            pending_records: self.pending_records.map(rounded),
            partitions: self.partitions,
            firing_ms,
            task_manager: self.task_manager.take(),
            reading: self.reading.take(),
            ..Self::default()
        };
    }
}

/// Rounds to 4 significant digits, but no finer than to 0.001. The result is the number nearest to its decimal form.
fn rounded(value: f64) -> f64 {
    if !value.is_finite() {
        return value;
    }
    let (mut unit, mut parts) = (1.0, 1.0);
    while value.abs() / unit >= SIGNIFICANT * 10.0 {
        unit *= 10.0;
    }
    while value.abs() * parts < SIGNIFICANT && parts < PARTS {
        parts *= 10.0;
    }
    if unit > 1.0 { (value / unit).round() * unit } else { (value * parts).round() / parts }
}

fn rounded_ratio(ratio: f64) -> f64 {
    (ratio * PARTS).round() / PARTS
}

/// Rounds to 3 significant digits.
fn rounded_ms(ms: i64) -> i64 {
    let mut unit = 1;
    while (ms / unit).abs() >= 1_000 {
        unit *= 10;
    }
    ms.saturating_add(unit / 2) / unit * unit
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: a figure keeps its significant digits, a small one its thousandths, and rounding again changes nothing.
    #[test]
    fn figures_keep_four_digits() {
        let cases = [
            (0.0, 0.0),
            (7.0, 7.0),
            (9_999.0, 9_999.0),
            (60_123.0, 60_120.0),
            (60_125.0, 60_130.0),
            (99_999.0, 100_000.0),
            (12_345_678_901.0, 12_350_000_000.0),
            (0.123_456, 0.123),
            (12.345_6, 12.35),
            (999.96, 1_000.0),
        ];
        for (value, expected) in cases {
            assert_eq!((rounded(value), rounded(expected)), (expected, expected), "{value}");
        }
        assert!(rounded(f64::NAN).is_nan() && rounded(f64::INFINITY).is_infinite());
        let times = [
            (0, 0),
            (999, 999),
            (10_014, 10_000),
            (119_749, 120_000),
            (i64::MAX, i64::MAX / 10_i64.pow(16) * 10_i64.pow(16)),
        ];
        for (ms, expected) in times {
            assert_eq!(rounded_ms(ms), expected, "{ms}");
        }
    }

    /// Goal: what policies decide on remains known: records, busy time, backlog, partitions and the longest firing.
    #[test]
    fn what_is_decided_on_remains() {
        let firing = Distribution {
            count: Some(3.0),
            sum: Some(60.0),
            mean: Some(20.0),
            max: Some(41.234_56),
            ..Distribution::default()
        };
        let full = Subtask {
            records_in: Some(60_123.0),
            records_out: Some(30_061.0),
            interval_ms: Some(119_749),
            busy_ratio: Some(0.612_345),
            idle_ratio: Some(0.287_655),
            backpressured_ratio: Some(0.1),
            watermark_lag_ms: Some(5.0),
            pending_records: Some(10.0),
            partitions: Some(2),
            processing_ms: Some(Box::new(firing)),
            firing_ms: Some(Box::new(firing)),
            ..Subtask::default()
        };
        let mut reduced = full.clone();
        reduced.reduce();
        let expected = Subtask {
            records_in: Some(60_120.0),
            records_out: Some(30_060.0),
            interval_ms: Some(120_000),
            busy_ratio: Some(0.612),
            backpressured_ratio: Some(0.1),
            pending_records: Some(10.0),
            partitions: Some(2),
            firing_ms: Some(Box::new(Distribution { max: Some(41.23), ..Distribution::default() })),
            ..Subtask::default()
        };
        assert_eq!(reduced, expected);
        reduced.reduce();
        assert_eq!(reduced, expected);
    }
}
