//! Start of a testbed: claim the work folder, download, choose ports, start the services side by side.

use std::io;
use std::path::{Path, PathBuf};

use tokio::time::{Duration, Instant, sleep};

use crate::config::Config;
use crate::flink::{self, Flink, Setup};
use crate::folder::{FolderLock, WorkFolder};
use crate::graphite::{self, Graphite};
use crate::hdfs::{self, FlinkFileSystem, Hdfs};
use crate::jars::{Fetch, FetchError};
use crate::java::{MissingProgram, find_java, find_prometheus};
use crate::kafka::{self, Kafka};
use crate::ports::Port;
use crate::process::Launcher;
use crate::progress::Progress;
use crate::prometheus::{self, Prometheus, REPORTER_PORTS};
use crate::service::ServiceError;
use crate::state::{StateError, TestbedState};

/// Timeout of the folder lock: a killed supervisor holds it until its last threads have ended.
const LOCK_DEADLINE: Duration = Duration::from_secs(5);
const LOCK_POLL: Duration = Duration::from_millis(20);

/// Number of attempts when a chosen port is taken by another program.
const START_ATTEMPTS: u32 = 3;

/// The testbed could not be started; no process of it is left running.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another process runs a testbed in this work folder.
    #[error("a testbed is already up in {}: stop it with `testbed down`, or use another --work folder", work_dir.display())]
    AlreadyUp {
        /// Path of the work folder.
        work_dir: PathBuf,
    },
    /// The work folder is unusable.
    #[error("cannot use the work folder {}", work_dir.display())]
    WorkDir {
        /// Path of the work folder.
        work_dir: PathBuf,
        /// The operating system's error.
        #[source]
        source: io::Error,
    },
    /// A required system program is missing.
    #[error(transparent)]
    Missing(#[from] MissingProgram),
    /// The jars are unavailable.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// A configured port is in use.
    #[error(
        "{key}: port {port} is in use; stop the program that listens there, or set {key} to 0 for a free port"
    )]
    PortInUse {
        /// The port.
        port: u16,
        /// The setting.
        key: &'static str,
    },
    /// A port cannot be tested, or none is free.
    #[error("cannot find free ports")]
    Ports(#[source] io::Error),
    /// A thread or process identity for the testbed is unavailable.
    #[error("cannot set up process control")]
    Control(#[source] io::Error),
    /// A service did not become ready.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// The state file cannot be written.
    #[error(transparent)]
    State(#[from] StateError),
}

/// Locks the work folder for this process and creates its folders.
pub(crate) async fn claim(folder: &WorkFolder, fresh: bool) -> Result<FolderLock, StartError> {
    let lock = lock(folder).await?;
    folder
        .prepare(fresh)
        .map_err(|source| StartError::WorkDir { work_dir: folder.root().to_owned(), source })?;
    Ok(lock)
}

/// Takes the lock of the work folder; waits for it if the process in the state file has ended.
async fn lock(folder: &WorkFolder) -> Result<FolderLock, StartError> {
    let work_dir = || folder.root().to_owned();
    let deadline = Instant::now() + LOCK_DEADLINE;
    loop {
        let lock =
            folder.try_lock().map_err(|source| StartError::WorkDir { work_dir: work_dir(), source })?;
        if let Some(lock) = lock {
            return Ok(lock);
        }
        let holder = TestbedState::read(&folder.state_file());
        let is_up = holder.map_or(true, |state| state.is_some_and(|state| state.supervisor.is_alive()));
        if is_up || Instant::now() >= deadline {
            return Err(StartError::AlreadyUp { work_dir: work_dir() });
        }
        sleep(LOCK_POLL).await;
    }
}

/// Downloads all packages, after which a start needs no network.
///
/// # Errors
/// [`StartError::Fetch`] and [`StartError::Control`].
pub async fn fetch(config: &Config, progress: &Progress<'_>) -> Result<(), StartError> {
    let launcher = Launcher::new().map_err(StartError::Control)?;
    provide(config, &launcher, progress).await?;
    Ok(())
}

/// Folders of jars, and the `python` with Graphite.
struct Libs {
    kafka: PathBuf,
    flink: PathBuf,
    /// With HDFS: its own jars, and the additional ones for Flink.
    hdfs: Option<(PathBuf, PathBuf)>,
    graphite: Option<PathBuf>,
}

async fn provide(config: &Config, launcher: &Launcher, progress: &Progress<'_>) -> Result<Libs, FetchError> {
    let (deadline, begin) = (config.fetch_deadline, Instant::now());
    let fetch = Fetch { cache_dir: &config.cache_dir, launcher, deadline, begin, progress };
    let hdfs = match config.hdfs.enabled {
        true => Some((fetch.provide(hdfs::JARS).await?, fetch.provide(hdfs::FLINK_JARS).await?)),
        false => None,
    };
    let kafka = fetch.provide(kafka::JARS).await?;
    let flink = fetch.provide(flink::version::jars(&config.flink.version)).await?;
    let graphite = match config.stores.graphite {
        true => Some(fetch.provide_python(graphite::PACKAGES).await?),
        false => None,
    };
    Ok(Libs { kafka, flink, hdfs, graphite })
}

/// Inputs of a start.
pub(crate) struct Starter<'a> {
    pub(crate) config: &'a Config,
    pub(crate) folder: &'a WorkFolder,
    pub(crate) launcher: &'a Launcher,
    pub(crate) progress: &'a Progress<'a>,
}

/// The running services, and the claims on their ports.
pub(crate) struct Started {
    pub(crate) kafka: Kafka,
    pub(crate) flink: Flink,
    pub(crate) hdfs: Option<Hdfs>,
    pub(crate) stores: Stores,
    pub(crate) ports: Ports,
}

/// The configured metrics stores.
#[derive(Debug)]
pub(crate) struct Stores {
    pub(crate) graphite: Option<Graphite>,
    pub(crate) prometheus: Option<Prometheus>,
}

/// The claimed ports of one testbed.
#[derive(Debug)]
pub(crate) struct Ports {
    kafka: Port,
    kafka_controller: Port,
    flink: Port,
    flink_rpc: Port,
    hdfs: Option<(Port, Port)>,
    /// Ports of carbon's line receiver, its two internal interfaces, and graphite-web.
    graphite: Vec<Port>,
    prometheus: Vec<Port>,
    reporters: Vec<Port>,
}

impl Ports {
    fn claim(config: &Config) -> Result<Self, StartError> {
        let claim = |key, wanted| {
            Port::claim(wanted).map_err(|error| match error.kind() {
                io::ErrorKind::AddrInUse if wanted != 0 => StartError::PortInUse { port: wanted, key },
                _ => StartError::Ports(error),
            })
        };
        let several = |count| (0..count).map(|_| claim("", 0)).collect::<Result<Vec<_>, _>>();
        Ok(Self {
            kafka: claim("kafka.port", config.kafka.port)?,
            kafka_controller: claim("", 0)?,
            flink: claim("flink.port", config.flink.port)?,
            flink_rpc: claim("", 0)?,
            hdfs: match &config.hdfs {
                hdfs if hdfs.enabled => {
                    Some((claim("hdfs.port", hdfs.port)?, claim("hdfs.http_port", hdfs.http_port)?))
                }
                _ => None,
            },
            graphite: several(if config.stores.graphite { 4 } else { 0 })?,
            prometheus: several(usize::from(config.stores.prometheus))?,
            reporters: several(if config.stores.prometheus { REPORTER_PORTS } else { 0 })?,
        })
    }
}

/// Kafka, Flink and, if configured, HDFS.
type Engines = (Kafka, Flink, Option<Hdfs>);

fn started((kafka, flink, hdfs): Engines, stores: Stores, ports: Ports) -> Started {
    Started { kafka, flink, hdfs, stores, ports }
}

impl Starter<'_> {
    /// Starts Kafka and Flink; retries with other ports if one was taken in between.
    pub(crate) async fn run(&self) -> Result<Started, StartError> {
        let java = find_java()?;
        // Claimed first, so that a taken port is reported before a long download.
        let mut ports = Ports::claim(self.config)?;
        let libs = provide(self.config, self.launcher, self.progress).await?;
        let logging = include_str!("../assets/log4j.properties");
        std::fs::write(self.folder.conf().join("log4j.properties"), logging)
            .map_err(|source| ServiceError::Configure { service: "logging", source })?;
        for _ in 1..START_ATTEMPTS {
            match self.start_services(&java, &libs, &ports).await {
                Err(StartError::Service(error)) if error.is_port_taken() => {
                    (self.progress)("another process took a port; restarting with other ports");
                    ports = Ports::claim(self.config)?;
                }
                result => {
                    return result.map(|(engines, stores)| started(engines, stores, ports));
                }
            }
        }
        let (engines, stores) = self.start_services(&java, &libs, &ports).await?;
        Ok(started(engines, stores, ports))
    }

    /// Starts all services, stores first, because Flink's reporter connects when Flink starts.
    async fn start_services(
        &self,
        java: &Path,
        libs: &Libs,
        ports: &Ports,
    ) -> Result<(Engines, Stores), StartError> {
        let stores = self.start_stores(libs, ports).await?;
        Ok((self.start_engines(java, libs, ports).await?, stores))
    }

    async fn start_stores(&self, libs: &Libs, ports: &Ports) -> Result<Stores, StartError> {
        let (folder, launcher, deadline) = (self.folder, self.launcher, self.config.start_deadline);
        let numbers = |ports: &[Port]| ports.iter().map(Port::number).collect::<Vec<u16>>();
        let mut stores = Stores { graphite: None, prometheus: None };
        if let (Some(python), [line_port, pickle, query, http_port]) =
            (&libs.graphite, numbers(&ports.graphite).as_slice())
        {
            let (line_port, inner_ports, http_port) = (*line_port, [*pickle, *query], *http_port);
            let start =
                graphite::Start { folder, launcher, python, line_port, inner_ports, http_port, deadline };
            let graphite = start.run().await?;
            (self.progress)(&format!("Graphite answers on {}", graphite.url));
            stores.graphite = Some(graphite);
        }
        if let [port] = numbers(&ports.prometheus).as_slice() {
            let (program, reporter_ports) = (find_prometheus()?, numbers(&ports.reporters));
            let (program, reporter_ports) = (program.as_path(), reporter_ports.as_slice());
            let start =
                prometheus::Start { folder, launcher, program, port: *port, reporter_ports, deadline };
            let prometheus = start.run().await?;
            (self.progress)(&format!("Prometheus answers on {}", prometheus.url));
            stores.prometheus = Some(prometheus);
        }
        Ok(stores)
    }

    /// Starts Kafka, Flink and HDFS side by side; if one fails, the others are dropped and thereby killed.
    async fn start_engines(&self, java: &Path, libs: &Libs, ports: &Ports) -> Result<Engines, StartError> {
        let kafka = kafka::Start {
            settings: &self.config.kafka,
            folder: self.folder,
            launcher: self.launcher,
            java,
            lib: &libs.kafka,
            port: ports.kafka.number(),
            controller_port: ports.kafka_controller.number(),
            deadline: self.config.start_deadline,
        };
        let hdfs = self.hdfs_setup(java, libs, ports);
        let flink = Setup {
            settings: self.config.flink.clone(),
            folder: self.folder.clone(),
            launcher: self.launcher.clone(),
            java: java.to_owned(),
            lib: libs.flink.clone(),
            hdfs: hdfs.as_ref().zip(libs.hdfs.as_ref()).map(|(hdfs, (_, lib))| FlinkFileSystem {
                lib: lib.clone(),
                conf: self.folder.hadoop_conf(),
                url: hdfs.url(),
            }),
            rest_port: ports.flink.number(),
            rpc_port: ports.flink_rpc.number(),
            reporter_ports: ports.reporters.iter().map(Port::number).collect(),
            carbon: ports.graphite.first().map(|port| (port.number(), self.config.stores.report_interval_ms)),
            deadline: self.config.start_deadline,
        };
        let also = if hdfs.is_some() { ", and HDFS" } else { "" };
        (self.progress)(&format!("starting Kafka and Flink{also}"));
        let kafka = async {
            let kafka = kafka.run().await?;
            (self.progress)(&format!("Kafka answers on {}", kafka.bootstrap));
            Ok::<_, StartError>(kafka)
        };
        let flink = async {
            let flink = flink.start().await?;
            let count = flink.task_managers.len();
            (self.progress)(&format!("Flink answers on {} with {count} task managers", flink.setup.url()));
            Ok::<_, StartError>(flink)
        };
        let hdfs = async {
            let Some(setup) = hdfs else { return Ok(None) };
            let hdfs = setup.start().await?;
            (self.progress)(&format!(
                "HDFS answers on {} and {}",
                hdfs.setup.url(),
                hdfs.setup.webhdfs_url()
            ));
            Ok::<_, StartError>(Some(hdfs))
        };
        tokio::try_join!(kafka, flink, hdfs)
    }

    fn hdfs_setup(&self, java: &Path, libs: &Libs, ports: &Ports) -> Option<hdfs::Setup> {
        let ((port, http_port), (lib, _)) = ports.hdfs.as_ref().zip(libs.hdfs.as_ref())?;
        Some(hdfs::Setup {
            settings: self.config.hdfs.clone(),
            folder: self.folder.clone(),
            launcher: self.launcher.clone(),
            java: java.to_owned(),
            lib: lib.clone(),
            port: port.number(),
            http_port: http_port.number(),
            deadline: self.config.start_deadline,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::ProcessIdentity;

    /// Goal: a lock whose holder has ended is waited for; one whose holder runs is an error.
    #[tokio::test]
    async fn the_lock_of_a_dying_supervisor_is_waited_for() {
        let temp = tempfile::tempdir().unwrap();
        let folder = WorkFolder::new(temp.path().join("work"));
        let held = folder.try_lock().unwrap().unwrap();
        let (claimed, ()) = tokio::join!(claim(&folder, false), async {
            tokio::task::yield_now().await;
            drop(held);
        });
        let own = ProcessIdentity::own().unwrap();
        let state = TestbedState::starting(own, folder.checkpoints(), folder.savepoints());
        state.write(&folder.state_file()).unwrap();
        let second = claim(&folder, false).await;
        assert!(matches!(second, Err(StartError::AlreadyUp { .. })), "{second:?}");
        drop(claimed.unwrap());
    }
}
