//! The configuration: as written, then checked.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use drop_client::{Access, AccessError};
use jiff::SignedDuration;
use job_config::{Admission, JobName, KeyError, PublicKey};
use serde::Deserialize;
use thiserror::Error;

use crate::cluster::Program;
use crate::condition::chain;
use crate::intake::IntakeSettings;
use crate::machine::Rules;

/// Why the configuration cannot be used. The message names file, key and remedy.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        #[source]
        source: std::io::Error,
    },
    /// Not TOML, a key that does not exist, or a value of the wrong type.
    #[error("{}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where and what.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// Values that are missing or out of range, all of them.
    #[error("{origin}: {}", problems.join("; "))]
    Values {
        /// The file, or the command line.
        origin: String,
        /// One sentence each.
        problems: Vec<String>,
    },
}

/// What the command line says about the same things.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    pub(crate) job: Option<String>,
    pub(crate) data: Option<PathBuf>,
    pub(crate) drop: Option<String>,
    pub(crate) flink: Option<String>,
    pub(crate) jar: Option<PathBuf>,
    pub(crate) listen: Option<SocketAddr>,
}

/// The configuration as written in the file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    job: Option<String>,
    data: Option<PathBuf>,
    listen: Option<SocketAddr>,
    #[serde(default)]
    drop: WrittenDrop,
    #[serde(default)]
    flink: WrittenFlink,
    #[serde(default)]
    deadlines: WrittenDeadlines,
    #[serde(default)]
    retry: WrittenRetry,
    #[serde(default)]
    safety: WrittenSafety,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenDrop {
    url: Option<String>,
    wait_ms: Option<u64>,
    timeout_ms: Option<u64>,
    connect_timeout_ms: Option<u64>,
    document_bytes: Option<u64>,
    undelivered_reports: Option<u64>,
    document_url: Option<String>,
    poll_ms: Option<u64>,
    token_file: Option<PathBuf>,
    authorities_file: Option<PathBuf>,
    #[serde(default)]
    public_keys: Vec<String>,
    clock_skew_ms: Option<u64>,
    expiry_required: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenFlink {
    url: Option<String>,
    jar: Option<PathBuf>,
    entry_class: Option<String>,
    #[serde(default)]
    extra_arguments: Vec<String>,
    savepoint_directory: Option<String>,
    check_before_stop: Option<bool>,
    start_fresh_if_lost: Option<bool>,
    timeout_ms: Option<u64>,
    submit_timeout_ms: Option<u64>,
    poll_ms: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenDeadlines {
    stoppable_ms: Option<u64>,
    stopped_ms: Option<u64>,
    running_ms: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenRetry {
    first_ms: Option<u64>,
    longest_ms: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenSafety {
    roll_back: Option<bool>,
    grace_ms: Option<u64>,
    breaker_failures: Option<u64>,
    breaker_pause_ms: Option<u64>,
}

/// The checked configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// The job.
    pub job: JobName,
    /// The folder of the journal.
    pub data: PathBuf,
    /// Where to serve `/healthz` and `/metrics`, if at all.
    pub listen: Option<SocketAddr>,
    /// The config drop's address; empty: documents come from elsewhere, and nobody is told how it went.
    pub drop_url: String,
    /// How documents are fetched and what is demanded of them.
    pub intake: IntakeSettings,
    /// How long to wait at the drop for a change before asking again.
    pub drop_wait: Duration,
    /// The bounds of calls to the drop.
    pub drop_settings: drop_client::Settings,
    /// How many reports are kept for a drop that is away.
    pub reports_kept: usize,
    /// Flink's address.
    pub flink_url: String,
    /// The bounds of calls to Flink.
    pub flink_settings: flink::Settings,
    /// What to submit.
    pub program: Program,
    /// Time between two looks at Flink during a change.
    pub poll: Duration,
    /// How long to wait for what.
    pub rules: Rules,
    /// The shortest time before something is tried again.
    pub retry_first: Duration,
    /// The longest time before something is tried again.
    pub retry_longest: Duration,
}

impl Config {
    /// Reads the file, if there is one, and puts the values of the command line over it.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn load(file: Option<&Path>, overrides: Overrides) -> Result<Self, ConfigError> {
        let mut written = match file {
            Some(path) => read(path)?,
            None => Written::default(),
        };
        written.job = overrides.job.or(written.job);
        written.data = overrides.data.or(written.data);
        written.listen = overrides.listen.or(written.listen);
        written.drop.url = overrides.drop.or(written.drop.url);
        written.flink.url = overrides.flink.or(written.flink.url);
        written.flink.jar = overrides.jar.or(written.flink.jar);
        let mut checker = Checker::default();
        let config = written.check(&mut checker);
        match config {
            Some(config) if checker.problems.is_empty() => Ok(config),
            _ => {
                let origin = file.map_or_else(|| "the command line".to_owned(), |p| p.display().to_string());
                Err(ConfigError::Values { origin, problems: checker.problems })
            }
        }
    }
}

fn read(path: &Path) -> Result<Written, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    toml::from_str(&text)
        .map_err(|source| ConfigError::Syntax { path: path.to_owned(), source: Box::new(source) })
}

impl Written {
    fn check(self, checker: &mut Checker) -> Option<Config> {
        let rules = rules(&self.deadlines, &self.safety, &self.flink, checker);
        let job = checker.required("job", "the job's name, also --job", self.job);
        let job = job.and_then(|name| checker.name(&name));
        let data = checker.required("data", "a folder for the journal, also --data", self.data);
        let drop_url = match (self.drop.url.clone(), &self.drop.document_url) {
            (None, Some(_)) => Some(String::new()),
            (url, _) => {
                let url = checker.required("drop.url", "the config drop's address, also --drop", url);
                checker.url("drop.url", url.as_deref());
                url
            }
        };
        let intake = self.drop.intake(checker);
        let flink_url = checker.required("flink.url", "Flink's address, also --flink", self.flink.url);
        let jar = checker.required("flink.jar", "the jar with the job, also --jar", self.flink.jar);
        checker.url("flink.url", flink_url.as_deref());
        let drop_settings = drop_client::Settings {
            connect_timeout: checker.ms("drop.connect_timeout_ms", self.drop.connect_timeout_ms, 2_000),
            timeout: checker.ms("drop.timeout_ms", self.drop.timeout_ms, 10_000),
            max_document_bytes: checker.number(
                "drop.document_bytes",
                self.drop.document_bytes,
                262_144,
                16 << 20,
            ),
            ..drop_client::Settings::default()
        };
        let flink_settings = flink::Settings {
            timeout: checker.ms("flink.timeout_ms", self.flink.timeout_ms, 10_000),
            submit_timeout: checker.ms("flink.submit_timeout_ms", self.flink.submit_timeout_ms, 60_000),
            ..flink::Settings::default()
        };
        let kept = checker.number("drop.undelivered_reports", self.drop.undelivered_reports, 1_000, 100_000);
        Some(Config {
            listen: self.listen,
            intake,
            drop_wait: checker.ms("drop.wait_ms", self.drop.wait_ms, 45_000),
            poll: checker.ms("flink.poll_ms", self.flink.poll_ms, 200),
            retry_first: checker.ms("retry.first_ms", self.retry.first_ms, 200),
            retry_longest: checker.ms("retry.longest_ms", self.retry.longest_ms, 10_000),
            reports_kept: kept,
            drop_settings,
            flink_settings,
            rules,
            program: Program {
                jar: jar?,
                entry_class: self.flink.entry_class,
                extra_arguments: self.flink.extra_arguments,
                savepoint_directory: self.flink.savepoint_directory,
                check_before_stop: self.flink.check_before_stop.unwrap_or(true),
            },
            job: job?,
            data: data?,
            drop_url: drop_url?,
            flink_url: flink_url?,
        })
    }
}

impl WrittenDrop {
    fn intake(&self, checker: &mut Checker) -> IntakeSettings {
        let keys: Vec<PublicKey> = self.public_keys.iter().filter_map(|text| checker.key(text)).collect();
        // A document that somebody can hold back for ever is half the worth of a signature.
        let expiry_required = self.expiry_required.unwrap_or(!keys.is_empty());
        let skew = match self.clock_skew_ms {
            Some(0) => Duration::ZERO,
            other => checker.ms("drop.clock_skew_ms", other, 60_000),
        };
        let mut access = Access::default().with_public_keys(keys);
        if let Some(path) = &self.token_file {
            access = checker.accept("drop.token_file", access.clone().with_token_file(path), access);
        }
        if let Some(path) = &self.authorities_file {
            let with = access.clone().with_authorities_file(path);
            access = checker.accept("drop.authorities_file", with, access);
        }
        if let Some(url) = &self.document_url
            && !["http://", "https://", "file:///"].iter().any(|scheme| url.starts_with(scheme))
        {
            let remedy = "write it as https://host/nexmark.toml or file:///folder/nexmark.toml";
            checker.problems.push(format!("drop.document_url: {url:?} is not an address; {remedy}"));
        }
        IntakeSettings {
            document_url: self.document_url.clone(),
            poll: checker.ms("drop.poll_ms", self.poll_ms, 30_000),
            access,
            admission: Admission {
                clock_skew: SignedDuration::try_from(skew).unwrap_or(SignedDuration::MAX),
                expiry_required,
            },
        }
    }
}

fn rules(
    deadlines: &WrittenDeadlines,
    safety: &WrittenSafety,
    flink: &WrittenFlink,
    checker: &mut Checker,
) -> Rules {
    let failures = checker.number("safety.breaker_failures", safety.breaker_failures, 3, 1_000);
    Rules {
        stoppable_within: checker.ms("deadlines.stoppable_ms", deadlines.stoppable_ms, 60_000),
        stopped_within: checker.ms("deadlines.stopped_ms", deadlines.stopped_ms, 900_000),
        running_within: checker.ms("deadlines.running_ms", deadlines.running_ms, 120_000),
        grace: match safety.grace_ms {
            Some(0) => Duration::ZERO,
            other => checker.ms("safety.grace_ms", other, 3_000),
        },
        roll_back: safety.roll_back.unwrap_or(true),
        breaker_failures: u32::try_from(failures).unwrap_or(u32::MAX),
        breaker_pause: checker.ms("safety.breaker_pause_ms", safety.breaker_pause_ms, 600_000),
        start_fresh_if_lost: flink.start_fresh_if_lost.unwrap_or(false),
    }
}

/// Collects what is wrong, so that one look at the message is enough.
#[derive(Default)]
struct Checker {
    problems: Vec<String>,
}

/// No waiting time is longer than a day: what looks like one is a mistake of units.
const LONGEST_MS: u64 = 86_400_000;

impl Checker {
    fn required<T>(&mut self, key: &str, what: &str, value: Option<T>) -> Option<T> {
        if value.is_none() {
            self.problems.push(format!("{key} is missing; set it to {what}"));
        }
        value
    }

    fn name(&mut self, text: &str) -> Option<JobName> {
        text.parse().map_err(|e: job_config::DocumentError| self.problems.push(e.to_string())).ok()
    }

    fn key(&mut self, text: &str) -> Option<PublicKey> {
        text.parse().map_err(|e: KeyError| self.problems.push(format!("drop.public_keys: {e}"))).ok()
    }

    /// The value, or `otherwise` and a problem.
    fn accept<T>(&mut self, key: &str, value: Result<T, AccessError>, otherwise: T) -> T {
        value.unwrap_or_else(|e| {
            self.problems.push(format!("{key}: {}", chain(&e)));
            otherwise
        })
    }

    fn url(&mut self, key: &str, value: Option<&str>) {
        if let Some(url) = value
            && !(url.starts_with("http://") || url.starts_with("https://"))
        {
            self.problems.push(format!("{key}: {url:?} is not an address; write it as http://host:port"));
        }
    }

    fn number(&mut self, key: &str, value: Option<u64>, default: usize, most: u64) -> usize {
        match value {
            Some(value) if value == 0 || value > most => {
                self.problems.push(format!("{key}: {value} is outside 1..={most}"));
                default
            }
            Some(value) => usize::try_from(value).unwrap_or(default),
            None => default,
        }
    }

    fn ms(&mut self, key: &str, value: Option<u64>, default: u64) -> Duration {
        let value = value.unwrap_or(default);
        if value == 0 || value > LONGEST_MS {
            self.problems.push(format!("{key}: {value} is outside 1..={LONGEST_MS}"));
        }
        Duration::from_millis(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFAULT_FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../configs/config-agent.toml");

    /// Goal: the commented file is valid, and the values it shows are those that hold without them.
    #[test]
    fn the_commented_file_has_the_defaults() {
        let shown = Config::load(Some(Path::new(DEFAULT_FILE)), Overrides::default()).unwrap();
        let text = std::fs::read_to_string(DEFAULT_FILE).unwrap();
        let required = ["job =", "data =", "url =", "jar ="];
        let kept = text
            .lines()
            .filter(|line| line.starts_with('[') || required.iter().any(|key| line.starts_with(key)));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.toml");
        std::fs::write(&path, kept.collect::<Vec<_>>().join("\n")).unwrap();
        let default = Config::load(Some(&path), Overrides::default()).unwrap();
        assert_eq!(format!("{shown:?}"), format!("{default:?}"));
    }

    /// Goal: every mistake is refused with the file, the key and the remedy, all of them at once.
    #[test]
    fn mistakes_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.toml");
        let cases: [(&str, &[&str]); 5] = [
            ("", &["job is missing", "--data", "drop.url", "flink.url", "flink.jar"]),
            ("speed = 3", &["speed"]),
            ("[flink]\nspeed = 3", &["speed"]),
            (
                "job = \"No Name\"\n[drop]\nurl = \"localhost\"",
                &["not a job name", "drop.url", "http://host:port"],
            ),
            (
                "[deadlines]\nrunning_ms = 0\n[flink]\npoll_ms = 99999999",
                &["deadlines.running_ms", "flink.poll_ms"],
            ),
        ];
        for (text, expected) in cases {
            std::fs::write(&path, text).unwrap();
            let error = Config::load(Some(&path), Overrides::default()).unwrap_err();
            let message = format!("{:#}", anyhow::Error::from(error));
            assert!(message.contains("agent.toml"), "{message}");
            expected.iter().for_each(|part| assert!(message.contains(part), "{text:?} gave {message:?}"));
        }
    }
}
