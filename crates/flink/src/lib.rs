//! A typed client of Flink's REST API (1.18 to 2.x): the requests that an auto-scaler and its agent need, independent
//! of policies.
//!
//! Every request has a timeout and a size limit of the response. Names follow the REST documentation:
//! <https://nightlies.apache.org/flink/flink-docs-release-2.3/docs/ops/rest_api/>. Responses are parsed leniently
//! (unknown fields are ignored: a patch release may add some).

mod checkpoints;
mod client;
mod cluster;
mod configuration;
mod error;
mod failure;
mod graphite;
mod ids;
mod jars;
mod jobs;
mod lenient;
mod metrics;
mod requirements;
mod rescales;
mod savepoints;
mod task_times;

pub use checkpoints::{CheckpointStatus, Checkpoints};
pub use client::{Client, ClientSettings};
pub use cluster::{Overview, TaskManager};
pub use configuration::CheckpointSettings;
pub use error::Error;
pub use failure::first_and_root_cause;
pub use graphite::graphite_component;
pub use ids::{InvalidId, JobId, TriggerId, VertexId};
pub use jars::{Jar, RunRequest, read_jar};
pub use jobs::{Edge, JobDetails, JobFailure, JobOverview, JobState, MAX_PARALLELISM, PlanNode, Vertex};
pub use metrics::{Metric, MetricQuery};
pub use requirements::{InPlace, Obstacle, Requirement};
pub use rescales::{Rescale, RescaledVertex, SchedulerState};
pub use savepoints::{Disposal, SavepointStatus, StopRequest};
pub use task_times::TaskTimes;
