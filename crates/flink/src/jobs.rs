//! Jobs: their state, their graph, their failures.

use std::collections::BTreeMap;

use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use crate::{Client, Error, JobId, VertexId};

/// Where a job is in its life (`org.apache.flink.api.common.JobStatus`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum JobState {
    /// Waiting for the JobManager to take it up.
    Initializing,
    /// Accepted; with the adaptive scheduler also: waiting for slots.
    Created,
    /// Its tasks are deployed or run.
    Running,
    /// A task failed; the job is being torn down.
    Failing,
    /// Failed for good.
    Failed,
    /// Being cancelled.
    Cancelling,
    /// Cancelled.
    Canceled,
    /// Ended by itself, or stopped with a savepoint.
    Finished,
    /// Between two attempts.
    Restarting,
    /// Stopped, to be taken up by another JobManager.
    Suspended,
    /// Being compared with what a recovered JobManager finds.
    Reconciling,
    /// A state that this client does not know.
    #[serde(other)]
    Unknown,
}

impl JobState {
    /// Whether the job will never run again.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Failed | Self::Canceled | Self::Finished)
    }
}

/// A line of `/jobs/overview`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct JobOverview {
    /// The job's id.
    #[serde(rename = "jid")]
    pub id: JobId,
    /// The job's name.
    pub name: String,
    /// Where it is in its life.
    pub state: JobState,
    /// When it was accepted, in milliseconds since the Unix epoch.
    #[serde(rename = "start-time")]
    pub start_time_ms: i64,
}

/// One vertex: a chain of operators that run in one task.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "VertexAnswer")]
pub struct Vertex {
    /// The same over runs and rescales.
    pub id: VertexId,
    /// The names of its operators, joined by ` -> `.
    pub name: String,
    /// The number of subtasks now; 0 while Flink has not decided it.
    pub parallelism: u32,
    /// The largest parallelism; 1 for operators that are not parallel by nature. Where Flink does not tell it, the one that it
    /// gives by default.
    pub max_parallelism: u32,
    /// The state of its tasks, for example `RUNNING`.
    pub status: String,
    /// The id of its slot sharing group (Flink 1.20 and later): subtasks of vertices with the same one share slots.
    pub slot_sharing_group: Option<String>,
}

/// A vertex as Flink writes it, with -1 for a number that is not known.
#[derive(Deserialize)]
struct VertexAnswer {
    id: VertexId,
    name: String,
    #[serde(default)]
    parallelism: Option<i64>,
    #[serde(rename = "maxParallelism", default)]
    max_parallelism: Option<i64>,
    status: String,
    #[serde(rename = "slotSharingGroupId", default)]
    slot_sharing_group: Option<String>,
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
        }
    }
}

/// More subtasks than this no Flink accepts.
const MAX_PARALLELISM: u32 = 1 << 15;

/// The largest parallelism that Flink gives to a job without one of its own: one and a half times the parallelism, rounded up
/// to a power of two, at least 128 and at most 32,768.
fn default_max_parallelism(parallelism: u32) -> u32 {
    (parallelism + parallelism / 2).min(MAX_PARALLELISM).next_power_of_two().clamp(1 << 7, MAX_PARALLELISM)
}

impl Vertex {
    /// The name of the vertex' first operator, without the prefix that Flink gives to sources.
    ///
    /// ```
    /// # let v = |name: &str| flink::Vertex { id: "0".repeat(32).parse().unwrap(), name: name.to_owned(),
    /// #     parallelism: 1, max_parallelism: 1, status: String::new(), slot_sharing_group: None };
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

/// An edge into a vertex of the plan.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Edge {
    /// The vertex that it comes from.
    pub id: VertexId,
    /// How records are distributed: `HASH`, `FORWARD`, `REBALANCE`, `BROADCAST` …
    #[serde(default)]
    pub ship_strategy: String,
}

/// A vertex of the plan with its inputs.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PlanNode {
    /// The vertex.
    pub id: VertexId,
    /// Its inputs; none for a source.
    #[serde(default)]
    pub inputs: Vec<Edge>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
struct Plan {
    #[serde(default)]
    nodes: Option<Vec<PlanNode>>,
}

/// A job in detail (`/jobs/:jobid`). The JobManager caches this picture for `web.refresh-interval`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct JobDetails {
    /// The job's id.
    #[serde(rename = "jid")]
    pub id: JobId,
    /// The job's name.
    pub name: String,
    /// Where it is in its life.
    pub state: JobState,
    /// When it entered each state, in milliseconds since the Unix epoch; 0: never.
    #[serde(default)]
    pub timestamps: BTreeMap<String, i64>,
    /// The JobManager's clock at this answer, in milliseconds since the Unix epoch.
    #[serde(default)]
    pub now: i64,
    /// Its vertices. The order changes between states: go by id.
    pub vertices: Vec<Vertex>,
    #[serde(default)]
    plan: Option<Plan>,
}

impl JobDetails {
    /// Whether the job and every one of its tasks run.
    pub fn is_fully_running(&self) -> bool {
        self.state == JobState::Running
            && !self.vertices.is_empty()
            && self.vertices.iter().all(|vertex| vertex.status == "RUNNING")
    }

    /// When the job last entered `RUNNING`, in milliseconds since the Unix epoch.
    pub fn running_since_ms(&self) -> Option<i64> {
        self.timestamps.get("RUNNING").copied().filter(|at| *at > 0)
    }

    /// The edges between vertices; empty where Flink tells none, as it does while it makes the plan anew.
    pub fn plan(&self) -> &[PlanNode] {
        self.plan.as_ref().and_then(|plan| plan.nodes.as_deref()).unwrap_or_default()
    }
}

/// What is known of a job's checkpoints (`/jobs/:jobid/checkpoints`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Checkpoints {
    /// Checkpoints completed since the job started.
    pub completed: u64,
    /// Checkpoints failed since the job started.
    pub failed: u64,
    /// The full size of the newest completed checkpoint, in bytes.
    pub state_size_bytes: Option<u64>,
    /// What the newest completed checkpoint has written itself, in bytes: less than its full size if it is incremental.
    pub checkpointed_size_bytes: Option<u64>,
    /// The number of the newest completed checkpoint.
    pub newest_id: Option<u64>,
    /// How long the newest completed checkpoint took, in milliseconds.
    pub duration_ms: Option<u64>,
    /// When the newest completed checkpoint was acknowledged by the last task, in milliseconds since the Unix epoch.
    pub completed_at_ms: Option<i64>,
    /// How often the job went back to a checkpoint or savepoint.
    pub restored: u64,
    /// Where the newest savepoint lies.
    pub latest_savepoint: Option<String>,
    /// Where the newest complete state lies, checkpoint or savepoint; `None` also if Flink has deleted it since.
    pub newest_state: Option<String>,
}

impl Client {
    /// All jobs that the JobManager remembers, ended ones included.
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

    /// One job in detail.
    ///
    /// # Errors
    /// [`Error::is_not_found`] if the JobManager does not know the job, else any [`Error`] of the transport.
    pub async fn job(&self, job: &JobId) -> Result<JobDetails, Error> {
        self.get(&format!("jobs/{job}"), &[]).await
    }

    /// The newest failure of a job, as Flink's stack trace; `None` if there was none.
    ///
    /// A job that failed before its tasks were deployed (for example because its savepoint is unreadable) has no failures of its
    /// own; from Flink 2.3 on the application around it, which has the id that was asked for at submission, has them.
    ///
    /// # Errors
    /// Any [`Error`] of the transport.
    pub async fn newest_exception(&self, job: &JobId) -> Result<Option<String>, Error> {
        #[derive(Deserialize)]
        struct Entry {
            stacktrace: String,
        }
        #[derive(Deserialize, Default)]
        struct History {
            entries: Vec<Entry>,
        }
        #[derive(Deserialize)]
        struct Answer {
            #[serde(rename = "exceptionHistory", default)]
            history: History,
        }
        let of_job = format!("jobs/{job}/exceptions");
        let answer: Answer = self.get(&of_job, &[("maxExceptions", "1")]).await?;
        if let Some(entry) = answer.history.entries.into_iter().next() {
            return Ok(Some(entry.stacktrace));
        }
        match self.get::<Answer>(&format!("applications/{job}/exceptions"), &[]).await {
            Ok(answer) => Ok(answer.history.entries.into_iter().next().map(|entry| entry.stacktrace)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What is known of the job's checkpoints and savepoints.
    ///
    /// # Errors
    /// Any [`Error`] of the transport.
    pub async fn checkpoints(&self, job: &JobId) -> Result<Checkpoints, Error> {
        let answer: CheckpointsAnswer = self.get(&format!("jobs/{job}/checkpoints"), &[]).await?;
        let newest_state = answer.latest.newest_state();
        let completed = answer.latest.completed;
        Ok(Checkpoints {
            completed: answer.counts.completed,
            failed: answer.counts.failed,
            state_size_bytes: completed.as_ref().map(|c| c.state_size),
            checkpointed_size_bytes: completed.as_ref().and_then(|c| c.checkpointed_size),
            newest_id: completed.as_ref().map(|c| c.id),
            duration_ms: completed.as_ref().map(|c| c.end_to_end_duration),
            completed_at_ms: completed.as_ref().and_then(|c| c.latest_ack_timestamp),
            restored: answer.counts.restored,
            latest_savepoint: answer.latest.savepoint.and_then(|s| s.external_path),
            newest_state,
        })
    }

    /// How wide each vertex is wanted at most: what was asked for last, or what the job began with (adaptive scheduler only).
    ///
    /// # Errors
    /// Any [`Error`] of the transport.
    pub async fn parallelism_wanted(&self, job: &JobId) -> Result<BTreeMap<VertexId, u32>, Error> {
        #[derive(Deserialize)]
        struct Requirement {
            parallelism: Bounds,
        }
        #[derive(Deserialize)]
        struct Bounds {
            #[serde(rename = "upperBound")]
            upper: u32,
        }
        let path = format!("jobs/{job}/resource-requirements");
        let answer: BTreeMap<VertexId, Requirement> = self.get(&path, &[]).await?;
        Ok(answer.into_iter().map(|(id, requirement)| (id, requirement.parallelism.upper)).collect())
    }

    /// Asks for another parallelism of a running job (adaptive scheduler only). Every vertex must be named; Flink then runs each with
    /// as many subtasks as it has slots for, at most the number given. Asking again for the same changes nothing.
    ///
    /// # Errors
    /// [`Error::Status`] with 400 if a vertex is missing, unknown or given more than its maximum, else any [`Error`] of the
    /// transport.
    pub async fn rescale(&self, job: &JobId, parallelism: &BTreeMap<VertexId, u32>) -> Result<(), Error> {
        let requirement = |upper: &u32| json!({ "parallelism": { "lowerBound": 1, "upperBound": upper } });
        let body: BTreeMap<&str, serde_json::Value> =
            parallelism.iter().map(|(id, upper)| (id.as_str(), requirement(upper))).collect();
        let path = format!("jobs/{job}/resource-requirements");
        self.send::<serde_json::Value>(Method::PUT, &path, &body).await.map(drop)
    }

    /// Asks for a checkpoint now. A rescale waits for one, so that nothing is computed twice.
    ///
    /// # Errors
    /// Any [`Error`] of the transport.
    pub async fn trigger_checkpoint(&self, job: &JobId) -> Result<(), Error> {
        let path = format!("jobs/{job}/checkpoints");
        let body = json!({ "checkpointType": "CONFIGURED" });
        self.send::<serde_json::Value>(Method::POST, &path, &body).await.map(drop)
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

#[derive(Deserialize)]
struct CheckpointsAnswer {
    #[serde(default)]
    counts: Counts,
    #[serde(default)]
    latest: Latest,
}

#[derive(Deserialize, Default)]
struct Counts {
    #[serde(default)]
    completed: u64,
    #[serde(default)]
    failed: u64,
    #[serde(default)]
    restored: u64,
}

#[derive(Deserialize, Default)]
struct Latest {
    completed: Option<Completed>,
    savepoint: Option<Completed>,
}

impl Latest {
    fn newest_state(&self) -> Option<String> {
        let both = [&self.completed, &self.savepoint];
        let newest = both.into_iter().flatten().max_by_key(|completed| completed.id)?;
        newest.external_path.clone().filter(|_| !newest.discarded)
    }
}

#[derive(Deserialize)]
struct Completed {
    #[serde(default)]
    id: u64,
    #[serde(default)]
    discarded: bool,
    #[serde(default)]
    state_size: u64,
    checkpointed_size: Option<u64>,
    #[serde(default)]
    end_to_end_duration: u64,
    latest_ack_timestamp: Option<i64>,
    external_path: Option<String>,
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

    /// Goal: a plan that is null, empty or left out is a plan without edges, not an answer of another form.
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

    /// Goal: numbers that Flink does not know are its defaults, and those that it knows are taken as they are.
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
