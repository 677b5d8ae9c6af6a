//! Parallelism of window operators by the burst of work when their windows fire.
//!
//! Between two firings a window operator only stores records; at a firing a subtask processes everything in its windows. With
//! W records in a subtask's windows and a time c for each, one firing takes F = W·c. The subtask reads no input during that time,
//! so records wait up to F. Two conditions must hold, S being the slide (the time between two firings), u the target utilisation and
//! L the longest wait that a firing may cause:
//!
//! ```text
//! steady   F + (time to store the records of a slide)  ≤ u·S     the work of a slide fits into the slide
//! burst    F                                           ≤ L      no record waits longer than allowed
//! ```
//!
//! A subtask's share of the keys, and with it W and F, falls in proportion to effective(p), the number of even shares
//! (see [`crate::key_groups`]). So from today's p to a new p′
//!
//! ```text
//! steady   effective(p′) ≥ effective(p) · (busy share ÷ u)      (busy share = left side of `steady` ÷ S, as it is measured)
//! burst    effective(p′) ≥ effective(p) · (F ÷ L)
//! ```
//!
//! and the larger one applies. If F is measured, neither the slide nor the cost of a record must be known; else F is the number of records
//! in a window times the mean time of a record. In event time a window contains the events of its span however slowly they are
//! processed, so F does not grow with a backlog. Adding two subtasks, as policy `latency` does, is too little when F is many times L, and too
//! much when the operator is slow for another reason.
//!
//! If p′ exceeds the maximum, or the windows are not keyed, more subtasks are useless. Fewer records per firing help: aggregate before the
//! window, or fire more often.

use crate::Operator;

/// How long a firing keeps a subtask from its input, in milliseconds, if that is known: as measured, p99 over the firings of the slowest
/// subtask, else records in a window × mean time of a record.
pub fn firing_ms(operator: &Operator) -> Option<f64> {
    let of_subtasks = operator.subtasks.iter().filter_map(|subtask| subtask.firing_ms.as_ref()?.high());
    let slowest = of_subtasks
        .fold(None, |slowest: Option<f64>, ms| Some(slowest.map_or(ms, |slowest| slowest.max(ms))));
    let measured = slowest.or_else(|| operator.firing_ms?.high());
    let computed = || Some(operator.window_records?.high()? * operator.processing_ms?.mean?);
    measured.or_else(computed).filter(|ms| ms.is_finite() && *ms >= 0.0)
}

/// How many evenly loaded subtasks the burst condition asks for, `effective` being today's.
pub fn for_burst(effective: f64, firing_ms: f64, firing_max_ms: f64) -> f64 {
    effective * firing_ms / firing_max_ms
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Distribution, Subtask};

    fn distribution(p99: f64) -> Option<Distribution> {
        Some(Distribution { p99: Some(p99), mean: Some(p99 / 2.0), ..Distribution::default() })
    }

    /// Goal: the slowest subtask's firing counts; without one the operator's, without that the product; else unknown.
    #[test]
    fn the_best_known_firing_time_counts() {
        let mut operator = Operator { window_records: distribution(1000.0), ..Operator::default() };
        assert_eq!(firing_ms(&operator), None);
        operator.processing_ms = distribution(0.5);
        assert_eq!(firing_ms(&operator), Some(250.0));
        operator.firing_ms = distribution(300.0);
        assert_eq!(firing_ms(&operator), Some(300.0));
        let of = |ms| Subtask { firing_ms: distribution(ms).map(Box::new), ..Subtask::default() };
        operator.subtasks = vec![of(200.0), of(400.0), Subtask::default()];
        assert_eq!(firing_ms(&operator), Some(400.0));
    }

    /// Goal: a firing four times as long as allowed asks for four times the subtasks.
    #[test]
    fn the_burst_condition_is_proportional() {
        assert!((for_burst(2.0, 2000.0, 500.0) - 8.0).abs() < 1e-9);
    }
}
