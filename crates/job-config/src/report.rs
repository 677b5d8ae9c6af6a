//! What an agent tells about the document that it applies.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// How far the change has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// The document was accepted and written to the agent's journal.
    Received,
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
    /// The new job failed; the document before this one is being restored, from the same state.
    RollingBack,
    /// All tasks of a job with the document before this one run. Final.
    RolledBack,
    /// The change could not be carried out. Final.
    Failed,
}

impl State {
    /// Whether no report of the same generation follows.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Running | Self::RolledBack | Self::Failed)
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
