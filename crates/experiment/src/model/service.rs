//! Service times, shares of the fullest subtask and rates under overload, by parallelism.

use std::collections::BTreeMap;

use scaling::Operator;

use super::recording::Recording;
use crate::capacity;
use crate::spread::Spread;

/// An operator whose subtasks are less busy than this on average shows no service time.
const BUSY_LEAST: f64 = 0.002;

/// Measurements of one operator at one parallelism.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Seen {
    /// Seconds of a subtask per record, from busy time at rest.
    pub(crate) service_s: Option<f64>,
    /// Relative deviations of single snapshots from it.
    pub(crate) deviations: Vec<f64>,
    /// Share of the records that the fullest subtask gets.
    pub(crate) fullest_share: f64,
    /// Records of all sources per second under overload.
    pub(crate) saturated_per_s: Option<f64>,
}

/// What the snapshots of one parallelism show.
#[derive(Default)]
struct Sums {
    /// Busy seconds and records of each snapshot at rest.
    work: Vec<(f64, f64)>,
    /// Records of each subtask.
    records: Vec<f64>,
}

/// Returns the measurements of an operator by its parallelism.
pub(crate) fn seen(recordings: &[Recording], operator: &str) -> BTreeMap<u32, Seen> {
    let mut by_width: BTreeMap<u32, Sums> = BTreeMap::new();
    for timed in recordings.iter().flat_map(Recording::warm) {
        let Some(found) = timed.snapshot.operator(operator) else { continue };
        add_records(&mut by_width.entry(found.parallelism).or_default().records, found);
    }
    for timed in recordings.iter().flat_map(Recording::warm_at_rest) {
        let Some(found) = timed.snapshot.operator(operator) else { continue };
        let sums = by_width.entry(found.parallelism).or_default();
        sums.work.extend(busy_and_records(found, timed.length_s()));
    }
    let saturated = saturated(recordings, operator);
    let of_width = |(width, sums): (u32, Sums)| {
        let fullest_share = fullest(&sums.records, width);
        let saturated_per_s = saturated.get(&width).copied();
        (width, Seen { fullest_share, saturated_per_s, ..of_work(&sums.work) })
    };
    by_width.into_iter().map(of_width).collect()
}

/// Adds what each subtask has read.
fn add_records(records: &mut Vec<f64>, operator: &Operator) {
    records.resize(records.len().max(operator.subtasks.len()), 0.0);
    for (sum, subtask) in records.iter_mut().zip(&operator.subtasks) {
        *sum += subtask.records_in.unwrap_or(0.0);
    }
}

fn fullest(records: &[f64], width: u32) -> f64 {
    let (all, most) = records.iter().fold((0.0, 0.0_f64), |(all, most), own| (all + own, most.max(*own)));
    if all > 0.0 { most / all } else { 1.0 / f64::from(width.max(1)) }
}

/// Returns the seconds that all subtasks together were busy, and the records that they handled.
pub(crate) fn busy_and_records(operator: &Operator, length_s: f64) -> Option<(f64, f64)> {
    let (busy, per_s) = operator.busy_ratio.zip(operator.throughput_per_s)?;
    (per_s > 0.0).then(|| (busy * f64::from(operator.parallelism) * length_s, per_s * length_s))
}

fn of_work(work: &[(f64, f64)]) -> Seen {
    let (busy_s, records) = work.iter().fold((0.0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    let service_s = if records > 0.0 { busy_s / records } else { 0.0 };
    if service_s <= 0.0 {
        return Seen::default();
    }
    let deviations = work.iter().map(|(busy_s, records)| busy_s / records / service_s - 1.0).collect();
    Seen { service_s: Some(service_s), deviations, ..Seen::default() }
}

fn saturated(recordings: &[Recording], operator: &str) -> BTreeMap<u32, f64> {
    let mut all: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
    for recording in recordings {
        for (width, per_s) in capacity::carried(&recording.rows, &recording.summary, operator) {
            all.entry(width).or_default().push(per_s);
        }
    }
    all.into_iter().filter_map(|(width, rates)| Some((width, Spread::from_values(rates)?.median))).collect()
}

/// Returns seconds of a subtask per record of an operator that limits nothing, over all its widths and loads, among them those that saturate
/// another one; [`None`] if it is hardly ever busy.
pub(crate) fn mean_service_s(recordings: &[Recording], operator: &str) -> Option<f64> {
    let (mut busy_s, mut records, mut lived_s) = (0.0, 0.0, 0.0);
    for timed in recordings.iter().flat_map(Recording::warm) {
        let Some(found) = timed.snapshot.operator(operator) else { continue };
        let Some(work) = busy_and_records(found, timed.length_s()) else { continue };
        busy_s += work.0;
        records += work.1;
        lived_s += f64::from(found.parallelism) * timed.length_s();
    }
    (lived_s > 0.0 && busy_s / lived_s >= BUSY_LEAST).then(|| busy_s / records)
}
