//! One control loop on a cluster: its topics, configurations and programs.

use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use testbed::Testbed;
use testbed::process::{Process, ProcessSpec};
use thiserror::Error;

use crate::localise::{Addresses, TenantNames};

/// Topics that the event producer writes.
const INPUT_TOPICS: [&str; 7] = [
    "personEvents",
    "itemEvents",
    "auctionEvents",
    "bidEvents",
    "PSM_CLICKS",
    "PSM_IMPRESSIONS",
    "PSM_SEARCH",
];
/// Topics that the jobs write.
const OUTPUT_TOPICS: [&str; 4] =
    ["nexmark_results", "nexmark_dead_letters", "psm_results", "psm_dead_letters"];

/// A cluster or a tenant could not be set up.
#[derive(Debug, Error)]
pub enum TestClusterError {
    /// A program of the project, or the job, has not been built.
    #[error("{} is missing; build it with `{command}`", path.display())]
    NotBuilt {
        /// Expected path.
        path: PathBuf,
        /// Command that builds it.
        command: &'static str,
    },
    /// A file or folder of the work folder cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// Path of the file or folder.
        path: PathBuf,
        /// The operating system's error.
        #[source]
        source: io::Error,
    },
    /// No free port.
    #[error("no free port on 127.0.0.1")]
    Port(#[source] io::Error),
    /// The settings derived from the options are invalid.
    #[error("the testbed rejects the cluster's settings")]
    Settings(#[from] testbed::ConfigError),
    /// The testbed did not start.
    #[error("the testbed did not start")]
    Start(#[from] testbed::StartError),
    /// A topic could not be created.
    #[error("could not create a topic")]
    Topic(#[from] testbed::TopicError),
    /// A program of the project could not be started.
    #[error("could not start a program")]
    Launch(#[from] testbed::process::LaunchError),
}

/// Options of a tenant.
#[derive(Debug, Clone)]
pub struct TenantOptions {
    /// Names that separate it from other tenants.
    pub names: TenantNames,
    /// Its subfolder of the cluster's folder; empty: the cluster's folder itself.
    pub folder: PathBuf,
    /// Folder of the project's built programs.
    pub programs_dir: PathBuf,
    /// The Flink job's jar.
    pub jar: PathBuf,
    /// Partitions of each input topic.
    pub partitions: u16,
}

/// One control loop on a running cluster. Keeps the cluster alive.
#[derive(Debug)]
pub struct Tenant {
    testbed: Arc<Testbed>,
    options: TenantOptions,
    work_dir: PathBuf,
    drop_url: String,
    page: String,
}

impl Tenant {
    pub(crate) async fn new(
        testbed: Arc<Testbed>,
        cluster_dir: &Path,
        options: TenantOptions,
    ) -> Result<Self, TestClusterError> {
        if !options.jar.is_file() {
            let command = "mvn --file flink-jobs/pom.xml package";
            return Err(TestClusterError::NotBuilt { path: options.jar, command });
        }
        let work_dir = cluster_dir.join(&options.folder);
        for folder in ["conf", "logs"].map(|name| work_dir.join(name)) {
            std::fs::create_dir_all(&folder)
                .map_err(|source| TestClusterError::Write { path: folder, source })?;
        }
        for topic in INPUT_TOPICS {
            testbed.create_topic(&options.names.own(topic), options.partitions).await?;
        }
        for topic in OUTPUT_TOPICS {
            testbed.create_topic(&options.names.own(topic), 1).await?;
        }
        let port = || free_port().map_err(TestClusterError::Port);
        let (drop_url, page) = (format!("http://127.0.0.1:{}", port()?), format!("127.0.0.1:{}", port()?));
        Ok(Self { testbed, options, work_dir, drop_url, page })
    }

    /// Returns the underlying testbed.
    pub fn testbed(&self) -> &Testbed {
        &self.testbed
    }

    /// Returns this tenant's name of a topic, job or consumer group.
    pub fn own(&self, name: &str) -> String {
        self.options.names.own(name)
    }

    /// Returns the number of partitions of each input topic.
    pub fn partitions(&self) -> u16 {
        self.options.partitions
    }

    /// Returns the URL of the config drop, valid once it is started.
    pub fn drop_url(&self) -> &str {
        &self.drop_url
    }

    /// Returns the URL of the rescaler's HTTP server, valid once it is started.
    pub fn page_url(&self) -> String {
        format!("http://{}/", self.page)
    }

    /// Returns the folder of all files of this tenant.
    pub fn work_dir(&self) -> &Path {
        &self.work_dir
    }

    /// Returns the path of the Flink job's jar.
    pub fn jar(&self) -> &Path {
        &self.options.jar
    }

    /// Replaces default addresses and names in a text by this tenant's.
    pub fn localise(&self, text: &str) -> String {
        let addresses = Addresses {
            names: &self.options.names,
            kafka: self.testbed.kafka_bootstrap(),
            flink: &self.testbed.flink_url(),
            drop: &self.drop_url,
            page: &self.page,
            folder: &self.work_dir,
            jar: &self.options.jar,
        };
        addresses.localise(text)
    }

    /// Writes a configuration with this tenant's addresses and names, and returns its path.
    ///
    /// # Errors
    /// [`TestClusterError::Write`].
    pub fn write_config(&self, name: &str, text: &str) -> Result<PathBuf, TestClusterError> {
        let path = self.work_dir.join("conf").join(name);
        std::fs::write(&path, self.localise(text))
            .map_err(|source| TestClusterError::Write { path: path.clone(), source })?;
        Ok(path)
    }

    /// Describes a program of the project, which logs to `logs/<name>.log`.
    ///
    /// # Errors
    /// [`TestClusterError::NotBuilt`].
    pub fn program(&self, name: &str) -> Result<ProcessSpec, TestClusterError> {
        let executable = self.options.programs_dir.join(name);
        if !executable.is_file() {
            return Err(TestClusterError::NotBuilt { path: executable, command: "cargo build" });
        }
        let log_file = self.work_dir.join("logs").join(format!("{name}.log"));
        Ok(ProcessSpec::new(name, executable, log_file).current_dir(&self.work_dir))
    }

    /// Starts a program as a child of this process.
    ///
    /// # Errors
    /// [`TestClusterError::Launch`].
    pub fn launch(&self, program: &ProcessSpec) -> Result<Process, TestClusterError> {
        Ok(self.testbed.launcher().launch(program)?)
    }
}

/// Returns a port of 127.0.0.1 that is currently unused.
///
/// # Errors
/// There is none.
pub fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
