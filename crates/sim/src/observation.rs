//! Builds the snapshot that a rescaler would make of the model: readings of an epoch, with realistic faults.
//!
//! Works like `telemetry`: only readings of the current execution after the warm-up count, rates are differences of
//! counters, and a rate with an incomplete reading is unknown and listed in `missing`.

use std::collections::BTreeMap;

use scaling::{
    Checkpoints, Distribution, Edge, Job, Kind, Operator, Partitioning, Quality, Query, Reading, Rescale,
    SCHEMA, Snapshot, Subtask, TaskManager,
};
use thiserror::Error;

use crate::change::{Change, OperatorParallelism, seconds};
use crate::view::{InputUnits, View};

/// The start of every run, in milliseconds since the Unix epoch: the first second of 2026.
pub const START_MS: i64 = 1_767_225_600_000;
/// Tasks younger than this report always busy, in seconds.
const YOUNG_S: usize = 10;
/// How long after a change its backlog is observed, in seconds.
const WATCHED_S: usize = 60;
/// Sampling interval of a series, in seconds.
const SAMPLE_S: usize = 2;
/// Number of past changes in a snapshot.
const RESCALES: usize = 10;

/// Length and warm-up of an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Observer {
    /// Length of an epoch, in seconds.
    pub length_s: u32,
    /// Readings of tasks younger than this are ignored, in seconds.
    pub warm_up_s: u32,
}

/// The epoch has no usable readings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("fewer than two usable readings in this epoch")]
pub struct NotReady;

/// The seconds of the usable readings.
#[derive(Debug, Clone, Copy)]
struct Epoch<'a> {
    view: View<'a>,
    from_s: usize,
    until_s: usize,
    is_complete: bool,
}

/// Converts a second of the run to milliseconds since the Unix epoch.
pub fn at_ms(second: usize) -> i64 {
    START_MS.saturating_add(i64::try_from(second).unwrap_or(i64::MAX).saturating_mul(1000))
}

/// Returns the job's maximum parallelism: the largest number of key groups, or of possible subtasks, of any operator.
pub(crate) fn max_parallelism(view: View<'_>) -> u32 {
    let key_groups = |index: usize| match view.input_units(index) {
        InputUnits::KeyGroups(count) => Some(count),
        InputUnits::None | InputUnits::Partitions(_) => None,
    };
    let most = (0..view.operators()).filter_map(key_groups).max().unwrap_or(128);
    most.max(view.parallelism_max())
}

impl Observer {
    /// Builds the snapshot of the epoch that ends now.
    ///
    /// # Errors
    /// [`NotReady`] shortly after the start of the tasks.
    pub fn observe(self, view: View<'_>) -> Result<Snapshot, NotReady> {
        let until_s = view.newest_s().ok_or(NotReady)?;
        let usable_s = view.restarted_s().map_or(0, |restarted_s| restarted_s + self.warm_up_s as usize);
        let from_s = until_s.saturating_sub(self.length_s as usize).max(usable_s).max(view.oldest_s());
        if from_s >= until_s {
            return Err(NotReady);
        }
        let is_complete = (from_s..=until_s).all(|second| view.job(second).is_complete);
        let epoch = Epoch { view, from_s, until_s, is_complete };
        let mut operators: Vec<Operator> = (0..view.operators()).map(|index| epoch.operator(index)).collect();
        let offered = scaling::offered_rates(&operators);
        for operator in &mut operators {
            operator.input_rate_per_s = offered.get(&operator.name).copied();
        }
        Ok(Snapshot {
            schema: SCHEMA,
            at_ms: Some(at_ms(view.now_s())),
            interval_ms: Some(epoch.interval_ms()),
            source: Some("simulator".to_owned()),
            newest_age_ms: Some(at_ms(view.now_s()) - at_ms(until_s)),
            job: epoch.job(),
            queries: vec![Query {
                name: "job".to_owned(),
                overall_latency_ms: epoch.latency_ms(),
                ..Query::default()
            }],
            task_managers: epoch.task_managers(),
            missing: epoch.missing(),
            operators,
            ..Snapshot::default()
        })
    }
}

impl Epoch<'_> {
    fn length_s(self) -> f64 {
        seconds(self.until_s - self.from_s)
    }

    fn interval_ms(self) -> i64 {
        at_ms(self.until_s) - at_ms(self.from_s)
    }

    /// Returns the growth of a counter; `None` if a reading is incomplete.
    fn growth(self, operator: usize, counter: impl Fn(&crate::history::Reading) -> f64) -> Option<f64> {
        let at = |second| counter(self.view.reading(operator, second));
        self.is_complete.then(|| at(self.until_s) - at(self.from_s))
    }

    fn rate(self, operator: usize, counter: impl Fn(&crate::history::Reading) -> f64) -> Option<f64> {
        self.growth(operator, counter).map(|growth| growth / self.length_s())
    }

    fn is_young(self) -> bool {
        self.view.restarted_s().is_some_and(|restarted_s| self.until_s < restarted_s + YOUNG_S)
    }

    fn reading(self) -> Reading {
        let quality = if self.is_complete { Quality::Measured } else { Quality::Partial };
        let except = BTreeMap::from([("input_rate_per_s".to_owned(), Quality::Derived)]);
        Reading { from_ms: Some(at_ms(self.from_s)), at_ms: Some(at_ms(self.until_s)), quality, except }
    }

    fn missing(self) -> Vec<String> {
        let name = |operator: usize| self.view.name(operator);
        let incomplete =
            |operator: usize| format!("numRecordsIn of {} is not known for all subtasks", name(operator));
        if self.is_complete { Vec::new() } else { (0..self.view.operators()).map(incomplete).collect() }
    }

    fn latency_ms(self) -> Option<f64> {
        let at = |second| self.view.job(second).latency_sum_s;
        self.is_complete.then(|| (at(self.until_s) - at(self.from_s)) / self.length_s() * 1000.0)
    }

    fn job(self) -> Job {
        let view = self.view;
        Job {
            name: "simulated".to_owned(),
            parallelism: 1,
            max_parallelism: max_parallelism(view),
            state: Some("RUNNING".to_owned()),
            running_since_ms: Some(at_ms(view.restarted_s().unwrap_or(0))),
            restarts: Some(view.changes().len() as u64),
            checkpoints: Some(Checkpoints::default()),
            rescales: view.changes().iter().rev().take(RESCALES).map(|change| self.rescale(change)).collect(),
            ..Job::default()
        }
    }

    fn rescale(self, change: &Change) -> Rescale {
        let ms = |seconds: f64| {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "milliseconds of a change"
            )]
            Some((seconds * 1000.0).round() as u64)
        };
        let OperatorParallelism { before, wanted, after } = change.parallelism.clone();
        Rescale {
            at_ms: Some(at_ms(change.completed_s + 1)),
            requested_at_ms: Some(at_ms(change.requested_s)),
            backlog_peak_records: self.backlog_peak(change),
            duration_ms: ms(seconds(change.completed_s + 1 - change.requested_s)),
            downtime_ms: ms(change.outage_s),
            succeeded: Some(change.succeeded()),
            before,
            wanted,
            after,
        }
    }

    /// Returns the largest backlog from the request until a minute after the end, within the retention.
    fn backlog_peak(self, change: &Change) -> Option<f64> {
        let view = self.view;
        let seconds = change.requested_s..=(change.completed_s + WATCHED_S).min(self.until_s);
        let backlog = |second: usize| -> f64 {
            view.sources().iter().map(|source| view.reading(*source, second).pending).sum()
        };
        let is_kept = change.requested_s >= view.oldest_s();
        is_kept.then(|| seconds.map(backlog).fold(0.0, f64::max))
    }

    fn task_managers(self) -> Vec<TaskManager> {
        let per = self.view.slots_per_task_manager();
        let mut used = self.view.slots();
        let one = |number: u32| {
            let taken = used.min(per);
            used -= taken;
            TaskManager {
                id: format!("task-manager-{number:02}"),
                slots: Some(per),
                slots_free: Some(per - taken),
                ..TaskManager::default()
            }
        };
        (1..=self.view.task_managers()).map(one).collect()
    }

    fn operator(self, index: usize) -> Operator {
        let view = self.view;
        let (kind, input_units) = (view.kind(index), view.input_units(index));
        let is_source = kind == Kind::Source;
        let output = self.rate(index, |reading| reading.records_out);
        let busy = self.busy(index, |reading| reading.busy_mean_s);
        let held = self.rate(index, |reading| reading.backpressured_s).map(|share| share.clamp(0.0, 1.0));
        let firing_ms = self.firing_ms(index);
        Operator {
            name: view.name(index).to_owned(),
            kind,
            latency_ms: self.rate(index, |reading| reading.waited_s).map(|s| s * 1000.0),
            throughput_per_s: if is_source { output } else { self.rate(index, |reading| reading.records_in) },
            output_rate_per_s: output,
            arrival_rate_per_s: if is_source { self.rate(index, |reading| reading.arrived) } else { None },
            backlog_records: self.backlog(index).filter(|_| is_source),
            backlog_series: self.series(index, |reading| reading.pending),
            arrivals: self.series(index, |reading| reading.arrived),
            source_partitions: input_units.count().filter(|_| is_source),
            busy_ratio: busy,
            idle_ratio: busy.zip(held).map(|(busy, held)| (1.0 - busy - held).max(0.0)),
            backpressured_ratio: held,
            firing_ms,
            parallelism: view.parallelism()[index],
            max_parallelism: if is_source { None } else { input_units.count() },
            slot_sharing_group: view.slot_sharing_group(index).map(str::to_owned),
            inputs: view.upstream(index).map(|input| view.name(input).to_owned()).collect(),
            edges: self.edges(index),
            subtasks: if is_source {
                self.readers(index, held)
            } else {
                self.subtasks(index, held, firing_ms)
            },
            reading: Some(self.reading()),
            ..Operator::default()
        }
    }

    fn busy(self, index: usize, counter: impl Fn(&crate::history::Reading) -> f64) -> Option<f64> {
        if self.is_young() {
            return self.is_complete.then_some(1.0);
        }
        self.rate(index, counter).map(|share| share.clamp(0.0, 1.0))
    }

    fn backlog(self, index: usize) -> Option<f64> {
        self.view.job(self.until_s).is_complete.then(|| self.view.reading(index, self.until_s).pending)
    }

    /// Returns a source's counter over the epoch.
    fn series(self, index: usize, counter: impl Fn(&crate::history::Reading) -> f64) -> Vec<(i64, f64)> {
        if self.view.kind(index) != Kind::Source {
            return Vec::new();
        }
        let mut seconds: Vec<usize> = (self.from_s..=self.until_s).rev().step_by(SAMPLE_S).collect();
        seconds.reverse();
        let known = seconds.into_iter().filter(|second| self.view.job(*second).is_complete);
        known.map(|second| (at_ms(second), counter(self.view.reading(index, second)))).collect()
    }

    fn firing_ms(self, index: usize) -> Option<Distribution> {
        let longest_s = self.view.last_firing_s(index)?;
        Some(Distribution { max: Some(longest_s * 1000.0), ..Distribution::default() })
    }

    fn edges(self, index: usize) -> Vec<Edge> {
        let view = self.view;
        let partitioning = match view.input_units(index) {
            InputUnits::KeyGroups(_) => Partitioning::Hash,
            InputUnits::None | InputUnits::Partitions(_) => Partitioning::Rebalance,
        };
        view.upstream(index).map(|input| Edge { from: view.name(input).to_owned(), partitioning }).collect()
    }

    /// Returns the subtasks of an operator other than a source.
    fn subtasks(self, index: usize, held: Option<f64>, firing_ms: Option<Distribution>) -> Vec<Subtask> {
        let (records_in, records_out) = (
            self.growth(index, |reading| reading.records_in),
            self.growth(index, |reading| reading.records_out),
        );
        let fullest_busy = self.busy(index, |reading| reading.busy_fullest_s);
        let shares = self.view.shares(index);
        let fullest_share = shares.iter().copied().fold(0.0, f64::max);
        let is_even = self.view.is_evenly_busy(index) || self.is_young();
        let subtask = |share: &f64| {
            let part = share / fullest_share;
            let busy = fullest_busy.map(|busy| if is_even { busy } else { busy * part });
            Subtask {
                records_in: records_in.map(|records| records * share),
                records_out: records_out.map(|records| records * share),
                interval_ms: Some(self.interval_ms()),
                busy_ratio: busy,
                idle_ratio: busy.zip(held).map(|(busy, held)| (1.0 - busy - held).max(0.0)),
                backpressured_ratio: held,
                firing_ms: firing_ms
                    .map(|firing| Distribution { max: firing.max.map(|ms| ms * part), ..firing })
                    .map(Box::new),
                ..Subtask::default()
            }
        };
        shares.iter().map(subtask).collect()
    }

    /// Returns the subtasks of a source, from the counters of their partitions.
    fn readers(self, index: usize, held: Option<f64>) -> Vec<Subtask> {
        let view = self.view;
        let parallelism = view.parallelism()[index] as usize;
        let partitions = view.input_units(index).count().unwrap_or(1) as usize;
        let fullest_busy = self.busy(index, |reading| reading.busy_fullest_s);
        let shares = view.shares(index);
        let fullest_share = shares.iter().copied().fold(0.0, f64::max);
        let subtask = |number: usize| {
            let own = (number..partitions).step_by(parallelism);
            let at =
                |second: usize| own.clone().map(move |partition| view.partition(index, partition, second));
            let read = |second: usize| at(second).map(|reading| reading.records).sum::<f64>();
            let busy = fullest_busy
                .map(|busy| if self.is_young() { busy } else { busy * shares[number] / fullest_share });
            let records = self.is_complete.then(|| read(self.until_s) - read(self.from_s));
            Subtask {
                records_in: records,
                records_out: records,
                interval_ms: Some(self.interval_ms()),
                busy_ratio: busy,
                idle_ratio: busy.zip(held).map(|(busy, held)| (1.0 - busy - held).max(0.0)),
                backpressured_ratio: held,
                pending_records: self
                    .view
                    .job(self.until_s)
                    .is_complete
                    .then(|| at(self.until_s).map(|reading| reading.pending).sum()),
                ..Subtask::default()
            }
        };
        (0..parallelism).map(subtask).collect()
    }
}
