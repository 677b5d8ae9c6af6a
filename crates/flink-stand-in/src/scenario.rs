//! The format of a scenario file (JSON): the cluster's state, and its changes over time.
//!
//! Times named `…_s` are seconds since the start of the stand-in. Everything but `jobs` has a default.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

/// Why a scenario file is invalid.
#[derive(Debug, Error)]
pub enum ScenarioError {
    /// The file cannot be read.
    #[error("{}: cannot be read", path.display())]
    File {
        /// Path of the file.
        path: PathBuf,
        /// The operating system's error.
        #[source]
        source: std::io::Error,
    },
    /// The file is not a scenario.
    #[error("{}: not a scenario", path.display())]
    Syntax {
        /// Path of the file.
        path: PathBuf,
        /// Position and cause.
        #[source]
        source: serde_json::Error,
    },
}

/// A cluster and its jobs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// The jobs that the JobManager knows.
    pub jobs: Vec<Job>,
    /// The registered task managers.
    #[serde(default)]
    pub taskmanagers: Vec<TaskManager>,
    /// Flink's version, for example `1.20.0`; it determines which endpoints and fields exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The scheduler, if not the adaptive one.
    #[serde(default)]
    pub scheduler: Scheduler,
    /// Whether `/jobmanager/config` and `/jobs/:id/jobmanager/config` exist; otherwise 404.
    #[serde(default)]
    pub shows_config: bool,
    /// Further keys of the configuration, besides those implied by `scheduler`; if there are any, the configuration
    /// is shown.
    #[serde(default)]
    pub config: BTreeMap<String, String>,
    /// Path prefix of all endpoints, for example `/proxy`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// `user:password`, required by basic authentication.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<String>,
    /// Lead of the JobManager's clock, in milliseconds; negative: lag.
    #[serde(default)]
    pub jm_clock_ahead_ms: i64,
    /// Replaced responses, by `METHOD /path` without the prefix.
    #[serde(default)]
    pub overrides: BTreeMap<String, Override>,
    /// Jobs that replace `jobs` from some time on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swap: Option<JobChange>,
}

/// The scheduler of the cluster (`jobmanager.scheduler`, `scheduler-mode`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scheduler {
    /// Follows resource requirements.
    #[default]
    Adaptive,
    /// Rejects resource requirements.
    Default,
    /// Adaptive in reactive mode: takes all slots, rejects resource requirements.
    Reactive,
}

/// Jobs that replace the others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobChange {
    /// Time of the replacement, in seconds.
    pub after_s: f64,
    /// The jobs from then on.
    pub jobs: Vec<Job>,
}

/// One job.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// Its id.
    pub jid: String,
    /// Its name.
    pub name: String,
    /// Its state; `RUNNING` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Its type; `STREAMING` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_type: Option<String>,
    /// Its maximum parallelism; -1 if absent.
    #[serde(rename = "maxParallelism", default, skip_serializing_if = "Option::is_none")]
    pub max_parallelism: Option<i64>,
    /// Its age at the start of the stand-in, in milliseconds; two hours if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_ms: Option<i64>,
    /// Whether its age is always `age_ms`, as if it restarted with every response.
    #[serde(default)]
    pub moving_since: bool,
    /// The response of `/checkpoints`: absent: one completed checkpoint; `"none"`: checkpointing is off; else the
    /// response itself.
    #[serde(default)]
    pub checkpoints: CheckpointAnswer,
    /// Duration of a triggered checkpoint, in seconds.
    #[serde(default)]
    pub checkpoint_takes_s: f64,
    /// Reason with which a triggered checkpoint fails; absent: it completes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint_fails: Option<String>,
    /// Checkpoint interval in `/checkpoints/config`, in milliseconds; 30 s if absent. Without checkpointing there is
    /// none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint_interval_ms: Option<u64>,
    /// Checkpoint storage in the same response; `FileSystemCheckpointStorage` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint_storage: Option<String>,
    /// Maximum number of subtasks of a vertex, whatever is required.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slots: Option<u32>,
    /// Requirements of the job by vertex id, where they exceed the current parallelism.
    #[serde(default)]
    pub requirements: BTreeMap<String, Bounds>,
    /// Restart loop while the requirements differ from the initial parallelism.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing_after_rescale: Option<Failure>,
    /// Its own parameters, in `/jobs/:id/config`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, String>,
    /// Its vertices.
    pub vertices: Vec<Vertex>,
    /// Fields that override or extend the generated details.
    #[serde(default)]
    pub extra: BTreeMap<String, Value>,
}

/// A restart loop: the tasks repeatedly fail and are restarted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// Interval of restarts, in seconds.
    pub every_s: f64,
    /// Number of restarts until it runs; absent: it never does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
    /// Stack trace in `/exceptions`.
    pub stacktrace: String,
}

/// Lower and upper bound of a vertex' parallelism.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Bounds {
    /// Smallest parallelism with which the job starts.
    pub lower_bound: u32,
    /// Largest parallelism.
    pub upper_bound: u32,
}

/// The response of `/jobs/:id/checkpoints`: a keyword or the response itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CheckpointAnswer(pub Value);

impl Default for CheckpointAnswer {
    fn default() -> Self {
        Self(Value::String("default".to_owned()))
    }
}

/// One vertex of a job.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vertex {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Number of subtasks; -1: undecided.
    pub parallelism: i64,
    /// Its maximum parallelism; 128 if absent.
    #[serde(rename = "maxParallelism", default, skip_serializing_if = "Option::is_none")]
    pub max_parallelism: Option<i64>,
    /// The state of its tasks; `RUNNING` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Indices of the subtasks that have reached the end of their input.
    #[serde(default)]
    pub finished_subtasks: Vec<u32>,
    /// Its input edges.
    #[serde(default)]
    pub inputs: Vec<Input>,
    /// Metrics of every subtask by name, without the subtask's index.
    #[serde(default)]
    pub metrics: MetricValues,
    /// Metrics of single subtasks by index, which override those of `metrics`; `null` removes one.
    #[serde(default)]
    pub subtasks: BTreeMap<String, MetricValues>,
    /// Fields that are omitted from the details.
    #[serde(default)]
    pub drop: Vec<String>,
    /// Fields that override or extend the generated details.
    #[serde(default)]
    pub extra: BTreeMap<String, Value>,
}

/// An input edge of a vertex.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Id of the upstream vertex.
    pub id: String,
    /// How records are distributed; `HASH` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ship_strategy: Option<String>,
}

/// Metrics by name.
pub type MetricValues = BTreeMap<String, Metric>;

/// The value of a metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Metric {
    /// Grows with time.
    Counter(Counter),
    /// Returned unchanged; `null`: the metric does not exist.
    Constant(Value),
}

/// A value that grows with time: `base + rate × (seconds + 1000)`, so that it appears as old as that of a running
/// job.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counter {
    /// Growth per second.
    pub rate: f64,
    /// Offset.
    #[serde(default)]
    pub base: f64,
    /// Refresh interval of the value, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renew_s: Option<f64>,
    /// Time at which it stops growing, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_s: Option<f64>,
}

/// A registered task manager.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskManager {
    /// Its resource id.
    pub id: String,
    /// Number of slots.
    #[serde(default = "slots")]
    pub slots: u32,
    /// Number of free slots.
    #[serde(default)]
    pub free: u32,
    /// Its metrics by name; CPU load and heap if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<MetricValues>,
}

fn slots() -> u32 {
    4
}

/// A replaced response of one endpoint.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Override {
    /// The HTTP status; absent: the usual response, only delayed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The body: text unchanged, anything else as JSON.
    #[serde(default)]
    pub body: Value,
    /// Headers.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Delay of the response, in seconds.
    #[serde(default)]
    pub sleep_s: f64,
    /// Start of the override, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_s: Option<f64>,
    /// End of the override, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_s: Option<f64>,
    /// Number of requests after which the override ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
}

impl Scenario {
    /// Reads a scenario file.
    ///
    /// # Errors
    /// The file cannot be read, or is not a valid scenario.
    pub fn load(path: &Path) -> Result<Self, ScenarioError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ScenarioError::File { path: path.to_owned(), source })?;
        serde_json::from_str(&text).map_err(|source| ScenarioError::Syntax { path: path.to_owned(), source })
    }
}
