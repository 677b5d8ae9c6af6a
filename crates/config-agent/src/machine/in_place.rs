//! Rescaling the running job in place, without a restart from a savepoint.
//!
//! Flink accepts the new requirements at once and meets them as far as slots allow. The change succeeds when every
//! vertex runs at the document's parallelism. A timeout is a failure that leaves the job running. A job that keeps
//! failing after the rescale (for example because its state cannot be restored at the new parallelism) is rolled back
//! before the timeout.

use std::collections::BTreeMap;

use flink::{JobId, Obstacle, Vertex, VertexId};
use job_config::{JobDocument, RestartMode};

use super::start::roll_back_or_fail;
use super::{Effect, NextStep, StepContext, Submission, give_up, reject};
use crate::ids::stop_id;
use crate::ledger::{Change, JobHistory};
use crate::phase::Phase;

/// Whether the running job can be rescaled in place: the document's mode is `in-place`, the job is the known one, and only
/// parallelism changes. Without a program to submit, any job qualifies.
pub(super) fn is_possible(context: StepContext<'_>, running: &JobId) -> bool {
    let StepContext { change, history, rules, .. } = context;
    let differs_only = |before: &JobDocument| change.document.differs_only_in_parallelism(before);
    let is_known =
        history.job.as_ref() == Some(running) && history.document.as_ref().is_some_and(differs_only);
    change.document.restart_mode() == RestartMode::InPlace && (is_known || !rules.can_submit)
}

/// Whether a running job that already matches the document may be adopted as the document's job: the document's mode is
/// `in-place`, and no journal says what ran before.
pub(super) fn may_be_adopted(change: &Change, history: &JobHistory) -> bool {
    change.document.restart_mode() == RestartMode::InPlace && history.document.is_none()
}

/// Whether the required parallelism of every vertex that the document names equals the document's.
pub(super) fn is_wanted(document: &JobDocument, vertices: &[Vertex]) -> bool {
    let operators = &document.parallelism().operators;
    let vertex_of = |uid: &String| {
        vertices.iter().find(|vertex| vertex.head_operator() == uid || vertex.id.as_str() == uid)
    };
    let mut named = operators.iter().filter_map(|(uid, p)| Some((vertex_of(uid)?, *p))).peekable();
    named.peek().is_some()
        && named.all(|(vertex, p)| vertex.parallelism == p.min(vertex.max_parallelism).max(1))
}

/// Observed state of the job.
pub(super) struct ObservedJob<'a> {
    pub(super) submission: &'a Submission,
    pub(super) vertices: &'a [Vertex],
    /// Its failures since the phase began, newest first.
    pub(super) failures: &'a [String],
}

impl ObservedJob<'_> {
    /// Returns count and cause of the failures, if there are too many.
    fn fails(&self, most: u32) -> Option<String> {
        let newest = self.failures.first().filter(|_| self.failures.len() >= most as usize)?;
        Some(format!("it failed {} times: {newest}", self.failures.len()))
    }
}

/// Returns the next step towards the new parallelism.
pub(super) fn rescale(context: StepContext<'_>, job: &JobId, found: &ObservedJob<'_>) -> NextStep {
    let StepContext { change, history, attempt, rules } = context;
    let ObservedJob { submission, vertices, .. } = *found;
    if let Submission::Unknown | Submission::Ended { .. } = submission {
        let reason = format!("job {job} ended during the rescale: {submission:?}");
        return roll_back_or_fail(change, history, job, reason, rules);
    }
    if let Some(operator) = without_vertex(context, vertices) {
        // Chained operators share the parallelism of the first one. Only a new job graph can separate them.
        return match rules.can_submit {
            true => restart(context, job),
            false => give_up(
                Some(job),
                format!(
                    "job {job} has no vertex that starts with operator {operator}; it keeps running unchanged"
                ),
            ),
        };
    }
    if let Some(refused) = &attempt.refused {
        // Where Flink can rescale no job in place, a restart from a savepoint works.
        if rules.can_submit && Obstacle::is_named_in(refused) {
            return restart(context, job);
        }
        return give_up(
            Some(job),
            format!("Flink refused to rescale job {job}, which keeps running unchanged: {refused}"),
        );
    }
    let wanted = wanted(&change.document, vertices);
    let changed = changed(vertices, &wanted);
    if !attempt.asked && !changed.is_empty() {
        return NextStep::Act(Effect::Rescale { job: job.clone(), parallelism: changed });
    }
    let missing = missing(vertices, &wanted);
    if *submission == Submission::Running && missing.is_empty() {
        return NextStep::Enter(Phase::Running { job: job.clone(), message: None });
    }
    if let Some(failure) = found.fails(rules.in_place_failures) {
        let message = format!("job {job} does not run with the new parallelism; {failure}");
        return NextStep::Enter(Phase::RescalingBack { job: job.clone(), message });
    }
    if attempt.waited < rules.running_within {
        return NextStep::Wait;
    }
    let within = rules.running_within;
    let what = if missing.is_empty() { "not all tasks run".to_owned() } else { missing.join(", ") };
    let message = format!("job {job} was not rescaled within {within:?} ({what}); slots may be missing");
    NextStep::Enter(Phase::RescalingBack { job: job.clone(), message })
}

/// Returns the next step towards a restart from a savepoint, for what cannot be changed in place: the job is stopped once
/// Flink has built the graph of the document's job. A change in place needs no such check, and would wait for it.
fn restart(context: StepContext<'_>, job: &JobId) -> NextStep {
    let StepContext { change, attempt, .. } = context;
    match &attempt.refused {
        Some(refused) if !Obstacle::is_named_in(refused) => reject(Some(job), refused),
        _ if !attempt.checked => NextStep::Act(Effect::Check),
        _ => NextStep::Enter(Phase::Stopping { job: job.clone(), trigger: stop_id(&change.document) }),
    }
}

/// Returns the next step of the rollback to the previous parallelism, taken from the previous document; vertices
/// without an entry there were not changed.
pub(super) fn rescale_back(
    context: StepContext<'_>,
    job: &JobId,
    message: &str,
    found: &ObservedJob<'_>,
) -> NextStep {
    let StepContext { change, history, attempt, rules } = context;
    let ObservedJob { submission, vertices, .. } = *found;
    let back = |more: &str| give_up(Some(job), format!("{message}; {more}"));
    if let Submission::Unknown | Submission::Ended { .. } = submission {
        return roll_back_or_fail(change, history, job, format!("{message}; then the job ended"), rules);
    }
    let Some(before) = &history.document else {
        return back("it keeps its present parallelism, because the previous one is unknown");
    };
    let wanted = wanted(before, vertices);
    if attempt.refused.is_none() && !attempt.asked && !wanted.is_empty() {
        return NextStep::Act(Effect::Rescale { job: job.clone(), parallelism: wanted });
    }
    let missing = missing(vertices, &wanted);
    if *submission == Submission::Running && missing.is_empty() {
        return back("restored the previous parallelism");
    }
    if let Some(failure) = found.fails(rules.in_place_failures) {
        return back(&format!("requested the previous parallelism, but {failure}"));
    }
    if attempt.refused.is_none() && attempt.waited < rules.running_within {
        return NextStep::Wait;
    }
    back(&format!("requested the previous parallelism, not reached yet ({})", missing.join(", ")))
}

/// Returns the target parallelism of every vertex, from the document and within the vertex's maximum.
fn wanted(document: &JobDocument, vertices: &[Vertex]) -> BTreeMap<VertexId, u32> {
    let of = |vertex: &Vertex| {
        // A vertex without an entry keeps its parallelism: its program decided what the document's default means for
        // it. Operators without a uid are named by the id of their vertex.
        let operators = &document.parallelism().operators;
        let own = operators.get(vertex.id.as_str()).or_else(|| operators.get(vertex.head_operator()));
        own.copied().unwrap_or(vertex.parallelism).min(vertex.max_parallelism).max(1)
    };
    vertices.iter().map(|vertex| (vertex.id.clone(), of(vertex))).collect()
}

/// Returns the target of the vertices that run at another parallelism. Others keep their requirement, which may
/// exceed the current slots.
fn changed(vertices: &[Vertex], wanted: &BTreeMap<VertexId, u32>) -> BTreeMap<VertexId, u32> {
    let runs =
        |id: &VertexId, p: u32| vertices.iter().any(|vertex| vertex.id == *id && vertex.parallelism == p);
    wanted.iter().filter(|(id, p)| !runs(id, **p)).map(|(id, p)| (id.clone(), *p)).collect()
}

/// Returns an operator whose parallelism changes and that is not the first one of any vertex.
fn without_vertex<'a>(context: StepContext<'a>, vertices: &[Vertex]) -> Option<&'a String> {
    let after = &context.change.document.parallelism().operators;
    let changes = |uid: &String, p: u32| {
        context.history.document.as_ref().is_none_or(|before| before.parallelism().of(uid) != p)
    };
    let has_vertex = |uid: &String| {
        vertices.iter().any(|vertex| vertex.head_operator() == uid || vertex.id.as_str() == uid)
    };
    after.iter().find(|(uid, p)| changes(uid, **p) && !has_vertex(uid)).map(|(uid, _)| uid)
}

/// Lists the vertices that are below or above their target, for people.
fn missing(vertices: &[Vertex], wanted: &BTreeMap<VertexId, u32>) -> Vec<String> {
    let pairs = vertices.iter().filter_map(|vertex| Some((vertex, *wanted.get(&vertex.id)?)));
    pairs
        .filter(|(vertex, wanted)| vertex.parallelism != *wanted)
        .map(|(vertex, wanted)| format!("{}: {} of {wanted}", vertex.head_operator(), vertex.parallelism))
        .collect()
}

#[cfg(test)]
mod tests;
