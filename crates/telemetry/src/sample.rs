//! The readings of one moment.

use std::collections::BTreeMap;

use flink::JobId;

/// One life of a job's tasks: a restart or a rescale begins another one, and counters begin at 0 again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incarnation {
    /// The submission.
    pub job_id: JobId,
    /// When the job last entered RUNNING, in milliseconds since the Unix epoch.
    pub running_since_ms: i64,
}

/// What a histogram has counted since the task started.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Histogram {
    /// The number of values.
    pub count: f64,
    /// Their sum, in the histogram's unit.
    pub sum: f64,
}

/// The readings of one subtask. Absent is unknown.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Subtask {
    /// Records received since the task started.
    pub records_in: Option<f64>,
    /// Records emitted since the task started.
    pub records_out: Option<f64>,
    /// Time busy per second, in milliseconds (Flink's own smoothed figure).
    pub busy_ms_per_s: Option<f64>,
    /// Sources: records that wait at the origin.
    pub pending_records: Option<f64>,
    /// Histograms by the name of the metric, for example `waitingTime`.
    pub histograms: BTreeMap<String, Histogram>,
}

/// The readings of one vertex.
#[derive(Debug, Clone, PartialEq)]
pub struct Vertex {
    /// The name of its first operator, which is its uid in this project's jobs.
    pub name: String,
    /// The number of subtasks.
    pub parallelism: u32,
    /// The largest possible number of subtasks.
    pub max_parallelism: u32,
    /// The names of the vertices that feed it.
    pub inputs: Vec<String>,
    /// One entry per subtask.
    pub subtasks: Vec<Subtask>,
}

/// The readings of one task manager.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskManager {
    /// Its resource id.
    pub id: String,
    /// CPU load of its JVM, 0 to 1.
    pub cpu_load: Option<f64>,
    /// Used heap, in bytes.
    pub heap_used_bytes: Option<f64>,
    /// Largest heap, in bytes.
    pub heap_max_bytes: Option<f64>,
}

/// All readings of one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// When it was taken, in milliseconds since the Unix epoch; never goes back within one source.
    pub at_ms: i64,
    /// How long the job had been running by the JobManager's clock, in milliseconds.
    pub running_ms: i64,
    /// Which life of the job.
    pub incarnation: Incarnation,
    /// The job's name.
    pub job: String,
    /// Its vertices, ordered by name.
    pub vertices: Vec<Vertex>,
    /// The cluster's task managers.
    pub task_managers: Vec<TaskManager>,
    /// The full size of the newest checkpoint, in bytes.
    pub state_size_bytes: Option<f64>,
}
