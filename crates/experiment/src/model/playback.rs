//! A simulated run in the form of a recorded one: rows as `observe` measures them, snapshots, changes.

use std::collections::VecDeque;

use scaling::Snapshot;
use sim::change::{Change, Phase};
use sim::observation::Observer;
use sim::scenario::Trial;
use sim::{Model, View};

use super::recording::Recording;
use super::trial::FedChange;
use crate::changes::ParallelismChange;
use crate::row::{Column, JobState, Row};
use crate::snapshots::TimedSnapshot;
use crate::summary::Summary;

/// Means are computed over this time, in seconds, as in `observe`.
const MEAN_S: usize = 5;

/// Simulates a run in which these changes are made at these times, and returns it as if it had been recorded; `summary` has its names, times
/// and bounds.
pub(crate) fn play(trial: &Trial, fed: &[FedChange], summary: &Summary) -> Recording {
    // What is recorded is not late: only a policy sees old metrics.
    let mut trial = trial.clone();
    trial.conditions.metric_age_s = 0;
    let mut model = Model::new(&trial, &trial.start);
    let mut waiting: VecDeque<&FedChange> = fed.iter().collect();
    let mut recording = Recording { summary: summary.clone(), ..Recording::default() };
    let mut snapshot_at_s = MEAN_S;
    for second in 0..trial.duration_s() {
        // A change that overlaps with the one before it begins when that is over.
        if let Some((_, change)) = waiting.front().filter(|(requested_s, _)| *requested_s <= second)
            && model.request_recorded(change)
        {
            waiting.pop_front();
        }
        model.step();
        let view = View::new(&model);
        recording.rows.push(row(view, summary));
        if second + 1 - started_s(view).min(second + 1) <= 1 {
            snapshot_at_s = started_s(view) + MEAN_S;
        }
        if second + 1 == snapshot_at_s && is_running(view) {
            recording.snapshots.extend(snapshot(view).map(|snapshot| timed(second + 1, snapshot)));
            snapshot_at_s += MEAN_S;
        }
    }
    recording.changes = View::new(&model).changes().iter().map(observed).collect();
    recording
}

fn is_running(view: View<'_>) -> bool {
    !matches!(view.phase(), Phase::Down { .. })
}

/// Returns the second from which the tasks have run.
fn started_s(view: View<'_>) -> usize {
    view.restarted_s().unwrap_or(0)
}

fn timed(second: usize, snapshot: Snapshot) -> TimedSnapshot {
    TimedSnapshot { at_s: seconds(second), snapshot }
}

/// Returns the snapshot of the last seconds, with busy times as they were: policies see freshly started tasks as always busy.
fn snapshot(view: View<'_>) -> Option<Snapshot> {
    let length_s = u32::try_from(MEAN_S).unwrap_or(u32::MAX);
    let mut snapshot = Observer { length_s, warm_up_s: 0 }.observe(view).ok()?;
    let until_s = view.now_s();
    let from_s = until_s.saturating_sub(MEAN_S).max(started_s(view));
    for operator in &mut snapshot.operators {
        let Some(index) = (0..view.operators()).find(|index| view.name(*index) == operator.name) else {
            continue;
        };
        let busy_s = view.reading(index, until_s).busy_mean_s - view.reading(index, from_s).busy_mean_s;
        operator.busy_ratio = Some((busy_s / seconds(until_s - from_s)).clamp(0.0, 1.0));
    }
    Some(snapshot)
}

/// Returns the row at the end of the second that was simulated last.
fn row(view: View<'_>, summary: &Summary) -> Row {
    let now_s = view.now_s();
    let at_s = seconds(now_s);
    let arrived: f64 = sum(view, now_s, |reading| reading.arrived);
    let mut row = Row { at_s, is_warm_up: at_s < summary.warm_up_s, ..Row::default() }
        .with(Column::DueTotal, arrived)
        .with(Column::EmittedTotal, arrived)
        .with(Column::AckedTotal, arrived)
        .with(Column::ProducerElapsedS, at_s)
        .with(Column::ScheduleDelayP99Ms, 0.0)
        .with(Column::TaskManagers, f64::from(view.task_managers()))
        .with(Column::Slots, f64::from(view.task_managers() * view.slots_per_task_manager()));
    if !is_running(view) {
        row.job = JobState::Down;
        return row;
    }
    row.job = JobState::Running;
    let named = (0..view.operators()).map(|index| (view.name(index).to_owned(), view.parallelism()[index]));
    row.parallelism = named.collect();
    row.set(Column::SlotsUsed, Some(view.slots().into()));
    row.set(Column::Subtasks, Some(row.parallelism.values().sum::<u32>().into()));
    row.set(Column::ReadTotal, Some(sum(view, now_s, |reading| reading.records_in)));
    let from_s = now_s.saturating_sub(MEAN_S).max(started_s(view)).max(1);
    if from_s < now_s {
        set_means(&mut row, view, (from_s, now_s));
    }
    row
}

/// Sets what is measured over several seconds of one life of the job.
fn set_means(row: &mut Row, view: View<'_>, (from_s, until_s): (usize, usize)) {
    let length_s = seconds(until_s - from_s);
    let rate = |counter: fn(&sim::history::Reading) -> f64| {
        Some((sum(view, until_s, counter) - sum(view, from_s, counter)) / length_s)
    };
    row.set(Column::InputPerS, rate(|reading| reading.arrived));
    row.set(Column::OfferedPerS, rate(|reading| reading.arrived));
    row.set(Column::ProcessedPerS, rate(|reading| reading.records_in));
    row.set(Column::BacklogRecords, Some(sum(view, until_s, |reading| reading.pending)));
    let latency_s = (view.job(until_s).latency_sum_s - view.job(from_s).latency_sum_s) / length_s;
    row.set(Column::EventLatencyMeanMs, Some(latency_s * 1000.0));
    let inside = (from_s + 1..=until_s).map(|second| inside_s(view, second)).sum::<f64>() / length_s;
    row.set(Column::OverallLatencyMeanMs, Some(inside * 1000.0));
    row.set(Column::OverallLatencyP50Ms, Some(inside_s(view, until_s) * 1000.0));
}

/// Returns the time that a record of this second spent inside the job, in seconds: what it waited in operators that are no sources.
fn inside_s(view: View<'_>, second: usize) -> f64 {
    let readers = (0..view.operators()).filter(|index| !view.sources().contains(index));
    let waited = |index| view.reading(index, second).waited_s - view.reading(index, second - 1).waited_s;
    readers.map(waited).sum()
}

fn sum(view: View<'_>, second: usize, figure: impl Fn(&sim::history::Reading) -> f64) -> f64 {
    view.sources().iter().map(|source| figure(view.reading(*source, second))).sum()
}

/// Returns a change of the model as it would have been recorded.
pub(crate) fn observed(change: &Change) -> ParallelismChange {
    let slots = |widths: &[u32]| widths.iter().copied().max().unwrap_or(0);
    let widths = change.parallelism.before.iter().zip(change.parallelism.after.values());
    ParallelismChange {
        began_s: seconds(change.requested_s),
        ended_s: change.stopped_s + change.outage_s,
        outage_s: change.outage_s,
        way: "in-place".to_owned(),
        slots_before: slots(&change.before),
        slots_after: slots(&change.after),
        widths: widths
            .filter(|((_, before), after)| before != after)
            .map(|((name, before), after)| (name.clone(), (*before, *after)))
            .collect(),
    }
}

#[expect(clippy::cast_precision_loss, reason = "seconds of a run")]
fn seconds(count: usize) -> f64 {
    count as f64
}
