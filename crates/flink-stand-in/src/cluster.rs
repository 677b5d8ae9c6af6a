//! Responses about the cluster: overview, task managers, configuration.

use serde_json::{Value, json};

use crate::metrics::{self, Clock};
use crate::scenario::{Scenario, Scheduler, TaskManager};
use crate::version;

/// The response of `/overview`.
pub(crate) fn overview(scenario: &Scenario) -> Value {
    let slots: u32 = scenario.taskmanagers.iter().map(|tm| tm.slots).sum();
    let free: u32 = scenario.taskmanagers.iter().map(|tm| tm.free).sum();
    json!({
        "taskmanagers": scenario.taskmanagers.len(), "slots-total": slots, "slots-available": free, "jobs-running": 1,
        "jobs-finished": 0, "jobs-cancelled": 0, "jobs-failed": 0,
        "flink-version": version::text(scenario.version.as_deref()), "flink-commit": "x",
    })
}

/// The response of `/taskmanagers`.
pub(crate) fn task_managers(scenario: &Scenario) -> Value {
    let one = |tm: &TaskManager| {
        json!({
            "id": tm.id, "path": "pekko.tcp://x", "dataPort": 1, "jmxPort": -1, "timeSinceLastHeartbeat": 1,
            "slotsNumber": tm.slots, "freeSlots": tm.free, "totalResource": {}, "freeResource": {}, "hardware": {},
            "memoryConfiguration": {},
        })
    };
    json!({ "taskmanagers": scenario.taskmanagers.iter().map(one).collect::<Vec<Value>>() })
}

/// The response of `/taskmanagers/:id/metrics`.
pub(crate) fn task_manager_metrics(tm: &TaskManager, asked: Option<&str>, elapsed_s: f64) -> Value {
    let clock = Clock { elapsed_s, restarted_s: None };
    let values = tm.metrics.clone().unwrap_or_else(metrics::of_task_manager);
    let known =
        values.iter().filter_map(|(name, metric)| Some((name.clone(), metrics::value(name, metric, clock)?)));
    metrics::answer(&known.collect(), asked)
}

/// The response of `/jobmanager/config` and `/jobs/:id/jobmanager/config`: the options that are set.
pub(crate) fn config(scenario: &Scenario) -> Value {
    let set = match scenario.scheduler {
        Scheduler::Adaptive => Some(("jobmanager.scheduler", "adaptive")),
        Scheduler::Reactive => Some(("scheduler-mode", "reactive")),
        Scheduler::Default => None,
    };
    let all = [("taskmanager.numberOfTaskSlots", "4")].into_iter().chain(set);
    let more = scenario.config.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    all.chain(more).map(|(key, value)| json!({ "key": key, "value": value })).collect()
}

/// The scheduler's name in `/jobs/overview`.
pub(crate) fn scheduler_type(scheduler: Scheduler) -> &'static str {
    match scheduler {
        Scheduler::Adaptive | Scheduler::Reactive => "Adaptive",
        Scheduler::Default => "Default",
    }
}
