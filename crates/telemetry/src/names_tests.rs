//! Names are understood, and values land where they belong or nowhere.

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
        "0.Source__source-bid.numRecordsIn",
        "0.q7-highest-bid.eventLatency_p99",
    ];
    let unwanted = [
        "0.q7-bid-item.numRecordsIn",
        "numRecordsIn",
        "x.numRecordsIn",
        "0.q7-bid-item.waitingTime_max",
        "0.q7-bid-item.latency_mean",
        "0.q7-bid-item.latency_p99",
        "0.Source__source-bid.numRecordsOut",
        "0.Source__source-bid.KafkaSourceReader.topic.a.partition.0.numRecordsIn",
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
        ("1.op.waitingTimeCount", 3.0),
        ("1.op.waitingTimeSum", 1.0),
        ("1.currentInputWatermark", 9_500.0),
        ("0.op.latencySum", 0.5),
        ("0.currentInputWatermark", i64::MIN as f64),
        ("9.numRecordsIn", 1.0),
    ] {
        read(&mut subtasks, name, Some(value), 10_000);
    }
    finish(&mut subtasks);
    assert_eq!(subtasks[1].records_in, Some(7.0));
    assert_eq!(subtasks[1].watermark_lag_ms, Some(500.0));
    assert_eq!(subtasks[1].histograms["latency"], Histogram { count: 3.0, sum: 0.5 });
    assert_eq!(subtasks[0], Subtask::default());
}

/// The readings of one subtask of which these texts were answered.
fn subtask_of(metrics: &[(&str, Option<f64>)]) -> Subtask {
    let mut subtasks = [Subtask::default()];
    for (name, value) in metrics {
        read(&mut subtasks, name, *value, 10_000);
    }
    finish(&mut subtasks);
    subtasks[0].clone()
}

/// Goal: what cannot be a count, a time or a size is unknown: negative, Java's largest and smallest numbers, not whole.
#[test]
fn values_that_cannot_be_are_unknown() {
    for strange in [-1.0, -5e12, i64::MIN as f64, i64::MAX as f64, 1.234, f64::INFINITY, f64::NAN] {
        let names = ["0.Source__a.pendingRecords", "0.numRecordsIn", "0.accumulateBusyTimeMs"];
        let subtask = subtask_of(&names.map(|name| (name, Some(strange))));
        let expected = Subtask { has_impossible_pending: true, ..Subtask::default() };
        assert_eq!(subtask, expected, "{strange}");
    }
    assert_eq!(subtask_of(&[("0.Source__a.watermarkLag", Some(-3.0))]).watermark_lag_ms, None);
    // Ahead of this clock: not behind, and not by how much is known.
    assert_eq!(subtask_of(&[("0.currentInputWatermark", Some(10_500.0))]).watermark_lag_ms, None);
    assert_eq!(subtask_of(&[("0.Source__a.pendingRecords", Some(7.0))]).pending_records, Some(7.0));
}

/// Goal: what several sources of one task count is added up; an unknown part makes the sum unknown, not smaller.
#[test]
fn sources_of_one_task_are_added_up() {
    let pending = |a, b| {
        subtask_of(&[("0.Source__a.pendingRecords", a), ("0.Source__b.pendingRecords", b)]).pending_records
    };
    assert_eq!(pending(Some(5.0), Some(7.0)), Some(12.0));
    assert_eq!(pending(Some(5.0), None), None);
    assert_eq!(pending(Some(-1.0), Some(7.0)), None);
    let read = subtask_of(&[("0.Source__a.numRecordsIn", Some(5.0)), ("0.numRecordsIn", Some(0.0))]);
    assert_eq!((read.source_records_in, read.records_in), (Some(5.0), Some(0.0)));
}

/// Goal: a metric of somebody else's that only has the name of a histogram of ours says nothing, even counted as ours are: each of our operators
/// also tells how long records wait.
#[test]
fn a_name_alone_is_no_histogram() {
    let foreign = [("0.op.latency_max", Some(9.0)), ("0.op.eventLatency_p99", Some(9.0))];
    assert_eq!(subtask_of(&foreign), Subtask::default());
    let counted = [("0.op.windowSizeCount", Some(2.0)), ("0.op.windowSizeSum", Some(9.0))];
    assert_eq!(subtask_of(&counted), Subtask::default());
    let own = [
        ("0.op.eventLatencyCount", Some(2.0)),
        ("0.op.eventLatencySum", Some(8.0)),
        ("0.op.eventLatency_p99", Some(6.0)),
        ("0.op.waitingTimeCount", Some(2.0)),
        ("0.op.waitingTimeSum", Some(1.0)),
    ];
    assert_eq!(subtask_of(&own).p99s["eventLatency"], 6.0);
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
