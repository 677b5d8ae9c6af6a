//! The whole loop's place: Kafka and Flink from the testbed, and our own programs as child processes with configurations that
//! name its addresses.
//!
//! Three users set the same [`Stage`]: the command `demo`, the end-to-end tests, and the command `experiment`. Nothing here
//! decides anything, knows a policy or measures.

mod cast;
mod stage;

pub use cast::Cast;
pub use stage::{Beside, Stage, StageError, StageOptions, free_port};
