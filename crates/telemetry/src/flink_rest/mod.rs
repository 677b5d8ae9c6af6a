//! The default metric source: Flink's REST interface. It works with any job and needs no installation.
//!
//! The JobManager refreshes its metrics only on request, and responds with the previous ones: read it at regular intervals.

mod graph;
mod history;
mod listing;

use std::collections::BTreeMap;

use flink::{Checkpoints, Client, JobDetails, JobId, Metric, VertexId};

use crate::clock::Clock;
use crate::error::SampleError;
use crate::names;
use crate::sample::{Incarnation, Sample, Subtask, TaskManager, Vertex};
use graph::{alive, bare, name};
use history::History;
use listing::Listing;

/// Interval of refreshing the lists of metrics, in milliseconds: metrics appear some time after the start of a task.
const NAMES_MAX_AGE_MS: i64 = 5_000;

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

/// Reads one job of one cluster.
#[derive(Debug)]
pub struct FlinkRest {
    client: Client,
    job: String,
    clock: Clock,
    known: Option<MetricNames>,
    history: History,
    /// Time of the first observation, where Flink does not report the start.
    first_seen: Option<Incarnation>,
}

/// The listed metrics of each vertex, with the execution that they were listed for.
#[derive(Debug)]
struct MetricNames {
    incarnation: Incarnation,
    listed_at_ms: i64,
    by_vertex: BTreeMap<VertexId, Listing>,
}

impl FlinkRest {
    /// A source for the job of that name or id.
    pub fn new(client: Client, job: &str) -> Self {
        let (job, clock) = (job.to_owned(), Clock::steady());
        Self { client, job, clock, known: None, history: History::default(), first_seen: None }
    }

    /// The same with another clock.
    pub(crate) fn with_clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    /// Reads everything once.
    ///
    /// # Errors
    /// See [`SampleError`]; nothing of a sample that is not whole is returned.
    pub async fn sample(&mut self) -> Result<Sample, SampleError> {
        let id = self.find_job().await?;
        let details = self.client.job(&id).await?;
        if details.is_batch() {
            return Err(SampleError::Batch { job: self.job.clone() });
        }
        if !details.is_fully_running() {
            return Err(SampleError::NotRunning { job: self.job.clone(), state: details.state });
        }
        let at_ms = self.clock.now_ms();
        let life = self.life(&details, at_ms);
        self.list_names(&life.incarnation, &details).await?;
        let vertices = self.vertices(&details, at_ms).await?;
        let checkpoints = match self.client.checkpoints(&id).await {
            Err(error) if error.is_without_statistics() => None,
            answer => optional(answer)?,
        };
        let state_size_bytes = checkpoints.as_ref().and_then(|checkpoints| checkpoints.state_size_bytes);
        #[expect(clippy::cast_precision_loss, reason = "a state of 2^53 bytes is 8 PiB")]
        let state_size_bytes = state_size_bytes.map(|bytes| bytes as f64);
        let mut job = job(&details, &life, checkpoints.as_ref(), at_ms);
        job.rescales = self.rescales(&details, &vertices).await;
        Ok(Sample {
            at_ms,
            newest_ms: at_ms,
            running_ms: life.running_ms,
            incarnation: life.incarnation,
            job,
            vertices,
            task_managers: self.task_managers().await?,
            state_size_bytes,
            stored_size_bytes: None,
        })
    }

    /// Returns the current execution of the job. Without a start time from the JobManager, the time of the first observation counts.
    fn life(&mut self, details: &JobDetails, at_ms: i64) -> Execution {
        let job_id = details.id.to_string();
        if let (Some(running_since_ms), Some(running_ms)) = (details.running_since_ms(), details.running_ms())
        {
            let incarnation = Incarnation { job_id, running_since_ms };
            return Execution { incarnation, running_ms, since_ms: Some(at_ms - running_ms) };
        }
        let first_seen = self.first_seen.take().filter(|seen| seen.job_id == job_id);
        let incarnation = first_seen.unwrap_or(Incarnation { job_id, running_since_ms: at_ms });
        self.first_seen = Some(incarnation.clone());
        Execution { running_ms: at_ms - incarnation.running_since_ms, incarnation, since_ms: None }
    }

    /// The graph alone: the vertices with their edges and without any reading.
    ///
    /// # Errors
    /// See [`SampleError`].
    pub(crate) async fn structure(&self) -> Result<(JobDetails, Vec<Vertex>), SampleError> {
        let id = self.find_job().await?;
        let details = self.client.job(&id).await?;
        let vertices = alive(&details).map(|vertex| bare(&details, vertex)).collect();
        Ok((details, vertices))
    }

    /// The past rescales of the job. What waits at the sources now is remembered for those that are still to come.
    async fn rescales(&mut self, details: &JobDetails, vertices: &[Vertex]) -> Vec<scaling::Rescale> {
        let is_source = |vertex: &&Vertex| vertex.inputs.is_empty() && !vertex.has_unknown_inputs;
        let subtasks = || vertices.iter().filter(is_source).flat_map(|vertex| &vertex.subtasks);
        let known: Vec<f64> = subtasks().filter_map(|subtask| subtask.pending_records).collect();
        if !known.is_empty() && !subtasks().any(|subtask| subtask.has_impossible_pending) {
            // Rescales have times of the JobManager's clock.
            if let Some(now) = details.now {
                self.history.saw_backlog(now, known.iter().sum());
            }
        }
        self.history.renew(&self.client, &details.id).await;
        let named = |id: &str| {
            let vertex = details.vertices.iter().find(|vertex| vertex.id.as_str() == id)?;
            Some(name(details, vertex))
        };
        self.history.rescales(named)
    }

    async fn find_job(&self) -> Result<JobId, SampleError> {
        let jobs = self.client.jobs().await?;
        let is_meant =
            |job: &flink::JobOverview| job.name == self.job || job.id.as_str() == self.job.as_str();
        let mut alive: Vec<_> =
            jobs.into_iter().filter(|job| is_meant(job) && !job.state.is_terminal()).collect();
        let (job, url) = (self.job.clone(), self.client.base_url().to_owned());
        match alive.len() {
            1 => Ok(alive.remove(0).id),
            0 => Err(SampleError::NoJob { job, url }),
            _ => {
                let ids = alive.iter().map(|job| job.id.to_string()).collect();
                Err(SampleError::Ambiguous { job, ids, url })
            }
        }
    }

    async fn list_names(
        &mut self,
        incarnation: &Incarnation,
        details: &JobDetails,
    ) -> Result<(), SampleError> {
        let now_ms = self.clock.now_ms();
        let is_fresh = |known: &MetricNames| {
            known.incarnation == *incarnation && now_ms - known.listed_at_ms < NAMES_MAX_AGE_MS
        };
        if self.known.as_ref().is_some_and(is_fresh) {
            return Ok(());
        }
        if self.known.as_ref().is_none_or(|known| known.incarnation != *incarnation) {
            self.history.expire();
        }
        let mut by_vertex = BTreeMap::new();
        for vertex in alive(details) {
            let names = optional_metrics(self.client.vertex_metric_names(&details.id, &vertex.id).await)?;
            by_vertex.insert(vertex.id.clone(), Listing::new(names, vertex.parallelism as usize));
        }
        let (incarnation, listed_at_ms) = (incarnation.clone(), now_ms);
        self.known = Some(MetricNames { incarnation, listed_at_ms, by_vertex });
        Ok(())
    }

    async fn vertices(&self, details: &JobDetails, at_ms: i64) -> Result<Vec<Vertex>, SampleError> {
        let mut vertices = Vec::with_capacity(details.vertices.len());
        let unlisted = Listing::default();
        for vertex in alive(details) {
            let known = self.known.as_ref().and_then(|known| known.by_vertex.get(&vertex.id));
            let listing = known.unwrap_or(&unlisted);
            let mut subtasks = vec![Subtask::default(); vertex.parallelism as usize];
            let metrics = self.client.vertex_metrics(&details.id, &vertex.id, &listing.wanted).await;
            for metric in optional_metrics(metrics)? {
                names::read(&mut subtasks, &metric.id, metric.value, at_ms);
            }
            names::finish(&mut subtasks);
            if vertex.is_partly_finished() {
                let finished = self.client.finished_subtasks(&details.id, &vertex.id).await;
                for index in optional(finished)?.unwrap_or_default() {
                    if let Some(subtask) = subtasks.get_mut(index as usize) {
                        subtask.is_finished = true;
                    }
                }
            }
            for (subtask, partitions) in subtasks.iter_mut().zip(&listing.partitions) {
                subtask.partitions = Some(*partitions);
            }
            vertices.push(Vertex {
                subtasks,
                is_windowed: listing.is_windowed,
                source_partitions: listing.source_partitions,
                topics: listing.topics.clone(),
                ..bare(details, vertex)
            });
        }
        vertices.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(vertices)
    }

    /// Returns the task managers; empty if Flink does not report them, so that figures that need them are unknown.
    async fn task_managers(&self) -> Result<Vec<TaskManager>, SampleError> {
        let names: Vec<String> =
            TASK_MANAGER_METRICS.iter().chain(&COLLECTORS).map(|name| (*name).to_owned()).collect();
        let mut task_managers = Vec::new();
        for tm in optional(self.client.task_managers().await)?.unwrap_or_default() {
            let metrics = match self.client.task_manager_metrics(&tm.id, &names).await {
                // It has gone between the two questions.
                Err(error) if error.is_not_found() => continue,
                metrics => optional(metrics)?.unwrap_or_default(),
            };
            task_managers.push(task_manager(tm, &metrics));
        }
        Ok(task_managers)
    }
}

/// Returns the response, or [`None`] if Flink responds with an error: only the figures that need it are then unknown.
fn optional<T>(answer: Result<T, flink::Error>) -> Result<Option<T>, flink::Error> {
    match answer {
        Err(error @ flink::Error::Status { .. }) => {
            tracing::debug!(%error, "could not read some of the metrics");
            Ok(None)
        }
        other => other.map(Some),
    }
}

/// Like [`optional`], for the metrics of a vertex. A transient error is returned: an incomplete sample would make every rate over that time
/// unknown, a missing sample does not.
fn optional_metrics<T>(answer: Result<Vec<T>, flink::Error>) -> Result<Vec<T>, flink::Error> {
    match answer {
        Err(error) if error.is_transient() => Err(error),
        other => optional(other).map(Option::unwrap_or_default),
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

/// One execution of a job, by this machine's clock.
struct Execution {
    incarnation: Incarnation,
    /// How long it has lasted, in milliseconds.
    running_ms: i64,
    /// When it began by this machine's clock, in milliseconds since the Unix epoch.
    since_ms: Option<i64>,
}

/// Returns the vertex of each observed operator, by its name in samples and snapshots.
pub fn operator_vertices(details: &JobDetails) -> BTreeMap<String, VertexId> {
    alive(details).map(|vertex| (name(details, vertex), vertex.id.clone())).collect()
}

/// Returns the properties of the job other than metrics, by this machine's clock.
fn job(
    details: &JobDetails,
    life: &Execution,
    checkpoints: Option<&Checkpoints>,
    at_ms: i64,
) -> scaling::Job {
    let on_our_clock = |jobmanager_ms: i64| Some(at_ms - (details.now? - jobmanager_ms));
    let of = |checkpoints: &Checkpoints| scaling::Checkpoints {
        interval_ms: None,
        completed: Some(checkpoints.completed),
        failed: Some(checkpoints.failed),
        last_at_ms: checkpoints.completed_at_ms.and_then(on_our_clock),
        last_duration_ms: checkpoints.duration_ms,
        full_size_bytes: checkpoints.state_size_bytes,
        written_bytes: checkpoints.checkpointed_size_bytes,
    };
    scaling::Job {
        name: details.name.clone(),
        id: Some(details.id.to_string()),
        state: Some("RUNNING".to_owned()),
        running_since_ms: life.since_ms,
        restarts: checkpoints.map(|checkpoints| checkpoints.restored),
        checkpoints: checkpoints.map(of),
        ..scaling::Job::default()
    }
}
