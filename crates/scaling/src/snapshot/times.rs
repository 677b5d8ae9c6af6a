//! Valid times, so that no difference of two times overflows. Invalid times are unknown, like any impossible figure.

use super::{Operator, Reading, Rescale, Snapshot};

/// The latest time, and the longest span of time: the end of the year 9999, in milliseconds since the Unix epoch.
pub(crate) const LATEST_MS: i64 = 253_402_300_799_999;

/// Whether a time since the Unix epoch, or a span of time, can be true.
fn is_possible(ms: i64) -> bool {
    (0..=LATEST_MS).contains(&ms)
}

/// Returns whether every time can be true.
pub(super) fn are_possible(snapshot: &Snapshot) -> bool {
    let Snapshot { at_ms, interval_ms, newest_age_ms, job, operators, task_managers, .. } = snapshot;
    let checkpoint_ms = job.checkpoints.as_ref().and_then(|checkpoints| checkpoints.last_at_ms);
    let of_rescales = job.rescales.iter().flat_map(|rescale| [rescale.at_ms, rescale.requested_at_ms]);
    let subtasks = || operators.iter().flat_map(|operator| &operator.subtasks);
    let of_readings = operators
        .iter()
        .map(|operator| &operator.reading)
        .chain(subtasks().map(|subtask| &subtask.reading))
        .chain(task_managers.iter().map(|tm| &tm.reading))
        .chain([&job.reading])
        .flatten()
        .flat_map(|reading| [reading.from_ms, reading.at_ms]);
    let of_series =
        operators.iter().flat_map(|operator| operator.backlog_series.iter().chain(&operator.arrivals));
    [*at_ms, *interval_ms, *newest_age_ms, job.running_since_ms, checkpoint_ms]
        .into_iter()
        .chain(of_rescales)
        .chain(subtasks().map(|subtask| subtask.interval_ms))
        .chain(of_readings)
        .chain(of_series.map(|(at_ms, _)| Some(*at_ms)))
        .flatten()
        .all(is_possible)
}

/// Makes every time that cannot be true unknown, and drops such readings of series.
pub(super) fn bound(snapshot: &mut Snapshot) {
    let visit = |time: &mut Option<i64>| *time = time.filter(|ms| is_possible(*ms));
    let Snapshot { at_ms, interval_ms, newest_age_ms, job, operators, task_managers, .. } = snapshot;
    [at_ms, interval_ms, newest_age_ms, &mut job.running_since_ms].into_iter().for_each(visit);
    job.checkpoints.iter_mut().for_each(|checkpoints| visit(&mut checkpoints.last_at_ms));
    for Rescale { at_ms, requested_at_ms, .. } in &mut job.rescales {
        [at_ms, requested_at_ms].into_iter().for_each(visit);
    }
    let subtasks = |operator: &mut Operator| {
        for subtask in &mut operator.subtasks {
            visit(&mut subtask.interval_ms);
            times(subtask.reading.as_mut()).for_each(visit);
        }
        times(operator.reading.as_mut()).for_each(visit);
    };
    operators.iter_mut().for_each(subtasks);
    task_managers.iter_mut().flat_map(|tm| times(tm.reading.as_mut())).for_each(visit);
    times(job.reading.as_mut()).for_each(visit);
    let series =
        operators.iter_mut().flat_map(|operator| [&mut operator.backlog_series, &mut operator.arrivals]);
    for series in series {
        series.retain(|(at_ms, _)| is_possible(*at_ms));
    }
}

fn times(reading: Option<&mut Reading>) -> impl Iterator<Item = &mut Option<i64>> {
    reading.into_iter().flat_map(|reading| [&mut reading.from_ms, &mut reading.at_ms])
}
