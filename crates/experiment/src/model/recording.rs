//! A recorded run with everything that the model is compared with: rows, snapshots and changes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use scaling::Kind;

use crate::changes::{self, ParallelismChange};
use crate::folder::RunFolder;
use crate::row::{Column, JobState, Row};
use crate::snapshots::{self, TimedSnapshot};
use crate::summary::Summary;
use crate::timetable;

/// Tasks are warm, and a backlog of their start is gone, after this time, in seconds.
pub(crate) const WARM_S: f64 = 15.0;
/// A saturated job has reached its rate after this time, in seconds.
const SETTLED_S: f64 = 10.0;
/// A job is at rest while no more waits than arrives in this time, in seconds.
const AT_REST_S: f64 = 0.5;
/// … and has been for the time of a mean, in seconds.
const MEAN_S: f64 = 6.0;
/// A job is saturated while more waits than it reads in this time, in seconds.
const SATURATED_S: f64 = 2.0;

/// A recorded run, or a simulated one in the same form.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Recording {
    pub(crate) folder: PathBuf,
    pub(crate) summary: Summary,
    pub(crate) rows: Vec<Row>,
    pub(crate) changes: Vec<ParallelismChange>,
    pub(crate) snapshots: Vec<TimedSnapshot>,
    /// When a timetable's documents were published, in seconds since the load began.
    pub(crate) asked_s: Vec<f64>,
}

impl Recording {
    /// Reads a run's folder.
    ///
    /// # Errors
    /// It is none, or one of its files cannot be read.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let kept = RunFolder::read(path)?;
        let folder = RunFolder::at(path);
        Ok(Self {
            folder: path.to_owned(),
            summary: kept.summary,
            rows: kept.rows,
            changes: changes::read(&folder.changes())?,
            snapshots: snapshots::read(&folder.snapshots())?,
            asked_s: timetable::read(&path.join(timetable::FILE))?,
        })
    }

    /// Returns what distinguishes it from other runs.
    pub(crate) fn label(&self) -> String {
        format!("{} #{}", self.summary.label(), self.summary.repetition)
    }

    /// Returns the rescaler's configuration of the run, if one scaled the job.
    pub(crate) fn rescaler(&self) -> Option<PathBuf> {
        Some(self.folder.join("conf/rescaler.toml")).filter(|path| path.is_file())
    }

    /// Returns the records that had arrived until a time, interpolated between the times at which the producer counted.
    pub(crate) fn arrived(&self, at_s: f64) -> f64 {
        let counted = |row: &Row| {
            let total = row.get(Column::AckedTotal).or(row.get(Column::DueTotal))?;
            Some((row.get(Column::ProducerElapsedS).unwrap_or(row.at_s), total))
        };
        let mut before = (0.0, 0.0);
        for (counted_s, total) in self.rows.iter().filter_map(counted) {
            if counted_s >= at_s {
                let length_s = counted_s - before.0;
                let part = if length_s > 0.0 { (at_s - before.0) / length_s } else { 1.0 };
                return before.1 + part * (total - before.1).max(0.0);
            }
            before = (counted_s, total.max(before.1));
        }
        before.1
    }

    /// Returns the records that arrived in each second, of all sources.
    pub(crate) fn arrivals_per_s(&self) -> Vec<f64> {
        let end_s = self.rows.last().map_or(0.0, |row| row.at_s);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "seconds of a run")]
        let seconds = end_s.max(0.0).floor() as u32;
        let totals: Vec<f64> = (0..=seconds).map(|second| self.arrived(f64::from(second))).collect();
        totals.windows(2).map(|pair| (pair[1] - pair[0]).max(0.0)).collect()
    }

    /// Returns the run without its latencies of the seconds in which the job of `other` ran and its latency is unknown, so that neither
    /// counts a violation there.
    pub(crate) fn with_latency_gaps_of(mut self, other: &Self) -> Self {
        let is_gap =
            |row: &&Row| row.job == JobState::Running && row.get(Column::EventLatencyMeanMs).is_none();
        let gaps: Vec<f64> = other.rows.iter().filter(is_gap).map(|row| row.at_s.round()).collect();
        for row in self.rows.iter_mut().filter(|row| gaps.contains(&row.at_s.round())) {
            row.set(Column::EventLatencyMeanMs, None);
        }
        self
    }

    /// Returns how long the tasks have run without a change at this time, in seconds.
    pub(crate) fn age_s(&self, at_s: f64) -> f64 {
        let newest = self.changes.iter().rev().find(|change| change.began_s <= at_s);
        newest.map_or(f64::INFINITY, |change| at_s - change.ended_s)
    }

    /// Returns when the next change after this time was requested, in seconds since the load began.
    pub(crate) fn next_change_s(&self, at_s: f64) -> Option<f64> {
        self.changes.iter().map(|change| change.began_s).find(|began_s| *began_s > at_s)
    }

    /// Returns the rows, after the warm-up, in which the job keeps up and its tasks are warm.
    pub(crate) fn at_rest(&self) -> Vec<&Row> {
        let mut busy_s = f64::NEG_INFINITY;
        let mut rows = Vec::new();
        for row in &self.rows {
            if !self.keeps_up(row) || self.age_s(row.at_s) < WARM_S {
                busy_s = row.at_s;
            }
            if !row.is_warm_up && row.at_s - busy_s > MEAN_S {
                rows.push(row);
            }
        }
        rows
    }

    fn keeps_up(&self, row: &Row) -> bool {
        let waits = row.get(Column::BacklogRecords).zip(row.get(Column::InputPerS));
        row.job == JobState::Running && waits.is_some_and(|(waiting, per_s)| waiting <= AT_REST_S * per_s)
    }

    /// Returns the rows of warm tasks of each time between two changes in which the job is saturated at least once after the warm-up.
    pub(crate) fn saturated_lives(&self) -> Vec<Vec<&Row>> {
        let is_saturated = |row: &&Row| {
            let waits = row.get(Column::BacklogRecords).zip(row.get(Column::ProcessedPerS));
            waits.is_some_and(|(waiting, per_s)| waiting >= SATURATED_S * per_s)
        };
        let mut lives: BTreeMap<usize, Vec<&Row>> = BTreeMap::new();
        for row in self.rows.iter().filter(|row| !row.is_warm_up && self.age_s(row.at_s) >= SETTLED_S) {
            let begun = self.changes.iter().filter(|change| change.began_s <= row.at_s).count();
            lives.entry(begun).or_default().push(row);
        }
        lives.into_values().filter(|life| life.iter().any(is_saturated)).collect()
    }

    /// Returns the snapshots of warm tasks after the warm-up, complete ones only.
    pub(crate) fn warm(&self) -> impl Iterator<Item = &TimedSnapshot> {
        self.snapshots.iter().filter(move |timed| {
            let from_s = timed.begin_s();
            from_s >= self.summary.warm_up_s
                && self.age_s(from_s) >= WARM_S
                && timed.snapshot.missing.is_empty()
        })
    }

    /// Returns those of them in which the sources read what arrives, and hardly anything waits.
    pub(crate) fn warm_at_rest(&self) -> impl Iterator<Item = &TimedSnapshot> {
        self.warm().filter(|timed| {
            let sources = || timed.snapshot.operators.iter().filter(|operator| operator.kind == Kind::Source);
            let sum =
                |figure: fn(&scaling::Operator) -> Option<f64>| sources().map(figure).sum::<Option<f64>>();
            let waiting = sum(|source| source.backlog_records);
            let reads = sum(|source| source.throughput_per_s);
            waiting.zip(reads).is_some_and(|(waiting, per_s)| per_s > 0.0 && waiting <= AT_REST_S * per_s)
        })
    }
}
