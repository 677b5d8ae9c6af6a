//! A running testbed: its addresses, its task managers, and its shutdown. `start.rs` starts it.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::sleep;

use crate::config::Config;
use crate::flink::Flink;
use crate::folder::{FolderLock, WorkFolder};
use crate::hdfs::{self, Hdfs};
use crate::identity::ProcessIdentity;
use crate::kafka::Kafka;
use crate::process::{Launcher, Process};
use crate::progress::Progress;
use crate::requests;
use crate::service::ServiceError;
use crate::start::{self, Ports, StartError, Started, Starter, Stores};
use crate::state::{Phase, Service, StateError, TestbedState};
use crate::topics::{self, TopicError};

/// Poll interval of a task manager that another request is starting.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// A failed operation on a running testbed.
#[derive(Debug, thiserror::Error)]
pub enum TestbedError {
    /// There is no service of this name.
    #[error("unknown service {0}")]
    UnknownService(String),
    /// The service has ended.
    #[error("{0} has exited")]
    Ended(String),
    /// The id is invalid for a task manager.
    #[error(
        "invalid task manager id {0:?}; use at most 32 lower-case letters, digits and '-', and not the name of another service"
    )]
    BadId(String),
    /// A new task manager did not become ready.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// The scratch files of a task manager cannot be deleted.
    #[error("cannot remove the scratch folder of {id}")]
    Scratch {
        /// Id of the task manager.
        id: String,
        /// The operating system's error.
        #[source]
        source: io::Error,
    },
    /// The state file cannot be written.
    #[error(transparent)]
    State(#[from] StateError),
}

/// Real Kafka and Flink, running as children of this process. Dropping it kills them; [`Testbed::stop`] stops them in
/// order.
#[derive(Debug)]
pub struct Testbed {
    folder: WorkFolder,
    stop_deadline: Duration,
    launcher: Launcher,
    kafka: Kafka,
    flink: Flink,
    hdfs: Option<hdfs::Setup>,
    stores: Stores,
    task_managers: Mutex<TaskManagers>,
    /// Listens before the state file reports a ready testbed, so that early clients wait instead of failing.
    requests: UnixListener,
    _ports: Ports,
    _lock: FolderLock,
}

#[derive(Debug)]
struct TaskManagers {
    /// Ids that are being started by name.
    starting: BTreeSet<String>,
    /// In start order; ended ones stay until they are stopped or killed by name, so that their end is reported.
    running: Vec<Process>,
    last_number: u32,
    /// NameNode and DataNode, if HDFS is enabled.
    hdfs: Vec<Process>,
    state: TestbedState,
}

impl Testbed {
    /// Starts all services and waits until they answer, downloading missing jars first.
    ///
    /// # Errors
    /// [`StartError`]; no process is left running, not even if the future is dropped.
    pub async fn start(config: Config, progress: &Progress<'_>) -> Result<Self, StartError> {
        let folder = WorkFolder::new(config.work_dir.clone());
        let lock = start::claim(&folder, config.fresh).await?;
        let requests = requests::listen(folder.root()).map_err(StartError::Control)?;
        let own =
            ProcessIdentity::own().ok_or_else(|| StartError::Control(io::ErrorKind::NotFound.into()))?;
        let mut state = TestbedState::starting(own, folder.checkpoints(), folder.savepoints());
        state.write(&folder.state_file())?;

        let launcher = Launcher::new().map_err(StartError::Control)?;
        let starter = Starter { config: &config, folder: &folder, launcher: &launcher, progress };
        let Started { kafka, mut flink, hdfs, stores, ports } = starter.run().await?;
        let running = std::mem::take(&mut flink.task_managers);
        state.phase = Phase::Ready;
        state.kafka_bootstrap = Some(kafka.bootstrap.clone());
        state.flink_url = Some(flink.setup.url());
        let (hdfs, hdfs_processes) = hdfs.map(|Hdfs { setup, processes }| (setup, processes)).unzip();
        state.hdfs_url = hdfs.as_ref().map(hdfs::Setup::url);
        state.webhdfs_url = hdfs.as_ref().map(hdfs::Setup::webhdfs_url);
        let testbed = Self {
            stop_deadline: config.stop_deadline,
            folder,
            launcher,
            kafka,
            flink,
            hdfs,
            stores,
            task_managers: Mutex::new(TaskManagers {
                starting: BTreeSet::new(),
                running,
                last_number: config.flink.task_managers,
                hdfs: hdfs_processes.unwrap_or_default(),
                state,
            }),
            requests,
            _ports: ports,
            _lock: lock,
        };
        testbed.write_state(&mut *testbed.task_managers.lock().await)?;
        Ok(testbed)
    }

    /// Returns `host:port` of the Kafka broker.
    #[must_use]
    pub fn kafka_bootstrap(&self) -> &str {
        &self.kafka.bootstrap
    }

    /// Returns the URL of Flink's REST interface, `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn flink_url(&self) -> String {
        self.flink.setup.url()
    }

    /// Returns the URL of graphite-web, if enabled.
    #[must_use]
    pub fn graphite_url(&self) -> Option<&str> {
        self.stores.graphite.as_ref().map(|graphite| graphite.url.as_str())
    }

    /// Returns the folder of carbon's Whisper files, if enabled.
    #[must_use]
    pub fn whisper_dir(&self) -> Option<&Path> {
        self.stores.graphite.as_ref().map(|graphite| graphite.whisper_dir.as_path())
    }

    /// Returns the URL of Prometheus, if enabled.
    #[must_use]
    pub fn prometheus_url(&self) -> Option<&str> {
        self.stores.prometheus.as_ref().map(|prometheus| prometheus.url.as_str())
    }

    /// Returns the work folder; see the crate's documentation for its layout.
    #[must_use]
    pub fn work_dir(&self) -> &Path {
        self.folder.root()
    }

    /// Returns `hdfs://127.0.0.1:PORT`, if HDFS is enabled.
    #[must_use]
    pub fn hdfs_url(&self) -> Option<String> {
        self.hdfs.as_ref().map(hdfs::Setup::url)
    }

    /// Returns the URL of the NameNode for WebHDFS, `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn webhdfs_url(&self) -> Option<String> {
        self.hdfs.as_ref().map(hdfs::Setup::webhdfs_url)
    }

    /// Returns the path of the command `hdfs`, which exists only with HDFS.
    #[must_use]
    pub fn hdfs_command(&self) -> PathBuf {
        hdfs::command_of(self.folder.root())
    }

    /// Returns Flink's checkpoint directory, `file://…` or `hdfs://…`.
    #[must_use]
    pub fn checkpoints_url(&self) -> String {
        self.flink.setup.checkpoints_url()
    }

    /// Returns Flink's savepoint directory, `file://…` or `hdfs://…`.
    #[must_use]
    pub fn savepoints_url(&self) -> String {
        self.flink.setup.savepoints_url()
    }

    /// Returns the log file of a service (`kafka`, `jobmanager`, `tm-1`), or of a further program's name.
    #[must_use]
    pub fn log_file(&self, service: &str) -> PathBuf {
        self.folder.log_of(service)
    }

    /// Returns the launcher for further programs, which end with this process; see [`crate::process`].
    #[must_use]
    pub fn launcher(&self) -> &Launcher {
        &self.launcher
    }

    /// Creates a topic.
    ///
    /// # Errors
    /// [`TopicError`]; mainly for a duplicate name.
    pub async fn create_topic(&self, name: &str, partitions: u16) -> Result<(), TopicError> {
        topics::create_topic(&self.kafka.bootstrap, name, partitions).await
    }

    /// Returns the ids of the running task managers in start order. Flink's REST interface uses the same ids.
    pub async fn task_managers(&self) -> Vec<String> {
        let task_managers = self.task_managers.lock().await;
        let running = task_managers.running.iter().filter(|process| process.status().is_none());
        running.map(|process| process.name().to_owned()).collect()
    }

    /// Starts another task manager, waits until it has registered, and returns its id. Ids are never reused.
    ///
    /// # Errors
    /// [`TestbedError::Service`] or [`TestbedError::State`].
    pub async fn start_task_manager(&self) -> Result<String, TestbedError> {
        let id = {
            let mut task_managers = self.task_managers.lock().await;
            task_managers.last_number += 1;
            format!("tm-{}", task_managers.last_number)
        };
        // Without the lock: several may start at once, and others may end meanwhile.
        let process = self.flink.add_task_manager(&id).await?;
        let mut task_managers = self.task_managers.lock().await;
        task_managers.running.push(process);
        self.write_state(&mut task_managers)?;
        Ok(id)
    }

    /// Ensures that the task manager with this id runs and has registered. Idempotent, also for concurrent calls.
    /// Returns whether it was started.
    ///
    /// # Errors
    /// [`TestbedError::BadId`], [`TestbedError::Service`] or [`TestbedError::State`].
    pub async fn ensure_task_manager(&self, id: &str) -> Result<bool, TestbedError> {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let is_taken = self.fixed_services().iter().any(|process| process.name() == id);
        if id.is_empty() || id.len() > 32 || !id.chars().all(allowed) || is_taken {
            return Err(TestbedError::BadId(id.to_owned()));
        }
        while !self.claim_start(id).await {
            if self.task_managers().await.iter().any(|running| running == id) {
                return Ok(false);
            }
            // Another request is starting it.
            sleep(POLL_INTERVAL).await;
        }
        let added = self.flink.add_task_manager(id).await;
        let mut task_managers = self.task_managers.lock().await;
        task_managers.starting.remove(id);
        task_managers.running.push(added?);
        self.write_state(&mut task_managers)?;
        Ok(true)
    }

    /// Whether the caller must start it: it neither runs nor is being started.
    async fn claim_start(&self, id: &str) -> bool {
        let mut task_managers = self.task_managers.lock().await;
        let runs = |process: &Process| process.name() == id && process.status().is_none();
        if task_managers.running.iter().any(runs) || !task_managers.starting.insert(id.to_owned()) {
            return false;
        }
        // An ended one is replaced.
        task_managers.running.retain(|process| process.name() != id);
        let number = id.strip_prefix("tm-").and_then(|number| number.parse().ok()).unwrap_or(0);
        task_managers.last_number = task_managers.last_number.max(number);
        true
    }

    /// Ensures that the task manager with this id does not run. Returns whether it was stopped.
    ///
    /// # Errors
    /// [`TestbedError::Scratch`] or [`TestbedError::State`].
    pub async fn retire_task_manager(&self, id: &str) -> Result<bool, TestbedError> {
        while self.task_managers.lock().await.starting.contains(id) {
            sleep(POLL_INTERVAL).await;
        }
        match self.stop_task_manager(id).await {
            Ok(()) => Ok(true),
            Err(TestbedError::UnknownService(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Serves requests of other processes (`testbed add-task-manager` and `testbed stop-task-manager`) until the
    /// future is dropped, including those queued since the start; see [`crate::requests`]. A testbed started by
    /// `testbed up` does so by itself.
    ///
    /// # Errors
    /// The system has no descriptor left.
    pub async fn serve_requests(&self) -> io::Result<()> {
        requests::serve(self, self.requests.try_clone()?).await
    }

    /// Stops a task manager (SIGTERM) and waits until it has ended.
    ///
    /// # Errors
    /// [`TestbedError`]; mainly [`TestbedError::UnknownService`].
    pub async fn stop_task_manager(&self, id: &str) -> Result<(), TestbedError> {
        let process = self.take_task_manager(id).await?;
        process.stop(self.stop_deadline).await;
        self.forget_task_manager(id).await
    }

    /// Kills a task manager (SIGKILL), to simulate a crash, and waits until it has ended.
    ///
    /// # Errors
    /// [`TestbedError`]; mainly [`TestbedError::UnknownService`].
    pub async fn kill_task_manager(&self, id: &str) -> Result<(), TestbedError> {
        let process = self.take_task_manager(id).await?;
        process.kill().await;
        self.forget_task_manager(id).await
    }

    /// Stops the NameNode (SIGTERM); HDFS is unavailable until [`Testbed::start_namenode`].
    ///
    /// # Errors
    /// [`TestbedError::UnknownService`] if there is none.
    pub async fn stop_namenode(&self) -> Result<(), TestbedError> {
        let unknown = || TestbedError::UnknownService(hdfs::NAMENODE.to_owned());
        let mut task_managers = self.task_managers.lock().await;
        let position = task_managers.hdfs.iter().position(|process| process.name() == hdfs::NAMENODE);
        let namenode = task_managers.hdfs.remove(position.ok_or_else(unknown)?);
        namenode.stop(self.stop_deadline).await;
        Ok(self.write_state(&mut task_managers)?)
    }

    /// Restarts the NameNode and waits until files can be written.
    ///
    /// # Errors
    /// [`TestbedError`]; mainly [`TestbedError::UnknownService`] without HDFS.
    pub async fn start_namenode(&self) -> Result<(), TestbedError> {
        let unknown = || TestbedError::UnknownService(hdfs::NAMENODE.to_owned());
        let namenode = self.hdfs.as_ref().ok_or_else(unknown)?.start_namenode().await?;
        let mut task_managers = self.task_managers.lock().await;
        task_managers.hdfs.insert(0, namenode);
        Ok(self.write_state(&mut task_managers)?)
    }

    /// Pauses a service (SIGSTOP) until [`Testbed::resume`].
    ///
    /// # Errors
    /// [`TestbedError::UnknownService`] and [`TestbedError::Ended`].
    pub async fn pause(&self, service: &str) -> Result<(), TestbedError> {
        self.with_service(service, Process::pause).await
    }

    /// Resumes a paused service.
    ///
    /// # Errors
    /// [`TestbedError::UnknownService`] and [`TestbedError::Ended`].
    pub async fn resume(&self, service: &str) -> Result<(), TestbedError> {
        self.with_service(service, Process::resume).await
    }

    /// Returns the services that have ended unexpectedly.
    pub async fn ended_services(&self) -> Vec<String> {
        let task_managers = self.task_managers.lock().await;
        let all = self.fixed_services().into_iter().chain(&task_managers.hdfs).chain(&task_managers.running);
        let ended = all.filter_map(|process| Some((process.name(), process.status()?)));
        ended.map(|(name, status)| format!("{name} ({status})")).collect()
    }

    /// Stops everything in order: task managers, JobManager, Kafka, HDFS; each is killed at its deadline.
    ///
    /// # Errors
    /// [`StateError`] if the state file cannot be written; the services are stopped even then.
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
        for store in self.fixed_services().into_iter().skip(2) {
            store.stop(self.stop_deadline).await;
        }
        // The DataNode first: it would wait for its NameNode.
        for process in task_managers.hdfs.iter().rev() {
            process.stop(self.stop_deadline).await;
        }
        written
    }

    fn fixed_services(&self) -> Vec<&Process> {
        let mut all = vec![&self.kafka.process, &self.flink.jobmanager];
        all.extend(self.stores.graphite.iter().flat_map(|graphite| [&graphite.carbon, &graphite.web]));
        all.extend(self.stores.prometheus.as_ref().map(|prometheus| &prometheus.process));
        all
    }

    async fn with_service(&self, name: &str, act: impl Fn(&Process) -> bool) -> Result<(), TestbedError> {
        let task_managers = self.task_managers.lock().await;
        let mut all =
            self.fixed_services().into_iter().chain(&task_managers.hdfs).chain(&task_managers.running);
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
        let all = self.fixed_services().into_iter().chain(&task_managers.hdfs).chain(&task_managers.running);
        let service = |process: &Process| Service {
            name: process.name().to_owned(),
            process: process.identity(),
            log: process.log_file().to_owned(),
        };
        task_managers.state.services = all.map(service).collect();
        task_managers.state.write(&self.folder.state_file())
    }
}
