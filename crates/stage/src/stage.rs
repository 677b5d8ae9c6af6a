//! The stage: a running testbed, and our programs beside it with configurations that name its addresses.
//!
//! Configuration files are written for the default ports, so that each is valid as it stands; on the stage the default
//! addresses in them are replaced by the ones that were free.

use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use testbed::process::{Process, Program};
use testbed::{Settings, Testbed};
use thiserror::Error;

const DEFAULT_KAFKA: &str = "127.0.0.1:9092";
const DEFAULT_FLINK: &str = "http://127.0.0.1:8081";
const DEFAULT_DROP: &str = "http://127.0.0.1:8460";
const DEFAULT_PAGE: &str = "127.0.0.1:8462";

/// What the event producer writes.
const INPUT_TOPICS: [&str; 7] = [
    "personEvents",
    "itemEvents",
    "auctionEvents",
    "bidEvents",
    "PSM_CLICKS",
    "PSM_IMPRESSIONS",
    "PSM_SEARCH",
];
/// What the jobs write.
const OUTPUT_TOPICS: [&str; 4] =
    ["nexmark_results", "nexmark_dead_letters", "psm_results", "psm_dead_letters"];

/// Flink keeps only as many records between two tasks as they handle in this time. By default it keeps a fixed number of
/// bytes, which an artificially slow operator needs several seconds for: every latency and every savepoint would show that
/// queue instead of the load.
const BUFFER_DEBLOATING: [(&str, &str); 2] = [
    ("taskmanager.network.memory.buffer-debloat.enabled", "true"),
    ("taskmanager.network.memory.buffer-debloat.target", "300 ms"),
];

/// Why the stage could not be set.
#[derive(Debug, Error)]
pub enum StageError {
    /// A program of ours has not been built.
    #[error("{} is missing; build it with `{command}`", path.display())]
    NotBuilt {
        /// Where it should be.
        path: PathBuf,
        /// What builds it.
        command: &'static str,
    },
    /// A file or folder of the work folder cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// No free port.
    #[error("no free port on 127.0.0.1")]
    Port(#[source] io::Error),
    /// The testbed's settings are wrong.
    #[error("the testbed's settings")]
    Settings(#[from] testbed::ConfigError),
    /// The testbed did not start.
    #[error("the testbed did not start")]
    Start(#[from] testbed::StartError),
    /// A topic could not be made.
    #[error("a topic could not be made")]
    Topic(#[from] testbed::TopicError),
    /// A program of ours could not be started.
    #[error("a program could not be started")]
    Launch(#[from] testbed::process::LaunchError),
}

/// What to set up.
#[derive(Debug, Clone)]
pub struct StageOptions {
    /// Where everything lies: `testbed/`, `conf/`, `logs/`, and what our programs write.
    pub work_dir: PathBuf,
    /// Where our programs lie.
    pub programs_dir: PathBuf,
    /// The Flink job.
    pub jar: PathBuf,
    /// Task managers of the cluster.
    pub task_managers: u32,
    /// Slots of each task manager.
    pub task_slots: u32,
    /// Partitions of each input topic.
    pub partitions: u16,
    /// What else is set up.
    pub beside: Beside,
}

/// What the loop can do without; by default nothing.
#[derive(Debug, Clone, Default)]
pub struct Beside {
    /// Stores of metrics.
    pub stores: testbed::StoreSettings,
    /// Whether Flink keeps its state in an HDFS.
    pub hdfs: bool,
}

/// A running testbed with room for our programs. Everything ends with it.
#[derive(Debug)]
pub struct Stage {
    testbed: Testbed,
    options: StageOptions,
    drop_url: String,
    page: String,
}

impl Stage {
    /// Starts Kafka and Flink (and HDFS) and makes the topics of both benchmarks.
    ///
    /// # Errors
    /// See [`StageError`].
    pub async fn set(options: StageOptions, progress: &testbed::Progress<'_>) -> Result<Self, StageError> {
        if !options.jar.is_file() {
            let command = "mvn --file flink-jobs/pom.xml package";
            return Err(StageError::NotBuilt { path: options.jar, command });
        }
        for folder in ["conf", "logs"].map(|name| options.work_dir.join(name)) {
            std::fs::create_dir_all(&folder).map_err(|source| StageError::Write { path: folder, source })?;
        }
        let mut settings =
            Settings { work_dir: options.work_dir.join("testbed"), fresh: true, ..Settings::default() };
        settings.hdfs.enabled = options.beside.hdfs;
        settings.flink.task_managers = options.task_managers;
        settings.flink.task_slots = options.task_slots;
        settings.stores = options.beside.stores.clone();
        settings
            .flink
            .settings
            .extend(BUFFER_DEBLOATING.map(|(key, value)| (key.to_owned(), value.to_owned())));
        let testbed = Testbed::start(settings.check()?, progress).await?;
        for topic in INPUT_TOPICS {
            testbed.create_topic(topic, options.partitions).await?;
        }
        for topic in OUTPUT_TOPICS {
            testbed.create_topic(topic, 1).await?;
        }
        let port = || free_port().map_err(StageError::Port);
        let (drop_url, page) = (format!("http://127.0.0.1:{}", port()?), format!("127.0.0.1:{}", port()?));
        Ok(Self { testbed, options, drop_url, page })
    }

    /// The running Kafka and Flink.
    pub fn testbed(&self) -> &Testbed {
        &self.testbed
    }

    /// Where the config drop listens, or will.
    pub fn drop_url(&self) -> &str {
        &self.drop_url
    }

    /// Where the rescaler's page is, or will be.
    pub fn page_url(&self) -> String {
        format!("http://{}/", self.page)
    }

    /// Where everything lies.
    pub fn work_dir(&self) -> &Path {
        &self.options.work_dir
    }

    /// Where the job's jar lies.
    pub fn jar(&self) -> &Path {
        &self.options.jar
    }

    /// A text with the stage's addresses in place of the default ones.
    pub fn localise(&self, text: &str) -> String {
        text.replace(DEFAULT_KAFKA, self.testbed.kafka_bootstrap())
            .replace(DEFAULT_FLINK, &self.testbed.flink_url())
            .replace(DEFAULT_DROP, &self.drop_url)
            .replace(DEFAULT_DROP.trim_start_matches("http://"), self.drop_url.trim_start_matches("http://"))
            .replace(DEFAULT_PAGE, &self.page)
            .replace("\"run/", &format!("\"{}/", self.options.work_dir.display()))
            .replace("\"flink-jobs/target/flink-jobs.jar\"", &format!("\"{}\"", self.options.jar.display()))
    }

    /// Writes a configuration with the stage's addresses and returns its path.
    ///
    /// # Errors
    /// [`StageError::Write`].
    pub fn write_config(&self, name: &str, text: &str) -> Result<PathBuf, StageError> {
        let path = self.options.work_dir.join("conf").join(name);
        std::fs::write(&path, self.localise(text))
            .map_err(|source| StageError::Write { path: path.clone(), source })?;
        Ok(path)
    }

    /// One of our programs, logging to `logs/<name>.log`.
    ///
    /// # Errors
    /// [`StageError::NotBuilt`].
    pub fn program(&self, name: &str) -> Result<Program, StageError> {
        let executable = self.options.programs_dir.join(name);
        if !executable.is_file() {
            return Err(StageError::NotBuilt { path: executable, command: "cargo build" });
        }
        let log_file = self.options.work_dir.join("logs").join(format!("{name}.log"));
        Ok(Program::new(name, executable, log_file).current_dir(&self.options.work_dir))
    }

    /// Starts a program as a child that ends with the stage.
    ///
    /// # Errors
    /// [`StageError::Launch`].
    pub fn launch(&self, program: &Program) -> Result<Process, StageError> {
        Ok(self.testbed.launcher().launch(program)?)
    }

    /// Ends the testbed in order.
    pub async fn strike(self) {
        // What cannot be ended politely is killed when the value is dropped.
        let _ended = self.testbed.stop().await;
    }
}

/// A port of this machine that nobody listens on now.
///
/// # Errors
/// The system has none.
pub fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
