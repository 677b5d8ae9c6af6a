//! The probe's configuration: as written in TOML ([`RawConfig`]), then validated ([`Config`]).
//!
//! All problems are reported at once, each with its key and the valid values. `configs/state-probe.toml` documents
//! the keys.

mod source;

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use service::settings::{self, ConfigError, Problems};

use crate::series::Template;

pub use source::{OneOrMore, RawSource, SourceConfig, SourceTarget};

/// Maximum number of sources. Each has its own task and series.
const SOURCES_MAX: usize = 64;

/// The configuration as written. `configs/state-probe.toml` documents the fields.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawConfig {
    /// The job whose state is measured.
    pub job: String,
    /// Sampling interval, in milliseconds.
    pub interval_ms: u64,
    /// Sources to measure.
    pub source: Vec<RawSource>,
    /// Whether samples are printed as lines of JSON on standard output.
    pub json_lines: bool,
    /// `[http]`
    pub http: Http,
    /// `[graphite]`
    pub graphite: Graphite,
    /// `[series]`
    pub series: Series,
    /// `[host]`
    pub host: Host,
}

impl Default for RawConfig {
    fn default() -> Self {
        Self {
            job: "nexmark".to_owned(),
            interval_ms: 60_000,
            source: Vec::new(),
            json_lines: true,
            http: Http::default(),
            graphite: Graphite::default(),
            series: Series::default(),
            host: Host::default(),
        }
    }
}

/// `[http]`: the pages `/metrics`, `/samples` and `/healthz`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Http {
    /// Whether they are served.
    pub enabled: bool,
    /// Address to listen on.
    pub listen: SocketAddr,
    /// Maximum number of connections.
    pub connections_max: usize,
}

impl Default for Http {
    fn default() -> Self {
        Self { enabled: true, listen: SocketAddr::from(([127, 0, 0, 1], 8480)), connections_max: 64 }
    }
}

/// `[graphite]`: output by the plaintext protocol.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Graphite {
    /// Whether samples are sent.
    pub enabled: bool,
    /// `host:port` of carbon.
    pub address: String,
    /// Size of the buffer while carbon is unavailable, in lines; then the oldest are dropped.
    pub buffer_lines: usize,
    /// Timeout of one connection attempt, and of one write, in milliseconds.
    pub timeout_ms: u64,
    /// First retry delay, in milliseconds; it doubles with each failure.
    pub backoff_ms: u64,
    /// Longest retry delay, in milliseconds.
    pub backoff_max_ms: u64,
}

impl Default for Graphite {
    fn default() -> Self {
        Self {
            enabled: false,
            address: "127.0.0.1:2003".to_owned(),
            buffer_lines: 10_000,
            timeout_ms: 5_000,
            backoff_ms: 500,
            backoff_max_ms: 30_000,
        }
    }
}

/// `[series]`: names of the series.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Series {
    /// Pattern of Graphite names for a source's values.
    pub state: String,
    /// Pattern of Graphite names for the host's values.
    pub host: String,
    /// Prefix of all Prometheus series.
    pub prometheus_prefix: String,
}

impl Default for Series {
    fn default() -> Self {
        Self {
            state: "rescaler.{job}.state.{name}.{figure}".to_owned(),
            host: "rescaler.hosts.{host}.{figure}".to_owned(),
            prometheus_prefix: "state_probe".to_owned(),
        }
    }
}

/// `[host]`: metrics of the machine itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Host {
    /// Whether they are measured.
    pub enabled: bool,
    /// Its name in series; empty: the system's host name.
    pub name: String,
    /// Sampling interval, in milliseconds.
    pub interval_ms: u64,
}

impl Default for Host {
    fn default() -> Self {
        Self { enabled: false, name: String::new(), interval_ms: 10_000 }
    }
}

/// A validated configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// Sources to measure; at least one.
    pub sources: Vec<SourceConfig>,
    /// Whether samples are printed as lines of JSON on standard output.
    pub json_lines: bool,
    /// The pages.
    pub http: Http,
    /// Carbon.
    pub graphite: Graphite,
    /// Pattern of Graphite names for a source's values.
    pub state_series: Template,
    /// Pattern of Graphite names for the host's values.
    pub host_series: Template,
    /// Prefix of all Prometheus series.
    pub prometheus_prefix: String,
    /// Metrics of the machine; `None`: disabled.
    pub host: Option<Host>,
}

impl RawConfig {
    /// Reads a configuration file, or takes the defaults.
    ///
    /// # Errors
    /// As [`settings::load`].
    pub fn load(path: Option<&Path>) -> Result<(Self, Problems), ConfigError> {
        settings::load_or_default(path)
    }

    /// Validates everything, and adds to these problems.
    ///
    /// # Errors
    /// [`ConfigError::Values`] with every problem.
    pub fn check(self, mut problems: Problems) -> Result<Config, ConfigError> {
        self.problems(&mut problems);
        let sources = self.sources(&mut problems);
        let state = Template::parse(&self.series.state, &["job", "name", "source", "figure"]);
        let host = Template::parse(&self.series.host, &["host", "figure"]);
        let (state, host) = (problems.accept("series.state", state), problems.accept("series.host", host));
        if let Some(state) = &state {
            problems.extend(collision(state, &sources));
        }
        let patterns = state.zip(host);
        problems.finish(patterns.map(|(state_series, host_series)| Config {
            sources,
            json_lines: self.json_lines,
            http: self.http,
            graphite: self.graphite,
            state_series,
            host_series,
            prometheus_prefix: self.series.prometheus_prefix,
            host: Some(self.host).filter(|host| host.enabled),
        }))
    }

    fn sources(&self, problems: &mut Problems) -> Vec<SourceConfig> {
        let mut sources: Vec<SourceConfig> = Vec::new();
        for (index, written) in self.source.iter().enumerate() {
            match written.check(&self.job, self.interval_ms) {
                Ok(source) if sources.iter().any(|other| other.name == source.name) => {
                    let problem = format!("duplicate name {:?}; set name", source.name);
                    problems.add(&format!("source[{index}].name"), problem);
                }
                Ok(source) => sources.push(source),
                Err(found) => {
                    problems.extend_by_key(found.iter().map(|problem| format!("source[{index}].{problem}")));
                }
            }
        }
        sources
    }

    fn problems(&self, problems: &mut Problems) {
        let Self { graphite, host, http, series: Series { prometheus_prefix: prefix, .. }, .. } = self;
        let is_prefix = prefix.starts_with(|c: char| c.is_ascii_alphabetic())
            && prefix.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let address = graphite.address.rsplit_once(':');
        let is_address = address.is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
        if self.source.is_empty() {
            problems.add("source", "none configured; add a [[source]], or use --source");
        }
        if self.source.len() > SOURCES_MAX {
            problems.add("source", format!("there are {}; give at most {SOURCES_MAX}", self.source.len()));
        }
        problems.check(!self.job.is_empty(), "job", "\"\"", "give it a name");
        problems.range("interval_ms", self.interval_ms, 100..=86_400_000);
        problems.range("host.interval_ms", host.interval_ms, 100..=86_400_000);
        problems.range("http.connections_max", http.connections_max, 1..=10_000);
        problems.check(
            is_address,
            "graphite.address",
            format!("{:?}", graphite.address),
            "write it as host:port",
        );
        problems.range("graphite.buffer_lines", graphite.buffer_lines, 1..=10_000_000);
        problems.range("graphite.timeout_ms", graphite.timeout_ms, 1..=600_000);
        let least_ms = problems.range("graphite.backoff_ms", graphite.backoff_ms, 1..=600_000);
        problems.range("graphite.backoff_max_ms", graphite.backoff_max_ms, least_ms..=3_600_000);
        let remedy = "use letters, digits and _, beginning with a letter";
        problems.check(is_prefix, "series.prometheus_prefix", format!("{prefix:?}"), remedy);
    }
}

/// Finds two sources whose values would share a series.
fn collision(state: &Template, sources: &[SourceConfig]) -> Option<String> {
    let mut names: Vec<String> = sources.iter().map(|source| source.series(state, "size_bytes")).collect();
    names.sort();
    let twice = names.windows(2).find(|pair| pair[0] == pair[1])?;
    Some(format!("series.state: two sources would both be {:?}; add {{name}}", twice[0]))
}

impl Config {
    /// Returns the first and the longest retry delay of a connection to carbon.
    pub(crate) fn backoff(&self) -> (Duration, Duration) {
        (Duration::from_millis(self.graphite.backoff_ms), Duration::from_millis(self.graphite.backoff_max_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../../../../configs/state-probe.toml");

    fn check(text: &str) -> Result<Config, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("probe.toml");
        std::fs::write(&path, text).unwrap();
        let (written, problems) = RawConfig::load(Some(&path))?;
        written.check(problems)
    }

    /// Goal: the commented file is valid and states the defaults, and each source shown in comments is valid too.
    #[test]
    fn the_commented_file_states_the_defaults() {
        let example: RawConfig = toml::from_str(EXAMPLE).unwrap();
        let default = RawConfig::default();
        assert_eq!(
            (example.job, example.interval_ms, example.json_lines, example.http),
            (default.job, default.interval_ms, default.json_lines, default.http)
        );
        assert_eq!(
            (example.graphite, example.series, example.host),
            (default.graphite, default.series, default.host)
        );
        let uncommented: String =
            EXAMPLE.lines().map(|line| line.strip_prefix("#: ").unwrap_or(line).to_owned() + "\n").collect();
        assert_eq!(check(&uncommented).unwrap().sources.len(), 4, "{uncommented}");
        assert_eq!(check(EXAMPLE).unwrap().sources.len(), 1);
    }

    /// Goal: all mistakes are reported at once, with file, key and remedy.
    #[test]
    fn mistakes_are_named_together() {
        let source = "[[source]]\nkind = \"local\"\npath = \"/x\"\n";
        let cases: [(&str, &[&str]); 9] = [
            ("speed = 3", &["probe.toml", "speed"]),
            ("", &["source: none configured", "--source"]),
            (
                "interval_ms = 1\n[host]\ninterval_ms = 0",
                &["interval_ms = 1: give", "host.interval_ms = 0: give", "source:"],
            ),
            ("[[source]]\nkind = \"nfs\"", &["nfs", "webhdfs"]),
            (&format!("{source}{source}"), &["source[1].name: duplicate name \"local\""]),
            (&format!("{source}[graphite]\naddress = \"carbon\""), &["graphite.address", "host:port"]),
            (&format!("{source}[series]\nstate = \"a.{{jop}}\""), &["series.state", "{jop}", "{job}"]),
            (
                &format!("{source}{source}name = \"b\"\n[series]\nstate = \"{{job}}.{{figure}}\""),
                &["series.state", "\"nexmark.size_bytes\"", "{name}"],
            ),
            (&format!("{source}[series]\nprometheus_prefix = \"1\""), &["series.prometheus_prefix"]),
        ];
        for (text, expected) in cases {
            let message = format!("{:#}", anyhow::Error::from(check(text).unwrap_err()));
            expected.iter().for_each(|part| assert!(message.contains(part), "{text:?} gave {message:?}"));
            assert!(message.matches("kind").count() <= 1, "a wrong kind is reported once: {message}");
        }
    }
}
