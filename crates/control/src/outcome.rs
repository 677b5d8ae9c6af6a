//! The outcome of a published change, derived from the agent's reports.

use jiff::Timestamp;
use job_config::{ChangeState, Report};
use serde::{Deserialize, Serialize};

/// One phase of a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhaseDuration {
    /// The phase.
    pub state: ChangeState,
    /// Start time, by the agent's clock.
    pub at: Timestamp,
    /// Duration, in milliseconds; absent for the last phase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
}

/// Outcome of the change to a generation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeOutcome {
    /// The generation.
    pub generation: u64,
    /// Final state.
    pub state: ChangeState,
    /// Time from the first report to the last, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// Message of the reports, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The phases in order.
    pub steps: Vec<PhaseDuration>,
    /// Observed state of the job at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed: Option<job_config::Observed>,
}

/// Returns the outcome of a generation, or `None` before its final report.
pub(crate) fn outcome(reports: &[Report], generation: u64) -> Option<ChangeOutcome> {
    let mut own: Vec<&Report> = reports.iter().filter(|report| report.generation == generation).collect();
    own.sort_by_key(|report| report.sequence);
    let (first, last) = (own.first()?, own.last().filter(|report| report.state.is_final())?);
    let between = |from: Timestamp, until: Timestamp| {
        u64::try_from(until.as_millisecond() - from.as_millisecond()).ok()
    };
    let duration = |index: usize, report: &Report| {
        let next = own.get(index + 1)?;
        next.previous_state_ms.or_else(|| between(report.at, next.at))
    };
    let steps = own
        .iter()
        .enumerate()
        .map(|(index, report)| PhaseDuration {
            state: report.state,
            at: report.at,
            duration_ms: duration(index, report),
        })
        .collect();
    Some(ChangeOutcome {
        generation,
        state: last.state,
        duration_ms: between(first.at, last.at),
        message: last.message.clone(),
        steps,
        observed: last.observed.clone(),
    })
}

impl ChangeOutcome {
    /// Returns whether the job runs as the document says.
    pub fn succeeded(&self) -> bool {
        self.state == ChangeState::Running
    }
}

impl std::fmt::Display for ChangeOutcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let seconds = |ms: u64| format!("{}.{} s", ms / 1000, ms % 1000 / 100);
        write!(f, "generation {} ended as {}", self.generation, state_word(self.state))?;
        if let Some(ms) = self.duration_ms {
            write!(f, " after {}", seconds(ms))?;
        }
        let steps: Vec<String> = self
            .steps
            .iter()
            .filter_map(|step| Some(format!("{} {}", state_word(step.state), seconds(step.duration_ms?))))
            .collect();
        if !steps.is_empty() {
            write!(f, " ({})", steps.join(", "))?;
        }
        match &self.message {
            Some(message) => write!(f, ": {message}"),
            None => Ok(()),
        }
    }
}

/// Returns the state's name in reports and logs.
pub fn state_word(state: ChangeState) -> String {
    state.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reports() -> Vec<Report> {
        serde_json::from_str(
            r#"[{"generation":6,"sequence":1,"at":"2026-01-01T00:00:00Z","state":"received"},
                {"generation":7,"sequence":1,"at":"2026-01-01T00:01:00Z","state":"received"},
                {"generation":7,"sequence":2,"at":"2026-01-01T00:01:00.5Z","state":"rescaling","previous_state_ms":490},
                {"generation":7,"sequence":3,"at":"2026-01-01T00:01:02.5Z","state":"running"}]"#,
        )
        .unwrap()
    }

    /// Goal: a finished generation has an outcome and the duration of each phase; an unfinished one has none yet.
    #[test]
    fn reports_become_an_outcome() {
        assert_eq!(outcome(&reports(), 6), None);
        assert_eq!(outcome(&reports()[..3], 7), None);
        let outcome = outcome(&reports(), 7).unwrap();
        assert_eq!((outcome.state, outcome.duration_ms), (ChangeState::Running, Some(2500)));
        let durations: Vec<_> = outcome.steps.iter().map(|step| step.duration_ms).collect();
        assert_eq!(durations, [Some(490), Some(2000), None]);
        assert_eq!(
            outcome.to_string(),
            "generation 7 ended as running after 2.5 s (received 0.4 s, rescaling 2.0 s)"
        );
    }
}
