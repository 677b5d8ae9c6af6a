//! The policy of a recorded run decides in the model: are its changes those that it made live?

use std::collections::BTreeMap;

use anyhow::Context;
use policies::DecisionSections;
use serde::Serialize;
use sim::contender::{Contender, OwnPolicyOptions};
use sim::scenario::{Scenario, Trial};

use super::playback::observed;
use super::recording::Recording;
use super::trial::trial;
use crate::changes::ParallelismChange;

/// A change may be requested this many epochs earlier or later.
const EPOCHS: f64 = 2.0;
/// A parallelism may differ by one subtask, or this part of it where that is more.
const PART: f64 = 0.1;

/// The changes of a policy, live and in the model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct PolicyChanges {
    /// The policy.
    pub(crate) policy: String,
    /// Length of an epoch, in seconds.
    pub(crate) epoch_s: f64,
    /// The recorded changes.
    pub(crate) recorded: Vec<RequestedChange>,
    /// Those of the model with the first seed.
    pub(crate) simulated: Vec<RequestedChange>,
    /// Number of seeds with which all changes agree.
    pub(crate) seeds_in_agreement: usize,
    /// Number of seeds.
    pub(crate) seeds: usize,
}

/// A requested change.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct RequestedChange {
    /// Time of the request, in seconds since the load began.
    pub(crate) at_s: f64,
    /// Parallelism before and after, by changed operator.
    pub(crate) widths: BTreeMap<String, (u32, u32)>,
}

impl PolicyChanges {
    /// Whether most seeds agree.
    pub(crate) fn agree(&self) -> bool {
        2 * self.seeds_in_agreement > self.seeds
    }
}

/// Runs the recorded policy in the model of its run with these seeds; [`None`] if no built-in policy scaled the job.
///
/// # Errors
/// Its configuration cannot be read, or the run cannot be simulated.
pub(crate) fn decide(
    scenario: &Scenario,
    recording: &Recording,
    seeds: &[u64],
) -> anyhow::Result<Option<PolicyChanges>> {
    let Some(path) = recording.rescaler() else { return Ok(None) };
    let sections = DecisionSections::load(&path).with_context(|| format!("cannot use {}", path.display()))?;
    let Some((contender, options)) = sections.simulated() else { return Ok(None) };
    let epoch_s = f64::from(options.epoch.length_s);
    let recorded: Vec<RequestedChange> = recording.changes.iter().filter_map(RequestedChange::of).collect();
    let mut all = Vec::new();
    for seed in seeds {
        all.push(simulated(&trial(scenario, recording, *seed)?, contender, &options));
    }
    let seeds_in_agreement = all.iter().filter(|simulated| agree(&recorded, simulated, epoch_s)).count();
    Ok(Some(PolicyChanges {
        policy: contender.to_string(),
        epoch_s,
        recorded,
        simulated: all.first().cloned().unwrap_or_default(),
        seeds_in_agreement,
        seeds: seeds.len(),
    }))
}

fn simulated(trial: &Trial, contender: Contender, options: &OwnPolicyOptions) -> Vec<RequestedChange> {
    let run = sim::run(trial, contender.controller(trial, options).as_mut());
    run.changes.iter().map(observed).filter_map(|change| RequestedChange::of(&change)).collect()
}

impl RequestedChange {
    /// Returns the change of parallelism; [`None`] for a restart without one.
    fn of(change: &ParallelismChange) -> Option<Self> {
        let is_change = !change.widths.is_empty() && change.ended_s > 0.0;
        is_change.then(|| Self { at_s: change.began_s, widths: change.widths.clone() })
    }

    fn direction(&self) -> i64 {
        let grown = |(before, after): &(u32, u32)| i64::from(*after) - i64::from(*before);
        self.widths.values().map(grown).sum::<i64>().signum()
    }

    fn is_like(&self, other: &Self, epoch_s: f64) -> bool {
        let is_in_time = (self.at_s - other.at_s).abs() <= EPOCHS * epoch_s;
        let is_as_wide = |(name, (_, after)): (&String, &(u32, u32))| {
            let allowed = (f64::from(*after) * PART).max(1.0);
            let found = other.widths.get(name).map(|(_, after)| f64::from(*after));
            found.is_some_and(|found| (found - f64::from(*after)).abs() <= allowed)
        };
        self.direction() == other.direction() && is_in_time && self.widths.iter().all(is_as_wide)
    }
}

fn agree(recorded: &[RequestedChange], simulated: &[RequestedChange], epoch_s: f64) -> bool {
    recorded.len() == simulated.len()
        && recorded.iter().zip(simulated).all(|(one, other)| one.is_like(other, epoch_s))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(at_s: f64, before: u32, after: u32) -> RequestedChange {
        RequestedChange { at_s, widths: BTreeMap::from([("a".to_owned(), (before, after))]) }
    }

    /// Goal: a change agrees in direction, time and parallelism; a surplus or missing one does not.
    #[test]
    fn changes_agree_within_bounds() {
        let one = [change(60.0, 1, 3)];
        assert!(agree(&one, &[change(64.0, 1, 4)], 2.0));
        assert!(!agree(&one, &[change(64.1, 1, 3)], 2.0), "too late");
        assert!(!agree(&one, &[change(60.0, 1, 5)], 2.0), "too wide");
        assert!(!agree(&[change(60.0, 3, 4)], &[change(60.0, 4, 3)], 2.0), "another direction");
        assert!(!agree(&one, &[], 2.0) && !agree(&one, &[one[0].clone(), one[0].clone()], 2.0));
        assert!(agree(&[change(60.0, 8, 20)], &[change(60.0, 8, 22)], 2.0));
        assert!(!agree(&[change(60.0, 8, 20)], &[change(60.0, 8, 23)], 2.0));
    }
}
