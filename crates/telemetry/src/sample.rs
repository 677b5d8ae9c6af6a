//! All readings of a job at one point in time.

use std::collections::{BTreeMap, BTreeSet};

/// One execution of a job's tasks: a restart or a rescale begins a new one with all counters at 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incarnation {
    /// The submission: Flink's id of the job, or its name if the source does not have the id.
    pub job_id: String,
    /// When the job last entered RUNNING, in milliseconds since the Unix epoch; or when a source that does not tell this
    /// first saw these tasks.
    pub running_since_ms: i64,
}

/// Count and sum of a histogram since the task started.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Histogram {
    /// The number of values.
    pub count: f64,
    /// Their sum, in the histogram's unit.
    pub sum: f64,
}

/// The readings of one subtask. [`None`] is unknown.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Subtask {
    /// Whether it has read its input to its end: it will not change any more.
    pub is_finished: bool,
    /// When it was read, in milliseconds since the Unix epoch, where that is another time than the sample's.
    pub at_ms: Option<i64>,
    /// Records received since the task started. For a source it stays at 0 before Flink 2.0.
    pub records_in: Option<f64>,
    /// Sources: records read since the task started, as the source operator itself counts them.
    pub source_records_in: Option<f64>,
    /// Records emitted since the task started.
    pub records_out: Option<f64>,
    /// Records received per second: a smoothed figure, where the counter is not to be had.
    pub records_in_per_s: Option<f64>,
    /// Records emitted per second: a smoothed figure, where the counter is not to be had.
    pub records_out_per_s: Option<f64>,
    /// Time busy per second, in milliseconds (Flink's own smoothed figure).
    pub busy_ms_per_s: Option<f64>,
    /// Time without anything to do per second, in milliseconds (smoothed).
    pub idle_ms_per_s: Option<f64>,
    /// Time spent waiting for the tasks behind it per second, in milliseconds (smoothed).
    pub backpressured_ms_per_s: Option<f64>,
    /// Time busy since the task started, in milliseconds.
    pub busy_ms: Option<f64>,
    /// Time without anything to do since the task started, in milliseconds.
    pub idle_ms: Option<f64>,
    /// Time spent waiting for the tasks behind it since the task started, in milliseconds.
    pub backpressured_ms: Option<f64>,
    /// How far its watermark is behind the wall clock, in milliseconds.
    pub watermark_lag_ms: Option<f64>,
    /// Sources: records that wait at the origin.
    pub pending_records: Option<f64>,
    /// Sources: whether a number of waiting records was reported that cannot be one (negative, infinite, no number).
    pub has_impossible_pending: bool,
    /// Sources: partitions that it reads, where the source names them.
    pub partitions: Option<u32>,
    /// Histograms by the name of the metric, for example `waitingTime`.
    pub histograms: BTreeMap<String, Histogram>,
    /// Means of the newest values by the name of the histogram, where count and sum are not to be had.
    pub means: BTreeMap<String, f64>,
    /// The largest of the newest values, by the name of the histogram.
    pub maxima: BTreeMap<String, f64>,
    /// What 99 % of the newest values lie below, by the name of the histogram.
    pub p99s: BTreeMap<String, f64>,
}

impl Subtask {
    /// Returns the time that the task has counted, in milliseconds: its age when it reported these figures, because Flink counts as busy
    /// what is neither idle nor back-pressured.
    pub fn counted_ms(&self) -> Option<f64> {
        Some(self.busy_ms? + self.idle_ms? + self.backpressured_ms?)
    }

    /// Whether it counts its records and its time, and has no figures of its newest values.
    pub(crate) fn only_counts(&self) -> bool {
        let counters = [self.records_in, self.records_out, self.busy_ms, self.idle_ms, self.backpressured_ms];
        let has_newest = !self.maxima.is_empty() || !self.means.is_empty() || !self.p99s.is_empty();
        let is_idle_source = self.pending_records.is_some() || self.source_records_in.is_some();
        (self.is_finished || counters.iter().all(Option::is_some)) && !has_newest && !is_idle_source
    }
}

/// The end offsets of a source's partitions as the brokers report them: how many records have ever arrived.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EndOffsets {
    /// When the brokers were asked, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// The sum over all partitions, in records.
    pub records: f64,
}

/// An edge into a vertex.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Input {
    /// The name of the vertex that it comes from.
    pub from: String,
    /// How records are distributed, in Flink's word: `HASH`, `FORWARD`, `REBALANCE` …
    pub ship_strategy: String,
}

/// The readings of one vertex.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Vertex {
    /// The name of its first operator, which is its uid in this project's jobs.
    pub name: String,
    /// Flink's id of the vertex.
    pub id: Option<String>,
    /// The number of subtasks.
    pub parallelism: u32,
    /// The largest possible number of subtasks; 0 where it is not known.
    pub max_parallelism: u32,
    /// The edges that feed it, one per vertex that it comes from.
    pub inputs: Vec<Input>,
    /// Whether Flink's REST interface lacks its edges, so that `inputs` is meaningless.
    pub has_unknown_inputs: bool,
    /// Whether one of its operators has metrics that only windows have.
    pub is_windowed: bool,
    /// Sources: partitions at the origin, each once, where all subtasks name theirs.
    pub source_partitions: Option<u32>,
    /// Sources: the partitions of Kafka that its subtasks read together, by topic. A character of a topic that Flink's metrics do not take
    /// in names stands there as `_`. Empty where not every subtask names its partitions.
    pub topics: BTreeMap<String, BTreeSet<i32>>,
    /// Sources: what the ends of these partitions add up to, where the brokers were asked.
    pub end_offsets: Option<EndOffsets>,
    /// Its slot sharing group: vertices of the same one share slots.
    pub slot_sharing_group: Option<String>,
    /// Whether it is a source by its name, where the metric source has no edges.
    pub role: Option<Role>,
    /// Whether its subtasks were left out of a sample between two whole ones, because its figures are differences of counters.
    pub is_left_out: bool,
    /// One entry per subtask; empty if they were left out.
    pub subtasks: Vec<Subtask>,
}

impl Vertex {
    /// Whether it reads from outside, or may do so.
    pub(crate) fn is_source(&self) -> bool {
        self.inputs.is_empty() || self.has_unknown_inputs
    }

    /// Whether a snapshot needs its readings at the beginning and the end of an epoch only: it is no source, whose backlog and arrivals are
    /// series, and its figures are differences of counters, not means or extremes of what was read.
    fn only_counts(&self) -> bool {
        !self.is_source() && self.subtasks.iter().all(Subtask::only_counts)
    }
}

/// The place of a vertex in the graph by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Reads from outside.
    Source,
    /// Neither of the others.
    Inner,
    /// Writes to the outside.
    Sink,
}

/// The readings of one task manager.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TaskManager {
    /// Its resource id.
    pub id: String,
    /// CPU load of its JVM, 0 to 1.
    pub cpu_load: Option<f64>,
    /// Used heap, in bytes.
    pub heap_used_bytes: Option<f64>,
    /// Largest heap, in bytes.
    pub heap_max_bytes: Option<f64>,
    /// Used managed memory, in bytes.
    pub managed_used_bytes: Option<f64>,
    /// Managed memory, in bytes.
    pub managed_max_bytes: Option<f64>,
    /// Time spent collecting garbage since it started, in milliseconds.
    pub gc_ms: Option<f64>,
    /// Slots, taken or not.
    pub slots: Option<u32>,
    /// Slots that no task uses.
    pub slots_free: Option<u32>,
}

/// All readings at one point in time.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// When it was taken, in milliseconds since the Unix epoch; never goes back within one source.
    pub at_ms: i64,
    /// When the newest reading in it was made, in milliseconds since the Unix epoch.
    pub newest_ms: i64,
    /// How long the job had been running, in milliseconds.
    pub running_ms: i64,
    /// Which life of the job.
    pub incarnation: Incarnation,
    /// What is known of the job beside its metrics.
    pub job: scaling::Job,
    /// Its vertices, ordered by name.
    pub vertices: Vec<Vertex>,
    /// The cluster's task managers.
    pub task_managers: Vec<TaskManager>,
    /// The full size of the newest checkpoint, in bytes.
    pub state_size_bytes: Option<f64>,
    /// Size of the checkpoint storage by a state probe, in bytes.
    pub stored_size_bytes: Option<f64>,
}

impl Sample {
    /// Whether no vertex was left out.
    pub fn is_whole(&self) -> bool {
        self.vertices.iter().all(|vertex| !vertex.is_left_out)
    }

    /// Returns the number of subtasks whose readings it has.
    pub fn readings(&self) -> usize {
        self.vertices.iter().map(|vertex| vertex.subtasks.len()).sum()
    }

    /// Leaves out the vertices whose readings a snapshot needs at the beginning and the end of its epoch only.
    pub fn leave_out_counted(&mut self) {
        for vertex in self.vertices.iter_mut().filter(|vertex| vertex.only_counts()) {
            (vertex.is_left_out, vertex.subtasks) = (true, Vec::new());
        }
    }
}
