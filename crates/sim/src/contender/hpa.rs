//! Kubernetes' horizontal pod autoscaler on CPU, with all operators alike.
//!
//! desired = ceil(replicas · CPU ÷ target), unchanged within a tolerance of 10 %; up at most to twice the replicas or
//! four more, whichever is more; down to the largest number desired in the last five minutes. After the documentation
//! of `autoscaling/v2`.

use super::{Controller, ceiling};
use crate::view::View;

const TARGET: f64 = 0.7;
const TOLERANCE: f64 = 0.1;
/// Averaging time of CPU, in seconds; younger tasks are excluded.
const WINDOW_S: usize = 30;
const DOWN_AFTER_S: usize = 300;

/// Kubernetes' horizontal pod autoscaler.
#[derive(Debug, Clone, Default)]
pub(super) struct Hpa {
    /// Desired replicas with their time.
    desired: Vec<(usize, u32)>,
}

impl Controller for Hpa {
    fn period_s(&self) -> u32 {
        15
    }

    fn tick(&mut self, view: &View<'_>) -> Option<Vec<u32>> {
        let until_s = view.newest_s()?;
        let from_s = until_s.checked_sub(WINDOW_S).filter(|from_s| *from_s > 0)?;
        let is_young = view.restarted_s().is_some_and(|restarted_s| view.now_s() < restarted_s + WINDOW_S);
        if view.is_changing() || is_young {
            return None;
        }
        let busy_s = |operator: usize, second: usize| view.reading(operator, second).busy_mean_s;
        let cpu = |operator: usize| (busy_s(operator, until_s) - busy_s(operator, from_s)) / 30.0;
        let busiest = (0..view.operators()).map(cpu).fold(0.0, f64::max);
        let replicas = view.parallelism().iter().copied().max().unwrap_or(1);
        let ratio = busiest / TARGET;
        let desired =
            if (ratio - 1.0).abs() <= TOLERANCE { replicas } else { ceiling(f64::from(replicas) * ratio) };
        let now_s = view.now_s();
        self.desired.retain(|(at_s, _)| at_s + DOWN_AFTER_S > now_s);
        self.desired.push((now_s, desired));
        let new = if desired > replicas {
            desired.min((2 * replicas).max(replicas + 4))
        } else {
            self.desired.iter().map(|(_, desired)| *desired).max().unwrap_or(replicas)
        };
        (new != replicas).then(|| vec![new; view.operators()])
    }
}
