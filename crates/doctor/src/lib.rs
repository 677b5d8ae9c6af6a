//! Diagnoses a Flink cluster's settings for scaling: facts in, findings out.
//!
//! [`examine`] is a pure function of the facts that Flink reports. Each finding states the problem, its cost, and the
//! line to change for this version of Flink: keys differ between versions, and Flink silently ignores unknown ones.
//!
//! Metrics are not examined: whether the job keeps up is the policies' question.

mod checks;
mod duration;
mod facts;
mod report;
mod version;

pub use duration::parse as parse_duration;
pub use facts::{Checkpointing, Configuration, Facts, InPlace, JobFacts, VertexFacts};
pub use report::{Check, Finding, Harm, Report, Unchecked};
pub use version::Version;

/// Returns all findings about a cluster and one of its jobs, the most harmful first, and the skipped checks.
pub fn examine(facts: &Facts) -> Report {
    checks::all(facts)
}
