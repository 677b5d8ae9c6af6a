//! A submission that may have been asked for: asking, waiting, and judging what became of it.

use std::time::Duration;

use flink::{JobId, JobState};

use super::{Attempt, Effect, Next, Rules, Submission, fail};
use crate::ledger::{Change, Lineage};
use crate::phase::Phase;

/// What a submitted job comes to.
pub(super) enum Verdict {
    /// Not known yet: ask for this, or look again.
    Open(Next),
    /// All tasks run.
    Runs,
    /// It has reached the end of its input.
    Finished,
    /// It will not do.
    Fails(String),
}

/// Judges a submission, all tasks of which are to run `within` this time; asks for it if Flink does not have it.
pub(super) fn judge(
    (job, savepoint): (&JobId, Option<&String>),
    seen: &Submission,
    attempt: &Attempt,
    within: Duration,
) -> Verdict {
    let in_time = attempt.waited < within;
    let because =
        |reason: &Option<String>| reason.clone().unwrap_or_else(|| "Flink gives no reason".to_owned());
    match (seen, &attempt.refused) {
        (Submission::Running, _) => Verdict::Runs,
        (Submission::Ended { state: JobState::Finished, .. }, _) => Verdict::Finished,
        (Submission::Ended { state, failure }, _) => {
            Verdict::Fails(format!("job {job} is {state:?}: {}", because(failure)))
        }
        (Submission::Starting { .. }, _) if in_time => Verdict::Open(Next::Wait),
        (Submission::Starting { state, failure }, _) => Verdict::Fails(format!(
            "job {job} is {state:?}, not all of its tasks ran within {within:?}: {}",
            because(failure)
        )),
        (Submission::Unknown, Some(refused)) => {
            Verdict::Fails(format!("Flink refused the submission: {refused}"))
        }
        (Submission::Unknown, None) if in_time => {
            Verdict::Open(Next::Act(Effect::Submit { job: job.clone(), savepoint: savepoint.cloned() }))
        }
        (Submission::Unknown, None) => Verdict::Fails(format!(
            "the job could not be submitted within {within:?}: {}",
            because(&attempt.trouble)
        )),
    }
}

/// The submission of the new document.
pub(super) fn start(
    change: &Change,
    lineage: &Lineage,
    (job, savepoint): (&JobId, Option<&String>),
    seen: &Submission,
    attempt: &Attempt,
    rules: &Rules,
) -> Next {
    match judge((job, savepoint), seen, attempt, rules.running_within) {
        Verdict::Open(next) => next,
        Verdict::Runs if !rules.grace.is_zero() => Next::Enter(Phase::Settling { job: job.clone() }),
        Verdict::Runs => Next::Enter(Phase::Running { job: job.clone(), message: None }),
        Verdict::Finished => finished(job),
        Verdict::Fails(reason) => roll_back_or_fail(change, lineage, job, reason, rules),
    }
}

/// A new job whose tasks all ran once: whether they go on.
pub(super) fn settle(
    change: &Change,
    lineage: &Lineage,
    job: &JobId,
    seen: &Submission,
    attempt: &Attempt,
    rules: &Rules,
) -> Next {
    let reason = match seen {
        Submission::Running if attempt.waited >= rules.grace => {
            return Next::Enter(Phase::Running { job: job.clone(), message: None });
        }
        Submission::Ended { state: JobState::Finished, .. } => return finished(job),
        // A job that grows into slots that have just come leaves RUNNING too, but without a failure.
        Submission::Running | Submission::Starting { failure: None, .. }
            if attempt.waited < rules.grace + rules.running_within =>
        {
            return Next::Wait;
        }
        Submission::Running | Submission::Unknown => format!("job {job} is unknown to Flink"),
        Submission::Starting { state, failure } | Submission::Ended { state, failure } => {
            let failure = failure.as_deref().unwrap_or("Flink gives no reason");
            format!("job {job} ran, but is {state:?} now: {failure}")
        }
    };
    roll_back_or_fail(change, lineage, job, reason, rules)
}

fn finished(job: &JobId) -> Next {
    let message = Some("the job has already reached the end of its input".to_owned());
    Next::Enter(Phase::Running { job: job.clone(), message })
}

/// Back to the document before, if there is one.
pub(super) fn roll_back_or_fail(
    change: &Change,
    lineage: &Lineage,
    job: &JobId,
    reason: String,
    rules: &Rules,
) -> Next {
    let has_before = lineage.document.as_ref().is_some_and(|before| *before != change.document);
    match rules.roll_back && has_before && rules.can_submit {
        true => Next::Enter(Phase::RollingBack { failed: job.clone(), message: reason }),
        false => fail(Some(job), reason),
    }
}
