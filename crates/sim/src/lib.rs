//! Runs a policy against a model of a Flink job in virtual time, thousands of times faster than a cluster, and scores
//! it.
//!
//! ```text
//! scenario ──> trial (job, load, conditions) ──> model, a second a step ──> run ──> score
//!                                                  │ view        ^ plan
//!                                                  v             │
//!                                                 controller: our policies, or others
//! ```
//!
//! There is no IO and no clock (whoever has a scenario in a file reads it), and the same seed gives bit-identical results
//! on every machine: random numbers and mathematical functions are the crate's own or `libm`'s, and nothing depends on the
//! order of a map or a thread. `docs/simulator.md` describes the model and its limits.

pub mod change;
pub mod conditions;
pub mod contender;
pub mod history;
pub mod job;
pub mod load;
mod model;
pub mod observation;
mod random;
mod run;
pub mod scenario;
mod score;
pub mod scoreboard;
mod tasks;
mod view;

pub use model::Model;
pub use random::Random;
pub use run::{Run, run};
pub use score::Score;
pub use view::{InputUnits, View};
