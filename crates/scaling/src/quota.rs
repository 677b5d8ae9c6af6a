//! Divides one quota of slots among several jobs.
//!
//! Each job has a share: its guaranteed slots, or an equal part of the slots without guarantee. With `held`, the slots that it has or will
//! have after the change in progress, and `wanted`, the slots that its policy would use without a quota:
//!
//! ```text
//! keep = max(held, min(wanted, share))        Σ keep > quota: jobs above their share give back, the furthest above first
//! grant = keep, plus free slots               free slots go to unmet demand, the job with the fewest slots first
//! ```
//!
//! So a job gets its share on demand, and gives slots back only while it is above its share and another job is below its own. Jobs above
//! their shares do not take slots from each other. The grants are stable: after they are carried out, the same demand yields the same
//! grants. While a job decides, the others keep their slots ([`bound`]), so slots are given back before they are used again.

use std::collections::BTreeMap;

use crate::limits::{self, Limits};
use crate::{Decision, Snapshot};

/// Use and demand of one job, in slots.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Claim {
    /// Slots that it has, or will have when its change in progress succeeds, if that is more.
    pub held: u32,
    /// Slots that its policy would use without a quota.
    pub wanted: u32,
    /// Guaranteed slots; [`None`]: an equal part.
    pub min: Option<u32>,
    /// Maximum number of slots.
    pub max: Option<u32>,
}

/// The slots available to one job under a shared quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// Slots available now.
    pub slots: u32,
    /// Further slots, available once other jobs have given them back.
    pub later: u32,
    /// Its share.
    pub share: u32,
    /// The quota of all jobs.
    pub quota: u32,
}

impl Bound {
    /// Returns why a plan is limited.
    pub(crate) fn because(&self) -> String {
        let Self { slots, later, share, quota } = self;
        let later = match later {
            0 => String::new(),
            later => format!(", and {later} more when other jobs have given them back"),
        };
        format!("the quota of {quota} slots leaves the job {slots}{later}; its share is {share}")
    }
}

/// Returns the share of each job: at least one slot. Guarantees that leave less than that to others are reduced in proportion.
pub fn shares(quota: u32, claims: &[Claim]) -> Vec<u32> {
    let count = |jobs: usize| u32::try_from(jobs).unwrap_or(u32::MAX);
    // Beyond the first slot of each.
    let spare = u64::from(quota.saturating_sub(count(claims.len())));
    let beyond = |min: u32| u64::from(min.saturating_sub(1));
    let guaranteed: u64 = claims.iter().filter_map(|claim| claim.min).map(beyond).sum();
    let others = u64::from(count(claims.iter().filter(|claim| claim.min.is_none()).count()));
    let share = |claim: &Claim| {
        let own = match claim.min {
            Some(min) if guaranteed > spare => beyond(min) * spare / guaranteed,
            Some(min) => beyond(min),
            None => spare.saturating_sub(guaranteed) / others.max(1),
        };
        u32::try_from(own).unwrap_or(quota).saturating_add(1).min(claim.max.unwrap_or(u32::MAX))
    };
    claims.iter().map(share).collect()
}

/// Returns the slots that each job may have when all changes have been carried out. Every job may have one slot, even if there are
/// more jobs than slots.
pub fn grants(quota: u32, claims: &[Claim]) -> Vec<u32> {
    let shares = shares(quota, claims);
    let most = |claim: &Claim| claim.max.unwrap_or(u32::MAX).max(1);
    let keep: Vec<u32> = claims
        .iter()
        .zip(&shares)
        .map(|(claim, share)| claim.held.max(claim.wanted.min(*share)).max(1).min(most(claim)))
        .collect();
    if total(&keep) > u64::from(quota) {
        let least: Vec<u32> =
            keep.iter().zip(&shares).map(|(keep, share)| (*share).max(1).min(*keep)).collect();
        let above = |level: u32, index: usize| least[index] + (keep[index] - least[index]).min(level);
        return levelled(quota, claims.len(), above);
    }
    let wanted: Vec<u32> =
        claims.iter().zip(&keep).map(|(claim, keep)| claim.wanted.min(most(claim)).max(*keep)).collect();
    levelled(quota, claims.len(), |level, index| keep[index].max(level).min(wanted[index]))
}

/// Returns the slots that the job at this index may have now.
pub fn bound(quota: u32, claims: &[Claim], index: usize) -> Bound {
    let mut claims = claims.to_vec();
    let Some(own) = claims.get_mut(index) else {
        return Bound { slots: quota, later: 0, share: quota, quota };
    };
    own.wanted = u32::MAX;
    let held = own.held;
    let granted = grants(quota, &claims)[index];
    let of_others = total(&claims.iter().map(|claim| claim.held).collect::<Vec<_>>()) - u64::from(held);
    let free = u32::try_from(u64::from(quota).saturating_sub(of_others)).unwrap_or(0);
    let slots = granted.min(free.max(held)).max(1);
    Bound { slots, later: granted.saturating_sub(slots), share: shares(quota, &claims)[index], quota }
}

fn total(slots: &[u32]) -> u64 {
    slots.iter().copied().map(u64::from).sum()
}

/// Returns `of(level, index)` of every index at the highest level at which all fit into the quota, and what is left over then at one
/// level more, for the first ones. `of` grows with the level, by at most one a level.
fn levelled(quota: u32, count: usize, of: impl Fn(u32, usize) -> u32) -> Vec<u32> {
    let at = |level: u32| (0..count).map(|index| of(level, index)).collect::<Vec<u32>>();
    let fits = |level: u32| total(&at(level)) <= u64::from(quota);
    let (mut low, mut high) = (0, u32::MAX);
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        if fits(middle) { low = middle } else { high = middle - 1 }
    }
    let mut slots = at(low);
    let mut left = u64::from(quota).saturating_sub(total(&slots));
    for (index, own) in slots.iter_mut().enumerate() {
        let next = of(low.saturating_add(1), index);
        if next > *own && left > 0 {
            left -= 1;
            *own = next;
        }
    }
    slots
}

/// Narrows a job that has more slots than it is left, unless the plan does so already. The widest slot sharing groups become narrower;
/// operators that are excluded or have a minimum keep it.
pub(crate) fn give_back(bound: &Bound, limits: &Limits, snapshot: &Snapshot, decision: &mut Decision) {
    let today = limits::slots_needed(snapshot, &BTreeMap::new());
    let groups = limits::groups(snapshot, &decision.parallelism);
    let widths: Vec<u32> = groups.values().copied().collect();
    if today <= bound.slots || total(&widths) <= u64::from(bound.slots) {
        return;
    }
    let caps = levelled(bound.slots, widths.len(), |level, index| widths[index].min(level).max(1));
    let caps: BTreeMap<&str, u32> = groups.keys().copied().zip(caps).collect();
    for operator in &snapshot.operators {
        let least = limits.bounds_of(operator).unwrap_or_default().min;
        let cap = caps.get(limits::group_of(operator)).copied().unwrap_or(1).max(least);
        let planned = decision.parallelism.get(&operator.name).copied().unwrap_or(operator.parallelism);
        if planned > cap && !limits.excludes(operator) {
            decision.parallelism.insert(operator.name.clone(), cap);
        }
    }
    decision.reasons.insert(0, format!("the job has {today} slots, but {}", bound.because()));
}
