//! The agent's configuration: as written in the file, then validated.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use job_config::JobName;
use secrets::Address;
use serde::Deserialize;
use service::settings::{self, ConfigError, Problems};

use crate::cluster::JobProgram;
use crate::document_source::DocumentSourceSettings;
use crate::machine::Rules;
use crate::pool::Pool;
use crate::retention::Retention;

mod checker;
mod drop;
mod nodes;

use self::checker::Checker;
use self::drop::RawDrop;

/// Values from the command line, which override the file's.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    pub(crate) job: Option<String>,
    pub(crate) data: Option<PathBuf>,
    pub(crate) drop: Option<Address>,
    pub(crate) flink: Option<Address>,
    pub(crate) jar: Option<PathBuf>,
    pub(crate) listen: Option<SocketAddr>,
}

/// Settings that come from the process in which the agent is embedded.
#[derive(Debug, Clone)]
pub struct EmbeddingOptions {
    /// Name of the job.
    pub job: JobName,
    /// Name of the job in Flink.
    pub flink_job: String,
    /// The folder of the journal.
    pub data: PathBuf,
    /// URL of the embedding process's drop.
    pub drop_url: Address,
    /// URL of Flink.
    pub flink_url: Address,
    /// Credentials and trusted certificates for Flink.
    pub flink_access: http_client::Access,
}

/// The configuration as written in the file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawConfig {
    job: Option<String>,
    data: Option<PathBuf>,
    listen: Option<SocketAddr>,
    direct: Option<RawDirect>,
    #[serde(default)]
    drop: RawDrop,
    #[serde(default)]
    flink: RawFlink,
    #[serde(default)]
    deadlines: RawDeadlines,
    #[serde(default)]
    retry: RawRetry,
    #[serde(default)]
    safety: RawSafety,
    #[serde(default)]
    nodes: nodes::RawNodes,
    #[serde(default)]
    node: Vec<nodes::RawNode>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDirect {
    config: Option<PathBuf>,
    listen: Option<SocketAddr>,
    data: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFlink {
    url: Option<Address>,
    job_name: Option<String>,
    jar: Option<PathBuf>,
    in_place_only: Option<bool>,
    entry_class: Option<String>,
    #[serde(default)]
    extra_arguments: Vec<String>,
    savepoint_directory: Option<String>,
    savepoints_kept: Option<u64>,
    check_before_stop: Option<bool>,
    start_fresh_if_lost: Option<bool>,
    timeout_ms: Option<u64>,
    submit_timeout_ms: Option<u64>,
    poll_ms: Option<u64>,
    #[serde(default)]
    access: http_client::Access,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDeadlines {
    stoppable_ms: Option<u64>,
    stopped_ms: Option<u64>,
    running_ms: Option<u64>,
    restored_ms: Option<u64>,
    nodes_ms: Option<u64>,
    late_submissions_ms: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRetry {
    first_ms: Option<u64>,
    longest_ms: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSafety {
    roll_back: Option<bool>,
    grace_ms: Option<u64>,
    in_place_failures: Option<u64>,
    breaker_failures: Option<u64>,
    breaker_pause_ms: Option<u64>,
}

/// The validated configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// Name of the job.
    pub job: JobName,
    /// The folder of the journal.
    pub data: PathBuf,
    /// Address of `/healthz` and `/metrics`, if served.
    pub listen: Option<SocketAddr>,
    /// Configuration of the drop's interface, if the agent serves it itself.
    pub direct: Option<config_drop::Config>,
    /// URL of the config drop; empty: documents come from elsewhere and no reports are sent.
    pub drop_url: Address,
    /// How documents are fetched and which are admitted.
    pub document_source: DocumentSourceSettings,
    /// Long-poll timeout of one request to the drop.
    pub drop_wait: Duration,
    /// Timeouts and size limits of requests to the drop.
    pub drop_settings: drop_client::ClientSettings,
    /// How many undelivered reports are kept while the drop is unavailable.
    pub reports_kept: usize,
    /// URL of Flink.
    pub flink_url: Address,
    /// Credentials and trusted certificates for Flink.
    pub flink_access: http_client::Access,
    /// Timeouts and size limits of requests to Flink.
    pub flink_settings: flink::ClientSettings,
    /// Name of the job in Flink.
    pub flink_job: String,
    /// What to submit; [`None`]: nothing, the running job is only rescaled in place.
    pub program: Option<JobProgram>,
    /// Nodes that the agent can start and stop.
    pub pool: Pool,
    /// Which savepoints are kept.
    pub retention: Retention,
    /// How long an abandoned submission may still arrive.
    pub late_submissions_within: Duration,
    /// Interval between observations of Flink during a change.
    pub poll: Duration,
    /// Timeouts and choices of the machine.
    pub rules: Rules,
    /// Shortest retry delay.
    pub retry_first: Duration,
    /// Longest retry delay.
    pub retry_longest: Duration,
}

impl Config {
    /// Returns the configuration of an embedded agent: from a file if given, overridden by the embedding process.
    /// Without a file, the agent only rescales in place.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn embedded(file: Option<&Path>, embedding: EmbeddingOptions) -> Result<Self, ConfigError> {
        let (mut written, problems) = settings::load_or_default::<RawConfig>(file)?;
        if file.is_none() {
            written.flink.in_place_only = Some(true);
        }
        written.job = Some(embedding.job.to_string());
        written.data = Some(embedding.data);
        written.direct = None;
        written.drop.url = Some(embedding.drop_url);
        written.flink.url = Some(embedding.flink_url);
        written.flink.access = embedding.flink_access;
        written.flink.job_name = Some(embedding.flink_job);
        written.checked(problems)
    }

    /// Reads the file, if any, and applies the command line's overrides.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn load(file: Option<&Path>, overrides: Overrides) -> Result<Self, ConfigError> {
        let (mut written, problems) = settings::load_or_default::<RawConfig>(file)?;
        written.job = overrides.job.or(written.job);
        written.data = overrides.data.or(written.data);
        written.listen = overrides.listen.or(written.listen);
        written.drop.url = overrides.drop.or(written.drop.url);
        written.flink.url = overrides.flink.or(written.flink.url);
        written.flink.jar = overrides.jar.or(written.flink.jar);
        written.checked(problems)
    }
}

impl RawConfig {
    fn checked(self, problems: Problems) -> Result<Config, ConfigError> {
        let mut checker = Checker { problems };
        let config = self.check(&mut checker);
        checker.problems.finish(config)
    }

    fn check(mut self, checker: &mut Checker) -> Option<Config> {
        let pool = self.nodes.check(self.node, checker);
        let mut rules = rules(&self.deadlines, &self.safety, &self.flink, checker);
        rules.pool = pool.nodes.iter().map(|node| node.node.clone()).collect();
        rules.can_submit = !self.flink.in_place_only.unwrap_or(false);
        let job = checker.required("job", "the job's name, also --job", self.job);
        let job = job.and_then(|name| checker.name(&name));
        let data = checker.required("data", "a folder for the journal, also --data", self.data);
        let direct = self.direct.and_then(|direct| direct.check(checker));
        let own = direct.as_ref().and_then(|drop| self.drop.own_url(drop, checker));
        let drop_url = match (own.or(self.drop.url.take()), &self.drop.document_url) {
            (None, Some(_)) => Some(Address::default()),
            (url, _) => {
                let url = checker.required("drop.url", "the config drop's address, also --drop", url);
                if let Some(url) = &url {
                    checker.problems.url("drop.url", url);
                }
                url
            }
        };
        let document_source = self.drop.document_source(checker);
        let url = checker.required("flink.url", "Flink's address, also --flink", self.flink.url.take());
        let (flink_url, program) = (url, self.flink.program(rules.can_submit, checker));
        if let Some(url) = &flink_url {
            checker.problems.urls("flink.url", url);
        }
        checker.access("flink.access", &self.flink.access);
        let drop_settings = self.drop.settings(checker);
        let flink_settings = flink::ClientSettings {
            timeout: checker.ms("flink.timeout_ms", self.flink.timeout_ms, 10_000),
            submit_timeout: checker.ms("flink.submit_timeout_ms", self.flink.submit_timeout_ms, 60_000),
            ..flink::ClientSettings::default()
        };
        let kept = checker.number("drop.undelivered_reports", self.drop.undelivered_reports, 1_000, 100_000);
        Some(Config {
            listen: self.listen,
            document_source,
            direct,
            drop_wait: self.drop.wait(checker),
            poll: checker.ms("flink.poll_ms", self.flink.poll_ms, 200),
            retry_first: checker.ms("retry.first_ms", self.retry.first_ms, 200),
            retry_longest: checker.ms("retry.longest_ms", self.retry.longest_ms, 10_000),
            reports_kept: kept,
            drop_settings,
            flink_settings,
            flink_access: self.flink.access,
            rules,
            program,
            pool,
            retention: Retention::keeping(match self.flink.savepoints_kept {
                Some(0) => 0,
                other => checker.number("flink.savepoints_kept", other, 5, 1_000),
            }),
            late_submissions_within: checker.ms(
                "deadlines.late_submissions_ms",
                self.deadlines.late_submissions_ms,
                600_000,
            ),
            flink_job: self
                .flink
                .job_name
                .unwrap_or_else(|| job.as_ref().map_or("", JobName::as_str).to_owned()),
            job: job?,
            data: data?,
            drop_url: drop_url?,
            flink_url: flink_url?,
        })
    }
}

impl RawFlink {
    /// Returns the program to submit, if submission is configured.
    fn program(&mut self, can_submit: bool, checker: &mut Checker) -> Option<JobProgram> {
        if !can_submit {
            if self.jar.is_some() {
                let remedy = "conflicts with flink.jar; remove one of them";
                checker.problems.add("flink.in_place_only", remedy);
            }
            return None;
        }
        let remedy = "the jar with the job, also --jar, or set flink.in_place_only";
        let jar = checker.required("flink.jar", remedy, self.jar.take())?;
        Some(JobProgram {
            jar,
            entry_class: self.entry_class.take(),
            extra_arguments: std::mem::take(&mut self.extra_arguments),
            savepoint_directory: self.savepoint_directory.take(),
            check_before_stop: self.check_before_stop.unwrap_or(true),
        })
    }
}

impl RawDirect {
    fn check(self, checker: &mut Checker) -> Option<config_drop::Config> {
        if let Some(path) = self.config {
            if self.listen.is_some() || self.data.is_some() {
                let remedy = "conflicts with direct.listen and direct.data; remove them";
                checker.problems.add("direct.config", remedy);
            }
            return checker
                .problems
                .accept("direct.config", config_drop::Config::load(Some(&path), None, None));
        }
        let data = checker.required("direct.data", "a folder for documents and reports", self.data)?;
        let listen = self.listen.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 8460)));
        if !listen.ip().is_loopback() {
            let remedy = "other machines reach it; name a file like configs/config-drop.toml with tokens in direct.config \
                          instead";
            checker.problems.refuse("direct.listen", listen, remedy);
        }
        let (limits, protection) = (config_drop::Limits::default(), config_drop::Protection::default());
        Some(config_drop::Config { listen, data, limits, protection })
    }
}

fn rules(deadlines: &RawDeadlines, safety: &RawSafety, flink: &RawFlink, checker: &mut Checker) -> Rules {
    let failures = checker.number("safety.breaker_failures", safety.breaker_failures, 3, 1_000);
    let in_place_failures = checker.number("safety.in_place_failures", safety.in_place_failures, 3, 16);
    Rules {
        stoppable_within: checker.ms("deadlines.stoppable_ms", deadlines.stoppable_ms, 60_000),
        stopped_within: checker.ms("deadlines.stopped_ms", deadlines.stopped_ms, 900_000),
        running_within: checker.ms("deadlines.running_ms", deadlines.running_ms, 120_000),
        restored_within: checker.ms("deadlines.restored_ms", deadlines.restored_ms, 600_000),
        in_place_failures: u32::try_from(in_place_failures).unwrap_or(u32::MAX),
        grace: match safety.grace_ms {
            Some(0) => Duration::ZERO,
            other => checker.ms("safety.grace_ms", other, 3_000),
        },
        roll_back: safety.roll_back.unwrap_or(true),
        breaker_failures: u32::try_from(failures).unwrap_or(u32::MAX),
        breaker_pause: checker.ms("safety.breaker_pause_ms", safety.breaker_pause_ms, 600_000),
        start_fresh_if_lost: flink.start_fresh_if_lost.unwrap_or(false),
        can_submit: true,
        pool: Vec::new(),
        nodes_within: checker.ms("deadlines.nodes_ms", deadlines.nodes_ms, 120_000),
    }
}

#[cfg(test)]
mod tests;
