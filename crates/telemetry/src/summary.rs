//! One snapshot of the samples of an epoch: which readings may be trusted, and what they say.

use std::time::Duration;

use scaling::{Job, Operator, Query, SCHEMA, Snapshot};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::kinds::Kinds;
use crate::sample::{Sample, Subtask, TaskManager, Vertex};

/// Which of a query's latencies the policy watches.
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

/// How samples are judged.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Samples of a job that has been running for less than this are not used: counters have just begun, busy times read
    /// 100 %, aggregates are incomplete.
    pub warm_up: Duration,
    /// The latency that violates the bound.
    pub latency_metric: LatencyMetric,
    /// The kinds of operators that the graph does not tell.
    pub kinds: Kinds,
}

/// Why the samples make no snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NotReady {
    /// No two samples of the same life of the job, both past the warm-up.
    #[error("only {usable} usable samples in this epoch; 2 are needed (the job warms up for {warm_up_s} s)")]
    TooFewSamples {
        /// How many there are.
        usable: usize,
        /// The length of the warm-up, in seconds.
        warm_up_s: u64,
    },
}

/// The snapshot of these samples, which are in the order they were taken.
///
/// Only samples of the newest incarnation and past the warm-up count. Figures that some subtask did not report are
/// unknown, and named in [`Snapshot::missing`] where a decision needs them.
///
/// # Errors
/// [`NotReady`] if fewer than two samples can be used.
pub fn summarise(
    samples: &[Sample],
    max_parallelism: u32,
    default_parallelism: u32,
    settings: &Settings,
) -> Result<Snapshot, NotReady> {
    let usable = usable(samples, settings);
    let (Some(first), Some(last)) = (usable.first(), usable.last()) else {
        return Err(too_few(usable.len(), settings));
    };
    if usable.len() < 2 || last.at_ms <= first.at_ms {
        return Err(too_few(usable.len(), settings));
    }
    let mut missing = Vec::new();
    let mut operators: Vec<Operator> =
        last.vertices.iter().map(|vertex| operator(vertex, &usable, settings, &mut missing)).collect();
    let offered = scaling::offered_rates(&operators);
    for operator in &mut operators {
        operator.input_rate_per_s = offered.get(&operator.name).copied();
    }
    Ok(Snapshot {
        schema: SCHEMA,
        at_ms: Some(last.at_ms),
        job: Job {
            name: last.job.clone(),
            parallelism: default_parallelism,
            max_parallelism,
            ..Job::default()
        },
        queries: queries(&usable, settings),
        operators,
        task_managers: last.task_managers.iter().map(|tm| task_manager(tm, &usable)).collect(),
        interval_ms: Some(last.at_ms - first.at_ms),
        source: Some("flink-rest".to_owned()),
        state_size_bytes: last.state_size_bytes,
        missing,
        ..Snapshot::default()
    })
}

fn too_few(usable: usize, settings: &Settings) -> NotReady {
    NotReady::TooFewSamples { usable, warm_up_s: settings.warm_up.as_secs() }
}

fn usable<'a>(samples: &'a [Sample], settings: &Settings) -> Vec<&'a Sample> {
    let Some(last) = samples.last() else { return Vec::new() };
    let warm_up_ms = i64::try_from(settings.warm_up.as_millis()).unwrap_or(i64::MAX);
    let same_life =
        |sample: &&Sample| sample.incarnation == last.incarnation && sample.running_ms >= warm_up_ms;
    samples.iter().filter(same_life).collect()
}

/// The same subtask in every sample.
fn readings<'a>(
    vertex: &'a str,
    subtask: usize,
    samples: &'a [&Sample],
) -> impl Iterator<Item = Option<&'a Subtask>> {
    samples.iter().map(move |sample| sample.vertices.iter().find(|v| v.name == vertex)?.subtasks.get(subtask))
}

fn operator(
    vertex: &Vertex,
    samples: &[&Sample],
    settings: &Settings,
    missing: &mut Vec<String>,
) -> Operator {
    let all = samples.last().map_or(&[][..], |sample| sample.vertices.as_slice());
    let kind = settings.kinds.of(vertex, all);
    let mut sum = |what: &str, figure: fn(&Subtask) -> Option<f64>| {
        let rates = per_subtask(vertex, |subtask| rate(&vertex.name, subtask, samples, figure));
        if rates.is_none() {
            missing.push(format!(
                "{what} of {} is not known for all of its {} subtasks",
                vertex.name, vertex.parallelism
            ));
        }
        rates.map(|rates| rates.iter().sum::<f64>())
    };
    let input = sum("numRecordsIn", |subtask| subtask.records_in);
    let output = sum("numRecordsOut", |subtask| subtask.records_out);
    let backlog = if kind == scaling::Kind::Source { backlog(vertex, samples) } else { None };
    let busy =
        per_subtask(vertex, |subtask| mean_of(readings(&vertex.name, subtask, samples), |s| s.busy_ms_per_s));
    Operator {
        name: vertex.name.clone(),
        kind,
        latency_ms: latency_ms(vertex, samples),
        throughput_per_s: if kind == scaling::Kind::Source { output } else { input },
        input_rate_per_s: None,
        output_rate_per_s: output,
        arrival_rate_per_s: backlog
            .zip(output)
            .map(|(backlog, output)| (output + backlog.growth_per_s).max(0.0)),
        backlog_records: backlog.map(|backlog| backlog.records),
        busy_ratio: busy.and_then(|busy| mean(&busy)).map(|ms| ms / 1000.0),
        parallelism: vertex.parallelism,
        max_parallelism: Some(vertex.max_parallelism),
        inputs: vertex.inputs.clone(),
        subtasks: subtasks(vertex, samples),
        ..Operator::default()
    }
}

/// What is known of each subtask by itself.
fn subtasks(vertex: &Vertex, samples: &[&Sample]) -> Vec<scaling::Subtask> {
    let interval_s = seconds(samples);
    let of = |(index, last): (usize, &Subtask)| {
        let counted = |figure| rate(&vertex.name, index, samples, figure).map(|per_s| per_s * interval_s);
        let busy = mean_of(readings(&vertex.name, index, samples), |subtask| subtask.busy_ms_per_s);
        scaling::Subtask {
            records_in: counted(|subtask| subtask.records_in),
            records_out: counted(|subtask| subtask.records_out),
            interval_ms: samples.last().zip(samples.first()).map(|(last, first)| last.at_ms - first.at_ms),
            busy_ratio: busy.map(|ms| ms / 1000.0),
            pending_records: last.pending_records,
            ..scaling::Subtask::default()
        }
    };
    vertex.subtasks.iter().enumerate().map(of).collect()
}

fn per_subtask(vertex: &Vertex, figure: impl Fn(usize) -> Option<f64>) -> Option<Vec<f64>> {
    (0..vertex.subtasks.len()).map(figure).collect()
}

/// The growth of a counter per second between the first and the last sample; unknown if a reading is missing or it fell.
fn rate(
    vertex: &str,
    subtask: usize,
    samples: &[&Sample],
    figure: fn(&Subtask) -> Option<f64>,
) -> Option<f64> {
    let values: Option<Vec<f64>> =
        readings(vertex, subtask, samples).map(|reading| figure(reading?)).collect();
    let values = values?;
    let grown = values.last()? - values.first()?;
    (values.is_sorted()).then(|| grown / seconds(samples))
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of an epoch")]
fn seconds(samples: &[&Sample]) -> f64 {
    let span_ms = samples.last().map_or(0, |s| s.at_ms) - samples.first().map_or(0, |s| s.at_ms);
    span_ms as f64 / 1000.0
}

#[derive(Clone, Copy)]
struct Backlog {
    records: f64,
    growth_per_s: f64,
}

/// The backlog of a source. A subtask that has emitted nothing and reports no backlog has no partition to read.
fn backlog(vertex: &Vertex, samples: &[&Sample]) -> Option<Backlog> {
    let at = |sample: &Sample| -> Option<f64> {
        let vertex = sample.vertices.iter().find(|v| v.name == vertex.name)?;
        let records = vertex.subtasks.iter().map(|subtask| match subtask.pending_records {
            None if subtask.records_out == Some(0.0) => Some(0.0),
            pending => pending,
        });
        records.sum()
    };
    let (first, last) = (at(samples.first()?)?, at(samples.last()?)?);
    Some(Backlog { records: last, growth_per_s: (last - first) / seconds(samples) })
}

/// Mean processing time plus mean waiting time; with two inputs the mean of both. In milliseconds.
fn latency_ms(vertex: &Vertex, samples: &[&Sample]) -> Option<f64> {
    let of = |input: &str| -> Option<f64> {
        let processing_us = histogram_mean(vertex, samples, &format!("latency{input}"))?;
        let waiting_ms = histogram_mean(vertex, samples, &format!("waitingTime{input}"))?;
        Some(processing_us / 1000.0 + waiting_ms)
    };
    let inputs: Vec<f64> = ["Input1", "Input2"].into_iter().filter_map(of).collect();
    mean(&inputs).or_else(|| of(""))
}

/// The mean over subtasks of a histogram's mean over the epoch. Subtasks without a value in the epoch have no say.
fn histogram_mean(vertex: &Vertex, samples: &[&Sample], histogram: &str) -> Option<f64> {
    let means: Vec<f64> = (0..vertex.subtasks.len())
        .filter_map(|subtask| epoch_mean(readings(&vertex.name, subtask, samples), histogram))
        .collect();
    mean(&means)
}

/// The mean of the values that came between the first and the last sample; unknown if none came.
fn epoch_mean<'a>(readings: impl Iterator<Item = Option<&'a Subtask>>, histogram: &str) -> Option<f64> {
    let known: Vec<_> = readings.filter_map(|reading| reading?.histograms.get(histogram)).collect();
    let (first, last) = (known.first()?, known.last()?);
    (last.count > first.count).then(|| (last.sum - first.sum) / (last.count - first.count))
}

/// The latency of every query: the last operator of a query is the one that has the metric, and its name begins with the
/// query's (`q7-highest-bid` → `q7`).
fn queries(samples: &[&Sample], settings: &Settings) -> Vec<Query> {
    let metric = settings.latency_metric.metric();
    let vertices = samples.last().map_or(&[][..], |sample| sample.vertices.as_slice());
    let has_metric =
        |vertex: &&Vertex| vertex.subtasks.iter().any(|subtask| subtask.histograms.contains_key(metric));
    let query = |vertex: &Vertex| Query {
        name: vertex.name.split('-').next().unwrap_or_default().to_owned(),
        overall_latency_ms: histogram_mean(vertex, samples, metric),
    };
    vertices.iter().filter(has_metric).map(query).collect()
}

fn task_manager(tm: &TaskManager, samples: &[&Sample]) -> scaling::TaskManager {
    let same = |sample: &&Sample| sample.task_managers.iter().find(|other| other.id == tm.id).cloned();
    let readings: Vec<TaskManager> = samples.iter().filter_map(same).collect();
    let average = |figure: fn(&TaskManager) -> Option<f64>| {
        mean(&readings.iter().filter_map(figure).collect::<Vec<f64>>())
    };
    scaling::TaskManager {
        id: tm.id.clone(),
        cpu_load: average(|tm| tm.cpu_load),
        heap_used_bytes: average(|tm| tm.heap_used_bytes),
        heap_max_bytes: tm.heap_max_bytes,
        ..scaling::TaskManager::default()
    }
}

fn mean_of<'a>(
    readings: impl Iterator<Item = Option<&'a Subtask>>,
    figure: fn(&Subtask) -> Option<f64>,
) -> Option<f64> {
    mean(&readings.filter_map(|reading| figure(reading?)).collect::<Vec<f64>>())
}

#[expect(clippy::cast_precision_loss, reason = "counts of samples and subtasks")]
fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}
