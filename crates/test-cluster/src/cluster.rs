//! A running Kafka and Flink that tenants share.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use testbed::{Testbed, TestbedSettings};

use crate::tenant::{Tenant, TenantOptions, TestClusterError};

/// Buffer debloating: limits buffered records between two tasks to what they handle in this time. The default is a
/// fixed number of bytes, which a deliberately slow operator needs several seconds for: every latency and every
/// savepoint would show that queue instead of the load.
const BUFFER_DEBLOATING: [(&str, &str); 2] = [
    ("taskmanager.network.memory.buffer-debloat.enabled", "true"),
    ("taskmanager.network.memory.buffer-debloat.target", "300 ms"),
];

/// On a busy machine a process may not run for many seconds, which must not count as a failure. A killed task manager
/// is still detected, by two failed requests to it.
const PATIENT: [(&str, &str); 2] = [("heartbeat.timeout", "60000"), ("pekko.ask.timeout", "60 s")];

/// Timeout of the start, in seconds. A quiet machine with two cores needs 20; a test must not fail on a busy one.
const START_DEADLINE_S: u64 = 300;

/// Options of a cluster.
#[derive(Debug, Clone)]
pub struct ClusterOptions {
    /// Folder of all files of the cluster and its tenants.
    pub work_dir: PathBuf,
    /// Initial number of task managers.
    pub task_managers: u32,
    /// Slots per task manager.
    pub task_slots: u32,
    /// Number of concurrent jobs that the memory of a task manager is sized for.
    pub jobs: u32,
    /// Services beside Kafka and Flink.
    pub extras: Extras,
}

/// Optional services; none by default.
#[derive(Debug, Clone, Default)]
pub struct Extras {
    /// Metrics stores.
    pub stores: testbed::StoreSettings,
    /// Whether Flink stores its state in an HDFS.
    pub hdfs: bool,
}

/// A running Kafka and Flink. They are killed when the cluster and all tenants are dropped; [`TestCluster::shutdown`]
/// stops them in order.
#[derive(Debug)]
pub struct TestCluster {
    testbed: Arc<Testbed>,
    work_dir: PathBuf,
}

impl TestCluster {
    /// Starts Kafka and Flink and waits until they answer.
    ///
    /// # Errors
    /// [`TestClusterError`]; no process is left running.
    pub async fn start(
        options: ClusterOptions,
        progress: &testbed::Progress<'_>,
    ) -> Result<Self, TestClusterError> {
        let mut settings = TestbedSettings {
            work_dir: options.work_dir.join("testbed"),
            fresh: true,
            ..TestbedSettings::default()
        };
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

    /// Returns the underlying testbed.
    pub fn testbed(&self) -> &Testbed {
        &self.testbed
    }

    /// Returns the folder of all files of the cluster and its tenants.
    pub fn work_dir(&self) -> &Path {
        &self.work_dir
    }

    /// Creates a tenant for one control loop: its folder and its topics.
    ///
    /// # Errors
    /// [`TestClusterError`]; mainly for a duplicate name.
    pub async fn tenant(&self, options: TenantOptions) -> Result<Tenant, TestClusterError> {
        Tenant::new(Arc::clone(&self.testbed), &self.work_dir, options).await
    }

    /// Starts or stops task managers until this many run.
    ///
    /// # Errors
    /// A task manager cannot be started or stopped.
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

    /// Stops Kafka and Flink in order, if no tenant is left; otherwise they are killed when the last tenant is
    /// dropped.
    pub async fn shutdown(self) {
        if let Some(testbed) = Arc::into_inner(self.testbed) {
            // Processes that cannot be stopped in order are killed on drop.
            let _ended = testbed.stop().await;
        }
    }
}
