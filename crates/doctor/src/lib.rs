//! What is wrong with the settings of a Flink cluster for scaling: facts in, findings out.
//!
//! [`examine`] is a pure function of what Flink shows of itself. Each finding says what was found, what it costs to leave it, and the
//! line to change for this version of Flink: keys differ between versions, and Flink ignores unknown ones without a word.
//!
//! Left out is everything that needs the job's figures: whether the job keeps up is the policies' question.

mod checks;
mod duration;
mod facts;
mod report;
mod version;

pub use duration::parse as parse_duration;
pub use facts::{Checkpointing, Configuration, Facts, InPlace, JobFacts, VertexFacts};
pub use report::{Check, Finding, Harm, Report, Unchecked};
pub use version::Version;

/// All findings about a cluster and one of its jobs, the most harmful first, and what could not be checked.
pub fn examine(facts: &Facts) -> Report {
    checks::all(facts)
}
