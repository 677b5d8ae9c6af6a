//! An experiment's file: TOML, every key with its unit, unknown keys rejected.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

/// The file. Paths are relative to its folder.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawExperiment {
    /// What it demonstrates, in one sentence.
    pub(crate) description: String,
    /// Job document.
    pub(crate) document: PathBuf,
    /// The event producer's configuration, with the load profile and the seed.
    pub(crate) producer: PathBuf,
    /// The rescaler's configuration, or `none`. Not together with variants.
    pub(crate) rescaler: Option<String>,
    /// Duration of the load, including the warm-up.
    pub(crate) duration_s: u64,
    /// Initial part of it that is not evaluated.
    pub(crate) warm_up_s: u64,
    /// Number of repetitions.
    #[serde(default = "one")]
    pub(crate) repetitions: u32,
    /// Latency bound.
    pub(crate) latency_max_ms: f64,
    /// A run whose producer was further behind its schedule (99th percentile) is invalid.
    #[serde(default = "schedule_delay_max_ms")]
    pub(crate) schedule_delay_max_ms: f64,
    /// A run in which Kafka acknowledged later than this after the due time (99th percentile) is invalid; absent: not
    /// checked.
    pub(crate) ack_delay_max_ms: Option<f64>,
    /// A run in which other processes used more cores on average is invalid; absent: not checked.
    pub(crate) others_cpu_max_cores: Option<f64>,
    /// Time compression: the load is that of a longer time, replayed faster by this factor. Programs get it as
    /// `{compression}`.
    #[serde(default = "uncompressed")]
    pub(crate) compression: f64,
    /// Which variants run at the same time, as tenants of one Kafka and one Flink; absent: sequentially.
    pub(crate) side_by_side: Option<SideBySide>,
    /// Measured capacity of the job by parallelism (`experiment sweep`); absent: no parallelism counts as right.
    pub(crate) sweep: Option<PathBuf>,
    /// The job's cluster; with `side_by_side`, each simultaneous variant gets this much.
    pub(crate) cluster: Cluster,
    /// Initial parallelism by operator, `default` for all others; overrides the document's.
    #[serde(default)]
    pub(crate) parallelism: BTreeMap<String, u32>,
    /// Variants with the same load and another way of scaling.
    #[serde(default, rename = "variant")]
    pub(crate) variants: Vec<RawVariant>,
}

/// Which variants run at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SideBySide {
    /// All variants.
    All,
    /// The first variant with each other one, pair after pair.
    Pairs,
}

/// One of several ways of scaling the same job under the same load.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawVariant {
    /// Name in folders, tables and plots.
    pub(crate) name: String,
    /// The rescaler's configuration, or `none`.
    pub(crate) rescaler: Option<String>,
    /// Another program that scales the job.
    pub(crate) program: Option<RawProgram>,
    /// Flink's autoscaler.
    pub(crate) flink_autoscaler: Option<RawAutoscaler>,
    /// Fixed times of changes.
    pub(crate) timetable: Option<Timetable>,
    /// Restart mode of the config agent, instead of the document's: `in-place` or `savepoint-restart`.
    pub(crate) restart_mode: Option<String>,
    /// Initial parallelism; overrides the experiment's.
    #[serde(default)]
    pub(crate) parallelism: BTreeMap<String, u32>,
}

/// Parallelism of one operator at fixed times; the experiment publishes the documents itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timetable {
    /// The operator's uid.
    pub operator: String,
    /// Seconds since the load began and the parallelism from then on, in order of time.
    pub widths: Vec<(u64, u32)>,
}

/// A program that scales the job. Placeholders in arguments and environment: `{flink}`, `{job}`, `{job_id}`,
/// `{folder}`, `{configs}` and `{compression}` stand for Flink's URL, the job's name and id, a folder of the run, the
/// folder of the experiment's file, and the time compression.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawProgram {
    /// Program and arguments.
    pub(crate) command: Vec<String>,
    /// Environment variables, in addition to the inherited ones.
    #[serde(default)]
    pub(crate) environment: BTreeMap<String, String>,
}

/// Apache's library `flink-autoscaler`, driven by this project's program in `flink-autoscaler`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawAutoscaler {
    /// Path of its options.
    pub(crate) options: PathBuf,
    /// Decision interval, in seconds.
    #[serde(default = "autoscaler_interval_s")]
    pub(crate) interval_s: u32,
    /// Another version of the library, instead of the built-in one.
    pub(crate) library: Option<PathBuf>,
}

/// Size of the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub struct Cluster {
    /// Number of task managers.
    pub task_managers: u32,
    /// Slots per task manager.
    pub task_slots: u32,
    /// Partitions per input topic.
    pub partitions: u16,
}

const fn one() -> u32 {
    1
}

const fn uncompressed() -> f64 {
    1.0
}

/// Default of Apache's standalone autoscaler.
const fn autoscaler_interval_s() -> u32 {
    10
}

/// A quarter of a second: far below any practical latency bound, far above an idle machine's delay.
const fn schedule_delay_max_ms() -> f64 {
    250.0
}
