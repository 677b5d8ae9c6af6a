//! The default source of metrics: Flink's own REST interface. Works with any job, needs nothing installed.
//!
//! The JobManager renews its picture of the metrics only when asked, and answers with the previous one: read it steadily.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use flink::{Checkpoints, Client, JobDetails, JobId, VertexId};

use crate::clock::Clock;
use crate::error::SampleError;
use crate::names;
use crate::sample::{Incarnation, Input, Sample, Subtask, TaskManager, Vertex};

/// Metrics appear some time after a task has started: the lists of names are read anew this often.
const NAMES_MAX_AGE: Duration = Duration::from_secs(5);

/// What is read of a task manager.
const TASK_MANAGER_METRICS: [&str; 6] = [
    "Status.JVM.CPU.Load",
    "Status.JVM.Memory.Heap.Used",
    "Status.JVM.Memory.Heap.Max",
    "Status.Flink.Memory.Managed.Used",
    "Status.Flink.Memory.Managed.Total",
    "Status.JVM.GarbageCollector.All.Time",
];

/// Reads one job of one cluster.
#[derive(Debug)]
pub struct FlinkRest {
    client: Client,
    job: String,
    clock: Clock,
    known: Option<KnownNames>,
}

/// The wanted names per vertex, and which life of the job they were listed for.
#[derive(Debug)]
struct KnownNames {
    incarnation: Incarnation,
    listed_at: Instant,
    by_vertex: BTreeMap<VertexId, Vec<String>>,
}

impl FlinkRest {
    /// A source for the job of that name.
    pub fn new(client: Client, job: &str) -> Self {
        Self { client, job: job.to_owned(), clock: Clock::new(), known: None }
    }

    /// Reads everything once.
    ///
    /// # Errors
    /// See [`SampleError`]; nothing of a sample that is not whole is returned.
    pub async fn sample(&mut self) -> Result<Sample, SampleError> {
        let id = self.find_job().await?;
        let details = self.client.job(&id).await?;
        let running_since_ms = details.running_since_ms().filter(|_| details.is_fully_running());
        let Some(running_since_ms) = running_since_ms else {
            return Err(SampleError::NotRunning { job: self.job.clone(), state: details.state });
        };
        let incarnation = Incarnation { job_id: id.to_string(), running_since_ms };
        self.list_names(&incarnation, &details).await?;
        let at_ms = self.clock.now_ms();
        let vertices = self.vertices(&details, at_ms).await?;
        let checkpoints = self.client.checkpoints(&id).await?;
        #[expect(clippy::cast_precision_loss, reason = "a state of 2^53 bytes is 8 PiB")]
        let state_size_bytes = checkpoints.state_size_bytes.map(|bytes| bytes as f64);
        Ok(Sample {
            at_ms,
            newest_ms: at_ms,
            running_ms: details.now - running_since_ms,
            incarnation,
            job: job(&details, running_since_ms, &checkpoints),
            vertices,
            task_managers: self.task_managers().await?,
            state_size_bytes,
            stored_size_bytes: None,
        })
    }

    /// The graph alone: the vertices with their edges and without any reading.
    ///
    /// # Errors
    /// See [`SampleError`].
    pub(crate) async fn structure(&self) -> Result<(JobDetails, Vec<Vertex>), SampleError> {
        let id = self.find_job().await?;
        let details = self.client.job(&id).await?;
        let vertices = details.vertices.iter().map(|vertex| bare(&details, vertex)).collect();
        Ok((details, vertices))
    }

    async fn find_job(&self) -> Result<JobId, SampleError> {
        let jobs = self.client.jobs().await?;
        let mut alive: Vec<_> =
            jobs.into_iter().filter(|job| job.name == self.job && !job.state.is_terminal()).collect();
        let (job, url) = (self.job.clone(), self.client.base_url().to_owned());
        match alive.len() {
            1 => Ok(alive.remove(0).id),
            0 => Err(SampleError::NoJob { job, url }),
            count => Err(SampleError::Ambiguous { job, count, url }),
        }
    }

    async fn list_names(
        &mut self,
        incarnation: &Incarnation,
        details: &JobDetails,
    ) -> Result<(), SampleError> {
        let is_fresh = |known: &KnownNames| {
            known.incarnation == *incarnation && known.listed_at.elapsed() < NAMES_MAX_AGE
        };
        if self.known.as_ref().is_some_and(is_fresh) {
            return Ok(());
        }
        let mut by_vertex = BTreeMap::new();
        for vertex in &details.vertices {
            let mut wanted = self.client.vertex_metric_names(&details.id, &vertex.id).await?;
            wanted.retain(|name| names::is_wanted(name));
            by_vertex.insert(vertex.id.clone(), wanted);
        }
        let (incarnation, listed_at) = (incarnation.clone(), Instant::now());
        self.known = Some(KnownNames { incarnation, listed_at, by_vertex });
        Ok(())
    }

    async fn vertices(&self, details: &JobDetails, at_ms: i64) -> Result<Vec<Vertex>, SampleError> {
        let mut vertices = Vec::with_capacity(details.vertices.len());
        for vertex in &details.vertices {
            let names = self.known.as_ref().and_then(|known| known.by_vertex.get(&vertex.id));
            let mut subtasks = vec![Subtask::default(); vertex.parallelism as usize];
            for metric in
                self.client.vertex_metrics(&details.id, &vertex.id, names.map_or(&[], Vec::as_slice)).await?
            {
                if let Some(value) = metric.value {
                    names::read(&mut subtasks, &metric.id, value, at_ms);
                }
            }
            names::finish(&mut subtasks);
            vertices.push(Vertex { subtasks, ..bare(details, vertex) });
        }
        vertices.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(vertices)
    }

    async fn task_managers(&self) -> Result<Vec<TaskManager>, SampleError> {
        let names = TASK_MANAGER_METRICS.map(str::to_owned);
        let mut task_managers = Vec::new();
        for tm in self.client.task_managers().await? {
            let metrics = match self.client.task_manager_metrics(&tm.id, &names).await {
                // It has gone between the two questions.
                Err(error) if error.is_not_found() => continue,
                metrics => metrics?,
            };
            let value =
                |name: &str| metrics.iter().find(|metric| metric.id == name).and_then(|metric| metric.value);
            let [cpu_load, heap_used_bytes, heap_max_bytes, managed_used_bytes, managed_max_bytes, gc_ms] =
                TASK_MANAGER_METRICS.map(value);
            task_managers.push(TaskManager {
                cpu_load,
                heap_used_bytes,
                heap_max_bytes,
                managed_used_bytes,
                managed_max_bytes,
                gc_ms,
                slots: Some(tm.slots),
                slots_free: Some(tm.free_slots),
                id: tm.id,
            });
        }
        Ok(task_managers)
    }
}

/// A vertex without readings.
fn bare(details: &JobDetails, vertex: &flink::Vertex) -> Vertex {
    Vertex {
        name: name(details, vertex),
        id: Some(vertex.id.to_string()),
        parallelism: vertex.parallelism,
        max_parallelism: vertex.max_parallelism,
        inputs: inputs(details, &vertex.id),
        role: None,
        subtasks: Vec::new(),
    }
}

/// The name of its first operator; of several vertices with the same one, each has the beginning of its id behind it.
fn name(details: &JobDetails, vertex: &flink::Vertex) -> String {
    let head = vertex.head_operator();
    if details.vertices.iter().filter(|other| other.head_operator() == head).count() == 1 {
        return head.to_owned();
    }
    let id: String = vertex.id.to_string().chars().take(8).collect();
    format!("{head} {id}")
}

/// What is known of the job beside its metrics.
fn job(details: &JobDetails, running_since_ms: i64, checkpoints: &Checkpoints) -> scaling::Job {
    scaling::Job {
        name: details.name.clone(),
        id: Some(details.id.to_string()),
        state: Some("RUNNING".to_owned()),
        running_since_ms: Some(running_since_ms),
        restarts: Some(checkpoints.restored),
        checkpoints: Some(scaling::Checkpoints {
            interval_ms: None,
            completed: Some(checkpoints.completed),
            failed: Some(checkpoints.failed),
            last_at_ms: checkpoints.completed_at_ms,
            last_duration_ms: checkpoints.duration_ms,
            full_size_bytes: checkpoints.state_size_bytes,
            written_bytes: checkpoints.checkpointed_size_bytes,
        }),
        ..scaling::Job::default()
    }
}

/// The vertices that feed this one, each once: two edges from the same vertex carry the same records.
fn inputs(details: &JobDetails, vertex: &VertexId) -> Vec<Input> {
    let node = details.plan().iter().find(|node| node.id == *vertex);
    let by_id = |id: &VertexId| details.vertices.iter().find(|vertex| vertex.id == *id);
    let edges = node.map_or(&[][..], |node| node.inputs.as_slice());
    let mut seen = BTreeSet::new();
    let named = edges.iter().filter_map(|edge| {
        let from = name(details, by_id(&edge.id)?);
        Some(Input { from, ship_strategy: edge.ship_strategy.clone() })
    });
    named.filter(|input| seen.insert(input.from.clone())).collect()
}
