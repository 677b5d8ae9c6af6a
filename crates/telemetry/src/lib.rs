//! What is known of a running job, from the outside.
//!
//! Reading is split in two. A *source* of metrics ([`FlinkRest`]) takes a [`Sample`] every second or so: raw counters and
//! gauges of one moment, nothing judged. [`summarise`] makes one [`scaling::Snapshot`] of the samples of an epoch; it is a
//! pure function, and the only place that knows which readings may be trusted: differences of counters instead of Flink's
//! slow meters, nothing from before the warm-up has passed, nothing across a restart, unknown where a subtask is silent.

mod flink_rest;
mod kinds;
mod names;
mod sample;
mod summary;

pub use flink_rest::{FlinkRest, SampleError};
pub use kinds::Kinds;
pub use sample::{Histogram, Incarnation, Sample, Subtask, TaskManager, Vertex};
pub use summary::{LatencyMetric, NotReady, Settings, summarise};
