//! Reports of an agent about the document that it applies.

use std::fmt;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Phase of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeState {
    /// The document was accepted and written to the agent's journal.
    Received,
    /// Task managers are being started.
    StartingNodes,
    /// A stop with savepoint was requested.
    Stopping,
    /// The old job has ended with a complete savepoint.
    Stopped,
    /// The new job is being submitted.
    Submitting,
    /// All tasks of the new job run. Final.
    Running,
    /// The running job is being rescaled in place.
    Rescaling,
    /// The change failed; the previous job is being restored from the same state.
    RollingBack,
    /// Surplus task managers are being stopped.
    StoppingNodes,
    /// The change was not applied, and the previous job runs: restored, or never affected. Final.
    RolledBack,
    /// The change was not applied, and no job runs, or what runs is unknown. Needs a person. Final.
    Failed,
}

impl ChangeState {
    /// Whether no further report of the same generation follows.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Running | Self::RolledBack | Self::Failed)
    }
}

/// The name in reports and logs.
impl fmt::Display for ChangeState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Received => "received",
            Self::StartingNodes => "starting-nodes",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Submitting => "submitting",
            Self::Running => "running",
            Self::Rescaling => "rescaling",
            Self::RollingBack => "rolling-back",
            Self::StoppingNodes => "stopping-nodes",
            Self::RolledBack => "rolled-back",
            Self::Failed => "failed",
        })
    }
}

/// One report of one generation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// Generation of the document.
    pub generation: u64,
    /// 1, 2, 3 … within the generation; makes reports idempotent.
    pub sequence: u32,
    /// Time of the report, by the agent's clock.
    pub at: Timestamp,
    /// Phase of the change.
    pub state: ChangeState,
    /// Id of the Flink job concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flink_job_id: Option<String>,
    /// Path of the old job's state, from [`ChangeState::Stopped`] on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub savepoint: Option<String>,
    /// For people; always present with [`ChangeState::Failed`] and [`ChangeState::RolledBack`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Duration of the previous phase, in milliseconds; absent in the first report of a generation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_state_ms: Option<u64>,
    /// With a final state: generation of the running document, if known. The next document must be derived from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running_generation: Option<u64>,
    /// With a final state: what was observed of the running job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed: Option<Observed>,
}

impl Report {
    /// Returns a report with nothing but what every report has.
    pub const fn new(generation: u64, sequence: u32, at: Timestamp, state: ChangeState) -> Self {
        Self {
            generation,
            sequence,
            at,
            state,
            flink_job_id: None,
            savepoint: None,
            message: None,
            previous_state_ms: None,
            running_generation: None,
            observed: None,
        }
    }
}

/// Observed state of the job at the end of a change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Observed {
    /// Parallelism of each vertex, by the name of its first operator (by vertex id for duplicate names).
    #[serde(default)]
    pub parallelism: BTreeMap<String, u32>,
    /// Number of registered task managers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_managers: Option<u32>,
    /// Flink's record of the rescales since the change was accepted, newest first; empty where Flink keeps none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rescales: Vec<ObservedRescale>,
}

/// One rescale as Flink recorded it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObservedRescale {
    /// Start time, by Flink's clock.
    pub at: Timestamp,
    /// Duration, in milliseconds; absent if it has not ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// Final state, as named by Flink.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// Trigger, as named by Flink.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// Per vertex, named as in [`Observed::parallelism`]: before, desired, reached.
    #[serde(default)]
    pub vertices: BTreeMap<String, [Option<u32>; 3]>,
}

/// Why a report is invalid.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ReportError {
    /// Generations and sequences begin at 1.
    #[error("{field} starts at 1")]
    Zero {
        /// Name of the field that is 0.
        field: &'static str,
    },
    /// A failure needs a reason.
    #[error("message: required in the report of a failure")]
    FailureWithoutMessage,
}

impl Report {
    /// Validates what the types cannot express.
    ///
    /// # Errors
    /// See [`ReportError`].
    pub fn check(&self) -> Result<(), ReportError> {
        if self.generation == 0 {
            return Err(ReportError::Zero { field: "generation" });
        }
        if self.sequence == 0 {
            return Err(ReportError::Zero { field: "sequence" });
        }
        if matches!(self.state, ChangeState::Failed | ChangeState::RolledBack)
            && self.message.as_deref().is_none_or(str::is_empty)
        {
            return Err(ReportError::FailureWithoutMessage);
        }
        Ok(())
    }
}

mod shrink;

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: the JSON form matches docs/protocol.md, and unknown fields are rejected.
    #[test]
    fn the_wire_form_is_stable() {
        let text = r#"{"generation":7,"sequence":3,"at":"2026-01-01T00:00:00.123Z","state":"stopped","savepoint":"file:///s"}"#;
        let report: Report = parse(text);
        assert_eq!(report.state, ChangeState::Stopped);
        assert_eq!(report.check(), Ok(()));
        assert_eq!(serde_json::to_string(&report).unwrap(), text);
        assert!(serde_json::from_str::<Report>(&text.replace("savepoint", "save")).is_err());
    }

    /// Goal: observations survive serialisation in a final report.
    #[test]
    fn what_was_seen_is_read_again() {
        let text = r#"{"generation":7,"sequence":3,"at":"2026-01-01T00:00:00Z","state":"running","previous_state_ms":812,"running_generation":7,"observed":{"parallelism":{"q7":3},"task_managers":2,"rescales":[{"at":"2026-01-01T00:00:00Z","duration_ms":640,"outcome":"COMPLETED","cause":"UPDATE_REQUIREMENT","vertices":{"q7":[1,3,3]}}]}}"#;
        let report: Report = parse(text);
        assert_eq!(serde_json::to_string(&report).unwrap(), text);
    }

    /// Goal: a failure without a reason, and zero numbers, are rejected.
    #[test]
    fn incomplete_reports_are_refused() {
        let mut report: Report =
            parse(r#"{"generation":1,"sequence":1,"at":"2026-01-01T00:00:00Z","state":"failed"}"#);
        assert_eq!(report.check(), Err(ReportError::FailureWithoutMessage));
        report.message = Some("no slots".to_owned());
        assert_eq!(report.check(), Ok(()));
        report.sequence = 0;
        assert_eq!(report.check(), Err(ReportError::Zero { field: "sequence" }));
    }

    fn parse(text: &str) -> Report {
        serde_json::from_str(text).unwrap()
    }
}
