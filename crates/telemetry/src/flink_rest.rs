//! The default source of metrics: Flink's own REST interface. Works with any job, needs nothing installed.
//!
//! The JobManager renews its picture of the metrics only when asked, and answers with the previous one: read it steadily.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use flink::{Client, JobDetails, JobId, JobState, VertexId};
use thiserror::Error;

use crate::names;
use crate::sample::{Incarnation, Sample, Subtask, TaskManager, Vertex};

/// Metrics appear some time after a task has started: the lists of names are read anew this often.
const NAMES_MAX_AGE: Duration = Duration::from_secs(5);

const CPU_LOAD: &str = "Status.JVM.CPU.Load";
const HEAP_USED: &str = "Status.JVM.Memory.Heap.Used";
const HEAP_MAX: &str = "Status.JVM.Memory.Heap.Max";

/// Why no sample could be taken.
#[derive(Debug, Error)]
pub enum SampleError {
    /// No job of that name runs.
    #[error("no job named {job:?} runs on {url}")]
    NoJob {
        /// The name that was looked for.
        job: String,
        /// The cluster.
        url: String,
    },
    /// Several jobs of that name run; which one is meant cannot be known.
    #[error("{count} jobs named {job:?} run on {url}; end all but one")]
    Ambiguous {
        /// The name that was looked for.
        job: String,
        /// How many there are.
        count: usize,
        /// The cluster.
        url: String,
    },
    /// The job is there, but not all of its tasks run.
    #[error("job {job:?} is {state:?} and not all of its tasks run")]
    NotRunning {
        /// The name that was looked for.
        job: String,
        /// Its state.
        state: JobState,
    },
    /// Flink did not answer, or not as expected.
    #[error("Flink's REST interface could not be read")]
    Flink(#[from] flink::Error),
}

/// Reads one job of one cluster.
#[derive(Debug)]
pub struct FlinkRest {
    client: Client,
    job: String,
    started: Instant,
    started_at_ms: i64,
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
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            client,
            job: job.to_owned(),
            started: Instant::now(),
            started_at_ms: i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX),
            known: None,
        }
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
        let incarnation = Incarnation { job_id: id.clone(), running_since_ms };
        self.list_names(&incarnation, &details).await?;
        let vertices = self.vertices(&details).await?;
        let elapsed_ms = i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX);
        Ok(Sample {
            at_ms: self.started_at_ms.saturating_add(elapsed_ms),
            running_ms: details.now - running_since_ms,
            incarnation,
            job: details.name.clone(),
            vertices,
            task_managers: self.task_managers().await?,
            #[expect(clippy::cast_precision_loss, reason = "a state of 2^53 bytes is 8 PiB")]
            state_size_bytes: self.client.checkpoints(&id).await?.state_size_bytes.map(|bytes| bytes as f64),
        })
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

    async fn vertices(&self, details: &JobDetails) -> Result<Vec<Vertex>, SampleError> {
        let mut vertices = Vec::with_capacity(details.vertices.len());
        for vertex in &details.vertices {
            let names = self.known.as_ref().and_then(|known| known.by_vertex.get(&vertex.id));
            let mut subtasks = vec![Subtask::default(); vertex.parallelism as usize];
            for metric in
                self.client.vertex_metrics(&details.id, &vertex.id, names.map_or(&[], Vec::as_slice)).await?
            {
                if let Some(value) = metric.value {
                    names::read(&mut subtasks, &metric.id, value);
                }
            }
            names::finish(&mut subtasks);
            vertices.push(Vertex {
                name: vertex.head_operator().to_owned(),
                parallelism: vertex.parallelism,
                max_parallelism: vertex.max_parallelism,
                inputs: inputs(details, &vertex.id),
                subtasks,
            });
        }
        vertices.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(vertices)
    }

    async fn task_managers(&self) -> Result<Vec<TaskManager>, SampleError> {
        let names = [CPU_LOAD, HEAP_USED, HEAP_MAX].map(str::to_owned);
        let mut task_managers = Vec::new();
        for tm in self.client.task_managers().await? {
            let metrics = self.client.task_manager_metrics(&tm.id, &names).await?;
            let value =
                |name: &str| metrics.iter().find(|metric| metric.id == name).and_then(|metric| metric.value);
            task_managers.push(TaskManager {
                cpu_load: value(CPU_LOAD),
                heap_used_bytes: value(HEAP_USED),
                heap_max_bytes: value(HEAP_MAX),
                id: tm.id,
            });
        }
        Ok(task_managers)
    }
}

/// The names of the vertices that feed this one.
fn inputs(details: &JobDetails, vertex: &VertexId) -> Vec<String> {
    let node = details.plan().iter().find(|node| node.id == *vertex);
    let name_of = |id: &VertexId| details.vertices.iter().find(|vertex| vertex.id == *id);
    let edges = node.map_or(&[][..], |node| node.inputs.as_slice());
    edges.iter().filter_map(|edge| Some(name_of(&edge.id)?.head_operator().to_owned())).collect()
}
