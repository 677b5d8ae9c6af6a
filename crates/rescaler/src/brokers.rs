//! `[kafka]`: the brokers that the job reads from, with the feature `kafka`.
//!
//! The feature builds librdkafka and OpenSSL, which take longer than everything else. Without it, a configuration with brokers is
//! refused.

#[cfg(not(feature = "kafka"))]
mod absent;
#[cfg(feature = "kafka")]
mod asked;

#[cfg(not(feature = "kafka"))]
pub(crate) use absent::{BrokerReader, Brokers};
#[cfg(feature = "kafka")]
pub(crate) use asked::{BrokerReader, Brokers};
