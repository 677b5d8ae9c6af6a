//! The form of a scenario file (JSON): what the cluster looks like, and what changes when.
//!
//! Times named `…_s` are seconds since the stand-in was started. Everything but `jobs` has a default.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

/// Why a scenario file cannot be used.
#[derive(Debug, Error)]
pub enum ScenarioError {
    /// The file cannot be read.
    #[error("{}: cannot be read", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The file is not a scenario.
    #[error("{}: not a scenario", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where and what.
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
    /// Flink's version, for example `1.20.0`; it decides which endpoints and fields exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The scheduler, where it is not the adaptive one.
    #[serde(default)]
    pub scheduler: Scheduler,
    /// Whether `/jobmanager/config` and `/jobs/:id/jobmanager/config` answer; otherwise 404.
    #[serde(default)]
    pub shows_config: bool,
    /// Keys that are set beside those that `scheduler` stands for; where there are any, the configuration is shown.
    #[serde(default)]
    pub config: BTreeMap<String, String>,
    /// The path in front of every endpoint, for example `/proxy`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// `user:password`, required by basic authentication.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<String>,
    /// How far the JobManager's clock is ahead, in milliseconds; negative: behind.
    #[serde(default)]
    pub jm_clock_ahead_ms: i64,
    /// Endpoints that answer differently, by `METHOD /path` without the prefix.
    #[serde(default)]
    pub overrides: BTreeMap<String, Override>,
    /// Other jobs in place of `jobs`, from some time on.
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
    /// Refuses resource requirements.
    Default,
    /// Adaptive in reactive mode: takes all slots, refuses resource requirements.
    Reactive,
}

/// Jobs that replace the others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobChange {
    /// When, in seconds.
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
    /// For how long it runs when the stand-in is started, in milliseconds; two hours if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_ms: Option<i64>,
    /// It always runs for `age_ms`, as if it restarted with every answer.
    #[serde(default)]
    pub moving_since: bool,
    /// The answer at `/checkpoints`: absent: one completed checkpoint; `"none"`: checkpointing is off; else the answer itself.
    #[serde(default)]
    pub checkpoints: CheckpointAnswer,
    /// How long a checkpoint takes that is asked for, in seconds.
    #[serde(default)]
    pub checkpoint_takes_s: f64,
    /// Why a checkpoint fails that is asked for; absent: it completes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint_fails: Option<String>,
    /// Time between two checkpoints in the answer at `/checkpoints/config`, in milliseconds; 30 s if absent. Without checkpointing there
    /// is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint_interval_ms: Option<u64>,
    /// Where checkpoints are kept, in the same answer; `FileSystemCheckpointStorage` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint_storage: Option<String>,
    /// The most subtasks that one vertex gets, whatever is required.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slots: Option<u32>,
    /// What the job requires by vertex id, where it is more than what runs.
    #[serde(default)]
    pub requirements: BTreeMap<String, Bounds>,
    /// What happens while the requirements are others than what runs at first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing_after_rescale: Option<Failure>,
    /// Its vertices.
    pub vertices: Vec<Vertex>,
    /// Fields of the details that replace or complete those made here.
    #[serde(default)]
    pub extra: BTreeMap<String, Value>,
}

/// A restart loop: the tasks fail and are restarted, again and again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// Time between two restarts, in seconds.
    pub every_s: f64,
    /// Restarts until it runs; absent: it never does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
    /// The stack trace that `/exceptions` shows.
    pub stacktrace: String,
}

/// Lower and upper bound of a vertex' parallelism.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Bounds {
    /// The least with which the job starts.
    pub lower_bound: u32,
    /// The most that it takes.
    pub upper_bound: u32,
}

/// The answer at `/jobs/:id/checkpoints`: a word or the answer itself.
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
    /// How many subtasks it has; -1: not decided yet.
    pub parallelism: i64,
    /// Its maximum parallelism; 128 if absent.
    #[serde(rename = "maxParallelism", default, skip_serializing_if = "Option::is_none")]
    pub max_parallelism: Option<i64>,
    /// The state of its tasks; `RUNNING` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// The subtasks that have read their input to its end, by index.
    #[serde(default)]
    pub finished_subtasks: Vec<u32>,
    /// The vertices that it reads from.
    #[serde(default)]
    pub inputs: Vec<Input>,
    /// Metrics of every subtask by name, without the subtask's index.
    #[serde(default)]
    pub metrics: MetricValues,
    /// Metrics of single subtasks by index: they replace those of `metrics`; `null` removes one.
    #[serde(default)]
    pub subtasks: BTreeMap<String, MetricValues>,
    /// Fields of the details that are left out.
    #[serde(default)]
    pub drop: Vec<String>,
    /// Fields of the details that replace or complete those made here.
    #[serde(default)]
    pub extra: BTreeMap<String, Value>,
}

/// An edge into a vertex.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The vertex that it comes from.
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
    /// Answered as it is; `null`: the metric does not exist.
    Constant(Value),
}

/// A figure that grows with time: `base + rate × (seconds + 1000)`, so that it looks as old as a job that has been running for a while.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counter {
    /// Growth per second.
    pub rate: f64,
    /// Added to it.
    #[serde(default)]
    pub base: f64,
    /// The value is renewed only this often, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renew_s: Option<f64>,
    /// From then on it stands still, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_s: Option<f64>,
}

/// A registered task manager.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskManager {
    /// Its resource id.
    pub id: String,
    /// Its slots.
    #[serde(default = "slots")]
    pub slots: u32,
    /// Slots that no job holds.
    #[serde(default)]
    pub free: u32,
    /// Its metrics by name; CPU load and heap if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<MetricValues>,
}

fn slots() -> u32 {
    4
}

/// A different answer of one endpoint.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Override {
    /// The HTTP status; absent: the usual answer, only late.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The body: a text as it is, anything else as JSON.
    #[serde(default)]
    pub body: Value,
    /// Headers.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// For how long the answer is held back, in seconds.
    #[serde(default)]
    pub sleep_s: f64,
    /// Only from then on, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_s: Option<f64>,
    /// Only until then, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_s: Option<f64>,
    /// Only the first requests, as many as this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
}

impl Scenario {
    /// Reads a scenario file.
    ///
    /// # Errors
    /// The file cannot be read, or is not a scenario.
    pub fn load(path: &Path) -> Result<Self, ScenarioError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ScenarioError::File { path: path.to_owned(), source })?;
        serde_json::from_str(&text).map_err(|source| ScenarioError::Syntax { path: path.to_owned(), source })
    }
}
