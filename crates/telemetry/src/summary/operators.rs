//! Computes one operator's figures over an epoch from the readings of its subtasks.

use std::collections::BTreeMap;

use scaling::{Distribution, Edge, Kind, Operator, Partitioning, Quality, Reading};

use super::SummarySettings;
use super::readings::{Epoch, Track, mean};
use super::sources::{Backlog, ReadCounter, backlog, has_no_partition};
use crate::sample::{Subtask, Vertex};

/// Returns the operator, and the unknown figures that a decision needs.
pub(super) fn operator(
    vertex: &Vertex,
    epoch: Epoch<'_>,
    settings: &SummarySettings,
    missing: &mut Vec<String>,
) -> Operator {
    let all = epoch.last().map_or(&[][..], |sample| sample.vertices.as_slice());
    let kind = settings.kinds.kind_of(vertex, all);
    let tracks = epoch.tracks(vertex);
    let reads = if kind == Kind::Source { ReadCounter::select(&tracks, idle) } else { None };
    let output = all_rates(vertex, &tracks, "numRecordsOut", output_rate, missing);
    let throughput = match kind {
        Kind::Source => read_rate(vertex, &tracks, reads, missing),
        _ => all_rates(vertex, &tracks, "numRecordsIn", input_rate, missing),
    };
    let waiting =
        if kind == Kind::Source { backlog(vertex, epoch, &tracks, reads) } else { Backlog::default() };
    let share = |share: fn(&Track<'_>) -> Option<f64>| every(&tracks, share).and_then(|all| mean(&all));
    let lag = every(&tracks, |track| track.last()?.watermark_lag_ms.filter(|_| !track.is_stale()));
    let window_records = distribution(&tracks, "windowSize", 1.0);
    let processing = distribution(&tracks, "latency", MS_PER_US);
    Operator {
        name: vertex.name.clone(),
        kind,
        vertex_id: vertex.id.clone(),
        latency_ms: latency_ms(&tracks),
        throughput_per_s: throughput,
        output_rate_per_s: output,
        arrival_rate_per_s: waiting.arrived_per_s.or_else(|| {
            let (growth_per_s, read_per_s) = waiting.growth_per_s.zip(throughput)?;
            Some((read_per_s + growth_per_s).max(0.0))
        }),
        backlog_records: waiting.records,
        backlog_series: waiting.series,
        arrivals: waiting.arrivals,
        source_partitions: vertex.source_partitions.filter(|_| kind == Kind::Source),
        slot_sharing_group: vertex.slot_sharing_group.clone(),
        busy_ratio: share(busy),
        idle_ratio: share(idle),
        backpressured_ratio: share(backpressured),
        watermark_lag_ms: lag.and_then(|all| all.into_iter().reduce(f64::max)),
        processing_ms: if kind.is_windowed() { None } else { processing },
        waiting_ms: distribution(&tracks, "waitingTime", 1.0),
        firing_ms: if kind.is_windowed() { firing(processing, &tracks) } else { None },
        window_records,
        parallelism: vertex.parallelism,
        max_parallelism: (vertex.max_parallelism > 0).then_some(vertex.max_parallelism),
        inputs: vertex.inputs.iter().map(|input| input.from.clone()).collect(),
        edges: vertex.inputs.iter().map(edge).collect(),
        subtasks: tracks.iter().map(|track| subtask(track, &tracks, kind, reads)).collect(),
        reading: reading(&tracks, kind, reads, waiting.unknown),
        ..Operator::default()
    }
}

/// Returns the records per second that a source reads.
fn read_rate(
    vertex: &Vertex,
    tracks: &[Track<'_>],
    reads: Option<ReadCounter>,
    missing: &mut Vec<String>,
) -> Option<f64> {
    let Some(reads) = reads else {
        missing.push(format!(
            "the input rate of {} is not known: its counters are all 0 (before Flink 2.0 a task that both reads and writes \
             counts nothing); break its chain after the source (startNewChain), so that its output is counted",
            vertex.name
        ));
        return None;
    };
    all_rates(vertex, tracks, "what is read", |track| reads.rate(track), missing)
}

/// Histograms of processing are in microseconds.
const MS_PER_US: f64 = 0.001;

fn input_rate(track: &Track<'_>) -> Option<f64> {
    track.rate_or(|subtask| subtask.records_in, |subtask| subtask.records_in_per_s)
}

fn output_rate(track: &Track<'_>) -> Option<f64> {
    track.rate_or(|subtask| subtask.records_out, |subtask| subtask.records_out_per_s)
}

fn busy(track: &Track<'_>) -> Option<f64> {
    track.share(|subtask| subtask.busy_ms, |subtask| subtask.busy_ms_per_s)
}

fn idle(track: &Track<'_>) -> Option<f64> {
    track.share(|subtask| subtask.idle_ms, |subtask| subtask.idle_ms_per_s)
}

fn backpressured(track: &Track<'_>) -> Option<f64> {
    track.share(|subtask| subtask.backpressured_ms, |subtask| subtask.backpressured_ms_per_s)
}

/// Returns a figure of every subtask; [`None`] if one is unknown.
fn every<'a>(tracks: &[Track<'a>], figure: impl Fn(&Track<'a>) -> Option<f64>) -> Option<Vec<f64>> {
    tracks.iter().map(figure).collect()
}

/// Returns the sum of a rate over all subtasks, or names what is missing.
fn all_rates(
    vertex: &Vertex,
    tracks: &[Track<'_>],
    metric: &str,
    rate: impl Fn(&Track<'_>) -> Option<f64>,
    missing: &mut Vec<String>,
) -> Option<f64> {
    let rates: Vec<Option<f64>> = tracks.iter().map(rate).collect();
    let silent: Vec<String> =
        (0_usize..).zip(&rates).filter(|(_, rate)| rate.is_none()).map(|(i, _)| i.to_string()).collect();
    if !silent.is_empty() || rates.is_empty() {
        let (name, parallelism) = (&vertex.name, vertex.parallelism);
        let stale = tracks.iter().filter(|track| track.is_stale()).count();
        let why = match stale {
            0 => String::new(),
            _ => format!("; the metrics of {stale} are stale: their time counters do not increase"),
        };
        missing.push(format!(
            "{metric} of {name} is not known for all of its {parallelism} subtasks (not for {}){why}",
            silent.join(", ")
        ));
        return None;
    }
    rates.into_iter().sum()
}

/// Returns mean processing time plus mean waiting time, with two inputs their mean, in milliseconds.
fn latency_ms(tracks: &[Track<'_>]) -> Option<f64> {
    let of = |input: &str| -> Option<f64> {
        let processing_us = histogram_mean(tracks, &format!("latency{input}"))?;
        let waiting_ms = histogram_mean(tracks, &format!("waitingTime{input}"))?;
        Some(processing_us * MS_PER_US + waiting_ms)
    };
    let inputs: Vec<f64> = ["Input1", "Input2"].into_iter().filter_map(of).collect();
    mean(&inputs).or_else(|| of(""))
}

/// Returns the mean over subtasks of a histogram's mean over the epoch, without subtasks that have no value in the epoch.
pub(super) fn histogram_mean(tracks: &[Track<'_>], histogram: &str) -> Option<f64> {
    mean(&tracks.iter().filter_map(|track| track.histogram_mean(histogram)).collect::<Vec<f64>>())
}

/// Returns the growth of a histogram over all subtasks; [`None`] if it counted nothing.
fn distribution(tracks: &[Track<'_>], histogram: &str, unit: f64) -> Option<Distribution> {
    let counted: Vec<(f64, f64)> = tracks.iter().filter_map(|track| track.histogram(histogram)).collect();
    if counted.is_empty() {
        let mean = histogram_mean(tracks, histogram)? * unit;
        return Some(Distribution { mean: Some(mean), ..Distribution::default() });
    }
    let count: f64 = counted.iter().map(|(count, _)| count).sum();
    let sum: f64 = counted.iter().map(|(_, sum)| sum * unit).sum();
    Some(Distribution {
        count: Some(count),
        sum: Some(sum),
        mean: Some(sum / count),
        ..Distribution::default()
    })
}

/// Returns the time that a firing window blocks its input: the longest of the newest calls.
fn firing(processing: Option<Distribution>, tracks: &[Track<'_>]) -> Option<Distribution> {
    let longest = tracks.iter().flat_map(Track::known).filter_map(|subtask| subtask.maxima.get("latency"));
    let max = longest.copied().reduce(f64::max).map(|us| us * MS_PER_US);
    if max.is_none() && processing.is_none() {
        return None;
    }
    Some(Distribution { max, ..processing.unwrap_or_default() })
}

/// Returns one subtask. The records in of a source are those that it reads.
fn subtask(track: &Track<'_>, all: &[Track<'_>], kind: Kind, reads: Option<ReadCounter>) -> scaling::Subtask {
    let last = track.last().filter(|_| !track.is_stale());
    let partitions =
        |subtask: &Subtask| subtask.partitions.or_else(|| has_no_partition(subtask, all, reads).then_some(0));
    let one = std::slice::from_ref(track);
    let processing = distribution(one, "latency", MS_PER_US);
    scaling::Subtask {
        records_in: match kind {
            Kind::Source => reads.and_then(|reads| reads.growth(track)),
            _ => track.growth(|subtask| subtask.records_in),
        },
        records_out: track.growth(|subtask| subtask.records_out),
        interval_ms: track.interval_ms(),
        busy_ratio: busy(track),
        idle_ratio: idle(track),
        backpressured_ratio: backpressured(track),
        watermark_lag_ms: last.and_then(|subtask| subtask.watermark_lag_ms),
        pending_records: last.and_then(|subtask| subtask.pending_records),
        partitions: last.filter(|_| kind == Kind::Source).and_then(partitions),
        processing_ms: if kind.is_windowed() { None } else { processing.map(Box::new) },
        waiting_ms: distribution(one, "waitingTime", 1.0).map(Box::new),
        firing_ms: if kind.is_windowed() { firing(processing, one).map(Box::new) } else { None },
        window_records: distribution(one, "windowSize", 1.0).map(Box::new),
        ..scaling::Subtask::default()
    }
}

/// Returns the time of the operator's readings, and the quality of figures that are no differences of counters.
fn reading(
    tracks: &[Track<'_>],
    kind: Kind,
    reads: Option<ReadCounter>,
    backlog: Option<Quality>,
) -> Option<Reading> {
    let times: Vec<(i64, i64)> = tracks.iter().filter_map(Track::times).collect();
    let (from_ms, at_ms) = (times.iter().map(|t| t.0).max()?, times.iter().map(|t| t.1).min()?);
    let has = |figure: fn(&Subtask) -> Option<f64>| {
        tracks.iter().flat_map(Track::known).any(|s| figure(s).is_some())
    };
    let is_smoothed = match kind {
        Kind::Source => reads.is_some_and(|reads| reads.is_smoothed(tracks)),
        _ => !has(|s| s.records_in) && has(|s| s.records_in_per_s),
    };
    let smoothed = [
        ("busy_ratio", !has(|s| s.busy_ms) && has(|s| s.busy_ms_per_s)),
        ("idle_ratio", !has(|s| s.idle_ms) && has(|s| s.idle_ms_per_s)),
        ("backpressured_ratio", !has(|s| s.backpressured_ms) && has(|s| s.backpressured_ms_per_s)),
        ("throughput_per_s", is_smoothed),
        ("output_rate_per_s", !has(|s| s.records_out) && has(|s| s.records_out_per_s)),
    ];
    let mut except: BTreeMap<String, Quality> = smoothed
        .into_iter()
        .filter(|(_, is_smoothed)| *is_smoothed)
        .map(|(field, _)| (field.to_owned(), Quality::Smoothed))
        .collect();
    except.insert("input_rate_per_s".to_owned(), Quality::Derived);
    if let Some(quality) = backlog {
        except.insert("backlog_records".to_owned(), quality);
    }
    if kind == Kind::Source && reads.is_none() {
        except.insert("throughput_per_s".to_owned(), Quality::Missing);
    }
    let is_whole = times.len() == tracks.len();
    let stale = tracks.iter().filter(|track| track.is_stale()).count();
    let quality = match stale {
        0 if is_whole => Quality::Measured,
        all if all == tracks.len() => Quality::Stale,
        _ => Quality::Partial,
    };
    Some(Reading { from_ms: Some(from_ms), at_ms: Some(at_ms), quality, except })
}

fn edge(input: &crate::sample::Input) -> Edge {
    let partitioning = match input.ship_strategy.to_ascii_uppercase().as_str() {
        "HASH" => Partitioning::Hash,
        "FORWARD" => Partitioning::Forward,
        "REBALANCE" => Partitioning::Rebalance,
        "RESCALE" => Partitioning::Rescale,
        "BROADCAST" => Partitioning::Broadcast,
        "GLOBAL" => Partitioning::Global,
        _ => Partitioning::Other,
    };
    Edge { from: input.from.clone(), partitioning }
}
