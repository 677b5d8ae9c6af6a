//! Computes one snapshot from the samples of an epoch, from trusted readings only.

mod operators;
mod readings;
mod sources;
mod span;

use std::time::Duration;

use scaling::{Job, Operator, Quality, Query, Reading, SCHEMA, Snapshot, Subtask};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::kinds::Kinds;
use crate::sample::{Sample, TaskManager, Vertex};
use readings::{Epoch, mean, slope_per_s};

/// The latency of a query that the policy watches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LatencyMetric {
    /// From the newest contributing record's arrival in the job to the result: the time spent inside Flink.
    #[default]
    OverallLatency,
    /// From the newest contributing event's own time (windows: from their end) to the result: what a user feels, with the
    /// time that the event waited in Kafka.
    EventLatency,
}

impl LatencyMetric {
    fn metric(self) -> &'static str {
        match self {
            Self::OverallLatency => "overallLatency",
            Self::EventLatency => "eventLatency",
        }
    }
}

/// Settings of [`summarise`].
#[derive(Debug, Clone, PartialEq)]
pub struct SummarySettings {
    /// Samples of a job that has been running for less than this are not used: counters have just begun, busy times read
    /// 100 %, aggregates are incomplete.
    pub warm_up: Duration,
    /// The latency that violates the bound.
    pub latency_metric: LatencyMetric,
    /// Readings older than this at the time of their sample are unknown.
    pub newest_age_max: Duration,
    /// Configured kinds of operators, where the graph does not determine them.
    pub kinds: Kinds,
    /// Where the samples come from, for the record.
    pub source: String,
}

/// Why there is no snapshot of the samples.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NotReady {
    /// No two samples of the same life of the job, both past the warm-up.
    #[error("only {usable} usable samples in this epoch; 2 are needed (warm-up {warm_up_s} s)")]
    TooFewSamples {
        /// How many there are.
        usable: usize,
        /// The length of the warm-up, in seconds.
        warm_up_s: u64,
    },
    /// The newest reading of the newest sample is too old.
    #[error("the newest metrics are {age_s} s old, limit {max_s} s")]
    Stale {
        /// How old, in seconds.
        age_s: u64,
        /// How old they may be, in seconds.
        max_s: u64,
    },
}

/// Returns the snapshot of these samples, which must be ordered by time.
///
/// Only samples of the newest incarnation and after the warm-up count. Figures that a subtask did not report are unknown, and
/// named in [`Snapshot::missing`] if a decision needs them. The subtasks of a large job are reduced ([`Subtask::reduce`]).
///
/// # Errors
/// [`NotReady`] if fewer than two samples can be used, or the newest one has old readings.
pub fn summarise(
    samples: &[Sample],
    max_parallelism: u32,
    default_parallelism: u32,
    settings: &SummarySettings,
) -> Result<Snapshot, NotReady> {
    let usable = usable(samples, settings);
    let (Some(first), Some(last)) = (usable.first(), usable.last()) else {
        return Err(too_few(usable.len(), settings));
    };
    if usable.len() < 2 || last.at_ms <= first.at_ms {
        return Err(too_few(usable.len(), settings));
    }
    let age = Duration::from_millis((last.at_ms - last.newest_ms).max(0).unsigned_abs());
    if age > settings.newest_age_max {
        return Err(NotReady::Stale { age_s: age.as_secs(), max_s: settings.newest_age_max.as_secs() });
    }
    let epoch = Epoch { samples: &usable };
    let mut missing = Vec::new();
    let is_large = Snapshot::is_large(last.vertices.iter().map(|vertex| vertex.subtasks.len()).sum());
    let mut operators: Vec<Operator> = Vec::with_capacity(last.vertices.len());
    for vertex in &last.vertices {
        let mut operator = operators::operator(vertex, epoch, settings, &mut missing);
        if is_large {
            operator.subtasks.iter_mut().for_each(Subtask::reduce);
        }
        operators.push(operator);
    }
    if let Some(unknown) = unknown_graph(&last.vertices) {
        missing.push(unknown);
    }
    let offered = scaling::offered_rates(&operators);
    for operator in &mut operators {
        operator.input_rate_per_s = offered.get(&operator.name).copied();
    }
    let job = Job { parallelism: default_parallelism, max_parallelism, ..last.job.clone() };
    Ok(Snapshot {
        schema: SCHEMA,
        at_ms: Some(last.at_ms),
        interval_ms: Some(epoch.interval_ms()),
        source: Some(settings.source.clone()),
        newest_age_ms: Some(last.at_ms - last.newest_ms),
        job,
        queries: queries(epoch, settings),
        operators,
        task_managers: last.task_managers.iter().map(|tm| task_manager(tm, epoch)).collect(),
        state_size_bytes: last.state_size_bytes,
        stored_size_bytes: last.stored_size_bytes,
        missing,
    })
}

/// Returns the edges that Flink's REST interface should have and lacks.
fn unknown_graph(vertices: &[Vertex]) -> Option<String> {
    let unknown: Vec<&str> =
        vertices.iter().filter(|v| v.has_unknown_inputs).map(|vertex| vertex.name.as_str()).collect();
    (!unknown.is_empty()).then(|| {
        format!(
            "the job's graph is not known: Flink's plan does not show the inputs of {}",
            unknown.join(", ")
        )
    })
}

fn too_few(usable: usize, settings: &SummarySettings) -> NotReady {
    NotReady::TooFewSamples { usable, warm_up_s: settings.warm_up.as_secs() }
}

fn usable<'a>(samples: &'a [Sample], settings: &SummarySettings) -> Vec<&'a Sample> {
    let Some(last) = samples.last() else { return Vec::new() };
    let warm_up_ms = i64::try_from(settings.warm_up.as_millis()).unwrap_or(i64::MAX);
    let same_life =
        |sample: &&Sample| sample.incarnation == last.incarnation && sample.running_ms >= warm_up_ms;
    samples.iter().filter(same_life).collect()
}

/// Returns the latency of every query. The last operator of a query has the metric, and its name begins with the query's name
/// (`q7-highest-bid` → `q7`).
fn queries(epoch: Epoch<'_>, settings: &SummarySettings) -> Vec<Query> {
    let metric = settings.latency_metric.metric();
    let vertices = epoch.last().map_or(&[][..], |sample| sample.vertices.as_slice());
    let has_metric = |vertex: &&Vertex| {
        let mut all = vertex.subtasks.iter();
        all.any(|subtask| subtask.histograms.contains_key(metric) || subtask.means.contains_key(metric))
    };
    let query = |vertex: &Vertex| Query {
        name: vertex.name.split('-').next().unwrap_or_default().to_owned(),
        overall_latency_ms: operators::histogram_mean(&epoch.tracks(vertex), metric),
        latency_p99_ms: p99_ms(vertex, metric),
    };
    vertices.iter().filter(has_metric).map(query).collect()
}

/// Returns the largest 99th percentile of the subtasks' newest values.
fn p99_ms(vertex: &Vertex, metric: &str) -> Option<f64> {
    vertex.subtasks.iter().filter_map(|subtask| subtask.p99s.get(metric)).copied().reduce(f64::max)
}

fn task_manager(tm: &TaskManager, epoch: Epoch<'_>) -> scaling::TaskManager {
    let same = |sample: &&Sample| {
        let found = sample.task_managers.iter().find(|other| other.id == tm.id)?;
        Some((sample.at_ms, found.clone()))
    };
    let readings: Vec<(i64, TaskManager)> = epoch.samples.iter().filter_map(same).collect();
    let average = |figure: fn(&TaskManager) -> Option<f64>| {
        mean(&readings.iter().filter_map(|(_, tm)| figure(tm)).collect::<Vec<f64>>())
    };
    let reading = readings.first().zip(readings.last()).map(|(first, last)| Reading {
        from_ms: Some(first.0),
        at_ms: Some(last.0),
        quality: Quality::Measured,
        ..Reading::default()
    });
    scaling::TaskManager {
        id: tm.id.clone(),
        cpu_load: average(|tm| tm.cpu_load),
        heap_used_bytes: average(|tm| tm.heap_used_bytes),
        heap_max_bytes: tm.heap_max_bytes,
        slots: tm.slots,
        slots_free: tm.slots_free,
        managed_used_bytes: average(|tm| tm.managed_used_bytes),
        managed_max_bytes: tm.managed_max_bytes,
        gc_ms_per_s: gc_ms_per_s(&readings),
        reading,
        ..scaling::TaskManager::default()
    }
}

/// Returns the growth of the time spent collecting garbage. It is unknown if the time fell, or if neither it nor the used heap has
/// changed: the heap of a running JVM always changes, so the metrics are stale.
fn gc_ms_per_s(readings: &[(i64, TaskManager)]) -> Option<f64> {
    let points: Vec<(i64, f64)> =
        readings.iter().map(|(at_ms, tm)| Some((*at_ms, tm.gc_ms?))).collect::<Option<_>>()?;
    let heap = |(_, tm): &(i64, TaskManager)| tm.heap_used_bytes;
    let first = readings.first()?;
    let is_renewed = readings.iter().any(|reading| {
        reading.1.gc_ms != first.1.gc_ms || heap(reading).is_none() || heap(reading) != heap(first)
    });
    (is_renewed && points.is_sorted_by(|a, b| a.1 <= b.1)).then(|| slope_per_s(&points))?
}
