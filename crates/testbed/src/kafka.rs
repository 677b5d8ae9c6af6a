//! Kafka: one node that is broker and controller (KRaft), on loopback ports, with its data in the work folder.
//!
//! The broker is started by its main class. Before the first start its storage folder is formatted, in a JVM of its
//! own (two seconds). Ready means: a metadata response lists the broker.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::config::{Config, KafkaSettings};
use crate::folder::{WorkFolder, remove_tree};
use crate::jars::{Fetch, FetchError, JarSet};
use crate::java;
use crate::process::{Launcher, Process, ProcessSpec};
use crate::progress::Progress;
use crate::service::{ServiceError, await_ready};
use crate::topics::BrokerProbe;

/// The broker's jars.
pub(crate) const JARS: JarSet =
    JarSet { name: "kafka", pom: Cow::Borrowed(include_str!("../assets/kafka/pom.xml")) };
/// Names of the service and its log file.
pub(crate) const NAME: &str = "kafka";

/// Command for starting a further broker with other settings.
#[derive(Clone, Debug)]
pub struct KafkaProgram {
    /// Path of `java`.
    pub java: PathBuf,
    /// Class path, the argument of `-cp`.
    pub class_path: OsString,
}

/// Returns `java` and Kafka's class path, downloading the jars if missing.
///
/// # Errors
/// [`FetchError`]: no Java, no Maven, no network, or a cache that cannot be written.
pub async fn provide_kafka(
    config: &Config,
    launcher: &Launcher,
    progress: &Progress<'_>,
) -> Result<KafkaProgram, FetchError> {
    let (cache_dir, deadline) = (config.cache_dir.as_path(), config.fetch_deadline);
    let fetch = Fetch { cache_dir, launcher, deadline, begin: Instant::now(), progress };
    let java = java::find_java()?;
    Ok(KafkaProgram { java, class_path: java::jars_of(&[&fetch.provide(JARS).await?]) })
}

/// Inputs of a start.
pub(crate) struct Start<'a> {
    pub(crate) settings: &'a KafkaSettings,
    pub(crate) folder: &'a WorkFolder,
    pub(crate) launcher: &'a Launcher,
    pub(crate) java: &'a Path,
    pub(crate) lib: &'a Path,
    /// Port of the broker.
    pub(crate) port: u16,
    /// Port of the controller, used only by the broker itself.
    pub(crate) controller_port: u16,
    pub(crate) deadline: Duration,
}

/// A running broker.
#[derive(Debug)]
pub(crate) struct Kafka {
    pub(crate) process: Process,
    /// `host:port`.
    pub(crate) bootstrap: String,
}

impl Start<'_> {
    /// Formats the storage if necessary, starts the broker and waits until it answers.
    pub(crate) async fn run(&self) -> Result<Kafka, ServiceError> {
        let configure_error = |source| ServiceError::Configure { service: NAME, source };
        let properties = self.folder.conf().join("server.properties");
        let text = render(self.settings, self.port, self.controller_port, &self.folder.kafka_data());
        fs::write(&properties, text).map_err(configure_error)?;
        // Written last, so that an interrupted format is repeated.
        let formatted = self.folder.kafka_data().join("formatted");
        if !formatted.exists() {
            remove_tree(&self.folder.kafka_data()).map_err(configure_error)?;
            self.format(&properties, cluster_id().map_err(configure_error)?).await?;
            fs::write(&formatted, "").map_err(configure_error)?;
        }
        let mut options = vec![format!("-Xmx{}m", self.settings.heap_mib), "-Xms192m".to_owned()];
        options.extend(self.settings.jvm_options.iter().cloned());
        let program = self.java_service(NAME, &options).arg("kafka.Kafka").arg(&properties);
        let process = self.launcher.launch(&program)?;
        let bootstrap = format!("127.0.0.1:{}", self.port);
        let probe = BrokerProbe::new(&bootstrap)
            .map_err(|error| ServiceError::Client { service: NAME, source: error.into() })?;
        await_ready(&[&process], &process, self.deadline, async || probe.answers().await).await?;
        Ok(Kafka { process, bootstrap })
    }

    async fn format(&self, properties: &Path, cluster_id: String) -> Result<(), ServiceError> {
        // A short-lived JVM: compilation would not pay off.
        let program = self
            .java_service("kafka-format", &["-Xmx128m".to_owned(), "-XX:TieredStopAtLevel=1".to_owned()])
            .args(["kafka.tools.StorageTool", "format", "--cluster-id", &cluster_id, "--config"])
            .arg(properties);
        let process = self.launcher.launch(&program)?;
        let status = timeout(self.deadline, process.wait())
            .await
            .map_err(|_late| ServiceError::not_ready(&process, self.deadline))?;
        if status.success() { Ok(()) } else { Err(ServiceError::ended(&process, status)) }
    }

    fn java_service(&self, name: &str, options: &[String]) -> ProcessSpec {
        java::service(name, self.java, self.folder, java::jars_of(&[self.lib]), options)
    }
}

/// Renders `server.properties`: the testbed's settings, then the user's.
fn render(settings: &KafkaSettings, port: u16, controller_port: u16, data: &Path) -> String {
    let mut all: BTreeMap<&str, String> = [
        ("process.roles", "broker,controller".to_owned()),
        ("node.id", "1".to_owned()),
        ("controller.quorum.voters", format!("1@127.0.0.1:{controller_port}")),
        ("controller.listener.names", "CONTROLLER".to_owned()),
        ("inter.broker.listener.name", "PLAINTEXT".to_owned()),
        ("listeners", format!("PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}")),
        ("advertised.listeners", format!("PLAINTEXT://127.0.0.1:{port}")),
        ("log.dirs", escape(data)),
        // A misspelt topic must be an error, not a new topic.
        ("auto.create.topics.enable", "false".to_owned()),
        // One node cannot replicate.
        ("offsets.topic.replication.factor", "1".to_owned()),
        ("transaction.state.log.replication.factor", "1".to_owned()),
        ("transaction.state.log.min.isr", "1".to_owned()),
        ("share.coordinator.state.topic.replication.factor", "1".to_owned()),
        ("share.coordinator.state.topic.min.isr", "1".to_owned()),
        // Internal topics have 50 partitions by default, which cost files and start time.
        ("offsets.topic.num.partitions", "4".to_owned()),
        ("transaction.state.log.num.partitions", "4".to_owned()),
        // Consumers need not wait for further group members.
        ("group.initial.rebalance.delay.ms", "0".to_owned()),
        // Limits for disk and memory of a small machine.
        ("log.retention.bytes", (2_u64 << 30).to_string()),
        ("log.segment.bytes", (128 << 20).to_string()),
        ("log.cleaner.dedupe.buffer.size", (16 << 20).to_string()),
        ("num.network.threads", "2".to_owned()),
        ("num.io.threads", "4".to_owned()),
    ]
    .into();
    all.extend(settings.settings.iter().map(|(key, value)| (key.as_str(), value.clone())));
    all.iter().map(|(key, value)| format!("{key}={value}\n")).collect()
}

/// Escapes a path for Java properties, where a backslash is special.
fn escape(path: &Path) -> String {
    path.to_string_lossy().replace('\\', "\\\\")
}

/// Generates a new cluster id: 22 characters of base64, here hexadecimal digits.
fn cluster_id() -> io::Result<String> {
    let uuid = fs::read_to_string("/proc/sys/kernel/random/uuid")?;
    Ok(uuid.chars().filter(char::is_ascii_hexdigit).take(22).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_have_the_ports_and_the_users_wishes() {
        let mut settings = KafkaSettings::default();
        settings.settings.insert("log.retention.bytes".to_owned(), "1000".to_owned());
        settings.settings.insert("num.partitions".to_owned(), "3".to_owned());
        let text = render(&settings, 9092, 9093, Path::new("/w/a b\\c"));
        for line in [
            "advertised.listeners=PLAINTEXT://127.0.0.1:9092",
            "controller.quorum.voters=1@127.0.0.1:9093",
            "listeners=PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093",
            "log.dirs=/w/a b\\\\c",
            "log.retention.bytes=1000",
            "num.partitions=3",
        ] {
            assert!(text.lines().any(|candidate| candidate == line), "{line} is missing in\n{text}");
        }
        assert_eq!(text.matches("log.retention.bytes").count(), 1);
    }

    #[test]
    fn cluster_ids_are_22_characters_and_differ() {
        let (one, two) = (cluster_id().unwrap(), cluster_id().unwrap());
        assert_eq!(one.len(), 22);
        assert_ne!(one, two);
    }
}
