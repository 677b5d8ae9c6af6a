//! One simulated run: a controller scales a job under its load, in virtual time.

use crate::change::Change;
use crate::contender::Controller;
use crate::model::Model;
use crate::scenario::Trial;
use crate::view::View;

/// Result of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// Age of the oldest record at the end of each second, in seconds.
    pub latency_s: Vec<f64>,
    /// Slots held for the job in each second.
    pub slots: Vec<u32>,
    /// Parallelism at the start.
    pub start: Vec<u32>,
    /// Completed changes.
    pub changes: Vec<Change>,
}

impl Run {
    /// Returns the parallelism in a second.
    pub fn parallelism(&self, second: usize) -> &[u32] {
        let over = self.changes.partition_point(|change| change.completed_s <= second);
        over.checked_sub(1).map_or(&self.start, |newest| &self.changes[newest].after)
    }
}

/// Runs a controller over the whole load.
pub fn run(trial: &Trial, controller: &mut dyn Controller) -> Run {
    let start = controller.start().unwrap_or_else(|| trial.start.clone());
    let mut model = Model::new(trial, &start);
    let period_s = controller.period_s().max(1) as usize;
    // Seeds also vary the end of the first epoch.
    let phase_s = usize::try_from(trial.seed % period_s as u64).unwrap_or(0);
    for second in 0..trial.duration_s() {
        if second > 0 && second % period_s == phase_s {
            let plan = controller.tick(&View::new(&model));
            let accepted = plan.is_some_and(|plan| model.request(&plan));
            if accepted {
                controller.accepted();
            }
        }
        model.step();
    }
    model.into_run()
}
