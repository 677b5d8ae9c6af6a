//! The engines: a running testbed that tenants share.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use testbed::{Settings, Testbed};

use crate::tenant::{StageError, Tenant, TenantOptions};

/// Flink keeps only as many records between two tasks as they handle in this time. By default it keeps a fixed number of
/// bytes, which an artificially slow operator needs several seconds for: every latency and every savepoint would show that
/// queue instead of the load.
const BUFFER_DEBLOATING: [(&str, &str); 2] = [
    ("taskmanager.network.memory.buffer-debloat.enabled", "true"),
    ("taskmanager.network.memory.buffer-debloat.target", "300 ms"),
];

/// On a busy machine a process may not run for many seconds, which must not count as its death. A killed task manager is noticed
/// all the same, by two requests that it does not take.
const PATIENT: [(&str, &str); 2] = [("heartbeat.timeout", "60000"), ("pekko.ask.timeout", "60 s")];

/// How long the engines may take to answer, in seconds. A quiet machine of two cores needs 20; a test must not fail on a busy one.
const START_DEADLINE_S: u64 = 300;

/// What to start.
#[derive(Debug, Clone)]
pub struct ClusterOptions {
    /// Folder of everything that the cluster and its tenants write.
    pub work_dir: PathBuf,
    /// Task managers to start with.
    pub task_managers: u32,
    /// Slots of each task manager.
    pub task_slots: u32,
    /// How many jobs the memory of a task manager is meant for at a time.
    pub jobs: u32,
    /// Services beside Kafka and Flink.
    pub extras: Extras,
}

/// Services that a loop can do without; by default none.
#[derive(Debug, Clone, Default)]
pub struct Extras {
    /// Stores of metrics.
    pub stores: testbed::StoreSettings,
    /// Whether Flink keeps its state in an HDFS.
    pub hdfs: bool,
}

/// A running Kafka and Flink. All of it ends when the last of cluster and tenants is dropped; [`TestCluster::shutdown`] ends it
/// in order.
#[derive(Debug)]
pub struct TestCluster {
    testbed: Arc<Testbed>,
    work_dir: PathBuf,
}

impl TestCluster {
    /// Starts the engines and waits until they answer.
    ///
    /// # Errors
    /// [`StageError`]; nothing runs then.
    pub async fn start(
        options: ClusterOptions,
        progress: &testbed::Progress<'_>,
    ) -> Result<Self, StageError> {
        let mut settings =
            Settings { work_dir: options.work_dir.join("testbed"), fresh: true, ..Settings::default() };
        settings.start_deadline_s = START_DEADLINE_S;
        settings.hdfs.enabled = options.extras.hdfs;
        settings.stores = options.extras.stores;
        let flink = &mut settings.flink;
        flink.task_managers = options.task_managers;
        flink.task_slots = options.task_slots;
        flink.task_heap_mib *= options.jobs;
        flink.managed_memory_mib *= options.jobs;
        flink.network_memory_mib *= options.jobs;
        let more = BUFFER_DEBLOATING.into_iter().chain(PATIENT);
        flink.settings.extend(more.map(|(key, value)| (key.to_owned(), value.to_owned())));
        let testbed = Testbed::start(settings.check()?, progress).await?;
        Ok(Self { testbed: Arc::new(testbed), work_dir: options.work_dir })
    }

    /// The engines.
    pub fn testbed(&self) -> &Testbed {
        &self.testbed
    }

    /// Folder of everything that the cluster and its tenants write.
    pub fn work_dir(&self) -> &Path {
        &self.work_dir
    }

    /// Makes room for one loop: its folder and its topics.
    ///
    /// # Errors
    /// [`StageError`]; above all that there is a tenant of this name already.
    pub async fn tenant(&self, options: TenantOptions) -> Result<Tenant, StageError> {
        Tenant::new(Arc::clone(&self.testbed), &self.work_dir, options).await
    }

    /// Starts or stops task managers until this many run.
    ///
    /// # Errors
    /// A task manager does not start or cannot be stopped.
    pub async fn resize(&self, task_managers: usize) -> Result<(), testbed::TestbedError> {
        loop {
            let running = self.testbed.task_managers().await;
            match running.last() {
                _ if running.len() < task_managers => {
                    self.testbed.start_task_manager().await?;
                }
                Some(newest) if running.len() > task_managers => {
                    self.testbed.stop_task_manager(newest).await?;
                }
                _ => return Ok(()),
            }
        }
    }

    /// Ends the engines in order, if no tenant is left; else they are killed when the last tenant is dropped.
    pub async fn shutdown(self) {
        if let Some(testbed) = Arc::into_inner(self.testbed) {
            // What cannot be ended in order is killed when the value is dropped.
            let _ended = testbed.stop().await;
        }
    }
}
