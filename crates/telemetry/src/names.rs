//! Which of a vertex' metrics are read, and what they are called.
//!
//! Flink lists `<subtask>.<metric>` for the task and `<subtask>.<operator>.<metric>` for its operators. Of a histogram `h` it
//! shows only statistics of the newest values (`h_mean`, `h_p99` …); this project's jobs count beside it: `hCount`, `hSum`.

use crate::sample::{Histogram, Subtask};

/// The histograms of this project's jobs that are read, by the name in the operator's metric group.
const HISTOGRAMS: [&str; 8] = [
    "latency",
    "latencyInput1",
    "latencyInput2",
    "waitingTime",
    "waitingTimeInput1",
    "waitingTimeInput2",
    "overallLatency",
    "eventLatency",
];

/// Counters and gauges of the task itself.
const TASK_METRICS: [&str; 3] = ["numRecordsIn", "numRecordsOut", "busyTimeMsPerSecond"];

/// A metric of an operator that is read from whichever operator of the chain has it.
const PENDING_RECORDS: &str = "pendingRecords";

/// One listed name, taken apart.
#[derive(Debug, PartialEq)]
struct Parts<'a> {
    subtask: usize,
    operator: Option<&'a str>,
    metric: &'a str,
}

fn split(name: &str) -> Option<Parts<'_>> {
    let (subtask, rest) = name.split_once('.')?;
    let subtask = subtask.parse().ok()?;
    Some(match rest.rsplit_once('.') {
        Some((operator, metric)) => Parts { subtask, operator: Some(operator), metric },
        None => Parts { subtask, operator: None, metric: rest },
    })
}

/// The two counters beside a histogram.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Statistic {
    Count,
    Sum,
}

fn histogram_of(metric: &str) -> Option<(&'static str, Statistic)> {
    let known =
        |suffix: &str| HISTOGRAMS.iter().copied().find(|known| metric.strip_suffix(suffix) == Some(*known));
    known("Count")
        .map(|name| (name, Statistic::Count))
        .or_else(|| known("Sum").map(|name| (name, Statistic::Sum)))
}

/// Whether this listed name is one that [`read`] understands.
pub(crate) fn is_wanted(name: &str) -> bool {
    split(name).is_some_and(|parts| match parts.operator {
        None => TASK_METRICS.contains(&parts.metric),
        Some(_) => parts.metric == PENDING_RECORDS || histogram_of(parts.metric).is_some(),
    })
}

/// Puts the value of one listed name where it belongs. An index beyond the subtasks is of an earlier life of the job and
/// is dropped.
pub(crate) fn read(subtasks: &mut [Subtask], name: &str, value: f64) {
    let Some(parts) = split(name) else { return };
    let Some(subtask) = subtasks.get_mut(parts.subtask) else { return };
    match (parts.operator, parts.metric) {
        (None, "numRecordsIn") => subtask.records_in = Some(value),
        (None, "numRecordsOut") => subtask.records_out = Some(value),
        (None, "busyTimeMsPerSecond") => subtask.busy_ms_per_s = Some(value),
        (Some(_), PENDING_RECORDS) => subtask.pending_records = Some(value),
        (Some(_), metric) => {
            if let Some((histogram, statistic)) = histogram_of(metric) {
                let entry = subtask
                    .histograms
                    .entry(histogram.to_owned())
                    .or_insert(Histogram { count: f64::NAN, sum: f64::NAN });
                *(if statistic == Statistic::Count { &mut entry.count } else { &mut entry.sum }) = value;
            }
        }
        (None, _) => {}
    }
}

/// Drops histograms of which only one half was answered.
pub(crate) fn finish(subtasks: &mut [Subtask]) {
    for subtask in subtasks {
        subtask.histograms.retain(|_, histogram| !histogram.count.is_nan() && !histogram.sum.is_nan());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: of all that Flink lists, exactly the readings that the summary needs are asked for.
    #[test]
    fn only_known_names_are_wanted() {
        let wanted = [
            "0.numRecordsIn",
            "12.q7-bid-item.latencyInput2Sum",
            "0.Source__source-bid.pendingRecords",
            "0.q7-highest-bid.eventLatencyCount",
        ];
        let unwanted = [
            "0.q7-bid-item.numRecordsIn",
            "numRecordsIn",
            "x.numRecordsIn",
            "0.q7-bid-item.latency_p99",
            "0.Shuffle.Netty.Output.Buffers.outPoolUsage",
        ];
        assert!(wanted.iter().all(|name| is_wanted(name)));
        assert!(!unwanted.iter().any(|name| is_wanted(name)));
    }

    /// Goal: values land at their subtask; half a histogram and a subtask that no longer exists are dropped.
    #[test]
    fn values_land_where_they_belong() {
        let mut subtasks = vec![Subtask::default(), Subtask::default()];
        for (name, value) in [
            ("1.numRecordsIn", 7.0),
            ("1.op.latencyCount", 3.0),
            ("1.op.latencySum", 0.5),
            ("0.op.latencySum", 0.5),
            ("9.numRecordsIn", 1.0),
        ] {
            read(&mut subtasks, name, value);
        }
        finish(&mut subtasks);
        assert_eq!(subtasks[1].records_in, Some(7.0));
        assert_eq!(subtasks[1].histograms["latency"], Histogram { count: 3.0, sum: 0.5 });
        assert_eq!(subtasks[0], Subtask::default());
    }
}
