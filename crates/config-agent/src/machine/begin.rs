//! First steps of the machine: from an accepted document to a job being stopped or rescaled, or to none.

use flink::{JobId, JobState, Vertex};
use jiff::Timestamp;

use super::{Attempt, Effect, Ended, Next, Now, Rules, fail, in_place, leave};
use crate::ids::{restoration_id, stop_id, submission_id};
use crate::ledger::{Lineage, Resumed};
use crate::phase::Phase;

/// Decides the first step. `wanted` is the required parallelism of the only job's vertices, where needed.
pub(super) fn begin(
    now: Now<'_>,
    alive: &[(JobId, JobState)],
    last: Option<&Ended>,
    wanted: Option<&[Vertex]>,
) -> Next {
    let Now { change, lineage, attempt, rules } = now;
    let is_abandoned = |(job, _): &&(JobId, JobState)| lineage.abandoned.contains(job);
    let ours = submission_id(&change.document);
    let (rivals, known): (Vec<_>, Vec<_>) = alive.iter().partition(is_abandoned);
    if let (Some((rival, _)), Some(_)) = (rivals.first(), known.first()) {
        // It was submitted and abandoned, and started while the previous job was already running again.
        return Next::Act(Effect::Cancel { job: rival.clone() });
    }
    let is_ours = matches!(alive, [(job, _)] if *job == ours);
    let running = alive.first().map(|(job, _)| job);
    if let ([(job, _)], false) = (alive, is_ours)
        && wanted.is_some_and(|vertices| in_place::is_wanted(&change.document, vertices))
    {
        // The journal is lost, and an earlier run of the agent, or an operator, already requested this parallelism.
        return Next::Enter(Phase::Rescaling { job: job.clone() });
    }
    let is_taken_back = change.resumed == Some(Resumed::TakenBack)
        || running.is_some_and(|job| *job == restoration_id(&change.document));
    if let (true, Some(job), false) = (is_taken_back, running, is_ours) {
        let message =
            format!("the change failed before the journal was lost; job {job} keeps running unchanged");
        return leave(Some(job), message);
    }
    if let Some(message) = expiry(now).or_else(|| breaker(lineage, attempt, rules))
        && !is_ours
    {
        return leave(running, message);
    }
    let [(job, state), others @ ..] = alive else {
        return begin_without_job(lineage, last, attempt, rules, ours);
    };
    if !others.is_empty() {
        let ids: Vec<&str> = alive.iter().map(|(id, _)| id.as_str()).collect();
        let message = format!("several jobs with this name run ({}); stop all but one", ids.join(", "));
        return fail(None, message);
    }
    if is_ours {
        // Submitted by a run whose journal is lost; its start state is needed again if it fails.
        return Next::Enter(Phase::Submitting { job: ours, savepoint: lineage.savepoint.clone() });
    }
    begin_with_job(now, job, *state)
}

fn begin_with_job(now: Now<'_>, job: &JobId, state: JobState) -> Next {
    let Now { change, attempt, rules, .. } = now;
    if let Some(refused) = &attempt.refused {
        let message = format!("Flink rejects the document: {refused}; job {job} keeps running unchanged");
        return leave(Some(job), message);
    }
    let in_place = in_place::is_possible(now, job);
    if !rules.can_submit && !in_place {
        let message = "the job can only be rescaled in place: flink.jar is not set, and the document does not have restart_mode = \"in-place\"";
        return leave(Some(job), format!("{message}; job {job} keeps running unchanged"));
    }
    if rules.can_submit && !attempt.checked {
        return Next::Act(Effect::Check);
    }
    if state == JobState::Running && in_place {
        return Next::Enter(Phase::Rescaling { job: job.clone() });
    }
    if state == JobState::Running {
        return Next::Enter(Phase::Stopping { job: job.clone(), trigger: stop_id(&change.document) });
    }
    if attempt.waited < rules.stoppable_within {
        return Next::Wait;
    }
    let within = rules.stoppable_within;
    leave(
        Some(job),
        format!("job {job} is {state:?} and was not running within {within:?}; nothing was changed"),
    )
}

/// Returns why the document may no longer be started: its expiry.
fn expiry(now: Now<'_>) -> Option<String> {
    // Nodes may have been started for it, or an earlier run applied all of it: it was started before the expiry.
    let is_begun = !matches!(now.change.phase, Phase::Received) || now.change.resumed.is_some();
    let expires_at = now.change.document.expires_at()?;
    let at = now.change.no_earlier_than_accepted(now.attempt.now);
    let expired = now.change.document.is_expired(at) && !is_begun;
    expired.then(|| format!("the document expired at {expires_at}, before its change started"))
}

fn begin_without_job(
    lineage: &Lineage,
    last: Option<&Ended>,
    attempt: &Attempt,
    rules: &Rules,
    ours: JobId,
) -> Next {
    if !rules.can_submit {
        return fail(None, "no job with this name runs, and flink.jar is not set".to_owned());
    }
    if let Some(refused) = &attempt.refused {
        return fail(None, format!("Flink rejects the document: {refused}; no job with this name runs"));
    }
    if !attempt.checked {
        return Next::Act(Effect::Check);
    }
    let stopped = |savepoint: Option<String>, message: Option<String>| {
        Next::Enter(Phase::Stopped { job: lineage.job.clone(), savepoint, message })
    };
    if lineage.is_lost && !rules.start_fresh_if_lost {
        let message = "the journal is lost, and no trusted report names the job's newest state; to start without state set flink.start_fresh_if_lost, then publish the next generation";
        return fail(None, message.to_owned());
    }
    let Some(job) = &lineage.job else {
        return Next::Enter(Phase::Submitting { job: ours, savepoint: None });
    };
    let (how, newest_state) = match last {
        None | Some(Ended::Forgotten) => ("is unknown to Flink".to_owned(), None),
        Some(Ended::In { state, newest_state }) => (format!("is {state:?}"), newest_state.clone()),
    };
    if let Some(state) = newest_state.or_else(|| lineage.savepoint.clone()) {
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
pub const BREAKER_IS_OPEN: &str = "changes in a row have failed, the last one at";

/// Returns why no change may start now, if the circuit breaker is open.
fn breaker(lineage: &Lineage, attempt: &Attempt, rules: &Rules) -> Option<String> {
    // A failure time in the future comes from a wrong clock, and would keep the breaker open until then.
    let is_past = |failed_at: &Timestamp| *failed_at <= attempt.now;
    let failed_at =
        lineage.failed_at.filter(is_past).filter(|_| lineage.failures >= rules.breaker_failures)?;
    let closes_at = failed_at + rules.breaker_pause;
    (attempt.now < closes_at).then(|| {
        format!(
            "{} {BREAKER_IS_OPEN} {failed_at}; nothing is begun before {closes_at}, or before \
             the agent is started with --forgive-failures",
            lineage.failures
        )
    })
}
