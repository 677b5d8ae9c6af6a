//! An experiment as it is written: TOML, every key with its unit, unknown keys refused.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

/// The file. Paths are relative to the folder that it lies in.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Written {
    /// What is to be seen, in one sentence.
    pub(crate) description: String,
    /// The job document.
    pub(crate) document: PathBuf,
    /// The event producer's configuration, with the load profile and the seed.
    pub(crate) producer: PathBuf,
    /// The rescaler's configuration, or `none`. Not together with variants.
    pub(crate) rescaler: Option<String>,
    /// How long the load lasts, the warm-up included.
    pub(crate) duration_s: u64,
    /// The beginning of it that counts for nothing.
    pub(crate) warm_up_s: u64,
    /// How often everything is run.
    #[serde(default = "one")]
    pub(crate) repetitions: u32,
    /// The bound that the latency is held against.
    pub(crate) latency_max_ms: f64,
    /// A run whose producer was behind its schedule by more than this (99th percentile) does not count.
    #[serde(default = "schedule_delay_max_ms")]
    pub(crate) schedule_delay_max_ms: f64,
    /// What the job runs on.
    pub(crate) cluster: Cluster,
    /// Initial parallelism by operator, `default` for all others, in place of the document's.
    #[serde(default)]
    pub(crate) parallelism: BTreeMap<String, u32>,
    /// The same load several times, with something else about the scaling.
    #[serde(default, rename = "variant")]
    pub(crate) variants: Vec<WrittenVariant>,
}

/// One of several ways to scale the same job under the same load.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WrittenVariant {
    /// Its name in folders, tables and plots.
    pub(crate) name: String,
    /// The rescaler's configuration, or `none`.
    pub(crate) rescaler: String,
    /// Initial parallelism, over the experiment's.
    #[serde(default)]
    pub(crate) parallelism: BTreeMap<String, u32>,
}

/// What the job runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub struct Cluster {
    /// Task managers.
    pub task_managers: u32,
    /// Slots of each.
    pub task_slots: u32,
    /// Partitions of each input topic.
    pub partitions: u16,
}

const fn one() -> u32 {
    1
}

/// A quarter of a second: far below any latency bound that a rescale is made for, far above what an idle machine shows.
const fn schedule_delay_max_ms() -> f64 {
    250.0
}
