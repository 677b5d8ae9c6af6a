//! Determines the subject of a series by the labels of Flink's Prometheus reporter.
//!
//! The labels are converted to the dotted name of Flink's Graphite reporter, so that the same patterns apply:
//! `<host>.taskmanager.<tm_id>.<job_name>.<operator or task>.<subtask_index>.<metric>`. Metrics of operators have the
//! operator's name and the task's; the operator's takes precedence. Of counters that both have, the task's are used, and the records read
//! of a source operator.

use std::collections::BTreeMap;

use flink::graphite_component;

use crate::mapping::{Mapping, Subject};
use crate::names::{self, SubtaskMetric};
use crate::sample::Role;

/// Returns the subject of a series with these labels, if a pattern matches. The metric name is in the label `__name__`.
pub(super) fn subject(mapping: &Mapping, metric: &BTreeMap<String, String>) -> Option<Subject> {
    let subject = mapping.subject(&dotted(metric)?)?;
    let is_operator = metric.get("__name__").is_some_and(|name| name.starts_with(OPERATOR));
    if is_operator { of_operator(subject) } else { Some(subject) }
}

/// Prefix of all metrics of operators.
const OPERATOR: &str = "flink_taskmanager_job_task_operator_";

/// Filters an operator's metric: of those that the task has under the same name, only the records read by a source are used.
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

/// Scopes of Flink's reporter by prefix of the metric name, longest first.
const SCOPES: [&str; 4] =
    ["taskmanager_job_task_operator_", "taskmanager_job_task_", "taskmanager_", "jobmanager_job_"];

/// Suffix of a partition's offset; the labels name the partition.
const PARTITION: &str = "_topic_partition_currentOffset";

/// Returns the dotted name of a series; [`None`] outside of Flink's scopes.
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
