//! One life of a job's tasks: which metrics they have, and their readings. Names and figures that do not change with every sample are
//! read again only after a while.

use std::collections::BTreeMap;

use flink::{Checkpoints, Client, JobDetails, JobId, VertexId};

use super::graph::{Graph, alive};
use super::listing::{Listed, Listing};
use super::{optional, optional_metrics, side_by_side};
use crate::error::SampleError;
use crate::names;
use crate::sample::{Incarnation, Subtask, TaskManager, Vertex};

/// For how long figures that are not the tasks' are used between two whole samples, in milliseconds. Flink renews those of task managers
/// every ten seconds, and its checkpoints rarely follow one another faster.
const BETWEEN_AGE_MAX_MS: i64 = 5_000;

/// When a sample is taken, and how much is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    /// In milliseconds since the Unix epoch.
    pub(super) at_ms: i64,
    /// Whether everything is read.
    pub(super) is_whole: bool,
}

/// A figure with the time at which it was read.
#[derive(Debug)]
struct Read<T> {
    at_ms: i64,
    value: T,
}

impl<T> Read<T> {
    fn is_due(read: Option<&Self>, moment: Moment) -> bool {
        read.is_none_or(|read| moment.is_whole || moment.at_ms - read.at_ms >= BETWEEN_AGE_MAX_MS)
    }
}

/// What is known of one life of the tasks.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) incarnation: Incarnation,
    listed: BTreeMap<VertexId, Listed>,
    checkpoints: Option<Read<Option<Checkpoints>>>,
    task_managers: Option<Read<Vec<TaskManager>>>,
}

impl Life {
    pub(super) fn new(incarnation: Incarnation) -> Self {
        Self { incarnation, listed: BTreeMap::new(), checkpoints: None, task_managers: None }
    }

    /// Returns the vertices with their readings, by name.
    pub(super) async fn vertices(
        &mut self,
        client: &Client,
        details: &JobDetails,
        graph: &Graph,
        moment: Moment,
    ) -> Result<Vec<Vertex>, SampleError> {
        let rests = |vertex: &flink::Vertex, bare: &Vertex| {
            !moment.is_whole && self.listed.get(&vertex.id).is_some_and(|listed| listed.may_rest(bare))
        };
        let (resting, reading): (Vec<_>, Vec<_>) =
            alive(details).zip(graph.vertices()).partition(|(vertex, bare)| rests(vertex, bare));
        self.list(client, &details.id, &reading, moment.at_ms).await?;
        let unlisted = Listing::default();
        let listing = |id: &VertexId| self.listed.get(id).map_or(&unlisted, |listed| &listed.listing);
        let reader = VertexReader { client, job: &details.id, at_ms: moment.at_ms };
        let read = reading.iter().map(|&(vertex, bare)| reader.read(vertex, bare, listing(&vertex.id)));
        let readings = side_by_side(read.collect(), client.max_requests()).await?;
        let left_out = |(vertex, bare): (&flink::Vertex, &Vertex)| {
            listing(&vertex.id).describe(Vertex { is_left_out: true, ..bare.clone() })
        };
        let mut vertices: Vec<Vertex> = resting.into_iter().map(left_out).collect();
        for ((vertex, _), (read, answered)) in reading.into_iter().zip(readings) {
            if let Some(listed) = self.listed.get_mut(&vertex.id) {
                listed.note(&read, answered);
            }
            vertices.push(read);
        }
        vertices.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(vertices)
    }

    /// Lists the metrics of those of these vertices whose lists are missing or too old.
    async fn list(
        &mut self,
        client: &Client,
        job: &JobId,
        vertices: &[(&flink::Vertex, &Vertex)],
        now_ms: i64,
    ) -> Result<(), SampleError> {
        let is_due = |vertex: &flink::Vertex, bare: &Vertex| {
            let listed = self.listed.get(&vertex.id);
            listed.is_none_or(|listed| listed.is_due(bare.is_source(), now_ms))
        };
        let due = vertices.iter().filter(|(vertex, bare)| is_due(vertex, bare)).map(|(vertex, _)| *vertex);
        let list = |vertex: &flink::Vertex| {
            let (id, parallelism) = (vertex.id.clone(), vertex.parallelism as usize);
            async move {
                let names = optional_metrics(client.vertex_metric_names(job, &id).await)?.unwrap_or_default();
                Ok::<_, SampleError>((id, Listing::new(names, parallelism)))
            }
        };
        let lists = side_by_side(due.map(list).collect(), client.max_requests()).await?;
        for (id, listing) in lists {
            let listed = Listed::new(listing, now_ms, self.listed.get(&id));
            self.listed.insert(id, listed);
        }
        Ok(())
    }

    /// Returns the statistics of checkpoints; [`None`] where Flink has none.
    pub(super) async fn checkpoints(
        &mut self,
        client: &Client,
        job: &JobId,
        moment: Moment,
    ) -> Result<Option<Checkpoints>, SampleError> {
        if Read::is_due(self.checkpoints.as_ref(), moment) {
            let value = match client.checkpoints(job).await {
                Err(error) if error.is_without_statistics() => None,
                answer => optional(answer)?,
            };
            self.checkpoints = Some(Read { at_ms: moment.at_ms, value });
        }
        Ok(self.checkpoints.as_ref().and_then(|read| read.value.clone()))
    }

    /// Returns the task managers.
    pub(super) async fn task_managers(
        &mut self,
        cluster: &super::FlinkCluster,
        moment: Moment,
    ) -> Result<Vec<TaskManager>, SampleError> {
        if Read::is_due(self.task_managers.as_ref(), moment) {
            let value = cluster.task_managers().await?.to_vec();
            self.task_managers = Some(Read { at_ms: moment.at_ms, value });
        }
        Ok(self.task_managers.as_ref().map(|read| read.value.clone()).unwrap_or_default())
    }
}

/// Reads the subtasks of vertices.
#[derive(Clone, Copy)]
struct VertexReader<'a> {
    client: &'a Client,
    job: &'a JobId,
    at_ms: i64,
}

impl VertexReader<'_> {
    /// Returns a vertex with its readings, and the number of names that Flink knew.
    async fn read(
        self,
        vertex: &flink::Vertex,
        bare: &Vertex,
        listing: &Listing,
    ) -> Result<(Vertex, usize), SampleError> {
        let Self { client, job, at_ms } = self;
        let mut subtasks = vec![Subtask::default(); vertex.parallelism as usize];
        let mut answered = 0;
        let each = |name: &str, value: Option<f64>| {
            answered += 1;
            names::read(&mut subtasks, name, value, at_ms);
        };
        let end = client.read_vertex_metrics(job, &vertex.id, &listing.wanted, each).await;
        if optional_metrics(end)?.is_none() {
            // What came before the refusal is not whole.
            subtasks.fill(Subtask::default());
        }
        names::finish(&mut subtasks);
        if vertex.is_partly_finished() {
            let finished = client.finished_subtasks(job, &vertex.id).await;
            for index in optional(finished)?.unwrap_or_default() {
                if let Some(subtask) = subtasks.get_mut(index as usize) {
                    subtask.is_finished = true;
                }
            }
        }
        for (subtask, partitions) in subtasks.iter_mut().zip(&listing.partitions) {
            subtask.partitions = Some(*partitions);
        }
        Ok((listing.describe(Vertex { subtasks, ..bare.clone() }), answered))
    }
}
