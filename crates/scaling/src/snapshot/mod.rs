//! Observations of a job and its cluster over one epoch.
//!
//! The JSON form is the interface to recorded decisions and to programs in other languages. Field names have their unit; an unknown figure
//! is `null` or absent, never 0. `docs/snapshot.md` documents the fields. All fields beyond those of the first recorded decision are
//! optional, because metric sources differ in what they provide.

mod cluster;
mod figures;
mod job;
mod large;
mod operator;
mod times;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

pub use cluster::TaskManager;
pub use figures::{Distribution, Quality, Reading};
pub use job::{Checkpoints, Job, Query, Rescale};
pub use operator::{Edge, Kind, Operator, Partitioning, Subtask};
pub(crate) use times::LATEST_MS;

/// The version of the snapshot's JSON form.
pub const SCHEMA: u32 = 1;

/// One epoch.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The end of the epoch, in milliseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_ms: Option<i64>,
    /// The time between the first and the last reading that count, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval_ms: Option<i64>,
    /// Where the figures come from, for example `flink-rest`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The age of the newest reading when the snapshot was made, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest_age_ms: Option<i64>,
    /// The job as a whole.
    pub job: Job,
    /// Its queries.
    pub queries: Vec<Query>,
    /// Its operators.
    pub operators: Vec<Operator>,
    /// The cluster's task managers.
    pub task_managers: Vec<TaskManager>,
    /// The size of the job's state, in bytes: what a restore reads.
    pub state_size_bytes: Option<f64>,
    /// Size of its checkpoint storage, in bytes: the state, and older, shared and orphaned files besides. Nothing is
    /// decided on it; what grows while the state does not is a leak.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored_size_bytes: Option<f64>,
    /// What a complete snapshot would hold and this one does not, for people. Nothing is decided while this is not empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
}

impl Snapshot {
    /// The operator of that name.
    pub fn operator(&self, name: &str) -> Option<&Operator> {
        self.operators.iter().find(|operator| operator.name == name)
    }

    /// Returns the snapshot with every figure that cannot be true (negative, infinite, no number; a time before 1970 or after
    /// the year 9999) unknown.
    ///
    /// Metric sources leave such figures out already; snapshots of other programs need not.
    pub fn without_impossible_figures(&self) -> Cow<'_, Self> {
        if times::are_possible(self) && self.figures().flatten().all(is_possible) {
            return Cow::Borrowed(self);
        }
        let mut checked = self.clone();
        times::bound(&mut checked);
        let is_impossible =
            |operator: &&mut Operator| operator.backlog_records.is_some_and(|f| !is_possible(f));
        checked.operators.iter_mut().filter(is_impossible).for_each(Operator::doubt_backlog);
        for figure in checked.figures_mut() {
            *figure = figure.filter(|figure| is_possible(*figure));
        }
        Cow::Owned(checked)
    }

    /// Every figure that a formula uses.
    fn figures(&self) -> impl Iterator<Item = Option<f64>> {
        let of_queries = self.queries.iter().map(|query| query.overall_latency_ms);
        std::iter::once(self.state_size_bytes)
            .chain(of_queries)
            .chain(self.operators.iter().flat_map(Operator::figures))
            .chain(self.task_managers.iter().flat_map(TaskManager::figures))
    }

    /// The same figures, to be changed.
    fn figures_mut(&mut self) -> impl Iterator<Item = &mut Option<f64>> {
        let of_queries = self.queries.iter_mut().map(|query| &mut query.overall_latency_ms);
        std::iter::once(&mut self.state_size_bytes)
            .chain(of_queries)
            .chain(self.operators.iter_mut().flat_map(Operator::figures_mut))
            .chain(self.task_managers.iter_mut().flat_map(TaskManager::figures_mut))
    }

    /// The slots of all task managers; unknown as soon as those of one are.
    pub fn slots_present(&self) -> Option<u32> {
        self.sum_of_slots(|tm| tm.slots)
    }

    /// The slots that no task uses; unknown as soon as those of one task manager are.
    pub fn slots_free(&self) -> Option<u32> {
        self.sum_of_slots(|tm| tm.slots_free)
    }

    /// Adds up a number of slots over all task managers; unknown without task managers, and as soon as that of one is.
    fn sum_of_slots(&self, of: impl Fn(&TaskManager) -> Option<u32>) -> Option<u32> {
        if self.task_managers.is_empty() {
            return None;
        }
        self.task_managers.iter().try_fold(0_u32, |sum, tm| Some(sum.saturating_add(of(tm)?)))
    }

    /// The slots of one task manager: the commonest number, of equally common ones the smallest.
    pub fn slots_per_task_manager(&self) -> Option<u32> {
        let known = || self.task_managers.iter().filter_map(|tm| tm.slots).filter(|slots| *slots > 0);
        let times = |slots: u32| known().filter(|other| *other == slots).count();
        known().max_by_key(|slots| (times(*slots), std::cmp::Reverse(*slots)))
    }
}

fn is_possible(figure: f64) -> bool {
    figure.is_finite() && figure >= 0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: every figure that is made unknown where it cannot be true is looked at before a snapshot counts as possible.
    #[test]
    fn each_impossible_figure_is_found() {
        let good = Snapshot {
            queries: vec![Query::default()],
            operators: vec![Operator { subtasks: vec![Subtask::default()], ..Operator::default() }],
            task_managers: vec![TaskManager::default()],
            ..Snapshot::default()
        };
        assert!(matches!(good.without_impossible_figures(), Cow::Borrowed(_)));
        let figures = good.clone().figures_mut().count();
        assert_eq!(good.figures().count(), figures);
        for index in 0..figures {
            let mut spoilt = good.clone();
            *spoilt.figures_mut().nth(index).unwrap() = Some(-1.0);
            let checked = spoilt.without_impossible_figures();
            assert!(checked.figures().all(|figure| figure.is_none()), "figure {index}");
        }
    }
}
