//! Every decision of the scaler, and nothing else.
//!
//! ```text
//! snapshot ──> policy(options, previous state) ──> decision: a plan, or the reason why not
//! ```
//!
//! What a cluster looked like comes in as a [`Snapshot`]; what shall change goes out as a [`Decision`] that carries every
//! figure it rests on. There is no IO here, no clock and no randomness: the same input gives the same decision, live,
//! offline on a recorded snapshot, and in a replay. An unknown figure is [`None`], never 0, and never causes scaling.

mod decision;
pub mod latency;
mod offered;
mod snapshot;

pub use decision::{Action, ClusterReport, Decision, OperatorReport};
pub use offered::offered_rates;
pub use snapshot::{
    Checkpoints, Distribution, Edge, Job, Kind, Operator, Partitioning, Quality, Query, Reading, Rescale,
    SCHEMA, Snapshot, Subtask, TaskManager,
};
