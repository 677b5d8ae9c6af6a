//! The configuration: as written, then checked.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use thiserror::Error;

use crate::protection::{Protection, WrittenAccess, WrittenTls};

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
        source: secrets::SyntaxError,
    },
    /// Values out of range, all of them.
    #[error("{origin}: {}", problems.join("; "))]
    Values {
        /// The file, or the command line.
        origin: String,
        /// One sentence each.
        problems: Vec<String>,
    },
}

/// The configuration as written in the file; every key may be left out.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    listen: Option<SocketAddr>,
    data: Option<PathBuf>,
    #[serde(default)]
    limits: WrittenLimits,
    #[serde(default)]
    access: WrittenAccess,
    #[serde(default)]
    tls: WrittenTls,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenLimits {
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

/// The checked configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to listen.
    pub listen: SocketAddr,
    /// The folder of documents and reports.
    pub data: PathBuf,
    /// What a stranger can make grow, and how far.
    pub limits: Limits,
    /// What stands between the drop and strangers.
    pub protection: Protection,
}

/// What a stranger can make grow, and how far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Jobs that have a document.
    pub jobs: usize,
    /// Size of a document.
    pub document_bytes: usize,
    /// Size of a report.
    pub report_bytes: usize,
    /// Reports kept per job, the newest ones.
    pub reports_kept: usize,
    /// Documents kept per job, the newest ones, the current one among them.
    pub history: usize,
    /// Readers that wait for a change, over all jobs.
    pub waiting_readers: usize,
    /// Open connections.
    pub connections: usize,
    /// Those of one peer (an address, of IPv6 a network).
    pub connections_per_peer: usize,
    /// Connections beyond these for `/healthz` and those who write.
    pub spare_connections: usize,
    /// The longest time that a reader may wait.
    pub wait: Duration,
    /// From the head of a request to the end of its body.
    pub request_timeout: Duration,
    /// How long a connection may be open without a whole request head arriving.
    pub idle_timeout: Duration,
    /// How long an answer may wait for its reader without getting on.
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
    /// Reads the file, if there is one, and puts the values of the command line over it.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn load(
        file: Option<&Path>,
        listen: Option<SocketAddr>,
        data: Option<PathBuf>,
    ) -> Result<Self, ConfigError> {
        let written = match file {
            Some(path) => read(path)?,
            None => Written::default(),
        };
        let origin = file.map_or_else(|| "the command line".to_owned(), |path| path.display().to_string());
        let mut problems = Vec::new();
        let data = data.or(written.data);
        if data.is_none() {
            problems
                .push("data: no folder for documents and reports; set it, or use --data FOLDER".to_owned());
        }
        let limits = check(&written.limits, &mut problems);
        let listen = listen.or(written.listen).unwrap_or_else(default_address);
        let protection = Protection::check(&written.access, &written.tls, listen, &mut problems);
        match data {
            Some(data) if problems.is_empty() => Ok(Self { listen, data, limits, protection }),
            _ => Err(ConfigError::Values { origin, problems }),
        }
    }
}

fn default_address() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 8460))
}

fn read(path: &Path) -> Result<Written, ConfigError> {
    let text = files::read_configuration(path)
        .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    secrets::from_toml(&text).map_err(|source| ConfigError::Syntax { path: path.to_owned(), source })
}

fn check(written: &WrittenLimits, problems: &mut Vec<String>) -> Limits {
    let default = Limits::default();
    let mut number = |key: &str, value: Option<u64>, default: usize, most: u64| match value {
        Some(value) if value == 0 || value > most => {
            problems.push(format!("limits.{key}: {value} is outside 1..={most}"));
            default
        }
        Some(value) => usize::try_from(value).unwrap_or(default),
        None => default,
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
        problems.push(format!(
            "limits.connections: {} connections could all be waiting readers; raise it above limits.waiting_readers = {}",
            limits.connections, limits.waiting_readers
        ));
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

    /// Goal: the commented file is valid and says what the program does without it.
    #[test]
    fn the_commented_file_has_the_defaults() {
        let config = Config::load(Some(Path::new(DEFAULT_FILE)), None, None).unwrap();
        assert_eq!(config.limits, Limits::default());
        assert_eq!(config.listen, default_address());
    }

    /// Goal: every mistake is refused with the file, the key and the remedy, all of them at once.
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
                &["limits.jobs: 0 is outside", "limits.wait_ms"],
            ),
            ("data = \"d\"\n[limits]\nconnections = 10", &["limits.connections", "limits.waiting_readers"]),
            ("data = \"d\"\nlisten = \"0.0.0.0:8460\"", &["listen", "no tokens", "access.unprotected"]),
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
