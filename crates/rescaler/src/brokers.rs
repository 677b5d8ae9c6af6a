//! `[kafka]`: the brokers that the job reads from, where the feature `kafka` is built in.
//!
//! The feature brings librdkafka and OpenSSL, which take longer to build than all the rest. Without it a configuration that names brokers
//! is refused.

#[cfg(not(feature = "kafka"))]
mod absent;
#[cfg(feature = "kafka")]
mod asked;

#[cfg(not(feature = "kafka"))]
pub(crate) use absent::{BrokerReader, Brokers};
#[cfg(feature = "kafka")]
pub(crate) use asked::{BrokerReader, Brokers};
