//! The policy of a job, as a rescaler's configuration sets it.
//!
//! [`scaling`] has the policies and decides. This crate has what a configuration says about them, and what makes one of them from it:
//!
//! * [`Policies`] is the section `[policy]`, [`Epoch`] the section `[epoch]`.
//! * [`PolicyRunner`] makes the policy of each epoch; for policy `external` it runs the configured program ([`ExternalProgram`]).
//! * [`DecisionSections`] reads only the sections of a configuration on which decisions depend, and returns the same policy for the
//!   simulator.
//!
//! The rest of the configuration is in the crate `rescaler`.

mod epoch;
mod external_program;
mod runner;
mod sections;
mod selection;

pub use epoch::Epoch;
pub use external_program::ExternalProgram;
pub use runner::{PolicyRunner, UnknownTimeZone};
pub use sections::{DecisionSections, simulated_options};
pub use selection::{Policies, PolicyName};
