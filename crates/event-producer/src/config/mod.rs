//! The configuration: as it is written, and checked.

mod checked;
mod kafka;
mod values;
mod written;

pub use checked::Config;
pub(crate) use values::{Shard, StartTime};
pub(crate) use written::Benchmark;
pub use written::{BatchesSection, ConfigFile, KafkaSection, Transport};
