//! The testbed's configuration: as written ([`Settings`], TOML), and validated ([`Config`]).
//!
//! All ranges are checked together, and every problem names the key and the remedy. `configs/testbed.toml` documents
//! each key; a test keeps that file and these defaults equal.

use std::collections::BTreeMap;
use std::env;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::flink::version;
use crate::hdfs::{HdfsSettings, OWNED_KEYS as OWNED_HDFS_KEYS};

/// The testbed's settings as written; the defaults suit a machine with 2 cores and 4 GiB.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The work folder; created if missing. Relative to the current folder.
    pub work_dir: PathBuf,
    /// Folder of downloaded jars. Absent: `$RESCALER_CACHE_DIR`, `$XDG_CACHE_HOME/rescaler` or `~/.cache/rescaler`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_dir: Option<PathBuf>,
    /// Whether to delete topics and checkpoints of an earlier run in the same work folder.
    pub fresh: bool,
    /// Timeout of all downloads together, in seconds.
    pub fetch_deadline_s: u64,
    /// Timeout for services to become ready, in seconds.
    pub start_deadline_s: u64,
    /// Timeout of each service's shutdown, in seconds; after it the service is killed.
    pub stop_deadline_s: u64,
    /// The Kafka broker.
    pub kafka: KafkaSettings,
    /// The Flink cluster.
    pub flink: FlinkSettings,
    /// The optional HDFS for Flink's state.
    pub hdfs: HdfsSettings,
    /// The optional metrics stores.
    pub stores: StoreSettings,
}

/// Metrics stores that Flink reports to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StoreSettings {
    /// Whether carbon and graphite-web run, and Flink reports to them.
    pub graphite: bool,
    /// Whether Prometheus runs, and scrapes Flink.
    pub prometheus: bool,
    /// Interval of Flink's reports to carbon, in milliseconds. Prometheus scrapes once per second.
    pub report_interval_ms: u64,
}

impl Default for StoreSettings {
    fn default() -> Self {
        Self { graphite: false, prometheus: false, report_interval_ms: 1_000 }
    }
}

/// Settings of the Kafka broker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KafkaSettings {
    /// Port of the broker on 127.0.0.1; 0: a free one.
    pub port: u16,
    /// Maximum heap of the broker, in MiB.
    pub heap_mib: u32,
    /// Further JVM options of the broker.
    pub jvm_options: Vec<String>,
    /// Further broker settings, which override the testbed's.
    pub settings: BTreeMap<String, String>,
}

/// Settings of the Flink cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FlinkSettings {
    /// Flink's version.
    pub version: String,
    /// Port of the REST interface and web page on 127.0.0.1; 0: a free one.
    pub port: u16,
    /// Initial number of task managers.
    pub task_managers: u32,
    /// Slots per task manager.
    pub task_slots: u32,
    /// Maximum heap of the JobManager, in MiB.
    pub jobmanager_heap_mib: u32,
    /// Task heap of each task manager, in MiB (plus the framework's).
    pub task_heap_mib: u32,
    /// Managed memory of each task manager, in MiB; RocksDB uses it.
    pub managed_memory_mib: u32,
    /// Network buffers of each task manager, in MiB.
    pub network_memory_mib: u32,
    /// Default checkpoint interval of jobs, in milliseconds.
    pub checkpoint_interval_ms: u64,
    /// Further JVM options of the JobManager.
    pub jobmanager_jvm_options: Vec<String>,
    /// Further JVM options of the task managers.
    pub taskmanager_jvm_options: Vec<String>,
    /// Further Flink settings, which override the testbed's.
    pub settings: BTreeMap<String, String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            work_dir: PathBuf::from("run/testbed"),
            cache_dir: None,
            fresh: false,
            fetch_deadline_s: 900,
            start_deadline_s: 120,
            stop_deadline_s: 20,
            kafka: KafkaSettings::default(),
            flink: FlinkSettings::default(),
            hdfs: HdfsSettings::default(),
            stores: StoreSettings::default(),
        }
    }
}

impl Default for KafkaSettings {
    fn default() -> Self {
        Self { port: 0, heap_mib: 512, jvm_options: light_jvm(), settings: BTreeMap::new() }
    }
}

impl Default for FlinkSettings {
    fn default() -> Self {
        Self {
            version: version::DEFAULT.to_owned(),
            port: 0,
            task_managers: 1,
            task_slots: 4,
            jobmanager_heap_mib: 384,
            task_heap_mib: 256,
            managed_memory_mib: 128,
            network_memory_mib: 64,
            checkpoint_interval_ms: 5_000,
            jobmanager_jvm_options: light_jvm(),
            taskmanager_jvm_options: vec![COMPILE_LIGHTLY.to_owned()],
            settings: BTreeMap::new(),
        }
    }
}

/// Compiles bytecode once, lightly. Halves the CPU time of a start (measured: 8.4 → 4.7 s for Kafka, 11.9 → 6.2 s for
/// the JobManager, 10.0 → 4.8 s for a task manager), at the cost of peak throughput.
const COMPILE_LIGHTLY: &str = "-XX:TieredStopAtLevel=1";

fn light_jvm() -> Vec<String> {
    [COMPILE_LIGHTLY, "-XX:+UseSerialGC"].map(str::to_owned).into()
}

/// Invalid settings.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Path of the file.
        path: PathBuf,
        /// The operating system's error.
        #[source]
        source: io::Error,
    },
    /// The file is not TOML, or has an unknown key, or a value of the wrong type.
    #[error("{} is not a testbed configuration", path.display())]
    Parse {
        /// Path of the file.
        path: PathBuf,
        /// Position and cause.
        #[source]
        source: secrets::SyntaxError,
    },
    /// Out-of-range values; one line each.
    #[error("the testbed's settings cannot be used:{0}")]
    Invalid(String),
    /// The current folder, needed to make a path absolute, is unavailable.
    #[error("cannot make {} an absolute path", path.display())]
    Absolute {
        /// Path as given.
        path: PathBuf,
        /// The operating system's error.
        #[source]
        source: io::Error,
    },
}

/// Validated settings, created only by [`Settings::check`].
#[derive(Clone, Debug)]
pub struct Config {
    /// Absolute path of the work folder.
    pub(crate) work_dir: PathBuf,
    /// Absolute path of the folder of downloaded jars.
    pub(crate) cache_dir: PathBuf,
    pub(crate) fresh: bool,
    pub(crate) fetch_deadline: Duration,
    pub(crate) start_deadline: Duration,
    pub(crate) stop_deadline: Duration,
    pub(crate) kafka: KafkaSettings,
    pub(crate) flink: FlinkSettings,
    pub(crate) hdfs: HdfsSettings,
    pub(crate) stores: StoreSettings,
}

/// Settings that the testbed derives itself; overriding them would disconnect it from its own services.
const OWNED_KAFKA_KEYS: [&str; 6] =
    ["advertised.listeners", "controller.quorum.voters", "listeners", "log.dirs", "node.id", "process.roles"];
const OWNED_FLINK_KEYS: [&str; 6] = [
    "jobmanager.rpc.address",
    "jobmanager.rpc.port",
    "rest.address",
    "rest.port",
    "rest.bind-port",
    "taskmanager.resource-id",
];

impl Settings {
    /// Reads a configuration file.
    ///
    /// # Errors
    /// [`ConfigError::Read`] and [`ConfigError::Parse`].
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = files::read_configuration(path)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        secrets::from_toml(&text).map_err(|source| ConfigError::Parse { path: path.to_owned(), source })
    }

    /// Validates all values and makes the paths absolute.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] with all problems at once, or [`ConfigError::Absolute`].
    pub fn check(self) -> Result<Config, ConfigError> {
        let cache_dir = self.cache_dir.clone().or_else(default_cache_dir);
        let mut complaints = self.complaints();
        let cache_dir = cache_dir.unwrap_or_else(|| {
            complaints
                .push("cache_dir: set it, or one of $RESCALER_CACHE_DIR, $XDG_CACHE_HOME, $HOME".to_owned());
            PathBuf::new()
        });
        if !complaints.is_empty() {
            let mut lines = String::new();
            for complaint in complaints {
                let _infallible = write!(lines, "\n  {complaint}");
            }
            return Err(ConfigError::Invalid(lines));
        }
        Ok(Config {
            work_dir: absolute(&self.work_dir)?,
            cache_dir: absolute(&cache_dir)?,
            fresh: self.fresh,
            fetch_deadline: Duration::from_secs(self.fetch_deadline_s),
            start_deadline: Duration::from_secs(self.start_deadline_s),
            stop_deadline: Duration::from_secs(self.stop_deadline_s),
            kafka: self.kafka,
            flink: self.flink,
            hdfs: self.hdfs,
            stores: self.stores,
        })
    }

    fn complaints(&self) -> Vec<String> {
        let mut complaints = Vec::new();
        let mut range = |key: &str, value: u64, least: u64, most: u64| {
            if value < least || value > most {
                complaints.push(format!("{key} = {value}: give a number from {least} to {most}"));
            }
        };
        range("fetch_deadline_s", self.fetch_deadline_s, 1, 86_400);
        range("start_deadline_s", self.start_deadline_s, 1, 3_600);
        range("stop_deadline_s", self.stop_deadline_s, 1, 600);
        range("kafka.heap_mib", self.kafka.heap_mib.into(), 192, 32_768);
        range("flink.task_managers", self.flink.task_managers.into(), 0, 64);
        range("flink.task_slots", self.flink.task_slots.into(), 1, 128);
        range("flink.jobmanager_heap_mib", self.flink.jobmanager_heap_mib.into(), 192, 32_768);
        range("flink.task_heap_mib", self.flink.task_heap_mib.into(), 64, 32_768);
        range("flink.managed_memory_mib", self.flink.managed_memory_mib.into(), 0, 32_768);
        range("flink.network_memory_mib", self.flink.network_memory_mib.into(), 16, 4_096);
        range("stores.report_interval_ms", self.stores.report_interval_ms, 100, 3_600_000);
        range("flink.checkpoint_interval_ms", self.flink.checkpoint_interval_ms, 100, 3_600_000);
        range("hdfs.heap_mib", self.hdfs.heap_mib.into(), 128, 32_768);
        if version::Release::parse(&self.flink.version).is_none() {
            complaints.push("flink.version: give a version from 1.18 on, for example 1.20.5".to_owned());
        }
        if self.flink.version != version::DEFAULT && (self.stores.graphite || self.stores.prometheus) {
            complaints.push(format!("stores: only Flink {} writes to them here", version::DEFAULT));
        }
        complaints.extend(self.port_twice());
        if self.hdfs.enabled && self.work_dir.to_string_lossy().contains(':') {
            complaints.push("work_dir: give a path without a colon, which HDFS cannot use".to_owned());
        }
        // Kafka separates storage folders by commas, Java separates jars by colons.
        if self.work_dir.to_string_lossy().contains([',', '\n']) || self.work_dir.as_os_str().is_empty() {
            complaints.push("work_dir: give a path without a comma or line break".to_owned());
        }
        if self.cache_dir.as_ref().is_some_and(|path| path.to_string_lossy().contains(':')) {
            complaints.push("cache_dir: give a path without a colon".to_owned());
        }
        owned(&mut complaints, "kafka", &self.kafka.settings, &OWNED_KAFKA_KEYS);
        owned(&mut complaints, "flink", &self.flink.settings, &OWNED_FLINK_KEYS);
        owned(&mut complaints, "hdfs", &self.hdfs.settings, &OWNED_HDFS_KEYS);
        complaints
    }

    fn port_twice(&self) -> Option<String> {
        let ports = [
            ("kafka.port", self.kafka.port),
            ("flink.port", self.flink.port),
            ("hdfs.port", self.hdfs.port),
            ("hdfs.http_port", self.hdfs.http_port),
        ];
        let later = |index| ports.iter().skip(index + 1);
        let same = |(index, one): (usize, &(&str, u16))| {
            let other = later(index).find(|other| other.1 == one.1 && one.1 != 0)?;
            Some(format!("{} and {} are the same: change one, or let 0 choose", one.0, other.0))
        };
        ports.iter().enumerate().find_map(same)
    }
}

fn owned(complaints: &mut Vec<String>, table: &str, settings: &BTreeMap<String, String>, owned: &[&str]) {
    for key in settings.keys().filter(|key| owned.contains(&key.as_str())) {
        complaints.push(format!("{table}.settings.\"{key}\": the testbed sets this itself, remove it"));
    }
}

fn absolute(path: &Path) -> Result<PathBuf, ConfigError> {
    std::path::absolute(path).map_err(|source| ConfigError::Absolute { path: path.to_owned(), source })
}

fn default_cache_dir() -> Option<PathBuf> {
    let set = |key| env::var_os(key).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("RESCALER_CACHE_DIR")
        .or_else(|| set("XDG_CACHE_HOME").map(|path| path.join("rescaler")))
        .or_else(|| set("HOME").map(|path| path.join(".cache/rescaler")))
}

impl Config {
    /// Returns these settings as written in a file, with absolute paths.
    #[must_use]
    pub fn settings(&self) -> Settings {
        Settings {
            work_dir: self.work_dir.clone(),
            cache_dir: Some(self.cache_dir.clone()),
            fresh: self.fresh,
            fetch_deadline_s: self.fetch_deadline.as_secs(),
            start_deadline_s: self.start_deadline.as_secs(),
            stop_deadline_s: self.stop_deadline.as_secs(),
            kafka: self.kafka.clone(),
            flink: self.flink.clone(),
            hdfs: self.hdfs.clone(),
            stores: self.stores.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_file_holds_exactly_the_defaults() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/testbed.toml");
        let settings = Settings::load(&path).unwrap();
        assert_eq!(settings, Settings::default());
        settings.check().unwrap();
    }

    #[test]
    fn all_bad_values_are_named_at_once() {
        let mut settings = Settings { start_deadline_s: 0, ..Settings::default() };
        settings.flink.task_slots = 1000;
        settings.flink.settings.insert("rest.port".to_owned(), "1".to_owned());
        settings.kafka.port = 9092;
        settings.flink.port = 9092;
        let message = settings.check().unwrap_err().to_string();
        for part in
            ["start_deadline_s = 0", "flink.task_slots = 1000", "\"rest.port\"", "kafka.port and flink.port"]
        {
            assert!(message.contains(part), "{part} is missing in: {message}");
        }
    }

    #[test]
    fn unknown_keys_are_refused_with_their_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("testbed.toml");
        std::fs::write(&path, "[kafka]\nprot = 9092\n").unwrap();
        let error = Settings::load(&path).unwrap_err();
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.contains("prot") && source.contains("line 2"), "{source}");
    }

    #[test]
    fn settings_survive_a_file() {
        let config = Settings::default().check().unwrap();
        let text = toml::to_string(&config.settings()).unwrap();
        assert_eq!(toml::from_str::<Settings>(&text).unwrap(), config.settings());
    }
}
