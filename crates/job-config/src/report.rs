//! What an agent tells about the document that it applies.

use std::fmt;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// How far the change has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// The document was accepted and written to the agent's journal.
    Received,
    /// Task managers that the document wants are being started.
    StartingNodes,
    /// A stop with savepoint was asked for.
    Stopping,
    /// The old job has ended, its savepoint is complete.
    Stopped,
    /// The new job is being submitted.
    Submitting,
    /// All tasks of the new job run. Final.
    Running,
    /// The running job is being given another parallelism.
    Rescaling,
    /// The change failed; what ran before it is being restored, from the same state.
    RollingBack,
    /// Task managers that are not needed any more are being stopped.
    StoppingNodes,
    /// The change was not carried out, and what ran before it runs: restored, or never touched. Final.
    RolledBack,
    /// The change was not carried out, and nothing runs, or what runs is not known. A person must look. Final.
    Failed,
}

impl State {
    /// Whether no report of the same generation follows.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Running | Self::RolledBack | Self::Failed)
    }
}

/// As in reports and logs.
impl fmt::Display for State {
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
    /// The generation that is being applied.
    pub generation: u64,
    /// 1, 2, 3 … within the generation; with it a report that is sent twice counts once.
    pub sequence: u32,
    /// By the reporter's clock.
    pub at: Timestamp,
    /// How far the change has come.
    pub state: State,
    /// The Flink job that this state speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flink_job_id: Option<String>,
    /// Where the state of the old job lies, from [`State::Stopped`] on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub savepoint: Option<String>,
    /// For people; always present with [`State::Failed`] and [`State::RolledBack`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// How long the state before this one lasted, in milliseconds; absent in the first report of a generation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_state_ms: Option<u64>,
    /// With a final state: the generation of the document that runs now, where it is known. The next document must be made from
    /// that one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running_generation: Option<u64>,
    /// With a final state: what was seen of the job that runs now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed: Option<Observed>,
}

/// What an agent saw of the job at the end of a change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Observed {
    /// The parallelism of each vertex, by the name of its first operator (by vertex id where two have one name).
    #[serde(default)]
    pub parallelism: BTreeMap<String, u32>,
    /// Registered task managers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_managers: Option<u32>,
    /// Flink's own record of the rescales since the change was accepted, newest first; empty where Flink keeps none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rescales: Vec<ObservedRescale>,
}

/// One rescale as Flink recorded it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObservedRescale {
    /// When it began, by Flink's clock.
    pub at: Timestamp,
    /// How long it took, in milliseconds; absent if it has not ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// How it ended, in Flink's word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// What set it off, in Flink's word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// Per vertex, named as in [`Observed::parallelism`]: before, desired, reached.
    #[serde(default)]
    pub vertices: BTreeMap<String, [Option<u32>; 3]>,
}

/// Why a report is not acceptable.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ReportError {
    /// Generations and sequences begin at 1.
    #[error("{field} begins at 1")]
    Zero {
        /// The field that is 0.
        field: &'static str,
    },
    /// A failure without a reason helps nobody.
    #[error("a report of a failure needs a message")]
    FailureWithoutMessage,
}

impl Report {
    /// Checks what the types cannot express.
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
        if matches!(self.state, State::Failed | State::RolledBack)
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

    /// Goal: the JSON form is the one that docs/protocol.md shows, and unknown fields are refused.
    #[test]
    fn the_wire_form_is_stable() {
        let text = r#"{"generation":7,"sequence":3,"at":"2026-01-01T00:00:00.123Z","state":"stopped","savepoint":"file:///s"}"#;
        let report: Report = parse(text);
        assert_eq!(report.state, State::Stopped);
        assert_eq!(report.check(), Ok(()));
        assert_eq!(serde_json::to_string(&report).unwrap(), text);
        assert!(serde_json::from_str::<Report>(&text.replace("savepoint", "save")).is_err());
    }

    /// Goal: what an agent saw travels with the final report.
    #[test]
    fn what_was_seen_is_read_again() {
        let text = r#"{"generation":7,"sequence":3,"at":"2026-01-01T00:00:00Z","state":"running","previous_state_ms":812,"running_generation":7,"observed":{"parallelism":{"q7":3},"task_managers":2,"rescales":[{"at":"2026-01-01T00:00:00Z","duration_ms":640,"outcome":"COMPLETED","cause":"UPDATE_REQUIREMENT","vertices":{"q7":[1,3,3]}}]}}"#;
        let report: Report = parse(text);
        assert_eq!(serde_json::to_string(&report).unwrap(), text);
    }

    /// Goal: a failure without a reason, and zero numbers, are refused.
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
