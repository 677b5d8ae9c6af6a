//! The decision of a policy: a plan or the reason for none, with all figures behind it.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Kind;

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Publish the new parallelism.
    Rescale,
    /// Change nothing.
    None,
}

/// How one operator was looked at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OperatorReport {
    /// The uid.
    pub name: String,
    /// How it can be scaled.
    pub kind: Kind,
    /// Its latency over the epoch, in milliseconds.
    pub latency_ms: Option<f64>,
    /// Today's parallelism.
    pub parallelism: u32,
    /// The parallelism that the formula gives; [`None`] where it was not chosen or a figure is unknown.
    pub new_parallelism: Option<u32>,
    /// The formula with its figures, or why the operator was left alone.
    pub because: String,
    /// The inputs and results of the formula that were known, by name with unit.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub figures: BTreeMap<String, f64>,
}

/// What to do where slots are missing: the end of [`Rejected::because`] then.
pub(crate) const ADD_TASK_MANAGERS: &str = "add task managers";

/// A parallelism that was considered and not taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejected {
    /// Of which operator.
    pub operator: String,
    /// What was considered.
    pub parallelism: u32,
    /// Why it was not taken.
    pub because: String,
}

/// A plan with its price, as a policy compared it with others.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Candidate {
    /// The parallelism by operator, only where it differs from today's; empty: the job stays as it is.
    pub parallelism: BTreeMap<String, u32>,
    /// The slots that it needs.
    pub slots: u32,
    /// What it is trusted to carry, in records of all sources per second.
    pub capacity_per_s: f64,
    /// Its price, in slot-seconds.
    pub price_slot_s: f64,
    /// The terms of the price, by name, in slot-seconds.
    pub terms: BTreeMap<String, f64>,
    /// Whether it was the cheapest.
    pub is_cheapest: bool,
}

/// What keeps a job from carrying more with more subtasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// A source has a subtask for each of its partitions.
    SourceLimited,
    /// One subtask gets a share of the records that no parallelism divides.
    Skew,
    /// A system outside of the job takes no more.
    External,
    /// A firing takes too long at any parallelism.
    WindowBurst,
    /// A window over all keys runs at 1.
    AllWindow,
    /// The task managers collect garbage.
    GarbageCollection,
    /// The operator is as wide as it can be.
    Width,
    /// Further subtasks add too little.
    Contention,
}

impl Cause {
    /// Its name in JSON and in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::SourceLimited => "source-limited",
            Self::Skew => "skew",
            Self::External => "external",
            Self::WindowBurst => "window-burst",
            Self::AllWindow => "all-window",
            Self::GarbageCollection => "garbage-collection",
            Self::Width => "width",
            Self::Contention => "contention",
        }
    }
}

/// Why more subtasks would not help.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnosis {
    /// What it is.
    pub cause: Cause,
    /// The operator that limits the job.
    pub operator: String,
    /// The cause with its figures, and what would help.
    pub because: String,
}

/// The cluster's figures, where they are known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct ClusterReport {
    /// Mean over task managers of (CPU + memory) / 2, 0 to 1.
    pub cluster_load: Option<f64>,
    /// Mean over task managers of used heap as a share of what may be used, 0 to 1.
    pub memory_usage: Option<f64>,
    /// How long the state takes to be written and read over the network, in seconds.
    pub downtime_estimate_s: Option<f64>,
    /// Whether the cluster should grow.
    pub scale_out: Option<bool>,
    /// Whether the cluster should shrink.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_in: Option<bool>,
    /// The slots that the job needs with the new parallelism.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slots_needed: Option<u32>,
    /// The slots of all task managers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slots_present: Option<u32>,
    /// The slots that this job can have without another task manager: its own and the free ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slots_available: Option<u32>,
    /// Where jobs share a quota: the slots that this job would use without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slots_wanted: Option<u32>,
    /// The slots that the shared quota leaves this job now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slots_granted: Option<u32>,
    /// The wanted number of task managers, if it changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_managers: Option<u32>,
}

/// The answer of a policy for one epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// The policy's name.
    pub policy: String,
    /// What to do.
    pub action: Action,
    /// New parallelism by operator, only where it differs from today's.
    pub parallelism: BTreeMap<String, u32>,
    /// New parallelism of operators without one of their own, if it changes.
    pub default_parallelism: Option<u32>,
    /// The cluster's figures.
    #[serde(flatten)]
    pub cluster: ClusterReport,
    /// Why, in sentences; the first one is the headline.
    pub reasons: Vec<String>,
    /// Every operator that was looked at.
    pub operators: Vec<OperatorReport>,
    /// What was considered and not done.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rejected: Vec<Rejected>,
    /// The figures of the job as a whole that it rests on, by name with unit.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub figures: BTreeMap<String, f64>,
    /// The plans that were compared by price, the fewest slots first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<Candidate>,
    /// Why the job is not widened although it is too narrow, where more subtasks would not help.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diagnosis: Option<Diagnosis>,
}

impl Decision {
    /// Change nothing, for this reason.
    pub fn nothing(policy: &str, reason: impl Into<String>) -> Self {
        Self {
            policy: policy.to_owned(),
            action: Action::None,
            parallelism: BTreeMap::new(),
            default_parallelism: None,
            cluster: ClusterReport::default(),
            reasons: vec![reason.into()],
            operators: Vec::new(),
            rejected: Vec::new(),
            figures: BTreeMap::new(),
            candidates: Vec::new(),
            diagnosis: None,
        }
    }

    /// Whether anything would change.
    pub fn has_change(&self) -> bool {
        self.changes_parallelism() || self.cluster.task_managers.is_some()
    }

    /// Whether the parallelism of any operator would change.
    pub fn changes_parallelism(&self) -> bool {
        !self.parallelism.is_empty() || self.default_parallelism.is_some()
    }

    /// Takes the plan back, for this reason; what was planned is kept as rejected.
    pub fn withdraw(&mut self, reason: impl Into<String>) {
        let reason = reason.into();
        for (operator, parallelism) in std::mem::take(&mut self.parallelism) {
            self.rejected.push(Rejected { operator, parallelism, because: reason.clone() });
        }
        self.default_parallelism = None;
        self.cluster.task_managers = None;
        self.action = Action::None;
        self.reasons.insert(0, reason);
    }

    /// Returns the parallelism that an operator does not get because the cluster has no slots for it.
    pub fn short_of_slots(&self) -> Option<&Rejected> {
        self.rejected.iter().find(|rejected| rejected.because.ends_with(ADD_TASK_MANAGERS))
    }

    /// Today's and the new parallelism of one operator of the plan, as `1 → 3`.
    fn step(&self, name: &str, new: u32) -> String {
        match self.operators.iter().find(|operator| operator.name == name) {
            Some(operator) => format!("{name} {} → {new}", operator.parallelism),
            None => format!("{name} → {new}"),
        }
    }
}

impl fmt::Display for Decision {
    /// One line: the plan if there is one, and the reasons.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.action == Action::Rescale {
            let mut steps: Vec<String> =
                self.parallelism.iter().map(|(name, new)| self.step(name, *new)).collect();
            steps.extend(self.default_parallelism.map(|new| format!("default → {new}")));
            steps.extend(self.cluster.task_managers.map(|wanted| format!("task managers → {wanted}")));
            write!(f, "rescale {}: ", steps.join(", "))?;
        }
        f.write_str(&self.reasons.join("; "))
    }
}
