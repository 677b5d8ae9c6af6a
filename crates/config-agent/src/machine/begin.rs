//! First steps of the machine: from an accepted document to a job being stopped or rescaled, or to none.

use flink::{JobId, JobState, Vertex};
use jiff::Timestamp;

use super::{Attempt, Effect, EndedJob, NextStep, Rules, StepContext, fail, give_up, in_place, reject};
use crate::ids::{restoration_id, stop_id, submission_id};
use crate::ledger::{JobHistory, ResumePoint};
use crate::phase::Phase;

/// Decides the first step. `wanted` is the required parallelism of the only job's vertices, where needed.
pub(super) fn begin(
    context: StepContext<'_>,
    alive: &[(JobId, JobState)],
    last: Option<&EndedJob>,
    wanted: Option<&[Vertex]>,
) -> NextStep {
    let StepContext { change, history, attempt, rules } = context;
    let is_abandoned = |(job, _): &&(JobId, JobState)| history.abandoned.contains(job);
    let ours = submission_id(&change.document);
    let (rivals, known): (Vec<_>, Vec<_>) = alive.iter().partition(is_abandoned);
    if let (Some((rival, _)), Some(_)) = (rivals.first(), known.first()) {
        // It was submitted and abandoned, and started while the previous job was already running again.
        return NextStep::Act(Effect::Cancel { job: rival.clone() });
    }
    let is_ours = matches!(alive, [(job, _)] if *job == ours);
    let running = alive.first().map(|(job, _)| job);
    if let ([(job, _)], false) = (alive, is_ours)
        && wanted.is_some_and(|vertices| in_place::is_wanted(&change.document, vertices))
    {
        // The journal is lost, and an earlier run of the agent, or an operator, already requested this parallelism.
        return NextStep::Enter(Phase::Rescaling { job: job.clone() });
    }
    let is_taken_back = change.resumed == Some(ResumePoint::TakenBack)
        || running.is_some_and(|job| *job == restoration_id(&change.document));
    if let (true, Some(job), false) = (is_taken_back, running, is_ours) {
        let message = "the change failed before the journal was lost".to_owned();
        if *job == restoration_id(&change.document) && history.document.is_some() {
            // It may still be starting, and fail.
            let savepoint = history.savepoint.clone();
            return NextStep::Enter(Phase::Restoring { job: job.clone(), savepoint, message });
        }
        return give_up(Some(job), format!("{message}; job {job} keeps running unchanged"));
    }
    if let Some(message) = expiry(context).or_else(|| breaker(history, attempt, rules))
        && !is_ours
    {
        return give_up(running, message);
    }
    let [(job, state), others @ ..] = alive else {
        return begin_without_job(history, last, attempt, rules, ours);
    };
    if !others.is_empty() {
        let ids: Vec<&str> = alive.iter().map(|(id, _)| id.as_str()).collect();
        let message = format!("several jobs with this name run ({}); stop all but one", ids.join(", "));
        return fail(None, message);
    }
    if is_ours {
        // Submitted by a run whose journal is lost. Its start state is needed again if it fails: where no report names it,
        // it is the newest state of the job that was stopped for it.
        let stopped_with = match last {
            Some(EndedJob::In { newest_state, .. }) => newest_state.clone(),
            Some(EndedJob::Forgotten) | None => None,
        };
        let savepoint = history.savepoint.clone().or(stopped_with);
        return NextStep::Enter(Phase::Submitting { job: ours, savepoint });
    }
    begin_with_job(context, job, *state)
}

fn begin_with_job(context: StepContext<'_>, job: &JobId, state: JobState) -> NextStep {
    let StepContext { change, attempt, rules, .. } = context;
    if let Some(refused) = &attempt.refused {
        return reject(Some(job), refused);
    }
    let in_place = in_place::is_possible(context, job);
    if !rules.can_submit && !in_place {
        let message = "the job can only be rescaled in place: flink.jar is not set, and the document does not have restart_mode = \"in-place\"";
        return give_up(Some(job), format!("{message}; job {job} keeps running unchanged"));
    }
    if state == JobState::Running && in_place {
        return NextStep::Enter(Phase::Rescaling { job: job.clone() });
    }
    if rules.can_submit && !attempt.checked {
        return NextStep::Act(Effect::Check);
    }
    if state == JobState::Running {
        return NextStep::Enter(Phase::Stopping { job: job.clone(), trigger: stop_id(&change.document) });
    }
    if attempt.waited < rules.stoppable_within {
        return NextStep::Wait;
    }
    let within = rules.stoppable_within;
    give_up(
        Some(job),
        format!("job {job} is {state:?} and was not running within {within:?}; nothing was changed"),
    )
}

/// Returns why the document may no longer be started: its expiry.
fn expiry(context: StepContext<'_>) -> Option<String> {
    // Nodes may have been started for it, or an earlier run applied all of it: it was started before the expiry.
    let is_begun = !matches!(context.change.phase, Phase::Received) || context.change.resumed.is_some();
    let expires_at = context.change.document.expires_at()?;
    let at = context.change.no_earlier_than_accepted(context.attempt.now);
    let expired = context.change.document.is_expired(at) && !is_begun;
    expired.then(|| format!("the document expired at {expires_at}, before its change started"))
}

fn begin_without_job(
    history: &JobHistory,
    last: Option<&EndedJob>,
    attempt: &Attempt,
    rules: &Rules,
    ours: JobId,
) -> NextStep {
    if !rules.can_submit {
        return fail(None, "no job with this name runs, and flink.jar is not set".to_owned());
    }
    if let Some(refused) = &attempt.refused {
        return reject(None, refused);
    }
    if !attempt.checked {
        return NextStep::Act(Effect::Check);
    }
    let stopped = |savepoint: Option<String>, message: Option<String>| {
        NextStep::Enter(Phase::Stopped { job: history.job.clone(), savepoint, message })
    };
    if history.is_lost && !rules.start_fresh_if_lost {
        let message = "the journal is lost, and no trusted report names the job's newest state; to start without state set flink.start_fresh_if_lost, then publish the next generation";
        return fail(None, message.to_owned());
    }
    let Some(job) = &history.job else {
        return NextStep::Enter(Phase::Submitting { job: ours, savepoint: None });
    };
    let (how, newest_state) = match last {
        None | Some(EndedJob::Forgotten) => ("is unknown to Flink".to_owned(), None),
        Some(EndedJob::In { state, newest_state }) => (format!("is {state:?}"), newest_state.clone()),
    };
    if let Some(state) = newest_state.or_else(|| history.savepoint.clone()) {
        let message = format!("no job with this name runs; job {job} {how}; resuming from its newest state");
        return stopped(Some(state), Some(message));
    }
    if rules.start_fresh_if_lost {
        return stopped(
            None,
            Some(format!("job {job} {how}, and its state is lost; starting without state")),
        );
    }
    let message = format!(
        "job {job} {how}, and its state is unknown; to start without state set flink.start_fresh_if_lost, then publish the next generation"
    );
    fail(Some(job), message)
}

/// The words of the report about a change that the open circuit breaker prevents.
pub const BREAKER_IS_OPEN: &str = "changes in a row failed, the last at";

/// Returns why no change may start now, if the circuit breaker is open.
fn breaker(history: &JobHistory, attempt: &Attempt, rules: &Rules) -> Option<String> {
    // A failure time in the future comes from a wrong clock, and would keep the breaker open until then.
    let is_past = |failed_at: &Timestamp| *failed_at <= attempt.now;
    let failed_at =
        history.failed_at.filter(is_past).filter(|_| history.failures >= rules.breaker_failures)?;
    let closes_at = failed_at + rules.breaker_pause;
    (attempt.now < closes_at).then(|| {
        format!(
            "{} {BREAKER_IS_OPEN} {failed_at}; the circuit breaker refuses changes until {closes_at}; restart the agent \
             with --close-circuit-breaker to close it now",
            history.failures
        )
    })
}

#[cfg(test)]
mod tests;
