//! Measures the size of a Flink job's state from up to four sources, each as cheaply as possible:
//!
//! | source | asks | measures |
//! |---|---|---|
//! | `command` | `hdfs dfs -du -s PATH`, or any command that prints the same | size, size with replicas |
//! | `webhdfs` | the NameNode, by HTTP | size, size with replicas, files, folders |
//! | `flink` | the JobManager's checkpoint statistics | full and written size of the newest checkpoint |
//! | `local` | a folder | size, files, folders |
//!
//! The first, second and fourth count all files in a folder, including old and orphaned ones; `flink` reports what a
//! restore will read. A failed measurement gives no sample: an unknown size is never 0, and never the previous one.
//!
//! Samples go to Graphite, to the page `/metrics`, to standard output as lines of JSON, and as the page `/samples` to
//! the rescaler. The probe stores nothing and makes no decisions.

pub mod cli;
pub mod config;
pub mod du;
mod graphite;
mod host;
mod http;
mod once;
mod page;
mod probe_state;
mod run;
mod sample;
pub mod series;
pub mod source;

pub use cli::Arguments;
pub use config::Config;
pub use run::run;
pub use sample::{Kind, Sample, SampleValues};
