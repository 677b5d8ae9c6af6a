//! The default metric source: Flink's REST interface. It works with any job and needs no installation.
//!
//! The JobManager refreshes its metrics only on request, and responds with the previous ones: read it at regular intervals.

mod cluster;
mod graph;
mod history;
mod life;
mod listing;

use std::collections::BTreeMap;
use std::time::Duration;

use flink::{Checkpoints, Client, JobDetails, JobId, VertexId};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use crate::clock::Clock;
use crate::error::SampleError;
use crate::sample::{Incarnation, Sample, Vertex};
pub use cluster::FlinkCluster;
use graph::{Graph, alive, bare, name};
use history::History;
use life::{Life, Moment};

/// Reads one job of one cluster.
#[derive(Debug)]
pub struct FlinkRest {
    cluster: FlinkCluster,
    job: String,
    clock: Clock,
    graph: Graph,
    life: Option<Life>,
    history: History,
    /// Time of the first observation, where Flink does not report the start.
    first_seen: Option<Incarnation>,
}

impl FlinkRest {
    /// A source for the job of that name or id.
    pub fn new(client: Client, job: &str) -> Self {
        Self::of(FlinkCluster::new(client, Duration::ZERO), job)
    }

    /// The same for one of several jobs of a cluster that are sampled side by side.
    pub fn of(cluster: FlinkCluster, job: &str) -> Self {
        let (job, clock) = (job.to_owned(), Clock::steady());
        let (graph, history) = (Graph::default(), History::default());
        Self { cluster, job, clock, graph, life: None, history, first_seen: None }
    }

    /// The same with another clock.
    pub(crate) fn with_clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    /// Reads everything once.
    ///
    /// # Errors
    /// See [`SampleError`]; a part of a sample is not returned.
    pub async fn sample(&mut self) -> Result<Sample, SampleError> {
        self.read(true).await
    }

    /// Reads what a snapshot needs between the first and the last sample of its epoch: operators whose figures are differences of counters
    /// are left out, and what is not of the tasks may be some seconds old. The first sample of a life of the tasks is whole.
    ///
    /// # Errors
    /// As [`FlinkRest::sample`].
    pub async fn sample_between(&mut self) -> Result<Sample, SampleError> {
        self.read(false).await
    }

    async fn read(&mut self, is_whole: bool) -> Result<Sample, SampleError> {
        let id = self.find_job().await?;
        let details = self.cluster.client().job(&id).await?;
        if details.is_batch() {
            return Err(SampleError::Batch { job: self.job.clone() });
        }
        if !details.is_fully_running() {
            return Err(SampleError::NotRunning { job: self.job.clone(), state: details.state });
        }
        let at_ms = self.clock.now_ms();
        let moment = Moment { at_ms, is_whole };
        let execution = self.execution(&details, at_ms);
        self.graph.renew(&details);
        if self.life.as_ref().is_none_or(|life| life.incarnation != execution.incarnation) {
            self.history.expire();
        }
        let same = self.life.take().filter(|life| life.incarnation == execution.incarnation);
        let life = self.life.insert(same.unwrap_or_else(|| Life::new(execution.incarnation.clone())));
        let client = self.cluster.client();
        let vertices = life.vertices(client, &details, &self.graph, moment).await?;
        let checkpoints = life.checkpoints(client, &id, moment).await?;
        let task_managers = life.task_managers(&self.cluster, moment).await?;
        let state_size_bytes = checkpoints.as_ref().and_then(|checkpoints| checkpoints.state_size_bytes);
        #[expect(clippy::cast_precision_loss, reason = "a state of 2^53 bytes is 8 PiB")]
        let state_size_bytes = state_size_bytes.map(|bytes| bytes as f64);
        let mut job = job(&details, &execution, checkpoints.as_ref(), at_ms);
        job.rescales = self.rescales(&details, &vertices).await;
        Ok(Sample {
            at_ms,
            newest_ms: at_ms,
            running_ms: execution.running_ms,
            incarnation: execution.incarnation,
            job,
            vertices,
            task_managers,
            state_size_bytes,
            stored_size_bytes: None,
        })
    }

    /// Returns the current execution of the job. Without a start time from the JobManager, the time of the first observation counts.
    fn execution(&mut self, details: &JobDetails, at_ms: i64) -> Execution {
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
        let details = self.cluster.client().job(&id).await?;
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
        self.history.renew(self.cluster.client(), &details.id).await;
        self.history.rescales(|id| self.graph.name(id))
    }

    async fn find_job(&self) -> Result<JobId, SampleError> {
        let jobs = self.cluster.jobs().await?;
        let is_meant =
            |job: &&flink::JobOverview| job.name == self.job || job.id.as_str() == self.job.as_str();
        let alive: Vec<&JobId> =
            jobs.iter().filter(is_meant).filter(|job| !job.state.is_terminal()).map(|job| &job.id).collect();
        let unclear = || (self.job.clone(), self.cluster.client().base_url().to_owned());
        match alive.as_slice() {
            [id] => Ok((*id).clone()),
            [] => {
                let (job, url) = unclear();
                Err(SampleError::NoJob { job, url })
            }
            _ => {
                let (job, url) = unclear();
                let ids = alive.iter().map(ToString::to_string).collect();
                Err(SampleError::Ambiguous { job, ids, url })
            }
        }
    }
}

/// Waits for all of these, so many of them at a time, and returns their results in order, or the first error.
async fn side_by_side<T>(
    all: Vec<impl Future<Output = Result<T, SampleError>>>,
    at_a_time: usize,
) -> Result<Vec<T>, SampleError> {
    stream::iter(all).buffered(at_a_time.max(1)).try_collect().await
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
fn optional_metrics<T>(answer: Result<T, flink::Error>) -> Result<Option<T>, flink::Error> {
    match answer {
        Err(error) if error.is_transient() => Err(error),
        other => optional(other),
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
