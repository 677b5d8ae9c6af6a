//! Conditions of a simulated run: how changes are made, faults, and slots.

use serde::{Deserialize, Serialize};

/// How a change of the parallelism is made. Times in seconds; pairs are the bounds of a uniform distribution.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangeMethod {
    /// Time from the request to the stop, during which the checkpoint or savepoint is taken.
    pub wait_s: (f64, f64),
    /// Length of the outage.
    pub outage_s: (f64, f64),
    /// Seconds of input that are reprocessed afterwards.
    pub replay_s: f64,
    /// Warm-up time of the tasks, which start at 60 % of their capacity.
    pub warm_up_s: f64,
}

impl ChangeMethod {
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

/// Random variation and failures.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Faults {
    /// Relative standard deviation of an operator's capacity, from second to second.
    pub capacity_noise: f64,
    /// How often per hour a slow task manager reduces all capacity to 70–90 % for 60–300 s.
    pub slow_task_managers_per_h: f64,
    /// How often per hour metrics are incomplete for 10–40 s.
    pub metric_gaps_per_h: f64,
    /// Probability, 0 to 1, that a change fails and the job returns to its previous parallelism.
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
    /// Maximum parallelism of an operator.
    pub max: u32,
    /// Slots of one task manager.
    pub per_task_manager: u32,
    /// Start-up time of an additional task manager, in seconds.
    pub task_manager_start_s: u32,
}

impl Default for Slots {
    fn default() -> Self {
        Self { max: 64, per_task_manager: 4, task_manager_start_s: 0 }
    }
}

/// All conditions of a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Conditions {
    /// L, in seconds: a second in which a record is older than this is a violation.
    pub latency_bound_s: f64,
    /// Age of the newest metrics that a policy sees, in seconds.
    pub metric_age_s: u32,
    /// Time of a record in an operator without queueing, in seconds.
    pub operator_latency_s: f64,
    /// Size of an operator's buffers, as seconds of its capacity.
    pub buffer_s: f64,
    /// How a change is made.
    pub change: ChangeMethod,
    /// Random variation and failures.
    pub faults: Faults,
    /// The cluster.
    pub slots: Slots,
}

/// Time of a record in an operator without queueing, where a scenario sets none, in seconds.
pub const OPERATOR_LATENCY_S: f64 = 0.02;

/// Size of an operator's buffers, where a scenario sets none, as seconds of its capacity.
pub const BUFFER_S: f64 = 0.5;
