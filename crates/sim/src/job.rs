//! The model of a job: its operators' capacities, and the distribution of records over subtasks.
//!
//! One always busy subtask of an operator with parallelism p handles, by the universal scalability law (Neil J.
//! Gunther, "A General Theory of Computational Scalability Based on Rational Functions", 2008),
//!
//! ```text
//! c(p) = c₁ ÷ (1 + α(p − 1) + βp(p − 1))
//! ```
//!
//! records a second. The fullest subtask gets the share w(p) of the input, so the operator's capacity is C(p) = c(p)
//! ÷ w(p), or the limit of its external system. Operators are stored in a canonical order (topological, then by
//! name), so that results do not depend on the order in the file.

use std::collections::BTreeMap;

use scaling::Kind;
use thiserror::Error;

/// Distribution of records over the subtasks.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// Evenly.
    Even,
    /// By key, through key groups with these weights, which sum to 1.
    KeyGroups(Vec<f64>),
    /// By partition, with these weights, which sum to 1.
    Partitions(Vec<f64>),
}

/// A windowed operator's behaviour when its windows fire.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Window {
    /// Time between two firings, in seconds.
    pub slide_s: u32,
    /// Duration of a firing per stored record, in seconds.
    pub firing_s_per_record: f64,
    /// Records emitted per stored record.
    pub emitted_per_record: f64,
}

/// An input edge of an operator.
#[derive(Debug, Clone, PartialEq)]
pub struct Edge {
    /// Name of the upstream operator.
    pub from: String,
    /// Records on the edge per record that the upstream operator handles.
    pub selectivity: f64,
}

/// One operator.
#[derive(Debug, Clone, PartialEq)]
pub struct Operator {
    /// Its name.
    pub name: String,
    /// Its kind in a snapshot.
    pub kind: Kind,
    /// Its inputs; empty: a source.
    pub inputs: Vec<Edge>,
    /// Distribution of its input.
    pub input: Input,
    /// c₁: records per second of an always busy single subtask.
    pub rate_per_s: f64,
    /// α: contention.
    pub contention: f64,
    /// β: coherence.
    pub coherence: f64,
    /// Limit of its external system, in records per second.
    pub external_limit_per_s: Option<f64>,
    /// Reported busy time per second of true busy time.
    pub busy_bias: f64,
    /// Its windows.
    pub window: Option<Window>,
    /// Fraction of the job's load that arrives here, for a source.
    pub load_share: f64,
    /// Slot sharing group; `None`: the default group.
    pub slot_sharing_group: Option<String>,
}

/// Capacity of an operator at one parallelism.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ParallelismCapacity {
    /// c(p), in records per second.
    pub subtask_rate_per_s: f64,
    /// w(p): input share of the fullest subtask.
    pub fullest_share: f64,
    /// C(p), in records per second.
    pub capacity_per_s: f64,
    /// Whether the external system is the limit: all subtasks then wait for it and count as busy.
    pub is_externally_limited: bool,
}

/// An edge as seen by its target.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Upstream {
    pub(crate) operator: usize,
    pub(crate) selectivity: f64,
}

/// An edge as seen by its origin.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Reader {
    pub(crate) operator: usize,
    /// Index of the edge among the target's inputs.
    pub(crate) input: usize,
    pub(crate) selectivity: f64,
}

/// Why operators do not form a valid job.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum JobError {
    /// Two operators have this name.
    #[error("operator {0} occurs twice")]
    Twice(String),
    /// An input names an unknown operator, or the operators form a cycle.
    #[error("operator {0} reads from an unknown operator, or is part of a cycle")]
    Inputs(String),
    /// An operator without inputs must be a source with partitions; any other must not.
    #[error("operator {0}: an operator without inputs needs partitions, one with inputs must have none")]
    Source(String),
    /// An invalid number.
    #[error("operator {operator}: {key}: {remedy}")]
    Number {
        /// Name of the operator.
        operator: String,
        /// The invalid key.
        key: &'static str,
        /// Valid values.
        remedy: &'static str,
    },
}

/// A validated job.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    operators: Vec<Operator>,
    upstream: Vec<Vec<Upstream>>,
    readers: Vec<Vec<Reader>>,
    widths: Vec<Vec<ParallelismCapacity>>,
    sources: Vec<usize>,
    parallelism_max: u32,
}

/// Returns the service time of a record at a parallelism relative to that of a single subtask, by the universal scalability law with
/// α (`contention`) and β (`coherence`).
pub fn slowdown(parallelism: u32, contention: f64, coherence: f64) -> f64 {
    let p = f64::from(parallelism);
    1.0 + contention * (p - 1.0) + coherence * p * (p - 1.0)
}

impl Operator {
    /// Returns the largest parallelism that has an effect.
    pub fn max_parallelism(&self) -> Option<u32> {
        self.input_units().map(|input_units| u32::try_from(input_units.len()).unwrap_or(u32::MAX))
    }

    fn input_units(&self) -> Option<&[f64]> {
        match &self.input {
            Input::Even => None,
            Input::KeyGroups(weights) | Input::Partitions(weights) => Some(weights),
        }
    }

    /// Returns each subtask's share of the input: key groups in Flink's ranges, partitions round robin.
    pub fn shares(&self, parallelism: u32) -> Vec<f64> {
        let p = parallelism.max(1) as usize;
        let mut shares = vec![0.0; p];
        match &self.input {
            #[expect(clippy::cast_precision_loss, reason = "a parallelism")]
            Input::Even => shares.fill(1.0 / p as f64),
            Input::KeyGroups(weights) => {
                for (group, weight) in weights.iter().enumerate() {
                    shares[group * p / weights.len()] += weight;
                }
            }
            Input::Partitions(weights) => {
                for (partition, weight) in weights.iter().enumerate() {
                    shares[partition % p] += weight;
                }
            }
        }
        shares
    }

    fn width(&self, parallelism: u32) -> ParallelismCapacity {
        let subtask_rate_per_s = self.rate_per_s / slowdown(parallelism, self.contention, self.coherence);
        let fullest_share = self.shares(parallelism).into_iter().fold(0.0, f64::max);
        let own_per_s = subtask_rate_per_s / fullest_share;
        let limit_per_s = self.external_limit_per_s.unwrap_or(f64::INFINITY);
        ParallelismCapacity {
            subtask_rate_per_s,
            fullest_share,
            capacity_per_s: own_per_s.min(limit_per_s),
            is_externally_limited: own_per_s > limit_per_s,
        }
    }

    /// Returns how long a firing of this many stored records blocks the fullest subtask, in seconds.
    pub(crate) fn firing_s(&self, stored: f64, parallelism: u32, width: &ParallelismCapacity) -> f64 {
        let cost_s = self.window.map_or(0.0, |window| window.firing_s_per_record);
        cost_s * stored * width.fullest_share * (1.0 + self.contention * f64::from(parallelism.max(1) - 1))
    }

    fn problem(&self) -> Option<(&'static str, &'static str)> {
        let positive = |value: f64| value.is_finite() && value > 0.0;
        let not_negative = |value: f64| value.is_finite() && value >= 0.0;
        let window = self.window.is_none_or(|window| {
            window.slide_s >= 1
                && not_negative(window.firing_s_per_record)
                && not_negative(window.emitted_per_record)
        });
        let checks = [
            (positive(self.rate_per_s), "rate_per_s", "give a number above 0"),
            (not_negative(self.contention), "contention", "give a number from 0 on"),
            (not_negative(self.coherence), "coherence", "give a number from 0 on"),
            (self.external_limit_per_s.is_none_or(positive), "external_limit_per_s", "give a number above 0"),
            (
                positive(self.busy_bias) && self.busy_bias <= 1.0,
                "busy_bias",
                "give a number above 0 and at most 1",
            ),
            (positive(self.load_share), "load_share", "give a number above 0"),
            (
                self.inputs.iter().all(|edge| not_negative(edge.selectivity)),
                "selectivity",
                "give a number from 0 on",
            ),
            (
                self.input_units().is_none_or(|weights| (1..=32_768).contains(&weights.len())),
                "partitions or key_groups",
                "give a number from 1 to 32768",
            ),
            (window, "window", "slide_s must be at least 1, the others not negative"),
        ];
        checks.into_iter().find(|(right, ..)| !right).map(|(_, key, remedy)| (key, remedy))
    }
}

impl Job {
    /// Creates a job of these operators, with `parallelism_max` as the maximum of each.
    ///
    /// # Errors
    /// See [`JobError`].
    pub fn new(operators: Vec<Operator>, parallelism_max: u32) -> Result<Self, JobError> {
        let parallelism_max = parallelism_max.max(1);
        let operators = ordered(operators)?;
        for operator in &operators {
            if let Some((key, remedy)) = operator.problem() {
                return Err(JobError::Number { operator: operator.name.clone(), key, remedy });
            }
            if operator.inputs.is_empty() != matches!(operator.input, Input::Partitions(_)) {
                return Err(JobError::Source(operator.name.clone()));
            }
        }
        let upstream: Vec<Vec<Upstream>> =
            operators.iter().map(|operator| upstream(operator, &operators)).collect();
        let mut readers = vec![Vec::new(); operators.len()];
        for (index, edges) in upstream.iter().enumerate() {
            for (input, edge) in edges.iter().enumerate() {
                readers[edge.operator].push(Reader { operator: index, input, selectivity: edge.selectivity });
            }
        }
        let most = |operator: &Operator| operator.max_parallelism().unwrap_or(u32::MAX).min(parallelism_max);
        let widths = |operator: &Operator| (1..=most(operator)).map(|p| operator.width(p)).collect();
        let widths = operators.iter().map(widths).collect();
        let sources = (0..operators.len()).filter(|index| operators[*index].inputs.is_empty()).collect();
        Ok(Self { upstream, readers, widths, sources, parallelism_max, operators })
    }

    /// Returns the operators in topological order.
    pub fn operators(&self) -> &[Operator] {
        &self.operators
    }

    /// Returns the indices of the sources.
    pub fn sources(&self) -> &[usize] {
        &self.sources
    }

    pub(crate) fn upstream(&self, operator: usize) -> &[Upstream] {
        &self.upstream[operator]
    }

    pub(crate) fn readers(&self, operator: usize) -> &[Reader] {
        &self.readers[operator]
    }

    /// Returns the operator's maximum parallelism.
    pub fn most(&self, operator: usize) -> u32 {
        u32::try_from(self.widths[operator].len()).unwrap_or(u32::MAX)
    }

    /// Returns the operator's capacity at this parallelism, which must be between 1 and [`Job::most`].
    pub fn width(&self, operator: usize, parallelism: u32) -> &ParallelismCapacity {
        let widths = &self.widths[operator];
        &widths[(parallelism.max(1) as usize - 1).min(widths.len() - 1)]
    }

    /// Returns the required slots: the highest parallelism in each slot sharing group, summed.
    pub fn slots(&self, parallelism: &[u32]) -> u32 {
        let group = |index: usize| self.operators[index].slot_sharing_group.as_deref();
        let widest_of = |index: usize| {
            let same = (0..parallelism.len()).filter(|other| group(*other) == group(index));
            let widest = same.clone().map(|other| parallelism[other]).max().unwrap_or(0);
            // Each group is counted at its first operator.
            if same.clone().next() == Some(index) { widest } else { 0 }
        };
        (0..parallelism.len()).map(widest_of).sum()
    }

    /// Returns the records per second that reach each operator at these source rates, given in the order of
    /// [`Job::sources`].
    pub fn demand(&self, source_rates_per_s: &[f64]) -> Vec<f64> {
        let mut arriving = vec![0.0; self.operators.len()];
        for (source, rate) in self.sources.iter().zip(source_rates_per_s) {
            arriving[*source] = *rate;
        }
        for (index, edges) in self.upstream.iter().enumerate() {
            for edge in edges {
                let emitted =
                    self.operators[edge.operator].window.map_or(1.0, |window| window.emitted_per_record);
                arriving[index] += arriving[edge.operator] * emitted * edge.selectivity;
            }
        }
        arriving
    }

    /// Returns the smallest parallelism of each operator that sustains `headroom` times these source rates, or else
    /// the one with the highest capacity.
    pub fn least(&self, source_rates_per_s: &[f64], headroom: f64) -> Vec<u32> {
        let demand = self.demand(source_rates_per_s);
        let least = |(index, operator): (usize, &Operator)| {
            let (mut most_per_s, mut best) = (-1.0, 1);
            for p in 1..=self.most(index) {
                let width = self.width(index, p);
                if width.capacity_per_s > most_per_s * 1.0001 {
                    (most_per_s, best) = (width.capacity_per_s, p);
                }
                let left = operator.window.map_or(1.0, |window| {
                    let slide_s = f64::from(window.slide_s);
                    (1.0 - operator.firing_s(demand[index] * slide_s, p, width) / slide_s).max(0.05)
                });
                if width.capacity_per_s * left >= demand[index] * headroom {
                    return p;
                }
            }
            best
        };
        self.operators.iter().enumerate().map(least).collect()
    }

    /// Returns the total source rate that this parallelism sustains, at these proportions of the sources.
    pub fn carried_per_s(&self, parallelism: &[u32], source_rates_per_s: &[f64]) -> f64 {
        let demand = self.demand(source_rates_per_s);
        let total: f64 = source_rates_per_s.iter().sum();
        let load = |(index, p): (usize, &u32)| self.width(index, *p).capacity_per_s / demand[index].max(1e-9);
        parallelism.iter().enumerate().map(load).fold(f64::INFINITY, f64::min) * total
    }

    /// Returns the parallelism by operator name.
    pub(crate) fn named(&self, parallelism: &[u32]) -> BTreeMap<String, u32> {
        self.operators.iter().zip(parallelism).map(|(operator, p)| (operator.name.clone(), *p)).collect()
    }

    /// Limits the plan to each operator's maximum.
    pub(crate) fn bounded(&self, plan: &[u32]) -> Vec<u32> {
        plan.iter().enumerate().map(|(index, p)| (*p).clamp(1, self.most(index))).collect()
    }

    /// Returns the largest parallelism of any operator.
    pub fn parallelism_max(&self) -> u32 {
        self.parallelism_max
    }
}

/// Sorts the operators topologically, then by name.
fn ordered(mut rest: Vec<Operator>) -> Result<Vec<Operator>, JobError> {
    rest.sort_by(|a, b| a.name.cmp(&b.name));
    if let Some(pair) = rest.windows(2).find(|pair| pair[0].name == pair[1].name) {
        return Err(JobError::Twice(pair[0].name.clone()));
    }
    let mut placed: Vec<Operator> = Vec::new();
    while !rest.is_empty() {
        let is_placed = |edge: &Edge| placed.iter().any(|other| other.name == edge.from);
        let Some(next) = rest.iter().position(|operator| operator.inputs.iter().all(is_placed)) else {
            return Err(JobError::Inputs(rest[0].name.clone()));
        };
        placed.push(rest.remove(next));
    }
    Ok(placed)
}

/// Resolves the inputs of an operator to indices.
fn upstream(operator: &Operator, all: &[Operator]) -> Vec<Upstream> {
    let edge = |edge: &Edge| {
        let operator = all.iter().position(|other| other.name == edge.from)?;
        Some(Upstream { operator, selectivity: edge.selectivity })
    };
    let mut edges: Vec<Upstream> = operator.inputs.iter().filter_map(edge).collect();
    edges.sort_by_key(|edge| edge.operator);
    edges
}
