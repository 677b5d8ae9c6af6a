//! What belongs to a cluster and to none of its jobs: the list of jobs, and the task managers. Jobs that are sampled side by side share
//! it, so that its cost does not grow with the square of their number.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use flink::{Client, JobOverview, Metric};

use super::{optional, side_by_side};
use crate::error::SampleError;
use crate::names;
use crate::sample::TaskManager;

/// Metrics of a task manager.
const TASK_MANAGER_METRICS: [&str; 6] = [
    "Status.JVM.CPU.Load",
    "Status.JVM.Memory.Heap.Used",
    "Status.JVM.Memory.Heap.Max",
    "Status.Flink.Memory.Managed.Used",
    "Status.Flink.Memory.Managed.Total",
    "Status.JVM.GarbageCollector.All.Time",
];

/// Garbage collection times by collector, for Flink before 1.19, which has no sum. Only those of the JVM's collector exist.
const COLLECTORS: [&str; 6] = [
    "Status.JVM.GarbageCollector.G1_Young_Generation.Time",
    "Status.JVM.GarbageCollector.G1_Old_Generation.Time",
    "Status.JVM.GarbageCollector.PS_Scavenge.Time",
    "Status.JVM.GarbageCollector.PS_MarkSweep.Time",
    "Status.JVM.GarbageCollector.Copy.Time",
    "Status.JVM.GarbageCollector.MarkSweepCompact.Time",
];

/// A Flink cluster whose jobs are sampled. Clones share what they have read.
#[derive(Debug, Clone)]
pub struct FlinkCluster {
    client: Client,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    age_max: Duration,
    jobs: Recent<Vec<JobOverview>>,
    task_managers: Recent<Vec<TaskManager>>,
}

impl FlinkCluster {
    /// A cluster, of which the list of jobs and the task managers may be so old when a sample uses them; 0: each sample reads them.
    pub fn new(client: Client, age_max: Duration) -> Self {
        let shared = Shared { age_max, jobs: Recent::default(), task_managers: Recent::default() };
        Self { client, shared: Arc::new(shared) }
    }

    /// Returns the client.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Returns all jobs, running or not.
    pub(super) async fn jobs(&self) -> Result<Arc<Vec<JobOverview>>, SampleError> {
        let read = async { Ok::<_, SampleError>(self.client.jobs().await?) };
        self.shared.jobs.get(self.shared.age_max, read).await
    }

    /// Returns the task managers; empty if Flink does not report them, so that figures that need them are unknown.
    pub(super) async fn task_managers(&self) -> Result<Arc<Vec<TaskManager>>, SampleError> {
        self.shared.task_managers.get(self.shared.age_max, read_task_managers(&self.client)).await
    }
}

/// The newest answer to a request that several callers make.
#[derive(Debug)]
struct Recent<T> {
    /// With the time of the request.
    newest: Mutex<Option<(Instant, Arc<T>)>>,
    /// Held by the caller that asks.
    asking: tokio::sync::Mutex<()>,
}

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Self { newest: Mutex::default(), asking: tokio::sync::Mutex::default() }
    }
}

impl<T> Recent<T> {
    /// Returns an answer that is younger than `age_max`. Of several callers the first asks, and the others wait for its answer; if the
    /// request fails, each asks for itself, so that no caller waits for the timeouts of all.
    async fn get(
        &self,
        age_max: Duration,
        ask: impl Future<Output = Result<T, SampleError>>,
    ) -> Result<Arc<T>, SampleError> {
        if let Some(found) = self.younger_than(age_max) {
            return Ok(found);
        }
        if let Ok(_asking) = self.asking.try_lock() {
            return match self.younger_than(age_max) {
                Some(found) => Ok(found),
                None => self.renew(ask).await,
            };
        }
        drop(self.asking.lock().await);
        match self.younger_than(age_max) {
            Some(found) => Ok(found),
            None => self.renew(ask).await,
        }
    }

    fn younger_than(&self, age_max: Duration) -> Option<Arc<T>> {
        let newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        newest
            .as_ref()
            .filter(|(asked_at, _)| asked_at.elapsed() < age_max)
            .map(|(_, found)| Arc::clone(found))
    }

    async fn renew(&self, ask: impl Future<Output = Result<T, SampleError>>) -> Result<Arc<T>, SampleError> {
        let asked_at = Instant::now();
        let found = Arc::new(ask.await?);
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        *newest = Some((asked_at, Arc::clone(&found)));
        Ok(found)
    }
}

async fn read_task_managers(client: &Client) -> Result<Vec<TaskManager>, SampleError> {
    let names: Vec<String> =
        TASK_MANAGER_METRICS.iter().chain(&COLLECTORS).map(|name| (*name).to_owned()).collect();
    let all = optional(client.task_managers().await)?.unwrap_or_default();
    let read = all.into_iter().map(|tm| read_task_manager(client, tm, &names)).collect();
    let found = side_by_side(read, client.max_requests()).await?;
    Ok(found.into_iter().flatten().collect())
}

/// Returns a task manager; [`None`] if it has gone since it was listed.
async fn read_task_manager(
    client: &Client,
    tm: flink::TaskManager,
    names: &[String],
) -> Result<Option<TaskManager>, SampleError> {
    match client.task_manager_metrics(&tm.id, names).await {
        Err(error) if error.is_not_found() => Ok(None),
        metrics => Ok(Some(task_manager(tm, &optional(metrics)?.unwrap_or_default()))),
    }
}

fn task_manager(tm: flink::TaskManager, metrics: &[Metric]) -> TaskManager {
    let value = |name: &str| {
        let found = metrics.iter().find(|metric| metric.id == name).and_then(|metric| metric.value);
        found.filter(|value| names::is_plausible(*value))
    };
    let [cpu_load, heap_used_bytes, heap_max_bytes, managed_used_bytes, managed_max_bytes, gc_ms] =
        TASK_MANAGER_METRICS.map(value);
    let by_collector: Vec<f64> = COLLECTORS.into_iter().filter_map(value).collect();
    TaskManager {
        cpu_load,
        heap_used_bytes,
        heap_max_bytes,
        managed_used_bytes,
        managed_max_bytes,
        gc_ms: gc_ms.or((!by_collector.is_empty()).then(|| by_collector.iter().sum())),
        slots: Some(tm.slots),
        slots_free: Some(tm.free_slots),
        id: tm.id,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const LONG: Duration = Duration::from_secs(3_600);

    /// Goal: callers that ask at the same time or soon after share an answer, and without an age each gets its own.
    #[tokio::test]
    async fn an_answer_is_shared_while_it_is_young() {
        let recent = Recent::default();
        let asked = AtomicUsize::new(0);
        let ask = || async {
            tokio::task::yield_now().await;
            Ok::<_, SampleError>(asked.fetch_add(1, Ordering::SeqCst))
        };
        let (one, other) = tokio::join!(recent.get(LONG, ask()), recent.get(LONG, ask()));
        assert_eq!((*one.unwrap(), *other.unwrap()), (0, 0));
        assert_eq!(*recent.get(LONG, ask()).await.unwrap(), 0);
        assert_eq!(*recent.get(Duration::ZERO, ask()).await.unwrap(), 1);
    }

    /// Goal: where the first request fails, the callers that waited for it ask for themselves at the same time.
    #[tokio::test]
    async fn a_failure_is_not_waited_for_twice() {
        let recent = Recent::default();
        let fails = async {
            tokio::task::yield_now().await;
            Err::<u32, _>(SampleError::NoJob { job: String::new(), url: String::new() })
        };
        let barrier = tokio::sync::Barrier::new(2);
        let meet = || async {
            barrier.wait().await;
            Ok::<u32, _>(7)
        };
        let all = async {
            tokio::join!(recent.get(LONG, fails), recent.get(LONG, meet()), recent.get(LONG, meet()))
        };
        let all = tokio::time::timeout(Duration::from_secs(60), all).await.unwrap();
        assert!(all.0.is_err() && *all.1.unwrap() == 7 && *all.2.unwrap() == 7);
    }
}
