//! Whatever Flink answers for a metric, no figure that cannot be one comes into a snapshot.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use scaling::Snapshot;

use crate::scripted::{Flink, Task, Value, summary, task};

/// The metrics that are read of a source.
const METRICS: [&str; 12] = [
    "numRecordsIn",
    "numRecordsOut",
    "accumulateBusyTimeMs",
    "accumulateIdleTimeMs",
    "accumulateBackPressuredTimeMs",
    "busyTimeMsPerSecond",
    "currentInputWatermark",
    "Source__a.numRecordsIn",
    "Source__a.pendingRecords",
    "Source__a.watermarkLag",
    "Source__a.latencyCount",
    "Source__a.latencySum",
];

/// Texts that stand for something else than a figure.
const STRANGE: [&str; 11] = [
    "NaN",
    "-1",
    "",
    "null",
    "Infinity",
    "-Infinity",
    "1.234,5",
    "9223372036854775807",
    "-9223372036854775808",
    "1e308",
    "-0.0",
];

fn text() -> impl Strategy<Value = Value> {
    prop_oneof![
        3 => prop::sample::select(&STRANGE[..]).prop_map(|text| Value::Is(text.to_owned())),
        3 => any::<f64>().prop_map(|value| Value::Is(value.to_string())),
        3 => any::<i64>().prop_map(|value| Value::Is(value.to_string())),
        4 => (-2000.0..5000.0).prop_map(Value::Grows),
        3 => (-1e6..1e6, -1e5..1e5).prop_map(|(base, per_s)| Value::From(base, per_s)),
        1 => "\\PC{0,12}".prop_map(Value::Is),
    ]
}

fn strange_task(name: &'static str, inputs: &'static [usize]) -> impl Strategy<Value = Task> {
    let metric = (prop::sample::select(&METRICS[..]), text());
    let own = (0_usize..3, prop::sample::select(&METRICS[..]), prop::option::of(text()));
    (0_usize..3, any::<bool>(), prop::collection::vec(metric, 0..12), prop::collection::vec(own, 0..6))
        .prop_map(move |(parallelism, lives, metrics, own)| {
            let plain = task(name, parallelism, inputs);
            let begun = if lives { plain.records(100.0, 100.0).spends(500.0, 100.0) } else { plain };
            let task = metrics.into_iter().fold(begun, |task, (name, value)| task.with(name, value));
            own.into_iter().fold(task, |task, (subtask, name, value)| task.only(subtask, name, value))
        })
}

/// Every number in it, with where it stands.
fn numbers(value: &serde_json::Value, at: &str, found: &mut Vec<(String, f64)>) {
    match value {
        serde_json::Value::Number(number) => found.push((at.to_owned(), number.as_f64().unwrap())),
        serde_json::Value::Array(all) => all.iter().for_each(|value| numbers(value, at, found)),
        serde_json::Value::Object(all) => {
            all.iter().for_each(|(key, value)| numbers(value, &format!("{at}/{key}"), found));
        }
        _ => {}
    }
}

/// The figures that JSON would hide: it writes a number that is none as `null`.
fn figures(snapshot: &Snapshot) -> Vec<f64> {
    let of = |operator: &scaling::Operator| {
        let own = [
            operator.latency_ms,
            operator.throughput_per_s,
            operator.input_rate_per_s,
            operator.output_rate_per_s,
            operator.arrival_rate_per_s,
            operator.backlog_records,
            operator.busy_ratio,
            operator.idle_ratio,
            operator.backpressured_ratio,
            operator.watermark_lag_ms,
            operator.processing_ms.and_then(|processing| processing.mean),
        ];
        let series = operator.arrivals.iter().chain(&operator.backlog_series).map(|(_, figure)| *figure);
        own.into_iter().flatten().chain(series).collect::<Vec<f64>>()
    };
    let subtasks = snapshot.operators.iter().flat_map(|operator| &operator.subtasks);
    let of_subtask = |subtask: &scaling::Subtask| {
        let own =
            [subtask.records_in, subtask.records_out, subtask.pending_records, subtask.watermark_lag_ms];
        own.into_iter().flatten().collect::<Vec<f64>>()
    };
    snapshot.operators.iter().flat_map(of).chain(subtasks.flat_map(of_subtask)).collect()
}

/// Goal: no text in place of a metric puts a negative, infinite or undefined figure into a snapshot.
#[test]
fn no_text_makes_a_figure_that_cannot_be() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut runner = TestRunner::new(Config { cases: 96, failure_persistence: None, ..Config::default() });
    let tasks = (strange_task("Source: a", &[]), strange_task("b", &[0]));
    runner
        .run(&tasks, |(source, behind)| {
            let read = summary(Flink::of(vec![source, behind]), &[0.0, 1.0, 3.0]);
            let Ok(snapshot) = runtime.block_on(read) else { return Ok(()) };
            let mut found = Vec::new();
            numbers(&serde_json::to_value(&snapshot).unwrap(), "", &mut found);
            for (at, number) in found {
                prop_assert!(number >= 0.0, "{at} is {number}");
            }
            for figure in figures(&snapshot) {
                prop_assert!(figure.is_finite() && figure >= 0.0, "{figure} in {snapshot:?}");
            }
            Ok(())
        })
        .unwrap();
}
