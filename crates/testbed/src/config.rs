//! The testbed's configuration: as written ([`TestbedSettings`], TOML), and validated ([`Config`]).
//!
//! All ranges are checked together, and every problem names the key and the remedy. `configs/testbed.toml` documents
//! each key; a test keeps that file and these defaults equal.

use std::collections::BTreeMap;
use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use service::settings::{self, ConfigError, Problems};

use crate::flink::version;
use crate::hdfs::{HdfsSettings, OWNED_KEYS as OWNED_HDFS_KEYS};

/// The testbed's settings as written; the defaults suit a machine with 2 cores and 4 GiB.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TestbedSettings {
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

impl Default for TestbedSettings {
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

/// Validated settings, created only by [`TestbedSettings::check`].
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

impl TestbedSettings {
    /// Reads a configuration file, or takes the defaults.
    ///
    /// # Errors
    /// As [`settings::load`].
    pub fn load(path: Option<&Path>) -> Result<(Self, Problems), ConfigError> {
        settings::load_or_default(path)
    }

    /// Validates all values and makes the paths absolute.
    ///
    /// # Errors
    /// [`ConfigError::Values`] with all problems at once.
    pub fn check(self) -> Result<Config, ConfigError> {
        self.check_with(Problems::new("the testbed's settings"))
    }

    /// Works like [`TestbedSettings::check`], and adds to these problems.
    ///
    /// # Errors
    /// As [`TestbedSettings::check`].
    pub fn check_with(self, mut problems: Problems) -> Result<Config, ConfigError> {
        self.problems(&mut problems);
        let cache_dir = self.cache_dir.clone().or_else(default_cache_dir);
        let variables = "a folder, or set one of $RESCALER_CACHE_DIR, $XDG_CACHE_HOME, $HOME";
        let cache_dir = problems.require("cache_dir", variables, cache_dir);
        let mut absolute = |key, path: Option<PathBuf>| problems.accept(key, std::path::absolute(path?));
        let (work_dir, cache_dir) =
            (absolute("work_dir", Some(self.work_dir.clone())), absolute("cache_dir", cache_dir));
        problems.finish(work_dir.zip(cache_dir).map(|(work_dir, cache_dir)| Config {
            work_dir,
            cache_dir,
            fresh: self.fresh,
            fetch_deadline: Duration::from_secs(self.fetch_deadline_s),
            start_deadline: Duration::from_secs(self.start_deadline_s),
            stop_deadline: Duration::from_secs(self.stop_deadline_s),
            kafka: self.kafka,
            flink: self.flink,
            hdfs: self.hdfs,
            stores: self.stores,
        }))
    }

    fn problems(&self, problems: &mut Problems) {
        let mut range = |key: &str, value: u64, least: u64, most: u64| {
            problems.range(key, value, least..=most);
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
            let remedy = "give a version from 1.18 on, for example 1.20.5";
            problems.refuse("flink.version", format!("{:?}", self.flink.version), remedy);
        }
        if self.flink.version != version::DEFAULT && (self.stores.graphite || self.stores.prometheus) {
            problems.add("stores", format!("need Flink {}", version::DEFAULT));
        }
        problems.extend(self.port_twice());
        if self.hdfs.enabled && self.work_dir.to_string_lossy().contains(':') {
            problems.add("work_dir", "use a path without a colon, which HDFS does not support");
        }
        // Kafka separates storage folders by commas, Java separates jars by colons.
        if self.work_dir.to_string_lossy().contains([',', '\n']) || self.work_dir.as_os_str().is_empty() {
            problems.add("work_dir", "use a path without a comma or line break");
        }
        if self.cache_dir.as_ref().is_some_and(|path| path.to_string_lossy().contains(':')) {
            problems.add("cache_dir", "use a path without a colon");
        }
        owned(problems, "kafka", &self.kafka.settings, &OWNED_KAFKA_KEYS);
        owned(problems, "flink", &self.flink.settings, &OWNED_FLINK_KEYS);
        owned(problems, "hdfs", &self.hdfs.settings, &OWNED_HDFS_KEYS);
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
            Some(format!("{} and {} are equal: change one, or set it to 0 for a free port", one.0, other.0))
        };
        ports.iter().enumerate().find_map(same)
    }
}

fn owned(problems: &mut Problems, table: &str, settings: &BTreeMap<String, String>, owned: &[&str]) {
    for key in settings.keys().filter(|key| owned.contains(&key.as_str())) {
        problems.add(&format!("{table}.settings.\"{key}\""), "set by the testbed, remove it");
    }
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
    pub fn settings(&self) -> TestbedSettings {
        TestbedSettings {
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
        let (settings, _) = TestbedSettings::load(Some(&path)).unwrap();
        assert_eq!(settings, TestbedSettings::default());
        settings.check().unwrap();
    }

    #[test]
    fn all_bad_values_are_named_at_once() {
        let mut settings = TestbedSettings { start_deadline_s: 0, ..TestbedSettings::default() };
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
        let (settings, problems) = TestbedSettings::load(Some(&path)).unwrap();
        let message = settings.check_with(problems).unwrap_err().to_string();
        assert!(message.contains("prot") && message.contains("line 2"), "{message}");
    }

    #[test]
    fn settings_survive_a_file() {
        let config = TestbedSettings::default().check().unwrap();
        let text = toml::to_string(&config.settings()).unwrap();
        assert_eq!(toml::from_str::<TestbedSettings>(&text).unwrap(), config.settings());
    }
}
