//! What a series is of, by the labels that Flink's Prometheus reporter gives it.
//!
//! A series gets the dotted name that Flink's Graphite reporter would give it, so that the same patterns serve:
//! `<host>.taskmanager.<tm_id>.<job_name>.<operator or task>.<subtask_index>.<metric>`. Metrics of operators carry the
//! operator's name as well as the task's; the operator's counts. Of the counters that both have, the task's are taken, and of a
//! source operator what it has read.

use std::collections::BTreeMap;

use flink::graphite_component;

use crate::mapping::{Mapping, Subject};
use crate::names::{self, SubtaskMetric};
use crate::sample::Role;

/// Returns what a series with these labels is of, if a pattern knows it. Its name is in the label `__name__`.
pub(super) fn subject(mapping: &Mapping, metric: &BTreeMap<String, String>) -> Option<Subject> {
    let subject = mapping.subject(&dotted(metric)?)?;
    let is_operator = metric.get("__name__").is_some_and(|name| name.starts_with(OPERATOR));
    if is_operator { of_operator(subject) } else { Some(subject) }
}

/// What all metrics of operators begin with.
const OPERATOR: &str = "flink_taskmanager_job_task_operator_";

/// An operator's metric: of those that the task has under the same name, only what a source has read is one of its own.
fn of_operator(mut subject: Subject) -> Option<Subject> {
    if let Subject::Subtask { operator, figure, .. } = &mut subject
        && figure.is_of_task()
    {
        let is_source = names::chain(operator).1 == Role::Source;
        *figure =
            (*figure == SubtaskMetric::RecordsIn && is_source).then_some(SubtaskMetric::SourceRecordsIn)?;
    }
    Some(subject)
}

/// The scopes of Flink's reporter by the beginning of the metric's name, the longest first.
const SCOPES: [&str; 4] =
    ["taskmanager_job_task_operator_", "taskmanager_job_task_", "taskmanager_", "jobmanager_job_"];

/// How the offset of a partition ends in the name; which one it is stands in the labels.
const PARTITION: &str = "_topic_partition_currentOffset";

/// The dotted name of a series; [`None`] if it is none of Flink's scopes.
fn dotted(labels: &BTreeMap<String, String>) -> Option<String> {
    let label = |name: &str| labels.get(name).map(|value| graphite_component(value));
    let name = labels.get("__name__")?.strip_prefix("flink_")?;
    let scope = SCOPES.iter().find(|scope| name.starts_with(**scope))?;
    let metric = name.strip_prefix(scope)?;
    let host = label("host").unwrap_or_default();
    Some(match *scope {
        "jobmanager_job_" => format!("{host}.jobmanager.{}.{metric}", label("job_name")?),
        "taskmanager_" => format!("{host}.taskmanager.{}.{metric}", label("tm_id")?),
        _ => {
            let operator = label("operator_name").or_else(|| label("task_name"))?;
            let (tm, job, subtask) = (label("tm_id")?, label("job_name")?, label("subtask_index")?);
            let metric = match (metric.strip_suffix(PARTITION), label("topic"), label("partition")) {
                (Some(reader), Some(topic), Some(partition)) => {
                    format!("{reader}.topic.{topic}.partition.{partition}.currentOffset")
                }
                _ => metric.to_owned(),
            };
            format!("{host}.taskmanager.{tm}.{job}.{operator}.{subtask}.{metric}")
        }
    })
}
