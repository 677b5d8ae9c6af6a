//! Submission of a job: request, wait, and verdict.

use std::time::Duration;

use flink::{JobId, JobState};

use super::{Attempt, Effect, NextStep, Rules, Submission, fail};
use crate::ledger::{Change, JobHistory};
use crate::phase::Phase;

/// Result of a submission.
pub(super) enum SubmissionOutcome {
    /// Undecided: apply this effect, or observe again.
    Open(NextStep),
    /// All tasks run.
    Runs,
    /// It reached the end of its input.
    Finished,
    /// It failed.
    Fails(String),
}

/// Judges a submission, all tasks of which must run `within` this time; requests it if Flink does not have it.
pub(super) fn judge(
    (job, savepoint): (&JobId, Option<&String>),
    seen: &Submission,
    attempt: &Attempt,
    within: Duration,
) -> SubmissionOutcome {
    let in_time = attempt.waited < within;
    let because =
        |reason: &Option<String>| reason.clone().unwrap_or_else(|| "Flink gave no reason".to_owned());
    match (seen, &attempt.refused) {
        (Submission::Running, _) => SubmissionOutcome::Runs,
        (Submission::Ended { state: JobState::Finished, .. }, _) => SubmissionOutcome::Finished,
        (Submission::Ended { state, failure }, _) => {
            SubmissionOutcome::Fails(format!("job {job} is {state:?}: {}", because(failure)))
        }
        (Submission::Starting { .. }, _) if in_time => SubmissionOutcome::Open(NextStep::Wait),
        (Submission::Starting { state, failure }, _) => SubmissionOutcome::Fails(format!(
            "job {job} is {state:?}; not all its tasks ran within {within:?}: {}",
            because(failure)
        )),
        (Submission::Unknown, Some(refused)) => {
            SubmissionOutcome::Fails(format!("Flink refused the submission: {refused}"))
        }
        (Submission::Unknown, None) if in_time => SubmissionOutcome::Open(NextStep::Act(Effect::Submit {
            job: job.clone(),
            savepoint: savepoint.cloned(),
        })),
        (Submission::Unknown, None) => SubmissionOutcome::Fails(format!(
            "could not submit the job within {within:?}: {}",
            because(&attempt.trouble)
        )),
    }
}

/// Returns the next step of submitting the new document.
pub(super) fn start(
    change: &Change,
    history: &JobHistory,
    (job, savepoint): (&JobId, Option<&String>),
    seen: &Submission,
    attempt: &Attempt,
    rules: &Rules,
) -> NextStep {
    match judge((job, savepoint), seen, attempt, rules.running_within) {
        SubmissionOutcome::Open(next) => next,
        SubmissionOutcome::Runs if !rules.grace.is_zero() => {
            NextStep::Enter(Phase::Settling { job: job.clone() })
        }
        SubmissionOutcome::Runs => NextStep::Enter(Phase::Running { job: job.clone(), message: None }),
        SubmissionOutcome::Finished => finished(job),
        SubmissionOutcome::Fails(reason) => roll_back_or_fail(change, history, job, reason, rules),
    }
}

/// Returns the next step of a new job whose tasks all ran once: whether they keep running.
pub(super) fn settle(
    change: &Change,
    history: &JobHistory,
    job: &JobId,
    seen: &Submission,
    attempt: &Attempt,
    rules: &Rules,
) -> NextStep {
    let reason = match seen {
        Submission::Running if attempt.waited >= rules.grace => {
            return NextStep::Enter(Phase::Running { job: job.clone(), message: None });
        }
        Submission::Ended { state: JobState::Finished, .. } => return finished(job),
        // A job that is given new slots also leaves RUNNING, but without a failure.
        Submission::Running | Submission::Starting { failure: None, .. }
            if attempt.waited < rules.grace + rules.running_within =>
        {
            return NextStep::Wait;
        }
        Submission::Running | Submission::Unknown => format!("job {job} is unknown to Flink"),
        Submission::Starting { state, failure } | Submission::Ended { state, failure } => {
            let failure = failure.as_deref().unwrap_or("Flink gave no reason");
            format!("job {job} ran, but is now {state:?}: {failure}")
        }
    };
    roll_back_or_fail(change, history, job, reason, rules)
}

fn finished(job: &JobId) -> NextStep {
    let message = Some("the job has already reached the end of its input".to_owned());
    NextStep::Enter(Phase::Running { job: job.clone(), message })
}

/// Rolls back to the previous document, or fails if there is none.
pub(super) fn roll_back_or_fail(
    change: &Change,
    history: &JobHistory,
    job: &JobId,
    reason: String,
    rules: &Rules,
) -> NextStep {
    let has_before = history.document.as_ref().is_some_and(|before| *before != change.document);
    match rules.roll_back && has_before && rules.can_submit {
        true => NextStep::Enter(Phase::RollingBack { failed: job.clone(), message: reason }),
        false => fail(Some(job), reason),
    }
}
