//! One operator (a vertex of the job graph), its edges and its subtasks.

use serde::{Deserialize, Serialize};

use super::{Distribution, Quality, Reading};

/// What an operator does with time, which decides how it can be scaled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Reads the input from outside. Its rate is the load, not a choice of ours.
    Source,
    /// Handles each record as it comes: its capacity grows with its parallelism.
    #[default]
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

impl Kind {
    /// Whether the operator collects records and works them off when a window fires.
    pub fn is_windowed(self) -> bool {
        matches!(self, Self::Window | Self::Join | Self::CoGroup | Self::AllWindow)
    }
}

/// How the records of an edge are spread over the subtasks behind it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Partitioning {
    /// By key, through key groups.
    Hash,
    /// One to one; both ends have the same parallelism.
    Forward,
    /// Round robin over all.
    Rebalance,
    /// Round robin over some.
    Rescale,
    /// Each record to all.
    Broadcast,
    /// All records to one.
    Global,
    /// In some other way, or not known.
    #[default]
    Other,
}

/// An edge into an operator.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edge {
    /// The name of the operator that it comes from.
    pub from: String,
    /// How its records are spread.
    #[serde(default)]
    pub partitioning: Partitioning,
}

/// One operator (a vertex of the job graph) over the epoch. Rates are sums over subtasks.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operator {
    /// The name under which the document knows it: the uid in this project's jobs, else Flink's name of its first operator.
    pub name: String,
    /// How it can be scaled.
    pub kind: Kind,
    /// The uid of its first operator, where it is known for certain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// Flink's id of the vertex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vertex_id: Option<String>,
    /// Mean processing time plus mean waiting time over its subtasks, in milliseconds; with two inputs the mean of both.
    #[serde(default)]
    pub latency_ms: Option<f64>,
    /// Records processed per second; for a source those that it reads, in the unit of its backlog.
    #[serde(default)]
    pub throughput_per_s: Option<f64>,
    /// Records per second that would arrive if nothing held them back, see [`crate::offered_rates`].
    #[serde(default)]
    pub input_rate_per_s: Option<f64>,
    /// Records emitted per second, by the last operator of its chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_rate_per_s: Option<f64>,
    /// Sources: records per second that came into being at the origin: `throughput_per_s` plus the growth of the backlog.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arrival_rate_per_s: Option<f64>,
    /// Sources: records that wait at the origin at the end of the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backlog_records: Option<f64>,
    /// Sources: records that waited at the origin, by time (milliseconds since the Unix epoch), oldest first, at most 360.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub backlog_series: Vec<(i64, f64)>,
    /// Sources: records that have come into being at the origin, by time, oldest first, at most 360: those read since the tasks
    /// started, and those that wait. Differences within one life of the tasks (`running_since_ms`) are arrivals; the figure itself
    /// begins anew with each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arrivals: Vec<(i64, f64)>,
    /// Sources: partitions (or splits) at the origin; more subtasks than that have nothing to read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_partitions: Option<u32>,
    /// Share of the epoch that its subtasks were busy, 0 to 1, mean over subtasks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub busy_ratio: Option<f64>,
    /// Share of the epoch that its subtasks had nothing to do, 0 to 1, mean over subtasks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_ratio: Option<f64>,
    /// Share of the epoch that its subtasks waited for the operators behind them, 0 to 1, mean over subtasks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backpressured_ratio: Option<f64>,
    /// How far its watermark is behind the wall clock, in milliseconds, largest over subtasks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watermark_lag_ms: Option<f64>,
    /// Time that a record takes once it is taken up, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processing_ms: Option<Distribution>,
    /// Time that a record waits before it is taken up, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_ms: Option<Distribution>,
    /// Windowed operators: how long one firing keeps a subtask from its input, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firing_ms: Option<Distribution>,
    /// Windowed operators: records in a window when it fires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_records: Option<Distribution>,
    /// Its part of the newest completed checkpoint, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_size_bytes: Option<f64>,
    /// The number of subtasks.
    pub parallelism: u32,
    /// Its own maximum, where lower than the job's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_parallelism: Option<u32>,
    /// Operators of the same group share slots, one subtask of each; absent: all share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot_sharing_group: Option<String>,
    /// The names of the operators that feed it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<String>,
    /// The edges behind `inputs`, where their partitioning is known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub edges: Vec<Edge>,
    /// Its subtasks by index, where they were looked at one by one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subtasks: Vec<Subtask>,
    /// When these figures were read, and how good they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reading: Option<Reading>,
}

impl Operator {
    /// Every figure of the operator and its subtasks that a formula uses.
    pub(super) fn figures(&self) -> impl Iterator<Item = Option<f64>> {
        let own = [
            self.latency_ms,
            self.throughput_per_s,
            self.input_rate_per_s,
            self.output_rate_per_s,
            self.arrival_rate_per_s,
            self.backlog_records,
            self.busy_ratio,
            self.idle_ratio,
            self.backpressured_ratio,
            self.state_size_bytes,
        ];
        own.into_iter().chain(self.subtasks.iter().flat_map(Subtask::figures))
    }

    /// The same figures, to be changed.
    pub(super) fn figures_mut(&mut self) -> impl Iterator<Item = &mut Option<f64>> {
        let own = [
            &mut self.latency_ms,
            &mut self.throughput_per_s,
            &mut self.input_rate_per_s,
            &mut self.output_rate_per_s,
            &mut self.arrival_rate_per_s,
            &mut self.backlog_records,
            &mut self.busy_ratio,
            &mut self.idle_ratio,
            &mut self.backpressured_ratio,
            &mut self.state_size_bytes,
        ];
        own.into_iter().chain(self.subtasks.iter_mut().flat_map(Subtask::figures_mut))
    }

    /// Notes that the backlog cannot be true, so that what arrives, which follows from it, is not known either.
    pub(super) fn doubt_backlog(&mut self) {
        self.arrival_rate_per_s = None;
        let reading = self.reading.get_or_insert_default();
        reading.except.insert("backlog_records".to_owned(), Quality::Impossible);
    }

    /// Whether its records come by key, so that its parallelism should suit the number of key groups.
    pub fn is_keyed(&self) -> bool {
        matches!(self.kind, Kind::Window | Kind::Join | Kind::CoGroup)
            || self.edges.iter().any(|edge| edge.partitioning == Partitioning::Hash)
    }
}

/// One subtask over the epoch. Its distributions are boxed: most jobs have none, and a large job has 100,000 subtasks.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Subtask {
    /// Records received in the epoch, by a source those that it read: a difference of counters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub records_in: Option<f64>,
    /// Records emitted in the epoch: a difference of counters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub records_out: Option<f64>,
    /// The time over which the two were counted, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval_ms: Option<i64>,
    /// Share of the time that it was busy, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub busy_ratio: Option<f64>,
    /// Share of the time that it had nothing to do, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_ratio: Option<f64>,
    /// Share of the time that it waited for the operators behind it, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backpressured_ratio: Option<f64>,
    /// How far its watermark is behind the wall clock, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub watermark_lag_ms: Option<f64>,
    /// Sources: records that wait at the origin for this subtask.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pending_records: Option<f64>,
    /// Sources: partitions (or splits) that this subtask reads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partitions: Option<u32>,
    /// Time that a record takes once it is taken up, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processing_ms: Option<Box<Distribution>>,
    /// Time that a record waits before it is taken up, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting_ms: Option<Box<Distribution>>,
    /// Windowed operators: how long one firing keeps it from its input, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub firing_ms: Option<Box<Distribution>>,
    /// Windowed operators: records in a window when it fires.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window_records: Option<Box<Distribution>>,
    /// The task manager that runs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_manager: Option<String>,
    /// When these figures were read, and how good they are; absent: as the operator's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reading: Option<Reading>,
}

impl Subtask {
    /// Every figure that a formula uses.
    fn figures(&self) -> [Option<f64>; 6] {
        [
            self.records_in,
            self.records_out,
            self.busy_ratio,
            self.idle_ratio,
            self.backpressured_ratio,
            self.pending_records,
        ]
    }

    /// The same figures, to be changed.
    fn figures_mut(&mut self) -> [&mut Option<f64>; 6] {
        [
            &mut self.records_in,
            &mut self.records_out,
            &mut self.busy_ratio,
            &mut self.idle_ratio,
            &mut self.backpressured_ratio,
            &mut self.pending_records,
        ]
    }
}
