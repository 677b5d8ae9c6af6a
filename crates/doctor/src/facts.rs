//! What Flink shows of itself. Unknown is a value: a check that needs it is not made, and the report says so.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::Version;

/// What is known of a cluster and one of its jobs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// Flink's version as it states it, for example `1.20.5`.
    pub version: String,
    /// The keys that are set in the cluster's configuration; [`None`]: Flink does not show them.
    pub configuration: Option<Configuration>,
    /// The slots of all registered task managers.
    pub slots: Option<u32>,
    /// The slots that no job holds.
    pub slots_free: Option<u32>,
    /// The job; [`None`]: none runs.
    pub job: Option<JobFacts>,
}

/// What is known of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobFacts {
    /// Its name.
    pub name: String,
    /// Whether Flink would change its parallelism.
    pub in_place: InPlace,
    /// Its vertices.
    pub vertices: Vec<VertexFacts>,
    /// Its checkpoints.
    pub checkpointing: Checkpointing,
    /// Where checkpoints are kept, as Flink calls it, for example `FileSystemCheckpointStorage`.
    pub checkpoint_storage: Option<String>,
}

/// Whether Flink would change the parallelism of a running job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InPlace {
    /// It would.
    Possible,
    /// It has refused: another scheduler than the adaptive one runs the job.
    OtherScheduler,
    /// It has refused: the cluster runs in reactive mode.
    Reactive,
    /// Not known.
    Unknown,
}

/// Whether a job makes checkpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checkpointing {
    /// It does not.
    Off,
    /// So often.
    Every(Duration),
    /// Not known.
    Unknown,
}

/// A vertex of the job graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VertexFacts {
    /// The names of its operators.
    pub name: String,
    /// Its subtasks.
    pub parallelism: u32,
    /// The most subtasks that it can have; 1 for one that is not parallel by nature.
    pub max_parallelism: u32,
    /// The least subtasks with which the job starts, where that is known.
    pub lower_bound: Option<u32>,
}

/// The keys that are set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Configuration(pub BTreeMap<String, String>);

impl Configuration {
    /// The value of the first of these keys that is set.
    pub fn get(&self, keys: &[&str]) -> Option<&str> {
        keys.iter().find_map(|key| self.0.get(*key)).map(String::as_str)
    }

    /// Whether a key has this value, in any case of its letters.
    pub fn is(&self, key: &str, value: &str) -> bool {
        self.get(&[key]).is_some_and(|found| found.eq_ignore_ascii_case(value))
    }

    /// Whether task managers are started by Flink itself where slots are missing.
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
