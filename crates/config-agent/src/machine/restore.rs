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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::machine::Observation;
    use crate::machine::fixture::{Situation, document, ended, job, starting, submission};

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    /// Generation 2 after generation 1; its job 8 started from a savepoint and has failed.
    fn rolling_back() -> Situation {
        let mut situation = Situation::after(&document(1, ""), &job(7), &document(2, ""));
        situation.enter(Phase::Submitting { job: job(8), savepoint: some("savepoint") });
        situation.enter(Phase::RollingBack { failed: job(8), message: "it failed".to_owned() });
        situation
    }

    fn remains(state: Option<JobState>, checkpoints: u64, newest_state: Option<&str>) -> Observation {
        Observation::FailedJob { job: state, checkpoints, newest_state: newest_state.map(str::to_owned) }
    }

    /// Goal: the failed job is cancelled, and nothing is restored before it has ended; the wait for that is bounded.
    #[test]
    fn the_failed_job_ends_first() {
        let cancel = "cancel job 08080808";
        let restore = "enter phase rolling-back, job";
        let late = "enter phase failed, job 08080808: it failed; job 08080808080808080808080808080808 did not terminate within 10s";
        for (state, waited_s, expected) in [
            (Some(JobState::Running), 0, cancel),
            (Some(JobState::Restarting), 9, cancel),
            (Some(JobState::Cancelling), 9, "wait"),
            (Some(JobState::Cancelling), 10, late),
            (Some(JobState::Running), 11, late),
            (Some(JobState::Failed), 99, restore),
            (Some(JobState::Canceled), 0, restore),
            (None, 0, restore),
        ] {
            rolling_back().waited(waited_s).check(&remains(state, 0, None), expected);
        }
    }

    /// Goal: a job that has completed checkpoints may have written results up to the newest one, from which the previous job goes on; if
    /// that is lost, the report says what it means.
    #[test]
    fn results_are_not_written_twice() {
        let lost = "it failed; its checkpoints are lost: results since the savepoint may be written twice";
        for (checkpoints, newest_state, expected, message) in [
            (0, None, "savepoint", "it failed"),
            (0, Some("older"), "savepoint", "it failed"),
            (1, Some("checkpoint"), "checkpoint", "it failed"),
            (1, None, "savepoint", lost),
        ] {
            let step = rolling_back().next(&remains(Some(JobState::Failed), checkpoints, newest_state));
            let restoring = Phase::Restoring {
                job: restoration_id(&document(2, "")),
                savepoint: some(expected),
                message: message.to_owned(),
            };
            assert_eq!(step, NextStep::Enter(restoring), "{checkpoints} checkpoints, {newest_state:?}");
        }
    }

    /// Goal: the previous job is submitted from that state, with its own time to run; the change is then rolled back or, if that fails too,
    /// failed for both reasons.
    #[test]
    fn the_previous_job_is_restored() {
        let mut restoring = rolling_back();
        restoring.rules.restored_within = Duration::from_secs(20);
        restoring.enter(Phase::Restoring {
            job: job(9),
            savepoint: some("checkpoint"),
            message: "it failed".to_owned(),
        });
        let rolled_back = "enter phase rolled-back, job 09090909: it failed";
        let failed = "enter phase failed, job 09090909: it failed; restoring the previous document failed, too: job \
                      09090909090909090909090909090909 is";
        for (seen, waited_s, expected) in [
            (Submission::Unknown, 19, "run job 09090909 from checkpoint"),
            (starting(), 19, "wait"),
            (starting(), 20, failed),
            (ended(JobState::Failed, None), 0, failed),
            (Submission::Running, 99, rolled_back),
            (ended(JobState::Finished, None), 0, rolled_back),
        ] {
            restoring.clone().waited(waited_s).check(&submission(seen), expected);
        }
    }
}
