//! Stopping a job with a savepoint, and letting go of savepoints.

use http_client::Method;
use serde::{Deserialize, Serialize};

use crate::failure::first_and_root_cause;
use crate::{Client, Error, JobId, TriggerId};

/// How to stop (`/jobs/:jobid/stop`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StopRequest {
    /// Chosen by the caller: the same request sent again is the same operation.
    pub trigger_id: TriggerId,
    /// Where to write; `None`: the cluster's `execution.checkpointing.savepoint-dir`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_directory: Option<String>,
    /// Whether to emit the largest watermark first, so that all windows fire. Only for a job that shall not go on.
    pub drain: bool,
}

/// How an asynchronous savepoint stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SavepointStatus {
    /// Not finished.
    InProgress,
    /// Finished; the state lies there.
    Completed {
        /// The savepoint's path.
        location: String,
    },
    /// Finished without a savepoint.
    Failed {
        /// Flink's reason and its root cause, in one line.
        cause: String,
    },
}

/// How the disposal of a savepoint stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disposal {
    /// Not finished.
    InProgress,
    /// The savepoint is gone.
    Done,
    /// It could not be disposed of, or is not there (any more).
    Failed {
        /// Flink's reason and its root cause, in one line.
        cause: String,
    },
}

impl Client {
    /// Asks Flink to dispose of a savepoint; the answer is the id to ask [`Client::disposal`] about. Flink itself knows which
    /// files belong to a savepoint, wherever they lie.
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

    /// How a disposal stands. Flink forgets a finished one after `rest.async.store-duration` (5 minutes).
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

    /// Asks for a stop with savepoint. Asking again with the same trigger id starts no second operation.
    ///
    /// # Errors
    /// [`Error::is_not_found`] if the job is unknown, else any [`Error`] of the transport.
    pub async fn stop_with_savepoint(&self, job: &JobId, stop: &StopRequest) -> Result<(), Error> {
        let path = format!("jobs/{job}/stop");
        self.send::<serde_json::Value>(Method::POST, &path, stop).await.map(drop)
    }

    /// How the operation with this trigger id stands. Flink forgets a finished one after
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
