//! Task managers that come before a change and go after it.
//!
//! Coming: as many nodes of the pool as the document wants beyond those that are registered are asked to start; one that
//! does not come up is given up and replaced by the next one. Only when all have their slots is anything asked of the
//! job. Going: the job is rescaled first; then as many nodes as are too many, idle ones first, are asked to stop.
//!
//! Which nodes are meant is in the journal before they are asked, so that a crash neither starts nor stops more of them than
//! wanted. To ask a node twice is to ask it once. Task managers that belong to no node of the pool are counted, and left alone.

use flink::{JobId, JobState, TaskManager};

use super::{Effect, Next, Now, Submission, leave};
use crate::phase::{NodeFailure, Phase};

/// A node of the pool, as far as decisions are concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolNode {
    /// Its name in configuration, journal and reports.
    pub name: String,
    /// How Flink names its task manager: the resource id, or what stands before its first colon.
    pub task_manager: String,
}

impl PoolNode {
    /// Whether this task manager is the node's.
    pub fn owns(&self, task_manager: &TaskManager) -> bool {
        let rest = task_manager.id.strip_prefix(self.task_manager.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
    }

    /// Its task manager, if it has registered and offers slots.
    fn registered<'a>(&self, all: &'a [TaskManager]) -> Option<&'a TaskManager> {
        all.iter().find(|task_manager| self.owns(task_manager) && task_manager.slots > 0)
    }
}

fn count(registered: &[TaskManager]) -> u32 {
    u32::try_from(registered.len()).unwrap_or(u32::MAX)
}

/// Puts the start of nodes before the first step of a change, if the document wants more than there are.
pub(super) fn before(
    now: Now<'_>,
    registered: &[TaskManager],
    alive: &[(JobId, JobState)],
    first: Next,
) -> Next {
    let wanted = now.change.document.task_managers().filter(|_| !now.rules.pool.is_empty());
    let is_first_step = matches!(&first, Next::Enter(phase) if !phase.is_final());
    let (Some(wanted), true, Phase::Received) = (wanted, is_first_step, &now.change.phase) else {
        return first;
    };
    let before = count(registered);
    let missing = wanted.saturating_sub(before) as usize;
    let nodes = spare(now, registered, &[], &[]).take(missing).collect::<Vec<_>>();
    let job = alive.first().map(|(job, _)| job);
    match (missing, nodes.len()) {
        (0, _) => first,
        (missing, found) if found < missing => leave(
            job,
            format!(
                "the document wants {wanted} task managers, {before} are registered, and the pool has only {found} more nodes"
            ),
        ),
        _ => Next::Enter(Phase::StartingNodes { job: job.cloned(), nodes, failed: Vec::new(), before }),
    }
}

/// Nodes of the pool that are not registered, not asked already and have not failed.
fn spare<'a>(
    now: Now<'a>,
    registered: &'a [TaskManager],
    asked: &'a [String],
    failed: &'a [NodeFailure],
) -> impl Iterator<Item = String> + 'a {
    let is_spare = |node: &&PoolNode| {
        !asked.contains(&node.name)
            && !failed.iter().any(|failure| failure.node == node.name)
            && !registered.iter().any(|task_manager| node.owns(task_manager))
    };
    now.rules.pool.iter().filter(is_spare).map(|node| node.name.clone())
}

/// The next step towards nodes that offer their slots.
pub(super) fn starting(
    now: Now<'_>,
    job: Option<&JobId>,
    nodes: &[String],
    failed: &[NodeFailure],
    before: u32,
    registered: &[TaskManager],
) -> Next {
    let Now { attempt, rules, .. } = now;
    let is_up = |name: &String| {
        rules.pool.iter().any(|node| node.name == *name && node.registered(registered).is_some())
    };
    let coming: Vec<&String> = nodes.iter().filter(|name| !is_up(name)).collect();
    if coming.is_empty() {
        let told: Vec<String> = failed.iter().map(ToString::to_string).collect();
        let message = (!told.is_empty()).then(|| told.join("; "));
        return Next::Enter(Phase::NodesStarted { message });
    }
    if let Some(node) = coming.iter().find(|name| !attempt.started.contains_key(**name)) {
        return Next::Act(Effect::StartNode { node: (*node).clone() });
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
        return Next::Wait;
    }
    // It must not come up later, when nobody expects it.
    if let Some(failure) = lost.iter().find(|failure| !attempt.stopped.contains_key(&failure.node)) {
        return Next::Act(Effect::StopNode { node: failure.node.clone() });
    }
    replace(now, job, (nodes, failed, before), &lost, registered)
}

/// The same with other nodes in the place of those that did not come up.
fn replace(
    now: Now<'_>,
    job: Option<&JobId>,
    (nodes, failed, before): (&[String], &[NodeFailure], u32),
    lost: &[NodeFailure],
    registered: &[TaskManager],
) -> Next {
    let failed: Vec<NodeFailure> = failed.iter().chain(lost).cloned().collect();
    let mut next: Vec<String> =
        nodes.iter().filter(|name| !lost.iter().any(|failure| failure.node == **name)).cloned().collect();
    let spare: Vec<String> = spare(now, registered, nodes, &failed).take(lost.len()).collect();
    if spare.len() < lost.len() {
        let told: Vec<String> = failed.iter().map(ToString::to_string).collect();
        return leave(
            job,
            format!("{}; the pool has no other node; the job was not touched", told.join("; ")),
        );
    }
    next.extend(spare);
    Next::Enter(Phase::StartingNodes { job: job.cloned(), nodes: next, failed, before })
}

/// Puts the stop of nodes before the end of a change: those that the document does not want any more, or, if the change was not
/// carried out, as many as were started for it.
pub(super) fn conclude(now: Now<'_>, end: Phase) -> Next {
    let Now { change, rules, .. } = now;
    let wanted = match end {
        Phase::Running { .. } => change.document.task_managers(),
        _ => change.nodes_before,
    };
    let is_concluding = matches!(change.phase, Phase::StoppingNodes { .. });
    match wanted.filter(|_| !is_concluding && !rules.pool.is_empty()) {
        Some(wanted) => Next::Enter(Phase::StoppingNodes { wanted, nodes: None, end: Box::new(end) }),
        None => Next::Enter(end),
    }
}

/// The next step towards the end without the nodes that are too many.
pub(super) fn stopping(
    now: Now<'_>,
    wanted: u32,
    nodes: Option<&[String]>,
    end: &Phase,
    registered: &[TaskManager],
    submission: Option<&Submission>,
) -> Next {
    let Now { attempt, rules, .. } = now;
    let Some(nodes) = nodes else {
        let nodes = surplus(now, wanted, registered);
        let end = Box::new(end.clone());
        return match nodes.is_empty() {
            true => Next::Enter(*end),
            false => Next::Enter(Phase::StoppingNodes { wanted, nodes: Some(nodes), end }),
        };
    };
    if let Some(node) = nodes.iter().find(|name| !attempt.stopped.contains_key(*name)) {
        return Next::Act(Effect::StopNode { node: node.clone() });
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
    // A job that had tasks there starts them again elsewhere.
    let runs = !matches!(submission, Some(Submission::Starting { .. }));
    let lingering: Vec<&str> = nodes.iter().filter(|name| remains(name)).map(String::as_str).collect();
    if (!lingering.is_empty() || !runs) && attempt.waited < rules.nodes_within {
        return Next::Wait;
    }
    let mut end = end.clone();
    if !problems.is_empty() {
        end = end.and(&problems.join("; "));
    }
    if !lingering.is_empty() {
        end = end.and(&format!("still registered after {:?}: {}", rules.nodes_within, lingering.join(", ")));
    }
    Next::Enter(end)
}

/// The nodes that are too many: those without work first, then the last ones of the pool.
fn surplus(now: Now<'_>, wanted: u32, registered: &[TaskManager]) -> Vec<String> {
    let too_many = count(registered).saturating_sub(wanted) as usize;
    let of_pool = now.rules.pool.iter().rev();
    let mut up: Vec<(&PoolNode, &TaskManager)> =
        of_pool.filter_map(|node| Some((node, registered.iter().find(|tm| node.owns(tm))?))).collect();
    up.sort_by_key(|(_, task_manager)| task_manager.free_slots < task_manager.slots);
    up.into_iter().take(too_many).map(|(node, _)| node.name.clone()).collect()
}
