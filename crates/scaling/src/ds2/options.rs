//! The options of policy `ds2`, named after Flink's autoscaler where it has them.

use serde::{Deserialize, Serialize};

/// How the load of unevenly busy subtasks is summed up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BusyTime {
    /// The fullest subtask counts: measured skew takes capacity away.
    #[default]
    Max,
    /// The mean counts: skew is ignored.
    Avg,
}

/// The options of the policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// Target share of busy time of a subtask after a change, 0 to 1.
    pub utilization_target: f64,
    /// Below this share an operator is narrowed.
    pub utilization_min: f64,
    /// Above this share an operator is widened.
    pub utilization_max: f64,
    /// Time in which a backlog must be processed, in seconds; 0: a backlog does not widen.
    pub catch_up_duration_s: f64,
    /// How long a change is expected to stop the job, in seconds.
    pub restart_time_s: f64,
    /// Use the median of this job's own past rescales instead, where there are any.
    pub restart_time_tracking_enabled: bool,
    /// At most so much of a tracked restart counts, in seconds.
    pub restart_time_tracking_limit_s: f64,
    /// After a change, and after the job has begun to run, nothing is changed for so long, in seconds.
    pub stabilization_interval_s: u64,
    /// How long an operator must have been too wide before it is narrowed, in seconds; 0: at once.
    pub scale_down_interval_s: u64,
    /// While reading the backlog at today's rate would take longer than this, nothing is narrowed, in seconds; 0: no matter.
    pub backlog_processing_lag_threshold_s: f64,
    /// An operator may grow by at most so many times its parallelism at once.
    pub scale_up_max_factor: f64,
    /// An operator may lose at most this share of its parallelism at once, 0 to 1.
    pub scale_down_max_factor: f64,
    /// No operator gets less.
    pub vertex_min_parallelism: u32,
    /// No operator gets more.
    pub vertex_max_parallelism: u32,
    /// Choose only parallelisms that the number of key groups or partitions makes use of.
    pub key_group_alignment: bool,
    /// How unevenly busy subtasks count.
    pub busy_time_aggregator: BusyTime,
    /// The longest that a firing window may keep its input waiting, in milliseconds.
    pub window_firing_max_ms: f64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            utilization_target: 0.7,
            utilization_min: 0.4,
            utilization_max: 1.0,
            catch_up_duration_s: 1800.0,
            restart_time_s: 300.0,
            restart_time_tracking_enabled: true,
            restart_time_tracking_limit_s: 900.0,
            stabilization_interval_s: 300,
            scale_down_interval_s: 3600,
            backlog_processing_lag_threshold_s: 300.0,
            scale_up_max_factor: 100_000.0,
            scale_down_max_factor: 1.0,
            vertex_min_parallelism: 1,
            vertex_max_parallelism: 200,
            key_group_alignment: true,
            busy_time_aggregator: BusyTime::Max,
            window_firing_max_ms: 500.0,
        }
    }
}

impl Options {
    /// Every option that is out of its range, as `(option, what would be right)`.
    pub fn problems(&self) -> Vec<(&'static str, &'static str)> {
        let within = |value: f64, low: f64, high: f64| value.is_finite() && value >= low && value <= high;
        let not_negative = |value: f64| within(value, 0.0, f64::MAX);
        let target = self.utilization_target;
        [
            (within(target, 0.01, 1.0), "utilization_target", "give a number from 0.01 to 1"),
            (
                within(self.utilization_min, 0.0, target),
                "utilization_min",
                "give a number from 0 to utilization_target",
            ),
            (
                within(self.utilization_max, target, 1.0),
                "utilization_max",
                "give a number from utilization_target to 1",
            ),
            (not_negative(self.catch_up_duration_s), "catch_up_duration_s", "give a number from 0 on"),
            (not_negative(self.restart_time_s), "restart_time_s", "give a number from 0 on"),
            (
                not_negative(self.restart_time_tracking_limit_s),
                "restart_time_tracking_limit_s",
                "give a number from 0 on",
            ),
            (
                not_negative(self.backlog_processing_lag_threshold_s),
                "backlog_processing_lag_threshold_s",
                "give a number from 0 on",
            ),
            (
                self.scale_up_max_factor.is_finite() && self.scale_up_max_factor > 0.0,
                "scale_up_max_factor",
                "give a number above 0",
            ),
            (
                within(self.scale_down_max_factor, 0.01, 1.0),
                "scale_down_max_factor",
                "give a number from 0.01 to 1 (1: no limit)",
            ),
            (self.vertex_min_parallelism >= 1, "vertex_min_parallelism", "give a number from 1 on"),
            (
                (self.vertex_min_parallelism..=32_768).contains(&self.vertex_max_parallelism),
                "vertex_max_parallelism",
                "give a number from vertex_min_parallelism to 32768",
            ),
            (
                self.window_firing_max_ms.is_finite() && self.window_firing_max_ms > 0.0,
                "window_firing_max_ms",
                "give a number above 0",
            ),
        ]
        .into_iter()
        .filter(|(right, ..)| !right)
        .map(|(_, option, remedy)| (option, remedy))
        .collect()
    }
}
