//! A stand-in for Flink's REST interface, driven by a scenario file: for situations that a real cluster cannot be made to show on
//! demand.
//!
//! [`FlinkStandIn::answer`] is a function of the scenario, the requests so far and a time that the caller passes, so that a
//! simulator can run it in virtual time. [`Server`] puts it behind a loopback port. Counters grow with time; overrides answer single
//! endpoints differently; `PUT resource-requirements` changes the parallelism. The form of a scenario is documented at
//! [`Scenario`].

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
