//! One measurement of a state's size. Its JSON form is the interface to programs in other languages.

use serde::{Deserialize, Serialize};

/// Where a figure comes from.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A command that prints what `du` prints.
    Command,
    /// The HTTP interface of HDFS' NameNode.
    Webhdfs,
    /// The checkpoint statistics of Flink's REST interface.
    Flink,
    /// A folder of this machine.
    Local,
}

impl Kind {
    /// Returns its name in configurations, series and samples.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::Webhdfs => "webhdfs",
            Self::Flink => "flink",
            Self::Local => "local",
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// The values of one sample. A value that the source does not provide is unknown, not 0.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SampleValues {
    /// Size of one copy, in bytes. Source `flink`: all that a restore of the newest checkpoint reads.
    pub size_bytes: u64,
    /// Size of all copies, in bytes.
    pub size_with_replicas_bytes: Option<u64>,
    /// Number of regular files.
    pub files: Option<u64>,
    /// Number of folders, including the requested one.
    pub folders: Option<u64>,
    /// Source `flink`: bytes written by the newest checkpoint itself. Less than the size if it is incremental.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpointed_bytes: Option<u64>,
    /// Source `flink`: id of the newest completed checkpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint_id: Option<u64>,
    /// Whether the source rounded the sizes to about two digits (`du -h`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_rounded: bool,
}

/// One successful measurement of one source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// Name of the source in the configuration.
    pub name: String,
    /// Its kind.
    pub source: Kind,
    /// The job whose state it is.
    pub job: String,
    /// The measured values.
    #[serde(flatten)]
    pub figures: SampleValues,
    /// Start of the measurement, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// Duration of the measurement, in milliseconds, rounded up.
    pub duration_ms: u64,
}

impl Sample {
    /// Returns all known values, by name with the unit last.
    pub fn known(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let figures = &self.figures;
        [
            ("size_bytes", Some(figures.size_bytes)),
            ("size_with_replicas_bytes", figures.size_with_replicas_bytes),
            ("files", figures.files),
            ("folders", figures.folders),
            ("checkpointed_bytes", figures.checkpointed_bytes),
            ("duration_ms", Some(self.duration_ms)),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
    }
}
