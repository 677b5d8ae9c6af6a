//! Parses the name of a series into job, operator, subtask and metric, by patterns.
//!
//! A pattern is a regular expression with named groups over the series' dotted name: `job`, `operator`, `subtask`, `metric`, and
//! `tm` for the task manager. With `operator` and `subtask` the series belongs to a subtask; with `tm` and neither, to a task
//! manager; with `job` alone, to the job. Patterns are tried in order and the first match counts, so no series counts twice.
//!
//! Graphite and Whisper have dotted names. A series of Prometheus gets a dotted name from its labels
//! ([`crate::store::labels`]), so that the same patterns apply.

use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};

use crate::names::{self, SubtaskMetric};

/// Size limit of a compiled pattern, in bytes: patterns come from the configuration.
const PATTERN_BYTES: usize = 1 << 20;

/// Built-in patterns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// What every Flink job has: records, busy time, backlog, watermark; and the task managers.
    Flink,
    /// The histograms of this project's jobs, beside what every job has.
    Rescaler,
    /// The names under which the original experiments recorded: rates and means instead of counters.
    Thesis,
}

/// `<anything>.taskmanager.<tm>.<job>.<operator>.<subtask>.`, Flink's default scopes of tasks and operators.
const SUBTASK: &str =
    r"^(?:.*\.)?taskmanager\.(?<tm>[^.]+)\.(?<job>[^.]+)\.(?<operator>[^.]+)\.(?<subtask>\d{1,6})\.";
/// `<anything>.taskmanager.<tm>.`, the scope of a task manager's JVM.
const TASK_MANAGER: &str = r"^(?:.*\.)?taskmanager\.(?<tm>[^.]+)\.";
/// `<anything>.jobmanager.<job>.`, the scope of a job at the JobManager.
const JOB: &str = r"^(?:.*\.)?jobmanager\.(?<job>[^.]+)\.";
/// `rescaler.<job>.state.<name>.`, the default name of a state probe's source that measures files.
const PROBE: &str = r"^rescaler\.(?<job>[^.]+)\.state\.(?:command|webhdfs|hdfs|local)\.";

impl Preset {
    fn patterns(self) -> Vec<String> {
        let flink = [
            format!(
                r"{SUBTASK}(?<metric>numRecords(?:In|Out)|accumulate(?:Busy|Idle|BackPressured)TimeMs|(?:busy|idle|backPressured)TimeMsPerSecond|pendingRecords|watermarkLag|currentInputWatermark)(?:\.count)?$"
            ),
            format!(
                r"{TASK_MANAGER}(?<metric>Status[._](?:JVM[._](?:CPU[._]Load|Memory[._]Heap[._](?:Used|Max)|GarbageCollector[._]All[._]Time)|Flink[._]Memory[._]Managed[._](?:Used|Total)))$"
            ),
            format!(r"{JOB}(?<metric>lastCheckpointFullSize)$"),
            format!(
                r"{SUBTASK}(?<metric>Kafka(?:SourceReader|Consumer)\.topic\..+\.partition\.\d+\.currentOffsets?)$"
            ),
        ];
        let histogram = r"(?:latency|waitingTime)(?:Input[12])?|overallLatency|eventLatency|windowSize";
        match self {
            Self::Flink => flink.into(),
            Self::Rescaler => {
                let counted = format!(
                    r"{SUBTASK}(?<metric>(?:{histogram})(?:Count|Sum)|latency[._]max|(?:overall|event)Latency[._]p99)(?:\.count)?$"
                );
                let stored = format!("{PROBE}(?<metric>size_bytes)$");
                flink.into_iter().chain([counted, stored]).collect()
            }
            Self::Thesis => {
                let rates = format!(r"{SUBTASK}(?<metric>numRecords(?:In|Out)PerSecond)(?:\.m1_rate)?$");
                let means = format!(r"{SUBTASK}(?<metric>(?:{histogram})[._]mean)$");
                flink.into_iter().chain([rates, means]).collect()
            }
        }
    }
}

/// The patterns as configured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MappingSettings {
    /// Patterns by name, after the written ones.
    pub presets: Vec<Preset>,
    /// Patterns as written, tried first.
    pub patterns: Vec<String>,
}

impl Default for MappingSettings {
    fn default() -> Self {
        Self { presets: vec![Preset::Rescaler], patterns: Vec::new() }
    }
}

/// Which metric of a task manager or of the job a name refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum GlobalMetric {
    CpuLoad,
    HeapUsed,
    HeapMax,
    ManagedUsed,
    ManagedMax,
    GcMs,
    StateSize,
    StoredSize,
}

impl GlobalMetric {
    fn from_name(metric: &str) -> Option<Self> {
        Some(match metric.replace('_', ".").as_str() {
            "Status.JVM.CPU.Load" => Self::CpuLoad,
            "Status.JVM.Memory.Heap.Used" => Self::HeapUsed,
            "Status.JVM.Memory.Heap.Max" => Self::HeapMax,
            "Status.Flink.Memory.Managed.Used" => Self::ManagedUsed,
            "Status.Flink.Memory.Managed.Total" => Self::ManagedMax,
            "Status.JVM.GarbageCollector.All.Time" => Self::GcMs,
            "lastCheckpointFullSize" => Self::StateSize,
            "size.bytes" => Self::StoredSize,
            _ => return None,
        })
    }
}

/// What a series measures.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Subject {
    /// Of one subtask of an operator or vertex of a job.
    Subtask { job: String, operator: String, subtask: u32, figure: SubtaskMetric },
    /// Of one partition that a subtask of a source reads.
    Partition { job: String, operator: String, subtask: u32, partition: String },
    /// Of a task manager.
    TaskManager { id: String, figure: GlobalMetric },
    /// Of a job.
    Job { job: String, figure: GlobalMetric },
}

/// Patterns, compiled.
#[derive(Debug)]
pub(crate) struct Mapping {
    patterns: Vec<Regex>,
}

impl Mapping {
    /// Compiles the patterns.
    ///
    /// # Errors
    /// Each pattern that cannot be used, with what is wrong with it.
    pub(crate) fn new(settings: &MappingSettings) -> Result<Self, Vec<String>> {
        let presets = settings.presets.iter().flat_map(|preset| preset.patterns());
        let mut problems = Vec::new();
        let mut patterns = Vec::new();
        for text in settings.patterns.iter().cloned().chain(presets) {
            match compile(&text) {
                Ok(pattern) => patterns.push(pattern),
                Err(problem) => problems.push(problem),
            }
        }
        if problems.is_empty() { Ok(Self { patterns }) } else { Err(problems) }
    }

    /// What the series of this name is, if any pattern knows it.
    pub(crate) fn subject(&self, name: &str) -> Option<Subject> {
        Some(self.subject_and_origin(name)?.0)
    }

    /// The same with what remains of the name without job, operator, subtask and metric: who writes the series.
    pub(crate) fn subject_and_origin(&self, name: &str) -> Option<(Subject, String)> {
        let captures = self.patterns.iter().find_map(|pattern| pattern.captures(name))?;
        let subject = subject(|group| captures.name(group).map(|found| found.as_str()))?;
        let named = ["job", "operator", "subtask", "metric"].iter().filter_map(|group| captures.name(group));
        let mut ranges: Vec<_> = named.map(|found| found.range()).collect();
        ranges.sort_by_key(|range| range.start);
        let (mut origin, mut end) = (String::new(), 0);
        for range in ranges.into_iter().filter(|range| !range.is_empty()) {
            // Groups may be nested in a pattern of the user's own.
            if range.start >= end {
                origin.push_str(&name[end..range.start]);
                origin.push('*');
                end = range.end;
            }
        }
        origin.push_str(&name[end..]);
        Some((subject, origin))
    }
}

fn subject<'c>(group: impl Fn(&str) -> Option<&'c str>) -> Option<Subject> {
    let metric = group("metric")?;
    if let (Some(operator), Some(subtask)) = (group("operator"), group("subtask")) {
        let job = group("job").unwrap_or_default().to_owned();
        let (operator, subtask) = (operator.to_owned(), subtask.parse().ok()?);
        if let Some(partition) = names::partition(metric) {
            return Some(Subject::Partition { job, operator, subtask, partition: partition.to_owned() });
        }
        return Some(Subject::Subtask { job, operator, subtask, figure: SubtaskMetric::from_name(metric)? });
    }
    let figure = GlobalMetric::from_name(metric)?;
    if let Some(id) = group("tm") {
        return Some(Subject::TaskManager { id: id.to_owned(), figure });
    }
    Some(Subject::Job { job: group("job")?.to_owned(), figure })
}

fn compile(text: &str) -> Result<Regex, String> {
    let pattern = RegexBuilder::new(text)
        .size_limit(PATTERN_BYTES)
        .build()
        .map_err(|error| format!("{text:?} is not a regular expression ({error})"))?;
    let has = |name: &str| pattern.capture_names().flatten().any(|group| group == name);
    let is_known = |name: &&str| ["job", "operator", "subtask", "metric", "tm"].contains(name);
    if let Some(unknown) = pattern.capture_names().flatten().find(|name| !is_known(name)) {
        return Err(format!(
            "{text:?} has an unknown group {unknown:?}; use job, operator, subtask, metric and tm"
        ));
    }
    if !has("metric") || has("operator") != has("subtask") || !(has("operator") || has("tm") || has("job")) {
        return Err(format!(
            "{text:?} needs group metric with operator and subtask, or with tm, or with job"
        ));
    }
    Ok(pattern)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(presets: &[Preset], patterns: &[&str]) -> Mapping {
        let patterns = patterns.iter().map(|text| (*text).to_owned()).collect();
        Mapping::new(&MappingSettings { presets: presets.into(), patterns }).unwrap()
    }

    fn subtask(job: &str, operator: &str, subtask: u32, figure: SubtaskMetric) -> Option<Subject> {
        Some(Subject::Subtask { job: job.to_owned(), operator: operator.to_owned(), subtask, figure })
    }

    /// Goal: names as Flink's reporters write them are understood, and the many others are not.
    #[test]
    fn presets_know_the_names_of_the_reporters() {
        let flink = mapping(&[Preset::Flink], &[]);
        let check =
            |name: &str, expected: Option<Subject>| assert_eq!(flink.subject(name), expected, "{name}");
        let scope = "my-host.taskmanager.tm-1.My-Job";
        check(
            &format!("{scope}.Source:-SEARCH-->-Map.12.numRecordsIn.count"),
            subtask("My-Job", "Source:-SEARCH-->-Map", 12, SubtaskMetric::RecordsIn),
        );
        check(
            &format!("a.b.{scope}.q7.0.accumulateBusyTimeMs"),
            subtask("My-Job", "q7", 0, SubtaskMetric::BusyMs),
        );
        check(
            &format!("{scope}.Source:-a.1.KafkaSourceReader.topic.my-topic.partition.3.currentOffset"),
            Some(Subject::Partition {
                job: "My-Job".to_owned(),
                operator: "Source:-a".to_owned(),
                subtask: 1,
                partition: "KafkaSourceReader.topic.my-topic.partition.3".to_owned(),
            }),
        );
        check(&format!("{scope}.q7.0.numRecordsInPerSecond.count"), None);
        check(&format!("{scope}.q7.x.numRecordsIn.count"), None);
        check(&format!("{scope}.q7.0.latencySum.count"), None);
        let id = "tm-1".to_owned();
        for name in ["Status.JVM.CPU.Load", "Status_JVM_CPU_Load"] {
            let subject = Subject::TaskManager { id: id.clone(), figure: GlobalMetric::CpuLoad };
            check(&format!("h.taskmanager.tm-1.{name}"), Some(subject));
        }
        let ours = mapping(&[Preset::Rescaler], &[]);
        let name = format!("{scope}.q7-bid-item.3.latencyInput2Sum.count");
        assert_eq!(
            ours.subject(&name),
            subtask("My-Job", "q7-bid-item", 3, SubtaskMetric::HistogramSum("latencyInput2"))
        );
        let stored = Subject::Job { job: "nexmark".to_owned(), figure: GlobalMetric::StoredSize };
        assert_eq!(ours.subject("rescaler.nexmark.state.webhdfs.size_bytes"), Some(stored));
        assert_eq!(ours.subject("rescaler.nexmark.state.flink.size_bytes"), None);
        assert_eq!(ours.subject("rescaler.nexmark.state.webhdfs.duration_ms"), None);
        let thesis = mapping(&[Preset::Thesis], &[]);
        let name = "host.taskmanager.tm1.My-Job.Source:-SEARCH-->-Map.0.numRecordsInPerSecond";
        let expected = subtask("My-Job", "Source:-SEARCH-->-Map", 0, SubtaskMetric::RecordsInPerS);
        assert_eq!(thesis.subject(name), expected);
        assert_eq!(thesis.subject(&format!("{name}.m1_rate")), expected);
    }

    /// Goal: a written pattern goes before the presets, and one that cannot work is refused with what it needs.
    #[test]
    fn written_patterns_are_checked_and_come_first() {
        let own = r"^(?<job>\w+)/(?<operator>\w+)/(?<subtask>\d+)/(?<metric>\w+)$";
        let mapping = mapping(&[Preset::Flink], &[own]);
        assert_eq!(mapping.subject("j/op/1/numRecordsOut"), subtask("j", "op", 1, SubtaskMetric::RecordsOut));
        for wrong in ["(", "(?<metric>x)", "(?<metric>x)(?<operator>y)", "(?<metric>x)(?<jbo>y)", "(?<job>x)"]
        {
            let settings = MappingSettings { presets: Vec::new(), patterns: vec![wrong.to_owned()] };
            let problems = Mapping::new(&settings).unwrap_err();
            assert!(problems.len() == 1 && problems[0].contains(wrong), "{problems:?}");
        }
    }

    /// Goal: the origin of a series is its name without what it is of, so that two task managers are told apart.
    #[test]
    fn the_origin_is_the_rest_of_the_name() {
        let mapping = mapping(
            &[Preset::Flink],
            &[r"^(?<job>\w+)/(?<operator>\w+)/(?<subtask>\d+)/(?<metric>\w+)@(?<tm>\w+)$"],
        );
        let origin = |name: &str| mapping.subject_and_origin(name).unwrap().1;
        assert_eq!(
            origin("h.taskmanager.tm-1.j.op.0.numRecordsIn.count"),
            "h.taskmanager.tm-1.*.*.*.*.count"
        );
        assert_eq!(origin("j/op/1/numRecordsOut@tm2"), "*/*/*/*@tm2");
    }
}
