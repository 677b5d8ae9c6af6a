//! What changes of the parallelism cost: waiting, outage, input read again, warm-up.
//!
//! ```text
//! wait     stop − request                            stop = end − outage
//! replay   (read + backlog + lost − arrived) ÷ λ      between a row at rest before the stop and one after the start;
//!          lost = λ · (stop − row before + age)      what was read after the last reading of the tasks that stopped
//! warm-up  W at which 0.6 + 0.4·a ÷ W, the capacity at age a, explains the service times after a start best
//! ```

use super::recording::Recording;
use super::service::busy_and_records;
use crate::changes::ParallelismChange;
use crate::row::{Column, JobState, Row};
use crate::spread::Spread;

/// Rows at least this long after a start show that all input was read again, in seconds.
const SETTLED_S: f64 = 8.0;
/// Rates before and after a change that differ by more than this part are another load.
const SAME_LOAD: f64 = 0.1;
/// Service times are looked at for this time after a start, in seconds.
const WATCHED_S: f64 = 60.0;
/// Capacity of freshly started tasks in the model, as a fraction of their warm capacity.
const COLD: f64 = 0.6;
/// The shortest and longest waits and outages are left out: this part of them on either side.
const TAIL: f64 = 0.05;

/// Measurements of changes of one kind.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Transitions {
    /// How many.
    pub(crate) count: usize,
    /// From the request to the stop, in seconds.
    pub(crate) wait_s: (f64, f64),
    /// Length of the outage, in seconds.
    pub(crate) outage_s: (f64, f64),
    /// Seconds of input that are read again; [`None`]: no change was at a steady load.
    pub(crate) replay_s: Option<f64>,
    /// Warm-up time of the tasks, in seconds; [`None`]: no snapshot shows it.
    pub(crate) warm_up_s: Option<f64>,
}

/// Measures the changes of a kind (`in-place` or `restart`); `warm_s` is the service time of `operator` at rest by its parallelism, and
/// `age_s` how old counters are when they are read.
pub(crate) fn measure(
    recordings: &[Recording],
    way: &str,
    operator: &str,
    warm_s: impl Fn(u32) -> Option<f64>,
    age_s: f64,
) -> Option<Transitions> {
    let all: Vec<(&Recording, &ParallelismChange)> = recordings
        .iter()
        .flat_map(|recording| recording.changes.iter().map(move |change| (recording, change)))
        .filter(|(_, change)| change.way == way && !change.widths.is_empty() && change.began_s >= 0.0)
        .collect();
    let waits = all.iter().filter_map(|(recording, change)| wait_s(recording, change));
    let replays = all.iter().filter_map(|(recording, change)| replay_s(recording, change, age_s));
    Some(Transitions {
        count: all.len(),
        wait_s: range(waits.collect()).unwrap_or((0.0, 0.0)),
        outage_s: range(all.iter().map(|(_, change)| change.outage_s).collect())?,
        replay_s: Spread::from_values(replays).map(|spread| spread.median.max(0.0)),
        warm_up_s: warm_up_s(&all, operator, warm_s),
    })
}

/// Returns the range of values without their tails.
fn range(mut values: Vec<f64>) -> Option<(f64, f64)> {
    values.sort_by(f64::total_cmp);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a part of a small number"
    )]
    let tail = (values.len() as f64 * TAIL).floor() as usize;
    let kept = values.get(tail..values.len() - tail)?;
    Some((kept.first()?.max(0.0), kept.last()?.max(0.0)))
}

fn stop_s(change: &ParallelismChange) -> f64 {
    change.ended_s - change.outage_s
}

/// Returns the time from the request to the stop. A restart shows its request only in a timetable.
fn wait_s(recording: &Recording, change: &ParallelismChange) -> Option<f64> {
    let before = recording.changes.iter().map(|other| other.ended_s).filter(|end_s| *end_s < change.ended_s);
    let since_s = before.fold(f64::NEG_INFINITY, f64::max);
    let is_its = |asked_s: &f64| *asked_s > since_s && *asked_s <= stop_s(change);
    let asked_s = recording.asked_s.iter().copied().rev().find(is_its);
    let asked_s = asked_s.or((change.way == "in-place").then_some(change.began_s))?;
    Some(stop_s(change) - asked_s)
}

/// Returns the seconds of input that were read again after a change at a steady load.
fn replay_s(recording: &Recording, change: &ParallelismChange, age_s: f64) -> Option<f64> {
    let until_s = recording.next_change_s(change.ended_s).unwrap_or(f64::INFINITY);
    let figures = |row: &Row| figures(recording, row);
    let is_known = |row: &&Row| row.job == JobState::Running && figures(row).is_some();
    let before = recording.rows.iter().rev().filter(is_known).find(|row| row.at_s <= stop_s(change))?;
    let mut after = recording.rows.iter().filter(is_known).filter(|row| row.at_s < until_s);
    let after = after.rfind(|row| (SETTLED_S..2.0 * SETTLED_S).contains(&(row.at_s - change.ended_s)))?;
    let (one, other) = (figures(before)?, figures(after)?);
    let rate_per_s = (other.arrived - one.arrived) / (after.at_s - before.at_s);
    let is_steady = |per_s: f64| (per_s / rate_per_s - 1.0).abs() <= SAME_LOAD;
    if !(rate_per_s > 0.0 && is_steady(one.reads_per_s) && is_steady(other.reads_per_s)) {
        return None;
    }
    let lost = rate_per_s * (stop_s(change) - before.at_s + age_s);
    let read = other.read - one.read + lost;
    Some((read + other.waiting - one.waiting - (other.arrived - one.arrived)) / rate_per_s)
}

/// What a row says of the records.
struct Records {
    read: f64,
    arrived: f64,
    waiting: f64,
    reads_per_s: f64,
}

fn figures(recording: &Recording, row: &Row) -> Option<Records> {
    Some(Records {
        read: row.get(Column::ReadTotal)?,
        arrived: recording.arrived(row.at_s),
        waiting: row.get(Column::BacklogRecords)?,
        reads_per_s: row.get(Column::ProcessedPerS)?,
    })
}

/// Returns the warm-up time that explains the service times after the starts best.
fn warm_up_s(
    all: &[(&Recording, &ParallelismChange)],
    operator: &str,
    warm_s: impl Fn(u32) -> Option<f64>,
) -> Option<f64> {
    // Ages at the beginning and end of a snapshot, and its service time relative to that of warm tasks.
    let mut ratios: Vec<(f64, f64, f64)> = Vec::new();
    for (recording, change) in all {
        let until_s = recording.next_change_s(change.ended_s).unwrap_or(f64::INFINITY);
        let own = recording.snapshots.iter().filter(|timed| {
            let from_s = timed.begin_s() - change.ended_s;
            (0.0..WATCHED_S).contains(&from_s) && timed.at_s < until_s
        });
        for timed in own {
            let Some(found) = timed.snapshot.operator(operator) else { continue };
            let work = busy_and_records(found, timed.length_s()).zip(warm_s(found.parallelism));
            let Some(((busy_s, records), warm_s)) = work else { continue };
            let ages = (timed.begin_s() - change.ended_s, timed.at_s - change.ended_s);
            ratios.push((ages.0, ages.1, busy_s / records / warm_s));
        }
    }
    let squares = |warm_up_s: f64| -> f64 {
        let miss =
            |(from_s, until_s, ratio): &(f64, f64, f64)| ratio - slowdown(warm_up_s, *from_s, *until_s);
        ratios.iter().map(|one| miss(one).powi(2)).sum()
    };
    let candidates = (0..=120).map(|half_seconds| f64::from(half_seconds) / 2.0);
    let best = candidates.min_by(|a, b| squares(*a).total_cmp(&squares(*b)));
    best.filter(|_| !ratios.is_empty())
}

/// Returns the mean service time between two ages, relative to that of warm tasks.
fn slowdown(warm_up_s: f64, from_s: f64, until_s: f64) -> f64 {
    let end_s = until_s.min(warm_up_s).max(from_s);
    let cold_s = end_s - from_s;
    if cold_s <= 0.0 {
        return 1.0;
    }
    // The integral of 1 ÷ (0.6 + 0.4·a ÷ W).
    let at = |age_s: f64| (COLD + (1.0 - COLD) * age_s / warm_up_s).ln();
    let integral = warm_up_s / (1.0 - COLD) * (at(end_s) - at(from_s));
    (integral + until_s - end_s) / (until_s - from_s)
}
