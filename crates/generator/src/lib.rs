//! Generates the benchmarks' events and their due times: the part of the event producer without IO.
//!
//! An event is a function of the seed, its number and the event time that a load profile gives to numbers. There is
//! no state between events and no clock, so the stream is the same for any number of threads, from any starting
//! point, in the producer, in the reference queries and in tests that check Kafka's content.
//!
//! * [`nexmark`]: persons, items, auctions and bids of an auction site.
//! * [`psm`]: clicks, impressions and searches of a price-comparison site.
//! * [`profile`]: which event is due when.
//! * [`Workload`]: both together with a start time, as the producer runs them.
//!
//! Kafka, files, waiting and reporting are effects, and part of `event-producer`.

pub mod nexmark;
pub mod profile;
pub mod psm;
mod random;
mod text;
mod workload;

pub use random::EventRandom;
pub use text::Scratch;
pub use workload::{EventSource, Generator, Recording, Workload};

/// An invalid setting, by its configuration key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}{}: {problem}", value.as_ref().map_or_else(String::new, |value| format!(" = {value}")))]
pub struct ConfigError {
    /// Dotted path of the key.
    pub key: String,
    /// The value, unless the problem is not one of the value alone.
    pub value: Option<String>,
    /// The problem and the valid values.
    pub problem: String,
}

impl ConfigError {
    pub(crate) fn new(key: &str, problem: impl Into<String>) -> Self {
        ConfigError { key: key.to_owned(), value: None, problem: problem.into() }
    }

    pub(crate) fn of_value(key: &str, value: impl ToString, remedy: impl Into<String>) -> Self {
        ConfigError { key: key.to_owned(), value: Some(value.to_string()), problem: remedy.into() }
    }

    pub(crate) fn out_of_range<T: std::fmt::Display>(key: &str, value: T, from: T, to: T) -> Self {
        Self::of_value(key, value, format!("give a number from {from} to {to}"))
    }
}

/// Collects every invalid setting of a section, so that all are reported at once.
#[derive(Debug, Default)]
pub(crate) struct Problems(Vec<ConfigError>);

impl Problems {
    /// Returns the value, or [`None`] after recording a problem.
    pub(crate) fn note<T>(&mut self, checked: Result<T, ConfigError>) -> Option<T> {
        checked.map_err(|problem| self.0.push(problem)).ok()
    }

    /// Returns the settings, or the problems if there are any.
    pub(crate) fn unless_any<T>(self, settings: Option<T>) -> Result<T, Vec<ConfigError>> {
        match settings {
            Some(settings) if self.0.is_empty() => Ok(settings),
            _ => Err(self.0),
        }
    }
}

/// Returns the first of several problems.
pub(crate) fn first(problems: Vec<ConfigError>) -> ConfigError {
    let unknown = || ConfigError::new("configuration", "it cannot be used");
    problems.into_iter().next().unwrap_or_else(unknown)
}
