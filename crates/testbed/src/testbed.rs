//! One running testbed: the order of starts and stops, and the handles in between.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::Mutex;

use crate::config::Config;
use crate::flink::{Flink, JOBMANAGER, Setup};
use crate::folder::{FolderLock, WorkFolder};
use crate::identity::ProcessIdentity;
use crate::jars::{Fetch, FetchError};
use crate::java::{MissingProgram, find_java};
use crate::kafka::{self, Kafka};
use crate::ports;
use crate::process::{Launcher, Process};
use crate::progress::Progress;
use crate::service::ServiceError;
use crate::state::{Phase, Service, State, StateError};
use crate::topics::{self, TopicError};

/// How often a start is tried when a free port was taken by someone else before its service got it.
const START_ATTEMPTS: u32 = 3;

/// The testbed could not be started; nothing of it runs.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another process runs a testbed in this work folder.
    #[error("a testbed is already up in {}: end it with `testbed down`, or choose another work folder", work_dir.display())]
    AlreadyUp {
        /// The work folder.
        work_dir: PathBuf,
    },
    /// The work folder cannot be used.
    #[error("cannot use the work folder {}", work_dir.display())]
    WorkDir {
        /// The work folder.
        work_dir: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A program of the system is missing.
    #[error(transparent)]
    Missing(#[from] MissingProgram),
    /// The jars are not to be had.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// A port that the settings ask for is taken.
    #[error(
        "port {port} is in use, and {key} asks for it: end what listens there, or set {key} to 0 for a free one"
    )]
    PortInUse {
        /// The port.
        port: u16,
        /// The setting.
        key: &'static str,
    },
    /// A port cannot be tried, or none is free.
    #[error("cannot find or try ports")]
    Ports(#[source] io::Error),
    /// The system has no thread, or no process entry, for the testbed.
    #[error("cannot set up process control")]
    Control(#[source] io::Error),
    /// A service did not become ready.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// The state file cannot be written.
    #[error(transparent)]
    State(#[from] StateError),
}

/// Something was asked of a running testbed that it could not do.
#[derive(Debug, thiserror::Error)]
pub enum TestbedError {
    /// There is no service of this name.
    #[error("there is no service {0}")]
    UnknownService(String),
    /// The service has ended.
    #[error("{0} has ended")]
    Ended(String),
    /// A new task manager did not become ready.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// What a task manager left behind cannot be removed.
    #[error("cannot remove the scratch folder of {id}")]
    Scratch {
        /// The task manager.
        id: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The state file cannot be written.
    #[error(transparent)]
    State(#[from] StateError),
}

/// Real Kafka and Flink, running as children of this process. Dropping it kills them; [`Testbed::stop`] is kinder.
#[derive(Debug)]
pub struct Testbed {
    folder: WorkFolder,
    stop_deadline: Duration,
    launcher: Launcher,
    kafka: Kafka,
    flink: Flink,
    task_managers: Mutex<TaskManagers>,
    _lock: FolderLock,
}

#[derive(Debug)]
struct TaskManagers {
    /// In the order of their start; ended ones stay until they are stopped or killed by name, so that their end is seen.
    running: Vec<Process>,
    last_number: u32,
    state: State,
}

impl Testbed {
    /// Starts all services and waits until they answer; downloads their jars before, if that was never done.
    ///
    /// # Errors
    /// [`StartError`]; whatever had been started is gone then. The same holds if the future is dropped.
    pub async fn start(config: Config, progress: &Progress<'_>) -> Result<Self, StartError> {
        let folder = WorkFolder::new(config.work_dir.clone());
        let work_dir_error = |source| StartError::WorkDir { work_dir: config.work_dir.clone(), source };
        let lock = folder.try_lock().map_err(work_dir_error)?;
        let lock = lock.ok_or_else(|| StartError::AlreadyUp { work_dir: config.work_dir.clone() })?;
        folder.prepare(config.fresh).map_err(work_dir_error)?;
        let own =
            ProcessIdentity::own().ok_or_else(|| StartError::Control(io::ErrorKind::NotFound.into()))?;
        let mut state = State::starting(own, folder.checkpoints(), folder.savepoints());
        state.write(&folder.state_file())?;

        let launcher = Launcher::new().map_err(StartError::Control)?;
        let (kafka, mut flink) =
            Starter { config: &config, folder: &folder, launcher: &launcher, progress }.run().await?;
        let task_managers = std::mem::take(&mut flink.task_managers);
        state.phase = Phase::Ready;
        state.kafka_bootstrap = Some(kafka.bootstrap.clone());
        state.flink_url = Some(flink.setup.url());
        let task_managers =
            TaskManagers { running: task_managers, last_number: config.flink.task_managers, state };
        let testbed = Self {
            folder,
            stop_deadline: config.stop_deadline,
            launcher,
            kafka,
            flink,
            task_managers: Mutex::new(task_managers),
            _lock: lock,
        };
        testbed.write_state(&mut *testbed.task_managers.lock().await)?;
        Ok(testbed)
    }

    /// `host:port` of the Kafka broker.
    #[must_use]
    pub fn kafka_bootstrap(&self) -> &str {
        &self.kafka.bootstrap
    }

    /// Address of Flink's REST interface, `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn flink_url(&self) -> String {
        self.flink.setup.url()
    }

    /// The work folder; see the crate's documentation for its layout.
    #[must_use]
    pub fn work_dir(&self) -> &Path {
        self.folder.root()
    }

    /// Where Flink keeps checkpoints.
    #[must_use]
    pub fn checkpoint_dir(&self) -> PathBuf {
        self.folder.checkpoints()
    }

    /// Where Flink keeps savepoints.
    #[must_use]
    pub fn savepoint_dir(&self) -> PathBuf {
        self.folder.savepoints()
    }

    /// The log file of a service (`kafka`, `jobmanager`, `tm-1`), or of any name of a program of one's own.
    #[must_use]
    pub fn log_file(&self, service: &str) -> PathBuf {
        self.folder.log_of(service)
    }

    /// Starts further programs that end with this process; see [`crate::process`].
    #[must_use]
    pub fn launcher(&self) -> &Launcher {
        &self.launcher
    }

    /// Creates a topic.
    ///
    /// # Errors
    /// [`TopicError`]; above all that there is one of this name.
    pub async fn create_topic(&self, name: &str, partitions: u16) -> Result<(), TopicError> {
        topics::create_topic(&self.kafka.bootstrap, name, partitions).await
    }

    /// The ids of the task managers that run, in the order of their start. The same ids are used in Flink's REST interface.
    pub async fn task_managers(&self) -> Vec<String> {
        let task_managers = self.task_managers.lock().await;
        let running = task_managers.running.iter().filter(|process| process.status().is_none());
        running.map(|process| process.name().to_owned()).collect()
    }

    /// Starts one more task manager, waits until it has registered, and gives its id. Ids are never used twice.
    ///
    /// # Errors
    /// [`TestbedError::Service`] or [`TestbedError::State`].
    pub async fn start_task_manager(&self) -> Result<String, TestbedError> {
        let id = {
            let mut task_managers = self.task_managers.lock().await;
            task_managers.last_number += 1;
            format!("tm-{}", task_managers.last_number)
        };
        // Not under the lock: several may start at once, and others may end meanwhile.
        let process = self.flink.add_task_manager(&id).await?;
        let mut task_managers = self.task_managers.lock().await;
        task_managers.running.push(process);
        self.write_state(&mut task_managers)?;
        Ok(id)
    }

    /// Ends a task manager politely and waits until it is gone.
    ///
    /// # Errors
    /// [`TestbedError`]; above all [`TestbedError::UnknownService`].
    pub async fn stop_task_manager(&self, id: &str) -> Result<(), TestbedError> {
        let process = self.take_task_manager(id).await?;
        process.stop(self.stop_deadline).await;
        self.forget_task_manager(id).await
    }

    /// Kills a task manager (SIGKILL), as a crash would, and waits until it is gone.
    ///
    /// # Errors
    /// [`TestbedError`]; above all [`TestbedError::UnknownService`].
    pub async fn kill_task_manager(&self, id: &str) -> Result<(), TestbedError> {
        let process = self.take_task_manager(id).await?;
        process.kill().await;
        self.forget_task_manager(id).await
    }

    /// Stops the world for a service (SIGSTOP) until [`Testbed::resume`].
    ///
    /// # Errors
    /// [`TestbedError::UnknownService`] and [`TestbedError::Ended`].
    pub async fn pause(&self, service: &str) -> Result<(), TestbedError> {
        self.with_service(service, Process::pause).await
    }

    /// Lets a paused service go on.
    ///
    /// # Errors
    /// [`TestbedError::UnknownService`] and [`TestbedError::Ended`].
    pub async fn resume(&self, service: &str) -> Result<(), TestbedError> {
        self.with_service(service, Process::resume).await
    }

    /// The services that have ended without having been asked to.
    pub async fn ended_services(&self) -> Vec<String> {
        let task_managers = self.task_managers.lock().await;
        let all = self.fixed_services().into_iter().chain(&task_managers.running);
        let ended = all.filter_map(|process| Some((process.name(), process.status()?)));
        ended.map(|(name, status)| format!("{name} ({status})")).collect()
    }

    /// Ends everything politely: task managers, then the JobManager, then Kafka; each is killed at its deadline.
    ///
    /// # Errors
    /// [`StateError`] when the state file cannot be written; everything has ended all the same.
    pub async fn stop(self) -> Result<(), StateError> {
        let mut task_managers = self.task_managers.lock().await;
        task_managers.state.phase = Phase::Stopping;
        let written = task_managers.state.write(&self.folder.state_file());
        let ends = std::mem::take(&mut task_managers.running).into_iter().map(|process| {
            let deadline = self.stop_deadline;
            tokio::spawn(async move { process.stop(deadline).await })
        });
        for end in ends.collect::<Vec<_>>() {
            // A task that cannot be joined has dropped its process, which is then dead as well.
            let _joined = end.await;
        }
        self.flink.jobmanager.stop(self.stop_deadline).await;
        self.kafka.process.stop(self.stop_deadline).await;
        let removed = std::fs::remove_file(self.folder.state_file());
        written.and(removed.map_err(|source| StateError::Write { path: self.folder.state_file(), source }))
    }

    fn fixed_services(&self) -> [&Process; 2] {
        debug_assert_eq!(self.flink.jobmanager.name(), JOBMANAGER);
        [&self.kafka.process, &self.flink.jobmanager]
    }

    async fn with_service(&self, name: &str, act: impl Fn(&Process) -> bool) -> Result<(), TestbedError> {
        let task_managers = self.task_managers.lock().await;
        let mut all = self.fixed_services().into_iter().chain(&task_managers.running);
        let process = all.find(|process| process.name() == name);
        let process = process.ok_or_else(|| TestbedError::UnknownService(name.to_owned()))?;
        if act(process) { Ok(()) } else { Err(TestbedError::Ended(name.to_owned())) }
    }

    async fn take_task_manager(&self, id: &str) -> Result<Process, TestbedError> {
        let mut task_managers = self.task_managers.lock().await;
        let position = task_managers.running.iter().position(|process| process.name() == id);
        let position = position.ok_or_else(|| TestbedError::UnknownService(id.to_owned()))?;
        Ok(task_managers.running.remove(position))
    }

    async fn forget_task_manager(&self, id: &str) -> Result<(), TestbedError> {
        let scratch_error = |source| TestbedError::Scratch { id: id.to_owned(), source };
        self.flink.clear_scratch(id).map_err(scratch_error)?;
        Ok(self.write_state(&mut *self.task_managers.lock().await)?)
    }

    fn write_state(&self, task_managers: &mut TaskManagers) -> Result<(), StateError> {
        let all = self.fixed_services().into_iter().chain(&task_managers.running);
        let service = |process: &Process| Service {
            name: process.name().to_owned(),
            process: process.identity(),
            log: process.log_file().to_owned(),
        };
        task_managers.state.services = all.map(service).collect();
        task_managers.state.write(&self.folder.state_file())
    }
}

/// Downloads only: afterwards a start needs no network.
///
/// # Errors
/// [`StartError::Fetch`] and [`StartError::Control`].
pub async fn fetch(config: &Config, progress: &Progress<'_>) -> Result<(), StartError> {
    let launcher = Launcher::new().map_err(StartError::Control)?;
    provide_jars(config, &launcher, progress).await?;
    Ok(())
}

/// The folders of Kafka's and Flink's jars.
async fn provide_jars(
    config: &Config,
    launcher: &Launcher,
    progress: &Progress<'_>,
) -> Result<(PathBuf, PathBuf), FetchError> {
    let fetch = Fetch { cache_dir: &config.cache_dir, launcher, deadline: config.fetch_deadline, progress };
    Ok((fetch.provide(kafka::JARS).await?, fetch.provide(crate::flink::JARS).await?))
}

struct Starter<'a> {
    config: &'a Config,
    folder: &'a WorkFolder,
    launcher: &'a Launcher,
    progress: &'a Progress<'a>,
}

impl Starter<'_> {
    async fn run(&self) -> Result<(Kafka, Flink), StartError> {
        let java = find_java()?;
        for (port, key) in [(self.config.kafka.port, "kafka.port"), (self.config.flink.port, "flink.port")] {
            if port != 0 && !ports::is_free(port).map_err(StartError::Ports)? {
                return Err(StartError::PortInUse { port, key });
            }
        }
        let (kafka_lib, flink_lib) = provide_jars(self.config, self.launcher, self.progress).await?;
        let logging = include_str!("../assets/log4j.properties");
        std::fs::write(self.folder.conf().join("log4j.properties"), logging)
            .map_err(|source| ServiceError::Configure { service: "logging", source })?;
        let mut attempt = 1;
        loop {
            match self.start_services(&java, &kafka_lib, &flink_lib).await {
                Err(StartError::Service(error)) if error.is_port_taken() && attempt < START_ATTEMPTS => {
                    (self.progress)("a port was taken by another process, starting over with others");
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    /// Kafka and Flink start side by side; if one fails, the other is dropped and thereby killed.
    async fn start_services(
        &self,
        java: &Path,
        kafka_lib: &Path,
        flink_lib: &Path,
    ) -> Result<(Kafka, Flink), StartError> {
        let [kafka_port, controller_port, rest_port, rpc_port] = ports::free().map_err(StartError::Ports)?;
        let chosen = |wanted: u16, free: u16| if wanted == 0 { free } else { wanted };
        let kafka = kafka::Start {
            settings: &self.config.kafka,
            folder: self.folder,
            launcher: self.launcher,
            java,
            lib: kafka_lib,
            port: chosen(self.config.kafka.port, kafka_port),
            controller_port,
            deadline: self.config.start_deadline,
        };
        let flink = Setup {
            settings: self.config.flink.clone(),
            folder: self.folder.clone(),
            launcher: self.launcher.clone(),
            java: java.to_owned(),
            lib: flink_lib.to_owned(),
            rest_port: chosen(self.config.flink.port, rest_port),
            rpc_port,
            deadline: self.config.start_deadline,
        };
        (self.progress)("starting Kafka and Flink");
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
        tokio::try_join!(kafka, flink)
    }
}
