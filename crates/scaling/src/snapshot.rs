//! What is known of a job and its cluster over one epoch.
//!
//! The JSON form is the interface to recorded decisions and to programs in other languages: field names carry their unit,
//! a figure that is not known is `null` or absent.

use serde::{Deserialize, Serialize};

/// The version of the snapshot's JSON form.
pub const SCHEMA: u32 = 1;

/// What an operator does with time, which decides how it can be scaled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Reads the input from outside. Its rate is the load, not a choice of ours.
    Source,
    /// Handles each record as it comes: its capacity grows with its parallelism.
    Continuous,
    /// Keyed windows: works in bursts when they fire.
    Window,
    /// A window join of two inputs.
    Join,
    /// A co-group of two inputs.
    CoGroup,
    /// One window over all keys: cannot be parallel.
    AllWindow,
    /// Writes the results.
    Sink,
}

/// The job as a whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// The job's name.
    pub name: String,
    /// The parallelism of operators without one of their own.
    pub parallelism: u32,
    /// The largest parallelism of any operator: the number of key groups.
    pub max_parallelism: u32,
}

/// One query's end-to-end latency.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Query {
    /// The query, for example `q7`.
    pub name: String,
    /// Mean over the epoch of the latency that the policy watches, in milliseconds.
    pub overall_latency_ms: Option<f64>,
}

/// One operator (a vertex of the job graph) over the epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operator {
    /// The uid.
    pub name: String,
    /// How it can be scaled.
    pub kind: Kind,
    /// Mean processing time plus mean waiting time over its subtasks, in milliseconds; with two inputs the mean of both.
    #[serde(default)]
    pub latency_ms: Option<f64>,
    /// Records processed per second, summed over its subtasks.
    #[serde(default)]
    pub throughput_per_s: Option<f64>,
    /// Records per second that would arrive if nothing held them back, see [`crate::offered_rates`].
    #[serde(default)]
    pub input_rate_per_s: Option<f64>,
    /// Records emitted per second, summed over its subtasks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_rate_per_s: Option<f64>,
    /// Sources: records per second that came into being at the origin (consumed plus growth of the backlog).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arrival_rate_per_s: Option<f64>,
    /// Sources: records that wait at the origin at the end of the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backlog_records: Option<f64>,
    /// Share of the epoch that its subtasks were busy, 0 to 1, mean over subtasks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub busy_ratio: Option<f64>,
    /// The number of subtasks.
    pub parallelism: u32,
    /// Its own maximum, where lower than the job's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_parallelism: Option<u32>,
    /// The names of the operators that feed it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<String>,
}

/// One task manager over the epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskManager {
    /// Its resource id.
    pub id: String,
    /// CPU load of its JVM, 0 to 1 of the machine.
    pub cpu_load: Option<f64>,
    /// Used heap, in bytes.
    pub heap_used_bytes: Option<f64>,
    /// Largest heap, in bytes.
    pub heap_max_bytes: Option<f64>,
}

/// One epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The end of the epoch, in milliseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_ms: Option<i64>,
    /// The job as a whole.
    pub job: Job,
    /// Its queries.
    pub queries: Vec<Query>,
    /// Its operators.
    pub operators: Vec<Operator>,
    /// The cluster's task managers.
    pub task_managers: Vec<TaskManager>,
    /// The size of the job's state, in bytes.
    pub state_size_bytes: Option<f64>,
    /// What a complete snapshot would hold and this one does not, for people. Nothing is decided while this is not empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
}

impl Snapshot {
    /// The operator of that name.
    pub fn operator(&self, name: &str) -> Option<&Operator> {
        self.operators.iter().find(|operator| operator.name == name)
    }
}
