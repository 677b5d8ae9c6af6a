//! The configuration of one job: parsed from TOML, then checked as a whole.

use std::path::{Path, PathBuf};
use std::time::Duration;

use job_config::JobName;
use policies::{Epoch, Policies, PolicyName};
use scaling::cluster::Size;
use scaling::limits::Limits;
use secrets::{Address, AddressError, SyntaxError};
use serde::{Deserialize, Serialize};
use service::settings::{self, ConfigError, Problems};
use service::with_causes;
use telemetry::{Kinds, MappingSettings};
use toml::{Table, Value};

use crate::brokers::Brokers;
use crate::drift::Drift;
use crate::http::Http;
use crate::notify::Notify;
use crate::overrides::merge;
use crate::placement::{Mode, Placement};
use crate::quota::Quota;
use crate::source::SourceSection;
use crate::state_size::StateProbe;

/// The configuration. Fields are as in `configs/rescaler.toml`, which is their documentation.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The job's name in Flink and at the drop.
    pub job: JobName,
    /// Flink's REST interface.
    #[serde(default)]
    pub flink: Flink,
    /// Metric source.
    #[serde(default)]
    pub source: SourceSection,
    /// Names of series in a metric store.
    #[serde(default)]
    pub metrics: MappingSettings,
    /// Destination of documents.
    #[serde(default)]
    pub drop: DropConfig,
    /// Placement of drop and agent.
    #[serde(default)]
    pub placement: Placement,
    /// Length of epochs, and sampling.
    #[serde(default)]
    pub epoch: Epoch,
    /// Policy with its options.
    #[serde(default)]
    pub policy: Policies,
    /// Limits of every plan.
    #[serde(default)]
    pub limits: Limits,
    /// Limits of the number of task managers.
    #[serde(default)]
    pub cluster: Size,
    /// What happens to a job that was rescaled by hand.
    #[serde(default)]
    pub drift: Drift,
    /// Where decisions are recorded.
    #[serde(default)]
    pub journal: JournalFile,
    /// Brokers that the job reads from.
    #[serde(default)]
    pub kafka: Brokers,
    /// State probe.
    #[serde(default)]
    pub state: StateProbe,
    /// Kinds of operators that cannot be derived.
    #[serde(default)]
    pub operators: Kinds,
    /// Page and metrics, of the whole program also with several jobs.
    #[serde(default)]
    pub http: Http,
    /// Receivers of events, of the whole program.
    #[serde(default)]
    pub notify: Notify,
    /// Slots shared by all jobs, of the whole program.
    #[serde(default)]
    pub quota: Quota,
}

/// `[flink]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Flink {
    /// URL of the REST interface.
    pub url: Address,
    /// The job's name in Flink; empty: as at the drop.
    pub job: String,
    /// Timeout of one request, in milliseconds.
    pub timeout_ms: u64,
    /// Size limit of one response, in bytes.
    pub max_body_bytes: usize,
    /// Largest number of requests at the same time.
    pub max_requests: usize,
    /// Login and trusted certificates.
    pub access: http_client::Access,
}

impl Default for Flink {
    fn default() -> Self {
        Self {
            url: "http://127.0.0.1:8081".into(),
            job: String::new(),
            timeout_ms: 10_000,
            max_body_bytes: 16 << 20,
            max_requests: 8,
            access: http_client::Access::default(),
        }
    }
}

/// `[drop]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DropConfig {
    /// URL of the drop.
    pub url: Address,
    /// Folder to publish into instead; a plain web server may serve it to the agent.
    pub folder: Option<PathBuf>,
    /// Drop that takes the reports about documents in a folder; [`None`]: no reports.
    pub reports_url: Option<Address>,
    /// File with the publisher token, readable only by its owner.
    pub token_file: Option<PathBuf>,
    /// Certificates (PEM) to trust instead of the system's.
    pub authorities_file: Option<PathBuf>,
    /// Private key that signs documents; [`None`]: they are not signed.
    pub signing_key_file: Option<PathBuf>,
    /// How long a signed statement that the newest document is the newest counts, in seconds; 0: there are none.
    pub freshness_s: u64,
    /// Timeout of one request, in milliseconds.
    pub timeout_ms: u64,
    /// Time to live of a document until the agent starts to apply it, in seconds.
    pub document_ttl_s: u64,
    /// Further credentials for the drop, and trusted certificates.
    pub access: http_client::Access,
    /// Time without the end of a change after which an alarm is raised and Flink's state replaces the reports, in seconds.
    pub applied_within_s: u64,
}

impl Default for DropConfig {
    fn default() -> Self {
        Self {
            url: "http://127.0.0.1:8460".into(),
            folder: None,
            reports_url: None,
            token_file: None,
            authorities_file: None,
            signing_key_file: None,
            freshness_s: 0,
            timeout_ms: 10_000,
            document_ttl_s: 600,
            access: http_client::Access::default(),
            applied_within_s: 1_800,
        }
    }
}

/// `[journal]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JournalFile {
    /// The file.
    pub path: PathBuf,
    /// Size at which the file is rotated and compressed, in bytes.
    pub max_bytes: u64,
    /// Number of rotated files that are kept.
    pub keep_files: u32,
}

impl Default for JournalFile {
    fn default() -> Self {
        Self { path: PathBuf::from("run/rescaler/decisions.jsonl"), max_bytes: 64 << 20, keep_files: 8 }
    }
}

impl JournalFile {
    /// Returns every value out of range, as `key: valid values`.
    fn problems(&self) -> Vec<String> {
        let checks = [
            (self.max_bytes >= 1 << 20, "journal.max_bytes: give a number from 1048576 on"),
            (self.keep_files <= decision_journal::KEEP_MAX, "journal.keep_files: give a number up to 1000"),
        ];
        checks.iter().filter(|(right, _)| !right).map(|(_, problem)| (*problem).to_owned()).collect()
    }
}

impl Config {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        Self::parse(&settings::read(path)?, path)
    }

    /// Parses and checks a text; `path` is for the message.
    pub(crate) fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        Self::parse_over(text, path, &Table::new())
    }

    /// Parses a text, merges `above` over it, and checks the result; `path` is for the message.
    pub(crate) fn parse_over(text: &str, path: &Path, above: &Table) -> Result<Self, ConfigError> {
        let (mut table, problems): (Table, Problems) = settings::parse(text, path)?;
        if table.contains_key("job") || !above.contains_key("job") {
            // For its errors, which name the line.
            let (as_written, wrong_keys): (Self, Problems) = settings::parse(text, path)?;
            if !wrong_keys.is_empty() {
                // Values that the command line replaces are not wrong.
                return if above.is_empty() {
                    as_written.check(wrong_keys)
                } else {
                    Err(wrong_keys.into_error())
                };
            }
        }
        let job = table.remove("job");
        merge(&mut table, above.clone());
        if let Some(job) = job {
            table.insert("job".to_owned(), job);
        }
        Self::from_table(table).map_err(|problem| ConfigError::in_file(path, problem))?.check(problems)
    }

    /// Returns the configuration of a table, with the defaults that depend on other keys, unchecked.
    ///
    /// # Errors
    /// What is wrong, with its key.
    pub(crate) fn from_table(mut table: Table) -> Result<Self, String> {
        complete(&mut table);
        Value::Table(table).try_into().map_err(|error| SyntaxError::in_value(&error).to_string())
    }

    /// Returns the configuration if all values are in range and there are no earlier problems.
    pub(crate) fn check(self, mut problems: Problems) -> Result<Self, ConfigError> {
        problems.extend_by_key(self.problems());
        problems.finish(Some(self))
    }

    pub(crate) fn problems(&self) -> Vec<String> {
        let checks = [
            (self.flink.timeout_ms > 0, "flink.timeout_ms: give a number above 0"),
            (self.flink.max_body_bytes > 0, "flink.max_body_bytes: give a number above 0"),
            (
                (1..=REQUESTS_MAX).contains(&self.flink.max_requests),
                "flink.max_requests: give a number from 1 to 1000",
            ),
            (
                self.drop.reports_url.is_none() || self.drop.folder.is_some(),
                "drop.reports_url: only with drop.folder; the drop at drop.url takes reports itself",
            ),
            (
                self.placement.mode != Mode::InProcess || self.placement.data.is_some(),
                "placement.data: set a folder for the data of the embedded drop and agent",
            ),
            (
                self.placement.listen.is_none_or(|listen| listen.ip().is_loopback()),
                "placement.listen: only this machine may reach the drop of this process; for others run a config-drop with tokens",
            ),
            (
                self.placement.mode != Mode::Command || !self.placement.command.is_empty(),
                "placement.command: name the program that carries plans out, for example [\"./apply.sh\"]",
            ),
            (self.placement.command_timeout_ms > 0, "placement.command_timeout_ms: give a number above 0"),
            (self.drop.timeout_ms > 0, "drop.timeout_ms: give a number above 0"),
            (
                self.drop.freshness_s == 0 || self.drop.signing_key_file.is_some(),
                "drop.freshness_s: it needs drop.signing_key_file, because only signed statements count",
            ),
            (self.drop.freshness_s <= FRESHNESS_MAX_S, "drop.freshness_s: give a number up to 604800"),
            (self.drop.document_ttl_s > 0, "drop.document_ttl_s: give a number above 0"),
            (self.drop.applied_within_s > 0, "drop.applied_within_s: give a number above 0"),
        ];
        let mut problems: Vec<String> =
            checks.iter().filter(|(right, _)| !right).map(|(_, problem)| (*problem).to_owned()).collect();
        problems.extend(self.epoch.problems(&self.policy));
        problems.extend(self.journal.problems());
        problems.extend(self.bad_addresses());
        problems.extend(self.bad_access());
        problems.extend(self.kafka.problems(self.source.kind));
        problems.extend(self.state.problems());
        problems.extend(self.http.problems());
        problems.extend(self.notify.problems());
        problems.extend(self.quota.problems());
        problems.extend(self.drift.problems());
        problems.extend(self.policy.problems());
        problems.extend(self.limits.problems().iter().map(|problem| format!("limits.{problem}")));
        let cluster = self.cluster.problems();
        problems.extend(cluster.iter().map(|(option, remedy)| format!("cluster.{option}: {remedy}")));
        problems.extend(self.source.problems(&self.metrics));
        settings::with_values(problems, self)
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

    /// Returns the secrets and certificates that cannot be read.
    fn bad_access(&self) -> Vec<String> {
        let all = [
            ("flink.access", &self.flink.access),
            ("source.access", &self.source.access),
            ("drop.access", &self.drop.access),
            ("state.access", &self.state.access),
        ];
        let bad = all.into_iter().filter_map(|(key, access)| Some((key, access.load().err()?)));
        bad.map(|(key, problem)| format!("{key}.{}", with_causes(&problem))).collect()
    }

    /// Returns the limits of the journal.
    pub(crate) fn journal_bounds(&self) -> journal::Bounds {
        journal::Bounds { max_bytes: self.journal.max_bytes, keep: self.journal.keep_files }
    }

    /// Returns the job's name in Flink, which may be any text.
    pub(crate) fn flink_job(&self) -> &str {
        if self.flink.job.is_empty() { self.job.as_str() } else { &self.flink.job }
    }

    /// Returns the latency bound of the policy, if it has one, in milliseconds.
    pub(crate) fn latency_max_ms(&self) -> Option<f64> {
        match self.policy.name {
            PolicyName::Latency => Some(self.policy.latency.latency_max_ms),
            PolicyName::Slo => self.policy.slo.latency_bound_ms,
            PolicyName::Ds2 | PolicyName::External => None,
        }
    }

    fn epoch_ms(&self) -> u64 {
        self.epoch.effective_length_ms(&self.policy)
    }

    pub(crate) fn epoch_length(&self) -> Duration {
        Duration::from_millis(self.epoch_ms())
    }

    /// Returns the configured length, but at least enough for rates, and at most an epoch.
    pub(crate) fn first_epoch_length(&self) -> Duration {
        let least_ms = self.epoch.sample_interval_ms.saturating_mul(3);
        Duration::from_millis(self.epoch.first_ms.max(least_ms).min(self.epoch_ms()))
    }

    pub(crate) fn sample_interval(&self) -> Duration {
        Duration::from_millis(self.epoch.sample_interval_ms)
    }
}

/// More requests at a time than any server answers.
const REQUESTS_MAX: usize = 1_000;

/// A week: what counts for longer is no proof of freshness.
const FRESHNESS_MAX_S: u64 = 604_800;

/// The folder below which the journals, documents and reports of jobs are, unless configured.
pub(crate) const DATA: &str = "run/rescaler";

/// Sets the defaults that depend on other keys: policy `slo` if its bound is set; drop and agent in this process if no drop is configured,
/// with their files in a folder with the job's name.
fn complete(table: &mut Table) {
    let has = |path: &[&str]| has_key(table, path);
    let names_drop = has(&["drop", "url"]) || has(&["drop", "folder"]);
    let is_in_process = !has(&["placement", "mode"]) && !names_drop;
    let (has_data, has_command) = (has(&["placement", "data"]), has(&["placement", "command"]));
    let job = table.get("job").and_then(Value::as_str).unwrap_or_default().to_owned();
    Policies::complete(table);
    if is_in_process {
        put(table, "placement", "mode", if has_command { "command" } else { "in-process" });
    }
    if is_in_process && !has_command && !has_data {
        put(table, "placement", "data", &format!("{DATA}/{job}"));
    }
}

fn has_key(table: &Table, path: &[&str]) -> bool {
    let Some((last, before)) = path.split_last() else { return true };
    let inner = before.iter().try_fold(table, |table, key| table.get(*key)?.as_table());
    inner.is_some_and(|table| table.contains_key(*last))
}

fn put(table: &mut Table, section: &str, key: &str, value: &str) {
    let section = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
    // Anything but a table is refused with its key afterwards.
    if let Value::Table(section) = section {
        section.insert(key.to_owned(), value.into());
    }
}

#[cfg(test)]
mod tests;
