//! Records read by a source, and its backlog.
//!
//! The work of a source is the number of records that it reads, which has the unit of `pendingRecords`. Its task emits what a chained
//! filter or flatMap lets through. Which counter counts the reads depends on Flink's version and on the connector; an unused counter is 0.

use std::collections::BTreeMap;

use scaling::Quality;

use super::readings::{Epoch, Track};
use crate::sample::{Sample, Subtask, Vertex};

/// Share of idle time from which a task may have had nothing to read since its start.
const IDLE: f64 = 0.99;

/// Maximum number of readings in a series.
const READINGS: usize = 360;

type SubtaskValue = fn(&Subtask) -> Option<f64>;

/// The counter of the records that a source reads.
#[derive(Clone, Copy)]
pub(super) struct ReadCounter {
    counter: SubtaskValue,
    smoothed: SubtaskValue,
    /// Whether it is what the task emits, for want of something better.
    pub(super) is_output: bool,
}

/// Counters of the records that a source reads, by preference: that of the source operator (all versions, if the connector uses it), that of
/// the task (Flink 2.0 and later), and the records that the task emits.
const CANDIDATES: [ReadCounter; 3] = [
    ReadCounter { counter: |subtask| subtask.source_records_in, smoothed: |_| None, is_output: false },
    ReadCounter {
        counter: |subtask| subtask.records_in,
        smoothed: |subtask| subtask.records_in_per_s,
        is_output: false,
    },
    ReadCounter {
        counter: |subtask| subtask.records_out,
        smoothed: |subtask| subtask.records_out_per_s,
        is_output: true,
    },
];

impl ReadCounter {
    /// The best counter that has ever counted. If none has, the source has either read nothing since it started, which shows in its
    /// tasks being idle, or reports no counter: then its rate is unknown.
    pub(super) fn select(tracks: &[Track<'_>], idle: impl Fn(&Track<'_>) -> Option<f64>) -> Option<Self> {
        let has_counted = |reads: &&Self| {
            let is_above_0 = |figure: SubtaskValue| {
                let mut all = tracks.iter().flat_map(Track::known);
                all.any(|subtask| figure(subtask).is_some_and(|value| value > 0.0))
            };
            is_above_0(reads.counter) || is_above_0(reads.smoothed)
        };
        let best = CANDIDATES.iter().find(has_counted).copied();
        let is_idle = || tracks.iter().all(|track| idle(track).is_some_and(|share| share >= IDLE));
        best.or_else(|| is_idle().then(|| CANDIDATES[2]))
    }

    /// What a subtask reads per second.
    pub(super) fn rate(self, track: &Track<'_>) -> Option<f64> {
        track.rate_or(self.counter, self.smoothed)
    }

    /// Whether only a smoothed rate is to be had.
    pub(super) fn is_smoothed(self, tracks: &[Track<'_>]) -> bool {
        let has = |figure: SubtaskValue| tracks.iter().flat_map(Track::known).any(|s| figure(s).is_some());
        !has(self.counter) && has(self.smoothed)
    }

    /// What a subtask has read in the epoch.
    pub(super) fn growth(self, track: &Track<'_>) -> Option<f64> {
        track.growth(self.counter)
    }
}

/// The backlog of a source, with each part known or unknown.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    /// Records at the end of the epoch.
    pub(super) records: Option<f64>,
    /// What they grow by per second; negative if they become fewer.
    pub(super) growth_per_s: Option<f64>,
    /// Records over time, in milliseconds since the Unix epoch.
    pub(super) series: Vec<(i64, f64)>,
    /// What has come into being at the origin, at some times: the end offsets that the brokers report, else records read since the tasks
    /// started and those that wait, together.
    pub(super) arrivals: Vec<(i64, f64)>,
    /// What has arrived per second by the end offsets, where the brokers report them.
    pub(super) arrived_per_s: Option<f64>,
    /// Why `records` is not known although subtasks report a number.
    pub(super) unknown: Option<Quality>,
}

/// Whether a subtask has no partition: it names no partition, or it has never read a record and, unlike others, reports no backlog,
/// which sources report from their first partition on.
pub(super) fn has_no_partition(subtask: &Subtask, tracks: &[Track<'_>], reads: Option<ReadCounter>) -> bool {
    let is_reported = || tracks.iter().flat_map(Track::known).any(|other| other.pending_records.is_some());
    let has_read = reads.and_then(|reads| (reads.counter)(subtask)).map(|read| read > 0.0);
    let reports = subtask.pending_records.is_some() || subtask.has_impossible_pending;
    let is_silent = has_read == Some(false) && !reports;
    subtask.partitions.map_or_else(|| is_silent && is_reported(), |partitions| partitions == 0)
}

/// Returns the backlog of a source. A subtask without partitions has no backlog. A subtask with partitions that reports no backlog, or an
/// impossible one, makes the source's backlog unknown.
pub(super) fn backlog(
    vertex: &Vertex,
    epoch: Epoch<'_>,
    tracks: &[Track<'_>],
    reads: Option<ReadCounter>,
) -> Backlog {
    let arrived = arrived(vertex, epoch);
    let arrived_per_s = per_s(&arrived);
    let mut all = tracks.iter().flat_map(Track::known);
    let is_impossible = tracks.iter().flat_map(Track::known).any(|subtask| subtask.has_impossible_pending);
    if !is_impossible && !all.any(|subtask| subtask.pending_records.is_some()) {
        return Backlog { arrivals: arrived, arrived_per_s, ..Backlog::default() };
    }
    let pending = |subtask: &Subtask| {
        let reads_nothing = subtask.pending_records.is_none() && has_no_partition(subtask, tracks, reads);
        subtask.pending_records.or(reads_nothing.then_some(0.0))
    };
    let known: Option<Vec<f64>> =
        tracks.iter().map(|track| track.last().filter(|_| !track.is_stale()).and_then(pending)).collect();
    let growth: Option<Vec<f64>> = tracks.iter().map(|track| track.change_per_s(pending)).collect();
    let sum = |parts: Option<Vec<f64>>| parts.map(|parts| parts.iter().sum::<f64>());
    let quality = if is_impossible { Quality::Impossible } else { Quality::Partial };
    let position =
        |subtask: &Subtask| reads.filter(|reads| !reads.is_output).and_then(|r| (r.counter)(subtask));
    let unknown = (known.is_none() || growth.is_none()).then_some(quality);
    Backlog {
        records: sum(known),
        growth_per_s: sum(growth),
        series: series(vertex, epoch, pending),
        arrivals: match arrived.len() {
            0 => series(vertex, epoch, |subtask| Some(position(subtask)? + pending(subtask)?)),
            _ => arrived,
        },
        arrived_per_s,
        unknown,
    }
}

/// Returns the end offsets of the source's partitions over time, as the brokers reported them; empty with fewer than two reports. Unlike
/// `pendingRecords` they do not depend on the source: a back-pressured source asks its brokers late.
fn arrived(vertex: &Vertex, epoch: Epoch<'_>) -> Vec<(i64, f64)> {
    let same = |sample: &&Sample| {
        let vertex = sample.vertices.iter().find(|other| other.name == vertex.name)?;
        vertex.end_offsets.map(|end| (end.at_ms, end.records))
    };
    let by_time: BTreeMap<i64, f64> = epoch.samples.iter().filter_map(same).collect();
    if by_time.len() < 2 { Vec::new() } else { thinned(by_time) }
}

/// Returns the mean growth of a series per second; [`None`] if it ever fell, for example after a topic was recreated.
fn per_s(readings: &[(i64, f64)]) -> Option<f64> {
    let (first, last) = (readings.first()?, readings.last()?);
    let grows = readings.windows(2).all(|pair| pair[0].1 <= pair[1].1);
    #[expect(clippy::cast_precision_loss, reason = "the length of an epoch in milliseconds")]
    let length_ms = (last.0 - first.0) as f64;
    (grows && length_ms > 0.0).then(|| (last.1 - first.1) * 1000.0 / length_ms)
}

/// Returns at most [`READINGS`] readings, including the newest.
fn thinned(by_time: BTreeMap<i64, f64>) -> Vec<(i64, f64)> {
    let all: Vec<(i64, f64)> = by_time.into_iter().collect();
    let step = all.len().div_ceil(READINGS).max(1);
    let mut kept: Vec<(i64, f64)> = all.into_iter().rev().step_by(step).collect();
    kept.reverse();
    kept
}

/// Returns the sum over all subtasks at each time at which it is known, the newest last. Repeated readings are skipped: the JobManager had
/// not refreshed its metrics, so they are older than their time says.
fn series(vertex: &Vertex, epoch: Epoch<'_>, figure: impl Fn(&Subtask) -> Option<f64>) -> Vec<(i64, f64)> {
    let mut by_time = BTreeMap::new();
    let mut before = None;
    for sample in epoch.samples {
        let is_same = |other: &&Vertex| other.name == vertex.name && !other.is_left_out;
        let Some(same) = sample.vertices.iter().find(is_same) else { continue };
        let sum: Option<f64> = same.subtasks.iter().map(&figure).sum();
        let picture =
            |subtask: &Subtask| (subtask.pending_records, subtask.records_out, subtask.counted_ms());
        let now = Some(same.subtasks.iter().map(picture).collect::<Vec<_>>());
        let is_new = before != now;
        if let (Some(sum), true) = (sum.filter(|_| !same.subtasks.is_empty()), is_new) {
            let own_ms = same.subtasks.iter().filter_map(|subtask| subtask.at_ms).max();
            by_time.insert(own_ms.unwrap_or(sample.at_ms), sum);
        }
        before = now;
    }
    thinned(by_time)
}
