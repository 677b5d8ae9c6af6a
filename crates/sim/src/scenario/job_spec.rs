//! A job's specification, before a seed determines its capacities and weights.

use scaling::Kind;
use serde::{Deserialize, Serialize};

use super::Template;
use crate::job::{Edge, Input, Job, JobError, Operator, Window};
use crate::random::Random;

/// Standard deviation of key group weights: of even keys by default, and (of the logarithm) of skewed ones.
const EVEN: f64 = 0.05;
const SKEWED: f64 = 0.5;
/// Input share of the hottest key group of skewed keys.
const HOT_GROUP: f64 = 0.06;

/// A job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobSpec {
    /// A built-in job …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<Template>,
    /// … or operators.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub operators: Vec<OperatorSpec>,
    /// Relative variation of capacities between seeds.
    #[serde(default = "capacity_spread")]
    pub capacity_spread: f64,
}

fn capacity_spread() -> f64 {
    0.1
}

/// One operator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperatorSpec {
    /// Its name.
    pub name: String,
    /// Its kind in a snapshot.
    pub kind: Kind,
    /// Records per second of an always busy single subtask.
    pub rate_per_s: f64,
    /// Its inputs; empty for a source.
    #[serde(default)]
    pub inputs: Vec<InputSpec>,
    /// Sources: number of partitions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partitions: Option<u32>,
    /// Sources: weight of the last partition relative to the others.
    #[serde(default = "one")]
    pub hot_partition: f64,
    /// Sources: fraction of the load that arrives here.
    #[serde(default = "one")]
    pub load_share: f64,
    /// Keyed operators: distribution of keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<Keys>,
    /// Keyed operators: relative deviation of the key groups' weights, where keys are even.
    #[serde(default = "key_spread")]
    pub key_spread: f64,
    /// Keyed operators: number of key groups.
    #[serde(default = "key_groups")]
    pub key_groups: u32,
    /// α of the universal scalability law.
    #[serde(default = "contention")]
    pub contention: f64,
    /// β of the universal scalability law.
    #[serde(default)]
    pub coherence: f64,
    /// Limit of its external system, in records per second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_limit_per_s: Option<f64>,
    /// Reported busy time per second of true busy time.
    #[serde(default = "one")]
    pub busy_bias: f64,
    /// Its windows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<WindowSpec>,
    /// Slot sharing group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot_sharing_group: Option<String>,
}

fn one() -> f64 {
    1.0
}

fn key_spread() -> f64 {
    EVEN
}

fn key_groups() -> u32 {
    128
}

fn contention() -> f64 {
    0.004
}

/// An input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputSpec {
    /// Name of the upstream operator.
    pub from: String,
    /// Records on the edge per record that the upstream operator handles.
    #[serde(default = "one")]
    pub selectivity: f64,
}

/// Distribution of records over key groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Keys {
    /// Nearly evenly.
    Even,
    /// Unevenly, with one hot group.
    Skewed,
}

/// Windows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WindowSpec {
    /// Time between two firings, in seconds.
    pub slide_s: u32,
    /// Duration of a firing per stored record, in seconds.
    pub firing_s_per_record: f64,
    /// Records emitted per stored record.
    pub emitted_per_record: f64,
}

impl JobSpec {
    /// Returns the specification of a built-in job.
    pub fn from_template(template: Template) -> Self {
        Self { template: Some(template), operators: Vec::new(), capacity_spread: capacity_spread() }
    }

    /// Builds the job with this seed.
    ///
    /// # Errors
    /// See [`JobError`].
    pub fn build(&self, parallelism_max: u32, seed: u64) -> Result<Job, JobError> {
        let mut specs = self.template.map(Template::operators).unwrap_or_default();
        specs.extend(self.operators.iter().cloned());
        if specs.is_empty() {
            return Err(JobError::Inputs("(none)".to_owned()));
        }
        let operators = specs.iter().map(|spec| spec.build(self.capacity_spread, seed)).collect();
        Job::new(operators, parallelism_max)
    }
}

impl OperatorSpec {
    /// Creates an operator with default values.
    pub fn new(name: &str, kind: Kind, rate_per_s: f64) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            rate_per_s,
            inputs: Vec::new(),
            partitions: None,
            hot_partition: one(),
            load_share: one(),
            keys: None,
            key_spread: key_spread(),
            key_groups: key_groups(),
            contention: contention(),
            coherence: 0.0,
            external_limit_per_s: None,
            busy_bias: one(),
            window: None,
            slot_sharing_group: None,
        }
    }

    fn build(&self, capacity_spread: f64, seed: u64) -> Operator {
        let mut random = Random::new(seed, &format!("capacity and keys of {}", self.name));
        let spread = capacity_spread.clamp(0.0, 0.9);
        let rate_per_s = self.rate_per_s * random.between(1.0 - spread, 1.0 + spread);
        let edge = |input: &InputSpec| Edge { from: input.from.clone(), selectivity: input.selectivity };
        Operator {
            name: self.name.clone(),
            kind: self.kind,
            inputs: self.inputs.iter().map(edge).collect(),
            input: self.input(&mut random),
            rate_per_s,
            contention: self.contention,
            coherence: self.coherence,
            external_limit_per_s: self.external_limit_per_s,
            busy_bias: self.busy_bias,
            window: self.window.map(|window| Window {
                slide_s: window.slide_s,
                firing_s_per_record: window.firing_s_per_record,
                emitted_per_record: window.emitted_per_record,
            }),
            load_share: self.load_share,
            slot_sharing_group: self.slot_sharing_group.clone(),
        }
    }

    fn input(&self, random: &mut Random) -> Input {
        match (self.partitions, self.keys) {
            (Some(partitions), _) => {
                let mut weights = vec![1.0; partitions as usize];
                if let Some(last) = weights.last_mut() {
                    *last = self.hot_partition;
                }
                Input::Partitions(normed(weights))
            }
            (None, Some(keys)) => {
                Input::KeyGroups(keys.weights(self.key_groups as usize, self.key_spread, random))
            }
            (None, None) => Input::Even,
        }
    }
}

impl Keys {
    fn weights(self, key_groups: usize, spread: f64, random: &mut Random) -> Vec<f64> {
        let mut each = |weight: &dyn Fn(f64) -> f64| {
            normed((0..key_groups).map(|_| weight(random.normal())).collect::<Vec<f64>>())
        };
        match self {
            Self::Even => each(&|deviate| (1.0 + spread * deviate).max(0.0)),
            Self::Skewed => {
                let mut weights = each(&|deviate| libm::exp(SKEWED * deviate));
                weights.iter_mut().for_each(|weight| *weight *= 1.0 - HOT_GROUP);
                if let Some(hot) = weights.get_mut(random.whole(0, key_groups.max(1) - 1)) {
                    *hot += HOT_GROUP;
                }
                weights
            }
        }
    }
}

/// Normalises the weights to a sum of 1.
fn normed(mut weights: Vec<f64>) -> Vec<f64> {
    let sum: f64 = weights.iter().sum();
    weights.iter_mut().for_each(|weight| *weight /= sum);
    weights
}
