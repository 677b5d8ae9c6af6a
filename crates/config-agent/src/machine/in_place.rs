//! Another parallelism for the running job, without stopping it.
//!
//! Flink takes the wish at once, and follows it as far as there are slots; so the change is good when every vertex runs as
//! wide as the document says, and a wish that is not reached in time is a failure that leaves the job running. A job that fails
//! again and again after the wish (its state cannot be restored with the new parallelism, for example) is not waited for until
//! the deadline: it gets the parallelism before.

use std::collections::BTreeMap;

use flink::{JobId, Obstacle, Vertex, VertexId};
use job_config::{JobDocument, RestartMode};

use super::start::roll_back_or_fail;
use super::{Effect, Next, Now, Submission, leave};
use crate::ids::stop_id;
use crate::ledger::{Change, Lineage};
use crate::phase::Phase;

/// Whether the change can be brought about in the job that runs: it is the one we know, and nothing else changes. Where
/// there is nothing to submit, any job will do whose operators the document names.
pub(super) fn is_possible(now: Now<'_>, running: &JobId) -> bool {
    let Now { change, lineage, rules, .. } = now;
    let differs_only = |before: &JobDocument| change.document.differs_only_in_parallelism(before);
    let is_known =
        lineage.job.as_ref() == Some(running) && lineage.document.as_ref().is_some_and(differs_only);
    change.document.restart_mode() == RestartMode::InPlace && (is_known || !rules.can_submit)
}

/// Whether a job that runs already as the document says may be taken for the one that the document is about: it changes nothing but
/// parallelism, and no journal says what ran before.
pub(super) fn may_be_adopted(change: &Change, lineage: &Lineage) -> bool {
    change.document.restart_mode() == RestartMode::InPlace && lineage.document.is_none()
}

/// Whether the job shall be exactly as wide as the document says, by every vertex that the document names.
pub(super) fn is_wanted(document: &JobDocument, vertices: &[Vertex]) -> bool {
    let operators = &document.parallelism().operators;
    let vertex_of = |uid: &String| {
        vertices.iter().find(|vertex| vertex.head_operator() == uid || vertex.id.as_str() == uid)
    };
    let mut named = operators.iter().filter_map(|(uid, p)| Some((vertex_of(uid)?, *p))).peekable();
    named.peek().is_some()
        && named.all(|(vertex, p)| vertex.parallelism == p.min(vertex.max_parallelism).max(1))
}

/// What Flink shows of the job.
pub(super) struct Found<'a> {
    pub(super) submission: &'a Submission,
    pub(super) vertices: &'a [Vertex],
    /// Why it failed since the phase began, newest first.
    pub(super) failures: &'a [String],
}

impl Found<'_> {
    /// How often it failed and why, if that is too often.
    fn fails(&self, most: u32) -> Option<String> {
        let newest = self.failures.first().filter(|_| self.failures.len() >= most as usize)?;
        Some(format!("it failed {} times: {newest}", self.failures.len()))
    }
}

/// The next step towards the new parallelism.
pub(super) fn rescale(now: Now<'_>, job: &JobId, found: &Found<'_>) -> Next {
    let Now { change, lineage, attempt, rules } = now;
    let Found { submission, vertices, .. } = *found;
    if let Submission::Unknown | Submission::Ended { .. } = submission {
        let reason = format!("job {job} did not survive its rescale: {submission:?}");
        return roll_back_or_fail(change, lineage, job, reason, rules);
    }
    if let Some(operator) = without_vertex(now, vertices) {
        // Operators that run in one task are as wide as its first one. Only a new graph can take them apart.
        return match rules.can_submit {
            true => Next::Enter(Phase::Stopping { job: job.clone(), trigger: stop_id(&change.document) }),
            false => leave(
                Some(job),
                format!("job {job} has no vertex that begins with operator {operator}; it goes on as it was"),
            ),
        };
    }
    if let Some(refused) = &attempt.refused {
        // What Flink can do for no wish at all, a restart from a savepoint can.
        if rules.can_submit && Obstacle::is_named_in(refused) {
            return Next::Enter(Phase::Stopping { job: job.clone(), trigger: stop_id(&change.document) });
        }
        return leave(
            Some(job),
            format!("Flink refused to rescale job {job}, which goes on as it was: {refused}"),
        );
    }
    let wanted = wanted(&change.document, vertices);
    let changed = changed(vertices, &wanted);
    if !attempt.asked && !changed.is_empty() {
        return Next::Act(Effect::Rescale { job: job.clone(), parallelism: changed });
    }
    let missing = missing(vertices, &wanted);
    if *submission == Submission::Running && missing.is_empty() {
        return Next::Enter(Phase::Running { job: job.clone(), message: None });
    }
    if let Some(failure) = found.fails(rules.in_place_failures) {
        let message = format!("job {job} does not run with the new parallelism; {failure}");
        return Next::Enter(Phase::RescalingBack { job: job.clone(), message });
    }
    if attempt.waited < rules.running_within {
        return Next::Wait;
    }
    let within = rules.running_within;
    let what = if missing.is_empty() { "not all tasks run".to_owned() } else { missing.join(", ") };
    let message = format!("job {job} was not rescaled within {within:?} ({what}); slots may be missing");
    Next::Enter(Phase::RescalingBack { job: job.clone(), message })
}

/// The next step back to the parallelism before. What it was is in the document before; for vertices that have no
/// entry there nothing was changed.
pub(super) fn rescale_back(now: Now<'_>, job: &JobId, message: &str, found: &Found<'_>) -> Next {
    let Now { change, lineage, attempt, rules } = now;
    let Found { submission, vertices, .. } = *found;
    let back = |more: &str| leave(Some(job), format!("{message}; {more}"));
    if let Submission::Unknown | Submission::Ended { .. } = submission {
        return roll_back_or_fail(change, lineage, job, format!("{message}; then it ended"), rules);
    }
    let Some(before) = &lineage.document else {
        return back("it goes on with what it has, because the parallelism before is not known");
    };
    let wanted = wanted(before, vertices);
    if attempt.refused.is_none() && !attempt.asked && !wanted.is_empty() {
        return Next::Act(Effect::Rescale { job: job.clone(), parallelism: wanted });
    }
    let missing = missing(vertices, &wanted);
    if *submission == Submission::Running && missing.is_empty() {
        return back("it has the parallelism before");
    }
    if let Some(failure) = found.fails(rules.in_place_failures) {
        return back(&format!("the parallelism before is asked for, but {failure}"));
    }
    if attempt.refused.is_none() && attempt.waited < rules.running_within {
        return Next::Wait;
    }
    back(&format!("the parallelism before is asked for, but not reached yet ({})", missing.join(", ")))
}

/// The parallelism of every vertex, as the document says and the vertex allows.
fn wanted(document: &JobDocument, vertices: &[Vertex]) -> BTreeMap<VertexId, u32> {
    let of = |vertex: &Vertex| {
        // A vertex without an entry keeps what it has: what the document's default means for it, its program decided.
        // Operators without a uid of their own are named by the id of their vertex.
        let operators = &document.parallelism().operators;
        let own = operators.get(vertex.id.as_str()).or_else(|| operators.get(vertex.head_operator()));
        own.copied().unwrap_or(vertex.parallelism).min(vertex.max_parallelism).max(1)
    };
    vertices.iter().map(|vertex| (vertex.id.clone(), of(vertex))).collect()
}

/// What is wanted of the vertices that do not run like that. The others keep what they require of Flink: that may be more than there
/// are slots for now.
fn changed(vertices: &[Vertex], wanted: &BTreeMap<VertexId, u32>) -> BTreeMap<VertexId, u32> {
    let runs =
        |id: &VertexId, p: u32| vertices.iter().any(|vertex| vertex.id == *id && vertex.parallelism == p);
    wanted.iter().filter(|(id, p)| !runs(id, **p)).map(|(id, p)| (id.clone(), *p)).collect()
}

/// An operator whose parallelism changes and that is not the first one of any vertex.
fn without_vertex<'a>(now: Now<'a>, vertices: &[Vertex]) -> Option<&'a String> {
    let after = &now.change.document.parallelism().operators;
    let changes = |uid: &String, p: u32| {
        now.lineage.document.as_ref().is_none_or(|before| before.parallelism().of(uid) != p)
    };
    let has_vertex = |uid: &String| {
        vertices.iter().any(|vertex| vertex.head_operator() == uid || vertex.id.as_str() == uid)
    };
    after.iter().find(|(uid, p)| changes(uid, **p) && !has_vertex(uid)).map(|(uid, _)| uid)
}

/// The vertices that are not as wide as they should be, for people.
fn missing(vertices: &[Vertex], wanted: &BTreeMap<VertexId, u32>) -> Vec<String> {
    let pairs = vertices.iter().filter_map(|vertex| Some((vertex, *wanted.get(&vertex.id)?)));
    pairs
        .filter(|(vertex, wanted)| vertex.parallelism != *wanted)
        .map(|(vertex, wanted)| format!("{}: {} of {wanted}", vertex.head_operator(), vertex.parallelism))
        .collect()
}
