//! Metrics of a running job, read from outside.
//!
//! Reading has two steps. A [`MetricSource`] takes a [`Sample`] every second or so: raw counters and gauges at one point in
//! time, without judgement. It reads Flink's REST interface, or a store that Flink's reporters write to ([`StoreKind`]).
//! [`summarise`] computes one [`scaling::Snapshot`] from the samples of an epoch. It is a pure function, and alone decides which
//! readings are trusted: differences of counters instead of Flink's slow meters, nothing before the end of the warm-up, nothing
//! across a restart, unknown where a subtask reports nothing.

mod clock;
mod error;
mod flink_rest;
mod http;
mod kinds;
mod mapping;
mod names;
mod origins;
mod sample;
mod series;
mod source;
mod store;
mod summary;

pub use clock::Clock;
pub use error::{SampleError, StoreError};
pub use flink_rest::{FlinkCluster, FlinkRest, operator_vertices};
pub use http::Bounds;
pub use kinds::Kinds;
pub use mapping::{MappingSettings, Preset};
pub use sample::{EndOffsets, Histogram, Incarnation, Input, Role, Sample, Subtask, TaskManager, Vertex};
pub use source::MetricSource;
#[cfg(fuzzing)]
pub use store::any_answer;
pub use store::{StoreKind, StoreSettings};
pub use summary::{LatencyMetric, NotReady, SummarySettings, summarise};
