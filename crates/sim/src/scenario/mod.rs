//! Scenarios: a job, its load and its conditions. A seed turns a scenario into a trial.

mod file;
mod hold_out;
mod job_spec;
mod template;
mod tuning;
mod variation;

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use file::ScenarioFileError;
pub use job_spec::{InputSpec, JobSpec, Keys, OperatorSpec, WindowSpec};
pub use template::Template;
pub use variation::{Variation, VariationError};

use crate::conditions::{BUFFER_S, ChangeMethod, Conditions, Faults, OPERATOR_LATENCY_S, Slots};
use crate::job::{Job, JobError};
use crate::load::{Load, LoadSpec, ShapeError};
use crate::random::Random;

/// Initial capacity relative to the load of the first minute.
const START_HEADROOM: f64 = 1.35;
/// Averaging time of the initial load, in seconds.
const START_OVER_S: usize = 60;
/// Longest scenario, in seconds: a month.
const DURATION_MAX_S: u32 = 31 * 86_400;

/// Purpose of a scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScenarioSet {
    /// Policies may be tuned on these.
    Tuning,
    /// Policies must not be tuned on these.
    HoldOut,
    /// Scenarios from a file.
    Own,
}

/// A step of the load whose response is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoadStep {
    /// Time of the step.
    pub from_s: u32,
    /// Time of the next step.
    pub until_s: u32,
}

/// A scenario.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// Its name.
    pub name: String,
    /// Its purpose.
    pub set: ScenarioSet,
    /// An external system is sometimes too slow for the load: violations are unavoidable, and are summed separately.
    pub is_externally_limited: bool,
    /// Duration, in seconds.
    pub duration_s: u32,
    /// The job.
    pub job: JobSpec,
    /// The load.
    pub load: LoadSpec,
    /// Latency bound L, in seconds.
    pub latency_bound_s: f64,
    /// Age of the newest metrics that a policy sees, in seconds.
    pub metric_age_s: u32,
    /// Time of a record in an operator without queueing, in seconds.
    pub operator_latency_s: f64,
    /// Size of an operator's buffers, as seconds of its capacity.
    pub buffer_s: f64,
    /// How a change is made.
    pub change: ChangeMethod,
    /// Random variation and failures.
    pub faults: Faults,
    /// The cluster.
    pub slots: Slots,
    /// A step whose response is measured.
    pub step: Option<LoadStep>,
}

/// Why a scenario is invalid.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ScenarioError {
    /// Its job is invalid.
    #[error("invalid job")]
    Job(#[from] JobError),
    /// Its load is invalid.
    #[error("invalid load")]
    Load(#[from] ShapeError),
    /// A value is out of range.
    #[error("{key}: {remedy}")]
    Value {
        /// The invalid key.
        key: &'static str,
        /// Valid values.
        remedy: &'static str,
    },
}

/// A scenario with a seed: all inputs of a run except the policy.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// Seed of all random streams of the run.
    pub seed: u64,
    /// The job.
    pub job: Job,
    /// The load.
    pub load: Load,
    /// The conditions.
    pub conditions: Conditions,
    /// Initial parallelism, by operator.
    pub start: Vec<u32>,
    /// A step whose response is measured.
    pub step: Option<LoadStep>,
}

impl Scenario {
    /// Returns all built-in scenarios, those for tuning first.
    pub fn all() -> Vec<Self> {
        let mut all = tuning::scenarios();
        all.extend(hold_out::scenarios());
        all
    }

    /// Creates a tuning scenario with in-place changes; the others are derived from it.
    fn new(name: &str, job: JobSpec, hours: u32, load: LoadSpec) -> Self {
        Self {
            name: name.to_owned(),
            set: ScenarioSet::Tuning,
            is_externally_limited: false,
            duration_s: hours * 3600,
            job,
            load,
            latency_bound_s: 2.0,
            metric_age_s: 2,
            operator_latency_s: OPERATOR_LATENCY_S,
            buffer_s: BUFFER_S,
            change: ChangeMethod::IN_PLACE,
            faults: Faults::default(),
            slots: Slots::default(),
            step: None,
        }
    }

    fn savepoint(self) -> Self {
        Self { change: ChangeMethod::SAVEPOINT, latency_bound_s: 10.0, ..self }
    }

    fn large_state(self) -> Self {
        Self { change: ChangeMethod::LARGE_STATE, latency_bound_s: 60.0, ..self }
    }

    fn bound(self, latency_bound_s: f64) -> Self {
        Self { latency_bound_s, ..self }
    }

    fn task_manager_start(self, task_manager_start_s: u32) -> Self {
        Self { slots: Slots { task_manager_start_s, ..self.slots }, ..self }
    }

    fn faults(self, faults: Faults) -> Self {
        Self { faults, ..self }
    }

    fn step(self, from_s: u32, until_s: u32) -> Self {
        Self { step: Some(LoadStep { from_s, until_s }), ..self }
    }

    fn external(self) -> Self {
        Self { is_externally_limited: true, ..self }
    }

    /// Creates the trial with this seed.
    ///
    /// # Errors
    /// See [`ScenarioError`]; built-in scenarios have none.
    pub fn trial(&self, seed: u64) -> Result<Trial, ScenarioError> {
        if let Some((key, remedy)) = self.problem() {
            return Err(ScenarioError::Value { key, remedy });
        }
        let seed = Random::new(seed, &self.name).seed();
        let job = self.job.build(self.slots.max, seed)?;
        let load = self.load.build(&job, self.duration_s as usize, seed)?;
        let start = job.least(&load.mean_per_s(0, START_OVER_S), START_HEADROOM);
        let conditions = Conditions {
            latency_bound_s: self.latency_bound_s,
            metric_age_s: self.metric_age_s,
            operator_latency_s: self.operator_latency_s,
            buffer_s: self.buffer_s,
            change: self.change,
            faults: self.faults,
            slots: self.slots,
        };
        Ok(Trial { seed, job, load, conditions, start, step: self.step })
    }

    fn problem(&self) -> Option<(&'static str, &'static str)> {
        let not_negative = |value: f64| value.is_finite() && value >= 0.0;
        let bounds = |(low, high): (f64, f64)| not_negative(low) && not_negative(high) && low <= high;
        let (change, faults, slots) = (&self.change, &self.faults, &self.slots);
        let checks = [
            (
                (1..=DURATION_MAX_S).contains(&self.duration_s),
                "duration_s",
                "give a number from 1 to 2678400",
            ),
            (
                self.job.template.is_some() == self.job.operators.is_empty(),
                "job",
                "must be either a template or operators",
            ),
            (
                self.job.operators.iter().all(|operator| (0.0..=1.0).contains(&operator.key_spread)),
                "key_spread",
                "give a number from 0 to 1",
            ),
            (not_negative(self.latency_bound_s), "latency_bound_s", "give a number from 0 on"),
            (self.metric_age_s <= 60, "metric_age_s", "give a number from 0 to 60"),
            (not_negative(self.operator_latency_s), "operator_latency_s", "give a number from 0 on"),
            (not_negative(self.buffer_s), "buffer_s", "give a number from 0 on"),
            (bounds(change.wait_s), "change.wait_s", "must be two times, the shorter first"),
            (bounds(change.outage_s), "change.outage_s", "must be two times, the shorter first"),
            (not_negative(change.replay_s), "change.replay_s", "give a number from 0 on"),
            (not_negative(change.warm_up_s), "change.warm_up_s", "give a number from 0 on"),
            (
                (0.0..=0.3).contains(&faults.capacity_noise),
                "faults.capacity_noise",
                "give a number from 0 to 0.3",
            ),
            (
                not_negative(faults.slow_task_managers_per_h),
                "faults.slow_task_managers_per_h",
                "give a number from 0 on",
            ),
            (not_negative(faults.metric_gaps_per_h), "faults.metric_gaps_per_h", "give a number from 0 on"),
            (
                (0.0..=1.0).contains(&faults.failing_changes),
                "faults.failing_changes",
                "give a number from 0 to 1",
            ),
            ((1..=4096).contains(&slots.max), "slots.max", "give a number from 1 to 4096"),
            (slots.per_task_manager >= 1, "slots.per_task_manager", "give a number from 1 on"),
            (
                self.step
                    .is_none_or(|step| step.from_s + 60 < step.until_s && step.until_s <= self.duration_s),
                "step",
                "must be longer than 60 s and end within the scenario",
            ),
        ];
        checks.into_iter().find(|(right, ..)| !right).map(|(_, key, remedy)| (key, remedy))
    }
}

impl Trial {
    /// Returns the duration of the load, in seconds.
    pub fn duration_s(&self) -> usize {
        self.load.duration_s()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Goal: every built-in scenario is valid and has a unique name.
    #[test]
    fn all_scenarios_are_valid() {
        let all = Scenario::all();
        let names: BTreeSet<&str> = all.iter().map(|scenario| scenario.name.as_str()).collect();
        let of = |set: ScenarioSet| all.iter().filter(|scenario| scenario.set == set).count();
        assert_eq!(
            (all.len(), names.len(), of(ScenarioSet::Tuning), of(ScenarioSet::HoldOut)),
            (42, 42, 29, 13)
        );
        for scenario in all {
            let trial = scenario.trial(1).unwrap_or_else(|error| panic!("{}: {error:?}", scenario.name));
            assert_eq!(trial.duration_s(), scenario.duration_s as usize);
        }
    }
}
