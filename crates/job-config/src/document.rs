//! Parsing and validation of a job document.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The version of the document format that this crate reads and writes.
pub const FORMAT: u32 = 1;

/// Media type of a document in HTTP.
pub const MEDIA_TYPE: &str = "application/toml";

/// Flink's own upper bound of key groups (`KeyGroupRangeAssignment.UPPER_BOUND_MAX_PARALLELISM`).
const MAX_PARALLELISM_LIMIT: u32 = 32_768;

/// Larger than any cluster: a larger number is a typing error.
const TASK_MANAGERS_LIMIT: u32 = 10_000;

/// Why a text is not a valid job document.
#[derive(Debug, Error)]
pub enum DocumentError {
    /// Invalid TOML, an unknown key, or a value of the wrong type.
    #[error("not a job document")]
    Syntax(#[source] Box<toml::de::Error>),
    /// The format version is not supported.
    #[error("format: unsupported version {found}; this program reads version {FORMAT}")]
    Format {
        /// The version in the document.
        found: u32,
    },
    /// A value is out of range.
    #[error("{key}: {problem}")]
    Value {
        /// The dotted key.
        key: String,
        /// The problem and the valid values.
        problem: String,
    },
}

impl DocumentError {
    pub(crate) fn value(key: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Value { key: key.into(), problem: problem.into() }
    }
}

/// The name of a job: its name in Flink, at the drop and in journals.
///
/// Lower-case letters, digits, `.`, `_` and `-`, at most 63 characters, beginning with a letter or digit, so that it
/// is valid in a URL path and as a file name without quoting.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct JobName(String);

impl JobName {
    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for JobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for JobName {
    type Err = DocumentError;

    fn from_str(text: &str) -> Result<Self, DocumentError> {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
        let starts_well = text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
        if starts_well && text.len() <= 63 && text.chars().all(allowed) {
            return Ok(Self(text.to_owned()));
        }
        Err(DocumentError::value(
            "job",
            format!(
                "{text:?} is not a job name; use lower-case letters, digits, '.', '_' and '-', at most 63 characters, \
                 beginning with a letter or digit"
            ),
        ))
    }
}

impl TryFrom<String> for JobName {
    type Error = DocumentError;

    fn try_from(text: String) -> Result<Self, DocumentError> {
        text.parse()
    }
}

impl From<JobName> for String {
    fn from(name: JobName) -> Self {
        name.0
    }
}

/// How a change of parallelism is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestartMode {
    /// Stop with a savepoint, then resubmit from it: works with every scheduler.
    SavepointRestart,
    /// Rescale the running job: a fraction of the outage, but only with the adaptive scheduler, and only if nothing
    /// but the operators' parallelism changes. Otherwise the job is restarted.
    InPlace,
}

/// The parallelism of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parallelism {
    /// Parallelism of every operator without its own entry.
    pub default: u32,
    /// The number of key groups, and so the largest parallelism of any operator.
    pub max: u32,
    /// Parallelism by operator uid.
    #[serde(default)]
    pub operators: BTreeMap<String, u32>,
}

impl Parallelism {
    /// Returns the parallelism of the operator with this uid.
    pub fn of(&self, uid: &str) -> u32 {
        self.operators.get(uid).copied().unwrap_or(self.default)
    }

    fn check(&self) -> Result<(), DocumentError> {
        if self.max == 0 || self.max > MAX_PARALLELISM_LIMIT {
            return Err(DocumentError::value(
                "parallelism.max",
                format!("{} is outside 1..={MAX_PARALLELISM_LIMIT}", self.max),
            ));
        }
        let named = self.operators.iter().map(|(uid, p)| (format!("parallelism.operators.{uid}"), *p));
        for (key, p) in named.chain([("parallelism.default".to_owned(), self.default)]) {
            if p == 0 {
                return Err(DocumentError::value(
                    key,
                    "0 is not a parallelism; use at least 1, or remove the key",
                ));
            }
            if p > self.max {
                return Err(DocumentError::value(
                    key,
                    format!(
                        "{p} is above parallelism.max = {}; lower it, or raise the maximum (a savepoint cannot be restored under another maximum)",
                        self.max
                    ),
                ));
            }
        }
        Ok(())
    }
}

/// The document as written. Sections for the job are kept, not parsed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    format: u32,
    job: JobName,
    generation: u64,
    issued_at: Timestamp,
    expires_at: Option<Timestamp>,
    #[serde(default)]
    reason: String,
    restart_mode: RestartMode,
    task_managers: Option<u32>,
    parallelism: Parallelism,
    #[serde(rename = "benchmark")]
    _benchmark: Option<String>,
    #[serde(rename = "queries")]
    _queries: Option<toml::Table>,
    #[serde(rename = "work")]
    _work: Option<toml::Table>,
    #[serde(rename = "source")]
    _source: Option<toml::Table>,
    #[serde(rename = "metrics")]
    _metrics: Option<toml::Table>,
    #[serde(rename = "checkpoint")]
    _checkpoint: Option<toml::Table>,
    #[serde(rename = "kafka")]
    _kafka: Option<toml::Table>,
    #[serde(rename = "sink")]
    _sink: Option<toml::Table>,
}

/// A validated job document with its exact text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobDocument {
    text: String,
    job: JobName,
    generation: u64,
    issued_at: Timestamp,
    expires_at: Option<Timestamp>,
    reason: String,
    restart_mode: RestartMode,
    task_managers: Option<u32>,
    parallelism: Parallelism,
}

impl JobDocument {
    /// Parses a document.
    ///
    /// # Errors
    /// Unknown keys, wrong types, an unknown format version, a generation of 0, an expiry that is not after the
    /// issue, no or too many task managers, a parallelism of 0 or above the maximum.
    pub fn parse(text: &str) -> Result<Self, DocumentError> {
        let raw: Raw = toml::from_str(text).map_err(|e| DocumentError::Syntax(Box::new(e)))?;
        if raw.format != FORMAT {
            return Err(DocumentError::Format { found: raw.format });
        }
        if raw.generation == 0 || raw.generation > i64::MAX as u64 {
            return Err(DocumentError::value("generation", "the first generation is 1"));
        }
        if raw.expires_at.is_some_and(|expires_at| expires_at <= raw.issued_at) {
            return Err(DocumentError::value("expires_at", "must be later than issued_at"));
        }
        if raw.task_managers.is_some_and(|wanted| !(1..=TASK_MANAGERS_LIMIT).contains(&wanted)) {
            return Err(DocumentError::value(
                "task_managers",
                format!("give a number from 1 to {TASK_MANAGERS_LIMIT}, or leave it out"),
            ));
        }
        raw.parallelism.check()?;
        Ok(Self {
            text: text.to_owned(),
            job: raw.job,
            generation: raw.generation,
            issued_at: raw.issued_at,
            expires_at: raw.expires_at,
            reason: raw.reason,
            restart_mode: raw.restart_mode,
            task_managers: raw.task_managers,
            parallelism: raw.parallelism,
        })
    }

    /// Returns the exact text, byte for byte as parsed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the document's job.
    pub fn job(&self) -> &JobName {
        &self.job
    }

    /// Returns the generation: 1 for the first document of a job, plus one for each successor.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Returns the time of issue, by its writer's clock.
    pub fn issued_at(&self) -> Timestamp {
        self.issued_at
    }

    /// Returns the time after which no agent may start to apply the document.
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.expires_at
    }

    /// Whether the document has expired at this moment.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|expires_at| expires_at <= now)
    }

    /// Returns the reason of this generation, in the writer's words.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Returns how the change is to be applied.
    pub fn restart_mode(&self) -> RestartMode {
        self.restart_mode
    }

    /// Returns the wanted number of task managers; [`None`]: unchanged.
    pub fn task_managers(&self) -> Option<u32> {
        self.task_managers
    }

    /// Whether this document differs from `before` only in the parallelism of operators with their own entry. The
    /// number of task managers does not matter to the job.
    pub fn differs_only_in_parallelism(&self, before: &Self) -> bool {
        let named = |uid: &String| self.parallelism.operators.contains_key(uid);
        let rest = |document: &Self| {
            let mut table: toml::Table = toml::from_str(&document.text).ok()?;
            for key in ["generation", "issued_at", "expires_at", "reason", "restart_mode", "task_managers"] {
                table.remove(key);
            }
            table.get_mut("parallelism").and_then(toml::Value::as_table_mut)?.remove("operators");
            Some(table)
        };
        before.parallelism.operators.keys().all(named) && rest(self).is_some() && rest(self) == rest(before)
    }

    /// Returns the parallelism of the job's operators.
    pub fn parallelism(&self) -> &Parallelism {
        &self.parallelism
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../../../configs/jobs/nexmark.toml");

    /// Goal: the commented example is valid and has the values it describes.
    #[test]
    fn the_example_is_valid() {
        let document = JobDocument::parse(EXAMPLE).unwrap();
        assert_eq!(document.job().as_str(), "nexmark");
        assert_eq!(document.generation(), 1);
        assert_eq!(document.parallelism().of("q7-bid-item"), 1);
        assert_eq!(document.parallelism().max, 128);
        assert_eq!(document.text(), EXAMPLE);
    }

    /// Goal: only a new parallelism of the same operators can be applied to a running job.
    #[test]
    fn other_changes_are_told_from_parallelism() {
        let before = JobDocument::parse(EXAMPLE).unwrap();
        let differs_only = |replacements: &[(&str, &str)]| {
            let text = replacements.iter().fold(EXAMPLE.to_owned(), |text, (from, to)| {
                assert!(text.contains(from), "{from:?}");
                text.replacen(from, to, 1)
            });
            JobDocument::parse(&text).unwrap().differs_only_in_parallelism(&before)
        };
        let next = ("generation = 1", "generation = 2");
        assert!(differs_only(&[
            next,
            ("q7-bid-item = 1\n", "q7-bid-item = 3\n"),
            ("by hand", "by a scaler")
        ]));
        assert!(differs_only(&[next, ("q7-bid-item = 1\n", "q7-bid-item = 1\nq7-item = 2\n")]));
        assert!(differs_only(&[next, ("\"savepoint-restart\"", "\"in-place\"")]));
        assert!(differs_only(&[next, ("# task_managers = 1", "task_managers = 4")]));
        for other in [
            ("default = 1", "default = 2"),
            ("max = 128", "max = 64"),
            ("q7-bid-item = 1\n", ""),
            ("window_size_ms = 10000", "window_size_ms = 20000"),
        ] {
            assert!(!differs_only(&[next, other]), "{other:?}");
        }
    }

    /// Goal: every mistake is rejected with a message that names the key.
    #[test]
    fn mistakes_are_named() {
        let cases = [
            ("format = 1", "format = 2", "format: unsupported version 2"),
            ("job = \"nexmark\"", "job = \"Nex/mark\"", "job"),
            ("generation = 1", "generation = 0", "generation"),
            ("generation = 1", "generation = -1", "generation"),
            ("q7-bid-item = 1\n", "q7-bid-item = 129\n", "parallelism.operators.q7-bid-item: 129 is above"),
            ("q7-bid-item = 1\n", "q7-bid-item = 0\n", "parallelism.operators.q7-bid-item: 0 is no"),
            ("default = 1", "default = 300", "parallelism.default"),
            ("max = 128", "max = 40000", "parallelism.max"),
            ("generation = 1", "generation = 1\nexpires_at = \"2025-01-01T00:00:00Z\"", "expires_at"),
            ("generation = 1", "generation = 1\nspeed = 3", "speed"),
            ("restart_mode = \"savepoint-restart\"", "restart_mode = \"hope\"", "restart_mode"),
            ("# task_managers = 1", "task_managers = 0", "task_managers: give a number from 1 to"),
        ];
        for (right, wrong, expected) in cases {
            assert!(EXAMPLE.contains(right), "the example no longer contains {right:?}");
            let error = JobDocument::parse(&EXAMPLE.replacen(right, wrong, 1)).unwrap_err();
            let message = match std::error::Error::source(&error) {
                Some(source) => format!("{error}: {source}"),
                None => error.to_string(),
            };
            assert!(message.contains(expected), "{wrong:?} gave {message:?}");
        }
    }
}
