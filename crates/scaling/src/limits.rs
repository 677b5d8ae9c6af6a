//! Limits of every policy's plan: excluded operators, bounds of parallelism, times, slots.
//!
//! Limits are applied after the policy. They remove or reduce parts of a plan, and report it in the decision. They plan one change
//! themselves: an operator that runs outside its bounds is brought within them as soon as a change is allowed.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::cluster::Size;
use crate::decision::ADD_TASK_MANAGERS;
use crate::quota;
use crate::{Decision, Kind, LocalTime, Operator, Partitioning, Period, Rejected, Snapshot};

/// How many operators are listed where a name is not one of them.
const NAMES_SHOWN: usize = 12;

/// The limits of one job.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Operators that keep their parallelism, by name or vertex id.
    pub exclude: Vec<String>,
    /// Times of the week in which nothing is changed.
    pub excluded_periods: Vec<Period>,
    /// The job may need at most so many slots.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quota_slots: Option<u32>,
    /// No operator gets more subtasks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<u32>,
    /// Bounds by operator, by name or vertex id.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub operators: BTreeMap<String, Bounds>,
}

/// Bounds of one operator's parallelism.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Bounds {
    /// A plan gives it at least so much.
    pub min: u32,
    /// A plan gives it at most so much.
    pub max: u32,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { min: 1, max: 32_768 }
    }
}

impl Limits {
    /// Every limit that makes no sense, as `key: what would be right`.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.quota_slots == Some(0) {
            problems.push("quota_slots: give a number from 1 on, or leave it out".to_owned());
        }
        if self.max == Some(0) {
            problems.push("max: give a number from 1 on, or leave it out".to_owned());
        }
        for (name, bounds) in &self.operators {
            if self.max.is_some_and(|max| bounds.min > max) {
                problems.push(format!("operators.{name}: min must not be above limits.max"));
            }
            if bounds.min == 0 || bounds.max < bounds.min {
                problems.push(format!("operators.{name}: min must be at least 1, and max not below min"));
            }
        }
        problems
    }

    /// The excluded period that the moment lies in.
    pub fn excluded_period(&self, local_time: LocalTime) -> Option<&Period> {
        self.excluded_periods.iter().find(|period| period.contains(local_time))
    }

    /// Brings operators that run outside their bounds within them, whatever the policy plans for them.
    pub(crate) fn bring_within(&self, snapshot: &Snapshot, decision: &mut Decision) {
        for operator in &snapshot.operators {
            let Some(bounds) = self.bounds_of(operator).filter(|_| !self.excludes(operator)) else {
                continue;
            };
            let today = operator.parallelism;
            let wanted = decision.parallelism.get(&operator.name).copied().unwrap_or(today);
            let within = wanted.clamp(bounds.min, bounds.max).min(most(snapshot, operator));
            if (bounds.min..=bounds.max).contains(&today) || within == today {
                continue;
            }
            decision.parallelism.insert(operator.name.clone(), within);
            decision.reasons.push(format!(
                "bound: {} has parallelism {today}, outside {}..={}, so it gets {within}",
                operator.name, bounds.min, bounds.max
            ));
        }
    }

    /// Trims a plan to bounds, exclusions and slots, of which `quota` is this job's part of a shared quota. `keeps_forward`: operators
    /// behind a forward edge follow each other.
    pub(crate) fn trim(
        &self,
        size: &Size,
        quota: Option<&quota::Bound>,
        snapshot: &Snapshot,
        decision: &mut Decision,
        keeps_forward: bool,
    ) {
        self.bound(snapshot, decision);
        if keeps_forward {
            self.equalise(snapshot, decision);
        }
        self.fit_slots(size, quota, snapshot, decision);
        let unchanged =
            |name: &String, new: &u32| snapshot.operator(name).is_some_and(|o| o.parallelism == *new);
        decision.parallelism.retain(|name, new| !unchanged(name, new));
        for operator in &mut decision.operators {
            let trimmed = decision.parallelism.get(&operator.name).copied();
            operator.new_parallelism = trimmed.or(operator.new_parallelism.map(|_| operator.parallelism));
        }
        if decision.parallelism.is_empty() {
            decision.default_parallelism = None;
        }
    }

    /// A sentence for each name in the limits that no operator of the job has.
    pub(crate) fn unknown_names(&self, snapshot: &Snapshot) -> Vec<String> {
        let is_known = |name: &String| {
            let mut operators = snapshot.operators.iter();
            operators.any(|operator| operator.name == *name || operator.vertex_id.as_ref() == Some(name))
        };
        let named = self.exclude.iter().map(|name| ("limits.exclude", name));
        let bounded = self.operators.keys().map(|name| ("limits.operators", name));
        let unknown = named.chain(bounded).filter(|(_, name)| !is_known(name));
        unknown
            .map(|(key, name)| {
                let names: Vec<&str> =
                    snapshot.operators.iter().map(|o| o.name.as_str()).take(NAMES_SHOWN).collect();
                let more = if snapshot.operators.len() > NAMES_SHOWN { ", …" } else { "" };
                format!("{key}: the job has no operator {name:?}; it has {}{more}", names.join(", "))
            })
            .collect()
    }

    pub(crate) fn bounds_of(&self, operator: &Operator) -> Option<Bounds> {
        let by_id = operator.vertex_id.as_ref().and_then(|id| self.operators.get(id));
        let own = self.operators.get(&operator.name).or(by_id).copied();
        let Some(max) = self.max else { return own };
        let own = own.unwrap_or_default();
        Some(Bounds { max: own.max.min(max), ..own })
    }

    pub(crate) fn excludes(&self, operator: &Operator) -> bool {
        self.exclude.iter().any(|name| *name == operator.name || Some(name) == operator.vertex_id.as_ref())
    }

    fn bound(&self, snapshot: &Snapshot, decision: &mut Decision) {
        let planned = std::mem::take(&mut decision.parallelism);
        for (name, wanted) in planned {
            let Some(operator) = snapshot.operator(&name) else { continue };
            if self.excludes(operator) {
                reject(decision, &name, wanted, "the operator is excluded");
                continue;
            }
            let bounds = self.bounds_of(operator).unwrap_or_default();
            let within = wanted.clamp(bounds.min, bounds.max).min(most(snapshot, operator));
            // What the job cannot have trims a step, it does not turn it round.
            let today = operator.parallelism.clamp(bounds.min, bounds.max);
            let new = if wanted > today { within.max(today) } else { within.min(today) };
            if new != wanted {
                let because = format!("its parallelism is bounded to {}..={}", bounds.min, bounds.max);
                reject(decision, &name, wanted, &because);
            }
            decision.parallelism.insert(name, new);
        }
    }

    /// Operators that hand records on one to one have the same parallelism: the largest that any of them is to have, within the
    /// bounds of all of them. An operator that must stay holds its whole group.
    fn equalise(&self, snapshot: &Snapshot, decision: &mut Decision) {
        for group in forward_groups(&snapshot.operators) {
            if !group.iter().any(|operator| decision.parallelism.contains_key(&operator.name)) {
                continue;
            }
            let wanted = |operator: &&Operator| {
                decision.parallelism.get(&operator.name).copied().unwrap_or(operator.parallelism)
            };
            let widest = group.iter().map(wanted).max().unwrap_or(1);
            let (common, because) = self.common(snapshot, &group, widest);
            for operator in &group {
                let asked = decision.parallelism.remove(&operator.name);
                if let Some(because) = &because
                    && let Some(asked) = asked.filter(|asked| Some(*asked) != common)
                {
                    reject(decision, &operator.name, asked, because);
                }
                if let Some(common) = common {
                    decision.parallelism.insert(operator.name.clone(), common);
                }
            }
        }
    }

    /// The parallelism that a group of operators can have together, as near to `widest` as the bounds of each allow, and why it is not
    /// that; [`None`] if the group stays as it is.
    fn common(&self, snapshot: &Snapshot, group: &[&Operator], widest: u32) -> (Option<u32>, Option<String>) {
        if let Some(held) = group.iter().find(|operator| self.excludes(operator)) {
            return (
                None,
                Some(format!(
                    "{} has a forward (one-to-one) connection and keeps its parallelism",
                    held.name
                )),
            );
        }
        let most_of = |operator: &Operator| {
            let bound = self.bounds_of(operator).unwrap_or_default().max;
            most(snapshot, operator).min(bound)
        };
        let tightest = group.iter().min_by_key(|operator| most_of(operator));
        let Some(tightest) = tightest.filter(|operator| most_of(operator) < widest) else {
            return (Some(widest), None);
        };
        let cap = most_of(tightest);
        let because =
            format!("{} has a forward (one-to-one) connection and is bounded to {cap}", tightest.name);
        let is_a_change = group.iter().any(|operator| operator.parallelism != cap);
        (is_a_change.then_some(cap), Some(because))
    }

    /// How many slots the job may need at most, and why; [`None`]: no bound is known.
    fn slots(
        &self,
        size: &Size,
        shared: Option<&quota::Bound>,
        snapshot: &Snapshot,
    ) -> Option<(u32, String)> {
        let present = available(snapshot).filter(|_| !size.slots_on_demand);
        let grown = present.map(|present| {
            let room = size.task_managers_max.map_or(0, |max| {
                let more = max.saturating_sub(count(snapshot.task_managers.len()));
                more.saturating_mul(snapshot.slots_per_task_manager().unwrap_or(0))
            });
            let slots = present.saturating_add(room);
            (slots, format!("only {slots} slots; {ADD_TASK_MANAGERS}"))
        });
        let quota = self.quota_slots.map(|quota| (quota, format!("the quota is {quota} slots")));
        let shared = shared.map(|bound| (bound.slots, bound.because()));
        [grown, quota, shared].into_iter().flatten().min_by_key(|(slots, _)| *slots)
    }

    /// Caps the operators of each slot sharing group, so that the job fits. With several groups each may grow by an equal
    /// part of what is free today: how much one group gets does not depend on how much another one wants.
    fn fit_slots(
        &self,
        size: &Size,
        quota: Option<&quota::Bound>,
        snapshot: &Snapshot,
        decision: &mut Decision,
    ) {
        let Some((bound, because)) = self.slots(size, quota, snapshot) else { return };
        let today = groups(snapshot, &BTreeMap::new());
        let taken = today.values().copied().fold(0, u32::saturating_add);
        let free = bound.saturating_sub(taken) / count(today.len()).max(1);
        let cap = |operator: &Operator| match today.len() {
            1 => bound.max(1),
            _ => today.get(group_of(operator)).copied().unwrap_or(0).saturating_add(free).max(1),
        };
        let mut trimmed = Vec::new();
        for (name, new) in &mut decision.parallelism {
            let Some(operator) = snapshot.operator(name) else { continue };
            // What is wider than the bound already is not made narrower by it: that is the policy's business.
            let cap = cap(operator).max(operator.parallelism);
            if *new > cap {
                trimmed.push((name.clone(), *new));
                *new = cap;
            }
        }
        for (name, wanted) in trimmed {
            reject(decision, &name, wanted, &because);
        }
    }
}

fn reject(decision: &mut Decision, name: &str, parallelism: u32, because: &str) {
    decision.rejected.push(Rejected { operator: name.to_owned(), parallelism, because: because.to_owned() });
    let current = decision.operators.iter_mut().find(|operator| operator.name == name);
    if let Some(report) = current {
        report.because = format!("{}; not {parallelism}: {because}", report.because);
    }
    decision.reasons.push(format!("{name} does not get {parallelism}: {because}"));
}

fn most(snapshot: &Snapshot, operator: &Operator) -> u32 {
    if operator.kind == Kind::AllWindow {
        return 1;
    }
    let partitions = operator.source_partitions.filter(|_| operator.kind == Kind::Source);
    let own = operator.max_parallelism.unwrap_or(u32::MAX).min(partitions.unwrap_or(u32::MAX));
    snapshot.job.max_parallelism.min(own).max(1)
}

pub(crate) fn group_of(operator: &Operator) -> &str {
    operator.slot_sharing_group.as_deref().unwrap_or_default()
}

fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// The widest operator of each slot sharing group, with `plan` applied: the slots that the group needs.
pub(crate) fn groups<'a>(snapshot: &'a Snapshot, plan: &BTreeMap<String, u32>) -> BTreeMap<&'a str, u32> {
    let mut groups = BTreeMap::new();
    for operator in &snapshot.operators {
        let width = plan.get(&operator.name).copied().unwrap_or(operator.parallelism);
        let widest = groups.entry(group_of(operator)).or_insert(0);
        *widest = width.max(*widest);
    }
    groups
}

/// The slots that the job needs with this plan: of each slot sharing group as many as its widest operator has subtasks.
pub fn slots_needed(snapshot: &Snapshot, plan: &BTreeMap<String, u32>) -> u32 {
    groups(snapshot, plan).values().copied().fold(0, u32::saturating_add)
}

/// The slots that this job can have without another task manager: its own and the free ones.
pub fn available(snapshot: &Snapshot) -> Option<u32> {
    let present = snapshot.slots_present()?;
    let own = slots_needed(snapshot, &BTreeMap::new());
    Some(snapshot.slots_free().map_or(present, |free| free.saturating_add(own).min(present)))
}

/// The sets of operators that hand records on one to one, of two operators or more.
fn forward_groups(operators: &[Operator]) -> Vec<Vec<&Operator>> {
    let edges = operators.iter().flat_map(|operator| {
        let forward = operator.edges.iter().filter(|edge| edge.partitioning == Partitioning::Forward);
        forward.map(|edge| (edge.from.as_str(), operator.name.as_str()))
    });
    let mut sets: Vec<BTreeSet<&str>> = Vec::new();
    for (from, to) in edges {
        let (touched, mut rest): (Vec<_>, Vec<_>) =
            sets.into_iter().partition(|set| set.contains(from) || set.contains(to));
        let mut merged: BTreeSet<&str> = touched.into_iter().flatten().collect();
        merged.extend([from, to]);
        rest.push(merged);
        sets = rest;
    }
    let named = |set: BTreeSet<&str>| {
        operators.iter().filter(|operator| set.contains(operator.name.as_str())).collect()
    };
    sets.into_iter().map(named).collect()
}
