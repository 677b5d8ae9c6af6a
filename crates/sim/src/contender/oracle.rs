//! Policies that know the load: they bound what a policy can achieve.

use super::Controller;
use crate::change::seconds;
use crate::load::Load;
use crate::scenario::Trial;
use crate::view::View;

/// Never changes: the parallelism that sustains the highest 30 s mean with 10 % headroom.
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

/// Length of a block, in seconds; the required parallelism is constant within a block.
const BLOCK_S: usize = 60;
/// Cost of a change, in seconds of the slots that it results in.
const CHANGE_S: f64 = 300.0;
/// Headroom factor of each block.
const HEADROOM: f64 = 1.06;
/// Averaging time of a block's load, in seconds; the highest mean counts.
const MEAN_S: usize = 5;
/// Longest time without a change, in blocks.
const SEGMENT_MAX: usize = 240;

/// Knows the load: minimises slot-seconds plus a price per change by dynamic programming. It ignores outages longer
/// than the bound, so it bounds slots, not violations.
#[derive(Debug, Clone)]
pub(super) struct Oracle {
    /// Changes to request, in order of time.
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
            // A larger job must be ready when its block begins.
            let early_s = if width(&plan) > before { lead_s } else { 0 };
            before = width(&plan);
            changes.push(((from * BLOCK_S).saturating_sub(early_s), plan));
        }
        Self { changes }
    }
}

/// Returns the load of a block: the highest mean over a few seconds, per source.
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

/// Returns the first block of each constant parallelism, with the parallelism.
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
        // The newest due change, even if an earlier request for it failed.
        let due = self.changes.partition_point(|(at_s, _)| *at_s <= view.now_s());
        let (_, plan) = self.changes.get(due.checked_sub(1)?)?;
        (!view.is_changing()).then(|| plan.clone())
    }
}
