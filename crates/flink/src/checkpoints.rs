//! Checkpoints and savepoints of a job.

use http_client::Method;
use serde::Deserialize;
use serde_json::json;

use crate::failure::first_and_root_cause;
use crate::lenient::{count, non_negative, or_default};
use crate::{Client, Error, JobId, TriggerId};

/// Statistics of a job's checkpoints (`/jobs/:jobid/checkpoints`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Checkpoints {
    /// Checkpoints completed since the job started.
    pub completed: u64,
    /// Checkpoints failed since the job started.
    pub failed: u64,
    /// Full size of the newest completed checkpoint, in bytes.
    pub state_size_bytes: Option<u64>,
    /// Bytes written by the newest completed checkpoint itself: less than its full size if it is incremental.
    pub checkpointed_size_bytes: Option<u64>,
    /// Id of the newest completed checkpoint.
    pub newest_id: Option<u64>,
    /// Duration of the newest completed checkpoint, in milliseconds.
    pub duration_ms: Option<u64>,
    /// When the last task acknowledged the newest completed checkpoint, by the JobManager's clock, in milliseconds
    /// since the Unix epoch.
    pub completed_at_ms: Option<i64>,
    /// Number of restores from a checkpoint or savepoint.
    pub restored: u64,
    /// Path of the newest savepoint.
    pub latest_savepoint: Option<String>,
    /// Path of the newest complete state, checkpoint or savepoint; `None` also if Flink has deleted it since.
    pub newest_state: Option<String>,
}

impl Client {
    /// Fetches the statistics of the job's checkpoints and savepoints.
    ///
    /// # Errors
    /// [`Error::is_not_found`] if checkpointing is off (before Flink 2.0) or the job is unknown, else any [`Error`]
    /// of the transport.
    pub async fn checkpoints(&self, job: &JobId) -> Result<Checkpoints, Error> {
        let answer: Answer = self.get(&format!("jobs/{job}/checkpoints"), &[]).await?;
        let newest_state = answer.latest.newest_state();
        let completed = answer.latest.completed;
        Ok(Checkpoints {
            completed: answer.counts.completed,
            failed: answer.counts.failed,
            state_size_bytes: completed.as_ref().and_then(|c| c.state_size),
            checkpointed_size_bytes: completed.as_ref().and_then(|c| c.checkpointed_size),
            newest_id: completed.as_ref().map(|c| c.id),
            duration_ms: completed.as_ref().and_then(|c| c.end_to_end_duration),
            completed_at_ms: completed.as_ref().and_then(|c| c.latest_ack_timestamp),
            restored: answer.counts.restored,
            latest_savepoint: answer.latest.savepoint.and_then(|s| s.external_path),
            newest_state,
        })
    }

    /// Triggers a checkpoint. From Flink 2.0 on a rescale waits for one, so that no input is reprocessed. Returns the
    /// id for [`Client::checkpoint_status`].
    ///
    /// # Errors
    /// Any [`Error`] of the transport.
    pub async fn trigger_checkpoint(&self, job: &JobId) -> Result<Option<TriggerId>, Error> {
        #[derive(Deserialize)]
        struct Triggered {
            #[serde(rename = "request-id", default)]
            id: Option<TriggerId>,
        }
        let path = format!("jobs/{job}/checkpoints");
        let body = json!({ "checkpointType": "CONFIGURED" });
        Ok(self.send::<Triggered>(Method::POST, &path, &body).await?.id)
    }

    /// Fetches the status of a triggered checkpoint.
    ///
    /// # Errors
    /// Any [`Error`] of the transport.
    pub async fn checkpoint_status(
        &self,
        job: &JobId,
        trigger: &TriggerId,
    ) -> Result<CheckpointStatus, Error> {
        let answer: Asked = self.get(&format!("jobs/{job}/checkpoints/{trigger}"), &[]).await?;
        Ok(match answer.operation {
            _ if answer.status.id != "COMPLETED" => CheckpointStatus::InProgress,
            Some(Operation { failure: Some(failure), .. }) => {
                CheckpointStatus::Failed { cause: first_and_root_cause(&failure.stack_trace) }
            }
            _ => CheckpointStatus::Completed,
        })
    }
}

/// Status of a triggered checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckpointStatus {
    /// In progress.
    InProgress,
    /// Complete.
    Completed,
    /// It failed.
    Failed {
        /// Cause, in Flink's words.
        cause: String,
    },
}

/// The response of `/jobs/:jobid/checkpoints/:triggerid`.
#[derive(Deserialize)]
struct Asked {
    status: AskedStatus,
    #[serde(default)]
    operation: Option<Operation>,
}

#[derive(Deserialize)]
struct AskedStatus {
    id: String,
}

#[derive(Deserialize)]
struct Operation {
    #[serde(rename = "failureCause", default)]
    failure: Option<FailureCause>,
}

#[derive(Deserialize)]
struct FailureCause {
    #[serde(rename = "stack-trace", default)]
    stack_trace: String,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default, deserialize_with = "or_default")]
    counts: Counts,
    #[serde(default, deserialize_with = "or_default")]
    latest: Latest,
}

#[derive(Deserialize, Default)]
struct Counts {
    #[serde(default, deserialize_with = "count")]
    completed: u64,
    #[serde(default, deserialize_with = "count")]
    failed: u64,
    #[serde(default, deserialize_with = "count")]
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

/// Flink returns -1 for unknown values, for example for a savepoint in a directory that it cannot measure.
#[derive(Deserialize)]
struct Completed {
    #[serde(default, deserialize_with = "count")]
    id: u64,
    #[serde(default, deserialize_with = "or_default")]
    discarded: bool,
    #[serde(default, deserialize_with = "non_negative")]
    state_size: Option<u64>,
    #[serde(default, deserialize_with = "non_negative")]
    checkpointed_size: Option<u64>,
    #[serde(default, deserialize_with = "non_negative")]
    end_to_end_duration: Option<u64>,
    #[serde(default, deserialize_with = "non_negative")]
    latest_ack_timestamp: Option<i64>,
    external_path: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: a triggered checkpoint is in progress, completed or failed, with the cause.
    #[test]
    fn an_asked_checkpoint_has_a_status() {
        let read = |value: serde_json::Value| serde_json::from_value::<Asked>(value).unwrap();
        let going = read(json!({ "status": { "id": "IN_PROGRESS" }, "operation": null }));
        assert!(going.operation.is_none() && going.status.id == "IN_PROGRESS");
        let done = json!({ "status": { "id": "COMPLETED" }, "operation": { "checkpointId": 4, "failureCause": null } });
        assert!(read(done).operation.unwrap().failure.is_none());
        let failed = json!({ "status": { "id": "COMPLETED" }, "operation": { "failureCause": {
            "class": "a.B", "stack-trace": "a.B: no\n\tat x.Y.z(Y.java:1)", "serialized-throwable": "x" } } });
        assert_eq!(
            read(failed).operation.unwrap().failure.unwrap().stack_trace,
            "a.B: no\n\tat x.Y.z(Y.java:1)"
        );
    }

    /// Goal: null or -1 from Flink is unknown and not an error; known values are parsed.
    #[test]
    fn unknown_figures_are_unknown() {
        let answer: Answer = serde_json::from_value(json!({
            "counts": null,
            "latest": { "savepoint": null, "completed": {
                "id": 7, "state_size": -1, "checkpointed_size": null, "end_to_end_duration": -1,
                "latest_ack_timestamp": 12, "external_path": "file:/x", "discarded": null,
            } },
        }))
        .unwrap();
        let completed = answer.latest.completed.unwrap();
        assert_eq!((completed.id, completed.latest_ack_timestamp), (7, Some(12)));
        assert_eq!((completed.state_size, completed.end_to_end_duration), (None, None));
        assert_eq!(answer.counts.completed, 0);
    }
}
