//! The whole loop with every part real: Kafka and Flink from the testbed, and our own programs as child processes.
//!
//! Two users: the command `demo`, which shows a newcomer load, lag, decision, rescale and recovery, and the end-to-end
//! tests in `tests/`, which count. Both use the same [`stage::TestCluster`]. Nothing here decides anything or knows a policy.

mod cli;
mod screen;
mod story;
mod watch;

pub use cli::{Arguments, main_with};
pub use watch::{Moment, Watch};
