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
    /// A run in which Kafka acknowledged later than this after the due time (99th percentile) does not count; absent: not judged.
    pub(crate) ack_delay_max_ms: Option<f64>,
    /// A run beside which other processes used more than so many cores on average does not count; absent: not judged.
    pub(crate) others_cpu_max_cores: Option<f64>,
    /// The load is that of a longer time, played faster by this factor. Programs get it as `{compression}`.
    #[serde(default = "uncompressed")]
    pub(crate) compression: f64,
    /// Which variants run at the same time, as tenants of one Kafka and one Flink; absent: one after the other.
    pub(crate) side_by_side: Option<SideBySide>,
    /// What each width of the job has been seen to carry (`experiment sweep`); absent: no width is called the right one.
    pub(crate) sweep: Option<PathBuf>,
    /// What the job runs on; with `side_by_side` there is as much for each variant that runs at the time.
    pub(crate) cluster: Cluster,
    /// Initial parallelism by operator, `default` for all others, in place of the document's.
    #[serde(default)]
    pub(crate) parallelism: BTreeMap<String, u32>,
    /// The same load several times, with something else about the scaling.
    #[serde(default, rename = "variant")]
    pub(crate) variants: Vec<WrittenVariant>,
}

/// Which variants run at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SideBySide {
    /// All of them.
    All,
    /// The first one beside each other, pair after pair.
    Pairs,
}

/// One of several ways to scale the same job under the same load.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WrittenVariant {
    /// Its name in folders, tables and plots.
    pub(crate) name: String,
    /// The rescaler's configuration, or `none`.
    pub(crate) rescaler: Option<String>,
    /// Any other program that scales the job.
    pub(crate) program: Option<WrittenProgram>,
    /// Flink's own autoscaler.
    pub(crate) flink_autoscaler: Option<WrittenAutoscaler>,
    /// How a change of our config agent is made, in place of the document's: `in-place` or `savepoint-restart`.
    pub(crate) restart_mode: Option<String>,
    /// Initial parallelism, over the experiment's.
    #[serde(default)]
    pub(crate) parallelism: BTreeMap<String, u32>,
}

/// A program that scales the job. `{flink}`, `{job}`, `{job_id}`, `{folder}`, `{configs}` and `{compression}` in arguments and
/// environment stand for Flink's address, the job's name and id, a folder of the run, the folder of the experiment's file, and the
/// factor of compression.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WrittenProgram {
    /// The program and its arguments.
    pub(crate) command: Vec<String>,
    /// Variables beside the inherited ones.
    #[serde(default)]
    pub(crate) environment: BTreeMap<String, String>,
}

/// Apache's library `flink-autoscaler`, driven by this project's program in `flink-autoscaler`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WrittenAutoscaler {
    /// Its options.
    pub(crate) options: PathBuf,
    /// From one look at the job to the next, in seconds.
    #[serde(default = "autoscaler_interval_s")]
    pub(crate) interval_s: u32,
    /// Another version of the library, in place of the one that the program is built with.
    pub(crate) library: Option<PathBuf>,
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

const fn uncompressed() -> f64 {
    1.0
}

/// The default of Apache's standalone autoscaler.
const fn autoscaler_interval_s() -> u32 {
    10
}

/// A quarter of a second: far below any latency bound that a rescale is made for, far above what an idle machine shows.
const fn schedule_delay_max_ms() -> f64 {
    250.0
}
