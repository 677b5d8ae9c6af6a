//! Scores of a run: violations, cost, and changes.

use serde::{Deserialize, Serialize};

use crate::change::{Change, seconds};
use crate::run::Run;
use crate::scenario::{LoadStep, Trial};

/// A change in the other direction within this time is a reversal, in seconds.
const REVERSAL_S: usize = 600;
/// A reversal is self-inflicted if the logarithm of the load changed by less than this.
const LOAD_MOVED: f64 = 0.2;
/// Averaging time of the load before a change, in seconds.
const LOAD_OVER_S: usize = 30;
/// Delay after a step before its level is measured, in seconds.
const LEVEL_AFTER_S: usize = 60;

/// The score of one run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Seconds in which a record was older than the latency bound.
    pub violation_s: u32,
    /// Slots held over time, in slot-hours.
    pub slot_h: f64,
    /// Number of changes, including failed ones.
    pub changes: u32,
    /// Reversals of direction within 600 s.
    pub reversals: u32,
    /// Reversals without a significant change of the load.
    pub self_made: u32,
    /// Seconds from the step of the load until the parallelism permanently sustains it; absent: no step, or never.
    pub carried_after_s: Option<f64>,
    /// Seconds from the step until the last violation before the next step.
    pub late_until_s: Option<f64>,
    /// Highest number of slots after the step, relative to the minimum that sustains the load.
    pub widest_over_needed: Option<f64>,
}

impl Score {
    /// Computes the score of a run.
    pub fn new(trial: &Trial, run: &Run) -> Self {
        let bound_s = trial.conditions.latency_bound_s;
        let violation_s = run.latency_s.iter().filter(|latency_s| **latency_s > bound_s).count();
        let slot_s: u64 = run.slots.iter().map(|slots| u64::from(*slots)).sum();
        let (reversals, self_made) = reversals(trial, run);
        let step = trial.step.map(|step| Plateau::new(trial, run, step));
        #[expect(clippy::cast_precision_loss, reason = "slot seconds of a run")]
        let slot_h = slot_s as f64 / 3600.0;
        Self {
            violation_s: u32::try_from(violation_s).unwrap_or(u32::MAX),
            slot_h,
            changes: u32::try_from(run.changes.len()).unwrap_or(u32::MAX),
            reversals,
            self_made,
            carried_after_s: step.as_ref().and_then(Plateau::carried_after_s),
            late_until_s: step.as_ref().map(Plateau::late_until_s),
            widest_over_needed: step.as_ref().map(Plateau::widest_over_needed),
        }
    }
}

/// Counts reversals of direction, and those without a reason in the load.
fn reversals(trial: &Trial, run: &Run) -> (u32, u32) {
    let sum = |parallelism: &[u32]| i64::from(parallelism.iter().sum::<u32>());
    let direction = |change: &Change| sum(&change.after) - sum(&change.before);
    let moves: Vec<&Change> = run.changes.iter().filter(|change| direction(change) != 0).collect();
    let load = |change: &Change| {
        let until_s = change.completed_s;
        trial.load.mean_per_s(until_s.saturating_sub(LOAD_OVER_S), until_s).iter().sum::<f64>().max(1.0)
    };
    let (mut reversals, mut self_made) = (0, 0);
    for pair in moves.windows(2) {
        let turned = direction(pair[0]).signum() != direction(pair[1]).signum();
        if turned && pair[1].completed_s - pair[0].completed_s <= REVERSAL_S {
            reversals += 1;
            let moved = libm::log(load(pair[1]) / load(pair[0]));
            self_made += u32::from(moved.abs() < LOAD_MOVED);
        }
    }
    (reversals, self_made)
}

/// The time between one step of the load and the next.
struct Plateau<'a> {
    trial: &'a Trial,
    run: &'a Run,
    step: LoadStep,
    rates_per_s: Vec<f64>,
}

impl<'a> Plateau<'a> {
    fn new(trial: &'a Trial, run: &'a Run, step: LoadStep) -> Self {
        let (from_s, until_s) = (step.from_s as usize, (step.until_s as usize).min(run.slots.len()));
        let rates_per_s = trial.load.mean_per_s(from_s + LEVEL_AFTER_S, until_s);
        Self { trial, run, step, rates_per_s }
    }

    fn seconds(&self) -> std::ops::Range<usize> {
        let until_s = (self.step.until_s as usize).min(self.run.slots.len());
        (self.step.from_s as usize).min(until_s)..until_s
    }

    /// Returns when the parallelism that sustains the load to the end of the plateau was reached, in seconds since
    /// its beginning.
    fn carried_after_s(&self) -> Option<f64> {
        let seconds_of_it = self.seconds();
        let demand = self.trial.job.demand(&self.rates_per_s);
        let carries = |parallelism: &[u32]| {
            let each = parallelism.iter().enumerate();
            each.map(|(index, p)| self.trial.job.width(index, *p).capacity_per_s)
                .zip(&demand)
                .all(|(c, d)| c >= *d)
        };
        let mut since_s = carries(&self.run.start).then_some(0);
        for change in self.run.changes.iter().filter(|change| change.completed_s < seconds_of_it.end) {
            since_s = if carries(&change.after) { since_s.or(Some(change.completed_s)) } else { None };
        }
        since_s.map(|since_s| seconds(since_s.saturating_sub(seconds_of_it.start)))
    }

    fn late_until_s(&self) -> f64 {
        let bound_s = self.trial.conditions.latency_bound_s;
        let range = self.seconds();
        let last = range.clone().rev().find(|second| self.run.latency_s[*second] > bound_s);
        last.map_or(0.0, |second| seconds(second + 1 - range.start))
    }

    fn widest_over_needed(&self) -> f64 {
        let needed = self.trial.job.slots(&self.trial.job.least(&self.rates_per_s, 1.0)).max(1);
        let widest = self.run.slots[self.seconds()].iter().copied().max().unwrap_or(0);
        f64::from(widest) / f64::from(needed)
    }
}
