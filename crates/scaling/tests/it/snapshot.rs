//! The JSON form of a snapshot: what must be there, what may be, and what is refused.

use scaling::{Kind, Partitioning, Quality, Snapshot};
use serde_json::{Value, json};

fn full() -> Value {
    let distribution = json!({"count": 10.0, "sum": 50.0, "mean": 5.0, "min": 1.0, "p50": 4.0, "p95": 9.0, "p99": 9.5, "max": 10.0});
    let reading =
        json!({"from_ms": 1000, "at_ms": 3000, "quality": "measured", "except": {"busy_ratio": "smoothed"}});
    json!({
        "schema": 1, "at_ms": 3000, "interval_ms": 2000, "source": "flink-rest", "newest_age_ms": 5,
        "state_size_bytes": 1e6, "missing": ["backlog of b"],
        "job": {
            "name": "j", "parallelism": 1, "max_parallelism": 128, "id": "0", "state": "RUNNING", "running_since_ms": 1,
            "restarts": 2, "reading": reading,
            "checkpoints": {"interval_ms": 1, "completed": 2, "failed": 3, "last_at_ms": 4, "last_duration_ms": 5,
                "full_size_bytes": 6, "written_bytes": 7},
            "rescales": [{"at_ms": 1, "requested_at_ms": 0, "duration_ms": 2, "downtime_ms": 3, "succeeded": true,
                "backlog_peak_records": 4.0, "before": {"a": 1},
                "wanted": {"a": 3}, "after": {"a": 2}}],
        },
        "queries": [{"name": "q", "overall_latency_ms": null, "latency_p99_ms": 1.0}],
        "operators": [{
            "name": "a", "kind": "window", "uid": "a", "vertex_id": "0", "parallelism": 1, "max_parallelism": 64, "slot_sharing_group": "g",
            "latency_ms": 1.0, "throughput_per_s": 2.0, "input_rate_per_s": 3.0, "output_rate_per_s": 4.0,
            "arrival_rate_per_s": 5.0, "backlog_records": 6.0, "backlog_series": [[1, 6.0]], "arrivals": [[1, 7.0]],
            "source_partitions": 7, "busy_ratio": 0.5,
            "idle_ratio": 0.25, "backpressured_ratio": 0.25, "watermark_lag_ms": 8.0, "state_size_bytes": 9.0,
            "processing_ms": distribution, "waiting_ms": distribution, "firing_ms": distribution,
            "window_records": distribution, "inputs": ["b"], "edges": [{"from": "b", "partitioning": "hash"}],
            "reading": reading,
            "subtasks": [{"records_in": 1.0, "records_out": 2.0, "interval_ms": 2000, "busy_ratio": 0.5,
                "idle_ratio": 0.25, "backpressured_ratio": 0.25, "watermark_lag_ms": 3.0, "pending_records": 4.0, "partitions": 2,
                "processing_ms": distribution, "waiting_ms": distribution, "firing_ms": distribution,
                "window_records": distribution, "task_manager": "tm", "reading": reading}],
        }],
        "task_managers": [{"id": "tm", "cpu_load": 0.5, "cpu_cores": 2, "slots": 4, "slots_free": 1,
            "heap_used_bytes": 1.0, "heap_max_bytes": 2.0, "managed_used_bytes": 3.0, "managed_max_bytes": 4.0,
            "gc_ms_per_s": 5.0, "reading": reading}],
    })
}

/// Goal: every field of `docs/snapshot.md` is read and written again under the same name.
#[test]
fn the_full_form_survives() {
    let snapshot: Snapshot = serde_json::from_value(full()).unwrap();
    assert_eq!(serde_json::to_value(&snapshot).unwrap(), full());
    let operator = snapshot.operator("a").unwrap();
    assert_eq!((operator.kind, operator.edges[0].partitioning), (Kind::Window, Partitioning::Hash));
    let reading = operator.reading.as_ref().unwrap();
    assert_eq!(reading.quality_of("busy_ratio"), Quality::Smoothed);
    assert_eq!((snapshot.slots_present(), snapshot.slots_per_task_manager()), (Some(4), Some(4)));
}

/// Goal: what need not be there need not be there, and is then unknown; a misspelt field is refused, not overlooked.
#[test]
fn the_short_form_is_enough() {
    let mut short = json!({
        "schema": 1, "job": {"name": "j", "parallelism": 1, "max_parallelism": 128}, "queries": [],
        "operators": [{"name": "a", "kind": "sink", "parallelism": 3}], "task_managers": [{"id": "tm"}],
    });
    let snapshot: Snapshot = serde_json::from_value(short.clone()).unwrap();
    assert_eq!(snapshot.operator("a").unwrap().throughput_per_s, None);
    assert_eq!((snapshot.slots_present(), snapshot.slots_per_task_manager()), (None, None));
    short["operators"][0]["throughput"] = json!(1.0);
    let error = serde_json::from_value::<Snapshot>(short).unwrap_err().to_string();
    assert!(error.contains("throughput"), "{error}");
}

/// Goal: a time that cannot be true is unknown wherever it stands, and such a reading of a series is dropped; the others stay.
#[test]
fn impossible_times_are_unknown() {
    let good: Snapshot = serde_json::from_value(full()).unwrap();
    assert_eq!(good.without_impossible_figures().into_owned(), good);
    for spoilt in [i64::MIN, -1, 253_402_300_800_000, i64::MAX] {
        let found = checked_with(&times(&full(), ""), spoilt);
        let text = serde_json::to_string(&found).unwrap();
        assert!(!text.contains(&spoilt.to_string()), "{text}");
        assert!(found.operators[0].arrivals.is_empty() && found.operators[0].backlog_series.is_empty());
        assert_eq!(found.operators[0].subtasks[0].records_in, good.operators[0].subtasks[0].records_in);
    }
}

/// Goal: one time that cannot be true is found, wherever it stands, while all the others can be true.
#[test]
fn one_impossible_time_is_found() {
    let times = times(&full(), "");
    assert_eq!(times.len(), 18, "{times:?}");
    for time in times {
        let text = serde_json::to_string(&checked_with(std::slice::from_ref(&time), -1)).unwrap();
        assert!(!text.contains("-1"), "{time}: {text}");
    }
}

/// The full form with this value for these times, without what cannot be true.
fn checked_with(pointers: &[String], time: i64) -> Snapshot {
    let mut spoilt = full();
    for pointer in pointers {
        *spoilt.pointer_mut(pointer).unwrap() = json!(time);
    }
    serde_json::from_value::<Snapshot>(spoilt).unwrap().without_impossible_figures().into_owned()
}

/// The pointers to all signed times. The interval of checkpoints is unsigned.
fn times(value: &Value, pointer: &str) -> Vec<String> {
    let is_time = |name: &str| {
        name.ends_with("at_ms")
            || ["from_ms", "interval_ms", "newest_age_ms", "running_since_ms"].contains(&name)
    };
    let of_field = |(name, value): (&String, &Value)| match name.as_str() {
        "checkpoints" => vec![format!("{pointer}/{name}/last_at_ms")],
        "backlog_series" | "arrivals" => vec![format!("{pointer}/{name}/0/0")],
        time if is_time(time) => vec![format!("{pointer}/{time}")],
        _ => times(value, &format!("{pointer}/{name}")),
    };
    match value {
        Value::Object(fields) => fields.iter().flat_map(of_field).collect(),
        Value::Array(all) => {
            let of_element = |(index, value)| times(value, &format!("{pointer}/{index}"));
            all.iter().enumerate().flat_map(of_element).collect()
        }
        _ => Vec::new(),
    }
}
