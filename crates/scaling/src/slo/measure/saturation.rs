//! The rate of a saturated operator: its throughput while it back-pressures its inputs.
//!
//! An operator is saturated if it is not held back (< 2 %) and one that feeds it is (> 25 %); a source, if its backlog is worth more than
//! 2 s of its rate from the beginning of a reading to its end. Of the readings of the window those count in which it is most saturated:
//! a window that also holds the time before a rise of the load would make a mean rate, and the operator would seem to carry less than it
//! does.

use super::{Memory, Operator, Reading, seconds};
use crate::Kind;

/// An operator that is held back for a larger share of its time limits nothing.
const HELD_MAX: f64 = 0.02;
/// An operator that feeds a saturated one is held back for a larger share of its time.
const INPUT_HELD_MIN: f64 = 0.25;
/// A saturated source has a backlog of more than so many seconds of its rate.
const BACKLOG_MIN_S: f64 = 2.0;
/// Readings count whose input is held back for at least this part of what it is at most.
const MOST_SATURATED: f64 = 0.9;
/// The shortest time that shows a rate, in seconds.
const LEAST_S: f64 = 4.0;

/// Returns the records per second of an operator that is saturated now; [`None`] if it is not.
pub(super) fn rate_per_s(memory: &Memory, operator: &Operator) -> Option<f64> {
    let own = memory.operators.get(&operator.name).filter(|_| !operator.kind.is_windowed())?;
    let of_span = |(index, (from_ms, at_ms)): (usize, &(i64, i64))| {
        let reading = own.readings.get(index).copied().flatten()?;
        Some((pressure(memory, operator, reading, index)?, seconds(at_ms - from_ms), reading.rate_per_s))
    };
    let spans = || memory.spans.iter().enumerate().map(of_span);
    spans().next_back().flatten()?;
    let known: Vec<_> = spans().flatten().collect();
    let most = known.iter().map(|(pressure, ..)| *pressure).fold(0.0, f64::max);
    let (mut length_s, mut records) = (0.0, 0.0);
    for (_, span_s, rate_per_s) in known.iter().filter(|(pressure, ..)| *pressure >= MOST_SATURATED * most) {
        length_s += span_s;
        records += span_s * rate_per_s;
    }
    (length_s >= LEAST_S).then(|| records / length_s)
}

/// Returns the share of its time for which what feeds the operator waits for it, in a reading in which it is saturated.
fn pressure(memory: &Memory, operator: &Operator, own: Reading, index: usize) -> Option<f64> {
    own.held.filter(|held| *held <= HELD_MAX && own.rate_per_s > 0.0)?;
    let of = |name: &str, index: usize| memory.operators.get(name)?.readings.get(index).copied().flatten();
    if operator.kind == Kind::Source {
        // A backlog is that of the end of a reading.
        let begin = of(&operator.name, index.checked_sub(1)?)?.backlog?;
        let least = own.backlog?.min(begin);
        return (least > BACKLOG_MIN_S * own.rate_per_s).then_some(1.0);
    }
    let held = |input: &String| of(input, index)?.held;
    let most = operator.inputs.iter().filter_map(held).fold(0.0, f64::max);
    (most > INPUT_HELD_MIN).then_some(most)
}
