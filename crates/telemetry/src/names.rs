//! The metrics that are read, with their names and their field of a subtask.
//!
//! The names are the same in every store; the context around them (host, task manager, job, operator, subtask) is not, see
//! [`crate::mapping`]. Flink's REST interface lists `<subtask>.<metric>` for the task and `<subtask>.<operator>.<metric>` for its
//! operators. Of a histogram `h` it shows only statistics of the newest values (`h_mean`, `h_max` …); this project's jobs
//! count beside it: `hCount`, `hSum`.

use crate::sample::{Histogram, Subtask};

/// The histograms of this project's jobs that are read, by the name in the operator's metric group.
const HISTOGRAMS: [&str; 9] = [
    "latency",
    "latencyInput1",
    "latencyInput2",
    "waitingTime",
    "waitingTimeInput1",
    "waitingTimeInput2",
    "overallLatency",
    "eventLatency",
    "windowSize",
];

/// The histogram whose maximum is read: the time that a firing window blocks its input.
const FIRING: &str = "latency";

/// The histograms whose 99th percentile is read: the latencies of a query.
const RESULTS: [&str; 2] = ["overallLatency", "eventLatency"];

/// The counter that all window operators of Flink have, in every API and language.
const LATE_RECORDS: &str = "numLateRecordsDropped";

/// The smallest watermark, which Flink shows before the first one.
const NO_WATERMARK: f64 = i64::MIN as f64;

/// Which subtask metric a name refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum SubtaskMetric {
    RecordsIn,
    RecordsOut,
    /// Records read by the source operator, which the task's own counter does not count before Flink 2.0.
    SourceRecordsIn,
    RecordsInPerS,
    RecordsOutPerS,
    BusyMs,
    IdleMs,
    BackpressuredMs,
    BusyMsPerS,
    IdleMsPerS,
    BackpressuredMsPerS,
    Watermark,
    WatermarkLag,
    PendingRecords,
    HistogramCount(&'static str),
    HistogramSum(&'static str),
    HistogramMean(&'static str),
    HistogramMax(&'static str),
    HistogramP99(&'static str),
}

/// Values from here on are invalid: Java's largest number stands for "unlimited" or "unknown".
const IMPLAUSIBLE: f64 = i64::MAX as f64;

impl SubtaskMetric {
    /// The figure of a metric by its own name, without anything around it.
    pub(crate) fn from_name(metric: &str) -> Option<Self> {
        Some(match metric {
            "numRecordsIn" => Self::RecordsIn,
            "numRecordsOut" => Self::RecordsOut,
            "numRecordsInPerSecond" => Self::RecordsInPerS,
            "numRecordsOutPerSecond" => Self::RecordsOutPerS,
            "accumulateBusyTimeMs" => Self::BusyMs,
            "accumulateIdleTimeMs" => Self::IdleMs,
            "accumulateBackPressuredTimeMs" => Self::BackpressuredMs,
            "busyTimeMsPerSecond" => Self::BusyMsPerS,
            "idleTimeMsPerSecond" => Self::IdleMsPerS,
            "backPressuredTimeMsPerSecond" => Self::BackpressuredMsPerS,
            "currentInputWatermark" => Self::Watermark,
            "watermarkLag" => Self::WatermarkLag,
            "pendingRecords" => Self::PendingRecords,
            _ => return Self::of_histogram(metric),
        })
    }

    fn of_histogram(metric: &str) -> Option<Self> {
        let known = |suffix: &str| {
            let name = metric.strip_suffix(suffix)?;
            HISTOGRAMS.iter().copied().find(|known| *known == name)
        };
        let longest = || known("_max").or_else(|| known(".max")).filter(|name| *name == FIRING);
        let mean = || known("_mean").or_else(|| known(".mean"));
        let high = || known("_p99").or_else(|| known(".p99")).filter(|name| RESULTS.contains(name));
        None.or_else(|| known("Count").map(Self::HistogramCount))
            .or_else(|| known("Sum").map(Self::HistogramSum))
            .or_else(|| mean().map(Self::HistogramMean))
            .or_else(|| longest().map(Self::HistogramMax))
            .or_else(|| high().map(Self::HistogramP99))
    }

    /// Whether it is one of the task as a whole; the others belong to one of the operators chained in it.
    pub(crate) fn is_of_task(self) -> bool {
        !matches!(
            self,
            Self::SourceRecordsIn
                | Self::WatermarkLag
                | Self::PendingRecords
                | Self::HistogramCount(_)
                | Self::HistogramSum(_)
                | Self::HistogramMean(_)
                | Self::HistogramMax(_)
                | Self::HistogramP99(_)
        )
    }

    /// Whether only tasks have it, so that whatever has it is one.
    pub(crate) fn is_task_metric(self) -> bool {
        matches!(self, Self::BusyMs | Self::BusyMsPerS)
    }

    /// Whether it only grows as long as the task lives.
    pub(crate) fn is_counter(self) -> bool {
        matches!(self, Self::RecordsIn | Self::RecordsOut | Self::SourceRecordsIn)
    }

    /// Whether it counts records or milliseconds, so that it is a whole number.
    fn is_whole(self) -> bool {
        matches!(
            self,
            Self::RecordsIn
                | Self::RecordsOut
                | Self::SourceRecordsIn
                | Self::BusyMs
                | Self::IdleMs
                | Self::BackpressuredMs
                | Self::PendingRecords
        )
    }

    /// Whether this can be a value of it: a number, not negative, not a stand-in for "unknown". A watermark is a time, and is judged by
    /// what follows from it.
    fn accepts(self, value: f64) -> bool {
        if self == Self::Watermark { value.is_finite() } else { is_plausible(value) }
    }

    /// Puts a value where it belongs; `at_ms` is when it was read. What cannot be a value of it is left out.
    pub(crate) fn put(self, subtask: &mut Subtask, value: f64, at_ms: i64) {
        if !self.accepts(value) {
            subtask.has_impossible_pending |= self == Self::PendingRecords;
            return;
        }
        let half = Histogram { count: f64::NAN, sum: f64::NAN };
        match self {
            Self::RecordsIn => subtask.records_in = Some(value),
            Self::RecordsOut => subtask.records_out = Some(value),
            Self::SourceRecordsIn => subtask.source_records_in = Some(value),
            Self::RecordsInPerS => subtask.records_in_per_s = Some(value),
            Self::RecordsOutPerS => subtask.records_out_per_s = Some(value),
            Self::BusyMs => subtask.busy_ms = Some(value),
            Self::IdleMs => subtask.idle_ms = Some(value),
            Self::BackpressuredMs => subtask.backpressured_ms = Some(value),
            Self::BusyMsPerS => subtask.busy_ms_per_s = Some(value),
            Self::IdleMsPerS => subtask.idle_ms_per_s = Some(value),
            Self::BackpressuredMsPerS => subtask.backpressured_ms_per_s = Some(value),
            Self::Watermark => subtask.watermark_lag_ms = watermark_lag_ms(value, at_ms),
            Self::WatermarkLag => subtask.watermark_lag_ms = Some(value),
            Self::PendingRecords => subtask.pending_records = Some(value),
            Self::HistogramCount(name) => {
                subtask.histograms.entry(name.to_owned()).or_insert(half).count = value;
            }
            Self::HistogramSum(name) => {
                subtask.histograms.entry(name.to_owned()).or_insert(half).sum = value;
            }
            Self::HistogramMean(name) => drop(subtask.means.insert(name.to_owned(), value)),
            Self::HistogramMax(name) => drop(subtask.maxima.insert(name.to_owned(), value)),
            Self::HistogramP99(name) => drop(subtask.p99s.insert(name.to_owned(), value)),
        }
    }
}

/// Whether a value can be a count, a size, a time or a share: finite, not negative, and no placeholder for "unknown".
pub(crate) fn is_plausible(value: f64) -> bool {
    (0.0..IMPLAUSIBLE).contains(&value)
}

/// Returns the lag of a watermark; [`None`] before the first watermark, at the end of the stream, and if it is ahead of this clock.
fn watermark_lag_ms(watermark_ms: f64, at_ms: i64) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "milliseconds since the Unix epoch")]
    let now_ms = at_ms as f64;
    let is_watermark = watermark_ms > NO_WATERMARK && watermark_ms < -NO_WATERMARK;
    is_watermark.then_some(now_ms - watermark_ms).filter(|lag_ms| *lag_ms >= 0.0)
}

/// A name listed by Flink's REST interface, parsed.
#[derive(Debug, PartialEq)]
struct ListedMetric {
    subtask: usize,
    figure: SubtaskMetric,
}

fn listed(name: &str) -> Option<ListedMetric> {
    let (subtask, rest) = subtask(name)?;
    let (operator, metric) =
        rest.rsplit_once('.').map_or((None, rest), |(operator, metric)| (Some(operator), metric));
    let figure = match operator {
        Some(operator) if metric == "numRecordsIn" => {
            is_source(operator).then_some(SubtaskMetric::SourceRecordsIn)?
        }
        _ => SubtaskMetric::from_name(metric)?,
    };
    (figure.is_of_task() == operator.is_none()).then_some(ListedMetric { subtask, figure })
}

/// Splits a listed name into the subtask's index and the rest.
pub(crate) fn subtask(name: &str) -> Option<(usize, &str)> {
    let (subtask, rest) = name.split_once('.')?;
    Some((subtask.parse().ok()?, rest))
}

/// Whether a name of Flink's REST interface is that of a source operator, and not of a metric group within one.
fn is_source(operator: &str) -> bool {
    operator.starts_with("Source__") && !operator.contains('.')
}

/// Whether a name, without the subtask's index, exists only for window operators.
pub(crate) fn is_window_metric(name: &str) -> bool {
    name.strip_suffix(LATE_RECORDS).is_some_and(|operator| operator.len() > 1 && operator.ends_with('.'))
}

/// Returns the partition in a name: the sources of Kafka and Pulsar have a metric group per partition.
pub(crate) fn partition(name: &str) -> Option<&str> {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (group, metric) = name.rsplit_once('.')?;
    if matches!(metric, "currentOffset" | "currentOffsets") {
        let (topic, number) = group.rsplit_once(".partition.")?;
        return (topic.contains(".topic.") && is_number(number)).then_some(group);
    }
    // PulsarConsumer.<topic>-partition-<number>.<consumer>.<metric>
    let group = group.rsplit_once('.').filter(|_| metric == "numMsgsReceived")?.0;
    let (topic, number) = group.rsplit_once("-partition-")?;
    (topic.contains(".PulsarConsumer.") && is_number(number)).then_some(group)
}

/// Returns topic and partition of Kafka in a result of [`partition`].
pub(crate) fn kafka_partition(group: &str) -> Option<(&str, i32)> {
    let (topic, number) = group.rsplit_once(".partition.")?;
    Some((topic.split_once(".topic.")?.1, number.parse().ok()?))
}

/// Whether a listed name is one that [`read`] uses. Means of the newest values and smoothed rates are not used, because the
/// counters beside them are exact.
pub(crate) fn is_wanted(name: &str) -> bool {
    let is_worth = |figure: SubtaskMetric| {
        !matches!(
            figure,
            SubtaskMetric::HistogramMean(_) | SubtaskMetric::RecordsInPerS | SubtaskMetric::RecordsOutPerS
        )
    };
    listed(name).is_some_and(|listed| is_worth(listed.figure))
}

/// A task is busy, idle or back-pressured.
pub(crate) const KINDS_OF_TIME: usize = 3;

/// Whether a listed name is one of the three times that a task counts.
pub(crate) fn is_counted_time(name: &str) -> bool {
    let is_time = |figure| {
        matches!(figure, SubtaskMetric::BusyMs | SubtaskMetric::IdleMs | SubtaskMetric::BackpressuredMs)
    };
    listed(name).is_some_and(|listed| is_time(listed.figure))
}

/// Whether a listed name is a smoothed share of one of these times.
pub(crate) fn is_smoothed_time(name: &str) -> bool {
    let is_share = |figure| {
        matches!(
            figure,
            SubtaskMetric::BusyMsPerS | SubtaskMetric::IdleMsPerS | SubtaskMetric::BackpressuredMsPerS
        )
    };
    listed(name).is_some_and(|listed| is_share(listed.figure))
}

/// Stores the value of one listed name in its field. An index beyond the subtasks belongs to an earlier execution and is dropped.
/// Counts of several operators of one task are added, and unknown if one of them is.
pub(crate) fn read(subtasks: &mut [Subtask], name: &str, value: Option<f64>, at_ms: i64) {
    let Some(ListedMetric { subtask, figure }) = listed(name) else { return };
    let Some(subtask) = subtasks.get_mut(subtask) else { return };
    let is_formed = |value: &f64| !figure.is_whole() || value.fract() == 0.0;
    let value = value.filter(|value| figure.accepts(*value)).filter(is_formed);
    let sum = match figure {
        SubtaskMetric::PendingRecords => {
            subtask.has_impossible_pending |= value.is_none();
            &mut subtask.pending_records
        }
        SubtaskMetric::SourceRecordsIn => &mut subtask.source_records_in,
        _ => {
            if let Some(value) = value {
                figure.put(subtask, value, at_ms);
            }
            return;
        }
    };
    *sum = Some(sum.unwrap_or(0.0) + value.unwrap_or(f64::NAN));
}

/// Prefix of a histogram that every operator of this project's jobs has.
const OWN: &str = "waitingTime";

/// Drops incomplete values: sums with an unknown part, histograms without count or sum, and a maximum without its histogram. Also drops
/// foreign metrics named `latency` or `windowSize`: this project's operators also report the waiting time.
pub(crate) fn finish(subtasks: &mut [Subtask]) {
    for subtask in subtasks {
        subtask.pending_records = subtask.pending_records.filter(|value| value.is_finite());
        subtask.source_records_in = subtask.source_records_in.filter(|value| value.is_finite());
        subtask.histograms.retain(|_, histogram| !histogram.count.is_nan() && !histogram.sum.is_nan());
        let mut names = subtask.histograms.keys().chain(subtask.means.keys());
        if !names.any(|name| name.starts_with(OWN)) {
            subtask.histograms.clear();
            subtask.means.clear();
        }
        let histograms = &subtask.histograms;
        subtask.maxima.retain(|name, _| histograms.contains_key(name));
        subtask.p99s.retain(|name, _| histograms.contains_key(name));
    }
}

/// Returns the operators chained in a vertex, in order, from the vertex name in a store, and the role of the vertex. Graphite and
/// Prometheus replace spaces by dashes or underscores. The prefixes and suffixes that Flink adds to sources and sinks determine the
/// role and are removed.
pub(crate) fn chain(vertex: &str) -> (Vec<String>, crate::sample::Role) {
    use crate::sample::Role;
    let plain = vertex
        .replace("-->-", " -> ")
        .replace("____", " -> ")
        .replace("Source:-", "Source: ")
        .replace("Source:_", "Source: ")
        .replace("Source__", "Source: ")
        .replace(":-", ": ")
        .replace(":_", ": ");
    let mut role = Role::Inner;
    let mut operators = Vec::new();
    for part in plain.split(" -> ").flat_map(|part| part.split(['(', ')', ','])) {
        let mut part = part.trim();
        if let Some(rest) = part.strip_prefix("Source:") {
            (part, role) = (rest.trim(), Role::Source);
        }
        if let Some((rest, _)) = part.split_once(": Writer").or_else(|| part.split_once(": Committer")) {
            part = rest;
            // A short job's source may write as well; what matters is that it reads.
            role = if role == Role::Source { Role::Source } else { Role::Sink };
        }
        if !part.is_empty() {
            operators.push(part.to_owned());
        }
    }
    (operators, role)
}

#[cfg(test)]
#[path = "names_tests.rs"]
mod tests;
