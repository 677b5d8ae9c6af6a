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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::fixture::{Situation, document, ended, job, starting, submission};

    /// Generation 2 after generation 1, in this phase. Job 8 is the new one.
    fn in_phase(phase: Phase) -> Situation {
        let mut situation = Situation::after(&document(1, ""), &job(7), &document(2, ""));
        situation.enter(phase);
        situation
    }

    fn submitting() -> Situation {
        in_phase(Phase::Submitting { job: job(8), savepoint: Some("savepoint".to_owned()) })
    }

    fn starting_after(failure: &str) -> Submission {
        Submission::Starting { state: JobState::Restarting, failure: Some(failure.to_owned()) }
    }

    /// Goal: a job is submitted until Flink has it, and must then run in time; if it does not, the report has the best reason that is known.
    #[test]
    fn a_submitted_job_must_run_in_time() {
        let submit = "run job 08080808 from savepoint";
        let fails = |reason: &str| format!("enter phase rolling-back, job 08080808: {reason}");
        let id = job(8);
        let running = "enter phase running, job 08080808";
        let end_of_input = format!("{running}: the job has already reached the end of its input");
        for (seen, waited_s, expected) in [
            (Submission::Unknown, 0, submit.to_owned()),
            (Submission::Unknown, 9, submit.to_owned()),
            (Submission::Unknown, 10, fails("could not submit the job within 10s: Flink gave no reason")),
            (Submission::Unknown, 11, fails("could not submit the job within 10s: Flink gave no reason")),
            (starting(), 9, "wait".to_owned()),
            (
                starting(),
                10,
                fails(&format!(
                    "job {id} is Created; not all its tasks ran within 10s: Flink gave no reason"
                )),
            ),
            (starting_after("f"), 9, "wait".to_owned()),
            (
                starting_after("f"),
                11,
                fails(&format!("job {id} is Restarting; not all its tasks ran within 10s: f")),
            ),
            (ended(JobState::Failed, Some("f")), 0, fails(&format!("job {id} is Failed: f"))),
            (
                ended(JobState::Canceled, None),
                0,
                fails(&format!("job {id} is Canceled: Flink gave no reason")),
            ),
            (ended(JobState::Finished, None), 99, end_of_input),
            (Submission::Running, 99, running.to_owned()),
        ] {
            submitting().waited(waited_s).check(&submission(seen), &expected);
        }
        let mut refused = submitting();
        refused.attempt.trouble = Some("connection refused".to_owned());
        let late = fails("could not submit the job within 10s: connection refused");
        refused.clone().waited(10).check(&submission(Submission::Unknown), &late);
        refused.attempt.refused = Some("no such class".to_owned());
        refused
            .check(&submission(Submission::Unknown), &fails("Flink refused the submission: no such class"));
    }

    /// Goal: with a grace time, a job must keep running for it. A job that only waits for slots gets the time for a start once more; a
    /// failure ends the change at once.
    #[test]
    fn a_new_job_must_keep_running() {
        let settling = || {
            let mut situation = in_phase(Phase::Settling { job: job(8) });
            situation.rules.grace = Duration::from_secs(5);
            situation
        };
        let id = job(8);
        let running = "enter phase running, job 08080808";
        let fails = |reason: &str| format!("enter phase rolling-back, job 08080808: job {id} {reason}");
        for (seen, waited_s, expected) in [
            (Submission::Running, 4, "wait".to_owned()),
            (Submission::Running, 5, running.to_owned()),
            (Submission::Running, 6, running.to_owned()),
            (ended(JobState::Finished, None), 0, format!("{running}: the job has already reached the end")),
            (starting(), 5, "wait".to_owned()),
            (starting(), 14, "wait".to_owned()),
            (starting(), 15, fails("ran, but is now Created: Flink gave no reason")),
            (starting(), 16, fails("ran, but is now Created: Flink gave no reason")),
            (starting_after("f"), 0, fails("ran, but is now Restarting: f")),
            (ended(JobState::Failed, Some("f")), 0, fails("ran, but is now Failed: f")),
            (Submission::Unknown, 0, fails("is unknown to Flink")),
        ] {
            settling().waited(waited_s).check(&submission(seen), &expected);
        }
        let mut submitted = submitting();
        submitted.rules.grace = Duration::from_secs(5);
        let step = submitted.next(&submission(Submission::Running));
        assert_eq!(step, NextStep::Enter(Phase::Settling { job: job(8) }));
    }

    /// Goal: a failed job is rolled back where that is configured, there is a program, and another document ran before.
    #[test]
    fn a_rollback_needs_a_previous_document() {
        let (first, second) = (document(1, ""), document(2, ""));
        for (ran_before, roll_back, can_submit, is_rolled_back) in [
            (Some(&first), true, true, true),
            (Some(&first), false, true, false),
            (Some(&first), true, false, false),
            (Some(&second), true, true, false),
            (None, true, true, false),
        ] {
            let mut situation = match ran_before {
                Some(before) => Situation::after(before, &job(7), &second),
                None => Situation::first(&second),
            };
            situation.enter(Phase::Submitting { job: job(8), savepoint: None });
            (situation.rules.roll_back, situation.rules.can_submit) = (roll_back, can_submit);
            let expected = if is_rolled_back { "enter phase rolling-back" } else { "enter phase failed" };
            situation.check(&submission(ended(JobState::Failed, None)), &format!("{expected}, job 08080808"));
        }
    }
}
