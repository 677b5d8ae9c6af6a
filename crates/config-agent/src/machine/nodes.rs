//! Starting task managers before a change and stopping them after it.
//!
//! Start: as many pool nodes are started as the document wants beyond the registered ones; a node that does not come
//! up is replaced by the next one. The job is changed only once all have registered their slots. Stop: the job is
//! rescaled first; then the surplus nodes are stopped, idle ones first.
//!
//! The chosen nodes are journalled before their commands run, so that a crash never starts or stops more than wanted.
//! The commands are idempotent. Task managers outside the pool are counted but left alone.

use flink::{JobId, JobState, TaskManager};

use super::{Effect, NextStep, StepContext, Submission, give_up};
use crate::phase::{NodeFailure, Phase};

/// A node of the pool, as the machine sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolNode {
    /// Name in configuration, journal and reports.
    pub name: String,
    /// Flink's name of its task manager: the resource id, or its part before the first colon.
    pub task_manager: String,
}

impl PoolNode {
    /// Whether this task manager belongs to the node.
    pub fn owns(&self, task_manager: &TaskManager) -> bool {
        let rest = task_manager.id.strip_prefix(self.task_manager.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
    }

    /// Returns its task manager, if registered with slots.
    fn registered<'a>(&self, all: &'a [TaskManager]) -> Option<&'a TaskManager> {
        all.iter().find(|task_manager| self.owns(task_manager) && task_manager.slots > 0)
    }
}

fn count(registered: &[TaskManager]) -> u32 {
    u32::try_from(registered.len()).unwrap_or(u32::MAX)
}

/// Inserts the start of nodes before a change's first step, if the document wants more than are registered.
pub(super) fn before(
    context: StepContext<'_>,
    registered: &[TaskManager],
    alive: &[(JobId, JobState)],
    first: NextStep,
) -> NextStep {
    let wanted = context.change.document.task_managers().filter(|_| !context.rules.pool.is_empty());
    let is_first_step = matches!(&first, NextStep::Enter(phase) if !phase.is_final());
    let (Some(wanted), true, Phase::Received) = (wanted, is_first_step, &context.change.phase) else {
        return first;
    };
    let before = count(registered);
    let missing = wanted.saturating_sub(before) as usize;
    let nodes = spare(context, registered, &[], &[]).take(missing).collect::<Vec<_>>();
    let job = alive.first().map(|(job, _)| job);
    match (missing, nodes.len()) {
        (0, _) => first,
        (missing, found) if found < missing => give_up(
            job,
            format!(
                "the document requires {wanted} task managers, {before} are registered, and the pool has only {found} more nodes"
            ),
        ),
        _ => NextStep::Enter(Phase::StartingNodes { job: job.cloned(), nodes, failed: Vec::new(), before }),
    }
}

/// Returns the pool nodes that are not registered, not being started and have not failed.
fn spare<'a>(
    context: StepContext<'a>,
    registered: &'a [TaskManager],
    asked: &'a [String],
    failed: &'a [NodeFailure],
) -> impl Iterator<Item = String> + 'a {
    let is_spare = |node: &&PoolNode| {
        !asked.contains(&node.name)
            && !failed.iter().any(|failure| failure.node == node.name)
            && !registered.iter().any(|task_manager| node.owns(task_manager))
    };
    context.rules.pool.iter().filter(is_spare).map(|node| node.name.clone())
}

/// Returns the next step towards nodes that offer their slots.
pub(super) fn starting(
    context: StepContext<'_>,
    job: Option<&JobId>,
    nodes: &[String],
    failed: &[NodeFailure],
    before: u32,
    registered: &[TaskManager],
) -> NextStep {
    let StepContext { attempt, rules, .. } = context;
    let is_up = |name: &String| {
        rules.pool.iter().any(|node| node.name == *name && node.registered(registered).is_some())
    };
    let coming: Vec<&String> = nodes.iter().filter(|name| !is_up(name)).collect();
    if coming.is_empty() {
        let told: Vec<String> = failed.iter().map(ToString::to_string).collect();
        let message = (!told.is_empty()).then(|| told.join("; "));
        return NextStep::Enter(Phase::NodesStarted { message });
    }
    if let Some(node) = coming.iter().find(|name| !attempt.started.contains_key(**name)) {
        return NextStep::Act(Effect::StartNode { node: (*node).clone() });
    }
    let is_late = attempt.waited >= rules.nodes_within;
    let lost: Vec<NodeFailure> = coming
        .iter()
        .filter_map(|name| {
            let late = || is_late.then(|| format!("no slots within {:?}", rules.nodes_within));
            let reason = attempt.started.get(*name).cloned().flatten().or_else(late)?;
            Some(NodeFailure { node: (*name).clone(), reason })
        })
        .collect();
    if lost.is_empty() {
        return NextStep::Wait;
    }
    // Stop it, so that it does not come up later.
    if let Some(failure) = lost.iter().find(|failure| !attempt.stopped.contains_key(&failure.node)) {
        return NextStep::Act(Effect::StopNode { node: failure.node.clone() });
    }
    replace(context, job, (nodes, failed, before), &lost, registered)
}

/// Replaces the nodes that did not come up by others.
fn replace(
    context: StepContext<'_>,
    job: Option<&JobId>,
    (nodes, failed, before): (&[String], &[NodeFailure], u32),
    lost: &[NodeFailure],
    registered: &[TaskManager],
) -> NextStep {
    let failed: Vec<NodeFailure> = failed.iter().chain(lost).cloned().collect();
    let mut next: Vec<String> =
        nodes.iter().filter(|name| !lost.iter().any(|failure| failure.node == **name)).cloned().collect();
    let spare: Vec<String> = spare(context, registered, nodes, &failed).take(lost.len()).collect();
    if spare.len() < lost.len() {
        let told: Vec<String> = failed.iter().map(ToString::to_string).collect();
        return give_up(
            job,
            format!("{}; the pool has no other node; the job was not changed", told.join("; ")),
        );
    }
    next.extend(spare);
    NextStep::Enter(Phase::StartingNodes { job: job.cloned(), nodes: next, failed, before })
}

/// Inserts the stop of nodes before the end of a change: those that the document no longer wants or, for a failed
/// change, as many as were started for it.
pub(super) fn conclude(context: StepContext<'_>, end: Phase) -> NextStep {
    let StepContext { change, rules, .. } = context;
    let wanted = match end {
        Phase::Running { .. } => change.document.task_managers(),
        _ => change.nodes_before,
    };
    let is_concluding = matches!(change.phase, Phase::StoppingNodes { .. });
    match wanted.filter(|_| !is_concluding && !rules.pool.is_empty()) {
        Some(wanted) => NextStep::Enter(Phase::StoppingNodes { wanted, nodes: None, end: Box::new(end) }),
        None => NextStep::Enter(end),
    }
}

/// Returns the next step towards the end without the surplus nodes.
pub(super) fn stopping(
    context: StepContext<'_>,
    wanted: u32,
    nodes: Option<&[String]>,
    end: &Phase,
    registered: &[TaskManager],
    submission: Option<&Submission>,
) -> NextStep {
    let StepContext { attempt, rules, .. } = context;
    let Some(nodes) = nodes else {
        let nodes = surplus(context, wanted, registered);
        let end = Box::new(end.clone());
        return match nodes.is_empty() {
            true => NextStep::Enter(*end),
            false => NextStep::Enter(Phase::StoppingNodes { wanted, nodes: Some(nodes), end }),
        };
    };
    if let Some(node) = nodes.iter().find(|name| !attempt.stopped.contains_key(*name)) {
        return NextStep::Act(Effect::StopNode { node: node.clone() });
    }
    let problems: Vec<String> = nodes
        .iter()
        .filter_map(|name| {
            Some(format!("node {name} was not stopped: {}", attempt.stopped.get(name)?.as_ref()?))
        })
        .collect();
    let remains = |name: &String| {
        let failed = attempt.stopped.get(name).is_some_and(Option::is_some);
        let mut pool = rules.pool.iter();
        !failed && pool.any(|node| node.name == *name && registered.iter().any(|tm| node.owns(tm)))
    };
    // A job with tasks there restarts them elsewhere.
    let runs = !matches!(submission, Some(Submission::Starting { .. }));
    let lingering: Vec<&str> = nodes.iter().filter(|name| remains(name)).map(String::as_str).collect();
    if (!lingering.is_empty() || !runs) && attempt.waited < rules.nodes_within {
        return NextStep::Wait;
    }
    let mut end = end.clone();
    if !problems.is_empty() {
        end = end.and(&problems.join("; "));
    }
    if !lingering.is_empty() {
        end = end.and(&format!("still registered after {:?}: {}", rules.nodes_within, lingering.join(", ")));
    }
    NextStep::Enter(end)
}

/// Returns the surplus nodes: idle ones first, then the last ones of the pool.
fn surplus(context: StepContext<'_>, wanted: u32, registered: &[TaskManager]) -> Vec<String> {
    let too_many = count(registered).saturating_sub(wanted) as usize;
    let of_pool = context.rules.pool.iter().rev();
    let mut up: Vec<(&PoolNode, &TaskManager)> =
        of_pool.filter_map(|node| Some((node, registered.iter().find(|tm| node.owns(tm))?))).collect();
    up.sort_by_key(|(_, task_manager)| task_manager.free_slots < task_manager.slots);
    up.into_iter().take(too_many).map(|(node, _)| node.name.clone()).collect()
}

#[cfg(test)]
mod tests;
