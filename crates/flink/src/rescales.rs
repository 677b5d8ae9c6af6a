//! Flink's rescale history of a job (2.3 and later, adaptive scheduler only, and only where
//! `web.adaptive-scheduler.rescale-history.size` is above 0).

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::{Client, Error, JobId};

/// One rescale of the history (`/jobs/:jobid/rescales/history`, `/jobs/:jobid/rescales/details/:rescaleuuid`).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Rescale {
    /// Its id.
    #[serde(rename = "rescaleUuid")]
    pub id: String,
    /// Start time, in milliseconds since the Unix epoch.
    #[serde(rename = "startTimestampInMillis")]
    pub started_ms: Option<i64>,
    /// End time, in milliseconds since the Unix epoch; [`None`] while in progress.
    #[serde(rename = "endTimestampInMillis", default)]
    pub ended_ms: Option<i64>,
    /// Final state, for example `COMPLETED`, `FAILED`, `IGNORED`.
    #[serde(rename = "terminalState", default)]
    pub outcome: Option<String>,
    /// Trigger, for example `UPDATE_REQUIREMENT`, `NEW_RESOURCE_AVAILABLE`, `RECOVERABLE_FAILOVER`.
    #[serde(rename = "triggerCause", default)]
    pub cause: Option<String>,
    /// Vertices by id. Absent in the history; only [`Client::rescale_details`] has them.
    #[serde(default)]
    pub vertices: BTreeMap<String, RescaledVertex>,
    /// States of the scheduler, in order. Absent in the history as well.
    #[serde(rename = "schedulerStates", default)]
    pub states: Option<Vec<SchedulerState>>,
}

/// A state of the scheduler during a rescale.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct SchedulerState {
    /// Its name, for example `Executing`, `Restarting`, `WaitingForResources`, `CreatingExecutionGraph`.
    #[serde(default)]
    pub state: String,
    /// Start time, in milliseconds since the Unix epoch.
    #[serde(rename = "enterTimestampInMillis", default)]
    pub entered_ms: Option<i64>,
    /// End time, in milliseconds since the Unix epoch.
    #[serde(rename = "leaveTimestampInMillis", default)]
    pub left_ms: Option<i64>,
    /// Duration, in milliseconds.
    #[serde(rename = "durationInMillis", default)]
    pub duration_ms: Option<i64>,
}

impl SchedulerState {
    fn lasted_ms(&self) -> Option<u64> {
        let between = || Some(self.left_ms? - self.entered_ms?);
        u64::try_from(self.duration_ms.or_else(between)?).ok()
    }
}

impl Rescale {
    /// Returns the time from start to end, in milliseconds; `None` while in progress.
    pub fn duration_ms(&self) -> Option<u64> {
        u64::try_from(self.ended_ms? - self.started_ms?).ok()
    }

    /// Returns when the tasks were stopped: when the scheduler left `Executing`, in milliseconds since the Unix epoch. `None` if
    /// it did not, or without that time.
    pub fn stopped_ms(&self) -> Option<i64> {
        self.states.as_ref()?.iter().find(|state| state.state != "Executing")?.entered_ms
    }

    /// Returns the time that the scheduler spent in other states than `Executing`, in milliseconds; the tasks also stand still while
    /// they are initialised, in `Executing`. `None` unless the durations of all other states are known.
    pub fn downtime_ms(&self) -> Option<u64> {
        let outside = self.states.as_ref()?.iter().filter(|state| state.state != "Executing");
        let lasted: Vec<u64> = outside.map(SchedulerState::lasted_ms).collect::<Option<_>>()?;
        (!lasted.is_empty()).then(|| lasted.into_iter().fold(0, u64::saturating_add))
    }
}

/// One vertex in a rescale.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct RescaledVertex {
    /// The names of its operators, joined by ` -> `.
    #[serde(rename = "jobVertexName", default)]
    pub name: String,
    /// Parallelism before.
    #[serde(rename = "preRescaleParallelism", default)]
    pub before: Option<u32>,
    /// Desired parallelism.
    #[serde(rename = "desiredParallelism", default)]
    pub desired: Option<u32>,
    /// Resulting parallelism.
    #[serde(rename = "postRescaleParallelism", default)]
    pub after: Option<u32>,
}

impl Client {
    /// Fetches a job's rescale history, without vertices; empty where Flink keeps no history.
    ///
    /// # Errors
    /// Any [`Error`] of the transport except "not found": an older Flink has no history.
    pub async fn rescales(&self, job: &JobId) -> Result<Vec<Rescale>, Error> {
        match self.get(&format!("jobs/{job}/rescales/history"), &[]).await {
            Err(error) if error.is_not_found() => Ok(Vec::new()),
            result => result,
        }
    }

    /// Fetches one of these rescales, with its vertices; [`None`] if it is no longer in the history.
    ///
    /// # Errors
    /// Any [`Error`] of the transport except "not found".
    pub async fn rescale_details(&self, job: &JobId, id: &str) -> Result<Option<Rescale>, Error> {
        // It comes from a response and becomes part of a URL.
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

    /// Goal: a history in Flink 2.3's format, without vertices, is parsed.
    #[test]
    fn a_history_is_read() {
        let text = r#"[{"rescaleUuid":"u","resourceRequirementsUuid":"r","rescaleAttemptId":1,"vertices":{},"slots":{},
            "schedulerStates":[],"startTimestampInMillis":5,"endTimestampInMillis":9,
            "terminalState":"COMPLETED","triggerCause":"INITIAL_SCHEDULE","terminatedReason":"SUCCEEDED"}]"#;
        let history: Vec<Rescale> = serde_json::from_str(text).unwrap();
        assert_eq!((history[0].started_ms, history[0].ended_ms), (Some(5), Some(9)));
        assert!(history[0].vertices.is_empty());
    }

    /// Goal: the details of a rescale are parsed, even of one in progress.
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
        assert_eq!((rescale.duration_ms(), rescale.downtime_ms()), (None, None));
    }

    /// Goal: the outage is the time outside `Executing`; an unknown duration makes it unknown.
    #[test]
    fn the_outage_is_what_was_not_executing() {
        let rescale = |states: &str| -> Rescale {
            let text = format!(
                r#"{{"rescaleUuid":"u","startTimestampInMillis":100,"endTimestampInMillis":900,"schedulerStates":[{states}]}}"#
            );
            serde_json::from_str(&text).unwrap()
        };
        let executing = r#"{"state":"Executing","enterTimestampInMillis":100,"leaveTimestampInMillis":500,"durationInMillis":400}"#;
        let restarting = r#"{"state":"Restarting","enterTimestampInMillis":500,"leaveTimestampInMillis":600,"durationInMillis":100}"#;
        let creating =
            r#"{"state":"CreatingExecutionGraph","enterTimestampInMillis":600,"leaveTimestampInMillis":630}"#;
        let open = r#"{"state":"WaitingForResources","enterTimestampInMillis":630}"#;
        let whole = rescale(&[executing, restarting, creating].join(","));
        assert_eq!((whole.duration_ms(), whole.downtime_ms()), (Some(800), Some(130)));
        assert_eq!(rescale(&[executing, restarting, open].join(",")).downtime_ms(), None);
        assert_eq!(rescale(executing).downtime_ms(), None);
    }
}
