//! What Flink remembers of a job's rescales (2.3 and later, adaptive scheduler only, and only where
//! `web.adaptive-scheduler.rescale-history.size` is above 0).

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::{Client, Error, JobId};

/// One rescale as the scheduler saw it (`/jobs/:jobid/rescales/history`, `/jobs/:jobid/rescales/details/:rescaleuuid`).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Rescale {
    /// Its id.
    #[serde(rename = "rescaleUuid")]
    pub id: String,
    /// When it began, in milliseconds since the Unix epoch.
    #[serde(rename = "startTimestampInMillis")]
    pub started_ms: Option<i64>,
    /// When it ended, in milliseconds since the Unix epoch; [`None`] while it is under way.
    #[serde(rename = "endTimestampInMillis", default)]
    pub ended_ms: Option<i64>,
    /// How it ended, for example `COMPLETED`, `FAILED`, `IGNORED`.
    #[serde(rename = "terminalState", default)]
    pub outcome: Option<String>,
    /// What set it off, for example `UPDATE_REQUIREMENT`, `NEW_RESOURCE_AVAILABLE`, `RECOVERABLE_FAILOVER`.
    #[serde(rename = "triggerCause", default)]
    pub cause: Option<String>,
    /// Per vertex id. The history leaves them out; only [`Client::rescale_details`] tells them.
    #[serde(default)]
    pub vertices: BTreeMap<String, RescaledVertex>,
}

/// One vertex in a rescale.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct RescaledVertex {
    /// The names of its operators, joined by ` -> `.
    #[serde(rename = "jobVertexName", default)]
    pub name: String,
    /// Its parallelism before.
    #[serde(rename = "preRescaleParallelism", default)]
    pub before: Option<u32>,
    /// What it should have had.
    #[serde(rename = "desiredParallelism", default)]
    pub desired: Option<u32>,
    /// What it got.
    #[serde(rename = "postRescaleParallelism", default)]
    pub after: Option<u32>,
}

impl Client {
    /// The newest rescales of a job, as many as Flink keeps, without their vertices; none where Flink keeps no history.
    ///
    /// # Errors
    /// Any [`Error`] of the transport but "not found": an older Flink has no history.
    pub async fn rescales(&self, job: &JobId) -> Result<Vec<Rescale>, Error> {
        match self.get(&format!("jobs/{job}/rescales/history"), &[]).await {
            Err(error) if error.is_not_found() => Ok(Vec::new()),
            result => result,
        }
    }

    /// One of these rescales, with its vertices; [`None`] where Flink has forgotten it.
    ///
    /// # Errors
    /// Any [`Error`] of the transport but "not found".
    pub async fn rescale_details(&self, job: &JobId, id: &str) -> Result<Option<Rescale>, Error> {
        // It comes from an answer and goes into an address.
        if id.is_empty() || !id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
            return Ok(None);
        }
        match self.get(&format!("jobs/{job}/rescales/details/{id}"), &[]).await {
            Err(error) if error.is_not_found() => Ok(None),
            result => result.map(Some),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: a history as Flink 2.3 answers it is read, which has no vertices.
    #[test]
    fn a_history_is_read() {
        let text = r#"[{"rescaleUuid":"u","resourceRequirementsUuid":"r","rescaleAttemptId":1,"vertices":{},"slots":{},
            "schedulerStates":[],"startTimestampInMillis":5,"endTimestampInMillis":9,
            "terminalState":"COMPLETED","triggerCause":"INITIAL_SCHEDULE","terminatedReason":"SUCCEEDED"}]"#;
        let history: Vec<Rescale> = serde_json::from_str(text).unwrap();
        assert_eq!((history[0].started_ms, history[0].ended_ms), (Some(5), Some(9)));
        assert!(history[0].vertices.is_empty());
    }

    /// Goal: the details of a rescale are read, also of one that is under way.
    #[test]
    fn details_are_read() {
        let text = r#"{"rescaleUuid":"u","resourceRequirementsUuid":"r","rescaleAttemptId":1,"vertices":{"aa":{
            "jobVertexId":"aa","jobVertexName":"Source: a -> b","slotSharingGroupId":"s","slotSharingGroupName":"default",
            "desiredParallelism":3,"sufficientParallelism":1,"preRescaleParallelism":2,"postRescaleParallelism":null}},
            "slots":{},"schedulerStates":null,"startTimestampInMillis":5,"endTimestampInMillis":null,
            "terminalState":null,"triggerCause":"UPDATE_REQUIREMENT","terminatedReason":null}"#;
        let rescale: Rescale = serde_json::from_str(text).unwrap();
        assert_eq!((rescale.started_ms, rescale.ended_ms), (Some(5), None));
        let vertex = &rescale.vertices["aa"];
        assert_eq!((vertex.before, vertex.desired, vertex.after), (Some(2), Some(3), None));
    }
}
