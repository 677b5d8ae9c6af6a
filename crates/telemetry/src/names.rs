//! Which metrics are read, what they are called, and what of a subtask each one is.
//!
//! The names are the same in every store; what stands around them (host, task manager, job, operator, subtask) is not, see
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

/// The histogram whose largest value is wanted: how long a firing window keeps its input waiting.
const FIRING: &str = "latency";

/// The smallest watermark, which Flink shows until the first one has come.
const NO_WATERMARK: f64 = i64::MIN as f64;

/// What of a subtask a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Figure {
    RecordsIn,
    RecordsOut,
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
}

impl Figure {
    /// The figure of a metric by its own name, without anything around it.
    pub(crate) fn of(metric: &str) -> Option<Self> {
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
        None.or_else(|| known("Count").map(Self::HistogramCount))
            .or_else(|| known("Sum").map(Self::HistogramSum))
            .or_else(|| mean().map(Self::HistogramMean))
            .or_else(|| longest().map(Self::HistogramMax))
    }

    /// Whether it is one of the task as a whole; the others belong to one of the operators chained in it.
    pub(crate) fn is_of_task(self) -> bool {
        !matches!(
            self,
            Self::WatermarkLag
                | Self::PendingRecords
                | Self::HistogramCount(_)
                | Self::HistogramSum(_)
                | Self::HistogramMean(_)
                | Self::HistogramMax(_)
        )
    }

    /// Whether only tasks have it, so that whatever has it is one.
    pub(crate) fn tells_task(self) -> bool {
        matches!(self, Self::BusyMs | Self::BusyMsPerS)
    }

    /// Whether it only grows as long as the task lives.
    pub(crate) fn is_counter(self) -> bool {
        matches!(self, Self::RecordsIn | Self::RecordsOut)
    }

    /// Puts a value where it belongs; `at_ms` is when it was read.
    pub(crate) fn put(self, subtask: &mut Subtask, value: f64, at_ms: i64) {
        let half = Histogram { count: f64::NAN, sum: f64::NAN };
        match self {
            Self::RecordsIn => subtask.records_in = Some(value),
            Self::RecordsOut => subtask.records_out = Some(value),
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
        }
    }
}

/// How far a watermark is behind; unknown as long as there is none, or if the end of the stream has been reached.
fn watermark_lag_ms(watermark_ms: f64, at_ms: i64) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "milliseconds since the Unix epoch")]
    let now_ms = at_ms as f64;
    (watermark_ms > NO_WATERMARK && watermark_ms < -NO_WATERMARK).then_some(now_ms - watermark_ms)
}

/// One name listed by Flink's REST interface, taken apart.
#[derive(Debug, PartialEq)]
struct Listed {
    subtask: usize,
    figure: Figure,
}

fn listed(name: &str) -> Option<Listed> {
    let (subtask, rest) = name.split_once('.')?;
    let subtask = subtask.parse().ok()?;
    let (is_task, metric) = rest.rsplit_once('.').map_or((true, rest), |(_operator, metric)| (false, metric));
    let figure = Figure::of(metric)?;
    (figure.is_of_task() == is_task).then_some(Listed { subtask, figure })
}

/// Whether this listed name is one that [`read`] understands and that is worth a question. Means of the newest values and
/// smoothed rates are not: the counters beside them say more.
pub(crate) fn is_wanted(name: &str) -> bool {
    let is_worth = |figure: Figure| {
        !matches!(figure, Figure::HistogramMean(_) | Figure::RecordsInPerS | Figure::RecordsOutPerS)
    };
    listed(name).is_some_and(|listed| is_worth(listed.figure))
}

/// Puts the value of one listed name where it belongs. An index beyond the subtasks is of an earlier life of the job and
/// is dropped.
pub(crate) fn read(subtasks: &mut [Subtask], name: &str, value: f64, at_ms: i64) {
    let Some(listed) = listed(name) else { return };
    if let Some(subtask) = subtasks.get_mut(listed.subtask) {
        listed.figure.put(subtask, value, at_ms);
    }
}

/// Drops histograms of which only one half was answered.
pub(crate) fn finish(subtasks: &mut [Subtask]) {
    for subtask in subtasks {
        subtask.histograms.retain(|_, histogram| !histogram.count.is_nan() && !histogram.sum.is_nan());
    }
}

/// The operators chained in a vertex, first one first, by their own names, from the vertex' name as a store writes it. Graphite
/// and Prometheus replace spaces by dashes or underscores; the prefixes and suffixes that Flink adds to sources and sinks go.
///
/// What Flink adds says what the vertex is for: the second half of the answer.
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
mod tests {
    use super::*;
    use crate::sample::Role;

    /// Goal: of all that Flink lists, exactly the readings that the summary needs are asked for.
    #[test]
    fn only_known_names_are_wanted() {
        let wanted = [
            "0.numRecordsIn",
            "0.accumulateBusyTimeMs",
            "12.q7-bid-item.latencyInput2Sum",
            "0.Source__source-bid.pendingRecords",
            "0.q7-highest-bid.eventLatencyCount",
            "0.q6-seller-average.latency_max",
        ];
        let unwanted = [
            "0.q7-bid-item.numRecordsIn",
            "numRecordsIn",
            "x.numRecordsIn",
            "0.q7-bid-item.waitingTime_max",
            "0.q7-bid-item.latency_mean",
            "0.Shuffle.Netty.Output.Buffers.outPoolUsage",
        ];
        assert!(wanted.iter().all(|name| is_wanted(name)));
        assert!(!unwanted.iter().any(|name| is_wanted(name)));
    }

    /// Goal: values land at their subtask; half a histogram and a subtask that no longer exists are dropped; a watermark is
    /// told as its lag, and the one that Flink shows before the first is none.
    #[test]
    fn values_land_where_they_belong() {
        let mut subtasks = vec![Subtask::default(), Subtask::default()];
        for (name, value) in [
            ("1.numRecordsIn", 7.0),
            ("1.op.latencyCount", 3.0),
            ("1.op.latencySum", 0.5),
            ("1.currentInputWatermark", 9_500.0),
            ("0.op.latencySum", 0.5),
            ("0.currentInputWatermark", i64::MIN as f64),
            ("9.numRecordsIn", 1.0),
        ] {
            read(&mut subtasks, name, value, 10_000);
        }
        finish(&mut subtasks);
        assert_eq!(subtasks[1].records_in, Some(7.0));
        assert_eq!(subtasks[1].watermark_lag_ms, Some(500.0));
        assert_eq!(subtasks[1].histograms["latency"], Histogram { count: 3.0, sum: 0.5 });
        assert_eq!(subtasks[0], Subtask::default());
    }

    /// Goal: a vertex has the same operators in whatever form a store writes its name.
    #[test]
    fn chains_are_told_from_any_form_of_the_name() {
        let names = |operators: &[&str]| operators.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        for name in ["Source: a-b -> c", "Source:-a-b-->-c"] {
            assert_eq!(chain(name), (names(&["a-b", "c"]), Role::Source), "{name}");
        }
        assert_eq!(chain("Source:_a____c"), (names(&["a", "c"]), Role::Source));
        assert_eq!(chain("Source__a"), (names(&["a"]), Role::Source));
        assert_eq!(chain("q7-bid-item"), (names(&["q7-bid-item"]), Role::Inner));
        assert_eq!(chain("Map -> (Filter, sink: Writer)"), (names(&["Map", "Filter", "sink"]), Role::Sink));
        assert_eq!(chain("sink-q7:-Writer-->-sink-q7:-Committer").0[0], "sink-q7");
    }
}
