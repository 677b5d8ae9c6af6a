//! The job as a whole: its state, checkpoints, past rescales and queries.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Reading;

/// The job as a whole.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// The job's name.
    pub name: String,
    /// The parallelism of operators without one of their own.
    pub parallelism: u32,
    /// The largest parallelism of any operator: the number of key groups.
    pub max_parallelism: u32,
    /// The id that Flink gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Where it is in its life, in Flink's word, for example `RUNNING`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// When it last entered RUNNING, in milliseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running_since_ms: Option<i64>,
    /// How often it was restarted since it was submitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restarts: Option<u64>,
    /// Its checkpoints.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoints: Option<Checkpoints>,
    /// Its past rescales, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rescales: Vec<Rescale>,
    /// When these figures were read, and how good they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reading: Option<Reading>,
}

/// Checkpoints since the job was submitted.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Checkpoints {
    /// Time between two, as configured, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval_ms: Option<u64>,
    /// Completed ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed: Option<u64>,
    /// Failed ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<u64>,
    /// When the newest completed one was complete, in milliseconds since the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_at_ms: Option<i64>,
    /// How long the newest completed one took, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_duration_ms: Option<u64>,
    /// The full size of the newest completed one, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub full_size_bytes: Option<u64>,
    /// What the newest completed one wrote, in bytes (less than its full size if incremental).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub written_bytes: Option<u64>,
}

/// One past rescale of the job. Snapshots that show the same rescale may share its parallelisms.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rescale {
    /// When it was complete, in milliseconds since the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_ms: Option<i64>,
    /// When it was asked for, in milliseconds since the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requested_at_ms: Option<i64>,
    /// From the request until all tasks ran, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// The part of it in which not all tasks ran, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub downtime_ms: Option<u64>,
    /// The largest number of records that waited at all sources together, from the wish until a minute after the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backlog_peak_records: Option<f64>,
    /// Whether the wanted parallelism was reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub succeeded: Option<bool>,
    /// Parallelism before, by operator.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub before: Arc<BTreeMap<String, u32>>,
    /// Parallelism that was wanted, by operator.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub wanted: Arc<BTreeMap<String, u32>>,
    /// Parallelism after, by operator.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub after: Arc<BTreeMap<String, u32>>,
}

/// One query's end-to-end latency.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Query {
    /// The query, for example `q7`.
    pub name: String,
    /// Mean over the epoch of the latency that the policy watches, in milliseconds.
    pub overall_latency_ms: Option<f64>,
    /// What 99 % of the newest values of the same latency lie below, in milliseconds, largest over subtasks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_p99_ms: Option<f64>,
}
