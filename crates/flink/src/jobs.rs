//! Requests about jobs: state, graph, failures.

use std::collections::{BTreeMap, BTreeSet};

use http_client::Method;
use serde::Deserialize;
use serde_json::json;

use crate::lenient::{non_negative, or_default};
use crate::{Client, Error, JobId, VertexId};

/// Flink's largest parallelism: its maximum number of key groups.
pub const MAX_PARALLELISM: u32 = 32_768;

/// Returns Flink's default maximum parallelism of an operator
/// (`KeyGroupRangeAssignment.computeDefaultMaxParallelism`): 1.5 times the parallelism, rounded up to a power of two,
/// from 128 to [`MAX_PARALLELISM`].
fn default_max_parallelism(parallelism: u32) -> u32 {
    let larger = parallelism.saturating_add(parallelism / 2).min(MAX_PARALLELISM);
    larger.next_power_of_two().clamp(128, MAX_PARALLELISM)
}

/// State of a job (`org.apache.flink.api.common.JobStatus`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum JobState {
    /// Waiting for the JobManager to start it.
    Initializing,
    /// Accepted; with the adaptive scheduler also: waiting for slots.
    Created,
    /// Its tasks are deployed or run.
    Running,
    /// A task failed; the job is being torn down.
    Failing,
    /// Permanently failed.
    Failed,
    /// Being cancelled.
    Cancelling,
    /// Cancelled.
    Canceled,
    /// Reached the end of its input, or stopped with a savepoint.
    Finished,
    /// Between two attempts.
    Restarting,
    /// Stopped, to be recovered by another JobManager.
    Suspended,
    /// Being compared with the state found by a recovered JobManager.
    Reconciling,
    /// A state unknown to this client.
    #[serde(other)]
    Unknown,
}

impl JobState {
    /// Whether the job will never run again.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Failed | Self::Canceled | Self::Finished)
    }
}

/// An entry of `/jobs/overview`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct JobOverview {
    /// The job's id.
    #[serde(rename = "jid")]
    pub id: JobId,
    /// The job's name.
    pub name: String,
    /// Its state.
    pub state: JobState,
    /// When the JobManager accepted it, by its clock, in milliseconds since the Unix epoch.
    #[serde(rename = "start-time", default, deserialize_with = "non_negative")]
    pub start_time_ms: Option<i64>,
    /// Its scheduler, for example `Adaptive` (from Flink 2.3 on).
    #[serde(rename = "schedulerType", default)]
    pub scheduler: Option<String>,
}

/// A vertex: a chain of operators that run in one task.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "VertexAnswer")]
pub struct Vertex {
    /// Its id, the same in all runs and rescales.
    pub id: VertexId,
    /// The names of its operators, joined by ` -> `.
    pub name: String,
    /// Current number of subtasks; 0 while undecided.
    pub parallelism: u32,
    /// Maximum parallelism; 1 for inherently sequential operators. Where Flink does not report it, Flink's default.
    pub max_parallelism: u32,
    /// The state of its tasks, for example `RUNNING`.
    pub status: String,
    /// Id of its slot sharing group (Flink 1.20 and later): subtasks of vertices in one group share slots.
    pub slot_sharing_group: Option<String>,
    /// Number of its subtasks by state.
    pub tasks: BTreeMap<String, u32>,
}

/// A vertex in Flink's format, with -1 for unknown numbers.
#[derive(Deserialize)]
struct VertexAnswer {
    id: VertexId,
    name: String,
    #[serde(default)]
    parallelism: Option<i64>,
    #[serde(rename = "maxParallelism", default)]
    max_parallelism: Option<i64>,
    #[serde(default)]
    status: String,
    #[serde(rename = "slotSharingGroupId", default)]
    slot_sharing_group: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    tasks: BTreeMap<String, u32>,
}

impl From<VertexAnswer> for Vertex {
    fn from(answer: VertexAnswer) -> Self {
        let positive = |number: Option<i64>| {
            let number = number.and_then(|number| u32::try_from(number).ok());
            number.filter(|number| (1..=MAX_PARALLELISM).contains(number))
        };
        let parallelism = positive(answer.parallelism).unwrap_or(0);
        Self {
            id: answer.id,
            name: answer.name,
            parallelism,
            max_parallelism: positive(answer.max_parallelism)
                .unwrap_or_else(|| default_max_parallelism(parallelism)),
            status: answer.status,
            slot_sharing_group: answer.slot_sharing_group.filter(|id| !id.is_empty()),
            tasks: answer.tasks,
        }
    }
}

impl Vertex {
    /// Whether all its tasks have reached the end of their input.
    pub fn is_finished(&self) -> bool {
        self.status == "FINISHED"
    }

    /// Whether some, but not all, of its tasks have reached the end of their input.
    pub fn is_partly_finished(&self) -> bool {
        !self.is_finished() && self.tasks.get("FINISHED").is_some_and(|count| *count > 0)
    }

    /// Returns the name of the vertex' first operator, without Flink's prefix of sources.
    ///
    /// ```
    /// # let v = |name: &str| flink::Vertex { id: "0".repeat(32).parse().unwrap(), name: name.to_owned(),
    /// #     parallelism: 1, max_parallelism: 1, status: String::new(), slot_sharing_group: None, tasks: Default::default() };
    /// assert_eq!(v("Source: source-bid -> decode-bid").head_operator(), "source-bid");
    /// assert_eq!(v("q7-bid-item").head_operator(), "q7-bid-item");
    /// ```
    pub fn head_operator(&self) -> &str {
        let head = self.name.split(" -> ").next().unwrap_or_default().trim();
        let head = head.strip_prefix("Source:").unwrap_or(head).trim();
        let head = head.split(": Writer").next().unwrap_or(head);
        head.strip_suffix(": Committer").unwrap_or(head)
    }
}

/// An input edge of a vertex in the plan.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Edge {
    /// Id of the upstream vertex.
    pub id: VertexId,
    /// How records are distributed: `HASH`, `FORWARD`, `REBALANCE`, `BROADCAST` …
    #[serde(default)]
    pub ship_strategy: String,
}

/// A vertex of the plan with its inputs.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PlanNode {
    /// Id of the vertex.
    pub id: VertexId,
    /// Its inputs; empty for a source.
    #[serde(default, deserialize_with = "or_default")]
    pub inputs: Vec<Edge>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
struct Plan {
    #[serde(default)]
    nodes: Option<Vec<PlanNode>>,
}

/// Details of a job (`/jobs/:jobid`). The JobManager caches them for `web.refresh-interval`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct JobDetails {
    /// The job's id.
    #[serde(rename = "jid")]
    pub id: JobId,
    /// The job's name.
    pub name: String,
    /// Its state.
    pub state: JobState,
    /// `STREAMING` or `BATCH`, from Flink 1.18 on.
    #[serde(rename = "job-type", default)]
    pub job_type: Option<String>,
    /// When it entered each state, by the JobManager's clock, in milliseconds since the Unix epoch; 0: never.
    #[serde(default, deserialize_with = "or_default")]
    pub timestamps: BTreeMap<String, i64>,
    /// The JobManager's time of this response, in milliseconds since the Unix epoch. It may differ from this
    /// machine's: compare it only with Flink's own times.
    #[serde(default, deserialize_with = "non_negative")]
    pub now: Option<i64>,
    /// Its vertices. Their order varies with the state: identify them by id.
    #[serde(default, deserialize_with = "or_default")]
    pub vertices: Vec<Vertex>,
    #[serde(default)]
    plan: Option<Plan>,
}

impl JobDetails {
    /// Whether the job and all its tasks are running, except those that have reached the end of a bounded input.
    pub fn is_fully_running(&self) -> bool {
        let runs = |vertex: &Vertex| vertex.status == "RUNNING";
        self.state == JobState::Running
            && self.vertices.iter().any(runs)
            && self.vertices.iter().all(|vertex| runs(vertex) || vertex.is_finished())
    }

    /// Whether it is a batch job, whose scheduler chooses the parallelism.
    pub fn is_batch(&self) -> bool {
        self.job_type.as_deref() == Some("BATCH")
    }

    /// Returns when the job last entered `RUNNING`, by the JobManager's clock, in milliseconds since the Unix epoch.
    pub fn running_since_ms(&self) -> Option<i64> {
        self.timestamps.get("RUNNING").copied().filter(|at| *at > 0)
    }

    /// Returns how long the job has been running, in milliseconds, by the JobManager's clock alone.
    pub fn running_ms(&self) -> Option<i64> {
        Some((self.now? - self.running_since_ms()?).max(0))
    }

    /// Whether the vertices, with the states of their tasks, and the edges are the same as of an earlier response.
    pub fn has_same_graph(&self, other: &Self) -> bool {
        self.vertices == other.vertices && self.plan == other.plan
    }

    /// Returns the edges between vertices; empty where Flink reports none, as it does while it rebuilds the plan.
    pub fn plan(&self) -> &[PlanNode] {
        self.plan.as_ref().and_then(|plan| plan.nodes.as_deref()).unwrap_or_default()
    }
}

/// One failure of a job (`/jobs/:jobid/exceptions`).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct JobFailure {
    /// Flink's stack trace.
    #[serde(default)]
    pub stacktrace: String,
    /// Time of the failure by the JobManager's clock, in milliseconds since the Unix epoch.
    #[serde(default, deserialize_with = "non_negative")]
    pub timestamp: Option<i64>,
}

impl Client {
    /// Fetches all jobs known to the JobManager, including ended ones.
    ///
    /// # Errors
    /// Any [`Error`] of the transport.
    pub async fn jobs(&self) -> Result<Vec<JobOverview>, Error> {
        #[derive(Deserialize)]
        struct Answer {
            jobs: Vec<JobOverview>,
        }
        Ok(self.get::<Answer>("jobs/overview", &[]).await?.jobs)
    }

    /// Fetches the details of a job.
    ///
    /// # Errors
    /// [`Error::is_not_found`] if the JobManager does not know the job, else any [`Error`] of the transport.
    pub async fn job(&self, job: &JobId) -> Result<JobDetails, Error> {
        self.get(&format!("jobs/{job}"), &[]).await
    }

    /// Fetches the indices of a vertex' subtasks that have reached the end of their input.
    ///
    /// # Errors
    /// Any [`Error`] of the transport.
    pub async fn finished_subtasks(&self, job: &JobId, vertex: &VertexId) -> Result<BTreeSet<u32>, Error> {
        #[derive(Deserialize)]
        struct Subtask {
            subtask: u32,
            #[serde(default)]
            status: String,
        }
        #[derive(Deserialize)]
        struct Answer {
            #[serde(default, deserialize_with = "or_default")]
            subtasks: Vec<Subtask>,
        }
        let answer: Answer = self.get(&format!("jobs/{job}/vertices/{vertex}"), &[]).await?;
        let finished = answer.subtasks.into_iter().filter(|subtask| subtask.status == "FINISHED");
        Ok(finished.map(|subtask| subtask.subtask).collect())
    }

    /// Fetches the newest failures of a job, newest first, at most `most`.
    ///
    /// A job that failed before its tasks were deployed (for example because its savepoint is unreadable) has no
    /// failures of its own; from Flink 2.3 on the application around it, which has the id that was asked for at
    /// submission, has them.
    ///
    /// # Errors
    /// Any [`Error`] of the transport.
    pub async fn failures(&self, job: &JobId, most: u32) -> Result<Vec<JobFailure>, Error> {
        #[derive(Deserialize, Default)]
        struct History {
            #[serde(default, deserialize_with = "or_default")]
            entries: Vec<JobFailure>,
        }
        #[derive(Deserialize)]
        struct Answer {
            #[serde(rename = "exceptionHistory", default, deserialize_with = "or_default")]
            history: History,
        }
        let most = most.to_string();
        let of_job = format!("jobs/{job}/exceptions");
        let answer: Answer = self.get(&of_job, &[("maxExceptions", &most)]).await?;
        if !answer.history.entries.is_empty() {
            return Ok(answer.history.entries);
        }
        match self.get::<Answer>(&format!("applications/{job}/exceptions"), &[]).await {
            Ok(answer) => Ok(answer.history.entries),
            Err(error) if error.is_not_found() => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// Fetches the newest failure of a job, as Flink's stack trace; `None` if there was none.
    ///
    /// # Errors
    /// Any [`Error`] of the transport.
    pub async fn newest_exception(&self, job: &JobId) -> Result<Option<String>, Error> {
        Ok(self.failures(job, 1).await?.into_iter().next().map(|failure| failure.stacktrace))
    }

    /// Cancels a job without a savepoint.
    ///
    /// # Errors
    /// Any [`Error`] of the transport.
    pub async fn cancel(&self, job: &JobId) -> Result<(), Error> {
        let path = format!("jobs/{job}?mode=cancel");
        self.send::<serde_json::Value>(Method::PATCH, &path, &json!({})).await.map(drop)
    }
}
#[cfg(test)]
mod tests {
    use super::*;

    fn details(plan: &str, vertex: &str) -> JobDetails {
        let (job, id) = ("a".repeat(32), "b".repeat(32));
        let text = format!(
            r#"{{"jid":"{job}","name":"j","state":"RUNNING","vertices":[{{"id":"{id}","name":"a","status":"RUNNING"{vertex}}}]{plan}}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    /// Goal: a plan that is null, empty or missing has no edges, and the response is valid.
    #[test]
    fn a_plan_may_be_missing() {
        for plan in
            ["", r#","plan":null"#, r#","plan":{}"#, r#","plan":{"nodes":null}"#, r#","plan":{"nodes":[]}"#]
        {
            assert!(details(plan, "").plan().is_empty(), "{plan}");
        }
        let id = "b".repeat(32);
        assert_eq!(details(&format!(r#","plan":{{"nodes":[{{"id":"{id}"}}]}}"#), "").plan().len(), 1);
    }

    /// Goal: numbers unknown to Flink get its defaults, and known ones are unchanged.
    #[test]
    fn unknown_numbers_of_a_vertex_are_understood() {
        let of = |fields: &str| {
            let vertex = details("", fields).vertices.remove(0);
            (vertex.parallelism, vertex.max_parallelism, vertex.slot_sharing_group)
        };
        assert_eq!(of(r#","parallelism":-1,"maxParallelism":-1"#), (0, 128, None));
        assert_eq!(of(r#","parallelism":100"#), (100, 256, None));
        assert_eq!(of(r#","parallelism":30000"#), (30_000, 32_768, None));
        assert_eq!(of(r#","parallelism":4294967295,"maxParallelism":4294967295"#), (0, 128, None));
        let told = r#","parallelism":2,"maxParallelism":1,"slotSharingGroupId":"g""#;
        assert_eq!(of(told), (2, 1, Some("g".to_owned())));
        assert_eq!(of(r#","parallelism":2,"maxParallelism":4,"slotSharingGroupId":null"#), (2, 4, None));
    }
}
