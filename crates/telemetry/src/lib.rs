//! What is known of a running job, from the outside.
//!
//! Reading is split in two. A [`MetricSource`] takes a [`Sample`] every second or so: raw counters and gauges of one
//! moment, nothing judged. It reads Flink's REST interface, or a store that Flink's reporters write to: a folder of Whisper
//! files, Graphite, Prometheus. [`summarise`] makes one [`scaling::Snapshot`] of the samples of an epoch; it is a pure
//! function, and the only place that knows which readings may be trusted: differences of counters instead of Flink's slow
//! meters, nothing from before the warm-up has passed, nothing across a restart, unknown where a subtask is silent.

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
pub use flink_rest::{FlinkRest, operator_vertices};
pub use http::Bounds;
pub use kinds::Kinds;
pub use mapping::{MappingSettings, Preset};
pub use sample::{EndOffsets, Histogram, Incarnation, Input, Role, Sample, Subtask, TaskManager, Vertex};
pub use source::MetricSource;
pub use store::{StoreKind, StoreSettings};
pub use summary::{LatencyMetric, NotReady, SummarySettings, summarise};
