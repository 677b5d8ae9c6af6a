//! The configuration: as it is written, and checked.

mod checked;
mod kafka;
mod properties;
mod values;
mod written;

pub use checked::Config;
pub use properties::Property;
pub(crate) use properties::refusal;
pub(crate) use values::{Shard, StartTime};
pub(crate) use written::Benchmark;
pub use written::{BatchesSection, ConfigFile, KafkaSection, Transport};
