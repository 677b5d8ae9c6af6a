//! The shared Kafka and Flink of the tests: when they start, which tests may run concurrently, and what happens after
//! a failed test.
//!
//! The shared cluster starts with the first test that needs it. After a failed test the cluster may be in any state,
//! so the next test gets a new one; running tests keep the old one. A cluster that fails to start fails every test
//! that needs it, with the same reason, and is not retried.

use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use libtest_mimic::{Failed, Trial};
use test_cluster::{ClusterOptions, Extras, TestCluster};
use testbed::control::{self, Down};
use tokio::runtime::Runtime;
use tokio::sync::{Mutex as AsyncMutex, Semaphore};
use tokio::time::{Instant, timeout};

/// Slots of the shared cluster: two task managers with eight each.
const SLOTS: u32 = 16;
const SLOTS_OF_ONE: u32 = 8;
/// Timeout of a test. The longest takes about two minutes on a quiet machine with two cores.
const TEST_DEADLINE: Duration = Duration::from_secs(900);
/// Number of lines of each program's log in the message of a failed test.
const TAIL_LINES: usize = 8;
/// Enough for blocking calls of the Kafka client in several tests at a time.
const WORKER_THREADS: usize = 16;
/// Part of every path below: RocksDB and others derive file names from paths, so the tests use a long one.
const LONG_NAME: &str = "a-folder-with-a-path-that-is-longer-than-most-users-would-choose-for-it";

/// Resources that a test needs.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Needs {
    /// Slots of the shared cluster.
    Slots(u32),
    /// Exclusive use of the machine.
    Everything,
}

/// The shared cluster.
enum Shared {
    NotStarted,
    Running(Arc<TestCluster>),
    /// The start failed, with this reason.
    Failed(String),
}

/// Clusters and scheduling of all tests in this process.
pub(crate) struct Engines {
    runtime: Runtime,
    free_slots: Arc<Semaphore>,
    shared: AsyncMutex<Shared>,
    starts: AtomicUsize,
    base: PathBuf,
    folder: Mutex<Option<tempfile::TempDir>>,
    began: Instant,
}

impl Engines {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(WORKER_THREADS)
            .enable_all()
            .build()?;
        let folder = tempfile::tempdir().context("no folder for temporary files")?;
        Ok(Self {
            runtime,
            free_slots: Arc::new(Semaphore::new(SLOTS as usize)),
            shared: AsyncMutex::new(Shared::NotStarted),
            starts: AtomicUsize::new(0),
            base: folder.path().canonicalize()?.join(LONG_NAME),
            folder: Mutex::new(Some(folder)),
            began: Instant::now(),
        })
    }

    fn note(&self, test: &str, text: impl Display) {
        eprintln!("[{:>5.1} s] {test}: {text}", self.began.elapsed().as_secs_f64());
    }

    /// Waits for the slots, runs a test, and returns why it failed.
    fn run<F>(self: &Arc<Self>, test: &'static str, needs: Needs, body: F) -> Result<(), Failed>
    where
        F: AsyncFnOnce(Context) -> anyhow::Result<()>,
    {
        let slots = match needs {
            Needs::Slots(slots) => slots,
            Needs::Everything => SLOTS,
        };
        let turn = self.runtime.block_on(Arc::clone(&self.free_slots).acquire_many_owned(slots));
        let _turn = turn.map_err(|error| error.to_string())?;
        let folders = Arc::default();
        let context = Context { engines: Arc::clone(self), test, folders: Arc::clone(&folders) };
        let begin = Instant::now();
        self.note(test, "begins");
        let limited = async { timeout(TEST_DEADLINE, body(context)).await };
        let outcome = match catch_unwind(AssertUnwindSafe(|| self.runtime.block_on(limited))) {
            Ok(Ok(outcome)) => outcome.map_err(|error| format!("{error:#}")),
            Ok(Err(_late)) => Err(format!("not over after {TEST_DEADLINE:?}")),
            Err(panic) => Err(panic_text(panic.as_ref())),
        };
        let seconds = begin.elapsed().as_secs_f64();
        match outcome {
            Ok(()) => {
                self.note(test, format!("passed in {seconds:.1} s"));
                Ok(())
            }
            Err(reason) => {
                self.note(test, format!("FAILED after {seconds:.1} s: {reason}"));
                self.runtime.block_on(self.discard());
                Err(Failed::from(format!("{reason}{}", tails(&folders))))
            }
        }
    }

    /// Makes the next test start a new cluster.
    async fn discard(&self) {
        let mut shared = self.shared.lock().await;
        if matches!(*shared, Shared::Running(_)) {
            *shared = Shared::NotStarted;
        }
    }

    /// Options of a cluster in its own folder.
    fn options(&self, task_managers: u32, extras: Extras) -> anyhow::Result<ClusterOptions> {
        let number = self.starts.fetch_add(1, Ordering::SeqCst) + 1;
        let work_dir = self.base.join(format!("cluster-{number}"));
        std::fs::create_dir_all(&work_dir)?;
        Ok(ClusterOptions { work_dir, task_managers, task_slots: SLOTS_OF_ONE, jobs: 2, extras })
    }

    /// Stops the shared cluster, and removes the tests' files unless one has failed.
    pub(crate) fn shutdown(&self, failed: bool) {
        self.runtime.block_on(async {
            let shared = std::mem::replace(&mut *self.shared.lock().await, Shared::NotStarted);
            let Shared::Running(cluster) = shared else { return };
            if let Some(cluster) = Arc::into_inner(cluster) {
                cluster.shutdown().await;
            }
        });
        let starts = self.starts.load(Ordering::SeqCst);
        if starts > 0 {
            eprintln!("engine starts: {starts}, in {:.0} s", self.began.elapsed().as_secs_f64());
        }
        let Some(folder) = self.folder.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        if failed && starts > 0 {
            eprintln!("all logs are kept in {}", folder.keep().display());
        }
    }
}

/// Creates a test on real Kafka and Flink.
pub(crate) fn test<F, R>(engines: &Arc<Engines>, name: &'static str, needs: Needs, body: F) -> Trial
where
    F: FnOnce(Context) -> R + Send + 'static,
    R: Future<Output = anyhow::Result<()>>,
{
    let engines = Arc::clone(engines);
    Trial::test(name, move || engines.run(name, needs, async |context| body(context).await))
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref().copied());
    format!("panicked: {}", text.unwrap_or("for an unknown reason"))
}

/// Returns the ends of the logs of a test's programs.
fn tails(folders: &Mutex<Vec<PathBuf>>) -> String {
    let mut text = String::new();
    for folder in folders.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        let entries = folder.join("logs").read_dir().into_iter().flatten().flatten();
        for log in entries.map(|entry| entry.path()) {
            text += &format!("\n--- {}:\n{}", log.display(), testbed::logs::tail(&log, TAIL_LINES));
        }
    }
    text
}

/// Test context.
#[derive(Clone)]
pub(crate) struct Context {
    engines: Arc<Engines>,
    test: &'static str,
    /// Folders of the test's tenants.
    folders: Arc<Mutex<Vec<PathBuf>>>,
}

impl Context {
    /// Prints the progress of the test.
    pub(crate) fn note(&self, text: impl Display) {
        self.engines.note(self.test, text);
    }

    /// The test's name.
    pub(crate) fn test(&self) -> &'static str {
        self.test
    }

    /// Includes the logs in this folder in the message if the test fails.
    pub(crate) fn keep_logs_of(&self, folder: PathBuf) {
        self.folders.lock().unwrap_or_else(PoisonError::into_inner).push(folder);
    }

    /// The shared cluster, with two task managers.
    pub(crate) async fn shared_cluster(&self) -> anyhow::Result<Arc<TestCluster>> {
        self.shared_cluster_with(SLOTS / SLOTS_OF_ONE).await
    }

    /// The shared cluster with this many task managers. For tests with exclusive use.
    pub(crate) async fn shared_cluster_with(&self, task_managers: u32) -> anyhow::Result<Arc<TestCluster>> {
        let mut shared = self.engines.shared.lock().await;
        let cluster = match &*shared {
            Shared::Running(cluster) => Arc::clone(cluster),
            Shared::Failed(reason) => {
                bail!("the shared cluster did not start, see an earlier test: {reason}")
            }
            Shared::NotStarted => {
                let options = self.engines.options(task_managers, Extras::default())?;
                match TestCluster::start(options, &|line| self.note(line)).await {
                    Ok(cluster) => Arc::new(cluster),
                    Err(error) => {
                        let error = anyhow::Error::from(error);
                        *shared = Shared::Failed(format!("{error:#}"));
                        return Err(error.context("the shared cluster did not start"));
                    }
                }
            }
        };
        *shared = Shared::Running(Arc::clone(&cluster));
        cluster.resize(task_managers as usize).await?;
        Ok(cluster)
    }

    /// A cluster for this test alone.
    pub(crate) async fn own_cluster(
        &self,
        task_managers: u32,
        extras: Extras,
    ) -> anyhow::Result<Arc<TestCluster>> {
        let options = self.engines.options(task_managers, extras)?;
        Ok(Arc::new(TestCluster::start(options, &|line| self.note(line)).await?))
    }

    /// Stops a cluster of this test, and fails if one of its processes is left.
    pub(crate) async fn end(&self, cluster: Arc<TestCluster>) -> anyhow::Result<()> {
        let work_dir = cluster.testbed().work_dir().to_owned();
        let state = control::status(&work_dir)?.state.context("the testbed has no state file")?;
        let cluster = Arc::into_inner(cluster).context("the cluster is still in use")?;
        cluster.shutdown().await;
        let left: Vec<_> = state.services.iter().filter(|service| service.process.is_alive()).collect();
        ensure!(left.is_empty(), "these services outlive their testbed: {left:?}");
        ensure!(control::down(&work_dir, Duration::from_secs(20)).await? == Down::NotUp);
        Ok(())
    }
}
