//! The policies of the rescaler, as pure functions.
//!
//! ```text
//! snapshot ──> policy(options, memory) ──> decision: a plan, or the reason why not
//! ```
//!
//! The input is a [`Snapshot`] of a job and its cluster. The output is a [`Decision`], which contains all figures that it is
//! based on. There is no IO here, no clock and no randomness: the same input gives the same decision, live,
//! offline on a recorded snapshot, and in a replay. An unknown figure is [`None`], never 0, and never causes scaling.

pub mod cluster;
mod decision;
pub mod ds2;
pub mod external;
mod graph;
pub mod key_groups;
pub mod latency;
pub mod limits;
mod period;
mod policy;
pub mod quota;
pub mod slo;
mod snapshot;
pub mod windows;

pub use decision::{Action, Candidate, Cause, ClusterReport, Decision, Diagnosis, OperatorReport, Rejected};
pub use graph::{Target, offered_rates, targets};
pub use period::{LocalTime, Period, PeriodError};
pub use policy::{ChangeEnd, Constraints, Memory, Policy, Traits, decide, plan, watch};
pub use snapshot::{
    Checkpoints, Distribution, Edge, Job, Kind, Operator, Partitioning, Quality, Query, Reading, Rescale,
    SCHEMA, Snapshot, Subtask, TaskManager,
};

/// The largest parallelism that Flink knows: it has at most so many key groups.
const PARALLELISM_MOST: u32 = 32_768;

/// Why nothing may be decided on this snapshot, if it is not complete.
fn incomplete(snapshot: &Snapshot) -> Option<String> {
    if let Some(operator) = snapshot.operators.iter().find(|operator| operator.parallelism > PARALLELISM_MOST)
    {
        let (name, parallelism) = (&operator.name, operator.parallelism);
        return Some(format!(
            "{name} has parallelism {parallelism}, above Flink's maximum {PARALLELISM_MOST}"
        ));
    }
    let first = snapshot.missing.first()?;
    let more = match snapshot.missing.len() - 1 {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    };
    Some(format!("the metrics are incomplete: {first}{more}"))
}
