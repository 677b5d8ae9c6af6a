//! What a job runs under: how a change is made, what fails, what slots there are.

use serde::{Deserialize, Serialize};

/// How a change of the parallelism is made. Times in seconds; two values are the bounds of an even distribution.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangeWay {
    /// From the order to the stop: the checkpoint or savepoint is waited for.
    pub wait_s: (f64, f64),
    /// How long no task runs.
    pub outage_s: (f64, f64),
    /// How much of the input is read again afterwards: so many seconds of it.
    pub replay_s: f64,
    /// How long the tasks need until they carry everything they can; at first it is 60 %.
    pub warm_up_s: f64,
}

impl ChangeWay {
    /// Flink's adaptive scheduler changes the running job.
    pub const IN_PLACE: Self =
        Self { wait_s: (0.2, 3.0), outage_s: (0.1, 0.4), replay_s: 1.0, warm_up_s: 6.0 };
    /// The job is stopped with a savepoint and submitted again.
    pub const SAVEPOINT: Self =
        Self { wait_s: (0.5, 1.5), outage_s: (4.0, 8.0), replay_s: 0.0, warm_up_s: 15.0 };
    /// The state is so large that a restore takes a minute.
    pub const LARGE_STATE: Self =
        Self { wait_s: (1.0, 10.0), outage_s: (40.0, 80.0), replay_s: 20.0, warm_up_s: 40.0 };
}

/// What varies and what fails.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Faults {
    /// Relative standard deviation of what an operator carries, from second to second.
    pub capacity_noise: f64,
    /// How often an hour a task manager slows everything down to 70–90 % for 60–300 s.
    pub slow_task_managers_per_h: f64,
    /// How often an hour metrics are incomplete for 10–40 s.
    pub metric_gaps_per_h: f64,
    /// The probability that a change fails, so that the job comes back as it was, 0 to 1.
    pub failing_changes: f64,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            capacity_noise: 0.03,
            slow_task_managers_per_h: 0.0,
            metric_gaps_per_h: 0.0,
            failing_changes: 0.0,
        }
    }
}

/// The cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Slots {
    /// No operator gets more subtasks.
    pub max: u32,
    /// Slots of one task manager.
    pub per_task_manager: u32,
    /// How long a further task manager takes to start, in seconds.
    pub task_manager_start_s: u32,
}

impl Default for Slots {
    fn default() -> Self {
        Self { max: 64, per_task_manager: 4, task_manager_start_s: 0 }
    }
}

/// All of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Conditions {
    /// L: a second in which a record is older than this is a violation.
    pub latency_bound_s: f64,
    /// How old the newest metrics are when a policy sees them, in seconds.
    pub metric_age_s: u32,
    /// How a change is made.
    pub change: ChangeWay,
    /// What varies and what fails.
    pub faults: Faults,
    /// The cluster.
    pub slots: Slots,
}

/// The time that a record spends in an operator without any queue, in seconds.
pub const BASE_LATENCY_S: f64 = 0.02;
