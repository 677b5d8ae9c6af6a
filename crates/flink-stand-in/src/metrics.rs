//! Metrics of tasks and task managers: values by name, at a time.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::scenario::{Counter, Metric, MetricValues, Vertex};

/// Apparent age of counters at the start of the stand-in, in seconds.
const AGE_S: f64 = 1000.0;

/// The times that a value depends on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    /// Seconds since the start of the stand-in.
    pub(crate) elapsed_s: f64,
    /// Time of the tasks' last restart, in the same seconds; counters restart at 0 then.
    pub(crate) restarted_s: Option<f64>,
}

/// Returns a task manager's default metrics.
pub(crate) fn of_task_manager() -> MetricValues {
    let constants = [
        ("Status.JVM.CPU.Load", "0.3"),
        ("Status.JVM.Memory.Heap.Used", "100000000"),
        ("Status.JVM.Memory.Heap.Max", "1000000000"),
    ];
    constants.map(|(name, value)| (name.to_owned(), Metric::Constant(json!(value)))).into()
}

/// Returns all metrics of a vertex by `<subtask>.<name>`.
pub(crate) fn of_vertex(vertex: &Vertex, parallelism: u32, clock: Clock) -> BTreeMap<String, Value> {
    let mut all = BTreeMap::new();
    for index in 0..parallelism {
        let own = vertex.subtasks.get(&index.to_string());
        let common = vertex.metrics.iter().filter(|(name, _)| own.is_none_or(|own| !own.contains_key(*name)));
        for (name, metric) in common.chain(own.into_iter().flatten()) {
            if let Some(value) = value(name, metric, clock) {
                all.insert(format!("{index}.{name}"), value);
            }
        }
    }
    all
}

/// Returns the response of a metrics request: the names alone, or the requested values.
pub(crate) fn answer(all: &BTreeMap<String, Value>, asked: Option<&str>) -> Value {
    let Some(asked) = asked else { return all.keys().map(|name| json!({ "id": name })).collect() };
    let known = asked.split(',').filter_map(|name| Some((name, all.get(name)?)));
    known.map(|(name, value)| json!({ "id": name, "value": value })).collect()
}

/// Returns the requested values of a vertex, without computing the others.
pub(crate) fn asked_of_vertex(vertex: &Vertex, parallelism: u32, names: &str, clock: Clock) -> Value {
    let found = |name: &str| {
        let (index, metric) = name.split_once('.')?;
        let is_subtask =
            index.parse().is_ok_and(|number: u32| number < parallelism && number.to_string() == index);
        let own = vertex.subtasks.get(index).and_then(|own| own.get(metric));
        let metric_value = own.or_else(|| vertex.metrics.get(metric)).filter(|_| is_subtask)?;
        Some(json!({ "id": name, "value": value(metric, metric_value, clock)? }))
    };
    names.split(',').filter_map(found).collect()
}

/// Returns the value of a metric at this time; [`None`]: it does not exist.
pub(crate) fn value(name: &str, metric: &Metric, clock: Clock) -> Option<Value> {
    match metric {
        Metric::Constant(Value::Null) => None,
        Metric::Constant(value) => Some(value.clone()),
        Metric::Counter(counter) => {
            let restarted_s = clock.restarted_s.filter(|_| restarts_at_zero(name));
            Some(json!(format!("{:.0}", grown(*counter, clock.elapsed_s, restarted_s).trunc())))
        }
    }
}

fn grown(counter: Counter, elapsed_s: f64, restarted_s: Option<f64>) -> f64 {
    let stopped = counter.until_s.filter(|until| elapsed_s > *until);
    let renewed = counter
        .renew_s
        .filter(|step| *step > 0.0)
        .map_or(elapsed_s, |step| (elapsed_s / step).floor() * step);
    let at_s = stopped.unwrap_or(renewed);
    match restarted_s {
        Some(restarted_s) => counter.rate * (at_s - restarted_s).max(0.0),
        None => counter.base + counter.rate * (at_s + AGE_S),
    }
}

/// Whether a metric restarts at 0 with the task, as counters do; gauges such as `pendingRecords` do not.
fn restarts_at_zero(name: &str) -> bool {
    let metric = name.rsplit('.').next().unwrap_or(name);
    metric.starts_with("numRecords") || metric.starts_with("accumulate")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(metric: &Value, elapsed_s: f64) -> Value {
        let metric: Metric = serde_json::from_value(metric.clone()).unwrap();
        value("numRecordsIn", &metric, Clock { elapsed_s, restarted_s: None }).unwrap_or(Value::Null)
    }

    /// Goal: each kind of value changes with time as in the scenario, and text is returned unchanged.
    #[test]
    fn values_follow_the_scenario() {
        assert_eq!(at(&json!({ "rate": 10 }), 2.0), json!("10020"));
        assert_eq!(at(&json!({ "rate": 10, "base": -10_000 }), 2.0), json!("20"));
        assert_eq!(at(&json!({ "rate": 10, "renew_s": 10 }), 19.0), json!("10100"));
        assert_eq!(at(&json!({ "rate": 10, "until_s": 5 }), 60.0), json!("10050"));
        assert_eq!(at(&json!("NaN"), 60.0), json!("NaN"));
        assert_eq!(at(&Value::Null, 60.0), Value::Null);
    }

    /// Goal: requested values are those of all metrics, with those of single subtasks, and what does not exist is absent.
    #[test]
    fn requested_values_are_those_of_all() {
        let vertex: Vertex = serde_json::from_value(json!({
            "id": "a", "name": "a", "parallelism": 3, "metrics": { "x": { "rate": 1 }, "y": "2", "z": null },
            "subtasks": { "1": { "x": null, "y": "3" }, "7": { "x": "8" } },
        }))
        .unwrap();
        let clock = Clock { elapsed_s: 5.0, restarted_s: None };
        let all = of_vertex(&vertex, 3, clock);
        assert_eq!(all.len(), 5);
        let mut names = vec!["01.x", "x", "7.x", "3.x"];
        names.extend(["0.x", "0.y", "0.z", "1.x", "1.y", "2.x", "2.y"]);
        let names = names.join(",");
        assert_eq!(asked_of_vertex(&vertex, 3, &names, clock), answer(&all, Some(&names)));
    }

    /// Goal: after a restart counters begin at 0 and gauges continue.
    #[test]
    fn counters_begin_again_after_a_restart() {
        let clock = Clock { elapsed_s: 30.0, restarted_s: Some(20.0) };
        let metric = Metric::Counter(Counter { rate: 10.0, base: 0.0, renew_s: None, until_s: None });
        assert_eq!(value("numRecordsOut", &metric, clock), Some(json!("100")));
        assert_eq!(value("Source__x.pendingRecords", &metric, clock), Some(json!("10300")));
    }
}
