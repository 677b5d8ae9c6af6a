//! What a policy may observe of the model: the graph, past counters, its own changes. Never the future load or true
//! capacities.

use scaling::Kind;

use crate::change::{Change, Phase};
use crate::conditions::Conditions;
use crate::history::{JobReading, KEPT_S, PartitionReading, Reading};
use crate::job::{Input, Operator};
use crate::model::Model;

/// A policy's view of the model.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    model: &'a Model<'a>,
}

/// How an operator's input is divided into units that are each handled by one subtask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputUnits {
    /// Not divided.
    None,
    /// This many key groups.
    KeyGroups(u32),
    /// This many partitions.
    Partitions(u32),
}

impl InputUnits {
    /// Returns their number, if divided.
    pub fn count(self) -> Option<u32> {
        match self {
            Self::None => None,
            Self::KeyGroups(count) | Self::Partitions(count) => Some(count),
        }
    }
}

impl<'a> View<'a> {
    /// Creates a view of the model's current state.
    pub fn new(model: &'a Model<'a>) -> Self {
        Self { model }
    }

    fn operator(self, index: usize) -> &'a Operator {
        &self.model.trial().job.operators()[index]
    }

    fn conditions(self) -> &'a Conditions {
        &self.model.trial().conditions
    }

    /// Returns the seconds since the start.
    pub fn now_s(self) -> usize {
        self.model.now_s()
    }

    /// Returns the second of the newest reading; [`None`] if there is none yet.
    pub fn newest_s(self) -> Option<usize> {
        self.now_s().checked_sub(self.conditions().metric_age_s as usize)
    }

    /// Returns the oldest second within the retention.
    pub fn oldest_s(self) -> usize {
        (self.now_s() + 1).saturating_sub(KEPT_S)
    }

    fn within(self, second: usize) -> usize {
        second.clamp(self.oldest_s(), self.newest_s().unwrap_or(0).max(self.oldest_s()))
    }

    /// Returns an operator's counters at a second, which must not be after the newest.
    pub fn reading(self, operator: usize, second: usize) -> &'a Reading {
        self.model.history().reading(operator, self.within(second))
    }

    /// Returns a source partition's counters at a second, which must not be after the newest.
    pub fn partition(self, operator: usize, partition: usize, second: usize) -> &'a PartitionReading {
        let first = self.model.first_partition(operator);
        self.model.history().partition(first + partition, self.within(second))
    }

    /// Returns the job's readings at a second, which must not be after the newest.
    pub fn job(self, second: usize) -> &'a JobReading {
        self.model.history().job(self.within(second))
    }

    /// Returns the duration of the fullest subtask's last firing since the tasks started, in seconds.
    pub fn last_firing_s(self, operator: usize) -> Option<f64> {
        self.model.last_firing_s(operator)
    }

    /// Returns the parallelism by operator.
    pub fn parallelism(self) -> &'a [u32] {
        self.model.parallelism()
    }

    /// Returns the phase of the current change.
    pub fn phase(self) -> Phase {
        self.model.changes().phase()
    }

    /// Whether a change is in progress.
    pub fn is_changing(self) -> bool {
        self.phase() != Phase::Running
    }

    /// Returns when the tasks started after the newest change; [`None`]: they have run since the beginning.
    pub fn restarted_s(self) -> Option<usize> {
        self.model.changes().restarted_s()
    }

    /// Returns the completed changes, oldest first.
    pub fn changes(self) -> &'a [Change] {
        self.model.changes().over()
    }

    /// Returns the number of operators.
    pub fn operators(self) -> usize {
        self.model.trial().job.operators().len()
    }

    /// Returns the indices of the sources.
    pub fn sources(self) -> &'a [usize] {
        self.model.trial().job.sources()
    }

    /// Returns the name of an operator.
    pub fn name(self, operator: usize) -> &'a str {
        &self.operator(operator).name
    }

    /// Returns the kind of an operator.
    pub fn kind(self, operator: usize) -> Kind {
        self.operator(operator).kind
    }

    /// Returns the upstream operators of an operator.
    pub fn upstream(self, operator: usize) -> impl Iterator<Item = usize> + Clone + use<'a> {
        self.model.trial().job.upstream(operator).iter().map(|edge| edge.operator)
    }

    /// Returns the downstream operators of an operator.
    pub fn readers(self, operator: usize) -> impl Iterator<Item = usize> + Clone + use<'a> {
        self.model.trial().job.readers(operator).iter().map(|reader| reader.operator)
    }

    /// Returns how the input of an operator is divided.
    pub fn input_units(self, operator: usize) -> InputUnits {
        let count = |weights: &Vec<f64>| u32::try_from(weights.len()).unwrap_or(u32::MAX);
        match &self.operator(operator).input {
            Input::Even => InputUnits::None,
            Input::KeyGroups(weights) => InputUnits::KeyGroups(count(weights)),
            Input::Partitions(weights) => InputUnits::Partitions(count(weights)),
        }
    }

    /// Returns the slot sharing group of an operator, if not the default one.
    pub fn slot_sharing_group(self, operator: usize) -> Option<&'a str> {
        self.operator(operator).slot_sharing_group.as_deref()
    }

    /// Returns each subtask's share of the input, as its counters show it.
    pub fn shares(self, operator: usize) -> &'a [f64] {
        self.model.shares(operator)
    }

    /// Whether all subtasks wait for the operator's external system, so that all are as busy as the fullest.
    pub fn is_evenly_busy(self, operator: usize) -> bool {
        let trial = self.model.trial();
        trial.job.width(operator, self.parallelism()[operator]).is_externally_limited
    }

    /// Returns the maximum parallelism of an operator.
    pub fn most(self, operator: usize) -> u32 {
        self.model.trial().job.most(operator)
    }

    /// Returns the maximum parallelism of any operator.
    pub fn parallelism_max(self) -> u32 {
        self.model.trial().job.parallelism_max()
    }

    /// Returns the slots per task manager.
    pub fn slots_per_task_manager(self) -> u32 {
        self.conditions().slots.per_task_manager
    }

    /// Returns the number of running task managers.
    pub fn task_managers(self) -> u32 {
        self.model.changes().task_managers()
    }

    /// Returns the slots that the job currently needs.
    pub fn slots(self) -> u32 {
        self.model.trial().job.slots(self.parallelism())
    }

    /// Returns the latency bound L, in seconds.
    pub fn latency_bound_s(self) -> f64 {
        self.conditions().latency_bound_s
    }
}
