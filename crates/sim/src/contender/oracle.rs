//! Contenders that know the load: they bound what a policy can reach.

use super::Controller;
use crate::change::seconds;
use crate::load::Load;
use crate::scenario::Trial;
use crate::view::View;

/// Never changes: the parallelism that carries the highest mean of 30 s with 10 % to spare.
#[derive(Debug, Clone)]
pub(super) struct Static {
    parallelism: Vec<u32>,
}

impl Static {
    pub(super) fn new(trial: &Trial) -> Self {
        let load = &trial.load;
        let last_s = load.duration_s().saturating_sub(30).max(1);
        let mut peaks = vec![0.0_f64; load.rates_per_s.len()];
        for from_s in (0..last_s).step_by(15) {
            for (peak, mean) in peaks.iter_mut().zip(load.mean_per_s(from_s, from_s + 30)) {
                *peak = peak.max(mean);
            }
        }
        Self { parallelism: trial.job.least(&peaks, 1.1) }
    }
}

impl Controller for Static {
    fn period_s(&self) -> u32 {
        3600
    }

    fn start(&self) -> Option<Vec<u32>> {
        Some(self.parallelism.clone())
    }

    fn tick(&mut self, _: &View<'_>) -> Option<Vec<u32>> {
        None
    }
}

/// Length of a block, in seconds: the need of a block is constant.
const BLOCK_S: usize = 60;
/// What a change costs, in seconds of the slots that it makes.
const CHANGE_S: f64 = 300.0;
/// Each block is carried with this much to spare.
const HEADROOM: f64 = 1.06;
/// The load of a block is its highest mean over this time, in seconds.
const MEAN_S: usize = 5;
/// The longest time without a change, in blocks.
const SEGMENT_MAX: usize = 240;

/// Knows the load: the changes with the least sum of slot-seconds and of a price for each change, found by dynamic programming. It
/// ignores that an outage may be longer than the bound, so it bounds slots, not violations.
#[derive(Debug, Clone)]
pub(super) struct Oracle {
    /// When to ask for what, in the order of time.
    changes: Vec<(usize, Vec<u32>)>,
}

impl Oracle {
    pub(super) fn new(trial: &Trial) -> Self {
        let blocks = trial.duration_s().div_ceil(BLOCK_S);
        let need: Vec<Vec<u32>> =
            (0..blocks).map(|block| trial.job.least(&highest(&trial.load, block), HEADROOM)).collect();
        let conditions = &trial.conditions;
        let lead_s = f64::from(conditions.slots.task_manager_start_s)
            + conditions.change.wait_s.1
            + conditions.change.outage_s.1
            + conditions.change.warm_up_s;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "seconds of a change")]
        let lead_s = lead_s as usize + 1;
        let width = |plan: &[u32]| plan.iter().copied().max().unwrap_or(1);
        let mut changes: Vec<(usize, Vec<u32>)> = Vec::new();
        let mut before = u32::MAX;
        for (from, plan) in segments(&need) {
            // A wider job must be ready when its block begins.
            let early_s = if width(&plan) > before { lead_s } else { 0 };
            before = width(&plan);
            changes.push(((from * BLOCK_S).saturating_sub(early_s), plan));
        }
        Self { changes }
    }
}

/// The load of a block: the highest mean of a few seconds, of each source.
fn highest(load: &Load, block: usize) -> Vec<f64> {
    let from_s = block * BLOCK_S;
    let until_s = (from_s + BLOCK_S).min(load.duration_s());
    let last_s = (until_s + 1).saturating_sub(MEAN_S).max(from_s + 1);
    let mut highest = vec![0.0_f64; load.rates_per_s.len()];
    for second in (from_s..last_s).step_by(2) {
        for (most, mean) in highest.iter_mut().zip(load.mean_per_s(second, (second + MEAN_S).min(until_s))) {
            *most = most.max(mean);
        }
    }
    highest
}

/// The blocks from which on a parallelism holds, with it.
fn segments(need: &[Vec<u32>]) -> Vec<(usize, Vec<u32>)> {
    let mut cost = vec![f64::INFINITY; need.len() + 1];
    let mut began = vec![0; need.len() + 1];
    cost[0] = 0.0;
    for end in 1..=need.len() {
        let mut widest = 0;
        for begin in (end.saturating_sub(SEGMENT_MAX)..end).rev() {
            widest = widest.max(need[begin].iter().copied().max().unwrap_or(1));
            let held_s = seconds((end - begin) * BLOCK_S) + CHANGE_S;
            let total = cost[begin] + held_s * f64::from(widest);
            if total < cost[end] - 1e-9 {
                (cost[end], began[end]) = (total, begin);
            }
        }
    }
    let mut segments = Vec::new();
    let mut end = need.len();
    while end > 0 {
        let begin = began[end];
        let mut plan = need[begin].clone();
        for other in &need[begin..end] {
            plan.iter_mut().zip(other).for_each(|(most, needed)| *most = (*most).max(*needed));
        }
        segments.push((begin, plan));
        end = begin;
    }
    segments.reverse();
    segments
}

impl Controller for Oracle {
    fn period_s(&self) -> u32 {
        1
    }

    fn start(&self) -> Option<Vec<u32>> {
        self.changes.first().map(|(_, plan)| plan.clone())
    }

    fn tick(&mut self, view: &View<'_>) -> Option<Vec<u32>> {
        // The newest that is due, also if it was asked for before and failed.
        let due = self.changes.partition_point(|(at_s, _)| *at_s <= view.now_s());
        let (_, plan) = self.changes.get(due.checked_sub(1)?)?;
        (!view.is_changing()).then(|| plan.clone())
    }
}
