//! What a policy may see of the model: the graph, counters of the past, its own changes. Never the load to come, never what a subtask
//! can carry.

use scaling::Kind;

use crate::change::{Change, Phase};
use crate::conditions::Conditions;
use crate::history::{JobReading, KEPT_S, PartitionReading, Reading};
use crate::job::{Input, Operator};
use crate::model::Model;

/// The model as a policy sees it.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    model: &'a Model<'a>,
}

/// How one operator's input is cut into portions that no two subtasks share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Portions {
    /// Not at all.
    None,
    /// So many key groups.
    KeyGroups(u32),
    /// So many partitions.
    Partitions(u32),
}

impl Portions {
    /// Their number, if there are any.
    pub fn count(self) -> Option<u32> {
        match self {
            Self::None => None,
            Self::KeyGroups(count) | Self::Partitions(count) => Some(count),
        }
    }
}

impl<'a> View<'a> {
    /// A view of the model now.
    pub fn new(model: &'a Model<'a>) -> Self {
        Self { model }
    }

    fn operator(self, index: usize) -> &'a Operator {
        &self.model.trial().job.operators()[index]
    }

    fn conditions(self) -> &'a Conditions {
        &self.model.trial().conditions
    }

    /// Seconds since the start.
    pub fn now_s(self) -> usize {
        self.model.now_s()
    }

    /// The second of the newest reading; [`None`] if there is none yet.
    pub fn newest_s(self) -> Option<usize> {
        self.now_s().checked_sub(self.conditions().metric_age_s as usize)
    }

    /// The oldest second that is still kept.
    pub fn oldest_s(self) -> usize {
        (self.now_s() + 1).saturating_sub(KEPT_S)
    }

    fn within(self, second: usize) -> usize {
        second.clamp(self.oldest_s(), self.newest_s().unwrap_or(0).max(self.oldest_s()))
    }

    /// The counters of an operator at a second, at most the newest.
    pub fn reading(self, operator: usize, second: usize) -> &'a Reading {
        self.model.history().reading(operator, self.within(second))
    }

    /// The counters of a partition of a source at a second, at most the newest.
    pub fn partition(self, operator: usize, partition: usize, second: usize) -> &'a PartitionReading {
        let first = self.model.first_partition(operator);
        self.model.history().partition(first + partition, self.within(second))
    }

    /// The job as a whole at a second, at most the newest.
    pub fn job(self, second: usize) -> &'a JobReading {
        self.model.history().job(self.within(second))
    }

    /// How long the last firing of the fullest subtask took since the tasks started, in seconds.
    pub fn last_firing_s(self, operator: usize) -> Option<f64> {
        self.model.last_firing_s(operator)
    }

    /// Parallelism by operator.
    pub fn parallelism(self) -> &'a [u32] {
        self.model.parallelism()
    }

    /// Where the job is in a change.
    pub fn phase(self) -> Phase {
        self.model.changes().phase()
    }

    /// Whether a change is under way.
    pub fn is_changing(self) -> bool {
        self.phase() != Phase::Running
    }

    /// When the tasks started after the newest change; [`None`]: they run since the beginning.
    pub fn restarted_s(self) -> Option<usize> {
        self.model.changes().restarted_s()
    }

    /// The changes that are over, oldest first.
    pub fn changes(self) -> &'a [Change] {
        self.model.changes().over()
    }

    /// The number of operators.
    pub fn operators(self) -> usize {
        self.model.trial().job.operators().len()
    }

    /// The indices of the sources.
    pub fn sources(self) -> &'a [usize] {
        self.model.trial().job.sources()
    }

    /// The name of an operator.
    pub fn name(self, operator: usize) -> &'a str {
        &self.operator(operator).name
    }

    /// What an operator does.
    pub fn kind(self, operator: usize) -> Kind {
        self.operator(operator).kind
    }

    /// The operators that an operator reads.
    pub fn upstream(self, operator: usize) -> impl Iterator<Item = usize> + Clone + use<'a> {
        self.model.trial().job.upstream(operator).iter().map(|edge| edge.operator)
    }

    /// The operators that read an operator.
    pub fn readers(self, operator: usize) -> impl Iterator<Item = usize> + Clone + use<'a> {
        self.model.trial().job.readers(operator).iter().map(|reader| reader.operator)
    }

    /// How the input of an operator is cut.
    pub fn portions(self, operator: usize) -> Portions {
        let count = |weights: &Vec<f64>| u32::try_from(weights.len()).unwrap_or(u32::MAX);
        match &self.operator(operator).input {
            Input::Even => Portions::None,
            Input::KeyGroups(weights) => Portions::KeyGroups(count(weights)),
            Input::Partitions(weights) => Portions::Partitions(count(weights)),
        }
    }

    /// The slot sharing group of an operator, if not the common one.
    pub fn slot_sharing_group(self, operator: usize) -> Option<&'a str> {
        self.operator(operator).slot_sharing_group.as_deref()
    }

    /// The share of the input of each subtask, as its counters show it.
    pub fn shares(self, operator: usize) -> Vec<f64> {
        self.operator(operator).shares(self.parallelism()[operator])
    }

    /// Whether all subtasks wait in the calls of the system behind the operator, so that all are as busy as the fullest.
    pub fn is_evenly_busy(self, operator: usize) -> bool {
        let trial = self.model.trial();
        trial.job.width(operator, self.parallelism()[operator]).is_externally_limited
    }

    /// The largest parallelism of an operator.
    pub fn most(self, operator: usize) -> u32 {
        self.model.trial().job.most(operator)
    }

    /// The largest parallelism of any operator.
    pub fn parallelism_max(self) -> u32 {
        self.model.trial().job.parallelism_max()
    }

    /// Slots of one task manager.
    pub fn slots_per_task_manager(self) -> u32 {
        self.conditions().slots.per_task_manager
    }

    /// Task managers that run.
    pub fn task_managers(self) -> u32 {
        self.model.changes().task_managers()
    }

    /// Slots that the job needs as it is.
    pub fn slots(self) -> u32 {
        self.model.trial().job.slots(self.parallelism())
    }

    /// L, in seconds.
    pub fn latency_bound_s(self) -> f64 {
        self.conditions().latency_bound_s
    }
}
