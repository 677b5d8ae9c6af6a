//! The configuration: as it is written, and checked.

mod checked;
mod file;
mod kafka;
mod values;

pub use checked::Config;
pub(crate) use file::Benchmark;
pub use file::{BatchesSection, ConfigFile, KafkaSection, Transport};
pub(crate) use values::{Shard, StartTime};
