//! The whole control loop with real components: Kafka and Flink from the testbed, and the project's programs as child
//! processes.
//!
//! It is used by the command `demo`, which shows load, lag, decision, rescale and recovery, and by the end-to-end
//! tests in `tests/`. Both use [`test_cluster::TestCluster`]. Nothing here makes scaling decisions or depends on a policy.

mod cli;
mod scenario;
mod screen;
mod watch;

pub use cli::{Arguments, main_with};
pub use watch::{Watch, WatchSample};
