//! A fake of Flink's REST interface, driven by a scenario file, for situations that a real cluster cannot produce on
//! demand.
//!
//! [`FlinkStandIn::answer`] is a function of the scenario, the requests so far and a time argument, so that it can
//! run in virtual time. [`Server`] serves it on a loopback port. Counters grow with time, overrides replace the
//! responses of single endpoints, and `PUT resource-requirements` changes the parallelism. [`Scenario`] documents the
//! file format.

mod cluster;
mod jobs;
mod log;
mod metrics;
mod pace;
mod requirements;
mod scenario;
mod server;
mod stand_in;
mod version;

pub use log::LoggedRequest;
pub use pace::Pace;
pub use scenario::{
    Bounds, CheckpointAnswer, Counter, Failure, Input, Job, JobChange, Metric, MetricValues, Override,
    Scenario, ScenarioError, Scheduler, TaskManager, Vertex,
};
pub use server::Server;
pub use stand_in::{FlinkStandIn, Request, Response};
