//! What a job's state weighs, from up to four sides at once, as cheaply as each can be asked:
//!
//! | source | asks | tells |
//! |---|---|---|
//! | `command` | `hdfs dfs -du -s PATH`, or any command that prints the same | size, size with replicas |
//! | `webhdfs` | the NameNode, by HTTP | size, size with replicas, files, folders |
//! | `flink` | the JobManager's checkpoint statistics | full and written size of the newest checkpoint |
//! | `local` | a folder | size, files, folders |
//!
//! The first, second and fourth count everything that lies in a folder, old and orphaned files included; `flink` says what a
//! restore will read. A look that fails gives no sample at all: an unknown size is never 0, and never the one before.
//!
//! Samples go to Graphite, to the page `/metrics`, to standard output as lines of JSON, and as the page `/samples` to the
//! rescaler. Nothing is stored here, and nothing is decided.

mod board;
pub mod cli;
pub mod config;
pub mod du;
mod graphite;
mod host;
mod http;
mod once;
mod page;
mod run;
mod sample;
pub mod series;
pub mod source;

pub use cli::Arguments;
pub use config::{Config, ConfigError};
pub use run::run;
pub use sample::{Figures, Kind, Sample};
