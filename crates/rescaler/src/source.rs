//! `[source]` and `[metrics]`: where metrics come from, as configured, and opening it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::ValueEnum;
use secrets::Address;
use serde::{Deserialize, Serialize};
use telemetry::{Bounds, FlinkCluster, MappingSettings, MetricSource, StoreKind, StoreSettings};

use crate::config::Config;

/// What is asked of Graphite unless configured: what the presets know, below any one component for the host.
const TARGETS: [&str; 9] = [
    "*.taskmanager.*.*.*.*.{numRecordsIn,numRecordsOut,*Count,*Sum}.count",
    "*.taskmanager.*.*.*.*.{accumulate*TimeMs,busyTimeMsPerSecond,pendingRecords,watermarkLag,currentInputWatermark}",
    "*.taskmanager.*.*.*.*.latency.max",
    "*.taskmanager.*.*.*.*.KafkaSourceReader.topic.*.partition.*.currentOffset",
    "*.taskmanager.*.Status.JVM.{CPU.Load,Memory.Heap.Used,Memory.Heap.Max,GarbageCollector.All.Time}",
    "*.taskmanager.*.Status.Flink.Memory.Managed.{Used,Total}",
    "*.taskmanager.*.*.*.*.numRecords{In,Out}PerSecond.m1_rate",
    "*.jobmanager.*.lastCheckpointFullSize",
    "rescaler.*.state.{command,webhdfs,hdfs,local}.size_bytes",
];

/// What is asked of Prometheus unless configured: what the presets know.
const SELECTOR: &str = concat!(
    r#"{__name__=~"flink_taskmanager_job_task_(numRecords(In|Out)|accumulate(Busy|Idle|BackPressured)TimeMs"#,
    r"|busyTimeMsPerSecond|currentInputWatermark|operator_(pendingRecords|watermarkLag|numRecordsIn",
    r"|KafkaSourceReader_topic_partition_currentOffset",
    r"|((latency|waitingTime)(Input[12])?|overallLatency|eventLatency|windowSize)(Count|Sum)))",
    r"|flink_taskmanager_Status_(JVM_(CPU_Load|Memory_Heap_(Used|Max)|GarbageCollector_All_Time)",
    r#"|Flink_Memory_Managed_(Used|Total))|flink_jobmanager_job_lastCheckpointFullSize"}"#
);

/// The kinds of sources.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum SourceKind {
    /// Flink's REST interface.
    #[default]
    FlinkRest,
    /// A folder of Whisper files.
    Whisper,
    /// Graphite's render interface.
    Graphite,
    /// Prometheus' query interface.
    Prometheus,
}

impl SourceKind {
    /// The name in configuration and records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FlinkRest => "flink-rest",
            Self::Whisper => "whisper",
            Self::Graphite => "graphite",
            Self::Prometheus => "prometheus",
        }
    }
}

/// Where the job's graph comes from if the metrics come from a store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Graph {
    /// Flink's REST interface.
    #[default]
    FlinkRest,
    /// The names of the series, which tell no edges.
    Names,
}

/// `[source]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SourceSection {
    /// Kind of source.
    pub kind: SourceKind,
    /// URL of the store.
    pub url: Address,
    /// Folder of Whisper files.
    pub folder: PathBuf,
    /// Source of the job's graph.
    pub graph: Graph,
    /// Interval between values of a series in the store, in milliseconds.
    pub interval_ms: u64,
    /// How long a subtask without new values is still expected, in milliseconds.
    pub lookback_ms: u64,
    /// Timeout of one query, in milliseconds.
    pub timeout_ms: u64,
    /// Size limit of one response, in bytes.
    pub max_body_bytes: usize,
    /// Largest number of series in one response, or of files.
    pub max_series: usize,
    /// Targets to query from Graphite.
    pub targets: Vec<String>,
    /// Selector to query from Prometheus.
    pub selector: String,
    /// Labels that the series of Prometheus must have, in addition to the selector.
    pub labels: BTreeMap<String, String>,
    /// Login at the store and trusted certificates.
    pub access: http_client::Access,
}

impl Default for SourceSection {
    fn default() -> Self {
        Self {
            kind: SourceKind::FlinkRest,
            url: Address::default(),
            folder: PathBuf::new(),
            graph: Graph::FlinkRest,
            interval_ms: 10_000,
            lookback_ms: 60_000,
            timeout_ms: 10_000,
            max_body_bytes: 64 << 20,
            max_series: 100_000,
            targets: Vec::new(),
            selector: String::new(),
            labels: BTreeMap::new(),
            access: http_client::Access::default(),
        }
    }
}

impl SourceSection {
    /// Everything that is out of its range, as `key: what would be right`.
    pub(crate) fn problems(&self, metrics: &MappingSettings) -> Vec<String> {
        let is_store = self.kind != SourceKind::FlinkRest;
        let needs_folder = self.kind == SourceKind::Whisper;
        let checks = [
            (
                !needs_folder || !self.folder.as_os_str().is_empty(),
                "source.folder: name the folder of Whisper files",
            ),
            (self.interval_ms > 0, "source.interval_ms: give a number above 0"),
            (
                self.lookback_ms >= self.interval_ms.saturating_mul(2) && self.lookback_ms <= 86_400_000,
                "source.lookback_ms: must be at least twice source.interval_ms, and at most a day",
            ),
            (self.timeout_ms > 0, "source.timeout_ms: give a number above 0"),
            (self.max_body_bytes > 0, "source.max_body_bytes: give a number above 0"),
            (self.max_series > 0, "source.max_series: give a number above 0"),
            (
                self.labels.is_empty() || self.kind == SourceKind::Prometheus,
                "source.labels: only series of Prometheus have labels; remove it, or name hosts in source.targets",
            ),
            (
                self.labels.keys().all(|name| is_label(name)),
                "source.labels: a label has letters, digits and _ only",
            ),
            (
                self.labels.is_empty() || with_labels(&self.selector, &self.labels).is_some(),
                "source.labels: source.selector must be a name, or end with }, for labels to be added to it",
            ),
        ];
        let wrong = checks.iter().filter(|(right, _)| !right).map(|(_, problem)| (*problem).to_owned());
        let mut problems: Vec<String> = wrong.collect();
        problems.extend(
            self.store(metrics).filter(|_| is_store).map(|store| store.problems()).unwrap_or_default(),
        );
        problems
    }

    /// Older readings are unknown: two intervals of whatever is slower, the store or the sampling.
    pub(crate) fn newest_age_max(&self, sample_interval: Duration) -> Duration {
        let of_store = match self.kind {
            SourceKind::FlinkRest => Duration::ZERO,
            _ => Duration::from_millis(self.interval_ms),
        };
        2 * of_store.max(sample_interval)
    }

    /// Opens the source; nothing is asked of it yet.
    ///
    /// # Errors
    /// Its settings cannot be used, which [`SourceSection::problems`] has said before.
    pub(crate) fn open(&self, config: &Config, cluster: FlinkCluster) -> anyhow::Result<MetricSource> {
        let job = config.flink_job();
        let Some(store) = self.store(&config.metrics) else {
            return Ok(MetricSource::flink_rest_of(cluster, job));
        };
        let graph = (self.graph == Graph::FlinkRest).then(|| cluster.client().clone());
        MetricSource::store(store, job, graph).context("source")
    }

    fn store(&self, metrics: &MappingSettings) -> Option<StoreSettings> {
        let url = self.url.clone();
        let kind = match self.kind {
            SourceKind::FlinkRest => return None,
            SourceKind::Whisper => StoreKind::Whisper { folder: self.folder.clone() },
            SourceKind::Graphite if self.targets.is_empty() => {
                StoreKind::Graphite { url, targets: TARGETS.map(str::to_owned).into() }
            }
            SourceKind::Graphite => StoreKind::Graphite { url, targets: self.targets.clone() },
            SourceKind::Prometheus => {
                let selector = if self.selector.is_empty() { SELECTOR } else { &self.selector };
                let selector = with_labels(selector, &self.labels).unwrap_or_else(|| selector.to_owned());
                StoreKind::Prometheus { url, selector }
            }
        };
        Some(StoreSettings {
            kind,
            interval: Duration::from_millis(self.interval_ms),
            lookback: Duration::from_millis(self.lookback_ms),
            bounds: Bounds {
                timeout: Duration::from_millis(self.timeout_ms),
                max_body_bytes: self.max_body_bytes,
                max_series: self.max_series,
            },
            access: self.access.clone(),
            mapping: metrics.clone(),
        })
    }
}

fn is_label(name: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && name.chars().all(is_part)
}

/// A selector that demands these labels too; [`None`] if it is none to which they can be added.
fn with_labels(selector: &str, labels: &BTreeMap<String, String>) -> Option<String> {
    let selector = selector.trim();
    if labels.is_empty() {
        return Some(selector.to_owned());
    }
    let escaped = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let matchers: Vec<String> =
        labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
    let matchers = matchers.join(",");
    match selector.strip_suffix('}') {
        Some(head) => {
            let head = head.trim_end();
            let comma = if head.ends_with(['{', ',']) { "" } else { "," };
            Some(format!("{head}{comma}{matchers}}}"))
        }
        None if selector.is_empty()
            || selector.chars().all(|c| is_label(&c.to_string()) || c == ':' || c.is_ascii_digit()) =>
        {
            Some(format!("{selector}{{{matchers}}}"))
        }
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: labels become matchers of the selector, whatever is in them, and are refused where they cannot be.
    #[test]
    fn labels_are_added_to_the_selector() {
        let labels =
            BTreeMap::from([("cluster".to_owned(), "a\"b".to_owned()), ("dc".to_owned(), "1".to_owned())]);
        let added = r#"cluster="a\"b",dc="1""#;
        for (selector, expected) in [
            ("{__name__=~\"x{2}\"}", Some(format!("{{__name__=~\"x{{2}}\",{added}}}"))),
            ("up{}", Some(format!("up{{{added}}}"))),
            ("up", Some(format!("up{{{added}}}"))),
            ("up[5m]", None),
        ] {
            assert_eq!(with_labels(selector, &labels), expected);
        }
        let problems = |kind, labels: &BTreeMap<String, String>| {
            let url = "http://h".into();
            let section = SourceSection { kind, url, labels: labels.clone(), ..SourceSection::default() };
            section.problems(&MappingSettings::default()).join("; ")
        };
        assert_eq!(problems(SourceKind::Prometheus, &labels), "");
        assert!(problems(SourceKind::Graphite, &labels).contains("source.labels"));
        let wrong = BTreeMap::from([("a b".to_owned(), String::new())]);
        assert!(problems(SourceKind::Prometheus, &wrong).contains("source.labels"));
    }

    /// Goal: each kind is refused without what it needs, with the key, and a bad pattern with the pattern.
    #[test]
    fn each_kind_says_what_it_needs() {
        let problems = |section: SourceSection, patterns: &[&str]| {
            let patterns = patterns.iter().map(|text| (*text).to_owned()).collect();
            section.problems(&MappingSettings { patterns, ..MappingSettings::default() }).join("; ")
        };
        let of = |kind| SourceSection { kind, ..SourceSection::default() };
        assert_eq!(problems(of(SourceKind::FlinkRest), &[]), "");
        assert!(problems(of(SourceKind::Whisper), &[]).contains("source.folder"));
        assert!(problems(of(SourceKind::Graphite), &[]).contains("source.url"));
        assert!(problems(of(SourceKind::Prometheus), &[]).contains("source.url"));
        let whisper = SourceSection { folder: "/whisper".into(), ..of(SourceKind::Whisper) };
        assert_eq!(problems(whisper.clone(), &[]), "");
        assert!(problems(whisper, &["(?<metric>x"]).contains("metrics.patterns"));
    }
}
