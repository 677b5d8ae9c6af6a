//! Times that can be true, so that no difference of two of them overflows. What lies outside is unknown, as any impossible figure.

use super::{Operator, Reading, Rescale, Snapshot};

/// The latest time, and the longest span of time: the end of the year 9999, in milliseconds since the Unix epoch.
pub(crate) const LATEST_MS: i64 = 253_402_300_799_999;

/// Whether a time since the Unix epoch, or a span of time, can be true.
fn is_possible(ms: i64) -> bool {
    (0..=LATEST_MS).contains(&ms)
}

/// Makes every time that cannot be true unknown, and drops such readings of series; returns whether there were any.
pub(super) fn bound(snapshot: &mut Snapshot) -> bool {
    let mut found = false;
    let mut visit = |time: &mut Option<i64>| {
        if time.is_some_and(|ms| !is_possible(ms)) {
            (*time, found) = (None, true);
        }
    };
    let Snapshot { at_ms, interval_ms, newest_age_ms, job, operators, task_managers, .. } = snapshot;
    [at_ms, interval_ms, newest_age_ms, &mut job.running_since_ms].into_iter().for_each(&mut visit);
    job.checkpoints.iter_mut().for_each(|checkpoints| visit(&mut checkpoints.last_at_ms));
    for Rescale { at_ms, requested_at_ms, .. } in &mut job.rescales {
        [at_ms, requested_at_ms].into_iter().for_each(&mut visit);
    }
    let subtasks = |operator: &mut Operator| {
        for subtask in &mut operator.subtasks {
            visit(&mut subtask.interval_ms);
            times(subtask.reading.as_mut()).for_each(&mut visit);
        }
        times(operator.reading.as_mut()).for_each(&mut visit);
    };
    operators.iter_mut().for_each(subtasks);
    task_managers.iter_mut().flat_map(|tm| times(tm.reading.as_mut())).for_each(&mut visit);
    times(job.reading.as_mut()).for_each(&mut visit);
    let series =
        operators.iter_mut().flat_map(|operator| [&mut operator.backlog_series, &mut operator.arrivals]);
    for series in series {
        let all = series.len();
        series.retain(|(at_ms, _)| is_possible(*at_ms));
        found |= series.len() < all;
    }
    found
}

fn times(reading: Option<&mut Reading>) -> impl Iterator<Item = &mut Option<i64>> {
    reading.into_iter().flat_map(|reading| [&mut reading.from_ms, &mut reading.at_ms])
}
