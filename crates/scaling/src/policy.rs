//! One epoch under any policy: the policy observes and plans, the constraints limit the plan, the cluster's size follows.
//!
//! The memory changes only by events: an epoch was observed ([`decide`]), its plan was published ([`Memory::published`]), the
//! published change ended ([`Memory::change_ended`]). Callers report events and never choose between two memories, so that an
//! unpublished plan cannot be remembered as an action.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::cluster::{self, Size, Thresholds};
use crate::limits::{self, Limits};
use crate::{Action, Decision, LocalTime, Snapshot, ds2, external, latency, quota, slo};

/// A scaling policy. It does no IO and reads no clock: times are arguments, in milliseconds since the Unix epoch.
///
/// Incomplete snapshots never reach a policy.
pub trait Policy: fmt::Debug + Send + Sync {
    /// The name in configuration and records.
    fn name(&self) -> &'static str;

    /// How its plans are completed.
    fn traits(&self) -> Traits;

    /// Remembers what this epoch's snapshot shows.
    fn observe(&self, memory: &mut Memory, snapshot: &Snapshot, now_ms: i64) {
        let _ = (memory, snapshot, now_ms);
    }

    /// Remembers what this epoch's snapshot shows while nothing can be decided, for example because a change is under way.
    fn watch(&self, memory: &mut Memory, snapshot: &Snapshot, now_ms: i64) {
        let _ = (memory, snapshot, now_ms);
    }

    /// Returns the plan for this epoch, or why there is none. `memory` contains the observation of `snapshot` already.
    fn decide(&self, memory: &Memory, snapshot: &Snapshot, now_ms: i64) -> Decision;

    /// Remembers what this epoch's snapshot shows and returns the plan: [`Policy::observe`] and [`Policy::decide`], for policies in which
    /// they share work.
    fn epoch(&self, memory: &mut Memory, snapshot: &Snapshot, now_ms: i64) -> Decision {
        self.observe(memory, snapshot, now_ms);
        self.decide(memory, snapshot, now_ms)
    }

    /// Returns whether the policy waits, after a change or a start, so that nothing else may change the job either. `memory` contains the
    /// observation of `snapshot` already.
    fn is_waiting(&self, memory: &Memory, snapshot: &Snapshot, now_ms: i64) -> bool {
        let _ = (memory, snapshot, now_ms);
        false
    }

    /// Returns the plan as if the policy's trigger had been met and every wait were over.
    fn plan(&self, snapshot: &Snapshot) -> Decision;

    /// Remembers that a plan of this policy, which changes the parallelism of operators, was published.
    fn published(&self, memory: &mut Memory, decision: &Decision, now_ms: i64) {
        let _ = (memory, decision, now_ms);
    }

    /// Remembers how a published change ended.
    fn change_ended(&self, memory: &mut Memory, change: ChangeEnd, now_ms: i64) {
        let _ = (memory, change, now_ms);
    }
}

/// What distinguishes policies outside their own formulas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traits {
    /// Whether it narrows operators, so that task managers may be given up when they are not needed.
    pub may_narrow: bool,
    /// Whether operators that hand records on one to one get the same parallelism.
    pub keeps_forward: bool,
    /// Whether it reports the cluster's load itself.
    pub reports_cluster: bool,
}

/// How a published change ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeEnd {
    /// The job runs as planned.
    Succeeded,
    /// The change was rolled back, refused or failed.
    Failed,
}

/// What holds for a job under every policy.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Constraints {
    /// What bounds its plans.
    pub limits: Limits,
    /// How many task managers there may be.
    pub size: Size,
    /// The slots that a quota leaves it which it shares with other jobs; [`None`]: it shares none.
    pub quota: Option<quota::Bound>,
    /// What the cluster's figures are measured against.
    pub thresholds: Thresholds,
}

/// What is remembered from epoch to epoch. Each policy has its own part, so that another one can take over and hand back.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// The part of policy `latency`.
    pub latency: latency::Memory,
    /// The part of policy `ds2`.
    pub ds2: ds2::Memory,
    /// The part of policy `slo`.
    #[serde(skip_serializing_if = "slo::Memory::is_empty")]
    pub slo: slo::Memory,
    /// The part of policy `external`.
    #[serde(skip_serializing_if = "external::Memory::is_empty")]
    pub external: external::Memory,
    /// Since when fewer task managers would be enough, in milliseconds since the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fewer_since_ms: Option<i64>,
}

impl Memory {
    /// Remembers that this decision's plan was published.
    pub fn published(&mut self, policy: &dyn Policy, decision: &Decision, now: LocalTime) {
        if decision.cluster.task_managers.is_some() {
            self.fewer_since_ms = None;
        }
        if decision.changes_parallelism() {
            policy.published(self, decision, now.bounded_ms());
        }
    }

    /// Remembers how the change that was published last ended.
    pub fn change_ended(&mut self, policy: &dyn Policy, change: ChangeEnd, now: LocalTime) {
        policy.change_ended(self, change, now.bounded_ms());
    }
}

/// One epoch that ends at `now`: remembers what the snapshot shows and returns the decision.
///
/// An incomplete snapshot changes nothing and brings no plan.
pub fn decide(
    policy: &dyn Policy,
    constraints: &Constraints,
    memory: &mut Memory,
    snapshot: &Snapshot,
    now: LocalTime,
) -> Decision {
    if let Some(reason) = crate::incomplete(snapshot) {
        return Decision::nothing(policy.name(), reason);
    }
    let snapshot = &*snapshot.without_impossible_figures();
    let now_ms = now.bounded_ms();
    let mut decision = policy.epoch(memory, snapshot, now_ms);
    let may_change = !policy.is_waiting(memory, snapshot, now_ms);
    if may_change {
        constraints.limits.bring_within(snapshot, &mut decision);
    }
    let slots_wanted = slots_wanted(policy.traits(), constraints, snapshot, &decision);
    if let Some(bound) = constraints.quota.filter(|_| may_change) {
        quota::give_back(&bound, &constraints.limits, snapshot, &mut decision);
    }
    let wait = ScaleInWait { since_ms: &mut memory.fewer_since_ms, now_ms: Some(now_ms) };
    constrain(policy.traits(), constraints, snapshot, &mut decision, wait);
    decision.cluster.slots_wanted = slots_wanted;
    decision.cluster.slots_granted = constraints.quota.map(|bound| bound.slots);
    if let Some(period) = constraints.limits.excluded_period(now) {
        // Other jobs need not give back what cannot be used now.
        decision.cluster.slots_wanted = None;
        if decision.has_change() {
            decision.withdraw(format!("no changes during {period}"));
        }
    }
    decision
}

/// One epoch that ends at `now` and in which nothing can be decided: remembers what a complete snapshot shows.
pub fn watch(policy: &dyn Policy, memory: &mut Memory, snapshot: &Snapshot, now: LocalTime) {
    if crate::incomplete(snapshot).is_none() {
        policy.watch(memory, &snapshot.without_impossible_figures(), now.bounded_ms());
    }
}

/// Returns the plan for this snapshot as if the policy's trigger had been met and every wait were over.
pub fn plan(policy: &dyn Policy, constraints: &Constraints, snapshot: &Snapshot) -> Decision {
    if let Some(reason) = crate::incomplete(snapshot) {
        return Decision::nothing(policy.name(), reason);
    }
    let snapshot = &*snapshot.without_impossible_figures();
    let mut decision = policy.plan(snapshot);
    constraints.limits.bring_within(snapshot, &mut decision);
    let wait = ScaleInWait { since_ms: &mut None, now_ms: None };
    constrain(policy.traits(), constraints, snapshot, &mut decision, wait);
    decision
}

/// The slots that the job would use with this plan if it did not share them, within its own limits; [`None`] if it shares none.
fn slots_wanted(
    traits: Traits,
    constraints: &Constraints,
    snapshot: &Snapshot,
    decision: &Decision,
) -> Option<u32> {
    constraints.quota?;
    // Slots that other jobs have are free when they give them back.
    let size = Size { slots_on_demand: true, ..constraints.size.clone() };
    let mut alone = decision.clone();
    constraints.limits.trim(&size, None, snapshot, &mut alone, traits.keeps_forward);
    Some(limits::slots_needed(snapshot, &alone.parallelism))
}

/// How long fewer task managers have been enough.
struct ScaleInWait<'a> {
    since_ms: &'a mut Option<i64>,
    /// The end of the epoch; [`None`]: every wait is over.
    now_ms: Option<i64>,
}

/// Trims the plan, and completes it with slots and task managers.
fn constrain(
    traits: Traits,
    constraints: &Constraints,
    snapshot: &Snapshot,
    decision: &mut Decision,
    wait: ScaleInWait<'_>,
) {
    let had_plan = decision.action == Action::Rescale || decision.has_change();
    if had_plan {
        let quota = constraints.quota.as_ref();
        constraints.limits.trim(&constraints.size, quota, snapshot, decision, traits.keeps_forward);
    }
    decision.reasons.extend(constraints.limits.unknown_names(snapshot));
    size_cluster(traits, constraints, snapshot, decision, wait);
    if decision.has_change() {
        decision.action = Action::Rescale;
    } else if had_plan {
        decision.action = Action::None;
        decision.reasons.insert(0, "the limits exclude the whole plan".to_owned());
    }
}

/// Fills in slots and the wanted number of task managers.
fn size_cluster(
    traits: Traits,
    constraints: &Constraints,
    snapshot: &Snapshot,
    decision: &mut Decision,
    wait: ScaleInWait<'_>,
) {
    if !traits.reports_cluster {
        decision.cluster = cluster::report(&constraints.thresholds, snapshot);
    }
    let needed = limits::slots_needed(snapshot, &decision.parallelism);
    decision.cluster.slots_needed = (!snapshot.operators.is_empty()).then_some(needed);
    decision.cluster.slots_present = snapshot.slots_present();
    decision.cluster.slots_available = limits::available(snapshot);
    let present = u32::try_from(snapshot.task_managers.len()).unwrap_or(u32::MAX);
    let wanted = wanted(constraints, snapshot, decision, traits.may_narrow);
    if traits.may_narrow
        && let Some(wanted) = wanted
    {
        decision.cluster.scale_in = Some(wanted < present);
    }
    *wait.since_ms = match wanted {
        Some(wanted) if wanted < present => wait.since_ms.or(wait.now_ms),
        _ => None,
    };
    match wanted {
        Some(wanted) if wanted > present => {
            decision.cluster.task_managers = Some(wanted);
            decision.reasons.push(format!("{wanted} task managers instead of {present}"));
        }
        Some(wanted) if wanted < present => {
            let delay_ms =
                i64::try_from(constraints.size.scale_in_delay_s).unwrap_or(i64::MAX).saturating_mul(1000);
            let waited_ms =
                wait.now_ms.zip(*wait.since_ms).map_or(i64::MAX, |(now, since)| now.saturating_sub(since));
            if waited_ms >= delay_ms {
                decision.cluster.task_managers = Some(wanted);
                decision.reasons.push(format!("{wanted} task managers are enough instead of {present}"));
            } else {
                decision
                    .reasons
                    .push(format!("{wanted} of {present} task managers are enough, removed if that lasts"));
            }
        }
        _ => {}
    }
}

/// How many task managers the plan wants; [`None`] if that is not ours to say, or not known.
fn wanted(
    constraints: &Constraints,
    snapshot: &Snapshot,
    decision: &Decision,
    may_narrow: bool,
) -> Option<u32> {
    let max = constraints.size.task_managers_max?;
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
    } else if may_narrow {
        cluster::fewest(&decision.cluster, present).unwrap_or(present)
    } else {
        present
    };
    let least = constraints.size.task_managers_min.unwrap_or(1).max(1);
    let wanted = for_slots.max(for_load).max(least.min(max)).min(max);
    // A maximum below what is there is no order to stop any: that is only done for want of work.
    Some(if wanted < present && for_slots.max(for_load) >= present { present } else { wanted })
}
