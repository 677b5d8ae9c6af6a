//! Optional HDFS: one NameNode and one DataNode on loopback ports, with their data in the work folder, and a client
//! command `hdfs`.
//!
//! They are started by their main classes. Before the first start the NameNode formats its folder, in a JVM of its
//! own (three seconds). Ready means: not in safe mode, with a registered DataNode. There are no web pages, because
//! Hadoop does not publish them as a jar; WebHDFS does not need them.

mod files;
mod settings;

use std::borrow::Cow;
use std::error::Error;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http_client::{Access, Client};
use serde::Deserialize;
use tokio::time::timeout;
use url::Url;

use crate::folder::{WorkFolder, remove_tree};
use crate::jars::JarSet;
use crate::java;
use crate::process::{LaunchError, Launcher, Process, ProcessSpec};
use crate::service::{ServiceError, await_ready};

pub use settings::HdfsSettings;
pub(crate) use settings::OWNED_KEYS;

/// The jars of NameNode, DataNode and command.
pub(crate) const JARS: JarSet =
    JarSet { name: "hdfs", pom: Cow::Borrowed(include_str!("../../assets/hdfs/pom.xml")) };
/// Additional jars for Flink's processes.
pub(crate) const FLINK_JARS: JarSet =
    JarSet { name: "flink-hdfs", pom: Cow::Borrowed(include_str!("../../assets/flink-hdfs/pom.xml")) };
/// Names of the services and their log files.
pub(crate) const NAMENODE: &str = "namenode";
const DATANODE: &str = "datanode";

/// Timeout of one probe of the NameNode during its start; it is retried.
const PROBE_DEADLINE: Duration = Duration::from_secs(2);
/// Size limit of the NameNode's answer, which has a few KiB.
const PROBE_BODY_MAX_BYTES: usize = 1 << 20;
/// Query of the probe: the state of the file system.
const STATE_QUERY: &str = "jmx?qry=Hadoop:service=NameNode,name=FSNamesystemState";

/// Inputs for starting the services; kept to restart a NameNode.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) settings: HdfsSettings,
    pub(crate) folder: WorkFolder,
    pub(crate) launcher: Launcher,
    pub(crate) java: PathBuf,
    pub(crate) lib: PathBuf,
    /// Port of the NameNode for `hdfs://`.
    pub(crate) port: u16,
    /// Port of the NameNode for WebHDFS.
    pub(crate) http_port: u16,
    pub(crate) deadline: Duration,
}

/// A writable file system.
#[derive(Debug)]
pub(crate) struct Hdfs {
    pub(crate) setup: Setup,
    /// The processes of NameNode and DataNode.
    pub(crate) processes: Vec<Process>,
}

/// Settings of the file system for Flink.
#[derive(Debug, Clone)]
pub(crate) struct FlinkFileSystem {
    /// The folder of [`FLINK_JARS`].
    pub(crate) lib: PathBuf,
    /// Folder of Hadoop's configuration, whose replication also applies to Flink's client.
    pub(crate) conf: PathBuf,
    /// URL prefix of Flink's state.
    pub(crate) url: String,
}

impl Setup {
    /// Returns `hdfs://127.0.0.1:PORT`.
    pub(crate) fn url(&self) -> String {
        format!("hdfs://127.0.0.1:{}", self.port)
    }

    /// Returns `http://127.0.0.1:PORT`, the prefix of `/webhdfs/v1/`.
    pub(crate) fn webhdfs_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.http_port)
    }

    /// Formats if necessary, starts both services and waits until files can be written.
    pub(crate) async fn start(self) -> Result<Hdfs, ServiceError> {
        self.configure().map_err(|source| ServiceError::Configure { service: "HDFS", source })?;
        self.format_once().await?;
        let processes = vec![self.launch(NAMENODE)?, self.launch(DATANODE)?];
        let hdfs = Hdfs { setup: self, processes };
        hdfs.setup.await_writable(&hdfs.processes.iter().collect::<Vec<_>>()).await?;
        Ok(hdfs)
    }

    /// Restarts a stopped NameNode; the DataNode reconnects by itself.
    pub(crate) async fn start_namenode(&self) -> Result<Process, ServiceError> {
        let namenode = self.launch(NAMENODE)?;
        self.await_writable(&[&namenode]).await?;
        Ok(namenode)
    }

    fn configure(&self) -> io::Result<()> {
        let conf = self.folder.hadoop_conf();
        // Each server requires a folder for its pages, which may be empty.
        for pages in ["hdfs", "datanode", "static"] {
            fs::create_dir_all(conf.join("webapps").join(pages))?;
        }
        fs::write(conf.join("core-site.xml"), files::core_site(self))?;
        fs::write(conf.join("hdfs-site.xml"), files::hdfs_site(self))?;
        fs::write(conf.join("log4j.properties"), include_str!("../../assets/hdfs/log4j.properties"))?;
        files::write_command(self)
    }

    async fn format_once(&self) -> Result<(), ServiceError> {
        let configure_error = |source| ServiceError::Configure { service: NAMENODE, source };
        // Written last, so that an interrupted format is repeated.
        let formatted = self.folder.hdfs_data().join("formatted");
        if formatted.exists() {
            return Ok(());
        }
        remove_tree(&self.folder.hdfs_data()).map_err(configure_error)?;
        fs::create_dir_all(self.folder.hdfs_data()).map_err(configure_error)?;
        let program = self.program("namenode-format", NAMENODE).args(["-format", "-nonInteractive"]);
        let process = self.launcher.launch(&program)?;
        let status = timeout(self.deadline, process.wait())
            .await
            .map_err(|_late| ServiceError::not_ready(&process, self.deadline))?;
        if !status.success() {
            return Err(ServiceError::ended(&process, status));
        }
        fs::write(&formatted, "").map_err(configure_error)
    }

    fn launch(&self, service: &'static str) -> Result<Process, LaunchError> {
        self.launcher.launch(&self.program(service, service))
    }

    /// Builds the `java` command of a service; the name is that of its log.
    fn program(&self, name: &str, service: &str) -> ProcessSpec {
        let main = match service {
            NAMENODE => "org.apache.hadoop.hdfs.server.namenode.NameNode",
            _ => "org.apache.hadoop.hdfs.server.datanode.DataNode",
        };
        let mut options = vec![
            format!("-Xmx{}m", self.settings.heap_mib),
            // Without it every WebHDFS call fails: its JSON library accesses the JDK by reflection.
            "--add-opens=java.base/java.lang=ALL-UNNAMED".to_owned(),
        ];
        options.extend(self.settings.jvm_options.iter().cloned());
        java::service(name, &self.java, &self.folder, self.class_path(), &options).arg(main)
    }

    /// Builds the class path: configuration and pages first, then the jars.
    fn class_path(&self) -> std::ffi::OsString {
        let mut path = self.folder.hadoop_conf().into_os_string();
        path.push(":");
        path.push(java::jars_of(&[&self.lib]));
        path
    }

    async fn await_writable(&self, processes: &[&Process]) -> Result<(), ServiceError> {
        let failed =
            |source: Box<dyn Error + Send + Sync>| ServiceError::Client { service: NAMENODE, source };
        let settings = http_client::ClientSettings {
            connect_timeout: PROBE_DEADLINE,
            timeout: PROBE_DEADLINE,
            max_body_bytes: PROBE_BODY_MAX_BYTES,
        };
        let http = Client::new(settings, &Access::default(), false).map_err(|error| failed(error.into()))?;
        let url = format!("{}/{STATE_QUERY}", self.webhdfs_url());
        let url: Url = url.parse().map_err(|error: url::ParseError| failed(error.into()))?;
        let Some(namenode) = processes.first() else { return Ok(()) };
        await_ready(processes, namenode, self.deadline, async || is_writable(&http, &url).await).await
    }
}

#[derive(Deserialize)]
struct Beans {
    beans: Vec<FileSystemState>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct FileSystemState {
    num_live_data_nodes: u32,
    #[serde(rename = "FSState")]
    state: String,
}

async fn is_writable(http: &Client, url: &Url) -> bool {
    let answer = async { http.send(http_client::get(url)?).await };
    let Ok(answer) = answer.await else { return false };
    let beans =
        serde_json::from_slice::<Beans>(&answer.body).map_or_else(|_| Vec::new(), |state| state.beans);
    beans.iter().any(|state| state.num_live_data_nodes > 0 && state.state == "Operational")
}

/// Returns Flink's checkpoint or savepoint directory in this file system.
pub(crate) fn flink_folder(url: &str, name: &str) -> String {
    format!("{url}/flink/{name}")
}

/// Returns the command `hdfs` of a work folder.
pub(crate) fn command_of(folder: &Path) -> PathBuf {
    folder.join("bin/hdfs")
}
