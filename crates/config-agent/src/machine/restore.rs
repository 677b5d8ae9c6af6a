//! Rollback to the previous document, from the state that the failed job started from.
//!
//! If the failed job completed checkpoints of its own, its output up to the newest one may already be committed. The
//! restored job then starts from that checkpoint, to avoid duplicate output.

use flink::{JobId, JobState};

use super::start::{SubmissionOutcome, judge};
use super::{Attempt, Effect, NextStep, Rules, Submission, fail};
use crate::ids::restoration_id;
use crate::ledger::Change;
use crate::phase::Phase;

/// What a failed job left behind.
pub(super) struct FailedJob<'a> {
    pub(super) state: Option<JobState>,
    pub(super) checkpoints: u64,
    pub(super) newest_state: &'a Option<String>,
}

/// Ensures that the failed job has ended, then decides the state to restore.
pub(super) fn cancel_failed(
    change: &Change,
    (failed, message): (&JobId, &str),
    remains: &FailedJob<'_>,
    attempt: &Attempt,
    rules: &Rules,
) -> NextStep {
    match remains.state {
        Some(state) if !state.is_terminal() => {
            if attempt.waited >= rules.stopped_within {
                let within = rules.stopped_within;
                return fail(
                    Some(failed),
                    format!("{message}; job {failed} did not terminate within {within:?}"),
                );
            }
            match state {
                JobState::Cancelling => NextStep::Wait,
                _ => NextStep::Act(Effect::Cancel { job: failed.clone() }),
            }
        }
        Some(_) | None => {
            let (savepoint, message) = state_to_restore(change, message, remains);
            NextStep::Enter(Phase::Restoring { job: restoration_id(&change.document), savepoint, message })
        }
    }
}

fn state_to_restore(change: &Change, message: &str, remains: &FailedJob<'_>) -> (Option<String>, String) {
    match (remains.checkpoints, remains.newest_state) {
        (0, _) => (change.savepoint.clone(), message.to_owned()),
        (_, Some(newest)) => (Some(newest.clone()), message.to_owned()),
        (_, None) => (
            change.savepoint.clone(),
            format!("{message}; its checkpoints are lost: results since the savepoint may be written twice"),
        ),
    }
}

/// Returns the next step of submitting the previous document.
///
/// The failed job may still start: a submission that timed out can arrive late.
pub(super) fn restore(
    (job, savepoint): (&JobId, Option<&String>),
    message: &str,
    (seen, rival): (&Submission, Option<&JobId>),
    attempt: &Attempt,
    rules: &Rules,
) -> NextStep {
    match (seen, rival) {
        // It may have written since: once it has ended, the state to restore is decided again.
        (Submission::Unknown, Some(rival)) => {
            return NextStep::Enter(Phase::RollingBack {
                failed: rival.clone(),
                message: message.to_owned(),
            });
        }
        (_, Some(rival)) => return NextStep::Act(Effect::Cancel { job: rival.clone() }),
        (_, None) => {}
    }
    match judge((job, savepoint), seen, attempt, rules.restored_within) {
        SubmissionOutcome::Open(next) => next,
        SubmissionOutcome::Runs | SubmissionOutcome::Finished => {
            NextStep::Enter(Phase::RolledBack { job: job.clone(), message: message.to_owned() })
        }
        SubmissionOutcome::Fails(reason) => {
            fail(Some(job), format!("{message}; restoring the previous document failed, too: {reason}"))
        }
    }
}
