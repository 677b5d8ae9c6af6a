//! The scaling manager of the repository that accompanies the paper on DS2 (Vasiliki Kalavri et al., "Three steps is
//! all you need: fast, accurate, automatic scaling decisions for distributed streaming dataflows", OSDI 2018).
//!
//! In each interval, true rates and the sources' input determine every operator's parallelism. Intervals after a
//! change are skipped while the job warms up. A plan is applied if an operator needs more subtasks, or at least two
//! fewer.

use super::{Controller, ceiling};
use crate::view::View;

const INTERVAL_S: usize = 10;
/// Number of intervals skipped after a change.
const WARM_UP_INTERVALS: u32 = 2;
/// An operator less busy than this has no usable true rate.
const LEAST_BUSY: f64 = 0.001;
const NONE: f64 = 1e-9;

/// The scaling manager of the repository of DS2.
#[derive(Debug, Clone, Default)]
pub(super) struct Ds2Paper {
    intervals: u32,
    changes: usize,
}

/// The rates of one interval.
#[derive(Clone, Copy)]
struct Interval<'a> {
    view: View<'a>,
    from_s: usize,
    until_s: usize,
}

impl Interval<'_> {
    fn rate(self, operator: usize, counter: fn(&crate::history::Reading) -> f64) -> f64 {
        let at = |second| counter(self.view.reading(operator, second));
        (at(self.until_s) - at(self.from_s)) / 10.0
    }

    /// Records per second from one operator to another.
    fn edge(self, from: usize, to: usize) -> f64 {
        if self.view.upstream(to).count() == 1 {
            return self.rate(to, |reading| reading.records_in);
        }
        let readers = u32::try_from(self.view.readers(from).count()).unwrap_or(1).max(1);
        self.rate(from, |reading| reading.records_out) / f64::from(readers)
    }

    fn plan(self) -> Vec<u32> {
        let view = self.view;
        let today = view.parallelism();
        let mut plan = today.to_vec();
        let mut asked = vec![0.0; view.operators()];
        for index in 0..view.operators() {
            let rate = self.rate(index, |reading| reading.records_in);
            let busy = self.rate(index, |reading| reading.busy_mean_s);
            if view.upstream(index).count() == 0 {
                asked[index] = self.rate(index, |reading| reading.arrived);
            }
            let scale = match view.upstream(index).count() {
                0 => asked[index] / rate.max(NONE),
                _ if rate > 0.0 => asked[index] / rate,
                _ => 0.0,
            };
            for reader in view.readers(index) {
                asked[reader] += self.edge(index, reader) * scale;
            }
            if busy > LEAST_BUSY && rate > 0.0 {
                let per_subtask = rate / busy / f64::from(today[index]);
                plan[index] = ceiling(asked[index] / per_subtask);
            }
        }
        plan
    }
}

impl Controller for Ds2Paper {
    fn period_s(&self) -> u32 {
        10
    }

    fn tick(&mut self, view: &View<'_>) -> Option<Vec<u32>> {
        if view.is_changing() {
            self.intervals = 0;
            return None;
        }
        if view.changes().len() != self.changes {
            (self.changes, self.intervals) = (view.changes().len(), 0);
            return None;
        }
        if view.restarted_s().is_some_and(|restarted_s| restarted_s + INTERVAL_S > view.now_s()) {
            return None;
        }
        let until_s = view.newest_s()?;
        let from_s = until_s.checked_sub(INTERVAL_S).filter(|from_s| *from_s > 0)?;
        if view.job(until_s).is_gap || view.job(from_s).is_gap {
            return None;
        }
        if self.intervals < WARM_UP_INTERVALS {
            self.intervals += 1;
            return None;
        }
        let plan = Interval { view: *view, from_s, until_s }.plan();
        let acts = |(new, today): (&u32, &u32)| new > today || new + 1 < *today;
        plan.iter().zip(view.parallelism()).any(acts).then_some(plan)
    }
}
