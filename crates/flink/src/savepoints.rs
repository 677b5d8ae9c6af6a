//! Stopping a job with a savepoint, and deleting savepoints.

use http_client::Method;
use serde::{Deserialize, Serialize};

use crate::failure::first_and_root_cause;
use crate::{Client, Error, JobId, TriggerId};

/// A stop request (`/jobs/:jobid/stop`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StopRequest {
    /// Chosen by the caller: repeating the request is idempotent.
    pub trigger_id: TriggerId,
    /// Target directory; `None`: the cluster's `execution.checkpointing.savepoint-dir`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_directory: Option<String>,
    /// Whether to emit the largest watermark first, so that all windows fire. Only for a job that will not be
    /// resumed.
    pub drain: bool,
}

/// Status of an asynchronous savepoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SavepointStatus {
    /// In progress.
    InProgress,
    /// Completed.
    Completed {
        /// Path of the savepoint.
        location: String,
    },
    /// Failed.
    Failed {
        /// Flink's reason and its root cause, in one line.
        cause: String,
    },
}

/// Status of a savepoint's deletion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disposal {
    /// In progress.
    InProgress,
    /// Deleted.
    Done,
    /// Failed, or the savepoint does not exist.
    Failed {
        /// Flink's reason and its root cause, in one line.
        cause: String,
    },
}

impl Client {
    /// Asks Flink to delete a savepoint; returns the id for [`Client::disposal`]. Flink knows which files belong to a
    /// savepoint, wherever they are.
    ///
    /// # Errors
    /// Any [`Error`] of the transport.
    pub async fn dispose_savepoint(&self, path: &str) -> Result<TriggerId, Error> {
        #[derive(Deserialize)]
        struct Answer {
            #[serde(rename = "request-id")]
            trigger: TriggerId,
        }
        let body = serde_json::json!({ "savepoint-path": path });
        Ok(self.send::<Answer>(Method::POST, "savepoint-disposal", &body).await?.trigger)
    }

    /// Fetches the status of a deletion. Flink keeps a finished one for `rest.async.store-duration` (5 minutes).
    ///
    /// # Errors
    /// [`Error::is_not_found`] if the operation is unknown or forgotten, else any [`Error`] of the transport.
    pub async fn disposal(&self, trigger: &TriggerId) -> Result<Disposal, Error> {
        let answer: Answer = self.get(&format!("savepoint-disposal/{trigger}"), &[]).await?;
        if answer.status.id != "COMPLETED" {
            return Ok(Disposal::InProgress);
        }
        let failure = answer.operation.and_then(|operation| operation.failure_cause);
        Ok(match failure {
            None => Disposal::Done,
            Some(cause) => {
                let trace = cause.stack_trace.unwrap_or_default();
                Disposal::Failed { cause: first_and_root_cause(&trace) }
            }
        })
    }

    /// Requests a stop with savepoint. Idempotent per trigger id.
    ///
    /// # Errors
    /// [`Error::is_not_found`] if the job is unknown, else any [`Error`] of the transport.
    pub async fn stop_with_savepoint(&self, job: &JobId, stop: &StopRequest) -> Result<(), Error> {
        let path = format!("jobs/{job}/stop");
        self.send::<serde_json::Value>(Method::POST, &path, stop).await.map(drop)
    }

    /// Fetches the status of the operation with this trigger id. Flink keeps a finished one for
    /// `rest.async.store-duration` (5 minutes).
    ///
    /// # Errors
    /// [`Error::is_not_found`] if the operation is unknown or forgotten, else any [`Error`] of the transport.
    pub async fn savepoint_status(&self, job: &JobId, trigger: &TriggerId) -> Result<SavepointStatus, Error> {
        let answer: Answer = self.get(&format!("jobs/{job}/savepoints/{trigger}"), &[]).await?;
        if answer.status.id != "COMPLETED" {
            return Ok(SavepointStatus::InProgress);
        }
        let operation = answer.operation.unwrap_or_default();
        if let Some(location) = operation.location {
            return Ok(SavepointStatus::Completed { location });
        }
        let trace = operation.failure_cause.and_then(|cause| cause.stack_trace).unwrap_or_default();
        Ok(SavepointStatus::Failed { cause: first_and_root_cause(&trace) })
    }
}

#[derive(Deserialize)]
struct Answer {
    status: Status,
    operation: Option<Operation>,
}

#[derive(Deserialize)]
struct Status {
    id: String,
}

#[derive(Deserialize, Default)]
struct Operation {
    location: Option<String>,
    #[serde(rename = "failure-cause")]
    failure_cause: Option<Cause>,
}

#[derive(Deserialize)]
struct Cause {
    #[serde(rename = "stack-trace")]
    stack_trace: Option<String>,
}
