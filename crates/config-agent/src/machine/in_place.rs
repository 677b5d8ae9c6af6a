//! Another parallelism for the running job, without stopping it.
//!
//! Flink takes the wish at once, and follows it as far as there are slots; so the change is good when every vertex runs as
//! wide as the document says, and a wish that is not reached in time is a failure that leaves the job running.

use std::collections::BTreeMap;

use flink::{JobId, Vertex, VertexId};
use job_config::{JobDocument, RestartMode};

use super::start::roll_back_or_fail;
use super::{Attempt, Effect, Next, Rules, Submission, fail};
use crate::ids::stop_id;
use crate::ledger::{Change, Lineage, Phase};

/// Whether the change can be brought about in the job that runs: it is the one we know, and nothing else changes.
pub(super) fn is_possible(change: &Change, lineage: &Lineage, running: &JobId) -> bool {
    let differs_only = |before: &JobDocument| change.document.differs_only_in_parallelism(before);
    change.document.restart_mode() == RestartMode::InPlace
        && lineage.job.as_ref() == Some(running)
        && lineage.document.as_ref().is_some_and(differs_only)
}

/// The next step towards the new parallelism.
pub(super) fn rescale(
    change: &Change,
    lineage: &Lineage,
    job: &JobId,
    (submission, vertices): (&Submission, &[Vertex]),
    attempt: &Attempt,
    rules: &Rules,
) -> Next {
    let wanted = wanted(&change.document, vertices);
    match submission {
        Submission::Unknown | Submission::Ended { .. } => {
            let reason = format!("job {job} did not survive its rescale: {submission:?}");
            return roll_back_or_fail(change, lineage, job, reason, rules);
        }
        Submission::Starting { .. } | Submission::Running => {}
    }
    if is_inside_a_vertex(change, lineage, vertices) {
        // Operators that run in one task are as wide as its first one. Only a new graph can take them apart.
        return Next::Enter(Phase::Stopping { job: job.clone(), trigger: stop_id(&change.document) });
    }
    if let Some(refused) = &attempt.refused {
        return fail(
            Some(job),
            format!("Flink refused to rescale job {job}, which goes on as it was: {refused}"),
        );
    }
    if !attempt.asked && !wanted.is_empty() {
        return Next::Act(Effect::Rescale { job: job.clone(), parallelism: wanted });
    }
    let missing = missing(vertices, &wanted);
    if *submission == Submission::Running && missing.is_empty() {
        return Next::Enter(Phase::Running { job: job.clone(), message: None });
    }
    if attempt.waited < rules.running_within {
        return Next::Wait;
    }
    let within = rules.running_within;
    let what = if missing.is_empty() { "not all tasks run".to_owned() } else { missing.join(", ") };
    let message = format!(
        "job {job} was not rescaled within {within:?} ({what}); slots may be missing; it goes on with what it has, and \
         Flink widens it when slots come"
    );
    fail(Some(job), message)
}

/// The parallelism of every vertex, as the document says and the vertex allows.
fn wanted(document: &JobDocument, vertices: &[Vertex]) -> BTreeMap<VertexId, u32> {
    let of = |vertex: &Vertex| {
        // A vertex without an entry keeps what it has: what the document's default means for it, its program decided.
        let own = document.parallelism().operators.get(vertex.head_operator());
        own.copied().unwrap_or(vertex.parallelism).min(vertex.max_parallelism).max(1)
    };
    vertices.iter().map(|vertex| (vertex.id.clone(), of(vertex))).collect()
}

/// Whether an operator whose parallelism changes is not the first one of its vertex.
fn is_inside_a_vertex(change: &Change, lineage: &Lineage, vertices: &[Vertex]) -> bool {
    let Some(before) = &lineage.document else { return false };
    let after = change.document.parallelism();
    let mut changed = after.operators.iter().filter(|(uid, p)| before.parallelism().of(uid) != **p);
    changed.any(|(uid, _)| !vertices.iter().any(|vertex| vertex.head_operator() == uid))
}

/// The vertices that are not as wide as they should be, for people.
fn missing(vertices: &[Vertex], wanted: &BTreeMap<VertexId, u32>) -> Vec<String> {
    let pairs = vertices.iter().filter_map(|vertex| Some((vertex, *wanted.get(&vertex.id)?)));
    pairs
        .filter(|(vertex, wanted)| vertex.parallelism != *wanted)
        .map(|(vertex, wanted)| format!("{}: {} of {wanted}", vertex.head_operator(), vertex.parallelism))
        .collect()
}
