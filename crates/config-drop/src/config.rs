//! The drop's configuration: as written in the file, then validated.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use service::settings::{self, ConfigError, Problems};

use crate::protection::{Protection, RawAccess, RawTls};

/// The configuration as written in the file; every key is optional.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawConfig {
    listen: Option<SocketAddr>,
    data: Option<PathBuf>,
    #[serde(default)]
    limits: RawLimits,
    #[serde(default)]
    access: RawAccess,
    #[serde(default)]
    tls: RawTls,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLimits {
    jobs: Option<u64>,
    document_bytes: Option<u64>,
    report_bytes: Option<u64>,
    reports_kept: Option<u64>,
    history: Option<u64>,
    waiting_readers: Option<u64>,
    connections: Option<u64>,
    connections_per_peer: Option<u64>,
    spare_connections: Option<u64>,
    wait_ms: Option<u64>,
    request_timeout_ms: Option<u64>,
    idle_timeout_ms: Option<u64>,
    write_timeout_ms: Option<u64>,
}

/// The validated configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// Address to listen on.
    pub listen: SocketAddr,
    /// The folder of documents and reports.
    pub data: PathBuf,
    /// Resource limits for untrusted clients.
    pub limits: Limits,
    /// Authentication, TLS and signature checks.
    pub protection: Protection,
}

/// Resource limits for untrusted clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Maximum number of jobs.
    pub jobs: usize,
    /// Maximum size of a document, in bytes.
    pub document_bytes: usize,
    /// Maximum size of a report, in bytes.
    pub report_bytes: usize,
    /// Number of newest reports kept per job.
    pub reports_kept: usize,
    /// Number of newest documents kept per job, including the current one.
    pub history: usize,
    /// Maximum number of waiting readers, over all jobs.
    pub waiting_readers: usize,
    /// Maximum number of open connections.
    pub connections: usize,
    /// Maximum number of open connections per peer (an IPv4 address, or an IPv6 network).
    pub connections_per_peer: usize,
    /// Further connections reserved for `/healthz` and writers.
    pub spare_connections: usize,
    /// Longest long-poll timeout a reader may ask for.
    pub wait: Duration,
    /// Timeout from the head of a request to the end of its body.
    pub request_timeout: Duration,
    /// Timeout of a connection without a complete request head.
    pub idle_timeout: Duration,
    /// Timeout of a response whose client reads nothing.
    pub write_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            jobs: 64,
            document_bytes: 256 << 10,
            report_bytes: 16 << 10,
            reports_kept: 200,
            history: 20,
            waiting_readers: 256,
            connections: 512,
            connections_per_peer: 448,
            spare_connections: 16,
            wait: Duration::from_secs(60),
            request_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(10),
        }
    }
}

impl Config {
    /// Reads the file, if any, and applies the command line's overrides.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn load(
        file: Option<&Path>,
        listen: Option<SocketAddr>,
        data: Option<PathBuf>,
    ) -> Result<Self, ConfigError> {
        let (written, mut problems) = settings::load_or_default::<RawConfig>(file)?;
        let data = data.or(written.data);
        let data = problems.require("data", "a folder for documents and reports, also --data", data);
        let limits = check(&written.limits, &mut problems);
        let listen = listen.or(written.listen).unwrap_or_else(default_address);
        let protection = Protection::check(&written.access, &written.tls, listen, &mut problems);
        problems.finish(data.map(|data| Self { listen, data, limits, protection }))
    }
}

fn default_address() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 8460))
}

fn check(written: &RawLimits, problems: &mut Problems) -> Limits {
    let default = Limits::default();
    let mut number = |key: &str, value: Option<u64>, default: usize, most: u64| {
        let Some(value) = value else { return default };
        usize::try_from(problems.range(&format!("limits.{key}"), value, 1..=most)).unwrap_or(default)
    };
    let ms = |duration: Duration| usize::try_from(duration.as_millis()).unwrap_or(usize::MAX);
    let limits = Limits {
        jobs: number("jobs", written.jobs, default.jobs, 100_000),
        document_bytes: number("document_bytes", written.document_bytes, default.document_bytes, 16 << 20),
        report_bytes: number("report_bytes", written.report_bytes, default.report_bytes, 1 << 20),
        reports_kept: number("reports_kept", written.reports_kept, default.reports_kept, 10_000),
        history: number("history", written.history, default.history, 1_000),
        waiting_readers: number("waiting_readers", written.waiting_readers, default.waiting_readers, 50_000),
        connections: number("connections", written.connections, default.connections, 100_000),
        connections_per_peer: number(
            "connections_per_peer",
            written.connections_per_peer,
            default.connections_per_peer,
            100_000,
        ),
        spare_connections: number(
            "spare_connections",
            written.spare_connections,
            default.spare_connections,
            1_000,
        ),
        wait: millis(number("wait_ms", written.wait_ms, ms(default.wait), 600_000)),
        request_timeout: millis(number(
            "request_timeout_ms",
            written.request_timeout_ms,
            ms(default.request_timeout),
            600_000,
        )),
        idle_timeout: millis(number(
            "idle_timeout_ms",
            written.idle_timeout_ms,
            ms(default.idle_timeout),
            3_600_000,
        )),
        write_timeout: millis(number(
            "write_timeout_ms",
            written.write_timeout_ms,
            ms(default.write_timeout),
            600_000,
        )),
    };
    if limits.connections <= limits.waiting_readers {
        let remedy = format!(
            "connections can all be taken by waiting readers; raise it above limits.waiting_readers = {}",
            limits.waiting_readers
        );
        problems.refuse("limits.connections", limits.connections, remedy);
    }
    limits
}

fn millis(value: usize) -> Duration {
    Duration::from_millis(value as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFAULT_FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../configs/config-drop.toml");

    /// Goal: the commented file is valid and states the defaults.
    #[test]
    fn the_commented_file_has_the_defaults() {
        let config = Config::load(Some(Path::new(DEFAULT_FILE)), None, None).unwrap();
        assert_eq!(config.limits, Limits::default());
        assert_eq!(config.listen, default_address());
    }

    /// Goal: all mistakes are reported at once, each with the file, the key and the remedy.
    #[test]
    fn mistakes_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("drop.toml");
        let cases: [(&str, &[&str]); 9] = [
            ("listen = \"127.0.0.1:0\"", &["data", "--data"]),
            ("data = \"d\"\nspeed = 3", &["speed"]),
            ("data = \"d\"\nlisten = \"somewhere\"", &["listen"]),
            (
                "data = \"d\"\n[limits]\njobs = 0\nwait_ms = 600001",
                &[
                    "limits.jobs = 0: give a number from 1 to 100000",
                    "limits.wait_ms = 600001: give a number",
                ],
            ),
            ("data = \"d\"\n[limits]\nconnections = 10", &["limits.connections", "limits.waiting_readers"]),
            ("data = \"d\"\nlisten = \"0.0.0.0:8460\"", &["listen", "without tokens", "access.unprotected"]),
            (
                "data = \"d\"\n[access]\nagent_tokens = \"/nonexistent\"",
                &["access.agent_tokens", "/nonexistent"],
            ),
            ("data = \"d\"\n[access]\npublic_keys = [\"abc\"]", &["access.public_keys", "ed25519:"]),
            ("data = \"d\"\n[tls]\nkey_file = \"k\"", &["tls", "certificate_file"]),
        ];
        for (text, expected) in cases {
            std::fs::write(&path, text).unwrap();
            let error = anyhow::Error::from(Config::load(Some(&path), None, None).unwrap_err());
            let message = format!("{error:#}");
            assert!(message.contains("drop.toml"), "{message}");
            expected.iter().for_each(|part| assert!(message.contains(part), "{text:?} gave {message:?}"));
        }
    }
}
