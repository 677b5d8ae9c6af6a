//! Validation of single values, collecting all problems.

use std::time::Duration;

use drop_client::AccessError;
use job_config::{JobName, KeyError, PublicKey};
use secrets::{Address, AddressError};

use crate::condition::chain;

/// Collects all problems, so that one error message lists them.
#[derive(Default)]
pub(super) struct Checker {
    pub(super) problems: Vec<String>,
}

/// Longest accepted timeout, one day: anything longer is a mistake of units.
const LONGEST_MS: u64 = 86_400_000;

impl Checker {
    pub(super) fn problem(&mut self, problem: impl Into<String>) {
        self.problems.push(problem.into());
    }

    pub(super) fn required<T>(&mut self, key: &str, what: &str, value: Option<T>) -> Option<T> {
        if value.is_none() {
            self.problems.push(format!("{key} is missing; set it to {what}"));
        }
        value
    }

    pub(super) fn name(&mut self, text: &str) -> Option<JobName> {
        text.parse().map_err(|e: job_config::DocumentError| self.problems.push(e.to_string())).ok()
    }

    pub(super) fn key(&mut self, text: &str) -> Option<PublicKey> {
        text.parse().map_err(|e: KeyError| self.problems.push(format!("drop.public_keys: {e}"))).ok()
    }

    /// Returns the value, or records a problem and returns `otherwise`.
    pub(super) fn accept<T>(&mut self, key: &str, value: Result<T, AccessError>, otherwise: T) -> T {
        value.unwrap_or_else(|e| {
            self.problems.push(format!("{key}: {}", chain(&e)));
            otherwise
        })
    }

    /// Validates the URL of one server.
    pub(super) fn url(&mut self, key: &str, value: Option<&Address>) {
        self.address(key, value, |url| url.http().map(drop));
    }

    /// Validates the URLs of one cluster's servers.
    pub(super) fn servers(&mut self, key: &str, value: Option<&Address>) {
        self.address(key, value, |url| url.http_list().map(drop));
    }

    fn address(
        &mut self,
        key: &str,
        value: Option<&Address>,
        check: impl FnOnce(&Address) -> Result<(), AddressError>,
    ) {
        if let Some(url) = value
            && let Err(reason) = check(url)
        {
            self.problems.push(format!("{key}: {url:?} is not an address; {reason}"));
        }
    }

    /// Validates that secrets and certificates can be read.
    pub(super) fn access(&mut self, key: &str, access: &http_client::Access) {
        if let Err(problem) = access.load() {
            self.problems.push(format!("{key}.{}", chain(&problem)));
        }
    }

    pub(super) fn number(&mut self, key: &str, value: Option<u64>, default: usize, most: u64) -> usize {
        match value {
            Some(value) if value == 0 || value > most => {
                self.problems.push(format!("{key}: {value} is outside 1..={most}"));
                default
            }
            Some(value) => usize::try_from(value).unwrap_or(default),
            None => default,
        }
    }

    pub(super) fn ms(&mut self, key: &str, value: Option<u64>, default: u64) -> Duration {
        let value = value.unwrap_or(default);
        if value == 0 || value > LONGEST_MS {
            self.problems.push(format!("{key}: {value} is outside 1..={LONGEST_MS}"));
        }
        Duration::from_millis(value)
    }
}
