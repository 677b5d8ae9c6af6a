//! Validation of single values, collecting all problems.

use std::time::Duration;

use drop_client::AccessError;
use job_config::{DocumentError, JobName, PublicKey};
use service::Problems;

/// Checks values, and collects all problems.
pub(super) struct Checker {
    pub(super) problems: Problems,
}

/// Longest accepted timeout, one day: anything longer is a mistake of units.
const LONGEST_MS: u64 = 86_400_000;

impl Checker {
    pub(super) fn required<T>(&mut self, key: &str, what: &str, value: Option<T>) -> Option<T> {
        self.problems.require(key, what, value)
    }

    pub(super) fn name(&mut self, text: &str) -> Option<JobName> {
        text.parse().map_err(|error: DocumentError| self.problems.extend([error.to_string()])).ok()
    }

    pub(super) fn key(&mut self, text: &str) -> Option<PublicKey> {
        self.problems.accept("drop.public_keys", text.parse::<PublicKey>())
    }

    /// Returns the value, or records a problem and returns `otherwise`.
    pub(super) fn accept<T>(&mut self, key: &str, value: Result<T, AccessError>, otherwise: T) -> T {
        self.problems.accept(key, value).unwrap_or(otherwise)
    }

    /// Validates that secrets and certificates can be read.
    pub(super) fn access(&mut self, key: &str, access: &http_client::Access) {
        self.problems.accept_section(key, access.load());
    }

    pub(super) fn number(&mut self, key: &str, value: Option<u64>, default: usize, most: u64) -> usize {
        let Some(value) = value else { return default };
        usize::try_from(self.problems.range(key, value, 1..=most)).unwrap_or(default)
    }

    pub(super) fn ms(&mut self, key: &str, value: Option<u64>, default: u64) -> Duration {
        Duration::from_millis(self.problems.range(key, value.unwrap_or(default), 1..=LONGEST_MS))
    }
}
