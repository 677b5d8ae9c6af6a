//! Facts that Flink reports about itself. Unknown is a value: a check that needs it is skipped, and the report says
//! so.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::Version;

/// Facts about a cluster and one of its jobs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// Flink's version as reported, for example `1.20.5`.
    pub version: String,
    /// The keys that are set in the cluster's configuration; [`None`]: unavailable.
    pub configuration: Option<Configuration>,
    /// Total slots of all registered task managers.
    pub slots: Option<u32>,
    /// Free slots.
    pub slots_free: Option<u32>,
    /// The job; [`None`]: none is running.
    pub job: Option<JobFacts>,
}

/// Facts about a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobFacts {
    /// Its name.
    pub name: String,
    /// Whether Flink could rescale it in place.
    pub in_place: InPlace,
    /// Its vertices.
    pub vertices: Vec<VertexFacts>,
    /// Its checkpoints.
    pub checkpointing: Checkpointing,
    /// Its checkpoint storage as named by Flink, for example `FileSystemCheckpointStorage`.
    pub checkpoint_storage: Option<String>,
}

/// Whether Flink could rescale a running job in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InPlace {
    /// Possible.
    Possible,
    /// Rejected: the scheduler is not the adaptive one.
    OtherScheduler,
    /// Rejected: the cluster runs in reactive mode.
    Reactive,
    /// Not known.
    Unknown,
}

/// Whether a job has checkpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checkpointing {
    /// Disabled.
    Off,
    /// Enabled with this interval.
    Every(Duration),
    /// Not known.
    Unknown,
}

/// A vertex of the job graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VertexFacts {
    /// The names of its operators.
    pub name: String,
    /// Number of subtasks.
    pub parallelism: u32,
    /// Maximum number of subtasks; 1 for an inherently sequential one.
    pub max_parallelism: u32,
    /// Smallest number of subtasks with which the job starts, if known.
    pub lower_bound: Option<u32>,
}

/// Configuration keys that are set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Configuration(pub BTreeMap<String, String>);

impl Configuration {
    /// Returns the value of the first of these keys that is set.
    pub fn get(&self, keys: &[&str]) -> Option<&str> {
        keys.iter().find_map(|key| self.0.get(*key)).map(String::as_str)
    }

    /// Whether a key has this value, ignoring case.
    pub fn is(&self, key: &str, value: &str) -> bool {
        self.get(&[key]).is_some_and(|found| found.eq_ignore_ascii_case(value))
    }

    /// Whether Flink starts task managers itself when slots are missing.
    pub fn makes_slots_on_demand(&self) -> bool {
        let target = self.get(&["execution.target"]).unwrap_or_default();
        target.starts_with("kubernetes")
            || target.starts_with("yarn")
            || self.get(&["kubernetes.cluster-id", "yarn.application.id"]).is_some()
    }
}

impl Facts {
    pub(crate) fn version(&self) -> Option<Version> {
        Version::parse(&self.version)
    }
}
