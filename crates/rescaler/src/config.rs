//! The configuration: as written in TOML, then checked as a whole.

use std::path::{Path, PathBuf};
use std::time::Duration;

use job_config::JobName;
use scaling::cluster::Size;
use scaling::limits::Limits;
use secrets::{Address, AddressError};
use serde::{Deserialize, Serialize};
use telemetry::{Kinds, MappingSettings};
use thiserror::Error;

use crate::http::Http;
use crate::placement::{Mode, Placement};
use crate::policies::{Name, Policies};
use crate::source::SourceSection;
use crate::state::StateProbe;

/// Why a configuration cannot be used.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: cannot be read; name another file with --config", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        #[source]
        source: std::io::Error,
    },
    /// Not TOML, an unknown key, or a value of the wrong type.
    #[error("{}: not a configuration of the rescaler", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where and what.
        #[source]
        source: secrets::SyntaxError,
    },
    /// The job that is meant cannot be told.
    #[error("{problem}")]
    Job {
        /// What is not clear, and what makes it clear.
        problem: String,
    },
    /// Values out of their range, all of them at once.
    #[error("{}: {}", path.display(), problems.join("; "))]
    Values {
        /// The file.
        path: PathBuf,
        /// `key: what would be right`, one per bad value.
        problems: Vec<String>,
    },
}

/// The configuration. Fields are as in `configs/rescaler.toml`, which is their documentation.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The job's name in Flink and at the drop.
    pub job: JobName,
    /// Where Flink is.
    #[serde(default)]
    pub flink: Flink,
    /// Where metrics come from.
    #[serde(default)]
    pub source: SourceSection,
    /// What the series of a metric store are called.
    #[serde(default)]
    pub metrics: MappingSettings,
    /// Where documents are published.
    #[serde(default)]
    pub drop: Drop,
    /// Where drop and agent are.
    #[serde(default)]
    pub placement: Placement,
    /// How often is decided, on what.
    #[serde(default)]
    pub epoch: Epoch,
    /// Who decides.
    #[serde(default)]
    pub policy: Policies,
    /// What bounds every plan.
    #[serde(default)]
    pub limits: Limits,
    /// How many task managers there may be.
    #[serde(default)]
    pub cluster: Size,
    /// Where decisions are recorded.
    #[serde(default)]
    pub journal: JournalFile,
    /// What the job's state weighs.
    #[serde(default)]
    pub state: StateProbe,
    /// Kinds of operators that cannot be told otherwise.
    #[serde(default)]
    pub operators: Kinds,
    /// The page and the metrics; of the whole program, also where there are several jobs.
    #[serde(default)]
    pub http: Http,
}

/// `[flink]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Flink {
    /// The REST endpoint.
    pub url: Address,
    /// The job's name in Flink; empty: as at the drop.
    pub job: String,
    /// Of one call, in milliseconds.
    pub timeout_ms: u64,
    /// Of one answer, in bytes.
    pub max_body_bytes: usize,
    /// How to log in, and whom to trust.
    pub access: http_client::Access,
}

impl Default for Flink {
    fn default() -> Self {
        Self {
            url: "http://127.0.0.1:8081".into(),
            job: String::new(),
            timeout_ms: 10_000,
            max_body_bytes: 16 << 20,
            access: http_client::Access::default(),
        }
    }
}

/// `[drop]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Drop {
    /// The drop's address.
    pub url: Address,
    /// A folder to publish into instead; a plain web server may show it to the agent.
    pub folder: Option<PathBuf>,
    /// The drop that takes the reports about documents in a folder; none: there are no reports.
    pub reports_url: Option<Address>,
    /// The token to show the drop, in a file that only its owner may read.
    pub token_file: Option<PathBuf>,
    /// Certificates (PEM) to trust instead of the system's.
    pub authorities_file: Option<PathBuf>,
    /// The private key that signs documents; none: they are not signed.
    pub signing_key_file: Option<PathBuf>,
    /// Of one call, in milliseconds.
    pub timeout_ms: u64,
    /// How long a published document may wait for its agent, in seconds.
    pub document_ttl_s: u64,
    /// What else the drop is shown, and whom to trust.
    pub access: http_client::Access,
    /// How long a change may take until a person is told and what Flink shows takes the place of its reports, in seconds.
    pub applied_within_s: u64,
}

impl Default for Drop {
    fn default() -> Self {
        Self {
            url: "http://127.0.0.1:8460".into(),
            folder: None,
            reports_url: None,
            token_file: None,
            authorities_file: None,
            signing_key_file: None,
            timeout_ms: 10_000,
            document_ttl_s: 600,
            access: http_client::Access::default(),
            applied_within_s: 1_800,
        }
    }
}

/// `[epoch]`
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Epoch {
    /// The length of an epoch, which ends with one decision, in milliseconds. Absent: as the policy prefers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub length_ms: Option<u64>,
    /// How often metrics are read, in milliseconds.
    pub sample_interval_ms: u64,
    /// Readings of tasks younger than this are not used, in milliseconds.
    pub warm_up_ms: u64,
}

impl Default for Epoch {
    fn default() -> Self {
        Self { length_ms: None, sample_interval_ms: 2_000, warm_up_ms: 10_000 }
    }
}

/// `[journal]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JournalFile {
    /// The file.
    pub path: PathBuf,
    /// The size at which the file is compressed and put aside, in bytes.
    pub max_bytes: u64,
    /// How many files put aside are kept.
    pub keep_files: u32,
}

impl Default for JournalFile {
    fn default() -> Self {
        Self { path: PathBuf::from("run/rescaler/decisions.jsonl"), max_bytes: 64 << 20, keep_files: 8 }
    }
}

impl Config {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = files::read_configuration(path)
            .map_err(|source| ConfigError::File { path: path.to_owned(), source })?;
        Self::parse(&text, path)
    }

    /// Reads and checks a text; `path` is for the message.
    pub(crate) fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let config: Self = secrets::from_toml(text)
            .map_err(|source| ConfigError::Syntax { path: path.to_owned(), source })?;
        config.check(path)
    }

    /// The configuration, if all its values are in their ranges; `path` is for the message.
    pub(crate) fn check(self, path: &Path) -> Result<Self, ConfigError> {
        let problems = self.problems();
        if problems.is_empty() {
            Ok(self)
        } else {
            Err(ConfigError::Values { path: path.to_owned(), problems })
        }
    }

    /// Returns the configuration for a cluster of which only the address is known, and the latency bound if there is one. The job is
    /// set later; it may be any job, so the policy is one that needs no metrics of ours.
    pub(crate) fn embedded(flink_url: &Address, latency_bound_ms: Option<f64>) -> Self {
        let Ok(mut config) = toml::from_str::<Self>("job = \"job\"") else {
            unreachable!("all but the job has a default")
        };
        config.flink.url = flink_url.clone();
        config.policy.name = if latency_bound_ms.is_some() { Name::Slo } else { Name::Ds2 };
        config.policy.slo.latency_bound_ms = latency_bound_ms;
        config
    }

    pub(crate) fn problems(&self) -> Vec<String> {
        let checks = [
            (self.flink.timeout_ms > 0, "flink.timeout_ms: must be above 0"),
            (self.flink.max_body_bytes > 0, "flink.max_body_bytes: must be above 0"),
            (
                self.drop.reports_url.is_none() || self.drop.folder.is_some(),
                "drop.reports_url: only with drop.folder; the drop at drop.url takes reports itself",
            ),
            (
                self.placement.mode != Mode::InProcess || self.placement.data.is_some(),
                "placement.data: name a folder for what drop and agent of this process keep",
            ),
            (
                self.placement.listen.is_none_or(|listen| listen.ip().is_loopback()),
                "placement.listen: only this machine may reach the drop of this process; for others run a config-drop with tokens",
            ),
            (self.drop.timeout_ms > 0, "drop.timeout_ms: must be above 0"),
            (self.drop.document_ttl_s > 0, "drop.document_ttl_s: must be above 0"),
            (self.drop.applied_within_s > 0, "drop.applied_within_s: must be above 0"),
            (self.epoch.sample_interval_ms >= 100, "epoch.sample_interval_ms: must be at least 100"),
            (
                self.epoch_ms() >= self.epoch.sample_interval_ms.saturating_mul(2),
                "epoch.length_ms: must be at least twice epoch.sample_interval_ms, so that rates can be told",
            ),
            (
                self.epoch_ms() / self.epoch.sample_interval_ms.max(1) <= 10_000,
                "epoch.sample_interval_ms: at most 10000 samples are kept in an epoch; raise it",
            ),
            (self.journal.max_bytes >= 1 << 20, "journal.max_bytes: must be at least 1048576"),
            (self.journal.keep_files <= crate::journal::KEEP_MAX, "journal.keep_files: must be at most 1000"),
        ];
        let mut problems: Vec<String> =
            checks.iter().filter(|(right, _)| !right).map(|(_, problem)| (*problem).to_owned()).collect();
        problems.extend(self.bad_addresses());
        problems.extend(self.bad_access());
        problems.extend(self.state.problems());
        problems.extend(self.http.problems());
        problems.extend(self.policy.problems());
        problems.extend(self.limits.problems().iter().map(|problem| format!("limits.{problem}")));
        let cluster = self.cluster.problems();
        problems.extend(cluster.iter().map(|(option, remedy)| format!("cluster.{option}: {remedy}")));
        problems.extend(self.source.problems(&self.metrics));
        problems
    }

    fn bad_addresses(&self) -> Vec<String> {
        let reports_url = self.drop.reports_url.as_ref();
        let checked = [
            ("flink.url", Some(self.flink.url.http_list().map(drop))),
            ("drop.url", Some(self.drop.url.http().map(drop))),
            ("drop.reports_url", reports_url.map(|url| url.http().map(drop))),
        ];
        let bad = |(key, checked): (&str, Option<Result<(), AddressError>>)| {
            checked?.err().map(|reason| format!("{key}: {reason}"))
        };
        checked.into_iter().filter_map(bad).collect()
    }

    /// Secrets and certificates that cannot be read.
    fn bad_access(&self) -> Vec<String> {
        let all = [
            ("flink.access", &self.flink.access),
            ("source.access", &self.source.access),
            ("drop.access", &self.drop.access),
            ("state.access", &self.state.access),
        ];
        let bad = all.into_iter().filter_map(|(key, access)| Some((key, access.load().err()?)));
        bad.map(|(key, problem)| format!("{key}.{:#}", anyhow::Error::from(problem))).collect()
    }

    /// What the journal is bounded by.
    pub(crate) fn journal_bounds(&self) -> journal::Bounds {
        journal::Bounds { max_bytes: self.journal.max_bytes, keep: self.journal.keep_files }
    }

    /// The job's name in Flink, which may be any text.
    pub(crate) fn flink_job(&self) -> &str {
        if self.flink.job.is_empty() { self.job.as_str() } else { &self.flink.job }
    }

    /// The latency that the policy keeps, if it keeps one, in milliseconds.
    pub(crate) fn latency_max_ms(&self) -> Option<f64> {
        match self.policy.name {
            Name::Latency => Some(self.policy.latency.latency_max_ms),
            Name::Slo => self.policy.slo.latency_bound_ms,
            Name::Ds2 | Name::External => None,
        }
    }

    fn epoch_ms(&self) -> u64 {
        self.epoch.length_ms.unwrap_or_else(|| self.policy.epoch_ms())
    }

    pub(crate) fn epoch_length(&self) -> Duration {
        Duration::from_millis(self.epoch_ms())
    }

    pub(crate) fn sample_interval(&self) -> Duration {
        Duration::from_millis(self.epoch.sample_interval_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../../../configs/rescaler.toml");

    fn load(text: &str) -> Result<Config, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rescaler.toml");
        std::fs::write(&path, text).unwrap();
        Config::load(&path)
    }

    /// Goal: the commented example holds exactly the defaults.
    #[test]
    fn the_example_states_the_defaults() {
        let example = serde_json::to_value(load(EXAMPLE).unwrap()).unwrap();
        let defaults = serde_json::to_value(load("job = \"nexmark\"").unwrap()).unwrap();
        assert_eq!(example, defaults);
    }

    /// Goal: every bad value is named with its key and what would be right, all at once.
    #[test]
    fn bad_values_are_named_together() {
        let bad = EXAMPLE
            .replace("# length_ms = 120000", "length_ms = 100")
            .replace("heap_fraction = 0.766", "heap_fraction = 1.5")
            .replace("utilization_target = 0.7", "utilization_target = 7.0")
            .replace("headroom_quantile = 0.95", "headroom_quantile = 95.0")
            .replace("time_zone = \"UTC\"", "time_zone = \"Mars\"")
            .replace("# quota_slots = 16", "quota_slots = 0")
            .replace("url = \"http://127.0.0.1:8081\"", "url = \"localhost\"");
        let message = load(&bad).unwrap_err().to_string();
        for key in [
            "epoch.length_ms",
            "policy.latency.heap_fraction",
            "policy.ds2.utilization_target",
            "policy.slo.headroom_quantile",
            "policy.time_zone",
            "limits.quota_slots",
            "flink.url",
            "rescaler.toml",
        ] {
            assert!(message.contains(key), "{message}");
        }
    }

    /// Goal: policy `slo` asks for its bound, and decides every 5 s unless the configuration says otherwise.
    #[test]
    fn slo_needs_a_bound_and_prefers_short_epochs() {
        let parse = |text: &str| Config::parse(text, Path::new("rescaler.toml"));
        let error = parse("job = \"a\"\npolicy.name = \"slo\"").unwrap_err().to_string();
        assert!(error.contains("policy.slo.latency_bound_ms"), "{error}");
        let bound = "job = \"a\"\npolicy.name = \"slo\"\npolicy.slo.latency_bound_ms = 2000.0\n";
        let config = parse(bound).unwrap();
        assert_eq!((config.epoch_length().as_secs(), config.latency_max_ms()), (5, Some(2000.0)));
        assert_eq!(parse(&format!("{bound}epoch.length_ms = 30000")).unwrap().epoch_length().as_secs(), 30);
        assert_eq!(Config::embedded(&"http://flink".into(), None).epoch_length().as_secs(), 120);
        assert!(Config::embedded(&"http://flink".into(), Some(2000.0)).problems().is_empty());
    }

    /// Goal: a misspelt key is refused and named.
    #[test]
    fn unknown_keys_are_refused() {
        let error = load(&EXAMPLE.replace("violations_needed", "violation_needed")).unwrap_err();
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.contains("violation_needed"), "{source}");
    }
}
