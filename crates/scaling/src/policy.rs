//! One epoch, whatever the policy: the policy plans, the limits trim, the cluster's size follows.

use serde::{Deserialize, Serialize};

use crate::cluster::{self, Size, Thresholds};
use crate::limits::{self, Limits};
use crate::{Action, Decision, Moment, Snapshot, ds2, external, latency};

/// What one epoch comes to.
#[derive(Debug, Clone, PartialEq)]
pub struct Step<S> {
    /// What the policy remembers if the decision's plan is published, or if there is none.
    pub after: S,
    /// What the policy remembers if the plan is not published.
    pub held: S,
    /// The decision.
    pub decision: Decision,
}

impl<S: Clone> Step<S> {
    /// No plan: what is remembered does not depend on anybody.
    pub fn nothing(decision: Decision, state: S) -> Self {
        Self { after: state.clone(), held: state, decision }
    }
}

/// Who decides.
#[derive(Debug, Clone, Copy)]
pub enum Policy<'a> {
    /// See [`latency`].
    Latency(&'a latency::Options),
    /// See [`ds2`].
    Ds2(&'a ds2::Options),
    /// See [`external`]; the program's answer to this snapshot, or why there is none.
    External(&'a Result<external::Answer, String>),
}

/// What holds for a job under every policy.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Frame {
    /// What bounds its plans.
    pub limits: Limits,
    /// How many task managers there may be.
    pub size: Size,
    /// What the cluster's figures are measured against.
    pub thresholds: Thresholds,
}

/// What is remembered from epoch to epoch. Each policy has its own part, so that another one can take over and hand back.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// Of policy `latency`.
    pub latency: latency::State,
    /// Of policy `ds2`.
    pub ds2: ds2::State,
    /// Since when fewer task managers would be enough, in milliseconds since the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fewer_since_ms: Option<i64>,
}

/// One epoch, ending at `now`.
pub fn decide(
    policy: Policy<'_>,
    frame: &Frame,
    state: &State,
    snapshot: &Snapshot,
    now: Moment,
) -> Step<State> {
    let (mut after, mut held) = (state.clone(), state.clone());
    let decision = match policy {
        Policy::Latency(options) => {
            let (next, decision) = latency::decide(options, &state.latency, snapshot);
            held.latency =
                if decision.action == Action::Rescale { state.latency.clone() } else { next.clone() };
            after.latency = next;
            decision
        }
        Policy::Ds2(options) => {
            let step = ds2::decide(options, &state.ds2, snapshot, now.at_ms);
            (after.ds2, held.ds2) = (step.after, step.held);
            step.decision
        }
        Policy::External(answer) => external::decide(answer, snapshot),
    };
    let mut step = Step { after, held, decision };
    frame_in(policy, frame, snapshot, &mut step, Some(now));
    step
}

/// The plan for this snapshot as if the policy's trigger had been met and every wait were over.
pub fn plan(policy: Policy<'_>, frame: &Frame, snapshot: &Snapshot) -> Decision {
    let decision = match policy {
        Policy::Latency(_) if !snapshot.missing.is_empty() => {
            Decision::nothing(latency::NAME, crate::incomplete(snapshot).unwrap_or_default())
        }
        Policy::Latency(options) => latency::plan(options, snapshot),
        Policy::Ds2(options) => ds2::plan(options, snapshot),
        Policy::External(answer) => external::decide(answer, snapshot),
    };
    let mut step = Step::nothing(decision, State::default());
    frame_in(policy, frame, snapshot, &mut step, None);
    step.decision
}

/// Trims the plan, and sees to slots and task managers.
fn frame_in(
    policy: Policy<'_>,
    frame: &Frame,
    snapshot: &Snapshot,
    step: &mut Step<State>,
    now: Option<Moment>,
) {
    let Step { after, held, decision } = step;
    if crate::incomplete(snapshot).is_some() {
        return;
    }
    let had_plan = decision.action == Action::Rescale;
    if had_plan {
        let keeps_forward = !matches!(policy, Policy::Latency(_));
        frame.limits.trim(&frame.size, snapshot, decision, keeps_forward);
    }
    size_cluster(policy, frame, snapshot, decision, held, now);
    after.fewer_since_ms = held.fewer_since_ms;
    if let Some(period) = now.and_then(|now| frame.limits.excluded_period(now)) {
        if decision.has_change() {
            decision.withdraw(format!("nothing is changed during {period}"));
            *after = held.clone();
        }
        return;
    }
    if decision.has_change() {
        decision.action = Action::Rescale;
        if !had_plan {
            // Only the number of task managers changes: the policy itself has not acted.
            let fewer_since_ms = None;
            *after = State { fewer_since_ms, ..held.clone() };
        }
    } else if had_plan {
        decision.action = Action::None;
        decision.reasons.insert(0, "the limits leave nothing of the plan".to_owned());
        *after = held.clone();
    }
}

/// Fills in slots and the wanted number of task managers.
fn size_cluster(
    policy: Policy<'_>,
    frame: &Frame,
    snapshot: &Snapshot,
    decision: &mut Decision,
    held: &mut State,
    now: Option<Moment>,
) {
    if !matches!(policy, Policy::Latency(_)) {
        decision.cluster = cluster::report(&frame.thresholds, snapshot);
    }
    let needed = limits::slots_needed(snapshot, &decision.parallelism);
    decision.cluster.slots_needed = (!snapshot.operators.is_empty()).then_some(needed);
    decision.cluster.slots_present = snapshot.slots_present();
    decision.cluster.slots_available = limits::available(snapshot);
    let may_shrink = !matches!(policy, Policy::Latency(_));
    let Some(wanted) = wanted(frame, snapshot, decision, may_shrink) else {
        held.fewer_since_ms = None;
        return;
    };
    let present = u32::try_from(snapshot.task_managers.len()).unwrap_or(u32::MAX);
    if may_shrink {
        decision.cluster.scale_in = Some(wanted < present);
    }
    if wanted > present {
        held.fewer_since_ms = None;
        decision.cluster.task_managers = Some(wanted);
        decision.reasons.push(format!("{wanted} task managers instead of {present}"));
    } else if wanted < present {
        let since_ms = held.fewer_since_ms.or(now.map(|now| now.at_ms));
        held.fewer_since_ms = since_ms;
        let delay_ms = i64::try_from(frame.size.scale_in_delay_s).unwrap_or(i64::MAX).saturating_mul(1000);
        let waited_ms = now.zip(since_ms).map_or(i64::MAX, |(now, since)| now.at_ms.saturating_sub(since));
        if waited_ms >= delay_ms {
            decision.cluster.task_managers = Some(wanted);
            decision.reasons.push(format!("{wanted} task managers are enough instead of {present}"));
        } else {
            decision
                .reasons
                .push(format!("{wanted} of {present} task managers would do, given up if so for longer"));
        }
    } else {
        held.fewer_since_ms = None;
    }
}

/// How many task managers the plan wants; [`None`] if that is not ours to say, or not known.
fn wanted(frame: &Frame, snapshot: &Snapshot, decision: &Decision, may_shrink: bool) -> Option<u32> {
    let max = frame.size.task_managers_max?;
    let (present, slots) =
        (u32::try_from(snapshot.task_managers.len()).ok()?, snapshot.slots_per_task_manager()?);
    let (needed, available) = (decision.cluster.slots_needed?, decision.cluster.slots_available?);
    if present == 0 {
        return None;
    }
    // The slots of others are not given up.
    let of_others = snapshot.slots_present()?.saturating_sub(available);
    let for_slots = needed.saturating_add(of_others).div_ceil(slots).max(1);
    let grows = decision.action == Action::Rescale && decision.cluster.scale_out == Some(true);
    let for_load = if grows {
        present.saturating_add(1)
    } else if may_shrink {
        cluster::fewest(&decision.cluster, present).unwrap_or(present)
    } else {
        present
    };
    let least = frame.size.task_managers_min.unwrap_or(1).max(1);
    let wanted = for_slots.max(for_load).max(least.min(max)).min(max);
    // A maximum below what is there is no order to stop any: that is only done for want of work.
    Some(if wanted < present && for_slots.max(for_load) >= present { present } else { wanted })
}
